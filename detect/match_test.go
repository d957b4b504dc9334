package detect_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// exists is the condition that a field has a value at all.
type exists struct{ field *ecs.Field }

func (x exists) Match(ev ecs.Event) bool { return len(ev.Values(x.field)) > 0 }

func (x exists) Decide(k query.Known) query.Truth {
	values, ok := k(x.field)
	switch {
	case !ok:
		return query.Maybe
	case len(values) > 0:
		return query.True
	default:
		return query.False
	}
}

func (x exists) Fields(yield func(*ecs.Field)) { yield(x.field) }

// words are values that an index could confuse: none and empty, with separators in
// them, longer than what is indexed.
var words = []string{"", "a", "b", "a\x00b", "\x00", "b\x00", "\x01a", "\x01", strings.Repeat("long", 100)}

func drawExpr(t *rapid.T, cat *ecs.Catalogue, depth int) query.Expr {
	field := cat.Resolve(rapid.SampledFrom([]string{"event.provider", "event.action", "user.name", "event.outcome"}).Draw(t, "field"))
	switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
	case kind == 0:
		return exists{field}
	case kind == 1 && depth > 0:
		return query.Not(drawExpr(t, cat, depth-1))
	case kind == 2 && depth > 0:
		return query.And(drawExpr(t, cat, depth-1), drawExpr(t, cat, depth-1))
	case kind == 3 && depth > 0:
		return query.Or(drawExpr(t, cat, depth-1), drawExpr(t, cat, depth-1))
	default:
		return has{field, rapid.SampledFrom(words).Draw(t, "value")}
	}
}

// The index agrees with evaluating each rule on each event.
func TestIndexAgreesWithEachRule(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	rapid.Check(t, func(rt *rapid.T) {
		var inputs []detect.Input
		for i := range rapid.IntRange(1, 6).Draw(rt, "rules") {
			r := queryRule()
			r.ID = fmt.Sprintf("r%d", i)
			inputs = append(inputs, detect.Input{Rule: r, Query: drawExpr(rt, cat, 3)})
		}
		e, err := detect.Compile(cat, inputs)
		if err != nil {
			rt.Fatal(err)
		}
		m := e.NewMatcher()
		for range rapid.IntRange(1, 20).Draw(rt, "events") {
			ev := &event{t: base, id: "a", fields: map[string][]string{}}
			for _, name := range []string{"event.provider", "event.action", "user.name", "event.outcome"} {
				ev.fields[name] = rapid.SliceOfN(rapid.SampledFrom(words), 0, 2).Draw(rt, name)
			}
			var want, got []int32
			for i, in := range inputs {
				if in.Query.Match(ev) {
					want = append(want, int32(i))
				}
			}
			if err := m.Match(ev, func(h *detect.Hit) error { got = append(got, h.Rule); return nil }); err != nil {
				rt.Fatal(err)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				rt.Fatalf("%q (-each rule +index):\n%s", ev.fields, diff)
			}
		}
	})
}

// Values are told apart whatever is in them.
func TestIndexKeysDoNotRunTogether(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	action := cat.Resolve("event.action")
	for _, tc := range []struct{ provider, first, other, second []string }{
		{first: nil, second: []string{""}},
		{first: []string{"a"}, second: []string{"a", ""}},
		{provider: []string{"\x01"}, first: []string{"a"}, other: []string{""}, second: []string{"\x01a"}},
		{provider: []string{"x"}, first: []string{"a\x00b"}, second: []string{"a", "b"}},
	} {
		e, err := detect.Compile(cat, []detect.Input{{Rule: queryRule(), Query: exact{action, tc.second}}})
		if err != nil {
			t.Fatal(err)
		}
		m := e.NewMatcher()
		hits := 0
		for _, fields := range []map[string][]string{
			{"event.provider": tc.provider, "event.action": tc.first},
			{"event.provider": tc.other, "event.action": tc.second},
		} {
			if err := m.Match(&event{t: base, fields: fields}, func(*detect.Hit) error { hits++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if hits != 1 {
			t.Errorf("%q after %q %q: %d hits, want 1", tc.second, tc.provider, tc.first, hits)
		}
	}
}

// exact is the condition that a field has just these values.
type exact struct {
	field  *ecs.Field
	values []string
}

func (x exact) Match(ev ecs.Event) bool { return slices.Equal(ev.Values(x.field), x.values) }

func (x exact) Decide(k query.Known) query.Truth {
	values, ok := k(x.field)
	switch {
	case !ok:
		return query.Maybe
	case slices.Equal(values, x.values):
		return query.True
	default:
		return query.False
	}
}

func (x exact) Fields(yield func(*ecs.Field)) { yield(x.field) }

// A flood of names neither grows the index without end nor makes it forget what is
// true.
func TestIndexIsBounded(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	e, err := detect.Compile(cat, []detect.Input{{Rule: queryRule(), Query: has{cat.Resolve("event.action"), "SendCommand"}}})
	if err != nil {
		t.Fatal(err)
	}
	m := e.NewMatcher()
	hits := 0
	count := func(*detect.Hit) error { hits++; return nil }
	for i := range 300_000 {
		for _, action := range []string{fmt.Sprintf("Action%d", i), "SendCommand"} {
			if err := m.Match(&event{t: base, fields: map[string][]string{"event.action": {action}}}, count); err != nil {
				t.Fatal(err)
			}
		}
	}
	if hits != 300_000 {
		t.Errorf("%d hits of 300,000", hits)
	}
	if n := m.Indexed(); n > 1<<18 {
		t.Errorf("the index has %d entries", n)
	}
}

func TestMatchOfNothingAllocatesNothing(t *testing.T) {
	cat := ecs.NewCatalogue()
	var inputs []detect.Input
	for i := range 50 {
		r := newTermsRule("user.name")
		r.ID = fmt.Sprintf("r%d", i)
		inputs = append(inputs, detect.Input{Rule: r, Query: query.And(
			has{cat.Resolve("event.action"), "SendCommand"}, has{cat.Resolve("event.outcome"), "success"},
		)})
	}
	e, err := detect.Compile(cat, inputs)
	if err != nil {
		t.Fatal(err)
	}
	m := e.NewMatcher()
	none := func(*detect.Hit) error { return errors.New("a hit") }
	for _, fields := range []map[string][]string{
		{"event.provider": {"ec2.amazonaws.com"}, "event.action": {"RunInstances"}, "event.outcome": {"success"}},
		{"event.provider": {"ssm.amazonaws.com"}, "event.action": {"SendCommand"}, "event.outcome": {"failure"}},
		{},
	} {
		ev := &event{t: base, id: "a", fields: fields}
		allocs := testing.AllocsPerRun(100, func() {
			if err := m.Match(ev, none); err != nil {
				t.Error(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%v: %v allocations for an event that matches nothing", fields, allocs)
		}
	}
}

// Exceptions act before any memory: what they exclude is never known. One that
// expires at the event's very time still acts.
func TestExceptions(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	in := input(newTermsRule("user.name"))
	in.Exceptions = []detect.Exception{{Expr: has{cat.Resolve("source.ip"), "192.0.2.1"}, Expire: base, Name: "scanner"}}
	e, err := detect.Compile(cat, []detect.Input{in})
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration, id, ip string) *event {
		return &event{t: base.Add(d), id: id, fields: map[string][]string{"user.name": {"ana"}, "source.ip": {ip}}}
	}
	for _, tc := range []struct {
		docs []*event
		want []string
	}{
		{[]*event{at(-time.Second, "excepted", "192.0.2.1"), at(time.Hour, "a", "192.0.2.2")}, []string{"a"}},
		{[]*event{at(0, "excepted", "192.0.2.1"), at(time.Hour, "a", "192.0.2.2")}, []string{"a"}},
		{[]*event{at(1, "expired", "192.0.2.1"), at(time.Hour, "a", "192.0.2.2")}, []string{"expired"}},
		{[]*event{at(-time.Second, "other", "192.0.2.3"), at(time.Hour, "a", "192.0.2.2")}, []string{"other"}},
	} {
		if diff := gocmp.Diff(tc.want, ids(run(t, e, tc.docs))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	forever := input(queryRule())
	forever.Exceptions = []detect.Exception{{Expr: all{}}}
	if got := run(t, compile(t, forever), []*event{at(0, "a", "192.0.2.1")}); len(got) != 0 {
		t.Errorf("an exception without end does not act: %v", describe(got))
	}
}

// The combination of a finding is found again in its event.
func TestCombination(t *testing.T) {
	t.Parallel()
	for _, r := range []*rule.Rule{newTermsRule("user.name", "source.ip"), thresholdRule(1, "user.name", "source.ip"), thresholdRule(1), queryRule()} {
		e := compile(t, input(r))
		ev := &event{t: base, id: "a", content: 1, fields: map[string][]string{
			"user.name": {"ana", "bo", "bo", ""}, "source.ip": {"1", "2", "3"},
		}}
		got := map[string]bool{}
		for _, f := range run(t, e, []*event{ev}) {
			got[strings.Join(e.Rules[0].Combination(ev, f.Group), "+")] = true
		}
		want := 9
		if len(e.Rules[0].TermFields) == 0 {
			want = 1
		}
		if len(got) != want {
			t.Errorf("%s: %d combinations, want %d: %v", r.Type, len(got), want, got)
		}
		if c := e.Rules[0].Combination(ev, ecs.ID{1}); c != nil {
			t.Errorf("%s: a foreign group has the combination %q", r.Type, c)
		}
	}
}

func TestCompileErrorsNameTheRule(t *testing.T) {
	t.Parallel()
	change := func(r *rule.Rule, f func(*rule.Rule)) *rule.Rule { f(r); return r }
	for want, r := range map[string]*rule.Rule{
		"1 to 3 fields":        newTermsRule(),
		"fields; 8 at most":    thresholdRule(1, slices.Repeat([]string{"user.name"}, 9)...),
		"at least 1":           thresholdRule(0),
		"is not before":        change(thresholdRule(1), func(r *rule.Rule) { r.From = "now" }),
		"from:":                change(thresholdRule(1), func(r *rule.Rule) { r.From = "yesterday" }),
		"to:":                  change(thresholdRule(1), func(r *rule.Rule) { r.To = "tomorrow" }),
		"eql do not run":       change(queryRule(), func(r *rule.Rule) { r.Type = rule.EQL }),
		`type "sigma"`:         change(queryRule(), func(r *rule.Rule) { r.Type = "sigma" }),
		"history_window_start": change(newTermsRule("user.name"), func(r *rule.Rule) { r.HistoryWindowStart = "now+1d" }),
	} {
		_, err := compileErr(r)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), r.ID) || !strings.Contains(err.Error(), r.Name) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
