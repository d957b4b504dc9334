package pipeline

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/debutsec/debut/detect"
)

// hitBytes is the encoded size of a hit: every field is of fixed size.
var hitBytes = binary.Size(detect.Hit{}) //nolint:gochecknoglobals // a constant in all but name

// A sorter sorts any number of hits in bounded memory: full buffers go, sorted, to
// a temporary file as runs, and are merged at the end.
type sorter struct {
	dir     string
	limit   int // hits in memory
	compare func(a, b *detect.Hit) int

	buf  []detect.Hit
	file *os.File
	runs []sortedRun
	size int64
	enc  []byte
}

// sortedRun is a sorted part of the file.
type sortedRun struct{ offset, length int64 }

func (s *sorter) add(h *detect.Hit) error {
	if len(s.buf) >= s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buf = append(s.buf, *h)
	return nil
}

func (s *sorter) sort() {
	slices.SortFunc(s.buf, func(a, b detect.Hit) int { return s.compare(&a, &b) })
}

func (s *sorter) spill() error {
	if len(s.buf) == 0 {
		return nil
	}
	if s.file == nil {
		f, err := tempFile(s.dir)
		if err != nil {
			return err
		}
		s.file = f
	}
	s.sort()
	w := bufio.NewWriterSize(s.file, 1<<20)
	for i := range s.buf {
		var err error
		if s.enc, err = binary.Append(s.enc[:0], binary.LittleEndian, &s.buf[i]); err != nil {
			return fmt.Errorf("encode a hit: %w", err)
		}
		if _, err := w.Write(s.enc); err != nil {
			return spaceError(err)
		}
	}
	if err := w.Flush(); err != nil {
		return spaceError(err)
	}
	length := int64(len(s.buf)) * int64(hitBytes)
	s.runs = append(s.runs, sortedRun{s.size, length})
	s.size += length
	s.buf = s.buf[:0]
	return nil
}

func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	return closeTemp(s.file)
}

// A stream gives sorted hits one by one; ok is false at the end.
type stream interface {
	next() (h detect.Hit, ok bool, err error)
}

// streams returns the sorter's runs and its buffer as sorted streams. Nothing may be
// added afterwards.
func (s *sorter) streams() []stream {
	var list []stream
	for _, r := range s.runs {
		list = append(list, &runStream{r: bufio.NewReaderSize(io.NewSectionReader(s.file, r.offset, r.length), 128<<10)})
	}
	if len(s.buf) > 0 {
		s.sort()
		list = append(list, &sliceStream{s.buf})
	}
	return list
}

type sliceStream struct{ hits []detect.Hit }

func (s *sliceStream) next() (detect.Hit, bool, error) {
	if len(s.hits) == 0 {
		return detect.Hit{}, false, nil
	}
	h := s.hits[0]
	s.hits = s.hits[1:]
	return h, true, nil
}

type runStream struct {
	r   *bufio.Reader
	enc []byte
}

func (s *runStream) next() (h detect.Hit, ok bool, err error) {
	if s.enc == nil {
		s.enc = make([]byte, hitBytes)
	}
	if _, err := io.ReadFull(s.r, s.enc); err != nil {
		if errors.Is(err, io.EOF) {
			return h, false, nil
		}
		return h, false, fmt.Errorf("read back spilled hits: %w", err)
	}
	if _, err := binary.Decode(s.enc, binary.LittleEndian, &h); err != nil {
		return h, false, fmt.Errorf("decode a spilled hit: %w", err)
	}
	return h, true, nil
}

// merge gives the hits of several sorted streams in order.
type merge struct {
	compare func(a, b *detect.Hit) int
	heads   []head
}

type head struct {
	hit detect.Hit
	src stream
}

func newMerge(compare func(a, b *detect.Hit) int, list []stream) (*merge, error) {
	m := &merge{compare: compare}
	for _, s := range list {
		h, ok, err := s.next()
		if err != nil {
			return nil, err
		}
		if ok {
			m.heads = append(m.heads, head{h, s})
		}
	}
	heap.Init(m)
	return m, nil
}

func (m *merge) next() (h detect.Hit, ok bool, err error) {
	if len(m.heads) == 0 {
		return h, false, nil
	}
	top := &m.heads[0]
	h = top.hit
	if top.hit, ok, err = top.src.next(); err != nil {
		return h, false, err
	}
	if ok {
		heap.Fix(m, 0)
	} else {
		heap.Pop(m)
	}
	return h, true, nil
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (m *merge) Len() int           { return len(m.heads) }
func (m *merge) Less(i, j int) bool { return m.compare(&m.heads[i].hit, &m.heads[j].hit) < 0 }
func (m *merge) Swap(i, j int)      { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merge) Push(x any)         { m.heads = append(m.heads, x.(head)) } //nolint:errcheck,forcetypeassert // only heads
func (m *merge) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}
