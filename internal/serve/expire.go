package serve

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/rule"
)

const maxTime = 1<<63 - 1

// How much longer than they reach hits are kept for late ones: at least, and at most
// while such come. What comes later reads them back from the event store.
const (
	keepHits     = 24 * time.Hour
	keepHitsLate = 30 * 24 * time.Hour
)

// Expire forgets what no detector needs at hand any more: hits out of reach of what has
// come in the last day, findings older than keep (0: none), and the memory of versions
// of rules that are in use no more. Hits that a late event needs all the same are read back
// from stored events, so it changes no alert. It works in small transactions beside the
// commits.
func (e *Engine) Expire(ctx context.Context, keep time.Duration) error {
	gone, err := e.unused(ctx)
	if err != nil {
		return err
	}
	for _, number := range gone {
		if err := e.forgetVersion(ctx, number); err != nil {
			return err
		}
	}
	set := e.rules.Load()
	var rows memoryRows
	for i, r := range set.engine.Rules {
		f := forgetter{e: e, number: set.number[i], notes: true, suppression: set.suppression[i], single: r.Reach() == 0}
		hits, findings := int64(minTime), int64(minTime)
		if watermark := e.watermark.Load(); watermark != 0 {
			hits = e.hitHorizon(watermark, int64(r.Reach()))
			if keep > 0 {
				findings = minus(minus(watermark, int64(keep)), int64(r.Reach()))
			}
		}
		if r.Type == rule.Threshold {
			if err := f.hitsBefore(ctx, hits); err != nil {
				return err
			}
		}
		if err := f.findingsBefore(ctx, findings); err != nil {
			return err
		}
		rows.findings += f.kept.findings
		rows.hits += f.kept.hits
	}
	e.stats.rows.Store(&rows)
	return nil
}

// memoryRows counts what is remembered.
type memoryRows struct{ findings, hits int64 }

// unused returns the numbers of versions of rules that remember something and are not in
// use: they were retired, or a rebuild was broken off.
func (e *Engine) unused(ctx context.Context) ([]int32, error) {
	var gone []int32
	err := e.opt.DB.View(ctx, func(tx store.Tx) error {
		used := map[int32]bool{}
		for k, err := range store.RuleVersions(tx, "") {
			if err != nil {
				return err
			}
			used[k.Number] = !k.Retired
		}
		numbers, err := store.MemoryOf(tx)
		for _, n := range numbers {
			if !used[n] {
				gone = append(gone, n)
			}
		}
		return err
	})
	return gone, err
}

// hitHorizon is the time before which hits are not kept. While a backlog is read they
// are kept for all of it: reading them back again and again would take longer.
func (e *Engine) hitHorizon(watermark, reach int64) int64 {
	out := minus(minus(watermark, 2*reach), int64(keepHits))
	late := minus(e.late.lowest(e.opt.Now()), 2*reach)
	return max(min(out, late), minus(out, int64(keepHitsLate)))
}

func (e *Engine) forgetVersion(ctx context.Context, number int32) error {
	f := forgetter{e: e, number: number}
	if err := f.hitsBefore(ctx, maxTime); err != nil {
		return err
	}
	if err := f.findingsBefore(ctx, maxTime); err != nil {
		return err
	}
	return e.opt.DB.Update(ctx, func(tx store.Tx) error { return store.PutHitsForgotten(tx, number, minTime) })
}

// lateness is the earliest event that came in the last day, or two.
type lateness struct {
	mu             sync.Mutex
	day            int64 // since 1970, of arrival
	today, dayGone int64
}

// came notes that an event of a time came.
func (l *lateness) came(now time.Time, t int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	l.today = min(l.today, t)
}

func (l *lateness) lowest(now time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	return min(l.today, l.dayGone)
}

func (l *lateness) turn(now time.Time) {
	day := floorDiv(now.UnixNano(), int64(24*time.Hour))
	if day == l.day {
		return
	}
	l.dayGone = maxTime
	if day == l.day+1 {
		l.dayGone = l.today
	}
	l.day, l.today = day, maxTime
}

// A forgetter deletes of a version of a rule, a thousand rows at a time.
type forgetter struct {
	e           *Engine
	number      int32
	notes       bool                // up to where hits were forgotten
	suppression *detect.Suppression // of the rule; may be nil
	single      bool                // findings are single events
	units       map[unitID]bool     // whether they are still needed, of some
	kept        memoryRows
}

// Bounds of what a forgetter holds in memory.
const (
	forgetAtOnce = 1000
	forgetUnits  = 10_000
)

// hitsBefore forgets hits before a time, and notes in the same transaction that they
// are not there.
func (f *forgetter) hitsBefore(ctx context.Context, before int64) error {
	var hits []detect.Hit
	drop := func() error {
		if len(hits) == 0 {
			return nil
		}
		err := f.e.opt.DB.Update(ctx, func(tx store.Tx) error {
			forgotten, err := store.HitsForgotten(tx, f.number)
			if err != nil {
				return err
			}
			for i := range hits {
				if err := store.DeleteHit(tx, &hits[i]); err != nil {
					return err
				}
				forgotten = max(forgotten, hits[i].Time+1)
			}
			if !f.notes {
				return nil
			}
			return store.PutHitsForgotten(tx, f.number, forgotten)
		})
		hits = hits[:0]
		return err
	}
	return f.e.opt.DB.View(ctx, func(tx store.Tx) error {
		for h, err := range store.AllHits(tx, f.number) {
			if err != nil {
				return err
			}
			if h.Time >= before {
				f.kept.hits++
				continue
			}
			if hits = append(hits, h); len(hits) == forgetAtOnce {
				if err := drop(); err != nil {
					return err
				}
			}
		}
		return drop()
	})
}

// findingsBefore forgets findings that ended before a time.
func (f *forgetter) findingsBefore(ctx context.Context, before int64) error {
	var findings []store.Finding
	drop := func() error {
		if len(findings) == 0 {
			return nil
		}
		err := f.e.opt.DB.Update(ctx, func(tx store.Tx) error {
			for i := range findings {
				if err := store.DeleteFinding(tx, &findings[i]); err != nil {
					return err
				}
			}
			return nil
		})
		findings = findings[:0]
		return err
	}
	return f.e.opt.DB.View(ctx, func(tx store.Tx) error {
		for x, err := range store.AllFindings(tx, f.number) {
			if err != nil {
				return err
			}
			needed := x.Last >= before
			if !needed {
				if needed, err = f.speaks(tx, x, before); err != nil {
					return err
				}
			}
			if needed {
				f.kept.findings++
				continue
			}
			if findings = append(findings, *x); len(findings) == forgetAtOnce {
				if err := drop(); err != nil {
					return err
				}
			}
		}
		return drop()
	})
}

// speaks reports whether a finding may speak for one that is not forgotten: those of a
// suppression group in one bucket of time go together, or the rest would be alerted on
// again.
func (f *forgetter) speaks(tx store.Tx, x *store.Finding, before int64) (bool, error) {
	if f.suppression == nil || x.Instance == (ecs.ID{}) {
		return false, nil
	}
	length := f.suppression.Length()
	id := unitID{instance: x.Instance, bucket: floorDiv(x.Time, length)}
	from := id.bucket * length
	if f.single { // each ends when it begins
		return plus(from, length) > before, nil
	}
	if speaks, known := f.units[id]; known {
		return speaks, nil
	}
	list, err := store.FindingsOfInstance(tx, f.number, x.Instance, from, plus(from, length))
	if err != nil {
		return false, err
	}
	speaks := slices.ContainsFunc(list, func(o store.Finding) bool { return o.Last >= before })
	if f.units == nil || len(f.units) >= forgetUnits {
		f.units = map[unitID]bool{}
	}
	f.units[id] = speaks
	return speaks, nil
}
