package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

// An item is an object that was found.
type item struct {
	key     string // in the bucket
	etag    string // "" if who told of it does not know
	at      time.Time
	k       *cloudtrail.Key
	foundBy string // listing, notification or digest
}

// errGivenUp is the end of an object that could not be read in several attempts. The
// ledger has it if its version is known; else it may have been read before and deleted
// since.
var errGivenUp = errors.New("given up")

const (
	// maxAttempts is how often an object is delivered before it is given up. Attempts
	// in a time in which nothing else could be read do not count: then it is not the
	// object's fault.
	maxAttempts   = 5
	firstBackoff  = time.Second
	mostBackoff   = time.Minute
	digestsAtOnce = 16
)

// A run is one call of Run.
type run struct {
	*Source
	ctx  context.Context // that of Run: an object in flight belongs to nobody else
	sink source.Sink
	wg   sync.WaitGroup

	mu      sync.Mutex
	flights map[source.Object]*flight
	slots   chan struct{} // of objects handed over
	digests chan struct{} // of digests at work, which wait for objects and so need slots of their own
	parked  parked
	seen    seen
	hashes  hashes // of digests

	successes atomic.Int64 // requests to S3 that went well
	trouble   trouble
}

func (s *Source) newRun(ctx context.Context, sink source.Sink) *run {
	r := &run{
		Source: s, ctx: ctx, sink: sink, flights: map[source.Object]*flight{},
		slots: make(chan struct{}, s.o.Concurrency), digests: make(chan struct{}, digestsAtOnce),
	}
	r.trouble.tell = func(err error) { sink.Trouble(s.o.Name, err) }
	r.seen.seed()
	return r
}

// A flight is an object on its way to being durable. Whoever else finds the object
// meanwhile waits for the same one.
type flight struct {
	done chan struct{}
	err  error // valid when done is closed: nil, errGivenUp, or that of the context
}

func (f *flight) wait() error {
	<-f.done
	return f.err
}

// fetch starts to bring an object to the sink, or joins who does. It waits for a free
// slot.
func (r *run) fetch(it item) *flight {
	id := r.object(it.key, it.etag)
	r.mu.Lock()
	if f := r.flights[id]; f != nil {
		r.mu.Unlock()
		return f
	}
	f := &flight{done: make(chan struct{})}
	r.flights[id] = f
	r.mu.Unlock()
	land := func(err error) {
		r.mu.Lock()
		delete(r.flights, id)
		r.mu.Unlock()
		f.err = err
		close(f.done)
	}
	slots := r.slots
	if it.k.Digest() {
		slots = r.digests
	}
	select {
	case <-r.ctx.Done():
		land(r.ctx.Err())
		return f
	case slots <- struct{}{}:
	}
	r.wg.Go(func() {
		err := r.fly(r.ctx, it)
		<-slots
		land(err)
	})
	return f
}

// fly tries until the object is durable, is given up, or ctx ends.
func (r *run) fly(ctx context.Context, it item) error {
	found, charged, healthy := it, 0, r.successes.Load()
	for n := 1; ; n++ {
		err := r.attempt(ctx, &it)
		switch {
		case err == nil:
			r.seen.add(r.object(it.key, it.etag))
			r.trouble.clear("objects")
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case isSink(err): // it tells of its trouble itself
			r.log.Debug("object not taken; trying again", "object", r.url(it.key), "err", err)
		default:
			r.log.Debug("object not read; trying again", "object", r.url(it.key), "attempt", n, "err", err)
			now := r.successes.Load()
			if errors.Is(err, errGone) || now > healthy {
				charged++ // others were read since the last attempt
			} else if n >= 3 {
				r.trouble.set("objects", err)
			}
			healthy = now
			if errors.Is(err, errChanged) || errors.Is(err, errGone) {
				it.etag = "" // look again which version there is
			}
		}
		if charged >= maxAttempts {
			if it.etag == "" {
				it.etag = found.etag // the version that was told of
			}
			if it.etag == "" || r.giveUp(ctx, it, err) == nil {
				return fmt.Errorf("%w: %w", errGivenUp, err)
			}
		}
		if err := sleep(ctx, backoff(n, firstBackoff, mostBackoff)); err != nil {
			return err
		}
	}
}

// A sinkError is a failure of the sink, so not of the object.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

func isSink(err error) bool {
	_, ok := errors.AsType[sinkError](err)
	return ok
}

// attempt delivers once and waits for the outcome.
func (r *run) attempt(ctx context.Context, it *item) error {
	if it.etag == "" {
		r.stats.gets.Add(1)
		limited, cancel := context.WithTimeout(ctx, r.o.IdleTimeout)
		i, err := r.bucket.head(limited, it.key)
		cancel()
		if err != nil {
			return err
		}
		r.successes.Add(1)
		it.etag, it.at = i.etag, i.modified
	}
	if it.k.Digest() {
		return r.readDigest(ctx, it)
	}
	return r.deliver(ctx, it, nil)
}

// deliver hands the object over. Content that was read already is given as content.
func (r *run) deliver(ctx context.Context, it *item, content []byte) error {
	var m mark
	note := func(err error) {
		if errors.Is(err, io.EOF) {
			r.successes.Add(1)
			return
		}
		m.set(err)
	}
	open := r.opener(it.key, it.etag, note)
	if content != nil {
		open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	}
	id := r.object(it.key, it.etag)
	outcome := make(chan source.Outcome, 1)
	err := r.sink.Deliver(ctx, source.Delivery{
		Source: r.o.Name, Name: r.url(it.key), Key: it.k, Object: &id, Arrived: it.at,
		Open: open,
		Done: func(o source.Outcome) { outcome <- o },
	})
	if err != nil {
		return sinkError{err}
	}
	o := <-outcome // the sink promises one, also when it closes
	if o.Err == nil {
		if !o.Seen {
			r.stats.read.Add(1)
		}
		return nil
	}
	if cause := m.get(); cause != nil {
		return cause
	}
	return sinkError{o.Err}
}

// giveUp notes in the ledger that the object could not be read. It is an error if the
// ledger cannot be written.
func (r *run) giveUp(ctx context.Context, it item, cause error) error {
	id := r.object(it.key, it.etag)
	if err := r.sink.Expect(ctx, []source.Expected{r.expected(it, id)}); err != nil {
		return err
	}
	if err := r.sink.Fail(ctx, id, it.k, fmt.Sprintf("%v (given up after %d attempts; listings try again)", cause, maxAttempts)); err != nil {
		return err
	}
	r.seen.remove(id)
	r.stats.failed.Add(1)
	r.log.Warn("object given up for now", "object", r.url(it.key), "err", cause)
	return nil
}

// expected is the ledger's line.
func (r *run) expected(it item, id source.Object) source.Expected {
	return source.Expected{Object: id, Account: it.k.Account, Region: it.k.Region, Hour: hourOf(it.k), By: it.foundBy}
}

// hourOf is the hour of delivery, as the object's name tells: the last element that
// looks like a time. Names that tell none count for the beginning of their day.
func hourOf(k *cloudtrail.Key) time.Time {
	stem, _, _ := strings.Cut(k.File, ".")
	for rest := stem; rest != ""; {
		i := strings.LastIndexByte(rest, '_')
		part := rest[i+1:]
		rest = rest[:max(i, 0)]
		if len(part) < len("20060102T15") || part[8] != 'T' {
			continue
		}
		if t, err := time.Parse("20060102T15", part[:len("20060102T15")]); err == nil {
			return t
		}
	}
	return k.Day
}

// trouble is what does not work at the moment, by part of the source.
type trouble struct {
	mu   sync.Mutex
	by   map[string]error
	tell func(error)
}

func (t *trouble) set(part string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[string]error{}
	}
	t.by[part] = err
	t.say()
}

func (t *trouble) clear(part string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[part] == nil {
		return
	}
	delete(t.by, part)
	t.say()
}

// say tells all that is wrong, each thing once.
func (t *trouble) say() {
	var list []error
	said := map[string]bool{}
	for _, part := range []string{"queue", "listing", "history", "objects"} {
		if err := t.by[part]; err != nil && !said[err.Error()] {
			said[err.Error()] = true
			list = append(list, err)
		}
	}
	t.tell(errors.Join(list...))
}
