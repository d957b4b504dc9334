package kql

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/debutsec/debut/query"
)

// A Node is a node of the syntax tree: [And], [Or], [Not], [Match], [Range],
// [Nested] or [Literal]. Nodes come from [Parse] and are not changed afterwards.
// Parentheses are not nodes; the tree says it by its form.
type Node interface {
	// String prints the node as KQL in one canonical form, which parses to an equal
	// node.
	String() string
	// Span is where the node stands in the query.
	Span() Span

	appendTo(b []byte) []byte
	rank() int
}

// And holds where all of its terms hold, of which there are two or more. Within
// the value of a [Match] each term is about values of its field.
type And struct {
	Terms []Node
	at
}

// Or holds where any of its terms holds, of which there are two or more; see [And].
type Or struct {
	Terms []Node
	at
}

// Not holds where its term does not; see [And].
type Not struct {
	Term Node
	at
}

// Match is `field: value`. Value is a [Literal], or for `field: (list)` a tree of
// And, Or and Not over literals.
type Match struct {
	Field *Literal
	Value Node
	at
}

// Range is `field < value`, and so on.
type Range struct {
	Field *Literal
	Op    query.Op
	Value *Literal
	at
}

// Nested is `path: { query }`: one object under the path satisfies all of the query,
// whose field names are relative to the path.
type Nested struct {
	Path  *Literal
	Query Node
	at
}

// Literal is a value or the name of a field. As a term of a query it is a bare
// value, which any field may have.
type Literal struct {
	// Parts is the text, escapes resolved, between its wildcards: one part if it
	// has none. Quoted literals have none.
	Parts []string
	// Quoted says that it stands in double quotes, which matters for values of
	// analysed text only.
	Quoted bool
	at
}

// Text returns the text, with a * for each wildcard.
func (l *Literal) Text() string { return strings.Join(l.Parts, "*") }

// Wildcard reports whether there is a wildcard in it.
func (l *Literal) Wildcard() bool { return len(l.Parts) > 1 }

// anything reports whether it is one * alone: the test of existence.
func (l *Literal) anything() bool {
	return len(l.Parts) == 2 && l.Parts[0] == "" && l.Parts[1] == ""
}

// at is the place of a node.
type at struct{ span Span }

// Span implements [Node].
func (a at) Span() Span { return a.span }

// A Span is a piece of the text of a query.
type Span struct {
	src        string
	start, end int // bytes
}

// Text returns the text of the span.
func (s Span) Text() string { return s.src[s.start:s.end] }

// Position returns the line and the column in runes of its beginning, from 1.
func (s Span) Position() (line, column int) {
	before := s.src[:s.start]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// diagnostic points at the span, as far as it stands on one line.
func (s Span) diagnostic(severity query.Severity, code, message, hint string) query.Diagnostic {
	line, column := s.Position()
	from := strings.LastIndexByte(s.src[:s.start], '\n') + 1
	to := len(s.src)
	if i := strings.IndexByte(s.src[s.start:], '\n'); i >= 0 {
		to = s.start + i
	}
	return query.Diagnostic{
		Severity: severity, Code: code, Line: line, Column: column,
		Width:  max(1, utf8.RuneCountInString(s.src[s.start:min(s.end, to)])),
		Source: strings.TrimSuffix(s.src[from:to], "\r"), Message: message, Hint: hint,
	}
}

// Equal reports whether two trees are the same, wherever they stand.
func Equal(a, b Node) bool {
	switch a := a.(type) {
	case *And:
		b, ok := b.(*And)
		return ok && slices.EqualFunc(a.Terms, b.Terms, Equal)
	case *Or:
		b, ok := b.(*Or)
		return ok && slices.EqualFunc(a.Terms, b.Terms, Equal)
	case *Not:
		b, ok := b.(*Not)
		return ok && Equal(a.Term, b.Term)
	case *Match:
		b, ok := b.(*Match)
		return ok && Equal(a.Field, b.Field) && Equal(a.Value, b.Value)
	case *Range:
		b, ok := b.(*Range)
		return ok && Equal(a.Field, b.Field) && a.Op == b.Op && Equal(a.Value, b.Value)
	case *Nested:
		b, ok := b.(*Nested)
		return ok && Equal(a.Path, b.Path) && Equal(a.Query, b.Query)
	case *Literal:
		b, ok := b.(*Literal)
		return ok && a.Quoted == b.Quoted && slices.Equal(a.Parts, b.Parts)
	}
	return a == nil && b == nil
}
