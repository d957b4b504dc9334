package rule

import (
	"fmt"
	"slices"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// An Exception is an exception item as a condition: it excludes the events that
// Expr matches.
type Exception struct {
	Expr   query.Expr
	Expire time.Time // compared with the event's time; zero: never
	Name   string
}

// CompileExceptions compiles the items of every list that applies to r (see
// [Set.ExceptionsFor]), in that order. An item that cannot be honoured, since a
// value list was not loaded or a value does not fit its field, is not applied, and
// the Diagnostics name it. [Set.Compile] does it for all rules at once and compiles
// each list once.
func (s *Set) CompileExceptions(r *Rule, cat *ecs.Catalogue) ([]Exception, query.Diagnostics) {
	var diags query.Diagnostics
	c := exceptionCompiler{set: s, cat: cat, out: &diags}
	out := c.rule(r)
	sortDiagnostics(diags)
	return out, diags
}

// An exceptionCompiler compiles each list and each value list once.
type exceptionCompiler struct {
	set  *Set
	cat  *ecs.Catalogue
	out  *query.Diagnostics
	done map[*ExceptionList][]Exception
	in   map[listUse]inResult
}

// listUse is how an entry uses a value list.
type listUse struct {
	field    *ecs.Field
	id, kind string
}

type inResult struct {
	x   query.Expr
	err error
}

// rule returns the exceptions of one rule.
func (c *exceptionCompiler) rule(r *Rule) []Exception {
	var out []Exception
	for l := range c.set.listsFor(r) {
		x, ok := c.done[l]
		if !ok {
			x = c.list(l)
			if c.done == nil {
				c.done = make(map[*ExceptionList][]Exception)
			}
			c.done[l] = x
		}
		out = append(out, x...)
	}
	return out
}

func (c *exceptionCompiler) list(l *ExceptionList) []Exception {
	var out []Exception
	for i := range l.Items {
		item := &l.Items[i]
		if x := c.item(item); x != nil {
			out = append(out, Exception{Expr: x, Expire: item.ExpireTime, Name: item.Name})
		}
	}
	return out
}

// item compiles an item, or returns nil and says why.
func (c *exceptionCompiler) item(item *ExceptionItem) query.Expr {
	if len(item.Entries) == 0 {
		return nil // an error when it was loaded
	}
	all := make([]query.Expr, 0, len(item.Entries)+1)
	if len(item.OSTypes) > 0 {
		all = append(all, c.system(item.OSTypes))
	}
	for _, e := range item.Entries {
		x, err := c.entry(item, e, "")
		if err != nil {
			item.report(c.out, e, "exception-not-applied", fmt.Sprintf("exception %q is not applied: %v", item.Name, err), "")
			return nil
		}
		if x == nil { // a value list that was not loaded, of which Set.link warned
			return nil
		}
		all = append(all, x)
	}
	return query.And(all...)
}

// system is the condition that os_types makes. Events of CloudTrail have no host,
// so there it never holds.
func (c *exceptionCompiler) system(types []string) query.Expr {
	either := make([]query.Expr, 0, 2*len(types))
	for _, t := range types {
		either = append(either,
			query.EqualFold(c.cat.Resolve("host.os.name"), t),
			query.EqualFold(c.cat.Resolve("host.os.type"), t))
	}
	return query.Or(either...)
}

// entry compiles one entry; path is what the name of its field continues.
func (c *exceptionCompiler) entry(item *ExceptionItem, e Entry, path string) (query.Expr, error) {
	cond := conditions{cat: c.cat, report: func(code, message, hint string) {
		if code == "unknown-field" && e.Operator == "excluded" {
			message += ", so this entry holds for every event"
		}
		item.report(c.out, e, code, fmt.Sprintf("exception %q: %s", item.Name, message), hint)
	}}
	name := path + e.Field
	if e.Type == "nested" {
		inner := make([]query.Expr, 0, len(e.Entries))
		for _, sub := range e.Entries {
			x, err := c.entry(item, sub, name+".")
			if err != nil {
				return nil, err
			}
			inner = append(inner, x)
		}
		return query.Nested(name, query.And(inner...)), nil
	}
	x, err := c.operator(&cond, e, name)
	if err != nil || x == nil {
		return nil, err
	}
	if e.Operator == "excluded" {
		x = query.Not(x)
	}
	return x, nil
}

// operator compiles an entry without regard to whether it is negated.
func (c *exceptionCompiler) operator(cond *conditions, e Entry, name string) (query.Expr, error) {
	if e.Type == "exists" {
		return cond.exists(name), nil
	}
	f := cond.field(name)
	switch e.Type {
	case "match", "match_any":
		return cond.oneOf(f, e.Values, false)
	case "wildcard":
		return cond.like(f, e.Values[0], false)
	case "list":
		return c.inList(f, e)
	}
	return nil, fmt.Errorf("entries of type %q are not supported", e.Type)
}

// inList returns nil if the value list was not loaded.
func (c *exceptionCompiler) inList(f *ecs.Field, e Entry) (query.Expr, error) {
	i := slices.IndexFunc(c.set.ValueLists, func(v ValueList) bool { return v.ID == e.ListID })
	if i < 0 {
		return nil, nil
	}
	use := listUse{f, e.ListID, e.ListType}
	r, ok := c.in[use]
	if !ok {
		r.x, r.err = query.InList(f, e.ListType, c.set.ValueLists[i].Values)
		if r.err != nil {
			r.err = fmt.Errorf("value list %s: %w", e.ListID, r.err)
		}
		if c.in == nil {
			c.in = make(map[listUse]inResult)
		}
		c.in[use] = r
	}
	return r.x, r.err
}

// report warns about an entry of the item.
func (item *ExceptionItem) report(out *query.Diagnostics, e Entry, code, message, hint string) {
	if item.src == nil { // made by hand
		*out = append(*out, query.Diagnostic{
			Severity: query.Warning, Code: code, File: item.File, Line: item.Line, Message: message, Hint: hint,
		})
		return
	}
	r := &reporter{src: item.src, out: out}
	r.at(query.Warning, code, e.at.off, e.at.end, message, hint)
}
