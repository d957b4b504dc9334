package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
)

// Options say where the events are and how they are read.
type Options struct {
	// Dir is the data folder. The log is in Dir/log, segments in Dir/segments, their
	// sums by hour in Dir/rollups. Only one process may have it open: whoever opens DB
	// sees to that.
	Dir string
	DB  store.DB // lists the segments
	// Catalogue is that of the queries to come; nil: a new one.
	Catalogue *ecs.Catalogue
	Enricher  cloudtrail.Enricher // may be nil
	// Places names the databases that Enricher looks addresses up in; what they say is
	// then stored with the events. Empty: there are none.
	Places string
	Now    func() time.Time
	Log    *slog.Logger // nil: nobody is told
	// SealAfter is how old the log file that is written to must be for Compact to make
	// segments of it, unless it is full. Zero: whatever its age.
	SealAfter time.Duration
	Retention Retention
	// ReadOnly opens the store beside the process that writes to it, for searches:
	// nothing on the disk is changed. What is appended after Open is not seen. A scan
	// ends with ErrChanged if the writer removed a file that it needs; open again then.
	ReadOnly bool

	disk disk // of tests
}

// A Store is an event store on a disk. It implements [store.Events].
type Store struct {
	opt     Options
	columns *parquet.Columns
	log     eventLog
	slog    *slog.Logger

	recent logRollups

	work sync.Mutex // held by Compact, Expire and Check; taken before every other

	mu     sync.Mutex // guards what follows, and every held
	segs   segmentSet
	folded int64 // no frame before it is replayed again
	hurt   map[string]error
}

var _ store.Events = (*Store)(nil)

// ErrChanged ends a scan of a store that was opened for reading only.
var ErrChanged = errors.New("the event store was changed by the process that writes to it")

// A held file is removed when it is in use no more.
type held struct {
	users int
	gone  bool
}

// Open opens the store in a folder, which it makes if there is none. What a crash
// left half done is undone, and what is damaged is told to the log of opt; the rest
// is served.
func Open(opt Options) (*Store, error) {
	if opt.Catalogue == nil {
		opt.Catalogue = ecs.NewCatalogue()
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.disk == nil {
		opt.disk = osDisk{}
	}
	if opt.Now == nil || opt.DB == nil || opt.Dir == "" {
		return nil, errors.New("open the event store: Dir, DB and Now must be set")
	}
	s := &Store{opt: opt, columns: parquet.NewColumns(opt.Catalogue), slog: opt.Log, hurt: map[string]error{}}
	s.recent.most = maxRollups
	s.log = eventLog{
		dir: filepath.Join(opt.Dir, "log"), disk: opt.disk,
		now:     func() int64 { return opt.Now().UnixNano() },
		damaged: s.damaged,
		notice:  s.slog.Warn,
		reads:   opt.ReadOnly,
	}
	// The log first: what another process compacts meanwhile is in the segments then.
	if err := s.log.open(); err != nil {
		return nil, errors.Join(err, s.log.close())
	}
	err := s.openSegments()
	if err == nil && !opt.ReadOnly {
		err = cmp.Or(s.removeLeftovers(), s.log.skip(s.segs.compacted))
	}
	if err != nil {
		return nil, errors.Join(err, s.log.close())
	}
	return s, nil
}

// damaged notes what cannot be read. It is told once.
func (s *Store) damaged(name string, err error) {
	const most = 1000
	key := name + ": " + err.Error()
	s.mu.Lock()
	_, known := s.hurt[key]
	if !known && len(s.hurt) < most {
		s.hurt[key] = err
	}
	s.mu.Unlock()
	if !known {
		s.slog.Error("stored events cannot be read; the rest is served", "file", name, "error", err)
	}
}

func noSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Append implements [store.Events]. After an error nothing more is taken until
// [Store.Reopen].
func (s *Store) Append(ctx context.Context, frames []store.Encoded) ([]int64, error) {
	if err := cmp.Or(ctx.Err(), s.writable()); err != nil {
		return nil, err //nolint:wrapcheck // the caller's own
	}
	if len(frames) == 0 {
		return nil, nil
	}
	return s.log.append(frames)
}

// Reopen makes the store take frames again after an append failed and the reason is
// gone.
func (s *Store) Reopen() error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.log.reopen()
}

func (s *Store) writable() error {
	if s.opt.ReadOnly {
		return fmt.Errorf("the event store in %s is open for reading: %w", s.opt.Dir, store.ErrReadOnly)
	}
	return nil
}

// End implements [store.Events].
func (s *Store) End() int64 {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.end
}

// Folded implements [store.Events]. If the log ends before, it goes on there: frames
// that were folded are lost, which is told.
func (s *Store) Folded(before int64) {
	s.mu.Lock()
	s.folded = max(s.folded, before)
	s.mu.Unlock()
	end := s.End()
	if end >= before || s.opt.ReadOnly {
		return
	}
	s.damaged(s.log.dir, fmt.Errorf("%w: the log ends at offset %d, but it was stored and evaluated up to %d: files of it are missing or cut",
		store.ErrDamaged, end, before))
	if err := s.log.skip(before); err != nil {
		s.slog.Error("the event log cannot go on behind what is missing", "error", err)
	}
}

// Replay implements [store.Events]. Frames that are damaged are told to the log of
// the options and left out.
func (s *Store) Replay(ctx context.Context, from int64) iter.Seq2[store.Logged, error] {
	return func(yield func(store.Logged, error) bool) {
		files, release := s.useLog(from)
		defer release()
		var d decoder
		for _, f := range files {
			if !s.replay(ctx, f, from, &d, yield) {
				return
			}
		}
	}
}

// replay yields the frames of one file and reports whether to go on.
func (s *Store) replay(ctx context.Context, f logPart, from int64, d *decoder, yield func(store.Logged, error) bool) bool {
	file, err := os.Open(f.path)
	if err != nil {
		return yield(store.Logged{}, fmt.Errorf("replay the event log: %w", err))
	}
	defer func() { _ = file.Close() }() // only read from
	w := f.walker(file, from, s.damaged)
	for {
		h, at, err := w.next()
		if errors.Is(err, io.EOF) {
			return true
		}
		var frame store.Frame
		var b []byte
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			b, err = w.payload(&h, at)
		}
		if err != nil {
			yield(store.Logged{}, fmt.Errorf("replay %s: %w", f.path, err))
			return false
		}
		if frame, err = d.decode(&h, b); err != nil {
			w.damaged(at, w.pos, err)
			continue
		}
		if !yield(store.Logged{Frame: frame, End: w.pos}, nil) {
			return false
		}
	}
}

// A logPart is a log file as it was at one moment.
type logPart struct {
	*logFile

	logSums
}

// walker reads the frames from an offset on.
func (p *logPart) walker(f io.ReaderAt, from int64, damaged func(string, error)) walker {
	return walker{file: f, base: p.base, pos: max(p.base, from), end: p.logSums.end, damaged: func(from, to int64, err error) {
		damaged(p.path, p.damage(from, to, err))
	}}
}

// useLog returns the log files that reach beyond an offset. They stay until release is
// called.
func (s *Store) useLog(from int64) (parts []logPart, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts = s.holdLog(from)
	return parts, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range parts {
			s.letGo(&p.held, p.path)
		}
	})
}

// holdLog takes hold of the log files that reach beyond an offset. s.mu is held.
func (s *Store) holdLog(from int64) (parts []logPart) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, f := range s.log.files {
		if f.end > from {
			f.users++
			parts = append(parts, logPart{f, f.logSums})
		}
	}
	return parts
}

// Close implements [store.Events].
func (s *Store) Close() error {
	s.log.write.Lock()
	defer s.log.write.Unlock()
	if s.log.failed == nil {
		s.log.failed = errors.New("append to the event log: the store is closed")
	}
	return s.log.close()
}
