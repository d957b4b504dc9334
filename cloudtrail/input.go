package cloudtrail

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/debutsec/debut/internal/inflate"
)

// An inputError is a reason of ours why an input ends early.
type inputError struct{ code, message string }

func (e *inputError) Error() string { return e.message }

// ratioFrom is from how many decompressed bytes on the ratio is judged: a small
// input may be as repetitive as it likes.
const ratioFrom = 64 << 20

// maxWindow is how much zstd may ask for; the zstd tool's own limit.
const maxWindow = 128 << 20

// An input decompresses what it reads, as the content tells, and holds it to the
// limits. It is kept, with its buffers and decompressors, from one input to the next.
type input struct {
	src    source
	limits Limits
	format format
	out    int64 // bytes after decompression
	member bool  // a gzip member has ended, and no other begun
	err    error

	gzip *inflate.Decoder
	zstd *zstd.Decoder
}

// format is how an input is compressed.
type format uint8

const (
	plain format = iota
	gzipped
	zstandard
)

// formatOf tells by its beginning how data is compressed.
func formatOf(head []byte) format {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), // a frame
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}): // a frame to be skipped
		return zstandard
	}
	return plain
}

// open begins another input. What is wrong with it shows when it is read.
func (in *input) open(r io.Reader, limits Limits) {
	in.src.reset(r)
	in.limits, in.format, in.out, in.member, in.err = limits, plain, 0, false, nil
	in.format = formatOf(in.src.peek(4))
	var err error
	switch in.format {
	case plain:
	case gzipped:
		if in.gzip == nil {
			in.gzip = new(inflate.Decoder)
		}
		in.gzip.Reset()
	case zstandard:
		if in.zstd == nil {
			in.zstd, err = zstd.NewReader(&in.src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		} else {
			err = in.zstd.Reset(&in.src)
		}
	}
	if err != nil {
		in.err = in.explain(err)
	}
}

// close lets go of the input; buffers and decompressors stay.
func (in *input) close() {
	in.src.r = nil
	if in.format == zstandard && in.zstd != nil {
		_ = in.zstd.Reset(nil) // only an error without a stream before
	}
}

// history returns how many of the bytes last appended must stay where they are: the
// decompressor refers to them.
func (in *input) history() int {
	if in.format == gzipped {
		return inflate.Window
	}
	return 0
}

// more appends what comes next to buf, as much as its capacity holds, but for a
// little. With an error, no more comes; it is io.EOF at the end.
func (in *input) more(buf []byte) ([]byte, error) {
	for in.err == nil && cap(buf)-len(buf) >= inflate.Room {
		was := len(buf)
		var n int
		var err error
		switch in.format {
		case gzipped:
			buf, err = in.inflate(buf)
			n = len(buf) - was
		case zstandard:
			n, err = in.zstd.Read(buf[was:cap(buf)])
		default:
			n, err = in.src.Read(buf[was:cap(buf)])
		}
		buf = buf[:was+n]
		in.out += int64(n)
		in.err = in.judge(err)
	}
	return buf, in.err
}

// inflate decompresses gzip members, one behind the other.
func (in *input) inflate(buf []byte) ([]byte, error) {
	for {
		if in.member && !in.padding() {
			return buf, in.src.err
		}
		out, n, err := in.gzip.Append(buf, in.src.unread())
		buf = out
		in.src.at += n
		in.member = in.member && n == 0
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			return buf, nil
		case errors.Is(err, io.EOF):
			in.member = true
		case !errors.Is(err, io.ErrUnexpectedEOF):
			return buf, err //nolint:wrapcheck // explained by the caller
		case in.src.fill():
		case errors.Is(in.src.err, io.EOF):
			return buf, err //nolint:wrapcheck // explained by the caller
		default:
			return buf, in.src.err
		}
	}
}

// padding passes over zeros between members and behind the last one. It returns false
// if nothing else follows.
func (in *input) padding() bool {
	for len(in.src.peek(1)) > 0 {
		if in.src.unread()[0] != 0 {
			return true
		}
		in.src.at++
	}
	return false
}

// judge holds what was read to the limits, and puts an error in words.
func (in *input) judge(err error) error {
	switch {
	case err != nil:
		return in.explain(err)
	case in.out > in.limits.Input:
		return &inputError{"too-large", fmt.Sprintf("more than %d bytes after decompression: the rest was not read", in.limits.Input)}
	case in.format != plain && in.out > ratioFrom && in.out/in.limits.Ratio > in.src.used():
		return &inputError{"decompression-bomb", fmt.Sprintf("%d bytes became more than %d: the rest was not read", in.src.used(), in.out)}
	}
	return nil
}

func (in *input) explain(err error) error {
	switch {
	case errors.Is(err, io.EOF), in.format == plain, errors.Is(err, in.src.err):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &inputError{"truncated", "the compressed data ends early: the file was cut off"}
	case errors.Is(err, inflate.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return &inputError{"bad-checksum", "the checksum of the compressed data is wrong: its records may be wrong too"}
	case errors.Is(err, inflate.ErrHeader) && in.member, errors.Is(err, zstd.ErrMagicMismatch):
		return &inputError{"trailing-data", "there is something else behind the compressed data: it was not read"}
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return &inputError{"decompression-bomb", "the compressed data asks for too much memory: it was not read"}
	}
	return &inputError{"bad-compression", "the compressed data is damaged: " + err.Error()}
}

// A source reads through a window: what a decompressor, or the first look, has not
// used yet.
type source struct {
	r      io.Reader
	window []byte
	at     int   // window[at:] is not used yet
	n      int64 // bytes read
	err    error // why no more comes
}

// sourceWindow is always enough for the decompressor to get on, and holds most log
// objects whole.
const sourceWindow = 128 << 10

func (s *source) reset(r io.Reader) { *s = source{r: r, window: s.window[:0]} }

// used returns how many bytes were used.
func (s *source) used() int64 { return s.n - int64(len(s.unread())) }

func (s *source) unread() []byte { return s.window[s.at:] }

// peek returns what is not used yet, n bytes or more if the input has so many.
func (s *source) peek(n int) []byte {
	for len(s.unread()) < n && s.fill() {
	}
	return s.unread()
}

// fill reads more into the window. It returns false at the end.
func (s *source) fill() bool {
	s.window = s.window[:copy(s.window, s.unread())]
	s.at = 0
	if cap(s.window) == 0 {
		s.window = make([]byte, 0, sourceWindow)
	}
	n, _ := s.read(s.window[len(s.window):cap(s.window)])
	s.window = s.window[:len(s.window)+n]
	return n > 0
}

// Read implements [io.Reader]: first what is in the window, then past it.
func (s *source) Read(p []byte) (int, error) {
	if s.at < len(s.window) {
		n := copy(p, s.unread())
		s.at += n
		return n, nil
	}
	return s.read(p)
}

// read reads something, or sets and returns err.
func (s *source) read(p []byte) (n int, err error) {
	for range 100 { // a Reader may return nothing, but not for ever
		if s.err != nil {
			return 0, s.err
		}
		n, s.err = s.r.Read(p)
		s.n += int64(n)
		if n > 0 {
			return n, nil
		}
	}
	if s.err == nil {
		s.err = io.ErrNoProgress
	}
	return 0, s.err
}
