package detect

import (
	"fmt"
	"iter"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// maxCombinations bounds the cross product of one event's array values. What is
// over it is counted, see [Matcher.Excess].
const maxCombinations = 10_000

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
	d.window = fixedWindow(d.history)
	return d, nil
}

// fixedWindow returns now − math.At(now) if that is the same at a few awkward
// times, and 0 if the window depends on the calendar or is anchored.
func fixedWindow(m query.DateMath) time.Duration {
	var window time.Duration
	for i, at := range []time.Time{
		time.Date(2024, 3, 31, 23, 59, 59, 999_000_000, time.UTC),
		time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2025, 7, 14, 13, 7, 5, 1_000_000, time.UTC),
		time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC),
	} {
		w := at.Sub(m.At(at))
		if i > 0 && w != window {
			return 0
		}
		window = w
	}
	return max(window, 0)
}

// since returns the earliest time at which an event still makes one at t known.
func (d *newTerms) since(t int64) int64 {
	if d.window > 0 {
		return t - int64(d.window)
	}
	return d.history.At(time.Unix(0, t).UTC()).UnixNano()
}

func (d *newTerms) reach() time.Duration {
	if d.window > 0 {
		return d.window
	}
	now := time.Date(2025, 3, 31, 23, 59, 59, 0, time.UTC)
	return now.Sub(d.history.At(now))
}

func (d *newTerms) groups(seed groupSeed, ev ecs.Event, dst []Group) ([]Group, int) {
	return crossProduct(seed, ev, d.fields, dst)
}

// reduce joins episodes that are in reach of each other. Its input may be single
// hits or folded ones, sorted by first time.
func (d *newTerms) reduce(hits iter.Seq[*Hit], yield func(Hit)) (conflicts int64) {
	var open Hit
	started := false
	previous := int64(0)
	for h := range hits {
		if started && open.Last >= d.since(h.Time) {
			if h.ID == open.ID && h.Time == open.Time && h.Content != open.Content {
				conflicts++ // copies of one event differ; the smallest hash, which sorts first, speaks
			}
			open.Last = max(open.Last, h.Last)
			continue
		}
		if started {
			previous = open.Last
			yield(open)
		}
		open, started = *h, true
		open.Previous = previous
	}
	if started {
		yield(open)
	}
	return conflicts
}

// A Fold keeps the episodes of one worker's new-terms hits. The zero Fold is not
// usable; see [Engine.NewFold]. It belongs to one goroutine.
type Fold struct {
	engine   *Engine
	index    map[ecs.ID]int32 // group → its earliest episode in episodes
	episodes []episode
	free     int32 // head of the list of unused episodes; -1: none

	// Conflicts counts events of which unequal copies were met.
	Conflicts int64
}

type episode struct {
	hit  Hit
	next int32 // the group's next episode in time; -1: none
}

// NewFold returns an empty Fold.
func (e *Engine) NewFold() *Fold {
	return &Fold{engine: e, index: make(map[ecs.ID]int32), free: -1}
}

// Len returns the number of episodes kept. One takes about 200 bytes.
func (f *Fold) Len() int { return len(f.episodes) }

// A Keeper keeps the record of the event that is being folded.
type Keeper interface {
	// Content returns a hash of the record, stable across runs and never 0.
	Content() uint64
	// Keep stores the record, or finds that it is stored already.
	Keep() (Ref, error)
}

// Add folds a hit of a new-terms rule; h.Ref and h.Content are not looked at. The
// record is kept only if h becomes the first event of an episode.
func (f *Fold) Add(h *Hit, k Keeper) error {
	d := f.engine.Rules[h.Rule].detector.(*newTerms) //nolint:errcheck,forcetypeassert // only new-terms rules fold
	head, ok := f.index[h.Group]
	if !ok {
		at, err := f.insert(h, -1, k)
		f.index[h.Group] = at
		return err
	}
	// Nearly always the hit lies inside or just behind the only episode.
	before, at := int32(-1), head
	for at >= 0 && f.episodes[at].hit.Last < d.since(h.Time) {
		before, at = at, f.episodes[at].next
	}
	// at is the first episode that can contain, touch or follow the hit.
	if at < 0 || h.Last < d.since(f.episodes[at].hit.Time) {
		at, err := f.insert(h, at, k)
		f.link(h.Group, before, at)
		return err
	}
	ep := &f.episodes[at].hit
	if h.Time < ep.Time || h.Time == ep.Time && compareID(h.ID, ep.ID) <= 0 {
		if err := f.first(h, ep, k); err != nil {
			return err
		}
	}
	ep.Last = max(ep.Last, h.Last)
	// The hit may have closed the gap to the episodes behind.
	for next := f.episodes[at].next; next >= 0; next = f.episodes[at].next {
		n := &f.episodes[next]
		if ep.Last < d.since(n.hit.Time) {
			break
		}
		ep.Last = max(ep.Last, n.hit.Last)
		f.episodes[at].next = n.next
		n.next, f.free = f.free, next
	}
	return nil
}

// first makes h the first event of ep, unless it is a copy that does not speak.
func (f *Fold) first(h, ep *Hit, k Keeper) error {
	content := k.Content()
	if h.Time == ep.Time && h.ID == ep.ID {
		if content == ep.Content {
			return nil
		}
		f.Conflicts++
		if content > ep.Content {
			return nil
		}
	}
	ref, err := k.Keep()
	if err != nil {
		return err
	}
	last := max(ep.Last, h.Last)
	*ep = *h
	ep.Last, ep.Content, ep.Ref = last, content, ref
	return nil
}

func (f *Fold) insert(h *Hit, next int32, k Keeper) (int32, error) {
	n := *h
	n.Content = k.Content()
	var err error
	n.Ref, err = k.Keep()
	return f.alloc(n, next), err
}

func (f *Fold) link(group ecs.ID, before, at int32) {
	if before < 0 {
		f.index[group] = at
		return
	}
	f.episodes[before].next = at
}

func (f *Fold) alloc(h Hit, next int32) int32 {
	if at := f.free; at >= 0 {
		f.free = f.episodes[at].next
		f.episodes[at] = episode{h, next}
		return at
	}
	f.episodes = append(f.episodes, episode{h, next})
	return int32(len(f.episodes) - 1) //nolint:gosec // bounded by memory
}

// Drain yields every episode, in no order, and empties the Fold.
func (f *Fold) Drain() iter.Seq[*Hit] {
	return func(yield func(*Hit) bool) {
		for _, at := range f.index {
			for ; at >= 0; at = f.episodes[at].next {
				if !yield(&f.episodes[at].hit) {
					return
				}
			}
		}
		clear(f.index)
		f.episodes, f.free = f.episodes[:0], -1
	}
}
