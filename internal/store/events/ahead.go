package events

import (
	"runtime"
	"sync"
)

// A scan of many parts reads the next ones while one is read, each on a goroutine of its
// own: one more for each part that the scan has come to, since many want little.
func maxAhead() int { return min(runtime.GOMAXPROCS(0), 4) }

// How much of a part is read ahead: a batch of few entries at first, and two batches at
// most.
const (
	aheadEntries = 256
	aheadBytes   = 256 << 10
)

// An aheadStream reads a stream before it is asked to. It implements stream.
type aheadStream struct {
	full, empty chan *aheadBatch
	stop        chan struct{}
	stopped     sync.Once
	err         error // of the stream's end; like panicked set before full is closed
	panicked    any   // what the goroutine panicked with

	batch *aheadBatch // that is taken from
	done  int         // of it
}

type aheadBatch struct {
	entries []entry
	text    []byte // of the entries
}

// readAhead opens a part and reads it on a goroutine, which ends with the part or with
// close.
func readAhead(open func() (stream, error)) *aheadStream {
	a := &aheadStream{full: make(chan *aheadBatch, 1), empty: make(chan *aheadBatch, 2), stop: make(chan struct{})}
	a.empty <- &aheadBatch{}
	a.empty <- &aheadBatch{}
	go func() {
		defer close(a.full)
		// Whoever asks panics instead: he may be able to go on, as a server is.
		defer func() { a.panicked = recover() }()
		a.err = a.run(open)
	}()
	return a
}

func (a *aheadStream) run(open func() (stream, error)) (err error) {
	s, err := open()
	if err != nil || s == nil {
		return err
	}
	defer func() {
		if e := s.close(); err == nil {
			err = e
		}
	}()
	for most := 1; ; most = min(2*most, aheadEntries) {
		var b *aheadBatch
		select {
		case b = <-a.empty:
		case <-a.stop:
			return nil
		}
		more, err := b.fill(s, most)
		if len(b.entries) > 0 {
			select {
			case a.full <- b:
			case <-a.stop:
				return nil
			}
		}
		if err != nil || !more {
			return err
		}
	}
}

// fill takes entries of a stream, as many as are wanted at most.
func (b *aheadBatch) fill(s stream, most int) (more bool, err error) {
	if cap(b.text) > keepBuffer {
		b.text = nil // one giant must not keep its room
	}
	b.entries, b.text = b.entries[:0], b.text[:0]
	for len(b.entries) < most && len(b.text) < aheadBytes {
		var e entry
		if more, err = s.next(&e); err != nil || !more {
			break
		}
		start := len(b.text)
		b.text = append(b.text, e.Raw...) // what is in use stays where it is
		e.Raw = b.text[start:len(b.text):len(b.text)]
		b.entries = append(b.entries, e)
	}
	return more, err
}

// next implements stream.
func (a *aheadStream) next(e *entry) (bool, error) {
	if a.batch == nil || a.done == len(a.batch.entries) {
		if a.batch != nil {
			a.empty <- a.batch
		}
		a.done = 0
		if a.batch = <-a.full; a.batch == nil {
			if a.panicked != nil {
				panic(a.panicked)
			}
			return false, a.err
		}
	}
	*e = a.batch.entries[a.done]
	a.done++
	return true, nil
}

// repeats implements stream.
func (a *aheadStream) repeats() bool {
	if a.done == len(a.batch.entries) {
		return true // the next batch may begin with a copy
	}
	return a.batch.entries[a.done-1].compare(&a.batch.entries[a.done]) == 0
}

// close implements stream. It waits for the goroutine, whose error next has returned if
// anybody wanted it.
func (a *aheadStream) close() error {
	a.stopped.Do(func() { close(a.stop) })
	for range a.full {
	}
	return nil
}
