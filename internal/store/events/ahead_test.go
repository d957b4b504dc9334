package events

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/debutsec/debut/internal/store"
)

// manySegments is a store of segments that follow each other in time.
func manySegments(t *testing.T, opt Options, each ...int) (s *Store, all []store.Record) {
	t.Helper()
	s = open(t, opt)
	for _, n := range each {
		list := records(len(all), n)
		add(t, s, encode(t, list...))
		compact(t, s)
		all = append(all, list...)
	}
	return s, all
}

// What is read ahead comes in order and whole, wherever a batch ends and wherever the
// reader stops; no goroutine is left (TestMain).
func TestReadAhead(t *testing.T) {
	t.Parallel()
	s, all := manySegments(t, options(t.TempDir(), &memDB{}), 300, 1, 256, 700, 3, 90)
	rising := texts(all)
	for _, falling := range []bool{false, true} {
		want := slices.Clone(rising)
		if falling {
			slices.Reverse(want)
		}
		for _, limit := range []int{0, 1, 2, 299, 300, 301, 302, 557, 558, 1000, 1349} {
			end := len(want)
			if limit > 0 {
				end = limit
			}
			if got := scanned(t, s, store.Scan{Descending: falling, Limit: limit}); !slices.Equal(got, want[:end]) {
				t.Errorf("falling %t, limit %d: %d events, or others", falling, limit, len(got))
			}
		}
		for stop := range 12 {
			n := 0
			for e, err := range s.Scan(t.Context(), store.Scan{Descending: falling}) {
				if err != nil || string(e.Raw) != want[n] {
					t.Fatalf("event %d: %s, error %v", n, e.Raw, err)
				}
				if n++; n > stop*100 {
					break
				}
			}
		}
	}
}

// Damage in what is read ahead is told of, and costs nothing else.
func TestReadAheadOfDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opt := options(dir, &memDB{})
	opt.Log = new(logLines).logger()
	s, all := manySegments(t, opt, 100, 100, 100, 100, 100)
	want := texts(all)
	for _, i := range []int{4, 3} { // read ahead of others
		path := filepath.Join(dir, "segments", fmt.Sprintf("%012d.parquet", i))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		want = slices.Delete(want, (i-1)*100, i*100)
	}
	var told []string
	got := scanned(t, s, store.Scan{Damaged: func(name string, _ error) { told = append(told, filepath.Base(name)) }})
	if !slices.Equal(got, want) {
		t.Errorf("%d events, or others", len(got))
	}
	slices.Sort(told)
	if !slices.Equal(told, []string{"000000000003.parquet", "000000000004.parquet"}) {
		t.Errorf("told of %q", told)
	}
}

// The error of a part is the scan's, behind what came before it.
func TestReadAheadError(t *testing.T) {
	t.Parallel()
	entries := func(from, to int) *sliceStream {
		s := &sliceStream{}
		for _, r := range records(from, to-from) {
			s.list = append(s.list, entry{Record: r})
		}
		return s
	}
	bad := entries(10, 20)
	bad.err = errInjected
	var parts []part
	for i, s := range []*sliceStream{entries(0, 10), bad, entries(20, 30)} {
		parts = append(parts, part{first: records(10*i, 1)[0].Time, open: func() (stream, error) { return s, nil }})
	}
	m := newMerger(parts, false, false).readAhead(4)
	var e entry
	n := 0
	for ; ; n++ {
		ok, err := m.next(&e)
		if errors.Is(err, errInjected) {
			break
		}
		if !ok || err != nil || !strings.Contains(string(e.Raw), fmt.Sprintf("%012d", n)) {
			t.Fatalf("entry %d: %t, error %v", n, ok, err)
		}
	}
	if n < 19 || n > 20 { // the last may be a copy of one that cannot be read
		t.Errorf("%d entries before the error", n)
	}
	if err := m.close(); err != nil {
		t.Error(err)
	}
	if !bad.closed {
		t.Error("the part that failed is open")
	}
}

// A panic on the goroutine of a part is one of who asks: a server survives it.
func TestReadAheadPanic(t *testing.T) {
	t.Parallel()
	m := newMerger([]part{
		{first: 1, open: func() (stream, error) { return &sliceStream{}, nil }},
		{first: 2, open: func() (stream, error) { panic("of a part") }},
	}, false, false).readAhead(4)
	defer func() {
		if p := recover(); p != "of a part" {
			t.Errorf("panicked with %v", p)
		}
		if err := m.close(); err != nil {
			t.Error(err)
		}
	}()
	var e entry
	_, err := m.next(&e)
	t.Errorf("no panic; error %v", err)
}

// A sliceStream yields entries, and then fails.
type sliceStream struct {
	list   []entry
	err    error
	closed bool
}

func (s *sliceStream) next(e *entry) (bool, error) {
	if len(s.list) == 0 {
		return false, s.err
	}
	*e, s.list = s.list[0], s.list[1:]
	return true, nil
}

func (*sliceStream) repeats() bool  { return false }
func (s *sliceStream) close() error { s.closed = true; return nil }
