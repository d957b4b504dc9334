package detect_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/rule"
)

// events draws a few events of a few users, close enough to windows of ten minutes
// and seven days to sit on both sides of them.
func events(t *rapid.T) []*event {
	step := rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Minute, 10 * time.Minute, 25 * time.Hour, 84 * time.Hour, 7 * 24 * time.Hour})
	at := base
	var list []*event
	for i := range rapid.IntRange(0, 40).Draw(t, "n") {
		at = at.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "steps")) * step.Draw(t, "step"))
		list = append(list, &event{t: at, id: fmt.Sprintf("e%03d", i), fields: map[string][]string{
			"user.name": rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ana", "bo", "cy"}), 0, 2, rapid.ID).Draw(t, "users"),
			"source.ip": {rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}).Draw(t, "ip")},
		}})
	}
	return list
}

// disturb shuffles the events and doubles some.
func disturb(t *rapid.T, list []*event) []*event {
	out := rapid.Permutation(list).Draw(t, "order")
	for _, e := range list {
		if rapid.Bool().Draw(t, "twice") {
			out = append(out, e)
		}
	}
	return out
}

// naiveNewTerms is the definition: a hit is known if its combination was hit
// earlier, at most seven days ago; the smaller id breaks ties.
func naiveNewTerms(list []*event, fields ...string) (want []string) {
	for _, e := range list {
		for _, term := range combinations(e, fields) {
			known := slices.ContainsFunc(list, func(o *event) bool {
				earlier := o.t.Before(e.t) || o.t.Equal(e.t) && o.id < e.id
				return earlier && !o.t.Before(e.t.Add(-7*24*time.Hour)) && slices.Contains(combinations(o, fields), term)
			})
			if !known {
				want = append(want, e.id+term)
			}
		}
	}
	slices.Sort(want)
	return want
}

func TestNewTermsIsItsDefinition(t *testing.T) {
	t.Parallel()
	e := compile(t, input(newTermsRule("user.name", "source.ip")))
	rapid.Check(t, func(rt *rapid.T) {
		list := events(rt)
		byID := map[string]*event{}
		for _, ev := range list {
			byID[ev.id] = ev
		}
		var got []string
		for _, f := range run(t, e, rapid.IntRange(1, 4).Draw(rt, "folds"), disturb(rt, list)) {
			term := ""
			for _, v := range e.Rules[0].Combination(byID[idOf(f)], f.Group) {
				term += "\x1f" + v
			}
			got = append(got, idOf(f)+term)
		}
		slices.Sort(got)
		if diff := gocmp.Diff(naiveNewTerms(list, "user.name", "source.ip"), got); diff != "" {
			rt.Fatalf("(-definition +detector):\n%s", diff)
		}
	})
}

// naiveThreshold tries every span that begins at an event. It returns, for each
// alert, the events in it.
func naiveThreshold(list []*event, user string, n, distinct int, w time.Duration) (alerts [][]string) {
	var mine []*event
	for _, e := range list {
		if slices.Contains(e.fields["user.name"], user) {
			mine = append(mine, e)
		}
	}
	slices.SortFunc(mine, func(a, b *event) int { return cmp.Or(a.t.Compare(b.t), cmp.Compare(a.id, b.id)) })
	var sets [][]string
	for i := range mine {
		var ids []string
		ips := map[string]bool{}
		for _, e := range mine[i:] {
			if e.t.Sub(mine[i].t) <= w {
				ids = append(ids, e.id)
				ips[e.fields["source.ip"][0]] = true
			}
		}
		if len(ids) >= n && len(ips) >= distinct {
			sets = append(sets, ids)
		}
	}
	// Windows that share an event are one alert.
	for _, s := range sets {
		if k := len(alerts) - 1; k >= 0 && slices.ContainsFunc(s, func(id string) bool { return slices.Contains(alerts[k], id) }) {
			alerts[k] = append(alerts[k], s...)
			slices.Sort(alerts[k])
			alerts[k] = slices.Compact(alerts[k])
			continue
		}
		alerts = append(alerts, s)
	}
	return alerts
}

func TestThresholdIsItsDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(rt, "value")
		distinct := rapid.IntRange(0, 3).Draw(rt, "distinct")
		r := thresholdRule(int64(n), "user.name")
		if distinct > 0 {
			r.Cardinality = []rule.Cardinality{{Field: "source.ip", Value: int64(distinct)}}
		}
		e := compile(t, input(r))
		list := events(rt)
		var want []string
		for _, user := range []string{"ana", "bo", "cy"} {
			for _, ids := range naiveThreshold(list, user, n, distinct, 10*time.Minute) {
				want = append(want, fmt.Sprintf("%s %s %d", ids[0], user, len(ids)))
			}
		}
		var got []string
		byID := map[string]*event{}
		for _, ev := range list {
			byID[ev.id] = ev
		}
		for _, f := range run(t, e, 1, disturb(rt, list)) {
			user := e.Rules[0].Combination(byID[idOf(f)], f.Group)
			got = append(got, fmt.Sprintf("%s %s %d", idOf(f), user[0], f.Count))
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-definition +detector):\n%s", diff)
		}
	})
}

// A hit at t changes nothing decided by hits further away than the reach, except by
// joining what touches: findings that lie wholly outside, and whose chain does not
// come within the reach, stay.
func TestReachHolds(t *testing.T) {
	t.Parallel()
	for _, r := range []*rule.Rule{newTermsRule("user.name"), thresholdRule(2, "user.name"), queryRule()} {
		e := compile(t, input(r))
		reach := e.Rules[0].Reach()
		rapid.Check(t, func(rt *rapid.T) {
			list := events(rt)
			if len(list) == 0 {
				return
			}
			extra := *list[rapid.IntRange(0, len(list)-1).Draw(rt, "extra")]
			extra.id = "x"
			before := run(t, e, 1, list)
			after := run(t, e, 1, append(slices.Clone(list), &extra))
			at := extra.t.UnixNano()
			for _, f := range before {
				touched := f.Last >= at-int64(reach) && f.Time <= at+int64(reach)
				same := slices.ContainsFunc(after, func(g detect.Hit) bool {
					return g.ID == f.ID && g.Group == f.Group && g.Time == f.Time && g.Last == f.Last && g.Count == f.Count
				})
				if !touched && !same {
					rt.Fatalf("%s: a hit at %v changed the finding %s [%d, %d], outside its reach of %v",
						r.Type, extra.t, idOf(f), f.Time, f.Last, reach)
				}
			}
		})
	}
}
