package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxResumes is how often in a row a body that breaks is asked for again before the
// delivery fails. Bytes that come set it back.
const maxResumes = 5

// errIdle ends a request whose body stands still.
var errIdle = errors.New("no data came for too long")

// A body reads an object and goes on where it broke. It belongs to one goroutine.
type body struct {
	ctx       context.Context
	s         *Source
	key, etag string
	note      func(error) // told of what ended it: io.EOF if it was read whole
	open      *attempt    // nil between requests
	off, size int64       // size is -1 until known
	failures  int
	err       error // sticky
}

// attempt is one request.
type attempt struct {
	io.ReadCloser
	ctx   context.Context // its own; body.ctx is the caller's
	end   context.CancelCauseFunc
	timer *time.Timer
}

// openBody asks for the object; etag binds the version, "" takes any. It returns with
// the first answer, so that what cannot be read fails here.
func (s *Source) openBody(ctx context.Context, key, etag string, note func(error)) (*body, info, error) {
	b := &body{ctx: ctx, s: s, key: key, etag: etag, size: -1, note: note}
	for {
		i, err := b.request() //nolint:contextcheck // a body has the context of its opening
		if err == nil {
			return b, i, nil
		}
		if err = b.pause(err); err != nil {
			return nil, info{}, err
		}
	}
}

// opener is how a delivery opens the object.
func (s *Source) opener(key, etag string, note func(error)) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		b, _, err := s.openBody(ctx, key, etag, note)
		if err != nil {
			return nil, err
		}
		return b, nil
	}
}

// request asks from the offset on.
func (b *body) request() (info, error) {
	ctx, end := context.WithCancelCause(b.ctx)
	timer := time.AfterFunc(b.s.o.IdleTimeout, func() { end(errIdle) })
	b.s.stats.gets.Add(1)
	r, i, err := b.s.bucket.get(ctx, b.key, b.etag, b.off)
	timer.Stop()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
			err = fmt.Errorf("read %s: %w", b.s.url(b.key), errIdle)
		}
		end(nil)
		return info{}, err
	}
	if i.size >= 0 && b.size < 0 {
		b.size = b.off + i.size
	}
	b.etag = i.etag // what follows is of the same version
	b.open = &attempt{ReadCloser: r, ctx: ctx, end: end, timer: timer}
	return i, nil
}

// Read fills p. The time in which nobody reads is not idle.
func (b *body) Read(p []byte) (int, error) {
	for b.err == nil && len(p) > 0 {
		if b.open == nil {
			if _, err := b.request(); err != nil {
				b.err = b.pause(err)
				continue
			}
		}
		b.open.timer.Reset(b.s.o.IdleTimeout)
		n, err := b.open.Read(p)
		b.open.timer.Stop()
		b.off += int64(n)
		if n > 0 {
			b.failures = 0
		}
		if err != nil {
			b.broken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// broken handles the end of a request's body: the object's end, or a break.
func (b *body) broken(err error) {
	if errors.Is(context.Cause(b.open.ctx), errIdle) {
		err = errIdle
	}
	b.hangUp()
	switch {
	case b.size >= 0 && b.off >= b.size, b.size < 0 && errors.Is(err, io.EOF):
		b.err = io.EOF
		b.note(io.EOF)
	default:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		b.err = b.pause(fmt.Errorf("read %s at byte %d: %w", b.s.url(b.key), b.off, err))
	}
}

// pause waits before the next request; it returns err if there should be none.
func (b *body) pause(err error) error {
	b.failures++
	if b.failures > maxResumes || b.ctx.Err() != nil || isDefinite(err) {
		b.note(err)
		return err
	}
	if sleep(b.ctx, backoff(b.failures, 200*time.Millisecond, 10*time.Second)) != nil {
		b.note(err)
		return err
	}
	return nil
}

// isDefinite says that asking again at once gives the same answer.
func isDefinite(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, errChanged) || errors.Is(err, errDenied) || errors.Is(err, errArchive)
}

func (b *body) hangUp() {
	if b.open != nil {
		b.open.timer.Stop()
		_ = b.open.Close() // nobody reads on
		b.open.end(nil)
		b.open = nil
	}
}

// Close ends the request.
func (b *body) Close() error {
	b.hangUp()
	if b.err == nil {
		b.err = errors.New("read after close")
	}
	return nil
}

// A mark keeps the last error of the bodies of one delivery, so that it is known
// whether the bucket or the sink failed, however the sink wraps it.
type mark struct {
	mu  sync.Mutex
	err error
}

func (m *mark) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *mark) get() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}
