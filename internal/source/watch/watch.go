package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/debutsec/debut/internal/source"
)

// Options say what to watch. A zero field means its default.
type Options struct {
	Name string           // of the source; default "files"
	Dir  string           // the folder; it must be set, and may come into being later
	Now  func() time.Time // the clock; it must be set

	Settle   time.Duration // how long a file does not change before it is read; default 2 s
	Interval time.Duration // between two readings of the folder; default 30 s
	Lines    int64         // bytes from which on a file of lines is read in parts; default 64 KiB
	Part     int64         // bytes of a part, about; default 64 MiB

	Log *slog.Logger // what is worth knowing and no trouble; nil: nowhere

	watcher func() (*watcher, error)
}

// stale is how long a last line without its end is waited for; then it is delivered as
// it is, so that whoever cut it off is told of, and once more should it grow.
const stale = time.Minute

// maxPending bounds the files that are waited for at a time: the others come with the
// next reading of the folder.
const maxPending = 1 << 16

// A Source watches one folder.
type Source struct {
	opt  Options
	root string // without links; as of the last scan
	sink source.Sink
	log  *slog.Logger

	index   *index
	pending map[string]*pending
	flights map[string]*flight // by path
	plans   map[string]string  // keys of plans under way: path
	retries map[string]*retry
	more    bool // there was no room in pending
	buf     []byte

	watcher   *watcher
	watched   map[string]bool // folders
	unwatched bool            // some folder cannot be watched, and that was said
	walks     []string        // folders to walk
	links     []string        // folders outside that links lead to, in this scan
	broken    []error         // what cannot be listed, in this scan

	mu      sync.Mutex
	results []*flight
	wake    chan struct{} // of capacity 1: there are results
}

var _ source.Source = (*Source)(nil)

// pending is a file that is not known to be finished.
type pending struct {
	stamp stamp
	first time.Time // when it was seen
	since time.Time // it has not changed
	due   time.Time // when to look again
	// grows: it has become longer all the time since it was seen. Of a file of lines,
	// those that have their end can be read.
	grows bool
}

// A flight is a delivery that is not done.
type flight struct {
	path  string
	stamp stamp
	sum   uint64 // of the contents, of a whole file
	plan  *plan  // of a part
	d     source.Delivery
	out   source.Outcome

	mu  sync.Mutex
	bad error // why the file could not be read
}

// retry is a file that could not be read, or not be taken.
type retry struct {
	stamp    stamp
	attempts int
	next     time.Time
}

// New returns a Source of the folder.
func New(opt Options) (*Source, error) {
	if opt.Dir == "" {
		return nil, errors.New("watch: no folder is named")
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", opt.Dir, err)
	}
	opt.Dir = dir
	opt.Name = cmp.Or(opt.Name, "files")
	opt.Settle = cmp.Or(opt.Settle, 2*time.Second)
	opt.Interval = cmp.Or(opt.Interval, 30*time.Second)
	opt.Lines = cmp.Or(opt.Lines, 64<<10)
	opt.Part = cmp.Or(opt.Part, 64<<20)
	if opt.watcher == nil {
		opt.watcher = newWatcher
	}
	return &Source{opt: opt, log: cmp.Or(opt.Log, slog.New(slog.DiscardHandler))}, nil
}

// Name implements [source.Source].
func (s *Source) Name() string { return s.opt.Name }

// Run implements [source.Source].
func (s *Source) Run(ctx context.Context, sink source.Sink) error {
	s.sink = sink
	s.index = newIndex()
	s.pending, s.flights = make(map[string]*pending), make(map[string]*flight)
	s.plans, s.retries = make(map[string]string), make(map[string]*retry)
	s.watched, s.walks, s.results = make(map[string]bool), nil, nil
	s.wake = make(chan struct{}, 1)
	w, err := s.opt.watcher()
	if err != nil {
		s.log.Warn("the system does not tell of changes: files are found at the next reading of the folder", "source", s.opt.Name, "err", err)
		w = &watcher{}
	}
	s.watcher = w
	if err := s.index.load(ctx, sink, s.opt.Name); err != nil && ctx.Err() == nil {
		s.log.Warn("what has been read is asked of the store file by file", "source", s.opt.Name, "err", err)
	}
	s.loop(ctx)
	w.close()
	for s.settleResults(ctx); len(s.flights) > 0; s.settleResults(ctx) {
		<-s.wake
	}
	if err := s.index.flush(context.WithoutCancel(ctx), sink, s.opt.Name); err != nil {
		s.log.Warn("renamed files will be read again after the start", "source", s.opt.Name, "err", err)
	}
	return nil
}

// loop scans, and looks at what is due, until ctx ends.
func (s *Source) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var scan time.Time // when the next is due
	for ctx.Err() == nil {
		now := s.opt.Now()
		if !now.Before(scan) {
			s.scan(ctx)
			scan = s.opt.Now().Add(s.opt.Interval)
		}
		s.walk(ctx)
		s.settleResults(ctx)
		next := s.settlePending(ctx)
		if s.more && len(s.pending) < maxPending/2 {
			s.more, scan = false, time.Time{}
			continue
		}
		if next.IsZero() || scan.Before(next) {
			next = scan
		}
		timer.Reset(max(next.Sub(s.opt.Now()), 0))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wake:
		case ev := <-s.watcher.events:
			s.event(ev)
		case err := <-s.watcher.errors:
			scan = s.lost(err, scan)
		}
	}
}

// lost is told that events may be missing: only a scan can find them.
func (s *Source) lost(err error, scan time.Time) time.Time {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		s.log.Debug("watching", "source", s.opt.Name, "err", err)
		return scan
	}
	clear(s.watched)
	return s.opt.Now()
}

// event looks at what a hint names.
func (s *Source) event(ev fsnotify.Event) {
	if ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
		delete(s.watched, ev.Name)
		return
	}
	info, err := os.Lstat(ev.Name)
	if err != nil {
		return // gone again
	}
	s.entry(ev.Name, fs.FileInfoToDirEntry(info))
}

// settlePending looks again at files that may be finished, and offers those that are.
// It returns when to look next; zero: nothing is waited for.
func (s *Source) settlePending(ctx context.Context) (next time.Time) {
	earliest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	now := s.opt.Now()
	for path, r := range s.retries {
		switch _, waits := s.pending[path]; {
		case waits || s.flights[path] != nil:
		case now.Before(r.next):
			earliest(r.next)
		default:
			s.pending[path] = &pending{stamp: r.stamp, first: now, since: now.Add(-s.opt.Settle), due: now}
		}
	}
	for path, p := range s.pending {
		if ctx.Err() != nil {
			return next
		}
		if !now.Before(p.due) {
			s.look(ctx, path, p, now)
		}
		if p := s.pending[path]; p != nil {
			earliest(p.due)
		}
	}
	return next
}

// look offers a file that is waited for, if it has not changed, or only grows.
func (s *Source) look(ctx context.Context, path string, p *pending, now time.Time) {
	delete(s.pending, path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		delete(s.retries, path)
		return
	case err != nil:
		s.failed(ctx, &flight{path: path, stamp: p.stamp, d: s.whole(path, p.stamp)}, err)
		return
	}
	if st := stampOf(info); st == p.stamp {
		p.grows = false
	} else {
		grows := st.size > p.stamp.size && now.Sub(p.first) >= s.opt.Settle
		p = &pending{stamp: st, first: p.first, since: now, due: now.Add(s.opt.Settle), grows: grows}
		if !grows {
			s.pending[path] = p
			return
		}
	}
	s.offer(ctx, path, p)
	if p.grows && s.flights[path] == nil && s.pending[path] == nil && !s.index.done(p.stamp, path) {
		s.pending[path] = p // until it has come to an end
	}
}

// consider takes note of a file that is wanted.
func (s *Source) consider(path string, info fs.FileInfo) {
	st := stampOf(info)
	if s.index.done(st, path) || s.flights[path] != nil {
		return
	}
	now := s.opt.Now()
	if r := s.retries[path]; r != nil {
		if r.stamp == st {
			return
		}
		delete(s.retries, path) // it is another file now
	}
	switch p := s.pending[path]; {
	case p == nil && len(s.pending) >= maxPending:
		s.more = true
	case p == nil:
		s.pending[path] = &pending{stamp: st, first: now, since: now, due: now.Add(s.opt.Settle)}
	case p.due.Sub(now) > s.opt.Settle && p.stamp != st: // it was waited for the end of a line
		p.due = now.Add(s.opt.Settle)
	}
}

// backoff is how long to wait after so many attempts.
func backoff(attempts int) time.Duration {
	return min(time.Second<<min(attempts, 20), 5*time.Minute)
}

// attempts is after how many of them a file is called failed.
const attempts = 5

// maxRetries bounds the files that failed and are remembered. The others are tried
// again with each reading of the folder.
const maxRetries = 1 << 16

// failed notes that a file could not be read.
func (s *Source) failed(ctx context.Context, f *flight, err error) {
	n := s.later(f)
	if n != attempts && n > 0 {
		return
	}
	reason := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		reason = p.Err // the path is named anyway
	}
	if err := s.sink.Fail(ctx, *f.d.Object, f.d.Key, reason.Error()+": check its permissions and its disk"); err != nil && ctx.Err() == nil {
		s.log.Warn("a file cannot be read, and that could not be stored", "source", s.opt.Name, "file", f.path, "reason", reason, "err", err)
	}
}

// later has a file tried again, and returns how often it was tried; 0: nobody counts.
func (s *Source) later(f *flight) int {
	r := s.retries[f.path]
	if r == nil || r.stamp != f.stamp {
		if r == nil && len(s.retries) >= maxRetries {
			return 0
		}
		r = &retry{stamp: f.stamp}
		s.retries[f.path] = r
	}
	r.attempts++
	r.next = s.opt.Now().Add(backoff(r.attempts))
	return r.attempts
}
