package rule

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// Compiled is a rule that runs, as conditions over events: those match for which
// Query holds and no exception does that lasts.
type Compiled struct {
	Rule       *Rule
	Query      query.Expr
	Exceptions []Exception
}

// Compile compiles every rule that runs, in order of Rules, with its exceptions.
// Of what the Diagnostics say, errors are about rules that are left out for it;
// each is said once, however many rules an exception list is attached to. What is
// returned is safe for concurrent use. The fields are those of cat.
func (s *Set) Compile(cat *ecs.Catalogue) ([]Compiled, query.Diagnostics) {
	var out []Compiled
	var diags query.Diagnostics
	lists := exceptionCompiler{set: s, cat: cat, out: &diags}
	for _, r := range s.Rules {
		if ok, _ := r.Runnable(); !ok {
			continue
		}
		x, ds := r.Compile(cat)
		diags = append(diags, ds...)
		if x != nil {
			out = append(out, Compiled{Rule: r, Query: x, Exceptions: lists.rule(r)})
		}
	}
	sortDiagnostics(diags)
	return out, diags
}

// Compile returns the query and the filters of the rule as one condition, with what
// is questionable about them, placed in the rule's file. The condition is nil, and
// there is an error, if the rule does not run.
func (r *Rule) Compile(cat *ecs.Catalogue) (query.Expr, query.Diagnostics) {
	if ok, reason := r.Runnable(); !ok {
		return nil, query.Diagnostics{{
			Severity: query.Error, Code: "not-runnable", File: r.File, RuleID: r.ID, Line: r.Line, Message: reason,
		}}
	}
	n := r.parsed
	if n == nil {
		var diags query.Diagnostics
		if n, diags = r.parseQuery(); n == nil {
			return nil, diags
		}
	}
	x, diags := kql.Compile(n, cat)
	diags = r.inFile(diags)
	if x == nil {
		return nil, diags
	}
	all := []query.Expr{x}
	for i, f := range r.Filters {
		c, err := kibanaFilter(f)
		if c == nil || err != nil { // disabled; Runnable knows of errors
			continue
		}
		all = append(all, c.compile(&conditions{cat: cat, report: r.filterReporter(i, &diags)}))
	}
	sortDiagnostics(diags)
	return query.And(all...), diags
}

// parseQuery parses the KQL of the rule. The tree is nil if that fails.
func (r *Rule) parseQuery() (kql.Node, query.Diagnostics) {
	n, err := kql.Parse(r.Query)
	if err == nil {
		return n, nil
	}
	diags, ok := errors.AsType[query.Diagnostics](err)
	if !ok {
		diags = query.Diagnostics{{Code: "syntax", Message: err.Error()}}
	}
	return nil, r.inFile(slices.Clone(diags))
}

// filterReporter returns what reports about the filter of that index.
func (r *Rule) filterReporter(i int, out *query.Diagnostics) reportFunc {
	return func(code, message, hint string) {
		l := linter{Rule: r, out: out}
		at := r.tree.get("filters")
		if at != nil && i < len(at.list) {
			at = at.list[i]
		}
		l.reportAt(query.Warning, code, at, message, hint)
	}
}

// reportFunc warns about one filter or one entry of an exception.
type reportFunc func(code, message, hint string)

// conditions makes conditions of what is not written in a query language.
type conditions struct {
	cat    *ecs.Catalogue
	report reportFunc
}

// field resolves the name of a field, and warns if no event can have it.
func (c *conditions) field(name string) *ecs.Field {
	f := c.cat.Resolve(name)
	if !f.Known && !c.object(name) {
		c.report("unknown-field", "no event of CloudTrail has the field "+name, didYouMean(c.cat.Suggest(name)))
	}
	return f
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + name + "?"
}

// object reports whether the name only holds other fields of the mapping.
func (c *conditions) object(name string) bool {
	for f := range c.cat.Known() {
		if strings.HasPrefix(f.Name, name) && strings.HasPrefix(f.Name[len(name):], ".") {
			return true
		}
	}
	return false
}

// exists is also true of a name whose members have values.
func (c *conditions) exists(name string) query.Expr {
	f := c.field(name)
	if f.Known || !c.object(name) {
		return query.Exists(f)
	}
	members := query.AnyField(c.cat, query.NewPattern(name+".", ""), func(f *ecs.Field) (query.Expr, error) { return query.Exists(f), nil })
	return query.Or(query.Exists(f), members)
}

// oneOf is true of a field that has one of the values. Analysed text has a value if
// its words are there side by side.
func (c *conditions) oneOf(f *ecs.Field, values []string, fold bool) (query.Expr, error) {
	alternatives := make([]query.Expr, 0, len(values))
	switch f.Type {
	case ecs.Text:
		for _, v := range values {
			x, err := query.Phrase(f, v)
			if err != nil {
				return nil, err
			}
			alternatives = append(alternatives, x)
		}
		return query.Or(alternatives...), nil
	case ecs.Keyword, ecs.ConstantKeyword, ecs.Flattened, ecs.Object:
		if fold {
			for _, v := range values {
				alternatives = append(alternatives, query.EqualFold(f, v))
			}
			return query.Or(alternatives...), nil
		}
	default:
	}
	return query.AnyOf(f, values)
}

func (c *conditions) like(f *ecs.Field, pattern string, fold bool) (query.Expr, error) {
	x, ok := query.Like(f, query.ParseWildcard(pattern, fold))
	if !ok {
		return nil, fmt.Errorf("%s: only text can be compared with a pattern", f.Name)
	}
	return x, nil
}

// compile makes a condition of a filter. A comparison that the type of the field
// does not allow is warned of and never true.
func (f Filter) compile(c *conditions) query.Expr {
	parts := make([]query.Expr, 0, len(f.Filters))
	for _, sub := range f.Filters {
		parts = append(parts, sub.compile(c))
	}
	switch f.Op {
	case FilterAll:
		return query.And(parts...)
	case FilterAny:
		return query.Or(parts...)
	case FilterNone:
		return query.Not(query.Or(parts...))
	case FilterExists:
		return c.exists(f.Field)
	default:
	}
	field := c.field(f.Field)
	x, err := f.leaf(c, field)
	if err != nil {
		c.report("value-type", err.Error()+"; the condition never holds", "")
		return query.Never(field)
	}
	return x
}

func (f Filter) leaf(c *conditions, field *ecs.Field) (query.Expr, error) {
	switch f.Op {
	case FilterWildcard:
		return c.like(field, f.Values[0], f.FoldCase)
	case FilterPrefix:
		return c.like(field, strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(f.Values[0])+"*", f.FoldCase)
	case FilterRange:
		signs := map[string]query.Op{"gt": query.Greater, "gte": query.GreaterOrEqual, "lt": query.Less, "lte": query.LessOrEqual}
		var bounds []query.Expr
		for _, name := range slices.Sorted(maps.Keys(f.Bounds)) {
			x, err := query.Compare(field, signs[name], f.Bounds[name])
			if err != nil {
				return nil, err
			}
			bounds = append(bounds, x)
		}
		return query.And(bounds...), nil
	default:
		return c.oneOf(field, f.Values, f.FoldCase)
	}
}

func sortDiagnostics(ds query.Diagnostics) {
	slices.SortStableFunc(ds, func(a, b query.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
}
