package events

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/debutsec/debut/internal/store"
)

const (
	fileMark    = "DEBUTLOG"
	fileHeader  = 32
	fileVersion = 1
)

// appendFileHeader appends what a log file begins with.
func appendFileHeader(dst []byte, base int64) []byte {
	start := len(dst)
	dst = append(dst, fileMark...)
	dst = binary.LittleEndian.AppendUint32(dst, fileVersion)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(base))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, 0, 0, 0, 0)
}

// checkFileHeader reports what is wrong with the beginning of a log file:
// [store.ErrFormat] if a newer program wrote it, else [store.ErrDamaged].
func checkFileHeader(f io.ReaderAt, base int64) error {
	var have [fileHeader]byte
	if n, err := f.ReadAt(have[:], 0); n < len(have) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read: %w", err)
	} else if n < len(have) {
		return fmt.Errorf("%w: it ends within its first %d bytes", store.ErrDamaged, fileHeader)
	}
	if crc32.Checksum(have[:24], castagnoli) == binary.LittleEndian.Uint32(have[24:]) && string(have[:8]) == fileMark {
		if v := binary.LittleEndian.Uint32(have[8:]); v > fileVersion {
			return fmt.Errorf("%w: version %d of the log, this program knows up to %d; use a newer one", store.ErrFormat, v, fileVersion)
		}
		if int64(binary.LittleEndian.Uint64(have[16:])) == base && have[28]|have[29]|have[30]|have[31] == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: its first %d bytes", store.ErrDamaged, fileHeader)
}

// A walker goes through the frames of one log file. What is damaged is told and
// skipped.
type walker struct {
	file    io.ReaderAt
	base    int64 // offset of the file's first frame
	pos     int64 // offset of the next frame
	end     int64 // offset behind the last
	damaged func(from, to int64, err error)

	head [frameHeader]byte
	buf  []byte
}

// next returns the next header and its offset. At the end it returns [io.EOF]; any
// other error is that the disk cannot be read.
func (w *walker) next() (h header, at int64, err error) {
	for {
		if w.pos >= w.end {
			return h, w.pos, io.EOF
		}
		if w.end-w.pos >= frameHeader {
			if err := w.read(w.head[:], w.pos); err != nil {
				return h, w.pos, err
			}
			if h, ok := parseHeader(w.head[:], w.pos); ok && h.end(w.pos) <= w.end {
				at, w.pos = w.pos, h.end(w.pos)
				return h, at, nil
			}
		}
		from := w.pos
		if w.pos, err = w.search(from + 1); err != nil {
			return h, from, err
		}
		w.damaged(from, w.pos, errFrame)
	}
}

// payload reads the payload of a frame that next returned. It is valid until the
// next call.
func (w *walker) payload(h *header, at int64) ([]byte, error) {
	if cap(w.buf) < int(h.length) || (cap(w.buf) > keepBuffer && h.length <= keepBuffer) {
		w.buf = make([]byte, h.length)
	}
	b := w.buf[:h.length]
	return b, w.read(b, at+frameHeader)
}

// intact reads a frame and checks its sum; a frame that fails is told.
func (w *walker) intact(h *header, at int64) (bool, error) {
	b, err := w.payload(h, at)
	if err != nil {
		return false, err
	}
	if crc32.Checksum(b, castagnoli) != h.sum {
		w.damaged(at, h.end(at), fmt.Errorf("%w: checksum of a frame", store.ErrDamaged))
		return false, nil
	}
	return true, nil
}

// search returns the offset of the first frame at or behind pos, the end if there is
// none.
func (w *walker) search(pos int64) (int64, error) {
	chunk := make([]byte, 256<<10)
	for w.end-pos >= frameHeader {
		b := chunk[:min(int64(len(chunk)), w.end-pos)]
		if err := w.read(b, pos); err != nil {
			return pos, err
		}
		for i := 0; ; i++ {
			next := bytes.Index(b[i:], []byte(frameMark))
			if next < 0 || i+next > len(b)-frameHeader {
				break
			}
			i += next
			if h, ok := parseHeader(b[i:], pos+int64(i)); ok && h.end(pos+int64(i)) <= w.end {
				return pos + int64(i), nil
			}
		}
		pos += int64(len(b)) - frameHeader + 1
	}
	return w.end, nil
}

func (w *walker) read(b []byte, offset int64) error {
	if n, err := w.file.ReadAt(b, offset-w.base+fileHeader); n < len(b) {
		return fmt.Errorf("read the event log: %w", err)
	}
	return nil
}
