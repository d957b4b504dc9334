package desk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/store"
)

// Times of the worker.
const (
	lookAgain = 250 * time.Millisecond // for what has become due: often before somebody is told of the alert
	tryAgain  = time.Minute            // after an investigation failed
	wantsBy   = 5 * time.Minute        // an attempt takes no longer
	// maxChoice is how many alerts that are due are looked at, to take the gravest.
	maxChoice = 200
)

// Run investigates what is due, one alert at a time, until ctx ends. What goes wrong is
// logged and tried again: Run does not end because of it. What is due stands in the
// store, so whatever was on its way when the process ended is done next time.
func (d *Desk) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for ctx.Err() == nil {
			did, err := d.step(ctx)
			if err != nil && ctx.Err() == nil {
				d.o.Log.Error("no alert is investigated", "error", err)
			}
			if err != nil || !did {
				break
			}
		}
		timer.Reset(lookAgain)
	}
}

// step investigates one alert that is due, and reports whether there was one.
func (d *Desk) step(ctx context.Context) (bool, error) {
	var list []*store.Alert
	err := d.o.DB.View(ctx, func(tx store.Tx) (err error) {
		list, _, err = store.DueAlerts(tx, d.o.Now(), maxChoice)
		return err
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	a := slices.MinFunc(list, graver)
	ctx, cancel := context.WithTimeout(ctx, wantsBy)
	defer cancel()
	_, err = d.Investigate(ctx, a.Handle, Request{Trigger: a.Triage.Why, By: "debut"})
	if err == nil {
		return true, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, nil
	}
	d.o.Log.Warn("an alert could not be investigated", "alert", a.Handle, "error", err)
	return true, d.failed(ctx, a, err)
}

// graver orders alerts by who comes first: what was never looked at, then the severest,
// then what has waited longest.
func graver(a, b *store.Alert) int {
	never := func(a *store.Alert) int { return min(a.Triage.Version, 1) }
	hidden := func(a *store.Alert) int {
		if a.Withheld || a.BuildingBlock {
			return 1
		}
		return 0
	}
	for _, c := range [...]int{
		hidden(a) - hidden(b), never(a) - never(b), alert.SeverityRank(b.Severity) - alert.SeverityRank(a.Severity), a.Triage.Due.Compare(b.Triage.Due),
	} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.Handle, b.Handle)
}

// failed notes why an alert was not investigated. What can never be is not tried again.
func (d *Desk) failed(ctx context.Context, was *store.Alert, why error) error {
	now := d.o.Now().UTC()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wantsBy)
	defer cancel()
	return d.o.DB.Update(ctx, func(tx store.Tx) error {
		a, err := store.GetAlert(tx, was.Handle)
		if err != nil || a == nil {
			return err
		}
		reason := a.Triage.Why
		a.Triage.Done, a.Triage.Error = now, why.Error()
		a.Triage.Due, a.Triage.Why = time.Time{}, ""
		if !errors.Is(why, ErrGone) && !errors.Is(why, store.ErrInvalid) && now.Sub(a.Created) < 24*time.Hour {
			a.Triage.Wants(now.Add(tryAgain), reason)
		}
		return store.PutAlert(tx, a)
	})
}

// ColdAgain makes the alerts due whose history was not stored when they were
// investigated: it has been read meanwhile.
func (d *Desk) ColdAgain(ctx context.Context) error {
	var list []string
	err := d.o.DB.View(ctx, func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Withheld: true, Blocks: true}) {
			if err != nil {
				return err
			}
			if a.Triage.Version > 0 && a.Triage.Cold {
				list = append(list, a.Handle)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := d.o.Now().UTC()
	for part := range slices.Chunk(list, wakeAtOnce) {
		if err := d.o.DB.Update(ctx, func(tx store.Tx) error {
			return wake(tx, part, func(t *store.Triage) { t.Wants(now, store.TriageLater) })
		}); err != nil {
			return err
		}
	}
	return nil
}

// wakeAtOnce is how many alerts are made due in one transaction.
const wakeAtOnce = 200

// Stats is what a desk has done since it was made.
type Stats struct {
	Done    int64 // investigations
	Kept    int64 // of them those that said something new
	Failed  int64
	Seconds float64 // that they took, together
	// Latency has how many took no longer than so many seconds.
	Latency map[float64]uint64
}

type stats struct {
	mu sync.Mutex
	s  Stats
}

// latencies are the bounds of the histogram, in seconds.
var latencies = []float64{.01, .05, .2, .5, 1, 2, 5, 20} //nolint:gochecknoglobals // a constant table

func (s *stats) done(r *Result, err error, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s.Latency == nil {
		s.s.Latency = map[float64]uint64{}
	}
	s.s.Done++
	s.s.Seconds += took.Seconds()
	for _, bound := range latencies {
		if took.Seconds() <= bound {
			s.s.Latency[bound]++
		}
	}
	switch {
	case err != nil:
		s.s.Failed++
	case r.Kept:
		s.s.Kept++
	}
}

// Stats returns what the desk has done.
func (d *Desk) Stats() Stats {
	d.stats.mu.Lock()
	defer d.stats.mu.Unlock()
	out := d.stats.s
	out.Latency = map[float64]uint64{}
	for _, bound := range latencies {
		out.Latency[bound] = d.stats.s.Latency[bound]
	}
	return out
}
