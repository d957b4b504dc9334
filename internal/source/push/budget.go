package push

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"
)

// A budget bounds the bytes of bodies that are in memory.
type budget struct {
	mu    sync.Mutex
	limit int64
	used  int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}

func (b *budget) pending() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// A body is in memory, and on the budget until it is released.
type body struct {
	bytes  []byte
	budget *budget
	once   sync.Once
}

func (b *body) release() {
	b.once.Do(func() { b.budget.give(int64(cap(b.bytes))) })
}

// firstRead is how much room a body gets at first: what a client says of its length is
// not believed beyond that.
const firstRead = 64 << 10

// read reads a body of at most limit bytes. What it holds is on the budget before it is
// allocated. An error leaves nothing on it.
func (b *budget) read(r io.Reader, limit int64) (*body, error) {
	out := &body{budget: b}
	for {
		if len(out.bytes) == cap(out.bytes) {
			if err := out.grow(limit); err != nil {
				out.release()
				return nil, err
			}
		}
		n, err := r.Read(out.bytes[len(out.bytes):cap(out.bytes)])
		out.bytes = out.bytes[:len(out.bytes)+n]
		switch {
		case int64(len(out.bytes)) > limit:
			err = errTooLarge
		case errors.Is(err, io.EOF):
			return out, nil
		case err == nil:
			continue
		}
		out.release()
		return nil, readFailure(err)
	}
}

// grow doubles the room, up to one byte more than limit.
func (b *body) grow(limit int64) error {
	was := int64(cap(b.bytes))
	room := min(max(firstRead, 2*was), limit+1)
	if !b.budget.take(room) {
		return errPressure
	}
	b.bytes = append(make([]byte, 0, room), b.bytes...)
	b.budget.give(was)
	return nil
}

// readFailure says why a body could not be read.
func readFailure(err error) error {
	var known *failure
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &large):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	}
	return &failure{http.StatusBadRequest, "bad-body", "the body could not be read to its end: " + err.Error(), 0}
}

// A rate bounds bytes per second, on average: a bucket that holds a second's worth, and
// may be overdrawn by one body.
type rate struct {
	mu        sync.Mutex
	perSecond int64
	now       func() time.Time
	balance   float64
	at        time.Time
}

// wait returns how long the next body has to wait, 0 if it may come.
func (r *rate) wait() time.Duration {
	if r.perSecond <= 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fill()
	if r.balance > 0 {
		return 0
	}
	return time.Duration(math.Ceil((1 - r.balance) / float64(r.perSecond) * float64(time.Second)))
}

// spend takes a body from the bucket.
func (r *rate) spend(n int64) {
	if r.perSecond <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fill()
	r.balance -= float64(n)
}

func (r *rate) fill() {
	now, full := r.now(), float64(r.perSecond)
	if r.at.IsZero() {
		r.balance = full
	} else if passed := now.Sub(r.at); passed > 0 { // a clock may be set back
		r.balance = min(full, r.balance+passed.Seconds()*full)
	}
	r.at = now
}
