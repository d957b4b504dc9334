package serve

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// learnsBy is how many events are folded at once.
const learnsBy = 4096

// relearn folds the stored events that the rules of a set may still need.
func (e *Engine) relearn(ctx context.Context, set *ruleset, now time.Time, between func(func() error) error) error {
	since := map[int]time.Time{}
	for i, r := range set.engine.Rules {
		if r.Type == rule.Threshold {
			if err := e.relearnThreshold(ctx, set, i, now, between); err != nil {
				return err
			}
			continue
		}
		// What was known at the beginning of the bucket was known to all that it suppresses.
		since[i] = r.History(set.bucketBegin(i, now))
	}
	return e.learn(ctx, set, since, time.Time{}, between)
}

// bucketBegin is when the time began over which a rule suppresses now; now if it does not
// suppress.
func (s *ruleset) bucketBegin(index int, now time.Time) time.Time {
	sup := s.suppression[index]
	if sup == nil {
		return now
	}
	return time.Unix(0, floorDiv(now.UnixNano(), sup.Length())*sup.Length()).UTC()
}

// adoptsFor reports whether a finding looks for the alert that another version of its
// rule has made. Of a new-terms rule that suppresses only what begins in the bucket of
// time in which the version takes over does: history is read back far enough for that,
// and what is earlier may seem new and is not, so it must not count as suppressed.
func (s *ruleset) adoptsFor(index int, f *store.Finding) bool {
	sup := s.suppression[index]
	if !s.adopts || sup == nil || !s.engine.Rules[index].Folds() {
		return s.adopts
	}
	return floorDiv(f.Time, sup.Length()) >= floorDiv(s.start[index], sup.Length())
}

// relearnThreshold folds what a threshold may still need: what its windows reach, and,
// of a finding that may still grow, all from its beginning, however long ago that was:
// by that it finds its alert.
func (e *Engine) relearnThreshold(ctx context.Context, set *ruleset, index int, now time.Time, between func(func() error) error) error {
	reach := set.engine.Rules[index].Reach()
	over := now.Add(-reach)
	if begin := set.bucketBegin(index, now); begin.Before(over) {
		over = begin
	}
	from, to := over.Add(-reach), time.Time{}
	for step := 2 * reach; ; step *= 2 {
		if err := e.learn(ctx, set, map[int]time.Time{index: from}, to, between); err != nil {
			return err
		}
		more, err := e.beginsBefore(ctx, set.number[index], from.Add(reach), over)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		from, to = from.Add(-step), from
	}
	return between(func() error {
		return e.opt.DB.Update(ctx, func(tx store.Tx) error { // what is before was not read
			return store.PutHitsForgotten(tx, set.number[index], from.UnixNano())
		})
	})
}

// beginsBefore reports whether a finding of a version of a rule begins before a time and
// is not over.
func (e *Engine) beginsBefore(ctx context.Context, number int32, begin, over time.Time) (found bool, err error) {
	err = e.opt.DB.View(ctx, func(tx store.Tx) error {
		for f, err := range store.AllFindings(tx, number) {
			if err != nil {
				return err
			}
			if f.Time < begin.UnixNano() && f.Last >= over.UnixNano() {
				found = true
				return nil
			}
		}
		return nil
	})
	return found, err
}

// learn folds the stored events that some rules of a set match, each from its time
// since on, to a time; zero is no end.
func (e *Engine) learn(ctx context.Context, set *ruleset, since map[int]time.Time, to time.Time, between func(func() error) error) error {
	if len(since) == 0 {
		return nil
	}
	from := slices.MinFunc(slices.Collect(maps.Values(since)), time.Time.Compare)
	var either []query.Expr
	for i := range since {
		either = append(either, set.engine.Rules[i].Query)
	}
	m := set.engine.NewMatcher()
	ch := &chunk{set: set}
	fold := func() error {
		ch.meta.Ingested = e.opt.Now().UTC()
		err := between(func() error { return e.committer.apply(ctx, set, []*chunk{ch}, work{}) })
		ch = &chunk{set: set}
		return err
	}
	for s, err := range e.opt.Events.Scan(ctx, store.Scan{
		From: from, To: to, Match: query.Or(either...), Copies: true,
		Damaged: func(name string, err error) {
			e.opt.Log.Warn("stored events cannot be read: memory is rebuilt without them", "name", name, "error", err)
		},
	}) {
		if err != nil {
			return err
		}
		r, had := s.Record, len(ch.hits)
		r.Raw = ch.keep(r.Raw)
		ch.records = append(ch.records, r)
		if err := ch.matchOne(m, s.Event, len(ch.records)-1); err != nil {
			return err
		}
		wanted := slices.DeleteFunc(ch.hits[had:], func(h detect.Hit) bool {
			from, ok := since[int(h.Rule)]
			return !ok || h.Time < from.UnixNano()
		})
		ch.hits = ch.hits[:had+len(wanted)]
		if len(ch.records) >= e.learnsBy || ch.size >= chunkBytes {
			if err := fold(); err != nil {
				return err
			}
		}
	}
	return fold()
}
