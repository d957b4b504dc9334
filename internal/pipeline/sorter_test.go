package pipeline

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
)

// numbers is a codec of plain numbers.
var numbers = codec[int64]{
	size:   8,
	encode: func(b []byte, n *int64) []byte { return appendInt(b, *n) },
	decode: func(src []byte, n *int64) { *n = int64(binary.LittleEndian.Uint64(src)) },
}

func newNumbers(dir string, limit int) *sorter[int64] {
	return &sorter[int64]{dir: dir, limit: limit, codec: numbers, compare: func(a, b *int64) int { return cmp.Compare(*a, *b) }}
}

func TestSorterSorts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		var sorters []*sorter[int64]
		var want []int64
		for range rapid.IntRange(1, 3).Draw(rt, "sorters") {
			s := newNumbers(dir, rapid.IntRange(1, 10).Draw(rt, "limit"))
			sorters = append(sorters, s)
			for _, n := range rapid.SliceOfN(rapid.Int64Range(-5, 20), 0, 40).Draw(rt, "numbers") {
				want = append(want, n)
				if err := s.add(&n); err != nil {
					rt.Fatal(err)
				}
				if len(s.buf) > s.limit {
					rt.Fatalf("%d values in memory, limit %d", len(s.buf), s.limit)
				}
			}
		}
		slices.Sort(want)
		for range 2 { // it can be read again
			m, err := merged(1<<20, sorters...)
			if err != nil {
				rt.Fatal(err)
			}
			got := []int64{}
			// Groups of a decade, of which some are not read to the end.
			same := func(a, b *int64) bool { return floorDiv(*a, 10) == floorDiv(*b, 10) }
			skipped := int64(rapid.IntRange(-1, 2).Draw(rt, "skipped"))
			err = m.groups(context.Background(), same, func(first int64, group iter.Seq[*int64]) error {
				for n := range group {
					if floorDiv(first, 10) == skipped {
						return nil
					}
					got = append(got, *n)
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			read := slices.DeleteFunc(slices.Clone(want), func(n int64) bool { return floorDiv(n, 10) == skipped })
			if !slices.Equal(got, read) {
				rt.Fatalf("got %v, want %v", got, read)
			}
		}
		for _, s := range sorters {
			if err := s.close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// Of any number of values only so many are in memory, and so many bytes are read
// ahead however many runs there are.
func TestSorterMemoryIsFlat(t *testing.T) {
	t.Parallel()
	s := newNumbers(t.TempDir(), 100)
	defer func() { _ = s.close() }()
	for i := range int64(200_000) {
		n := i * 7919 % 200_000
		if err := s.add(&n); err != nil {
			t.Fatal(err)
		}
	}
	if cap(s.buf) > 200 {
		t.Errorf("%d values in memory, limit 100", cap(s.buf))
	}
	m, err := merged(1<<20, s)
	if err != nil {
		t.Fatal(err)
	}
	ahead := 0
	for _, h := range m.heads {
		if r, ok := h.src.(*runStream[int64]); ok {
			ahead += r.r.Size()
		}
	}
	if ahead > len(s.runs)*4096 {
		t.Errorf("%d bytes read ahead of %d runs", ahead, len(s.runs))
	}
	var n int64
	for want := range int64(200_000) {
		if ok, err := m.next(context.Background(), &n); !ok || err != nil || n != want {
			t.Fatalf("%d, %v, %v; want %d", n, ok, err, want)
		}
	}
}

func TestGroupsStopAtAnError(t *testing.T) {
	t.Parallel()
	s := newNumbers(t.TempDir(), 2)
	defer func() { _ = s.close() }()
	for n := range int64(10) {
		if err := s.add(&n); err != nil {
			t.Fatal(err)
		}
	}
	bad := errors.New("a bad group")
	m, err := merged(0, s)
	if err != nil {
		t.Fatal(err)
	}
	all := func(_, _ *int64) bool { return true }
	if err := m.groups(context.Background(), all, func(int64, iter.Seq[*int64]) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
	// A file that ends early is an error, not an end.
	if err := s.file.Truncate(s.size - 3); err != nil {
		t.Fatal(err)
	}
	m, err = merged(0, s)
	if err == nil {
		err = m.groups(context.Background(), all, func(_ int64, group iter.Seq[*int64]) error {
			for range group {
			}
			return nil
		})
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want an unexpected end", err)
	}
}

// A full disk is told with what to do about it.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full := func() *os.File {
		f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
		if err != nil {
			t.Skip("there is no /dev/full here")
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	s := newNumbers("", 1)
	s.file = full()
	n := int64(1)
	sp := &spool{file: full()}
	if err := s.add(&n); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, spoolBuffer)
	if _, err := sp.add(kindRecord, big); err != nil {
		t.Fatal(err)
	}
	_, spoolErr := sp.add(kindRecord, big)
	for _, err := range []error{s.add(&n), spoolErr} {
		if err == nil || !strings.Contains(err.Error(), "TMPDIR") || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("a full disk is told as %v", err)
		}
	}
	s.file, sp.file = nil, nil
}

func TestSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &spool{log: 3, dir: dir}
	var refs []detect.Ref
	raw := make([]byte, 700<<10)
	list := spools{nil, nil, nil, s}
	for i := range 20 { // 14 MB: some in the file, some in memory
		raw[0], raw[len(raw)-1] = byte(i), byte(i)
		ref, err := s.add(kindDocument, raw)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
		if len(s.buf) > spoolBuffer {
			t.Errorf("%d bytes in memory", len(s.buf))
		}
	}
	for i, ref := range refs {
		kind, got, err := list.read(ref)
		if err != nil || kind != kindDocument || len(got) != len(raw) || got[0] != byte(i) || got[len(got)-1] != byte(i) {
			t.Fatalf("record %d: kind %c, %d bytes, %v", i, kind, len(got), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the file can be found: %v, %v", entries, err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if err := s.close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// Nobody else may read what is spilled.
func TestTempFilesArePrivate(t *testing.T) {
	t.Parallel()
	f, err := tempFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := closeTemp(f); err != nil {
		t.Error(err)
	}
}
