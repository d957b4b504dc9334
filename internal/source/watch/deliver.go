package watch

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/debutsec/debut/internal/source"
)

// offer has a look at a finished file, and delivers of it what has not been read.
func (s *Source) offer(ctx context.Context, path string, p *pending) {
	fl := &flight{path: path, stamp: p.stamp, d: s.whole(path, p.stamp)}
	f, err := os.Open(path)
	if err != nil {
		s.failed(ctx, fl, err)
		return
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	switch {
	case err != nil:
		s.failed(ctx, fl, err)
		return
	case stampOf(info) != p.stamp || !info.Mode().IsRegular():
		s.consider(path, info) // it has just changed
		return
	}
	first, err := s.firstLine(f, p.stamp.size)
	if err != nil {
		s.failed(ctx, fl, err)
		return
	}
	var last *plan
	var key string
	if first != nil {
		last, key, err = s.findPlan(ctx, f, fl, first)
	}
	switch {
	case err != nil:
	case first != nil && (last != nil || p.grows || p.stamp.size >= s.opt.Lines):
		err = s.offerPart(ctx, f, fl, last, key, p)
	case !p.grows:
		err = s.offerWhole(ctx, f, fl)
	}
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.Is(err, errStore):
		s.later(fl)
		s.sink.Trouble(s.opt.Name, err)
	default:
		s.failed(ctx, fl, err)
	}
}

// whole is the delivery of a whole file, but for how to open it.
func (s *Source) whole(path string, st stamp) source.Delivery {
	return source.Delivery{
		Source: s.opt.Name, Name: path, Key: source.KeyOf(path), Arrived: time.Unix(0, st.mtime).UTC(),
		Object: &source.Object{Name: path, Version: st.version()},
	}
}

// errStore marks errors that are the store's, not the file's.
var errStore = errors.New("the store does not answer")

// has asks the sink for an object.
func (s *Source) has(ctx context.Context, o *source.Object) (bool, error) {
	has, err := s.sink.Has(ctx, *o)
	if err != nil {
		err = errors.Join(errStore, err)
	}
	return has, err
}

// offerWhole delivers a file that is read as a whole.
func (s *Source) offerWhole(ctx context.Context, f *os.File, fl *flight) error {
	var err error
	if fl.sum, err = fingerprint(f, fl.stamp.size); err != nil {
		return err
	}
	known := s.index.known(fl.stamp, fl.path, fl.sum) // by another name
	if !known {
		if known, err = s.has(ctx, fl.d.Object); err != nil {
			return err
		}
	}
	if known {
		s.finished(fl)
		return nil
	}
	return s.deliver(ctx, fl, 0, -1)
}

// finished notes that a file needs nothing any more.
func (s *Source) finished(fl *flight) {
	s.index.add(fl.stamp, fl.path, fl.sum)
	delete(s.retries, fl.path)
}

// deliver hands the bytes from start on, up to end if it is not negative, to the sink.
func (s *Source) deliver(ctx context.Context, fl *flight, start, end int64) error {
	fl.d.Open = func(context.Context) (io.ReadCloser, error) {
		f, err := os.Open(fl.path)
		if err != nil {
			return nil, fl.blame(reasonOf(err))
		}
		r := &reader{f: f, in: f, fl: fl}
		if end >= 0 {
			r.in = io.NewSectionReader(f, start, end-start)
			r.left = end - start
		}
		return r, nil
	}
	fl.d.Done = func(o source.Outcome) {
		fl.out = o
		s.mu.Lock()
		s.results = append(s.results, fl)
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default: // it will be looked at anyway
		}
	}
	s.flights[fl.path] = fl
	if err := s.sink.Deliver(ctx, fl.d); err != nil {
		delete(s.flights, fl.path)
		return err //nolint:wrapcheck // that of ctx
	}
	return nil
}

// blame notes that the file could not be read.
func (fl *flight) blame(err error) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.bad = err
	return err
}

func (fl *flight) blamed() error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.bad
}

// A reader reads a file, or a part of it that must be there whole.
type reader struct {
	f    *os.File
	in   io.Reader
	fl   *flight
	left int64
}

// errShrunk is why a part cannot be read.
var errShrunk = errors.New("the file is shorter than it was")

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && r.left > 0:
		err = r.fl.blame(errShrunk)
	case err != nil && !errors.Is(err, io.EOF):
		err = r.fl.blame(reasonOf(err))
	}
	return n, err //nolint:wrapcheck // the delivery names the file
}

func (r *reader) Close() error { return r.f.Close() } //nolint:wrapcheck // only read from

// settleResults sees to the deliveries that are done.
func (s *Source) settleResults(ctx context.Context) {
	s.mu.Lock()
	list := s.results
	s.results = nil
	s.mu.Unlock()
	for _, fl := range list {
		delete(s.flights, fl.path)
		if fl.plan != nil {
			delete(s.plans, fl.plan.key)
		}
		bad := fl.blamed()
		switch err := fl.out.Err; {
		case ctx.Err() != nil && err != nil:
		case bad != nil && errors.Is(bad, errShrunk), err != nil && errors.Is(bad, os.ErrNotExist):
			// It is another file now, or gone: it is found as such.
		case bad != nil:
			s.failed(ctx, fl, bad)
		case err != nil:
			s.later(fl) // the sink's trouble, of which it tells itself
		case fl.plan != nil && fl.plan.End < fl.stamp.size:
			s.pending[fl.path] = &pending{stamp: fl.stamp, first: fl.plan.since, since: fl.plan.since, due: s.opt.Now()}
			delete(s.retries, fl.path)
		default:
			s.finished(fl)
			if info, err := os.Stat(fl.path); err == nil { // it may have changed meanwhile
				s.consider(fl.path, info)
			}
		}
	}
}
