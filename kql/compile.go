package kql

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// A compiler turns a tree into an expression.
type compiler struct {
	cat   *ecs.Catalogue
	path  string          // of the nested groups around, with a dot at its end
	seen  map[string]bool // fields that have been complained about
	diags query.Diagnostics
	// How many conditions leave open which field they are about.
	patterns int
}

// node compiles n. Within the value of a [Match] field is its field, else nil.
func (c *compiler) node(n Node, field *Literal) query.Expr {
	switch n := n.(type) {
	case *And:
		terms := make([]query.Expr, len(n.Terms))
		for i, t := range n.Terms {
			terms[i] = c.node(t, field)
		}
		return query.And(terms...)
	case *Or:
		return c.or(n, field)
	case *Not:
		return query.Not(c.node(n.Term, field))
	case *Match:
		return c.node(n.Value, n.Field)
	case *Nested:
		return c.nested(n)
	case *Range:
		return c.leaf(n.Field, n.Value, func(f *ecs.Field) (query.Expr, error) {
			return query.Compare(f, n.Op, n.Value.Text())
		})
	case *Literal:
		return c.value(field, n)
	}
	return query.Const(true) // no tree at all is the empty query
}

// or compiles a disjunction. Values of one field become one look-up, whether they
// stand in a list or each beside the name of the field.
func (c *compiler) or(n *Or, field *Literal) query.Expr {
	var alternatives []query.Expr
	var names []string // of fields with values
	values := make(map[string][]*Literal)
	var add func(n Node, field *Literal)
	add = func(n Node, field *Literal) {
		switch n := n.(type) {
		case *Or:
			for _, t := range n.Terms {
				add(t, field)
			}
			return
		case *Match:
			add(n.Value, n.Field)
			return
		case *Literal:
			if field == nil || field.Wildcard() || n.Wildcard() || c.object(field) {
				break
			}
			c.known(field)
			c.odd(n)
			name := field.Text()
			if values[name] == nil {
				names = append(names, name)
			}
			values[name] = append(values[name], n)
			return
		}
		alternatives = append(alternatives, c.node(n, field))
	}
	add(n, field)
	for _, name := range names {
		alternatives = append(alternatives, c.anyOf(c.cat.Resolve(c.path+name), values[name]))
	}
	return query.Or(alternatives...)
}

// anyOf compiles values of one field without wildcards.
func (c *compiler) anyOf(f *ecs.Field, values []*Literal) query.Expr {
	var texts []string
	var alternatives []query.Expr
	for _, v := range values {
		x, err := equal(f, v)
		switch {
		case err != nil:
			c.never(v, err)
		case f.Type == ecs.Text:
			alternatives = append(alternatives, x)
		default:
			texts = append(texts, v.Text())
		}
	}
	if len(texts) > 0 {
		x, err := query.AnyOf(f, texts)
		if err != nil { // each of them has been tried
			c.never(values[0], err)
		} else {
			alternatives = append(alternatives, x)
		}
	}
	if len(alternatives) == 0 {
		return query.Never(f)
	}
	return query.Or(alternatives...)
}

// value compiles `field: value`, and a bare value if field is nil.
func (c *compiler) value(field, v *Literal) query.Expr {
	c.odd(v)
	if field == nil {
		return c.bare(v)
	}
	if field.anything() && v.anything() && c.path == "" {
		return query.Const(true)
	}
	return c.leaf(field, v, func(f *ecs.Field) (query.Expr, error) { return equal(f, v) })
}

// equal compiles the comparison of one field with one value.
func equal(f *ecs.Field, v *Literal) (query.Expr, error) {
	switch {
	case v.anything():
		return query.Exists(f), nil
	case v.Wildcard():
		x, ok := query.Like(f, query.NewPattern(v.Parts...))
		if !ok {
			return nil, fmt.Errorf("%s: %w", f.Name, errPattern)
		}
		return x, nil
	case v.Quoted:
		return query.Phrase(f, v.Text())
	}
	return query.Equal(f, v.Text())
}

var errPattern = errors.New("only text can be compared with a pattern")

// leaf compiles what build makes of the field, or of every field that matches.
func (c *compiler) leaf(field, v *Literal, build func(*ecs.Field) (query.Expr, error)) query.Expr {
	c.known(field)
	if field.Wildcard() {
		return c.anyField(field, field.Parts, build)
	}
	f := c.cat.Resolve(c.path + field.Text())
	if parts := c.members(f); parts != nil {
		switch {
		case !v.anything():
			c.never(v, fmt.Errorf("%s holds other fields and has no value of its own", f.Name))
		case c.open(field):
			return query.Or(parts...)
		}
		return query.Never(f)
	}
	x, err := build(f)
	if err != nil {
		c.never(v, err)
		return query.Never(f)
	}
	return x
}

// object reports whether the field only holds other fields.
func (c *compiler) object(field *Literal) bool {
	return c.members(c.cat.Resolve(c.path+field.Text())) != nil
}

// members returns the conditions that the fields exist which f holds, if it is an
// object of the mapping.
func (c *compiler) members(f *ecs.Field) []query.Expr {
	if f.Known {
		return nil
	}
	var out []query.Expr
	for m := range c.cat.Known() {
		if strings.HasPrefix(m.Name, f.Name) && strings.HasPrefix(m.Name[len(f.Name):], ".") {
			out = append(out, query.Exists(m))
		}
	}
	if out != nil { // and what the mapping does not have
		out = append(out, query.Exists(f))
	}
	return out
}

// anyField compiles a condition that leaves its field open, as place does.
func (c *compiler) anyField(place *Literal, parts []string, build func(*ecs.Field) (query.Expr, error)) query.Expr {
	if !c.open(place) {
		return query.Const(false)
	}
	return query.AnyField(c.cat, c.pattern(parts), build)
}

// open counts the conditions that stand for many fields, and refuses too many.
func (c *compiler) open(place *Literal) bool {
	if c.patterns++; c.patterns == MaxPatterns+1 {
		c.diags = append(c.diags, place.span.diagnostic(query.Error, "too-many-patterns",
			fmt.Sprintf("more than %d conditions leave open which field they are about", MaxPatterns), "name the fields"))
	}
	return c.patterns <= MaxPatterns
}

// pattern returns the pattern of a field's name.
func (c *compiler) pattern(parts []string) *query.Pattern {
	parts = slices.Clone(parts)
	parts[0] = c.path + parts[0]
	return query.NewPattern(parts...)
}

// bare compiles a value that any field may have, as Elasticsearch does where an
// index does not name default fields.
func (c *compiler) bare(v *Literal) query.Expr {
	if v.anything() && c.path == "" {
		return query.Const(true)
	}
	if v.anything() {
		return c.anyField(v, []string{"", ""}, func(f *ecs.Field) (query.Expr, error) { return query.Exists(f), nil })
	}
	hint := "name the field: FIELD: VALUE; a list of values for one field needs parentheses, FIELD: (VALUE or VALUE)"
	if strings.Contains(v.Text(), "=") {
		hint = "compare with a colon: FIELD: VALUE"
	}
	c.warn(v.span, "bare-value", "a value without a field is looked for in all fields, which is slow", hint)
	return c.anyField(v, []string{"", ""}, func(f *ecs.Field) (query.Expr, error) { return equal(f, v) })
}

func (c *compiler) nested(n *Nested) query.Expr {
	path := c.path + n.Path.Text()
	outer := c.path
	c.path = path + "."
	x := c.node(n.Query, nil)
	c.path = outer
	c.report(n.Path.span, query.Info, "nested-group", fmt.Sprintf("%s is not nested in the mapping: the group is tried on each object by itself, where Elasticsearch refuses it", quote(path)), "")
	return query.Nested(path, x)
}

// known warns of a field that no event can have, once.
func (c *compiler) known(field *Literal) {
	name := c.path + field.Text()
	if c.seen[name] {
		return
	}
	c.seen[name] = true
	if len(c.diags) >= maxDiagnostics {
		return // enough has been said; Suggest is slow
	}
	if field.Wildcard() {
		if !c.anyKnown(c.pattern(field.Parts), c.path+field.Parts[0]) {
			c.warn(field.span, "unknown-field", fmt.Sprintf("no field of CloudTrail has a name like %s", quote(name)), "")
		}
		return
	}
	if f := c.cat.Resolve(name); !f.Known && c.members(f) == nil {
		hint := ""
		if like := c.cat.Suggest(name); like != "" {
			hint = fmt.Sprintf("did you mean %q?", like)
		}
		c.warn(field.span, "unknown-field", fmt.Sprintf("no event of CloudTrail has the field %s", quote(name)), hint)
	}
}

// anyKnown reports whether there is a field for the pattern, which begins with
// prefix: sub-keys of flattened fields can have any name.
func (c *compiler) anyKnown(p *query.Pattern, prefix string) bool {
	for f := range c.cat.Known() {
		if p.Match(f.Name) || f.Type == ecs.Flattened && (strings.HasPrefix(prefix, f.Name+".") || strings.HasPrefix(f.Name+".", prefix)) {
			return true
		}
	}
	return false
}

// odd warns of values that look like something that KQL does not have.
func (c *compiler) odd(v *Literal) {
	text := v.Text()
	if v.Quoted {
		return
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") && strings.Contains(text, " TO ") {
		c.warn(v.span, "lucene-range", "this is a text like any other, not a range", "write FIELD >= VALUE and FIELD <= VALUE")
	}
	words := strings.Fields(v.span.Text()) // as written: escaped words are meant
	if n := len(words); n > 1 && (isOperator(words[0]) || isOperator(words[n-1])) {
		c.warn(v.span, "operator-in-value", fmt.Sprintf("%s is one value, and the operator is a part of it", quote(v.span.Text())),
			"an operator stands between two conditions, with white space on both sides; put a value with the word in quotes")
	}
}

func isOperator(word string) bool {
	return slices.ContainsFunc(operators[:], func(o string) bool { return strings.EqualFold(o, word) })
}

// never warns of a comparison that no event can meet.
func (c *compiler) never(v *Literal, err error) {
	code, hint := "value-type", ""
	if errors.Is(err, errPattern) {
		code, hint = "pattern-type", "compare addresses with a block such as 10.0.0.0/8, numbers and dates with >= and <"
	}
	c.warn(v.span, code, err.Error()+"; the condition never holds", hint)
}

func (c *compiler) warn(place Span, code, message, hint string) {
	c.report(place, query.Warning, code, message, hint)
}

func (c *compiler) report(place Span, severity query.Severity, code, message, hint string) {
	if len(c.diags) < maxDiagnostics {
		c.diags = append(c.diags, place.diagnostic(severity, code, message, hint))
	}
}

func (c *compiler) sorted() query.Diagnostics {
	slices.SortStableFunc(c.diags, func(a, b query.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return c.diags
}
