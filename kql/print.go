package kql

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Ranks say what needs parentheses in what.
const (
	rankOr = iota
	rankAnd
	rankNot
	rankLeaf
)

func (n *And) rank() int     { return rankAnd }
func (n *Or) rank() int      { return rankOr }
func (n *Not) rank() int     { return rankNot }
func (n *Match) rank() int   { return rankLeaf }
func (n *Range) rank() int   { return rankLeaf }
func (n *Nested) rank() int  { return rankLeaf }
func (l *Literal) rank() int { return rankLeaf }

func (n *And) String() string     { return string(n.appendTo(nil)) }
func (n *Or) String() string      { return string(n.appendTo(nil)) }
func (n *Not) String() string     { return string(n.appendTo(nil)) }
func (n *Match) String() string   { return string(n.appendTo(nil)) }
func (n *Range) String() string   { return string(n.appendTo(nil)) }
func (n *Nested) String() string  { return string(n.appendTo(nil)) }
func (l *Literal) String() string { return string(l.appendTo(nil)) }

func (n *And) appendTo(b []byte) []byte { return appendTerms(b, n.Terms, " and ", rankAnd) }
func (n *Or) appendTo(b []byte) []byte  { return appendTerms(b, n.Terms, " or ", rankOr) }
func (n *Not) appendTo(b []byte) []byte { return appendInside(append(b, "not "...), n.Term, rankNot) }

func appendTerms(b []byte, terms []Node, between string, rank int) []byte {
	for i, t := range terms {
		if i > 0 {
			b = append(b, between...)
		}
		b = appendInside(b, t, rank)
	}
	return b
}

// appendInside appends a term of a node of that rank.
func appendInside(b []byte, n Node, rank int) []byte {
	if n.rank() > rank {
		return n.appendTo(b)
	}
	return append(n.appendTo(append(b, '(')), ')')
}

func (n *Match) appendTo(b []byte) []byte {
	return appendInside(append(n.Field.appendTo(b), ": "...), n.Value, rankNot)
}

func (n *Range) appendTo(b []byte) []byte {
	b = append(n.Field.appendTo(b), ' ')
	b = append(append(b, n.Op...), ' ')
	return n.Value.appendTo(b)
}

func (n *Nested) appendTo(b []byte) []byte {
	b = append(n.Path.appendTo(b), ": { "...)
	return append(n.Query.appendTo(b), " }"...)
}

func (l *Literal) appendTo(b []byte) []byte {
	if l.Quoted {
		b = append(b, '"')
		for _, r := range l.Text() {
			if r == '"' || r == '\\' {
				b = append(b, '\\', byte(r))
			} else {
				b = appendRune(b, r)
			}
		}
		return append(b, '"')
	}
	for i, part := range l.Parts {
		if i > 0 {
			b = append(b, '*')
		}
		b = appendUnquoted(b, part, i == 0, i == len(l.Parts)-1)
	}
	return b
}

// appendUnquoted appends a part of an unquoted literal so that no piece of it is
// taken for an operator.
func appendUnquoted(b []byte, part string, first, last bool) []byte {
	for i, r := range part {
		if n := operatorAt(part, i, first, last); n > 0 {
			if r == 'n' || r == 'N' { // \n is a newline
				b = appendEscape(b, r)
				continue
			}
			b = append(b, '\\')
		}
		switch {
		case r == ' ' && (first && i == 0 || last && i == len(part)-1): // would be cut
			b = appendEscape(b, r)
		case r == '\n' && len(part)-i > 2 && strings.EqualFold(part[i+1:i+3], "ot"): // \not is a word
			b = appendEscape(b, r)
		case r < utf8.RuneSelf && special(byte(r)):
			b = append(b, '\\', byte(r))
		default:
			b = appendRune(b, r)
		}
	}
	return b
}

// operatorAt returns the length of the operator that a reader could find at i.
func operatorAt(part string, i int, first, last bool) int {
	open := i == 0 && first || i > 0 && part[i-1] == ' '
	for _, word := range operators {
		n := len(word)
		if len(part)-i < n || !strings.EqualFold(part[i:i+n], word) {
			continue
		}
		closed := i+n == len(part) && last || i+n < len(part) && part[i+n] == ' '
		if closed && (open || word == "not") {
			return n
		}
	}
	return 0
}

// appendRune appends r as it is, if it can be seen, or as an escape.
func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '\t':
		return append(b, `\t`...)
	case r == '\r':
		return append(b, `\r`...)
	case r == '\n':
		return append(b, `\n`...)
	case unicode.IsPrint(r): // of white space only the space
		return utf8.AppendRune(b, r)
	}
	return appendEscape(b, r)
}

func appendEscape(b []byte, r rune) []byte {
	for _, unit := range utf16.AppendRune(nil, r) {
		b = fmt.Appendf(b, `\u%04x`, unit)
	}
	return b
}
