package query

import "github.com/debutsec/debut/ecs"

// Truth is the outcome of evaluating an expression over an event of which only
// some fields are known.
type Truth int8

// The three truths. And is the minimum, Or the maximum, Not the negative.
const (
	False Truth = -1
	Maybe Truth = 0
	True  Truth = 1
)

// Known tells the values of a field if they are known. A known field without a
// value returns nil, true.
type Known func(f *ecs.Field) (values []string, ok bool)

// An Expr is a compiled condition over events. Every query language compiles to
// it. An Expr is immutable and safe for concurrent use.
type Expr interface {
	// Match reports whether the condition holds for ev.
	Match(ev ecs.Event) bool

	// Decide evaluates with partial knowledge: True or False only if every
	// event that agrees with k has that outcome. The rule index is built on it.
	Decide(k Known) Truth

	// Fields calls yield for every field that the expression reads.
	Fields(yield func(f *ecs.Field))
}
