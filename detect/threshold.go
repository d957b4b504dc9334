package detect

import (
	"container/list"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// threshold finds too many. A window is any span of at most W (the rule's from to
// to, both ends included) with at least N distinct events of the group, and enough
// distinct values of the cardinality field. Windows that share an event are one
// finding, so nothing is counted for two findings.
type threshold struct {
	fields   []*ecs.Field
	distinct *ecs.Field // nil: no cardinality
	window   int64      // nanoseconds
	events   int64
	values   int64
	limit    int // distinct values that are told apart
}

// maxDistinct bounds the distinct values of a window and of a finding that are kept
// and counted, unless the rule asks for more.
const maxDistinct = 1 << 16

func newThreshold(r *rule.Rule, cat *ecs.Catalogue) (*threshold, error) {
	if len(r.ThresholdFields) > maxFields {
		return nil, fmt.Errorf("threshold has %d fields; %d at most", len(r.ThresholdFields), maxFields)
	}
	if r.ThresholdValue < 1 {
		return nil, fmt.Errorf("threshold.value must be at least 1, not %d", r.ThresholdValue)
	}
	d := &threshold{fields: resolveAll(cat, r.ThresholdFields), events: r.ThresholdValue}
	if len(r.Cardinality) > 0 {
		d.distinct = cat.Resolve(r.Cardinality[0].Field)
		d.values = r.Cardinality[0].Value
		d.limit = int(max(d.values, maxDistinct))
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

// groups appends the groups, and each of them again for every further value of the
// cardinality field.
func (d *threshold) groups(seed groupSeed, ev ecs.Event, dst []Group) (groups []Group, excess int) {
	start := len(dst)
	dst, excess = crossProduct(seed, ev, d.fields, dst)
	if d.distinct == nil {
		return dst, excess
	}
	plain := len(dst) - start
	for n, v := range ev.Values(d.distinct) {
		value := hashText(v)
		for i := range plain {
			switch {
			case n == 0:
				dst[start+i].Value = value
			case len(dst)-start < maxCombinations:
				dst = append(dst, Group{dst[start+i].Key, value})
			default:
				excess++
			}
		}
	}
	return dst, excess
}

// reduce slides a window that ends at each time that has events. The widest window
// that ends there holds every narrower one, so looking at it is enough.
func (d *threshold) reduce(hits iter.Seq[*Hit], yield func(Hit)) {
	w := slidingWindow{length: d.window, values: recent{limit: d.limit}}
	var f finding
	var m moment
	step := func() {
		w.push(m)
		if w.events >= d.events && int64(w.values.len()) >= d.values {
			f.grow(&w, &m, yield)
		} else {
			f.pend(&m)
		}
	}
	started := false
	for h := range hits {
		if started && h.Time != m.first.Time {
			step()
			m = moment{}
		}
		started = true
		if m.add(h) && d.distinct != nil && h.Value != (ecs.ID{}) {
			w.values.see(h.Value, h.Time)
		}
	}
	if started {
		step()
	}
	f.end(yield)
}

// A moment is the events of one time: CloudTrail's clock has whole seconds, so a
// window has no more moments than seconds, however many events there are.
type moment struct {
	first  Hit
	events int64
	mixed  bool // of several principals
	// conflict: unequal copies of one of the events were met
	conflict bool

	id      ecs.ID // of the event that was counted last
	content uint64
}

// add takes the next hit of the time and reports whether it counts. Hits of one
// event are several if it has several values, or copies.
func (m *moment) add(h *Hit) bool {
	switch {
	case m.events == 0:
		m.first = *h
	case h.ID != m.id:
		m.mixed = m.mixed || h.Principal != m.first.Principal
	case h.Content != m.content:
		m.conflict = true
		return false // the smallest content, which came first, speaks
	default: // the same event again, or another value of it
		return true
	}
	m.events++
	m.id, m.content = h.ID, h.Content
	return true
}

// slidingWindow is the moments of the last length before the one pushed last.
type slidingWindow struct {
	length  int64
	start   int64
	moments []moment
	events  int64
	values  recent
}

func (w *slidingWindow) push(m moment) {
	w.moments = append(w.moments, m)
	w.events += m.events
	w.start = back(m.first.Time, w.length)
	n := 0
	for w.moments[n].first.Time < w.start {
		w.events -= w.moments[n].events
		n++
	}
	w.moments = w.moments[n:]
	w.values.expire(w.start)
}

// back returns t − d, or the beginning of time.
func back(t, d int64) int64 {
	if t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}

// recent is the distinct values of a window, the one seen last in front. Those seen
// longest ago are forgotten over the limit, which is no less than a rule asks for.
type recent struct {
	limit int
	order list.List // of seen
	at    map[ecs.ID]*list.Element
}

type seen struct {
	value ecs.ID
	time  int64
}

func (r *recent) len() int { return r.order.Len() }

func (r *recent) see(value ecs.ID, t int64) {
	if e := r.at[value]; e != nil {
		e.Value = seen{value, t}
		r.order.MoveToFront(e)
		return
	}
	if r.at == nil {
		r.at = map[ecs.ID]*list.Element{}
	}
	r.at[value] = r.order.PushFront(seen{value, t})
	if r.order.Len() > r.limit {
		r.forget(r.order.Back())
	}
}

func (r *recent) expire(before int64) {
	for e := r.order.Back(); e != nil && at(e).time < before; e = r.order.Back() {
		r.forget(e)
	}
}

func (r *recent) forget(e *list.Element) {
	delete(r.at, at(e).value)
	r.order.Remove(e)
}

func at(e *list.Element) seen { return e.Value.(seen) }

// finding is the alert that windows sharing an event grow into: all events of the
// group from its first to its last.
type finding struct {
	open    bool
	hit     Hit
	values  map[ecs.ID]struct{}
	pending tally // behind the last event: they count if a window joins them
}

// tally is what moments add up to.
type tally struct {
	events          int64
	mixed, conflict bool
}

func (t *tally) add(m *moment, principal ecs.ID) {
	t.events += m.events
	t.mixed = t.mixed || m.mixed || m.first.Principal != principal
	t.conflict = t.conflict || m.conflict
}

// pend notes a moment at which no window ends.
func (f *finding) pend(m *moment) {
	if f.open {
		f.pending.add(m, f.hit.Principal)
	}
}

// grow adds the window that ends at m to the open finding if they share an event,
// else ends that one and opens another.
func (f *finding) grow(w *slidingWindow, m *moment, yield func(Hit)) {
	if f.open && f.hit.Last >= w.start {
		f.pending.add(m, f.hit.Principal)
	} else {
		f.end(yield)
		f.open, f.hit = true, w.moments[0].first
		f.hit.Last = f.hit.Time
		f.values = nil
		f.pending = tally{}
		for i := range w.moments {
			f.pending.add(&w.moments[i], f.hit.Principal)
		}
	}
	f.see(&w.values)
	f.hit.Last = m.first.Time
	f.hit.Count += f.pending.events
	f.hit.Distinct = int64(len(f.values))
	f.hit.Conflict = f.hit.Conflict || f.pending.conflict
	if f.pending.mixed {
		f.hit.Principal = ecs.ID{}
	}
	f.pending = tally{}
}

// see adds the values since the last event of the finding.
func (f *finding) see(values *recent) {
	for e := values.order.Front(); e != nil && at(e).time >= f.hit.Last && len(f.values) < values.limit; e = e.Next() {
		if f.values == nil {
			f.values = map[ecs.ID]struct{}{}
		}
		f.values[at(e).value] = struct{}{}
	}
}

func (f *finding) end(yield func(Hit)) {
	if f.open {
		f.open = false
		yield(f.hit)
	}
}
