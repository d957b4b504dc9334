package detect

import (
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// newTerms finds the first time. Hits of one combination whose gap is within the
// history window form an episode; each episode is one finding, with its first
// event. A hit is "known" exactly if it is not the first of an episode.
//
// Joining episodes is associative, commutative and idempotent, so hits can be
// folded anywhere, in any order.
type newTerms struct {
	fields  []*ecs.Field
	history query.DateMath
	// window is the history's length where it is the same at all times (now-7d),
	// else 0.
	window time.Duration
	// calendar: the history moves by months or years.
	calendar bool
	longest  time.Duration
}

func newNewTerms(r *rule.Rule, cat *ecs.Catalogue) (*newTerms, error) {
	if n := len(r.NewTermsFields); n < 1 || n > 3 {
		return nil, fmt.Errorf("new_terms needs 1 to 3 fields, not %d", n)
	}
	d := &newTerms{fields: resolveAll(cat, r.NewTermsFields)}
	var err error
	if d.history, err = query.ParseDateMath(r.HistoryWindowStart); err != nil {
		return nil, fmt.Errorf("history_window_start: %w", err)
	}
	if !d.history.Relative() {
		d.longest = math.MaxInt64 // a fixed start: the history grows for ever
		return d, nil
	}
	d.calendar = strings.ContainsAny(r.HistoryWindowStart, "My")
	shortest, longest := d.lengths(97)
	if shortest == longest {
		d.window, d.longest = longest, longest
	} else {
		_, longest = d.lengths(1)
		d.longest = longest + 24*time.Hour // between the ends of a day it may be longer
	}
	if longest <= 0 {
		return nil, fmt.Errorf("history_window_start %q does not lie before now", r.HistoryWindowStart)
	}
	return d, nil
}

// lengths measures the window at the first and the last instant of days step apart
// within four years: those in which the calendar and rounding do what they can.
func (d *newTerms) lengths(step int) (shortest, longest time.Duration) {
	shortest = math.MaxInt64
	for day := time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC); day.Year() < 2028; day = day.AddDate(0, 0, step) {
		for _, at := range []time.Time{day, day.AddDate(0, 0, 1).Add(-1)} {
			length := at.Sub(d.start(at))
			shortest, longest = min(shortest, length), max(longest, length)
		}
	}
	return shortest, longest
}

// start evaluates the history. Months are of unequal length: a month before 29
// March is 28 February, and so is a month before the 30th, so the start would jump
// back at midnight and something could be known on the 30th that was new on the
// 29th. Taken from the beginning of the day it never moves back, and an episode
// stays one whatever hits come between.
func (d *newTerms) start(t time.Time) time.Time {
	if d.calendar {
		t = t.Truncate(24 * time.Hour)
	}
	return d.history.At(t)
}

// since returns the earliest time at which an event still makes one at t known. It
// never falls when t grows, and is never after t.
func (d *newTerms) since(t int64) int64 {
	if d.window > 0 {
		return back(t, int64(d.window))
	}
	return min(nanos(d.start(time.Unix(0, t).UTC())), t)
}

// nanos is t.UnixNano for any t: what 64 bits cannot say is the end of time.
func nanos(t time.Time) int64 {
	switch {
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func (d *newTerms) reach() time.Duration { return d.longest }

func (d *newTerms) groups(seed groupSeed, ev ecs.Event, dst []Group) ([]Group, int) {
	return crossProduct(seed, ev, d.fields, dst)
}

// reduce joins episodes that are in reach of each other. Its input may be single
// hits or folded ones, sorted by first time.
func (d *newTerms) reduce(hits iter.Seq[*Hit], yield func(Hit)) {
	var open Hit
	started := false
	for h := range hits {
		switch {
		case !started:
			open, started = *h, true
		case open.Last >= d.since(h.Time):
			if h.copies(&open) { // the smallest content, which comes first, speaks
				open.Conflict = open.Conflict || h.Conflict || h.Content != open.Content
			}
			open.Last = max(open.Last, h.Last)
		default:
			previous := open.Last
			yield(open)
			open = *h
			open.Recurs, open.Previous = true, previous
		}
	}
	if started {
		yield(open)
	}
}
