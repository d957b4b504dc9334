package kql

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/debutsec/debut/query"
)

// A parser is a recursive descent over the text. Its methods return nil where they
// cannot go on, and the reason is in diag.
type parser struct {
	scanner
	depth int
	lists int      // lists of values that are open
	last  *Literal // the literal read last
	diag  *query.Diagnostic
}

func (p *parser) at(start, end int) at { return at{Span{p.src, start, end}} }

// fail keeps the first error.
func (p *parser) fail(start, end int, code, message, hint string) Node {
	if p.diag == nil {
		d := p.at(start, end).span.diagnostic(query.Error, code, message, hint)
		p.diag = &d
	}
	return nil
}

func (p *parser) query() Node {
	if !p.check() {
		return nil
	}
	p.space()
	if p.atEnd() { // what Kibana does
		place := p.at(0, len(p.src))
		all := func() *Literal { return &Literal{Parts: []string{"", ""}, at: place} }
		return &Match{Field: all(), Value: all(), at: place}
	}
	n := p.or(p.condition)
	if n == nil {
		return nil
	}
	if p.space(); !p.atEnd() {
		return p.unexpected()
	}
	return n
}

// or parses operands joined by or, and, not, in the order of how loose they bind.
func (p *parser) or(operand func() Node) Node {
	return p.chain("or", func() Node { return p.and(operand) }, func(terms []Node, place at) Node { return &Or{terms, place} })
}

func (p *parser) and(operand func() Node) Node {
	return p.chain("and", func() Node { return p.negation(operand) }, func(terms []Node, place at) Node { return &And{terms, place} })
}

func (p *parser) chain(word string, operand func() Node, join func([]Node, at) Node) Node {
	start := p.pos
	first := operand()
	if first == nil || !p.infix(word) {
		return first
	}
	terms := []Node{first}
	for {
		t := operand()
		if t == nil {
			return nil
		}
		terms = append(terms, t)
		if !p.infix(word) {
			return join(terms, p.at(start, p.pos))
		}
	}
}

// negation parses one operand, with not before it or without.
func (p *parser) negation(operand func() Node) Node {
	start := p.pos
	if !p.not() {
		return operand()
	}
	if _, again := keyword(p.rest(), "not"); again {
		return p.fail(p.pos, p.pos+len("not"), "double-not", "not cannot follow not", "write not (not …), or leave both out")
	}
	if n := operand(); n != nil {
		return &Not{n, p.at(start, p.pos)}
	}
	return nil
}

// condition parses a group or a leaf.
func (p *parser) condition() Node {
	if p.peek() == '(' {
		return p.group(')', p.condition)
	}
	start := p.pos
	field := p.literal("a condition")
	if field == nil {
		return nil
	}
	end := p.pos
	p.space()
	switch c := p.peek(); c {
	case ':':
		return p.match(start, field)
	case '<', '>':
		return p.comparison(start, field)
	}
	p.pos = end
	return p.value(field)
}

// group parses what stands between parentheses or braces.
func (p *parser) group(closing byte, operand func() Node) Node {
	open := p.pos
	p.pos++
	if p.depth++; p.depth > MaxDepth {
		return p.fail(open, p.pos, "query-too-deep", fmt.Sprintf("more than %d levels of parentheses", MaxDepth), "leave out parentheses that are not needed")
	}
	if p.space(); p.peek() == closing {
		return p.fail(open, p.pos+1, "missing-operand", "there is nothing between "+p.src[open:open+1]+" and "+string(closing), "")
	}
	n := p.or(operand)
	if n == nil {
		return nil
	}
	switch p.space(); p.peek() {
	case closing:
		p.pos++
		p.depth--
		return n
	case 0:
		return p.fail(open, open+1, "unbalanced", "this "+p.src[open:open+1]+" is not closed", fmt.Sprintf("a %c is missing; in a value write \\%s", closing, p.src[open:open+1]))
	}
	return p.unexpected()
}

// match parses what follows a field and its colon.
func (p *parser) match(start int, field *Literal) Node {
	if !p.named(field) {
		return nil
	}
	p.pos++
	p.space()
	var n Node
	switch p.peek() {
	case '{':
		if field.Wildcard() {
			return p.fail(field.span.start, field.span.end, "wildcard-path", "the path of a nested group cannot have a wildcard", "name the path in full")
		}
		if n = p.group('}', p.condition); n == nil {
			return nil
		}
		return &Nested{field, n, p.at(start, p.pos)}
	case '(':
		p.lists++
		n = p.group(')', p.listed)
		p.lists--
	default:
		n = p.listed()
	}
	if n == nil {
		return nil
	}
	return &Match{field, n, p.at(start, p.pos)}
}

// listed parses one value, or a list in parentheses within a list.
func (p *parser) listed() Node {
	if p.peek() == '(' {
		return p.group(')', p.listed)
	}
	return p.value(p.literal("a value"))
}

func (p *parser) comparison(start int, field *Literal) Node {
	if !p.named(field) {
		return nil
	}
	op := query.Op(p.src[p.pos : p.pos+1])
	if strings.HasPrefix(p.src[p.pos+1:], "=") {
		op += "="
	}
	p.pos += len(op)
	p.space()
	if p.peek() == '(' {
		return p.fail(p.pos, p.pos+1, "list-in-range", fmt.Sprintf("%s compares with one value, not with a list", op), "")
	}
	place := p.pos
	v := p.literal("a value")
	if p.value(v) == nil {
		return nil
	}
	if v.Wildcard() {
		return p.fail(place, p.pos, "wildcard-in-range", fmt.Sprintf("%s cannot compare with a pattern", op), `write \* for a star in a value`)
	}
	return &Range{field, op, v, p.at(start, p.pos)}
}

// named refuses a field without a name.
func (p *parser) named(field *Literal) bool {
	if field.Text() == "" {
		p.fail(field.span.start, field.span.end, "empty-field", "a field needs a name", "")
		return false
	}
	return true
}

// value refuses null, which is no text and has no use.
func (p *parser) value(l *Literal) Node {
	if l == nil {
		return nil
	}
	if !l.Quoted && !l.Wildcard() && l.Text() == "null" {
		return p.fail(l.span.start, l.span.end, "null-value", "null is not a value", `write not FIELD: * for "has no value", or "null" in quotes for the text`)
	}
	return l
}

// literal parses a quoted or unquoted literal; what it is to be is for the message.
func (p *parser) literal(what string) *Literal {
	start := p.pos
	if p.peek() == '"' {
		text, ok := p.quoted()
		if !ok {
			p.fail(start, len(p.src), "unterminated-quote", "this quote is not closed", `a " is missing; in a value write \"`)
			return nil
		}
		p.last = &Literal{Parts: []string{text}, Quoted: true, at: p.at(start, p.pos)}
		return p.last
	}
	parts, ok, bad := p.unquoted()
	switch {
	case bad:
		_, n := utf8.DecodeRuneInString(p.src[p.pos+1:])
		p.fail(p.pos, p.pos+1+n, "bad-escape", "there is no escape "+p.src[p.pos:p.pos+1+n], `write \\ for a backslash, or put the value in quotes`)
		return nil
	case !ok:
		p.missing(what)
		return nil
	}
	p.last = &Literal{Parts: parts, at: p.at(start, p.pos)}
	return p.last
}
