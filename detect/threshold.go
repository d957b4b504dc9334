package detect

import (
	"fmt"
	"hash/fnv"
	"iter"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// threshold finds too many. A window is any span of at most W (the rule's from to
// to) with at least N distinct events of the group, and enough distinct values of
// the cardinality field. Windows that share an event are one finding, so nothing is
// counted for two findings.
type threshold struct {
	fields   []*ecs.Field
	distinct *ecs.Field // nil: no cardinality
	window   int64      // nanoseconds
	events   int64
	values   int64
}

func newThreshold(r *rule.Rule, cat *ecs.Catalogue) (*threshold, error) {
	if len(r.ThresholdFields) > 8 {
		return nil, fmt.Errorf("threshold has %d fields; 8 at most", len(r.ThresholdFields))
	}
	if r.ThresholdValue < 1 {
		return nil, fmt.Errorf("threshold.value must be at least 1, not %d", r.ThresholdValue)
	}
	d := &threshold{fields: resolveAll(cat, r.ThresholdFields), events: r.ThresholdValue}
	if len(r.Cardinality) > 0 {
		d.distinct = cat.Resolve(r.Cardinality[0].Field)
		d.values = r.Cardinality[0].Value
	}
	w, err := Window(r)
	if err != nil {
		return nil, err
	}
	d.window = int64(w)
	return d, nil
}

// Window returns the length of the rule's from..to.
func Window(r *rule.Rule) (time.Duration, error) {
	from, err := query.ParseDateMath(r.From)
	if err != nil {
		return 0, fmt.Errorf("from: %w", err)
	}
	to, err := query.ParseDateMath(r.To)
	if err != nil {
		return 0, fmt.Errorf("to: %w", err)
	}
	now := time.Date(2025, 7, 14, 12, 0, 0, 0, time.UTC)
	w := to.At(now).Sub(from.At(now))
	if w <= 0 {
		return 0, fmt.Errorf("from %q is not before to %q", r.From, r.To)
	}
	return w, nil
}

func (d *threshold) reach() time.Duration { return time.Duration(d.window) }

func (d *threshold) groups(seed groupSeed, ev ecs.Event, dst []Group) (groups []Group, excess int) {
	start := len(dst)
	dst, excess = crossProduct(seed, ev, d.fields, dst)
	if d.distinct == nil {
		return dst, excess
	}
	values := ev.Values(d.distinct)
	plain := dst[start:]
	for n, v := range values {
		if n == 0 {
			for i := range plain {
				plain[i].Value = hashText(v)
			}
			continue
		}
		for _, g := range plain {
			dst = append(dst, Group{g.Key, hashText(v)})
		}
		if len(dst)-start > maxCombinations {
			return dst, excess + (len(values)-n-1)*len(plain)
		}
	}
	return dst, excess
}

// hashText returns a hash of s that is the same in every run and never 0.
func hashText(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return max(h.Sum64(), 1)
}

// reduce slides a window that ends at each hit in turn. The widest window ending
// there holds every narrower one, so looking at it is enough.
func (d *threshold) reduce(hits iter.Seq[*Hit], yield func(Hit)) (conflicts int64) {
	w := slidingWindow{ids: map[ecs.ID]int{}, values: map[uint64]int{}}
	var found finding
	var last Hit
	started := false
	for h := range hits {
		if started && h.Time == last.Time && h.ID == last.ID {
			if h.Value == last.Value && h.Content == last.Content {
				continue // the same event again
			}
			if h.Content != last.Content {
				conflicts++
				continue // the smallest content, which came first, speaks
			}
		}
		w.push(*h)
		last, started = *h, true
		w.expire(h.Time - d.window)
		if int64(len(w.ids)) < d.events || d.distinct != nil && int64(len(w.values)) < d.values {
			continue
		}
		found.grow(&w, yield)
	}
	found.end(yield)
	return conflicts
}

// slidingWindow is the hits of the last W, with how often each event and value is
// among them.
type slidingWindow struct {
	hits   []Hit
	ids    map[ecs.ID]int
	values map[uint64]int
}

func (w *slidingWindow) push(h Hit) {
	w.hits = append(w.hits, h)
	w.ids[h.ID]++
	if h.Value != 0 {
		w.values[h.Value]++
	}
}

func (w *slidingWindow) expire(before int64) {
	n := 0
	for ; w.hits[n].Time < before; n++ {
		h := &w.hits[n]
		if w.ids[h.ID]--; w.ids[h.ID] == 0 {
			delete(w.ids, h.ID)
		}
		if h.Value != 0 {
			if w.values[h.Value]--; w.values[h.Value] == 0 {
				delete(w.values, h.Value)
			}
		}
	}
	w.hits = w.hits[n:]
}

// finding is the alert that windows sharing a hit grow into.
type finding struct {
	open   bool
	hit    Hit
	values map[uint64]struct{}
	lastID ecs.ID // of the last hit counted
}

// grow adds the window to the open finding if they share a hit, else ends that one
// and opens another.
func (f *finding) grow(w *slidingWindow, yield func(Hit)) {
	first, last := &w.hits[0], &w.hits[len(w.hits)-1]
	shares := f.open && (first.Time < f.hit.Last || first.Time == f.hit.Last && compareID(first.ID, f.lastID) <= 0)
	if shares {
		if last.ID != f.lastID {
			f.hit.Count += w.countAfter(f.hit.Last, f.lastID)
		}
		for i := len(w.hits) - 1; i >= 0; i-- {
			if h := &w.hits[i]; h.Time < f.hit.Last {
				break
			} else if h.Value != 0 {
				f.values[h.Value] = struct{}{}
			}
		}
		f.hit.Last, f.lastID = last.Time, last.ID
		f.hit.Distinct = int64(len(f.values))
		return
	}
	f.end(yield)
	f.open, f.hit, f.lastID = true, *first, last.ID
	f.hit.Last, f.hit.Count = last.Time, int64(len(w.ids))
	f.values = make(map[uint64]struct{}, len(w.values))
	for v := range w.values {
		f.values[v] = struct{}{}
	}
	f.hit.Distinct = int64(len(f.values))
}

// countAfter counts the distinct events of the window behind (time, id).
func (w *slidingWindow) countAfter(t int64, id ecs.ID) (n int64) {
	for i := len(w.hits) - 1; i >= 0; i-- {
		h := &w.hits[i]
		if h.Time < t || h.Time == t && compareID(h.ID, id) <= 0 {
			break
		}
		if i == 0 || w.hits[i-1].ID != h.ID || w.hits[i-1].Time != h.Time {
			n++
		}
	}
	return n
}

func (f *finding) end(yield func(Hit)) {
	if f.open {
		f.open = false
		yield(f.hit)
	}
}
