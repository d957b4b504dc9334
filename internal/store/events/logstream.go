package events

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// A logRef is where a record stands in the log.
type logRef struct {
	time  int64
	id    ecs.ID
	frame int64  // offset
	index uint32 // in the frame
	size  uint32 // bytes of its text
}

func (a logRef) compare(b logRef) int {
	if c := compareKeys(a.time, &a.id, b.time, &b.id); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.frame, b.frame), cmp.Compare(a.index, b.index))
}

// How many bytes of text a log stream holds at once: little at first, as many
// readers want little.
const (
	firstBatch = 256 << 10
	fullBatch  = 32 << 20
)

// A logStream yields records of one log file in order of (time, ID). It holds an
// index of them, and the text of a part at a time.
type logStream struct {
	walker  walker
	closer  io.Closer
	decoder decoder
	refs    []logRef // that are left; the next first

	limit int // of the batch
	arena []byte
	batch []entry
	done  int
}

// newLogStream reads the frames of w for an index of the records that keep wants.
func newLogStream(w walker, closer io.Closer, from, to int64, falling bool, keep func(*entry) bool) (*logStream, error) {
	s := &logStream{walker: w, closer: closer, limit: firstBatch}
	for {
		h, at, err := s.walker.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if !h.overlaps(from, to) {
			continue
		}
		f, err := s.frame(&h, at, keep == nil)
		if errors.Is(err, store.ErrDamaged) {
			s.walker.damaged(at, h.end(at), err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range f.Records {
			r := &f.Records[i]
			if r.Time >= from && (r.Time < to || to == maxTime) && (keep == nil || keep(&entry{Record: *r})) {
				s.refs = append(s.refs, logRef{r.Time, r.ID, at, uint32(i), uint32(s.decoder.sizes[i])})
			}
		}
	}
	slices.SortFunc(s.refs, func(a, b logRef) int {
		if falling {
			a, b = b, a
		}
		return a.compare(b)
	})
	return s, nil
}

// frame reads a frame, or its keys only.
func (s *logStream) frame(h *header, at int64, keys bool) (store.Frame, error) {
	b, err := s.walker.payload(h, at)
	if err != nil {
		return store.Frame{}, err
	}
	if keys {
		return s.decoder.keys(h, b)
	}
	return s.decoder.decode(h, b)
}

// next implements stream.
func (s *logStream) next(e *entry) (bool, error) {
	for s.done == len(s.batch) {
		if len(s.refs) == 0 {
			return false, nil
		}
		if err := s.load(); err != nil {
			return false, err
		}
	}
	*e = s.batch[s.done]
	s.done++
	return true, nil
}

// repeats implements stream.
func (s *logStream) repeats() bool {
	last := &s.batch[s.done-1]
	if s.done < len(s.batch) {
		return last.compare(&s.batch[s.done]) == 0
	}
	return len(s.refs) > 0 && compareKeys(last.Time, &last.ID, s.refs[0].time, &s.refs[0].id) == 0
}

// load reads the text of the next references. Each frame is read once, in the order
// of the file.
func (s *logStream) load() error {
	n, size := 0, 0
	for n < len(s.refs) && (n == 0 || size+int(s.refs[n].size) <= s.limit) {
		size += int(s.refs[n].size)
		n++
	}
	s.limit = min(4*s.limit, fullBatch)
	refs := s.refs[:n]
	s.refs = s.refs[n:]
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(refs[a].frame, refs[b].frame), cmp.Compare(refs[a].index, refs[b].index))
	})
	if cap(s.arena) < size || cap(s.arena) > keepBuffer+fullBatch {
		s.arena = make([]byte, 0, size)
	}
	s.arena, s.batch, s.done = s.arena[:0], slices.Grow(s.batch[:0], n)[:n], 0
	var f store.Frame
	var h header
	at := int64(-1)
	for _, i := range order {
		ref := refs[i]
		if ref.frame != at {
			at = ref.frame
			s.walker.pos = at
			var err error
			if h, _, err = s.walker.next(); err == nil {
				f, err = s.frame(&h, at, false)
			}
			if err != nil {
				return err // it was readable a moment ago
			}
		}
		if int(ref.index) >= len(f.Records) {
			return store.ErrDamaged
		}
		r := f.Records[ref.index]
		start := len(s.arena)
		s.arena = append(s.arena, r.Raw...)
		r.Raw = s.arena[start:len(s.arena):len(s.arena)]
		s.batch[i] = entry{Record: r, ingested: h.stored}
	}
	return nil
}

// close implements stream.
func (s *logStream) close() error {
	s.refs, s.batch, s.arena = nil, nil, nil
	return s.closer.Close()
}
