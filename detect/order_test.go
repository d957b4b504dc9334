package detect_test

import (
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/rule"
)

// detectors is one rule of each kind, with histories that behave in every way.
func detectors() []*rule.Rule {
	list := []*rule.Rule{queryRule(), thresholdRule(2, "user.name"), thresholdRule(3)}
	list[2].Cardinality = []rule.Cardinality{{Field: "source.ip", Value: 2}}
	list[2].ID = "r-cardinality"
	for _, h := range []string{"now-7d", "now-1M", "now-1w/w", "2026-03-05", "2030-01-01", "now-60y"} {
		r := newTermsRule("user.name", "source.ip")
		r.ID, r.HistoryWindowStart = "r-"+h, h
		list = append(list, r)
	}
	return list
}

// The findings are a function of the set of hits: not of their order, nor of how
// often each came, nor over how many folds they were spread and how often these
// were drained, nor of whether they were folded at all.
func TestFindingsDependOnTheSetOfHits(t *testing.T) {
	t.Parallel()
	var inputs []detect.Input
	for _, r := range detectors() {
		inputs = append(inputs, input(r))
	}
	e := compile(t, inputs...)
	rapid.Check(t, func(rt *rapid.T) {
		hits := match(t, e, drawEvents(rt))
		want := describe(reduce(e, slices.Clone(hits)))

		var folded []detect.Hit
		for _, part := range split(rt, disturb(rt, hits)) {
			once := fold(t, e, part)
			if rapid.Bool().Draw(rt, "unfolded") {
				once = part
			}
			folded = append(folded, once...)
		}
		if diff := gocmp.Diff(want, describe(reduce(e, folded))); diff != "" {
			rt.Fatalf("(-hits in order +disturbed and folded):\n%s", diff)
		}
	})
}

// The same with copies that claim other times: such events are forged, and what
// they do must not depend on the order either.
func TestForgedTimesDoNotBreakOrder(t *testing.T) {
	t.Parallel()
	var inputs []detect.Input
	for _, r := range detectors() {
		inputs = append(inputs, input(r))
	}
	e := compile(t, inputs...)
	rapid.Check(t, func(rt *rapid.T) {
		hits := match(t, e, drawEvents(rt))
		for i := range hits {
			if hits[i].Content%5 == 0 { // a function of the content, as a time is
				shift := int64(hits[i].Content%3) * int64(week)
				hits[i].Time += shift
				hits[i].Last += shift
			}
		}
		want := describe(reduce(e, slices.Clone(hits)))
		var folded []detect.Hit
		for _, part := range split(rt, disturb(rt, hits)) {
			folded = append(folded, fold(t, e, part)...)
		}
		if diff := gocmp.Diff(want, describe(reduce(e, folded))); diff != "" {
			rt.Fatalf("(-hits in order +disturbed and folded):\n%s", diff)
		}
	})
}

// A hit at t changes nothing decided by hits further away than the reach, except by
// joining what touches: findings that lie wholly outside stay.
func TestReachHolds(t *testing.T) {
	t.Parallel()
	for _, r := range detectors() {
		e := compile(t, input(r))
		reach := int64(e.Rules[0].Reach())
		rapid.Check(t, func(rt *rapid.T) {
			list := drawEvents(rt)
			if len(list) == 0 {
				return
			}
			extra := *list[rapid.IntRange(0, len(list)-1).Draw(rt, "extra")]
			extra.id, extra.content = "x", 1
			before := run(t, e, list)
			after := run(t, e, append(slices.Clone(list), &extra))
			at := extra.t.UnixNano()
			for _, f := range before {
				f.Previous, f.Recurs = 0, false // what came before is told, not decided
				touched := reach == 1<<63-1 || f.Last >= at-reach && f.Time <= at+reach
				same := slices.ContainsFunc(after, func(g detect.Hit) bool {
					g.Previous, g.Recurs = 0, false
					return g == f
				})
				if !touched && !same {
					rt.Fatalf("%s: a hit at %v changed the finding %s [%d, %d], outside its reach of %v",
						r.ID, extra.t, idOf(f), f.Time, f.Last, time.Duration(reach))
				}
			}
		})
	}
}

// One event of one id in two accounts is two events; the ids say so.
func TestEqualIDsInTwoGroups(t *testing.T) {
	t.Parallel()
	e := compile(t, input(queryRule()))
	a := &event{t: base, id: "a", content: 2}
	b := &event{t: base, id: "b", content: 1}
	older := &event{t: base.Add(-time.Hour), id: "a", content: 3}
	got := run(t, e, []*event{older, a, b, a})
	if len(got) != 2 {
		t.Fatalf("%d findings of two events, want 2: %v", len(got), describe(got))
	}
	for _, f := range got {
		if idOf(f) == "a" && (f.Content != 2 || !f.Conflict || f.Time != base.UnixNano()) {
			t.Errorf("of unequal copies not the one with the smallest content speaks: %v", describe(got))
		}
		if idOf(f) == "b" && f.Conflict {
			t.Errorf("an event without copies is in conflict: %v", describe(got))
		}
	}
}
