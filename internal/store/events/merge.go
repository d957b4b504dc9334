package events

import (
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"slices"
)

// A stream yields entries in order of (time, ID), rising or falling.
type stream interface {
	// next fills e, whose text is valid until the next call, and reports whether
	// there was another entry. An error ends the stream.
	next(e *entry) (bool, error)
	// repeats reports whether the next entry may have the time and ID of the last.
	repeats() bool
	close() error
}

// A part is a stream that is opened when its time has come.
type part struct {
	// first is the time that no entry is before: the lowest of a rising stream, the
	// highest of a falling one.
	first int64
	open  func() (stream, error)
	ahead *aheadStream // not nil: it is read already
}

// maxCopies bounds how many unequal copies of one event are kept.
const maxCopies = 64

// A merger makes one stream of many, in which an event is once.
type merger struct {
	falling bool
	copies  bool   // yield unequal copies of an event too, in order of their hash
	waiting []part // the next to open at the end
	ahead   int    // how many of these are read already: one more with each that was opened, up to most
	most    int
	heads   heads
	single  *head    // whose entry is yielded, if there is no copy of it
	group   []*entry // else: the event that is yielded, and its copies
	done    int      // how many of group were yielded
	spare   []*entry
}

// A head is an open stream and its next entry.
type head struct {
	entry

	stream stream
}

func newMerger(parts []part, falling, copies bool) *merger {
	m := &merger{falling: falling, copies: copies, waiting: slices.Clone(parts)}
	m.heads.falling = falling
	slices.SortStableFunc(m.waiting, func(a, b part) int { return m.order(b.first, a.first) })
	return m
}

// readAhead lets the merger read parts before their time, on other goroutines.
func (m *merger) readAhead(most int) *merger {
	m.most = most
	return m
}

func (m *merger) order(a, b int64) int {
	if m.falling {
		a, b = b, a
	}
	return cmp.Compare(a, b)
}

// repeats implements stream.
func (m *merger) repeats() bool { return m.copies }

// next implements stream.
func (m *merger) next(e *entry) (bool, error) {
	if m.done++; m.done >= len(m.group) {
		if h := m.single; h != nil {
			m.single = nil
			if err := m.advance(h); err != nil {
				return false, err
			}
		}
		if err := m.gather(); err != nil {
			return false, err
		}
		m.done = 0
	}
	if m.single != nil {
		*e = m.single.entry
		return true, nil
	}
	if len(m.group) == 0 {
		return false, nil
	}
	*e = *m.group[m.done]
	return true, nil
}

// gather takes the next event and its copies from all streams.
func (m *merger) gather() error {
	m.spare, m.group = append(m.spare, m.group...), m.group[:0]
	for {
		if err := m.openDue(); err != nil {
			return err
		}
		if len(m.heads.list) == 0 {
			return nil
		}
		h := m.heads.list[0]
		if len(m.group) > 0 && m.group[0].compare(&h.entry) != 0 {
			break
		}
		if len(m.group) == 0 && !m.heads.tied() && !h.stream.repeats() {
			m.single = h
			break
		}
		m.take(&h.entry)
		if err := m.advance(h); err != nil {
			return err
		}
	}
	return nil
}

// take adds a copy to the group, in its place.
func (m *merger) take(e *entry) {
	at := len(m.group)
	for i, have := range m.group {
		if bytes.Equal(have.Raw, e.Raw) {
			if have.ingested > e.ingested {
				have.ingested = e.ingested
			}
			if have.place == nil {
				have.place = e.place
			}
			return
		}
		if at == len(m.group) && e.before(have) {
			at = i
		}
	}
	limit := 1
	if m.copies {
		limit = maxCopies
	}
	if at >= limit {
		return
	}
	var own *entry
	if n := len(m.spare); n > 0 {
		own, m.spare = m.spare[n-1], m.spare[:n-1]
	} else {
		own = &entry{}
	}
	buf := own.Raw[:0]
	buf = append(buf, e.Raw...)
	*own = *e
	own.Raw = buf
	m.group = slices.Insert(m.group, at, own)
	if len(m.group) > limit {
		m.spare = append(m.spare, m.group[limit:]...)
		m.group = m.group[:limit]
	}
}

// openDue opens the streams that may have an entry before that of every open one.
func (m *merger) openDue() error {
	for n := len(m.waiting); n > 0; n = len(m.waiting) {
		p := m.waiting[n-1]
		if len(m.heads.list) > 0 && m.order(p.first, m.heads.list[0].Time) > 0 {
			return nil
		}
		m.waiting = m.waiting[:n-1]
		s, err := m.open(p)
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		h := &head{stream: s}
		ok, err := s.next(&h.entry)
		if err != nil || !ok {
			if err := errors.Join(err, s.close()); err != nil {
				return err
			}
			continue
		}
		heap.Push(&m.heads, h)
	}
	return nil
}

// open opens a part, and begins to read those that come next.
func (m *merger) open(p part) (stream, error) {
	m.ahead = min(m.ahead+1, m.most)
	for i := len(m.waiting) - 1; i >= max(0, len(m.waiting)-m.ahead); i-- {
		if w := &m.waiting[i]; w.ahead == nil {
			w.ahead = readAhead(w.open)
		}
	}
	if p.ahead != nil {
		return p.ahead, nil
	}
	return p.open()
}

// advance moves the first stream on.
func (m *merger) advance(h *head) error {
	ok, err := h.stream.next(&h.entry)
	if ok {
		heap.Fix(&m.heads, 0)
		return nil
	}
	heap.Pop(&m.heads)
	return errors.Join(err, h.stream.close())
}

// close implements stream.
func (m *merger) close() error {
	errs := make([]error, 0, len(m.heads.list))
	for _, h := range m.heads.list {
		errs = append(errs, h.stream.close())
	}
	for _, p := range m.waiting {
		if p.ahead != nil {
			errs = append(errs, p.ahead.close())
		}
	}
	m.heads.list, m.waiting = nil, nil
	return errors.Join(errs...)
}

// heads is a heap of open streams by their next entry.
type heads struct {
	list    []*head
	falling bool
}

// tied reports whether another stream's entry is a copy of the first.
func (h *heads) tied() bool {
	for _, o := range h.list[1:min(3, len(h.list))] { // the second is one of these two
		if o.compare(&h.list[0].entry) == 0 {
			return true
		}
	}
	return false
}

func (h *heads) Len() int { return len(h.list) }
func (h *heads) Less(i, j int) bool {
	c := h.list[i].compare(&h.list[j].entry)
	return c < 0 != h.falling && c != 0
}
func (h *heads) Swap(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *heads) Push(x any)    { h.list = append(h.list, x.(*head)) } //nolint:forcetypeassert // ours
func (h *heads) Pop() any {
	n := len(h.list) - 1
	x := h.list[n]
	h.list[n] = nil
	h.list = h.list[:n]
	return x
}
