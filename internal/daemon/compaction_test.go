package daemon

import (
	"context"
	"errors"
	"testing"
)

// compactions is a store that counts how often it was compacted.
type compactions struct {
	waiting bool
	err     error
	n       int
}

func (c *compactions) Waiting() bool { return c.waiting }

func (c *compactions) Compact(context.Context) error {
	c.n++
	return c.err
}

// What waits is compacted at once, but not again and again when that fails.
func TestCompaction(t *testing.T) {
	t.Parallel()
	s, told := &compactions{}, 0
	c := compaction{store: s, tell: func(err error) {
		if err != nil {
			told++
		}
	}}
	step := func(name string, do func(context.Context), want, errs int) {
		t.Helper()
		if do(t.Context()); s.n != want || told != errs {
			t.Errorf("%s: compacted %d times, want %d; told of %d errors, want %d", name, s.n, want, told, errs)
		}
	}
	step("nothing waits", c.full, 0, 0)
	step("the interval", c.run, 1, 0)
	s.waiting = true
	step("a full file", c.full, 2, 0)
	s.err = errors.New("the disk is full")
	step("it fails", c.full, 3, 1)
	step("and waits", c.full, 3, 1)
	step("and waits still", c.full, 3, 1)
	step("the interval tries", c.run, 4, 2)
	s.err = nil
	step("and waits on", c.full, 4, 2)
	step("the interval succeeds", c.run, 5, 2)
	step("as before", c.full, 6, 2)
}
