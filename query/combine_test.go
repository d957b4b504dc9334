package query_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

func TestCombine(t *testing.T) {
	t.Parallel()
	yes, no := query.Const(true), query.Const(false)
	for name, tc := range map[string]struct {
		x    query.Expr
		want bool
	}{
		"and of none":   {query.And(), true},
		"or of none":    {query.Or(), false},
		"and of one":    {query.And(no), false},
		"or of one":     {query.Or(yes), true},
		"and":           {query.And(yes, no), false},
		"or":            {query.Or(no, yes), true},
		"not":           {query.Not(no), true},
		"not of absent": {query.Not(query.Exists(ecs.NewCatalogue().Resolve(keyword))), true},
	} {
		if got := tc.x.Match(event{}); got != tc.want {
			t.Errorf("%s is %v", name, got)
		}
		if got := tc.x.Decide(event{}.known); (got == query.True) != tc.want || got == query.Maybe {
			t.Errorf("%s is decided as %v", name, got)
		}
	}
}

// reads counts how often the document of an event is built.
type reads struct {
	event
	built int
}

func (r *reads) Document() ecs.Document { r.built++; return r.event.Document() }

func TestTheDocumentIsBuiltLast(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	equal := func(f *ecs.Field) (query.Expr, error) { return query.Equal(f, "x") }
	heavy := query.AnyField(cat, query.NewPattern("no.such.", ""), equal)
	inner, _ := equal(cat.Resolve("a.b"))
	nested := query.Nested("a", inner)
	light := query.Exists(cat.Resolve(keyword))
	for name, x := range map[string]query.Expr{
		"and":        query.And(heavy, query.Not(light)),
		"or":         query.Or(heavy, nested, light),
		"inside not": query.And(query.Not(heavy), query.Not(light)),
		"inside and": query.And(query.And(light, nested), query.Not(light)),
		"inside or":  query.Or(query.Or(nested, light), light),
	} {
		ev := &reads{event: event{keyword: {"a"}}}
		x.Match(ev)
		if ev.built > 0 {
			t.Errorf("%s built the document although the other condition decides", name)
		}
	}
}

func TestAnyField(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	anyField := func(parts []string, literal string) query.Expr {
		return query.AnyField(cat, query.NewPattern(parts...), func(f *ecs.Field) (query.Expr, error) { return query.Equal(f, literal) })
	}
	for name, tc := range map[string]struct {
		x    query.Expr
		ev   event
		want bool
	}{
		"a known field":               {anyField([]string{"user.", ""}, "ana"), event{"user.name": {"ana"}}, true},
		"a field nobody knows":        {anyField([]string{"user.", ""}, "ana"), event{"user.nick": {"ana"}}, true},
		"another name":                {anyField([]string{"user.", ""}, "ana"), event{"host.name": {"ana"}}, false},
		"by type":                     {anyField([]string{"source.", ""}, "10.0.0.0/8"), event{"source.ip": {"10.1.1.1"}}, true},
		"a type that cannot have it":  {anyField([]string{"", ""}, "ana"), event{"source.ip": {"10.1.1.1"}, "user.name": {"ana"}}, true},
		"text in a field of its own":  {anyField([]string{"source.", ""}, "10.0.0.0/8"), event{"source.block": {"10.1.1.1"}}, false},
		"a whole flattened object":    {anyField([]string{"", "request_parameters"}, "v"), event{"aws.cloudtrail.flattened.request_parameters": {"v"}}, true},
		"a sub-key of a flattened":    {anyField([]string{"aws.cloudtrail.flattened.", "key"}, "v"), event{subKey: {"v"}}, true},
		"no field":                    {anyField([]string{"", ""}, "v"), event{}, false},
		"the second of several value": {anyField([]string{"user.na", ""}, "bo"), event{"user.name": {"ana", "bo"}}, true},
	} {
		if got := tc.x.Match(tc.ev); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := tc.x.Decide(tc.ev.known); got == query.False || got == query.True && !tc.want {
			t.Errorf("%s is decided as %v", name, got)
		}
		if got := tc.x.Decide(unknown); got != query.Maybe {
			t.Errorf("%s is %v whatever the values", name, got)
		}
	}
	var read int
	anyField([]string{"user.", ""}, "ana").Fields(func(*ecs.Field) { read++ })
	if read < 5 {
		t.Errorf("%d fields of user are read", read)
	}
}

func TestNested(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	equal := func(name, literal string) query.Expr {
		x, err := query.Equal(cat.Resolve(name), literal)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	both := query.Nested("list", query.And(equal("list.a", "1"), equal("list.b", "2")))
	inner := query.Nested("list", query.And(equal("list.a", "1"), query.Nested("list.sub", query.And(equal("list.sub.c", "3"), query.Not(equal("list.sub.d", "4"))))))
	without := query.Nested("list.sub", query.Not(equal("list.sub.c", "1")))
	outside := query.Nested("list", query.Or(equal("user.name", "ana"), equal("listing", "x")))
	for _, tc := range []struct {
		x    query.Expr
		doc  string
		want bool
	}{
		{both, `{"list":[{"a":1,"b":2}]}`, true},
		{both, `{"list":{"a":1,"b":2}}`, true},
		{both, `{"list":[{"a":1},{"b":2}]}`, false},
		{both, `{"list":[{"a":[0,1],"b":[2,3]},{"a":7}]}`, true},
		{both, `{"list":[[{"a":1,"b":2}]]}`, true},
		{both, `{"list.a":1,"list.b":2}`, true},
		{both, `{"list":{"a":1},"list.b":2}`, true},
		{both, `{"list":[{"a":1}],"list.b":2}`, false},
		{both, `{"list":[{"x":1}],"list.a":1,"list.b":2}`, true},
		{both, `{"list":"text"}`, false},
		{both, `{"list":null}`, false},
		{both, `{"x":1}`, false},
		{inner, `{"list":[{"a":1,"sub":[{"c":3,"d":4},{"c":3}]}]}`, true},
		{inner, `{"list":[{"a":1,"sub":[{"c":3,"d":4}]},{"a":2,"sub.c":3}]}`, false},
		{inner, `{"list":[{"a":1,"sub.c":3}]}`, true},
		{without, `{"list":{"sub":{}}}`, true},
		{without, `{"list":{"sub":[]}}`, false},
		{without, `{"list":{"sub":[{"c":1},{"c":null}]}}`, true},
		{without, `{"list.sub.c":1}`, false},
		{outside, `{"list":[{"a":1}],"user":{"name":"ana"},"listing":"x"}`, false},
	} {
		ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z",`+tc.doc[1:]))
		if err != nil {
			t.Fatal(err)
		}
		if got := tc.x.Match(ev); got != tc.want {
			t.Errorf("%s: %v", tc.doc, got)
		}
		all := func(f *ecs.Field) ([]string, bool) { return ev.Values(f), true }
		if got := tc.x.Decide(all); got == query.True || got == query.False && tc.want {
			t.Errorf("%s is decided as %v", tc.doc, got)
		}
	}
}

// TestDecideAgreesWithMatch makes random conditions over few fields and values, and
// tells Decide some of the fields.
func TestDecideAgreesWithMatch(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	names := []string{keyword, "user.name", long, date, "list.a"}
	values := []string{"a", "b", "1", "2026-03-04T10:00:00.000Z"}
	rapid.Check(t, func(t *rapid.T) {
		x := drawExpr(t, cat, names, values, 4)
		ev := event{}
		told := map[string]bool{}
		for _, n := range names {
			ev[n] = rapid.SliceOfN(rapid.SampledFrom(values), 0, 2).Draw(t, n)
			told[n] = rapid.Bool().Draw(t, n+" known")
		}
		match := x.Match(ev)
		d := x.Decide(func(f *ecs.Field) ([]string, bool) {
			if !told[f.Name] {
				return nil, false
			}
			return ev[f.Name], true
		})
		if d == query.True && !match || d == query.False && match {
			t.Fatalf("decided as %v, but is %v", d, match)
		}
	})
}

func drawExpr(t *rapid.T, cat *ecs.Catalogue, names, values []string, depth int) query.Expr {
	several := func() []query.Expr {
		out := make([]query.Expr, rapid.IntRange(0, 3).Draw(t, "terms"))
		for i := range out {
			out[i] = drawExpr(t, cat, names, values, depth-1)
		}
		return out
	}
	kind := rapid.IntRange(0, 8).Draw(t, "kind")
	if depth == 0 {
		kind = max(kind, 4)
	}
	f := cat.Resolve(rapid.SampledFrom(names).Draw(t, "field"))
	literal := rapid.SampledFrom(append([]string{"now-1h"}, values...)).Draw(t, "literal")
	or := func(x query.Expr, err error) query.Expr {
		if err != nil {
			return query.Never(f)
		}
		return x
	}
	switch kind {
	case 0:
		return query.And(several()...)
	case 1:
		return query.Or(several()...)
	case 2:
		return query.Not(drawExpr(t, cat, names, values, depth-1))
	case 3:
		return query.Nested("list", drawExpr(t, cat, names, values, depth-1))
	case 4:
		return or(query.Compare(f, query.Less, literal))
	case 5:
		return query.Exists(f)
	case 6:
		return query.AnyField(cat, query.NewPattern("", "a"), func(f *ecs.Field) (query.Expr, error) { return query.Equal(f, literal) })
	case 7:
		return or(query.AnyOf(f, []string{literal, "a"}))
	default:
		return or(query.Equal(f, literal))
	}
}

// What is assumed and what is left agree with the whole, for every subset of fields
// that is known.
func TestAssume(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	fields := []*ecs.Field{cat.Resolve("a"), cat.Resolve("b"), cat.Resolve("c")}
	rapid.Check(t, func(t *rapid.T) {
		var draw func(depth int) query.Expr
		draw = func(depth int) query.Expr {
			kind := rapid.IntRange(0, 5).Draw(t, "kind")
			if depth == 0 || kind > 2 {
				f := rapid.SampledFrom(fields).Draw(t, "field")
				if kind == 5 {
					return query.Exists(f)
				}
				x, err := query.Equal(f, rapid.SampledFrom([]string{"1", "2"}).Draw(t, "literal"))
				if err != nil {
					t.Fatal(err)
				}
				return x
			}
			if kind == 0 {
				return query.Not(draw(depth - 1))
			}
			list := make([]query.Expr, rapid.IntRange(0, 3).Draw(t, "terms"))
			for i := range list {
				list[i] = draw(depth - 1)
			}
			if kind == 1 {
				return query.And(list...)
			}
			return query.Or(list...)
		}
		x := draw(3)
		doc, known := ecs.Document{"@timestamp": "2026-01-31T08:00:00Z"}, map[*ecs.Field]bool{}
		for _, f := range fields {
			if v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, f.Name); v != "" {
				doc[f.Name] = v
			}
			known[f] = rapid.Bool().Draw(t, "known")
		}
		ev, err := ecs.ParseJSON(cat, doc.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		left := query.Assume(x, func(f *ecs.Field) ([]string, bool) { return ev.Values(f), known[f] })
		if got, want := left.Match(ev), x.Match(ev); got != want {
			t.Fatalf("what is left says %v, the whole %v", got, want)
		}
	})
}
