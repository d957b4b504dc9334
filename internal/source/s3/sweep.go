package s3

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/internal/source"
)

// Run delivers until ctx ends; then it waits for what is on its way, gives back the
// messages that were not done with, and returns nil.
func (s *Source) Run(ctx context.Context, sink source.Sink) error {
	r := s.newRun(ctx, sink)
	sink.Trouble(s.o.Name, nil) // what an earlier run told is over
	if s.queue != nil {
		r.wg.Go(func() { r.readQueue(ctx) })
	}
	r.wg.Go(func() { r.retryParked(ctx) })
	r.wg.Go(func() { r.recent(ctx) })
	r.wg.Go(func() { r.deep(ctx) })
	r.wg.Wait()
	return nil
}

// recent lists today and yesterday at every interval.
func (r *run) recent(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		today := day(r.o.Now())
		pause := r.o.ListInterval
		if r.pass(ctx, "listing", today.AddDate(0, 0, -1), today, false, nil) != nil {
			failures++
			pause = min(pause, backoff(failures, 15*time.Second, 5*time.Minute))
		} else {
			failures = 0
		}
		if sleep(ctx, pause) != nil {
			return
		}
	}
}

// deep lists what is older: everything since the start date once, newest first, and
// then seven days every hour and thirty every day.
func (r *run) deep(ctx context.Context) {
	for failures := 0; ; {
		err := r.catchUp(ctx)
		if err == nil {
			break
		}
		failures++
		if sleep(ctx, backoff(failures, 15*time.Second, 5*time.Minute)) != nil {
			return
		}
	}
	for hour := 1; ; hour++ {
		if sleep(ctx, time.Hour) != nil {
			return
		}
		days := horizonHourly
		if hour%24 == 0 {
			days = horizonDaily
		}
		newest := day(r.o.Now()).AddDate(0, 0, -2)
		if err := r.pass(ctx, "history", newest.AddDate(0, 0, 3-days), newest, days == horizonDaily, nil); err != nil {
			if days == horizonDaily {
				hour-- // try again in an hour
			}
			continue
		}
		if err := r.caughtUp(ctx, newest); err != nil {
			r.log.Warn("progress of listings not kept; days are listed again after the next start", "err", err)
		}
	}
}

// progress are the days that were listed whole and dealt with.
type progress struct {
	From string `json:"from"` // both included, 2006-01-02
	To   string `json:"to"`
}

const (
	listedDays = "listed"
	dateFormat = "2006-01-02"
)

func (r *run) progress(ctx context.Context) (from, to time.Time, err error) {
	b, err := r.sink.Position(ctx, r.o.Name, listedDays)
	if err != nil || len(b) == 0 {
		return time.Time{}, time.Time{}, err
	}
	var p progress
	err = json.Unmarshal(b, &p)
	if err == nil {
		from, err = time.Parse(dateFormat, p.From)
	}
	if err == nil {
		to, err = time.Parse(dateFormat, p.To)
	}
	if err != nil { // it only saves listings
		r.log.Warn("position not understood; all days are listed again", "position", listedDays, "err", err)
		return time.Time{}, time.Time{}, nil
	}
	return from, to, nil
}

func (r *run) setProgress(ctx context.Context, from, to time.Time) error {
	b, err := json.Marshal(progress{From: from.Format(dateFormat), To: to.Format(dateFormat)})
	if err != nil {
		return err
	}
	return r.sink.SetPositions(ctx, r.o.Name, map[string][]byte{listedDays: b})
}

// caughtUp moves the end of the days listed.
func (r *run) caughtUp(ctx context.Context, to time.Time) error {
	from, before, err := r.progress(ctx)
	if err != nil || !to.After(before) {
		return err
	}
	return r.setProgress(ctx, from, to)
}

// catchUp lists what is older than yesterday, newest first: thirty days, or as far as
// the source was away, and then what no earlier run came to, down to the start date.
func (r *run) catchUp(ctx context.Context) error {
	newest := day(r.o.Now()).AddDate(0, 0, -2)
	oldest := newest.AddDate(0, 0, 3-horizonDaily)
	start := oldest
	if !r.o.Start.IsZero() {
		start = day(r.o.Start)
	}
	from, to, err := r.progress(ctx)
	if err != nil {
		r.trouble.set("history", err)
		return err
	}
	known := !from.IsZero()
	if known && to.Before(oldest) {
		oldest = to
	}
	if oldest.Before(start) {
		oldest = start
	}
	err = r.pass(ctx, "history", oldest, newest, true, func(done time.Time) error {
		if known {
			return nil // the days between are not yet all there
		}
		return r.setProgress(ctx, done, newest)
	})
	if err != nil {
		return err
	}
	if !known || oldest.Before(from) {
		from = oldest
	}
	if newest.After(to) {
		to = newest
	}
	if err := r.setProgress(ctx, from, to); err != nil {
		return err
	}
	return r.pass(ctx, "history", start, from.AddDate(0, 0, -1), true, func(done time.Time) error { return r.setProgress(ctx, done, to) })
}

// pass lists the days from one to another, both included, newest first, and waits until
// what it found is dealt with. Each day that is done is told. With ask, the sink is
// asked for every object; else those that this run has seen are passed over. Trouble is
// told as that of a part of the source.
func (r *run) pass(ctx context.Context, part string, from, to time.Time, ask bool, done func(time.Time) error) error {
	if !r.o.Start.IsZero() && from.Before(day(r.o.Start)) {
		from = day(r.o.Start)
	}
	if from.After(to) {
		return nil
	}
	err := r.listDays(ctx, from, to, ask, done)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.trouble.set(part, err)
		r.log.Warn("listing broken off; trying again", "err", err)
	default:
		r.trouble.clear(part)
	}
	return err
}

func (r *run) listDays(ctx context.Context, from, to time.Time, ask bool, done func(time.Time) error) error {
	branches, err := r.layout(ctx)
	if err != nil {
		return err
	}
	for d := to; !d.Before(from); d = d.AddDate(0, 0, -1) {
		// Digests last, so that what they find missing was not to be found.
		for _, digests := range []bool{false, true} {
			g, ctx := errgroup.WithContext(ctx)
			g.SetLimit(listers)
			for i := range branches {
				if b := &branches[i]; b.digest() == digests {
					g.Go(func() error { return r.listDay(ctx, b, d, ask) })
				}
			}
			if err := g.Wait(); err != nil {
				return err
			}
		}
		if done != nil {
			if err := done(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// listDay lists one day of a branch and brings what is new to the sink.
func (r *run) listDay(ctx context.Context, b *branch, d time.Time, ask bool) error {
	for _, prefix := range r.dayPrefixes(b, d) {
		for p, err := range r.pages(ctx, listing{prefix: prefix}) {
			if err != nil {
				return err
			}
			r.successes.Add(1)
			if _, err := r.take(ctx, p.objects, "listing", ask); err != nil {
				return err
			}
		}
	}
	return nil
}

// take brings the objects of a page to the sink, those that it does not have, and waits
// for them. It returns how many they were.
func (r *run) take(ctx context.Context, objects []info, by string, ask bool) (int, error) {
	r.stats.listed.Add(int64(len(objects)))
	var items []item
	var list []source.Expected
	for i := range objects {
		o := &objects[i]
		k, ok := r.readable(o.key)
		id := r.object(o.key, o.etag)
		if !ok || !ask && r.seen.has(id) {
			continue
		}
		it := item{key: o.key, etag: o.etag, at: o.modified, k: k, foundBy: by}
		if !k.Digest() {
			list = append(list, r.expected(it, id))
		}
		items = append(items, it)
	}
	if len(list) > 0 {
		if err := r.sink.Expect(ctx, list); err != nil {
			return 0, fmt.Errorf("note %d objects as expected: %w", len(list), err)
		}
	}
	var flights []*flight
	for _, it := range items {
		id := r.object(it.key, it.etag)
		has, err := r.sink.Has(ctx, id)
		if err != nil {
			return 0, fmt.Errorf("ask for %s: %w", r.url(it.key), err)
		}
		if has {
			r.seen.add(id)
			continue
		}
		flights = append(flights, r.fetch(it))
	}
	for _, f := range flights {
		<-f.done // what was given up is in the ledger
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return len(flights), nil
}
