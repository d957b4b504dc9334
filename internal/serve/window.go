package serve

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/rule"
)

// A threshold looks at hits, and there are too many to keep all. Those that are out of
// reach of what comes are forgotten ([Engine.Expire]), and read back from the event
// store when a late hit needs them.

// narrow leaves of what is remembered of a threshold's group what its new hits can
// reach, and notes the time that they reach over.
func (g *group) narrow(reach int64) {
	g.from, g.to = minus(g.hits[0].Time, reach), plus(g.hits[len(g.hits)-1].Time, reach)
	// A finding that the span touches is looked at whole, and so may touch others.
	for moved := true; moved; {
		moved = false
		for i := range g.old {
			f := &g.old[i]
			if f.Time > g.to || f.Last < g.from {
				continue
			}
			if lo := minus(f.Time, reach); lo < g.from {
				g.from, moved = lo, true
			}
			if hi := plus(f.Last, reach); hi > g.to {
				g.to, moved = hi, true
			}
		}
	}
	g.old = slices.DeleteFunc(g.old, func(f store.Finding) bool { return f.Time > g.to || f.Last < g.from })
}

// recall reads back the hits that groups of thresholds need and that were forgotten.
func (a *applier) recall(groups []group) error {
	for len(groups) > 0 {
		n := 1
		for n < len(groups) && groups[n].index == groups[0].index {
			n++
		}
		if a.set.engine.Rules[groups[0].index].Type == rule.Threshold {
			if err := a.recallRule(groups[:n]); err != nil {
				return err
			}
		}
		groups = groups[n:]
	}
	return nil
}

func (a *applier) recallRule(groups []group) error {
	index := groups[0].index
	reach := int64(a.set.engine.Rules[index].Reach())
	forgotten, err := store.HitsForgotten(a.tx, a.set.number[index])
	if err != nil {
		return err
	}
	late := map[ecs.ID]*group{}
	var spans []span
	for i := range groups {
		g := &groups[i]
		g.narrow(reach)
		if g.from < forgotten {
			late[g.hits[0].Group] = g
			spans = append(spans, span{g.from, min(plus(g.to, 1), forgotten)})
		}
	}
	for _, s := range joined(spans) {
		if err := a.readBack(index, s, late); err != nil {
			return err
		}
	}
	return nil
}

// A span is from ≤ time < to.
type span struct{ from, to int64 }

// readTogether is how far apart spans may be to be read with one scan: however many
// groups are late, scans are bounded by the days that the store holds.
const readTogether = 24 * time.Hour

// joined puts together spans that are near each other.
func joined(spans []span) []span {
	slices.SortFunc(spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.from <= plus(out[n-1].to, int64(readTogether)) {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// readBack finds the hits of a rule for some groups among the stored events of a span.
func (a *applier) readBack(index int, s span, groups map[ecs.ID]*group) error {
	m := a.matcher(a.set)
	ch := &chunk{records: make([]store.Record, 1)}
	for stored, err := range a.e.opt.Events.Scan(a.ctx, store.Scan{
		From: time.Unix(0, s.from).UTC(), To: time.Unix(0, s.to).UTC(), Match: a.set.engine.Rules[index].Query, Copies: true,
		Damaged: func(name string, err error) {
			a.e.opt.Log.Warn("stored events cannot be read: a late event is judged without them", "name", name, "error", err)
		},
	}) {
		if err != nil {
			return err
		}
		ch.records[0], ch.hits = stored.Record, ch.hits[:0]
		if err := ch.matchOne(m, stored.Event, 0); err != nil {
			return err
		}
		for _, h := range ch.hits {
			if int(h.Rule) != index {
				continue
			}
			if g := groups[h.Group]; g != nil && h.Time >= g.from && h.Time <= g.to {
				h.Rule, h.Ref = a.set.number[index], detect.Ref{}
				g.recalled = append(g.recalled, h)
			}
		}
	}
	return nil
}

// window keeps the new hits of a threshold's group and returns all that they can reach.
func (a *applier) window(g *group) ([]detect.Hit, error) {
	for i := range g.hits {
		if err := store.PutHit(a.tx, &g.hits[i]); err != nil {
			return nil, err
		}
	}
	hits, err := store.HitsOf(a.tx, g.hits[0].Rule, g.hits[0].Group, g.from, g.to)
	if err != nil || len(g.recalled) == 0 {
		return hits, err
	}
	hits = append(hits, g.recalled...)
	slices.SortFunc(hits, func(x, y detect.Hit) int { return x.Compare(&y) })
	return slices.CompactFunc(hits, func(x, y detect.Hit) bool { return x.Compare(&y) == 0 }), nil
}

// stand makes findings of a threshold at least what they were. More hits only make
// more of a finding: one that would shrink, or be none any more, has hits of which the
// events are not stored any more, and an event that comes late must not undo it. It
// stays, and grows by what lies outside of it.
func stand(old, found []store.Finding, hits []detect.Hit) []store.Finding {
	for i := range old {
		o := &old[i]
		if slices.ContainsFunc(found, func(f store.Finding) bool {
			return f.Time <= o.Time && f.Last >= o.Last && f.Count >= o.Count && f.Distinct >= o.Distinct
		}) {
			continue
		}
		whole, least := o.Hit, o.Count
		found = slices.DeleteFunc(found, func(f store.Finding) bool {
			if f.Time > whole.Last || f.Last < whole.Time {
				return false
			}
			whole = united(whole, f.Hit)
			return true
		})
		var last *detect.Hit
		for j := range hits {
			h := &hits[j]
			if h.Time < whole.Time || h.Time > whole.Last || h.Time >= o.Time && h.Time <= o.Last {
				continue
			}
			if last == nil || last.Time != h.Time || last.ID != h.ID {
				least++
			}
			last = h
		}
		whole.Count = max(whole.Count, least)
		at, _ := slices.BinarySearchFunc(found, whole.Time, func(f store.Finding, t int64) int { return cmp.Compare(f.Time, t) })
		found = slices.Insert(found, at, store.Finding{Hit: whole})
	}
	return found
}

// united is two findings as one.
func united(x, y detect.Hit) detect.Hit {
	if cmp.Or(cmp.Compare(y.Time, x.Time), bytes.Compare(y.ID[:], x.ID[:])) < 0 {
		x, y = y, x
	}
	x.Last, x.Count, x.Distinct = max(x.Last, y.Last), max(x.Count, y.Count), max(x.Distinct, y.Distinct)
	x.Conflict = x.Conflict || y.Conflict
	if x.Principal != y.Principal {
		x.Principal = ecs.ID{}
	}
	return x
}

func minus(t, d int64) int64 {
	if t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}

func plus(t, d int64) int64 {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}
