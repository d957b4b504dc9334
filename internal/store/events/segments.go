package events

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
)

// segmentFormat is the version of what the table of segments holds.
const segmentFormat = 1

// factCompacted is the name in the table of facts of the log offset up to which
// everything is in segments.
const factCompacted = "compacted"

// A listing is what the database knows of a segment. Only listed files are part of
// the store.
type listing struct {
	Format int       `json:"format"`
	File   string    `json:"file"` // below the folder of segments
	Rows   int64     `json:"rows"`
	Min    time.Time `json:"min"` // of the first and the last event
	Max    time.Time `json:"max"`
	Bytes  int64     `json:"bytes"` // of the file
	Raw    int64     `json:"raw"`   // of the records in it
	// From and To are the offsets in the log that its events come from, from the first
	// to the last.
	From int64        `json:"from"`
	To   int64        `json:"to"`
	Sums parquet.Sums `json:"sums"`
	// Rollup is the file with the sums by hour, which has the same name in another
	// folder; nil: there is none.
	Rollup *rollupListing `json:"rollup,omitzero"`
}

type rollupListing struct {
	Rows  int64        `json:"rows"`
	Bytes int64        `json:"bytes"`
	Sums  parquet.Sums `json:"sums"`
}

// A segment is a Parquet file in use.
type segment struct {
	held
	listing

	id      uint64
	path    string
	damaged bool // something in it cannot be read: it is not merged
	remake  bool // its rollups cannot be read
	// places are the databases that its places come from, once somebody has asked.
	// Guarded by Store.work.
	places *string
}

// rollupPath is the file of a segment's rollups. They are not among the segments: other
// programs read those all at once.
func (s *Store) rollupPath(g *segment) string { return filepath.Join(s.segs.rollups, g.File) }

func (g *segment) key() []byte { return binary.BigEndian.AppendUint64(nil, g.id) }

// segmentSet is the segments of a store.
type segmentSet struct {
	dir     string
	rollups string     // folder of their sums
	list    []*segment // by id
	next    uint64     // id
	// compacted is the log offset up to which everything is in them.
	compacted int64
	change    uint64 // counts changes of what is above
}

// readCompacted reads up to which offset the log is in segments.
func readCompacted(tx store.Tx) (offset int64, err error) {
	b, err := tx.Get(store.Meta, []byte(factCompacted))
	if err == nil && b != nil {
		err = json.Unmarshal(b, &offset)
	}
	if err != nil {
		return 0, fmt.Errorf("read up to where the log is compacted: %w", err)
	}
	return offset, nil
}

// openSegments reads which segments there are.
func (s *Store) openSegments() error {
	dir := filepath.Join(s.opt.Dir, "segments")
	s.segs = segmentSet{dir: dir, rollups: filepath.Join(s.opt.Dir, "rollups"), next: 1}
	if !s.opt.ReadOnly {
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.MkdirAll(s.segs.rollups, 0o700)); err != nil {
			return fmt.Errorf("make the folder of segments: %w", err)
		}
	}
	err := s.opt.DB.View(context.Background(), func(tx store.Tx) error {
		var err error
		if s.segs.compacted, err = readCompacted(tx); err != nil {
			return err
		}
		for p, err := range tx.Range(store.Segments, nil, nil) {
			if err != nil {
				return fmt.Errorf("list the segments: %w", err)
			}
			g := &segment{}
			if len(p.Key) != 8 || json.Unmarshal(p.Value, &g.listing) != nil || !filepath.IsLocal(g.File) {
				return fmt.Errorf("list the segments: %w: entry %x", store.ErrDamaged, p.Key)
			}
			if g.Format > segmentFormat {
				return fmt.Errorf("list the segments: %w: entry %x has version %d, this program knows up to %d; use a newer one",
					store.ErrFormat, p.Key, g.Format, segmentFormat)
			}
			g.id = binary.BigEndian.Uint64(p.Key)
			g.path = filepath.Join(dir, g.File)
			s.segs.list = append(s.segs.list, g)
			s.segs.next = max(s.segs.next, g.id+1)
		}
		return nil
	})
	if err != nil || s.opt.ReadOnly {
		return err
	}
	for _, g := range s.segs.list {
		info, err := os.Stat(g.path)
		switch {
		case err != nil:
			s.hurtSegment(g, err)
		case info.Size() != g.Bytes:
			s.hurtSegment(g, fmt.Errorf("%w: it has %d bytes, not %d", store.ErrDamaged, info.Size(), g.Bytes))
		}
	}
	return nil
}

// removeLeftovers removes the files of segments that were never listed: a crash left
// them.
func (s *Store) removeLeftovers() error {
	removed := 0
	for _, dir := range []string{s.segs.dir, s.segs.rollups} {
		n, err := s.removeUnlisted(dir)
		if err != nil {
			return err
		}
		removed += n
	}
	if removed > 0 {
		s.slog.Info("segments that were not finished are removed; their events are in the log", "folder", s.segs.dir, "files", removed)
	}
	return nil
}

func (s *Store) removeUnlisted(dir string) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("read the folder of segments: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasSuffix(name, segmentSuffix) || strings.HasSuffix(name, segmentSuffix+tmpSuffix)
		if !ours || slices.ContainsFunc(s.segs.list, func(g *segment) bool { return g.File == name }) {
			continue
		}
		if err := s.opt.disk.Remove(filepath.Join(dir, name)); err != nil {
			return removed, fmt.Errorf("remove what a crash left: %w", err)
		}
		removed++
	}
	return removed, nil
}

const (
	segmentSuffix = ".parquet"
	tmpSuffix     = ".tmp"
)

// hurtSegment notes that something in a segment cannot be read.
func (s *Store) hurtSegment(g *segment, err error) {
	s.mu.Lock()
	g.damaged = true
	s.mu.Unlock()
	s.damaged(g.path, err)
}

// A snapshot is the files of the store at one moment. They stay until it is released.
type snapshot struct {
	segments []*segment
	log      []logPart
	from     int64 // the log counts from here on: what is before is in the segments
	change   uint64
	release  func()
}

// snapshot takes hold of all segments and of the log files that reach beyond an
// offset, and beyond what is in segments.
func (s *Store) snapshot() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := &snapshot{segments: slices.Clone(s.segs.list), from: s.segs.compacted, change: s.segs.change}
	for _, g := range snap.segments {
		g.users++
	}
	snap.log = s.holdLog(snap.from)
	snap.release = sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, g := range snap.segments {
			s.letGo(&g.held, g.path, s.rollupPath(g))
		}
		for _, p := range snap.log {
			s.letGo(&p.held, p.path)
		}
	})
	return snap
}

// letGo ends a use of a file, and removes it if that was the last and it is not part
// of the store any more. s.mu is held.
func (s *Store) letGo(h *held, paths ...string) {
	if h.users--; h.users == 0 && h.gone {
		s.remove(paths...)
	}
}

// retire removes a file from the disk as soon as nobody reads it. s.mu is held.
func (s *Store) retire(h *held, paths ...string) {
	h.gone = true
	if h.users == 0 {
		s.remove(paths...)
	}
}

func (s *Store) remove(paths ...string) {
	for _, path := range paths {
		if err := s.opt.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.slog.Warn("a file that is not needed any more cannot be removed; it takes room until the store is opened again", "file", path, "error", err)
		}
	}
}

// commit changes which segments there are: one transaction of the database, then the
// same here. compacted is the log offset reached, or that of before.
func (s *Store) commit(ctx context.Context, add, drop []*segment, compacted int64) error {
	err := s.opt.DB.Update(ctx, func(tx store.Tx) error {
		for _, g := range drop {
			if err := tx.Delete(store.Segments, g.key()); err != nil {
				return err //nolint:wrapcheck // below
			}
		}
		for _, g := range add {
			if err := putListing(tx, g.key(), &g.listing); err != nil {
				return err
			}
		}
		b, err := json.Marshal(compacted)
		if err != nil {
			return err //nolint:wrapcheck // below
		}
		return tx.Put(store.Meta, []byte(factCompacted), b)
	})
	if err != nil {
		// Whether it was committed is not known. The files stay: if it was, they are
		// needed, else they are removed when the store is opened next.
		return fmt.Errorf("list the segments: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs.list = slices.DeleteFunc(append(s.segs.list, add...), func(g *segment) bool { return slices.Contains(drop, g) })
	s.segs.compacted = compacted
	s.segs.change++
	for _, g := range drop {
		s.retire(&g.held, g.path, s.rollupPath(g))
	}
	return nil
}

func putListing(tx store.Tx, key []byte, l *listing) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what it does
	}
	return tx.Put(store.Segments, key, b) //nolint:wrapcheck // the caller says what it does
}

// dropLog removes the log files that are in segments and will not be replayed.
func (s *Store) dropLog() {
	s.log.write.Lock() // nobody begins to write to one of them
	defer s.log.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	upTo := min(s.segs.compacted, s.folded)
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	n := 0
	for n < len(s.log.files) {
		f := s.log.files[n]
		if f.end > upTo || (n == len(s.log.files)-1 && s.log.active != nil) {
			break
		}
		n++
		s.retire(&f.held, f.path)
	}
	s.log.files = slices.Delete(s.log.files, 0, n)
}
