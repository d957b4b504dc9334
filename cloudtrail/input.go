package cloudtrail

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// An inputError is a reason of ours why an input ends early.
type inputError struct{ code, message string }

func (e *inputError) Error() string { return e.message }

// codecs are decompressors that are kept from one input to the next.
type codecs struct {
	gzip *gzip.Reader
	zstd *zstd.Decoder
}

// close lets go of the last input; the room of the decompressors stays.
func (c *codecs) close() {
	if c.zstd != nil {
		_ = c.zstd.Reset(nil) // only an error without a stream before
	}
}

// ratioFrom is from how many decompressed bytes on the ratio is judged: a small
// input may be as repetitive as it likes.
const ratioFrom = 64 << 20

// An input decompresses what it reads, as the content tells, and holds it to the
// limits.
type input struct {
	src    source
	r      io.Reader
	limits Limits
	out    int64
	gz     bool
	err    error
}

// source counts what is read.
type source struct {
	r    io.Reader
	head []byte // read already, to look at
	n    int64
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	return n, err //nolint:wrapcheck // a Reader
}

var (
	gzipMagic = []byte{0x1f, 0x8b}             //nolint:gochecknoglobals // constant bytes
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd} //nolint:gochecknoglobals // constant bytes
)

// open looks at the first bytes of r. What is wrong shows when the input is read.
func (c *codecs) open(r io.Reader, limits Limits) *input {
	in := &input{src: source{r: r}, limits: limits}
	head := make([]byte, 4)
	n, err := io.ReadFull(&in.src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		in.err = err
		return in
	}
	in.src.head = head[:n]
	switch {
	case bytes.HasPrefix(head[:n], gzipMagic):
		in.gz = true
		if c.gzip == nil {
			c.gzip, err = gzip.NewReader(&in.src)
		} else {
			err = c.gzip.Reset(&in.src)
		}
		in.r = c.gzip
		if err != nil {
			c.gzip = nil
		}
	case bytes.HasPrefix(head[:n], zstdMagic):
		if c.zstd == nil {
			c.zstd, err = zstd.NewReader(&in.src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderMaxWindow(64<<20))
		} else {
			err = c.zstd.Reset(&in.src)
		}
		in.r = c.zstd
	default:
		in.r, err = &in.src, nil
	}
	if err != nil {
		in.err = in.explain(err)
	}
	return in
}

// read returns how many bytes have been read from the source.
func (in *input) read() int64 { return in.src.n }

// Read implements [io.Reader]. An error sticks.
func (in *input) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.out += int64(n)
	switch {
	case err != nil:
		in.err = in.explain(err)
	case in.out > in.limits.Input:
		in.err = &inputError{"too-large", fmt.Sprintf("more than %d bytes after decompression: the rest was not read", in.limits.Input)}
	case in.out > ratioFrom && in.out/in.limits.Ratio > in.src.n && in.r != &in.src:
		in.err = &inputError{"decompression-bomb", fmt.Sprintf("%d bytes became more than %d: the rest was not read", in.src.n, in.out)}
	}
	return n, in.err
}

// explain puts a decompressor's error in words.
func (in *input) explain(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &inputError{"truncated", "the compressed data ends early: the file was cut off"}
	case errors.Is(err, gzip.ErrChecksum):
		return &inputError{"bad-checksum", "the checksum of the compressed data is wrong: its last records may be wrong too"}
	case errors.Is(err, gzip.ErrHeader) && in.out > 0:
		return &inputError{"trailing-data", "there is something else behind the compressed data"}
	case in.r != &in.src:
		return &inputError{"bad-compression", "the compressed data is damaged: " + err.Error()}
	}
	return err
}
