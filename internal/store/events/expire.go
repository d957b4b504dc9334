package events

import (
	"context"
	"slices"
	"time"
)

// Retention says what is kept. Zero members do not limit.
type Retention struct {
	// Age is how long events are kept, counted from their own time. Whole segments are
	// dropped: an event goes when the newest one of its segment may.
	Age time.Duration
	// Bytes is how much segments may take on the disk, with the sums beside them. The
	// oldest go first.
	Bytes int64
}

// A Dropped segment is one that Expire removed.
type Dropped struct {
	File     string
	Rows     int64
	Min, Max time.Time // of its events
	Bytes    int64
	Reason   string // age or size
}

// Expire drops the segments that the retention of the options does not keep. What is in
// the log only is not touched: compact first.
func (s *Store) Expire(ctx context.Context, now time.Time) ([]Dropped, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	s.work.Lock()
	defer s.work.Unlock()
	s.mu.Lock()
	list, compacted := slices.Clone(s.segs.list), s.segs.compacted
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *segment) int { return a.Max.Compare(b.Max) })
	var total int64
	for _, g := range list {
		total += g.room()
	}
	var drop []*segment
	var out []Dropped
	keep := s.opt.Retention
	for _, g := range list {
		var reason string
		switch {
		case keep.Age > 0 && g.Max.Before(now.Add(-keep.Age)):
			reason = "age"
		case keep.Bytes > 0 && total > keep.Bytes:
			reason = "size"
		default:
			continue
		}
		total -= g.room()
		drop = append(drop, g)
		out = append(out, Dropped{g.File, g.Rows, g.Min, g.Max, g.room(), reason})
	}
	if len(drop) == 0 {
		return nil, nil
	}
	if err := s.commit(ctx, nil, drop, compacted); err != nil {
		return nil, err
	}
	for _, d := range out {
		s.slog.Info("events are dropped as the retention says", "reason", d.Reason, "file", d.File, "events", d.Rows, "from", d.Min, "to", d.Max)
	}
	return out, nil
}

// room is how much a segment takes on the disk, in bytes.
func (g *segment) room() int64 {
	if g.Rollup == nil {
		return g.Bytes
	}
	return g.Bytes + g.Rollup.Bytes
}
