package events

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
)

// Scan implements [store.Events]. Of an event's unequal copies those that match are
// compared, and the one with the smallest hash is yielded.
func (s *Store) Scan(ctx context.Context, q store.Scan) iter.Seq2[*store.Stored, error] {
	return func(yield func(*store.Stored, error) bool) {
		r := s.newReader(ctx, q)
		defer r.release()
		m := newMerger(r.parts(), q.Descending, q.Copies).readAhead(maxAhead())
		defer func() { _ = m.close() }() // only read from
		var e entry
		var out store.Stored
		for n := 0; q.Limit == 0 || n < q.Limit; n++ {
			ok, err := m.next(&e)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, fmt.Errorf("search the stored events: %w", err))
				return
			}
			if !ok {
				return
			}
			ev, err := r.maker.make(&e)
			if err != nil {
				r.damaged("event "+e.ID.String(), err)
				n--
				continue
			}
			out = store.Stored{Record: e.Record, Event: ev, Ingested: ingestTime(e.ingested)}
			if !yield(&out, nil) {
				return
			}
		}
	}
}

// Find implements [store.Events].
func (s *Store) Find(ctx context.Context, t time.Time, id ecs.ID) (*store.Stored, error) {
	return store.FindByScan(ctx, s, t, id)
}

// A reader is one scan over a snapshot of the store.
type reader struct {
	*snapshot

	ctx      context.Context //nolint:containedctx // that of one scan
	match    query.Expr
	from, to int64
	falling  bool
	maker    *eventMaker // of the scan's goroutine
	store    *Store
	mu       sync.Mutex                   // guards told
	told     func(name string, err error) // of the caller; may be nil
	buf      []byte                       // for a file of rollups
}

func (s *Store) newReader(ctx context.Context, q store.Scan) *reader {
	r := &reader{
		snapshot: s.snapshot(), store: s, ctx: ctx, match: q.Match, from: minTime, to: maxTime, falling: q.Descending,
		told: q.Damaged,
	}
	r.maker = r.newMaker()
	if !q.From.IsZero() {
		r.from = q.From.UnixNano()
	}
	if !q.To.IsZero() {
		r.to = q.To.UnixNano()
	}
	return r
}

// damaged tells of what cannot be read.
func (r *reader) damaged(name string, err error) {
	r.store.damaged(name, err)
	r.tell(name, err)
}

// tell is called by the goroutines of all parts.
func (r *reader) tell(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told != nil {
		r.told(name, err)
	}
}

func (r *reader) newMaker() *eventMaker {
	return newEventMaker(r.store.opt.Catalogue, r.store.opt.Enricher)
}

// parts returns what there is to read.
func (r *reader) parts() []part {
	var parts []part
	for _, g := range r.segments {
		if lo, hi := g.Min.UnixNano(), g.Max.UnixNano(); lo < r.to && hi >= r.from {
			parts = append(parts, part{first: r.begin(lo, hi), open: func() (stream, error) { return r.openSegment(g) }})
		}
	}
	return append(parts, r.logParts()...)
}

// logParts returns what there is to read of the log.
func (r *reader) logParts() (parts []part) {
	for _, p := range r.log {
		if p.min < r.to && p.max >= r.from {
			parts = append(parts, part{first: r.begin(p.min, p.max), open: func() (stream, error) { return r.openLog(p) }})
		}
	}
	return parts
}

// begin is the time at which the scan comes to something with those times.
func (r *reader) begin(lo, hi int64) int64 {
	if r.falling {
		return min(hi, r.to)
	}
	return max(lo, r.from)
}

func (r *reader) openSegment(g *segment) (stream, error) {
	if err := r.changed(g.path); err != nil {
		return nil, err
	}
	s := &segmentReader{
		from: r.from, to: r.to, match: r.match, falling: r.falling, maker: r.newMaker(),
		damaged: func(err error) error {
			r.store.hurtSegment(g, err)
			r.tell(g.path, err)
			return r.ctx.Err() //nolint:wrapcheck // the caller's own
		},
	}
	return s, s.open(g)
}

// changed returns ErrChanged if a file is gone that another process may have removed.
func (r *reader) changed(path string) error {
	if !r.store.opt.ReadOnly {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is gone", ErrChanged, path)
	}
	return nil
}

func (r *reader) openLog(p logPart) (stream, error) {
	if err := r.changed(p.path); err != nil {
		return nil, err
	}
	f, err := os.Open(p.path)
	if err != nil {
		r.damaged(p.path, err)
		return nil, nil
	}
	var keep func(*entry) bool
	if r.match != nil {
		maker := r.newMaker()
		keep = func(e *entry) bool {
			ev, err := maker.make(e)
			return err == nil && r.match.Match(ev)
		}
	}
	s, err := newLogStream(p.walker(f, r.snapshot.from, r.damaged), f, r.from, r.to, r.falling, keep)
	if err != nil {
		_ = f.Close() // only read from
		r.damaged(p.path, err)
		return nil, r.ctx.Err() //nolint:wrapcheck // the caller's own
	}
	return s, nil
}
