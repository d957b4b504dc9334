package cloudtrail

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/debutsec/debut/internal/rawjson"
)

// A window is the part of an input that is in memory: pos is the next byte to look
// at, and what is before it is given up when more is read. Everything that reads
// ahead counts from pos, because filling the window moves the bytes.
type window struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	in  *input          // nil: buf is all there is

	buf  []byte
	base int64 // offset of buf[0] in the input
	pos  int
	end  error // why no more can be read: io.EOF, or what is wrong
}

// chunk is how much is read at a time.
const chunk = 256 << 10

// offset returns the place in the input of the byte i behind pos.
func (w *window) offset(i int) int64 { return w.base + int64(w.pos+i) }

// fill reads more behind what the window holds, and gives up what is more than keep
// bytes before pos and what the decompressor does not refer to. It returns false at the
// end of the input. How much it reads does not depend on how the reader parts its bytes.
func (w *window) fill(keep int) bool {
	if w.end != nil {
		return false
	}
	if from := w.pos - keep - w.in.history(); from > 0 && cap(w.buf)-len(w.buf) < chunk {
		n := copy(w.buf, w.buf[from:])
		w.buf = w.buf[:n]
		w.base += int64(from)
		w.pos -= from
	}
	if cap(w.buf)-len(w.buf) < chunk {
		w.buf = append(make([]byte, 0, max(2*cap(w.buf), 2*chunk)), w.buf...)
	}
	if w.end = w.ctx.Err(); w.end != nil {
		return false
	}
	from := len(w.buf)
	more, err := w.in.more(w.buf[: from : from+chunk])
	w.buf, w.end = w.buf[:len(more)], err
	return len(w.buf) > from
}

// have makes the window hold n bytes from pos on, if the input has them.
func (w *window) have(n int) bool {
	for len(w.buf)-w.pos < n {
		if !w.fill(0) {
			return false
		}
	}
	return true
}

// peek moves pos to the next byte that is not white space, and returns it; ok is false
// at the end.
func (w *window) peek() (c byte, ok bool) {
	for {
		w.pos = rawjson.Space(w.buf, w.pos)
		if w.pos < len(w.buf) {
			return w.buf[w.pos], true
		}
		if !w.fill(0) {
			return 0, false
		}
	}
}

// next returns the first byte at or behind pos+i that is not white space, and where it
// is behind pos; ok is false at the end, and beyond limit.
func (w *window) next(i int, limit int64) (c byte, at int, ok bool) {
	for int64(i) <= limit {
		i = rawjson.Space(w.buf, w.pos+i) - w.pos
		if w.pos+i < len(w.buf) {
			return w.buf[w.pos+i], i, true
		}
		if !w.fill(0) {
			break
		}
	}
	return 0, i, false
}

// skip checks the JSON value at pos+i and returns where it ends behind pos. A value
// that ends more than limit bytes behind pos is errTooLarge.
func (w *window) skip(i int, limit int64) (end int, err error) {
	for {
		end, err = rawjson.Skip(w.buf[w.pos:], i)
		switch {
		case err == nil && int64(end) > limit:
			return i, errTooLarge
		case err == nil && end == len(w.buf)-w.pos && w.grow(): // a number may go on
		case !errors.Is(err, rawjson.ErrTruncated):
			return end, err //nolint:wrapcheck // stays in this package
		case int64(len(w.buf)-w.pos) > limit:
			return i, errTooLarge
		case !w.grow():
			return end, err //nolint:wrapcheck // stays in this package
		}
	}
}

// grow doubles what the window holds from pos on, so that what is parsed again each
// time it grows is parsed about twice in all. It returns false if there is no more.
func (w *window) grow() bool {
	have := len(w.buf) - w.pos
	w.have(2 * have)
	return len(w.buf)-w.pos > have
}

// rest returns the rest of the line at pos, without its end; limit bytes of it if it is
// longer.
func (w *window) rest(limit int64) []byte {
	for {
		b := w.buf[w.pos:]
		if n := bytes.IndexByte(b, '\n'); n >= 0 {
			b = b[:n]
		} else if int64(len(b)) <= limit && w.grow() {
			continue
		}
		return b[:min(int64(len(b)), limit)]
	}
}

// broken reports whether the input ended before its end.
func (w *window) broken() bool { return w.end != nil && !errors.Is(w.end, io.EOF) }

var errTooLarge = errors.New("larger than the limit for one record")
