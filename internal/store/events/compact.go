package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
)

// How large segments are. A new one is begun with a new day, if the last is worth
// being a file, and when it is full.
const (
	segmentRaw  = 1 << 30
	segmentRows = 50_000 // worth a file
	// Segments below mergeRaw are merged, mergeFan of a size at a time: an event is
	// written again a few times at most, and not at all where many arrive.
	mergeRaw  = 128 << 20
	mergeFan  = 8
	mergeBase = 2 << 20 // raw bytes: below, all are of one size
)

// Compact does what there is to do now: it turns the log files that nothing is added
// to any more into segments, merges small segments and removes what is not needed any
// more. The file that is being written is closed for it if it is older than
// Options.SealAfter. One Compact, Expire or Check runs at a time.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	s.work.Lock()
	defer s.work.Unlock()
	if err := s.sealOld(); err != nil {
		return err
	}
	if err := s.compactLog(ctx, s.log.sealed()); err != nil {
		return err
	}
	s.dropLog()
	if err := s.mergeSmall(ctx); err != nil {
		return err
	}
	return s.makeRollups(ctx)
}

// Waiting reports whether a log file is full and not made into segments yet: Compact need
// not wait for its time.
func (s *Store) Waiting() bool {
	files := s.log.sealed()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(files) > 0 && files[len(files)-1].end > s.segs.compacted
}

// sealOld ends the log file that is written to if its first frame is old enough.
func (s *Store) sealOld() error {
	s.log.mu.Lock()
	n := len(s.log.files)
	old := n > 0 && s.log.files[n-1].since <= s.opt.Now().Add(-s.opt.SealAfter).UnixNano()
	s.log.mu.Unlock()
	if !old {
		return nil
	}
	return s.log.seal()
}

// compactLog makes segments of what is in log files and not in any yet. While one is
// written the next is read.
func (s *Store) compactLog(ctx context.Context, files []*logFile) error {
	s.mu.Lock()
	compacted := s.segs.compacted
	s.mu.Unlock()
	files = slices.DeleteFunc(files, func(f *logFile) bool { return f.end <= compacted })
	var in *aheadStream
	for i, f := range files {
		if in == nil {
			in = s.readLog(f, compacted)
		}
		var next *aheadStream
		if i+1 < len(files) {
			next = s.readLog(files[i+1], compacted)
		}
		if err := s.compactFile(ctx, f, in, max(compacted, f.base)); err != nil {
			if next != nil {
				_ = next.close() // only read from
			}
			return fmt.Errorf("compact %s: %w", f.path, err)
		}
		in = next
	}
	return nil
}

// readLog begins to read what a log file has from an offset on.
func (s *Store) readLog(f *logFile, from int64) *aheadStream {
	p := logPart{f, f.logSums}
	return readAhead(func() (stream, error) {
		file, err := os.Open(f.path) //nolint:gosec // of our own folder
		if err != nil {
			return nil, err //nolint:wrapcheck // has operation and path
		}
		in, err := newLogStream(p.walker(file, max(from, f.base), s.damaged), file, minTime, maxTime, false, nil)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return in, nil
	})
}

// compactFile makes segments of a log file from an offset on, which in reads.
func (s *Store) compactFile(ctx context.Context, f *logFile, in *aheadStream, from int64) error {
	defer func() { _ = in.close() }() // only read from
	m := newMerger([]part{{first: minTime, open: func() (stream, error) { return in, nil }}}, false, true)
	count := newCounter(s.segmentsBut(nil), f.min, f.max+1, s.hurtSegment)
	defer count.known.close()
	made, err := s.writeSegments(ctx, m, count, s.opt.Places, from, f.end)
	if err != nil {
		return err
	}
	return s.commit(ctx, made, nil, f.end)
}

// segmentsBut returns the segments, by id, without some.
func (s *Store) segmentsBut(some []*segment) []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.segs.list), func(g *segment) bool { return slices.Contains(some, g) })
}

// writeSegments writes a stream to as many segments as it takes, with places from the
// databases that are named. They are durable, and not listed yet.
func (s *Store) writeSegments(ctx context.Context, in stream, count *counter, places string, from, to int64) (made []*segment, err error) {
	var out *segmentWriter
	defer func() {
		if err == nil {
			return
		}
		if out != nil {
			out.abandon()
		}
		for _, g := range made {
			s.remove(g.path, s.rollupPath(g))
		}
	}()
	finish := func() error {
		if out == nil {
			return nil
		}
		g, err := out.finish(from, to)
		if err == nil {
			made, out = append(made, g), nil
		}
		return err
	}
	maker := newEventMaker(s.opt.Catalogue, s.opt.Enricher)
	var e entry
	for n := 0; ; n++ {
		ok, err := in.next(&e)
		if err == nil && n%1024 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return made, err
		}
		if !ok {
			break
		}
		if out != nil && out.full(e.Time) {
			if err := finish(); err != nil {
				return made, err
			}
		}
		if out == nil {
			if out, err = s.newSegment(places); err != nil {
				return made, err
			}
		}
		if err := out.write(maker, count, &e); err != nil {
			return made, err
		}
	}
	if err := finish(); err != nil {
		return made, err
	}
	if len(made) > 0 {
		err = cmp.Or(s.opt.disk.SyncDir(s.segs.dir), s.opt.disk.SyncDir(s.segs.rollups))
	}
	return made, err
}

// A segmentWriter writes one segment under another name, until it is whole.
type segmentWriter struct {
	s    *Store
	g    *segment
	file file
	buf  *buffered
	w    *parquet.Writer
	sums *rollupFile
	day  int64 // of the last row
}

func (s *Store) newSegment(places string) (*segmentWriter, error) {
	s.mu.Lock()
	id := s.segs.next
	s.segs.next++
	s.mu.Unlock()
	name := fmt.Sprintf("%012d%s", id, segmentSuffix)
	g := &segment{id: id, path: filepath.Join(s.segs.dir, name), listing: listing{Format: segmentFormat, File: name}}
	f, err := s.opt.disk.Create(g.path + tmpSuffix)
	if err != nil {
		return nil, fmt.Errorf("begin a segment: %w", err)
	}
	w := &segmentWriter{s: s, g: g, file: f, buf: &buffered{w: f}}
	w.w = parquet.NewWriter(w.buf, s.columns, places)
	if w.sums, err = s.newRollups(s.rollupPath(g) + tmpSuffix); err != nil {
		w.abandon()
		return nil, err
	}
	return w, nil
}

// full reports whether an event of that time belongs to the next segment.
func (w *segmentWriter) full(t int64) bool {
	return w.w.Bytes() >= segmentRaw || (w.w.Rows() >= segmentRows && dayOf(t) != w.day)
}

// noEvent is the view of a record that cannot be parsed: it was stored all the same.
type noEvent struct{ ecs.Event }

func (noEvent) Values(*ecs.Field) []string { return nil }

func (w *segmentWriter) write(maker *eventMaker, count *counter, e *entry) error {
	ev, err := maker.make(e)
	if err != nil {
		ev = noEvent{}
	}
	w.day = dayOf(e.Time)
	if elsewhere, first := count.next(e); first {
		if err := w.sums.sums.add(ev, e.Time, elsewhere); err != nil {
			return fmt.Errorf("write the sums of %s: %w", w.g.path, err)
		}
	}
	row := parquet.Row{Record: e.Record, Ingested: e.ingested, Event: ev}
	if err := w.w.Write(&row); err != nil {
		return fmt.Errorf("write %s: %w", w.g.path, err)
	}
	return nil
}

// finish makes the segment durable under its name.
func (w *segmentWriter) finish(from, to int64) (*segment, error) {
	info, err := w.w.Close()
	if err == nil {
		err = w.buf.flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", w.g.path, err)
	}
	f, g, rollups := w.file, w.g, w.s.rollupPath(w.g)
	w.file = nil
	if g.Rollup, err = w.sums.finish(); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", rollups, err), f.Close())
	}
	if err := cmp.Or(f.Close(), w.s.opt.disk.Rename(g.path+tmpSuffix, g.path), w.s.opt.disk.Rename(rollups+tmpSuffix, rollups)); err != nil {
		return nil, fmt.Errorf("write %s: %w", g.path, err)
	}
	g.Rows, g.Min, g.Max = info.Rows, time.Unix(0, info.Min).UTC(), time.Unix(0, info.Max).UTC()
	g.Bytes, g.Raw, g.Sums = info.Bytes, info.Raw, info.Sums
	g.From, g.To = from, to
	return g, nil
}

func (w *segmentWriter) abandon() {
	if w.file != nil {
		_ = w.file.Close() // it is removed
	}
	if w.sums != nil {
		_ = w.sums.close()
	}
	rollups := w.s.rollupPath(w.g)
	w.s.remove(w.g.path+tmpSuffix, w.g.path, rollups+tmpSuffix, rollups)
}

// buffered collects small writes.
type buffered struct {
	w   io.Writer
	buf []byte
}

func (b *buffered) Write(p []byte) (int, error) {
	const most = 1 << 20
	b.buf = append(b.buf, p...)
	if len(b.buf) >= most {
		return len(p), b.flush()
	}
	return len(p), nil
}

func (b *buffered) flush() error {
	_, err := b.w.Write(b.buf)
	b.buf = b.buf[:0]
	return err //nolint:wrapcheck // a *fs.PathError
}

// mergeSmall merges small segments of the same days until there are few of each size.
func (s *Store) mergeSmall(ctx context.Context) error {
	for {
		some := s.mergeable()
		if some == nil {
			return nil
		}
		if err := s.merge(ctx, some); err != nil {
			return fmt.Errorf("merge %d segments: %w", len(some), err)
		}
	}
}

// mergeable returns segments that should be one, if there are any. Who has no databases
// merges those of which the addresses were looked up with each other only: what nobody
// has looked up yet is looked up by whoever reads it.
func (s *Store) mergeable() []*segment {
	type class struct {
		first, last int64 // days
		size        int
		placed      bool
	}
	classes := map[class][]*segment{}
	for _, g := range s.segmentsBut(nil) {
		if g.Raw >= mergeRaw || s.isDamaged(g) {
			continue
		}
		c := class{
			first: dayOf(g.Min.UnixNano()), last: dayOf(g.Max.UnixNano()), size: (bits.Len64(uint64(g.Raw/mergeBase)) + 2) / 3,
			placed: s.opt.Places == "" && s.placesOf(g) != "",
		}
		if classes[c] = append(classes[c], g); len(classes[c]) >= mergeFan {
			return classes[c]
		}
	}
	return nil
}

// placesOf returns the databases that a segment's places come from; empty: nothing was
// looked up. Only who holds s.work asks.
func (s *Store) placesOf(g *segment) string {
	if g.places != nil {
		return *g.places
	}
	r := &segmentReader{damaged: func(err error) error {
		s.hurtSegment(g, err)
		return nil // it is not merged
	}}
	places := ""
	if err := r.open(g); err == nil && r.f != nil {
		places = r.f.Places()
	}
	_ = r.close() // only read from
	g.places = &places
	return places
}

// placesOfAll names the databases that the places of merged segments come from.
func (s *Store) placesOfAll(some []*segment) string {
	var names []string
	add := func(places string) {
		for name := range strings.SplitSeq(places, "; ") {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, g := range some {
		add(s.placesOf(g))
	}
	add(s.opt.Places)
	return strings.Join(names, "; ")
}

// merge makes one segment of several, or a few if days end in between.
func (s *Store) merge(ctx context.Context, some []*segment) error {
	parts := make([]part, 0, len(some))
	from, to := some[0].From, some[0].To
	first, last := int64(maxTime-1), int64(minTime)
	for _, g := range some {
		from, to = min(from, g.From), max(to, g.To)
		first, last = min(first, g.Min.UnixNano()), max(last, g.Max.UnixNano())
		parts = append(parts, part{first: g.Min.UnixNano(), open: func() (stream, error) {
			r := &segmentReader{from: minTime, to: maxTime, damaged: func(err error) error {
				s.hurtSegment(g, err)
				return err // a merged segment must have everything
			}}
			return r, r.open(g)
		}})
	}
	m := newMerger(parts, false, true)
	defer func() { _ = m.close() }() // only read from
	count := newCounter(s.segmentsBut(some), first, last+1, s.hurtSegment)
	defer count.known.close()
	made, err := s.writeSegments(ctx, m, count, s.placesOfAll(some), from, to)
	if errors.Is(err, store.ErrDamaged) && slices.ContainsFunc(some, s.isDamaged) {
		return nil // told, and the damaged one is left alone from now on
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	compacted := s.segs.compacted
	s.mu.Unlock()
	return s.commit(ctx, made, slices.Clone(some), compacted)
}

func (s *Store) isDamaged(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.damaged
}

// dayOf returns the number of the UTC day of a time.
func dayOf(t int64) int64 {
	const day = int64(24 * time.Hour)
	if t%day < 0 {
		return t/day - 1
	}
	return t / day
}
