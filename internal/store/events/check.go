package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
)

// Stats says what a store holds.
type Stats struct {
	Segments     int
	SegmentRows  int64
	SegmentBytes int64 // of the files
	SegmentRaw   int64 // of the records in them
	RollupBytes  int64 // of the files with sums beside them
	LogFiles     int
	LogRecords   int64
	LogBytes     int64
	LogRaw       int64 // before compression
	// First and Last are the times of events; zero if there are none.
	First, Last time.Time
	// Compacted and Folded are log offsets: what is before them is in segments, and
	// will not be replayed. End is behind the last frame.
	Compacted, Folded, End int64
	// Damaged names what could not be read since the store was opened.
	Damaged []string
}

// Stats returns what the store holds at this moment. It reads no file. An event that
// came twice counts twice until its copies meet in a segment, and what is compacted
// but not folded counts in both places.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Segments: len(s.segs.list), Compacted: s.segs.compacted, Folded: s.folded}
	first, last := int64(maxTime), int64(minTime)
	for _, g := range s.segs.list {
		st.SegmentRows += g.Rows
		st.SegmentBytes += g.Bytes
		st.SegmentRaw += g.Raw
		if g.Rollup != nil {
			st.RollupBytes += g.Rollup.Bytes
		}
		first, last = min(first, g.Min.UnixNano()), max(last, g.Max.UnixNano())
	}
	s.log.mu.Lock()
	for _, f := range s.log.files {
		st.LogFiles++
		st.LogRecords += f.records
		st.LogBytes += f.end - f.base + fileHeader
		st.LogRaw += f.raw
		first, last = min(first, f.min), max(last, f.max)
	}
	st.End = s.log.end
	s.log.mu.Unlock()
	if first <= last {
		st.First, st.Last = time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
	}
	for name := range s.hurt {
		st.Damaged = append(st.Damaged, name)
	}
	slices.Sort(st.Damaged)
	return st
}

// A Problem is something that Check found wrong.
type Problem struct {
	File string
	Err  error
}

// A Checked store is what Check went through.
type Checked struct {
	Segments int
	Rows     int64
	Frames   int64
	Records  int64 // of the log
	Problems []Problem
}

// maxProblems bounds what Check tells of one file.
const maxProblems = 20

// Check reads everything that is stored and checks each checksum, each record and its
// place. What is wrong is in the result; the error is that of ctx.
func (s *Store) Check(ctx context.Context) (Checked, error) {
	s.work.Lock()
	defer s.work.Unlock()
	snap := s.snapshot()
	defer snap.release()
	var c Checked
	for _, g := range snap.segments {
		if gone, err := s.dropped(ctx, g.path, func(tx store.Tx) (bool, error) {
			b, err := tx.Get(store.Segments, g.key())
			return b == nil, err //nolint:wrapcheck // below
		}); err != nil || gone {
			if err != nil {
				return c, err
			}
			continue
		}
		c.Segments++
		if err := s.checkSegment(ctx, g, &c); err != nil {
			return c, err
		}
	}
	parts, release := s.useLog(0)
	defer release()
	for _, p := range parts {
		if gone, err := s.dropped(ctx, p.path, func(tx store.Tx) (bool, error) {
			compacted, err := readCompacted(tx)
			return compacted >= p.logSums.end, err
		}); err != nil || gone {
			if err != nil {
				return c, err
			}
			continue
		}
		if err := s.checkLog(ctx, p, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// dropped reports whether a file is gone because the process that writes to the store
// did not need it any more.
func (s *Store) dropped(ctx context.Context, path string, why func(store.Tx) (bool, error)) (gone bool, err error) {
	if _, err := os.Stat(path); !s.opt.ReadOnly || !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	err = s.opt.DB.View(ctx, func(tx store.Tx) error {
		gone, err = why(tx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("check the store: %w", err)
	}
	return gone, nil
}

// note adds a problem, unless the file has many already.
func (c *Checked) note(file string, err error) {
	n := 0
	for _, p := range c.Problems {
		if p.File == file {
			n++
		}
	}
	if n < maxProblems {
		c.Problems = append(c.Problems, Problem{file, err})
	}
}

func (s *Store) checkSegment(ctx context.Context, g *segment, c *Checked) error {
	var wrong error // first; what readers say of the same damage is no other problem
	hurt := func(err error) {
		wrong = cmp.Or(wrong, err)
		s.hurtSegment(g, err)
	}
	if err := checkSums(g); err != nil {
		hurt(err)
	}
	r := &segmentReader{from: minTime, to: maxTime, damaged: func(err error) error { hurt(err); return nil }}
	defer func() { _ = r.close() }() // only read from
	if err := r.open(g); err != nil {
		return err
	}
	maker := newEventMaker(s.opt.Catalogue, s.opt.Enricher)
	var e, last entry
	rows, events := int64(0), int64(0)
	for {
		ok, err := r.next(&e)
		if err == nil && rows%1024 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if rows++; rows > 1 && last.compare(&e) > 0 {
			c.note(g.path, fmt.Errorf("%w: row %d is before row %d", store.ErrDamaged, rows, rows-1))
		}
		if rows == 1 || last.compare(&e) != 0 {
			events++
		}
		last = entry{Record: store.Record{Time: e.Time, ID: e.ID}}
		if err := s.checkRecord(maker, &e); err != nil {
			c.note(g.path, fmt.Errorf("row %d: %w", rows, err))
		}
	}
	c.Rows += rows
	if rows != g.Rows {
		wrong = fmt.Errorf("%w; %d rows can be read, of %d", cmp.Or(wrong, store.ErrDamaged), rows, g.Rows)
	}
	if wrong != nil {
		c.note(g.path, wrong)
	}
	if rows != g.Rows {
		return nil // what the sums should be is not known
	}
	if err := s.checkRollups(g, events); err != nil {
		c.note(s.rollupPath(g), err)
	}
	return nil
}

// checkSums reads the whole file, also what no reader asks for.
func checkSums(g *segment) error {
	f, err := os.Open(g.path)
	if err != nil {
		return err //nolint:wrapcheck // has operation and path
	}
	defer func() { _ = f.Close() }() // only read from
	return parquet.CheckSums(f, g.Bytes, g.Sums)
}

// checkRecord checks that an entry's text is what its key says.
func (s *Store) checkRecord(maker *eventMaker, e *entry) error {
	ev, err := maker.make(e)
	switch {
	case err != nil:
		return err
	case ev.ID() != e.ID:
		return fmt.Errorf("%w: the text of event %s is that of %s", store.ErrDamaged, e.ID, ev.ID())
	case ev.Time().UnixNano() != e.Time:
		return fmt.Errorf("%w: event %s is stored under another time", store.ErrDamaged, e.ID)
	}
	return nil
}

func (s *Store) checkLog(ctx context.Context, p logPart, c *Checked) error {
	f, err := os.Open(p.path)
	if err != nil {
		c.note(p.path, err)
		return nil
	}
	defer func() { _ = f.Close() }() // only read from
	if err := checkFileHeader(f, p.base); err != nil {
		c.note(p.path, err)
	}
	w := p.walker(f, 0, func(name string, err error) {
		c.note(name, err)
		s.damaged(name, err)
	})
	var d decoder
	maker := newEventMaker(s.opt.Catalogue, s.opt.Enricher)
	for {
		h, at, err := w.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		var b []byte
		if err == nil {
			b, err = w.payload(&h, at)
		}
		if err != nil {
			return err
		}
		frame, err := d.decode(&h, b)
		if err != nil {
			w.damaged(at, w.pos, err)
			continue
		}
		c.Frames++
		c.Records += int64(len(frame.Records))
		for i := range frame.Records {
			if err := s.checkRecord(maker, &entry{Record: frame.Records[i]}); err != nil {
				c.note(p.path, fmt.Errorf("frame at offset %d, record %d: %w", at, i+1, err))
			}
		}
	}
}
