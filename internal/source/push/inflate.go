package push

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var noDeadline time.Time //nolint:gochecknoglobals // a constant

// maxWindow is how much memory a zstd body may ask for.
const maxWindow = 8 << 20

// maxDeflate is how many bytes a byte of deflate can become.
const maxDeflate = 1032

var (
	gzipMagic = []byte{0x1f, 0x8b}             //nolint:gochecknoglobals // a constant
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd} //nolint:gochecknoglobals // a constant
)

// inflated reads r decompressed, as the content tells. If what it returns is an
// io.Closer, it wants to be closed.
func inflated(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	head, _ := in.Peek(4)
	var out io.Reader
	var err error
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		out, err = gzip.NewReader(in)
	case bytes.HasPrefix(head, zstdMagic):
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err == nil {
			out = z.IOReadCloser()
		}
	default:
		return in
	}
	if err != nil {
		return broken{damaged(err)}
	}
	return explained{out}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// explained says what is wrong with compressed data, apart from what is wrong with
// reading it.
type explained struct{ io.Reader }

func (e explained) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err //nolint:wrapcheck // explained
}

func (e explained) Close() error {
	if c, ok := e.Reader.(io.Closer); ok {
		return c.Close() //nolint:wrapcheck // passed on
	}
	return nil
}

func damaged(err error) error {
	if f := readFailure(err); f.(*failure).code != "bad-body" { //nolint:errorlint,forcetypeassert // it is one
		return f
	}
	return &failure{http.StatusBadRequest, "bad-compression", "the compressed body is damaged: " + err.Error(), 0}
}

// compressed reports whether data is compressed, and so may become more than it is.
func compressed(data []byte) bool {
	return bytes.HasPrefix(data, gzipMagic) || bytes.HasPrefix(data, zstdMagic)
}

// bounded refuses data that becomes more than limit bytes. What is wrong with it
// otherwise is for its reader to say.
func bounded(data []byte, limit int64) error {
	switch {
	case !compressed(data):
		return nil
	case data[0] == gzipMagic[0] && int64(len(data)) <= limit/maxDeflate:
		return nil // it cannot
	case inflatedSize(bytes.NewReader(data), limit) > limit:
		return errTooLarge
	}
	return nil
}

// inflatedSize returns how many bytes r becomes, as far as limit and one more.
func inflatedSize(r io.Reader, limit int64) int64 {
	in := inflated(r)
	n, _ := io.Copy(io.Discard, io.LimitReader(in, limit+1))
	if c, ok := in.(io.Closer); ok {
		_ = c.Close() // of a decompressor: nothing can fail
	}
	return n
}
