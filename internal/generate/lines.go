package generate

import (
	"bufio"
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
)

// Lines of the side files begin with a time, so that they sort by it as they are.

func compareLines(a, b []byte) int { return bytes.Compare(a, b) }

func sortLines(lines [][]byte) { slices.SortFunc(lines, compareLines) }

// A lineWriter writes a file of lines.
type lineWriter struct {
	f *os.File
	b *bufio.Writer
	n int64 // lines
}

func createLines(path string) (*lineWriter, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, explain(err)
	}
	return &lineWriter{f: f, b: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (w *lineWriter) write(line []byte) error {
	w.n++
	_, err := w.b.Write(line)
	return explain(err)
}

func (w *lineWriter) close() error {
	return explain(errors.Join(w.b.Flush(), w.f.Close()))
}

// mergeMemory is about how much of all parts is held in memory while they are merged.
const mergeMemory = 64 << 20

// A part is a sorted file that is being merged. It is open only while it is read, as
// there may be more parts than files a process may hold open.
type part struct {
	path string
	off  int64
	size int    // read at a time
	rest []byte // read and not yet given
	line []byte // the current one; valid until the next
}

// next moves to the next line; io.EOF after the last.
func (p *part) next() error {
	for {
		if i := bytes.IndexByte(p.rest, '\n'); i >= 0 {
			p.line, p.rest = p.rest[:i+1], p.rest[i+1:]
			return nil
		}
		n, err := p.fill()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return io.EOF
		}
	}
}

func (p *part) fill() (int, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	buf := make([]byte, len(p.rest)+p.size)
	kept := copy(buf, p.rest)
	n, err := f.ReadAt(buf[kept:], p.off)
	p.off += int64(n)
	p.rest = buf[:kept+n]
	return n, err
}

type parts []*part

func (h parts) Len() int           { return len(h) }
func (h parts) Less(i, j int) bool { return bytes.Compare(h[i].line, h[j].line) < 0 }
func (h parts) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *parts) Push(x any)        { *h = append(*h, x.(*part)) }
func (h *parts) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// mergeLines merges sorted files into one, and removes them. It gives every line to see.
func mergeLines(to string, from []string, see func(line []byte)) error {
	out, err := createLines(to)
	if err != nil {
		return err
	}
	err = merge(out, from, see)
	return errors.Join(err, out.close())
}

func merge(out *lineWriter, from []string, see func(line []byte)) error {
	var h parts
	advance := func(p *part) (bool, error) {
		switch err := p.next(); {
		case errors.Is(err, io.EOF):
			return false, os.Remove(p.path)
		case err != nil:
			return false, err
		}
		return true, nil
	}
	for _, path := range from {
		p := &part{path: path, size: min(max(mergeMemory/len(from), 1<<10), 16<<10)}
		more, err := advance(p)
		if err != nil {
			return err
		}
		if more {
			h = append(h, p)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		p := h[0]
		if see != nil {
			see(p.line)
		}
		if err := out.write(p.line); err != nil {
			return err
		}
		more, err := advance(p)
		if err != nil {
			return err
		}
		if more {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// explain says what to do where a system's error does not.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is full: free some space or choose another disk, then start again with an empty folder: %w", err)
	}
	return err
}
