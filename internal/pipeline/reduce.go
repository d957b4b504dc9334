package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// found is a finding on its way to the result.
type found struct {
	detect.Signal
	coverage float64 // see Found
}

func byInstance(a, b *found) int { return a.CompareInstance(&b.Signal) }
func byRule(a, b *found) int     { return a.CompareTime(&b.Signal) }

// byTime is the order of the result.
func byTime(a, b *found) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Rule, b.Rule),
		bytes.Compare(a.ID[:], b.ID[:]), bytes.Compare(a.Group[:], b.Group[:]))
}

// reduce is the shuffle and reduce phase. Each step sorts what the one before gave,
// in bounded memory however much it is:
//
//	hits ─by group─▶ detector ─by suppression group─▶ suppression ─by rule and time─▶ max_signals ─by time─▶ result
//
// Nothing is held but one interval of a [detect.Limiter]; a finding that is kept
// takes its bytes on disk, and its record in a spool.
func (r *run) reduce(ctx context.Context) error {
	res := r.result
	st := &res.Stats
	r.gather(st)
	sorters := make([]*sorter[detect.Hit], len(r.workers))
	for i, w := range r.workers {
		sorters[i] = w.sorter
	}
	grouped, findings := r.findings(byInstance), r.findings(byRule)
	res.found = r.findings(byTime)
	c := &collector{res: res, grouped: grouped, findings: findings, start: r.start(st)}
	for i := range r.cfg.Engine.Rules {
		c.suppression = append(c.suppression, r.cfg.Engine.NewSuppression(int32(i), r.cfg.Catalogue))
	}
	err := c.detect(ctx, r.readAhead(), sorters)
	for _, s := range sorters {
		err = errors.Join(err, s.close())
	}
	if err == nil {
		err = c.suppress(ctx, r.readAhead())
	}
	err = errors.Join(err, grouped.close())
	if err == nil {
		err = c.limit(ctx, r.readAhead())
	}
	st.finish()
	return errors.Join(err, findings.close())
}

// gather adds up what the workers counted.
func (r *run) gather(st *Stats) {
	st.Rules = make([]RuleStats, len(r.cfg.Engine.Rules))
	cov := newCoverage()
	dups := newDuplicates(duplicateSlots)
	excess := map[detect.Overflow]int64{}
	for _, w := range r.workers {
		cov.merge(w.coverage)
		dups.merge(w.duplicates)
		st.merge(&w.stats)
		for o, n := range w.matcher.Excess() {
			if o.Event == (ecs.ID{}) {
				excess[o] += n // of many events
			} else {
				excess[o] = max(excess[o], n) // the same event may have been read twice
			}
		}
	}
	for o, n := range excess {
		st.Rules[o.Rule].Excess += n
	}
	r.result.ledger = newLedger(cov)
	st.Zones, st.MoreZones = r.result.ledger.list(), cov.more
	st.Duplicates, st.DuplicatesExact = dups.total()
}

// start returns T0 in nanoseconds: what begins before it is learned, not alerted.
func (r *run) start(st *Stats) int64 {
	t0 := int64(minTime)
	if !r.cfg.From.IsZero() {
		t0 = r.cfg.From.UnixNano()
	}
	if r.cfg.Learn > 0 && !st.First.IsZero() {
		t0 = max(t0, st.First.Add(r.cfg.Learn).UnixNano())
	}
	if t0 != minTime {
		st.Start = at(t0)
	}
	return t0
}

// A collector takes findings through the steps behind the detectors.
type collector struct {
	res         *Result
	suppression []*detect.Suppression // by rule; nil: none
	grouped     *sorter[found]        // findings that have a suppression group
	findings    *sorter[found]        // the others, and what suppression leaves
	start       int64
	loader      loader
}

// detect gives each group's hits to its detector.
func (c *collector) detect(ctx context.Context, readAhead int64, sorters []*sorter[detect.Hit]) error {
	hits, err := merged(readAhead, sorters...)
	if err != nil {
		return err
	}
	return hits.groups(ctx, (*detect.Hit).SameGroup, func(first detect.Hit, group iter.Seq[*detect.Hit]) error {
		var err error
		c.res.cfg.Engine.Rules[first.Rule].Reduce(group, func(h detect.Hit) {
			if err == nil {
				err = c.finding(&h)
			}
		})
		return err
	})
}

func (c *collector) finding(h *detect.Hit) error {
	rs := &c.res.Stats.Rules[h.Rule]
	rs.Findings++
	if h.Conflict {
		rs.Conflicts++
	}
	if h.Time < c.start {
		rs.Learned++
		return nil
	}
	s := c.suppression[h.Rule]
	if s == nil {
		return c.findings.add(&found{Signal: detect.Signal{Hit: *h}})
	}
	var ev ecs.Event
	if s.NeedsEvent() {
		var err error
		if ev, err = c.loader.load(c.res, h.Ref); err != nil {
			return err
		}
	}
	f := &found{Signal: s.Signal(h, ev)}
	if f.Instance == (ecs.ID{}) {
		return c.findings.add(f)
	}
	return c.grouped.add(f)
}

// suppress reduces the findings of each suppression group.
func (c *collector) suppress(ctx context.Context, readAhead int64) error {
	signals, err := merged(readAhead, c.grouped)
	if err != nil {
		return err
	}
	same := func(a, b *found) bool { return a.SameInstance(&b.Signal) }
	return signals.groups(ctx, same, func(first found, group iter.Seq[*found]) error {
		var err error
		c.suppression[first.Rule].Reduce(func(yield func(*detect.Signal) bool) {
			for f := range group {
				if !yield(&f.Signal) {
					return
				}
			}
		}, func(s detect.Signal) {
			c.res.Stats.Rules[s.Rule].Suppressed += s.Suppressed
			if err == nil {
				err = c.findings.add(&found{Signal: s})
			}
		})
		return err
	})
}

// limit applies each rule's max_signals and keeps what there is to tell.
func (c *collector) limit(ctx context.Context, readAhead int64) error {
	signals, err := merged(readAhead, c.findings)
	if err != nil {
		return err
	}
	same := func(a, b *found) bool { return a.Rule == b.Rule }
	return signals.groups(ctx, same, func(first found, group iter.Seq[*found]) error {
		rs := &c.res.Stats.Rules[first.Rule]
		l := c.res.cfg.Engine.NewLimiter(first.Rule, c.keep, func(capped detect.Capped) {
			rs.Capped++
			rs.Untold += capped.Untold
		})
		for f := range group {
			if err := l.Add(&f.Signal); err != nil {
				return err
			}
		}
		err := l.Flush()
		rs.Dropped = l.Dropped
		return err
	})
}

func (c *collector) keep(s detect.Signal) error {
	rs := &c.res.Stats.Rules[s.Rule]
	rs.Alerts++
	if s.Withheld {
		rs.Withheld++
	}
	f := &found{Signal: s, coverage: 1}
	if c.res.cfg.Engine.Rules[s.Rule].Folds() {
		ev, err := c.loader.load(c.res, s.Ref)
		if err != nil {
			return err
		}
		if f.coverage = c.res.coverage(s.Hit.Rule, ev); f.coverage < coldBelow {
			rs.Cold++
		}
	}
	return c.res.found.add(f)
}

// minTime and maxTime bound event times in nanoseconds.
const (
	minTime = -1 << 63
	maxTime = 1<<63 - 1
)

func at(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }
