package kql

import (
	"fmt"
	"unicode/utf8"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// Limits of a query. The longest of the rules that Elastic publishes has some
// thousand bytes; Elasticsearch itself refuses more than 30 levels by default.
const (
	// MaxSize is the length of the longest query in bytes.
	MaxSize = 1 << 20
	// MaxDepth is how deep parentheses and braces may stand in each other.
	MaxDepth = 100
	// MaxPatterns is how many conditions may leave open which field they are about:
	// names with wildcards, names of objects and bare values. Each stands for up to
	// all fields of the mapping.
	MaxPatterns = 64
	// maxDiagnostics is how many things are questionable at most in one query.
	maxDiagnostics = 100
)

// Parse parses one query. An empty query matches every event. The error is a
// [query.Diagnostics] with line, column and width in runes, the line itself, a
// message and a hint.
func Parse(src string) (Node, error) {
	p := &parser{scanner: scanner{src: src}}
	if n := p.query(); n != nil {
		return n, nil
	}
	return nil, query.Diagnostics{*p.diag}
}

// CompileText parses a query and compiles it: [Parse] and [Compile] in one.
func CompileText(src string, cat *ecs.Catalogue) (query.Expr, query.Diagnostics) {
	p := &parser{scanner: scanner{src: src}}
	if n := p.query(); n != nil {
		return Compile(n, cat)
	}
	return nil, query.Diagnostics{*p.diag}
}

// Compile resolves the fields of n and returns it as an expression, with what is
// questionable about it in order of place. An error-severity diagnostic means that
// the expression is nil; what [Parse] accepts compiles unless it passes
// [MaxPatterns].
//
// The expression is safe for concurrent use. Of n nothing is kept or changed.
func Compile(n Node, cat *ecs.Catalogue) (query.Expr, query.Diagnostics) {
	c := &compiler{cat: cat, seen: make(map[string]bool)}
	x := c.node(n, nil)
	if c.patterns > MaxPatterns {
		x = nil
	}
	return x, c.sorted()
}

// check looks at the text as a whole.
func (p *parser) check() bool {
	if len(p.src) > MaxSize {
		p.diag = &query.Diagnostic{
			Code: "query-too-long", Message: fmt.Sprintf("the query is longer than %d bytes", MaxSize),
			Hint: "put long lists of values into a value list",
		}
		return false
	}
	if utf8.ValidString(p.src) {
		return true
	}
	for i, r := range p.src {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(p.src[i:]); n == 1 {
				p.fail(i, i+1, "invalid-utf8", "the query is not valid UTF-8 here", "save the file as UTF-8")
				break
			}
		}
	}
	return false
}
