package kql

import (
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// Node is a node of the syntax tree. It prints itself back as KQL.
type Node interface {
	String() string
}

// Parse parses one query. The error is a [query.Diagnostics].
func Parse(src string) (Node, error) { panic("not written yet") }

// Compile resolves the fields of n and returns it as an expression, with what is
// questionable about it. An error-severity diagnostic means that the expression is nil.
func Compile(n Node, cat *ecs.Catalogue) (query.Expr, query.Diagnostics) { panic("not written yet") }
