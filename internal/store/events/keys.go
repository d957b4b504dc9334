package events

import (
	"os"
	"slices"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store/parquet"
)

// A keyFinder tells which segments have an event. It is asked for events in order of
// (time, ID), and holds the keys of one row group of each segment that may have them.
type keyFinder struct {
	waiting []*keyList // the next to open at the end
	open    []*keyList
	lo, hi  int64 // no other times are asked for
	hurt    func(*segment, error)
}

// newKeyFinder looks in segments for events with lo ≤ time < hi. Who cannot be read is
// told to hurt and has nothing.
func newKeyFinder(list []*segment, lo, hi int64, hurt func(*segment, error)) *keyFinder {
	f := &keyFinder{lo: lo, hi: hi, hurt: hurt}
	for _, g := range list {
		if g.Min.UnixNano() < hi && g.Max.UnixNano() >= lo {
			f.waiting = append(f.waiting, &keyList{segment: g})
		}
	}
	slices.SortStableFunc(f.waiting, func(a, b *keyList) int { return b.segment.Min.Compare(a.segment.Min) })
	return f
}

// find appends the segments that have an event to ids, rising.
func (f *keyFinder) find(t int64, id *ecs.ID, ids []uint64) []uint64 {
	for n := len(f.waiting); n > 0 && f.waiting[n-1].segment.Min.UnixNano() <= t; n = len(f.waiting) {
		f.open, f.waiting = append(f.open, f.waiting[n-1]), f.waiting[:n-1]
	}
	begin := len(ids)
	f.open = slices.DeleteFunc(f.open, func(l *keyList) bool {
		if l.segment.Max.UnixNano() < t {
			l.close()
			return true
		}
		has, err := l.has(t, id, f.lo, f.hi)
		if err != nil {
			f.hurt(l.segment, err)
			l.close()
			return true
		}
		if has {
			ids = append(ids, l.segment.id)
		}
		return false
	})
	slices.Sort(ids[begin:])
	return ids
}

func (f *keyFinder) close() {
	for _, l := range f.open {
		l.close()
	}
	f.open, f.waiting = nil, nil
}

// A keyList is the keys of a segment, from one that was asked for on.
type keyList struct {
	segment *segment
	file    *os.File
	f       *parquet.File
	group   int
	keys    *parquet.Selection // of the group; nil: not read
	at      int                // in keys
}

func (l *keyList) has(t int64, id *ecs.ID, lo, hi int64) (bool, error) {
	if l.file == nil {
		if err := l.open(); err != nil {
			return false, err
		}
	}
	for groups := l.f.Groups(); l.group < len(groups) && groups[l.group].Min <= t; l.group++ {
		if groups[l.group].Max >= t {
			if l.keys == nil {
				var err error
				if l.keys, err = l.f.Select(l.group, lo, hi, nil); err != nil {
					return false, err //nolint:wrapcheck // told with the file's name
				}
			}
			for ; l.at < len(l.keys.Times); l.at++ {
				if c := compareKeys(l.keys.Times[l.at], &l.keys.IDs[l.at], t, id); c >= 0 {
					return c == 0, nil
				}
			}
		}
		l.keys, l.at = nil, 0
	}
	return false, nil
}

func (l *keyList) open() (err error) {
	if l.file, err = os.Open(l.segment.path); err != nil {
		return err //nolint:wrapcheck // has operation and path
	}
	l.f, err = parquet.Open(l.file, l.segment.Bytes, l.segment.Sums)
	return err //nolint:wrapcheck // told with the file's name
}

func (l *keyList) close() {
	if l.file != nil {
		_ = l.file.Close() // only read from
	}
	l.file, l.f, l.keys = nil, nil, nil
}

// A counter tells which of the events that go into a segment count there, and where
// else they are.
type counter struct {
	known     *keyFinder
	begun     bool
	last      entry
	elsewhere []uint64
}

// newCounter counts events with lo ≤ time < hi, which come in order.
func newCounter(older []*segment, lo, hi int64, hurt func(*segment, error)) *counter {
	return &counter{known: newKeyFinder(older, lo, hi, hurt)}
}

// next returns the older segments that have an event, and whether it is the first copy.
// The list is valid until the next call.
func (c *counter) next(e *entry) (elsewhere []uint64, first bool) {
	if c.begun && c.last.compare(e) == 0 {
		return nil, false
	}
	c.begun, c.last.Time, c.last.ID = true, e.Time, e.ID
	c.elsewhere = c.known.find(e.Time, &e.ID, c.elsewhere[:0])
	return c.elsewhere, true
}
