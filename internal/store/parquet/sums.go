package parquet

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/debutsec/debut/internal/store"
)

// blockSize is the length of what has one checksum.
const blockSize = 128 << 10

// Sums are the CRC-32C checksums of a file's blocks of 128 KiB.
type Sums []uint32

// MarshalText implements [encoding.TextMarshaler]: four bytes each, little endian, in
// base64.
func (s Sums) MarshalText() ([]byte, error) {
	b := make([]byte, 0, 4*len(s))
	for _, v := range s {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return []byte(base64.StdEncoding.EncodeToString(b)), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Sums) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || len(b)%4 != 0 {
		return fmt.Errorf("%w: checksums of a segment", store.ErrDamaged)
	}
	*s = make(Sums, len(b)/4)
	for i := range *s {
		(*s)[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a constant table

// A summer writes and takes the sums of what it writes.
type summer struct {
	w    io.Writer
	n    int64
	sum  uint32 // of the block that is not full
	sums Sums
}

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	for b := p[:n]; len(b) > 0; {
		k := min(len(b), int(blockSize-s.n%blockSize))
		s.sum = crc32.Update(s.sum, castagnoli, b[:k])
		b, s.n = b[k:], s.n+int64(k)
		if s.n%blockSize == 0 {
			s.sums, s.sum = append(s.sums, s.sum), 0
		}
	}
	return n, err //nolint:wrapcheck // of a writer that we only stand before
}

// all returns the sums of everything written.
func (s *summer) all() Sums {
	if s.n%blockSize == 0 {
		return s.sums
	}
	return append(slices.Clip(s.sums), s.sum)
}

// checked reads a file through its sums. It may be used by several goroutines.
type checked struct {
	r    io.ReaderAt
	size int64
	sums Sums

	mu   sync.Mutex
	kept [4]block // the blocks read last
	next int
}

type block struct {
	index int64
	data  []byte
}

func newChecked(r io.ReaderAt, size int64, sums Sums) (*checked, error) {
	if int64(len(sums)) != (size+blockSize-1)/blockSize {
		return nil, fmt.Errorf("%w: it has %d bytes, and %d checksums", store.ErrDamaged, size, len(sums))
	}
	c := &checked{r: r, size: size, sums: sums}
	for i := range c.kept {
		c.kept[i].index = -1
	}
	return c, nil
}

// ReadAt implements [io.ReaderAt].
func (c *checked) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: a read at %d", store.ErrDamaged, off)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(p) {
		if off >= c.size {
			return n, io.EOF
		}
		b, err := c.block(off / blockSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], b[off%blockSize:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

func (c *checked) block(index int64) ([]byte, error) {
	for i := range c.kept {
		if c.kept[i].index == index {
			return c.kept[i].data, nil
		}
	}
	b := &c.kept[c.next]
	c.next = (c.next + 1) % len(c.kept)
	b.index = -1
	if b.data == nil {
		b.data = make([]byte, blockSize)
	}
	size := min(blockSize, c.size-index*blockSize)
	b.data = b.data[:size]
	if n, err := c.r.ReadAt(b.data, index*blockSize); int64(n) < size {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it ends at %d bytes, not at %d", store.ErrDamaged, index*blockSize+int64(n), c.size)
		}
		return nil, fmt.Errorf("read block %d: %w", index, err)
	}
	if crc32.Checksum(b.data, castagnoli) != c.sums[index] {
		return nil, fmt.Errorf("%w: checksum of bytes %d to %d", store.ErrDamaged, index*blockSize, index*blockSize+size)
	}
	b.index = index
	return b.data, nil
}

// guard turns a panic on bytes that nobody expected into an error.
func guard(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %v", store.ErrDamaged, v)
	}
}

// CheckSums reads a whole file and compares it with its sums.
func CheckSums(r io.ReaderAt, size int64, sums Sums) error {
	c, err := newChecked(r, size, sums)
	if err != nil {
		return err
	}
	for i := range sums {
		if _, err := c.block(int64(i)); err != nil {
			return err
		}
	}
	return nil
}
