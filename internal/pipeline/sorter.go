package pipeline

import (
	"bufio"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// A sorter sorts any number of values in bounded memory: full buffers go, sorted, to
// a temporary file as runs, and are merged at the end.
type sorter[T any] struct {
	dir     string
	limit   int // values in memory
	codec   codec[T]
	compare func(a, b *T) int

	buf    []T
	sorted bool
	file   *os.File
	runs   []sortedRun
	size   int64
	n      int64 // values added
}

// sortedRun is a sorted part of the file.
type sortedRun struct{ offset, length int64 }

func (s *sorter[T]) add(v *T) error {
	if len(s.buf) >= s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buf = append(s.buf, *v)
	s.sorted = false
	s.n++
	return nil
}

func (s *sorter[T]) sort() {
	if !s.sorted {
		slices.SortFunc(s.buf, func(a, b T) int { return s.compare(&a, &b) })
		s.sorted = true
	}
}

func (s *sorter[T]) spill() error {
	if s.file == nil {
		f, err := tempFile(s.dir)
		if err != nil {
			return err
		}
		s.file = f
	}
	s.sort()
	w := bufio.NewWriterSize(s.file, 256<<10)
	var enc []byte
	for i := range s.buf {
		enc = s.codec.encode(enc[:0], &s.buf[i])
		if _, err := w.Write(enc); err != nil {
			return spaceError(err)
		}
	}
	if err := w.Flush(); err != nil {
		return spaceError(err)
	}
	length := int64(len(s.buf)) * int64(s.codec.size)
	s.runs = append(s.runs, sortedRun{s.size, length})
	s.size += length
	s.buf = s.buf[:0]
	return nil
}

// close gives back memory and disk. The sorter must not be used any more.
func (s *sorter[T]) close() error {
	f := s.file
	s.file, s.buf, s.runs = nil, nil, nil
	if f == nil {
		return nil
	}
	return closeTemp(f)
}

// merged returns everything that was added to the sorters, in order. Nothing may be
// added afterwards; merged may be called again. readAhead is about how many bytes the
// reading may take.
func merged[T any](readAhead int64, sorters ...*sorter[T]) (*merge[T], error) {
	runs := 1
	for _, s := range sorters {
		runs += len(s.runs)
	}
	buffer := int(min(max(readAhead/int64(runs), 4<<10), 128<<10))
	m := &merge[T]{}
	for _, s := range sorters {
		m.compare = s.compare
		for _, r := range s.runs {
			if err := m.include(&runStream[T]{
				r:     bufio.NewReaderSize(io.NewSectionReader(s.file, r.offset, r.length), buffer),
				codec: s.codec, enc: make([]byte, s.codec.size),
			}); err != nil {
				return nil, err
			}
		}
		s.sort()
		if err := m.include(&sliceStream[T]{s.buf}); err != nil {
			return nil, err
		}
	}
	heap.Init(m)
	return m, nil
}

// A stream gives sorted values one by one; ok is false at the end.
type stream[T any] interface {
	next(v *T) (ok bool, err error)
}

type sliceStream[T any] struct{ list []T }

func (s *sliceStream[T]) next(v *T) (bool, error) {
	if len(s.list) == 0 {
		return false, nil
	}
	*v = s.list[0]
	s.list = s.list[1:]
	return true, nil
}

type runStream[T any] struct {
	r     *bufio.Reader
	codec codec[T]
	enc   []byte
}

func (s *runStream[T]) next(v *T) (bool, error) {
	switch _, err := io.ReadFull(s.r, s.enc); {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read back a temporary file: %w", err)
	}
	s.codec.decode(s.enc, v)
	return true, nil
}

// merge gives the values of several sorted streams in order.
type merge[T any] struct {
	compare func(a, b *T) int
	heads   []*head[T]
	n       int
}

type head[T any] struct {
	value T
	src   stream[T]
}

func (m *merge[T]) include(src stream[T]) error {
	h := &head[T]{src: src}
	ok, err := src.next(&h.value)
	if ok {
		m.heads = append(m.heads, h)
	}
	return err
}

// next writes the next value to v; ok is false at the end.
func (m *merge[T]) next(ctx context.Context, v *T) (ok bool, err error) {
	if m.n++; m.n&0xfff == 0 && ctx.Err() != nil {
		return false, ctx.Err()
	}
	if len(m.heads) == 0 {
		return false, nil
	}
	top := m.heads[0]
	*v = top.value
	if ok, err = top.src.next(&top.value); err != nil {
		return false, err
	}
	if ok {
		heap.Fix(m, 0)
	} else {
		heap.Pop(m)
	}
	return true, nil
}

// groups calls f with each run of values of which neighbours are the same, first
// with the first of them. A value is valid until the next. f need not read all.
func (m *merge[T]) groups(ctx context.Context, same func(a, b *T) bool, f func(first T, group iter.Seq[*T]) error) error {
	var v, first T
	ok, err := m.next(ctx, &v)
	inside := func() bool { return ok && err == nil && same(&v, &first) }
	for ok && err == nil {
		first = v
		if ferr := f(first, func(yield func(*T) bool) {
			for inside() && yield(&v) {
				ok, err = m.next(ctx, &v)
			}
		}); ferr != nil {
			return ferr
		}
		for inside() { // what f did not read
			ok, err = m.next(ctx, &v)
		}
	}
	return err
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (m *merge[T]) Len() int { return len(m.heads) }

func (m *merge[T]) Less(i, j int) bool { return m.compare(&m.heads[i].value, &m.heads[j].value) < 0 }
func (m *merge[T]) Swap(i, j int)      { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merge[T]) Push(any)           { panic("a merge does not grow") }
func (m *merge[T]) Pop() any {
	m.heads = m.heads[:len(m.heads)-1]
	return nil
}
