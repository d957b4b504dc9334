package query_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

func TestRequired(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	action, user := cat.Resolve("event.action"), cat.Resolve("user.name")
	is := func(f *ecs.Field, v string) query.Expr { return must(query.Equal(f, v)) }
	ab := must(query.AnyOf(action, []string{"b", "a"}))
	for name, c := range map[string]struct {
		x     query.Expr
		texts []string
		ok    bool
	}{
		"equal":         {is(action, "a"), []string{"a"}, true},
		"other field":   {is(user, "a"), nil, false},
		"any of":        {ab, []string{"a", "b"}, true},
		"and":           {query.And(is(user, "u"), ab), []string{"a", "b"}, true},
		"and, shortest": {query.And(ab, is(action, "c")), []string{"c"}, true},
		"or":            {query.Or(is(action, "c"), ab, is(action, "a")), []string{"a", "b", "c"}, true},
		"or, open":      {query.Or(is(action, "c"), is(user, "u")), nil, false},
		"or, impossible": {
			query.Or(is(action, "c"), query.Never(user)), []string{"c"}, true,
		},
		"not":       {query.Not(is(action, "a")), nil, false},
		"never":     {query.Const(false), nil, true},
		"always":    {query.Const(true), nil, false},
		"no range":  {must(query.Compare(action, query.Less, "b")), nil, false},
		"no exists": {query.Exists(action), nil, false},
	} {
		texts, ok := query.Required(c.x, action)
		if diff := cmp.Diff(c.texts, texts); diff != "" || ok != c.ok {
			t.Errorf("%s: ok %v, want %v; %s", name, ok, c.ok, diff)
		}
	}
}

// What is required is required: an expression holds for no event without it.
func TestRequiredIsRequired(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	fields := []*ecs.Field{cat.Resolve("event.action"), cat.Resolve("user.name")}
	values := []string{"a", "b", "c"}
	var expr func(depth int) *rapid.Generator[query.Expr]
	expr = func(depth int) *rapid.Generator[query.Expr] {
		return rapid.Custom(func(t *rapid.T) query.Expr {
			f := rapid.SampledFrom(fields).Draw(t, "field")
			n := rapid.IntRange(0, 7).Draw(t, "kind")
			if depth == 0 {
				n %= 4
			}
			switch n {
			case 0:
				return must(query.Equal(f, rapid.SampledFrom(values).Draw(t, "value")))
			case 1:
				return must(query.AnyOf(f, rapid.SliceOfN(rapid.SampledFrom(values), 1, 3).Draw(t, "values")))
			case 2:
				return query.Exists(f)
			case 3:
				return query.Const(rapid.Bool().Draw(t, "constant"))
			case 4:
				return query.Not(expr(depth-1).Draw(t, "not"))
			case 5:
				return query.Or(rapid.SliceOfN(expr(depth-1), 0, 3).Draw(t, "or")...)
			default:
				return query.And(rapid.SliceOfN(expr(depth-1), 0, 3).Draw(t, "and")...)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		x := expr(3).Draw(t, "x")
		have := map[*ecs.Field][]string{}
		for _, f := range fields {
			have[f] = rapid.SliceOfN(rapid.SampledFrom(values), 0, 2).Draw(t, f.Name)
		}
		known := func(f *ecs.Field) ([]string, bool) { return have[f], true }
		for _, f := range fields {
			texts, ok := query.Required(x, f)
			if ok && x.Decide(known) == query.True && !slices.ContainsFunc(texts, func(v string) bool { return slices.Contains(have[f], v) }) {
				t.Fatalf("%s: required %q, but it holds with %q", f.Name, texts, have[f])
			}
		}
	})
}

func must(x query.Expr, err error) query.Expr {
	if err != nil {
		panic(err)
	}
	return x
}
