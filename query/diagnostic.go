package query

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity of a diagnostic.
type Severity uint8

// Severities, from worst.
const (
	Error Severity = iota
	Warning
	Info
)

// String returns error, warning or info.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	default:
		return "info"
	}
}

// A Diagnostic is something wrong, or questionable, in a rule, a query or a
// configuration: one type for all, so that tools match the code and people read
// the message.
type Diagnostic struct { //nolint:errname // it is a finding first, also a mere warning
	Severity Severity
	Code     string // stable, kebab-case: "unknown-field"
	File     string // as given by the user; empty for a bare query
	RuleID   string // the rule's rule_id, if known
	Line     int    // 1-based line in File (or in the query, if File is empty); 0 if unknown
	Column   int    // 1-based, in runes
	Width    int    // runes underlined; at least 1 if Column is set
	Source   string // the text of the line, for the caret
	Message  string // lower case, no full stop
	Hint     string // what to do; may be empty
}

// Error returns the diagnostic on one line: place, severity, message and code.
func (d Diagnostic) Error() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(printable(d.File) + ":")
	}
	if d.Line > 0 {
		b.WriteString(strconv.Itoa(d.Line) + ":")
		if d.Column > 0 {
			b.WriteString(strconv.Itoa(d.Column) + ":")
		}
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "%s: %s", d.Severity, printable(d.Message))
	if d.Code != "" {
		fmt.Fprintf(&b, " [%s]", d.Code)
	}
	return b.String()
}

// Render returns the diagnostic for a person: the line of [Diagnostic.Error], the
// source with a caret under what is meant, and the hint. It ends with a newline.
func (d Diagnostic) Render() string {
	var b strings.Builder
	b.WriteString(d.Error())
	b.WriteByte('\n')
	if d.Source != "" && d.Column > 0 {
		text, at, width := excerpt(d.Source, d.Column, max(d.Width, 1))
		fmt.Fprintf(&b, "    %s\n    %s%s\n", text, strings.Repeat(" ", at), strings.Repeat("^", width))
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "    hint: %s\n", printable(d.Hint))
	}
	return b.String()
}

// excerpt cuts a long line around the place and makes it safe to print.
func excerpt(line string, column, width int) (text string, at, w int) {
	const room = 96
	runes := []rune(printable(line))
	at = min(column-1, len(runes))
	start := 0
	if at > room/2 && len(runes) > room {
		start = min(at-room/2, len(runes)-room)
	}
	end := min(start+room, len(runes))
	text, at = string(runes[start:end]), at-start
	if start > 0 {
		text, at = "…"+text, at+1
	}
	if end < len(runes) {
		text += "…"
	}
	return text, at, max(1, min(width, utf8.RuneCountInString(text)-at))
}

// printable replaces what could control a terminal, one rune for one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError:
			return '\uFFFD'
		}
		return r
	}, s)
}

// Diagnostics is a list of diagnostics that is also an error.
type Diagnostics []Diagnostic //nolint:errname // as Diagnostic

// Error returns the first diagnostic, and how many more there are.
func (d Diagnostics) Error() string {
	switch len(d) {
	case 0:
		return "no diagnostics"
	case 1:
		return d[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", d[0].Error(), len(d)-1)
}

// Failed reports whether there is an error among d.
func (d Diagnostics) Failed() bool {
	for i := range d {
		if d[i].Severity == Error {
			return true
		}
	}
	return false
}
