package pipeline

import (
	"errors"
	"fmt"
	"os"

	"github.com/debutsec/debut/detect"
)

// spoolBuffer is how much a spool keeps in memory before it writes.
const spoolBuffer = 4 << 20

// A spool keeps the raw records that may become an alert's event: in memory while
// they are few, then in a temporary file that only its owner can read and that is
// unlinked at once. One goroutine writes; reading starts when writing has ended.
type spool struct {
	log  uint32
	dir  string
	buf  []byte
	base int64 // offset of buf[0]
	file *os.File
}

func (s *spool) add(kind byte, raw []byte) (detect.Ref, error) {
	if len(s.buf)+len(raw) > spoolBuffer && len(s.buf) > 0 {
		if err := s.flush(); err != nil {
			return detect.Ref{}, err
		}
	}
	ref := detect.Ref{Log: s.log, Offset: s.base + int64(len(s.buf)), Length: uint32(len(raw) + 1)} // a record is far below 4 GiB
	s.buf = append(append(s.buf, kind), raw...)
	return ref, nil
}

func (s *spool) flush() error {
	if s.file == nil {
		f, err := tempFile(s.dir)
		if err != nil {
			return err
		}
		s.file = f
	}
	if _, err := s.file.Write(s.buf); err != nil {
		return spaceError(err)
	}
	s.base += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}

// read returns the record at ref in a buffer that belongs to the caller.
func (s *spool) read(ref detect.Ref) (kind byte, raw []byte, err error) {
	b := make([]byte, ref.Length)
	if ref.Offset >= s.base {
		copy(b, s.buf[ref.Offset-s.base:])
	} else if _, err := s.file.ReadAt(b, ref.Offset); err != nil {
		return 0, nil, fmt.Errorf("read back a spilled record: %w", err)
	}
	return b[0], b[1:], nil
}

func (s *spool) close() error {
	f := s.file
	s.file, s.buf = nil, nil
	if f == nil {
		return nil
	}
	return closeTemp(f)
}

// tempFile makes a file that only we can read and, where the system allows it,
// that nobody can find.
func tempFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "debut-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make a temporary file (set TMPDIR to a folder with space): %w", err)
	}
	_ = os.Remove(f.Name()) // fails on Windows: closeTemp removes it there
	return f, nil
}

func closeTemp(f *os.File) error {
	err := f.Close()
	if rerr := os.Remove(f.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

func spaceError(err error) error {
	return fmt.Errorf("write a temporary file (set TMPDIR to a folder with more space): %w", err)
}

// spools are the spools of all workers.
type spools []*spool

func (s spools) close() error {
	errs := make([]error, 0, len(s))
	for _, sp := range s {
		errs = append(errs, sp.close())
	}
	return errors.Join(errs...)
}

func (s spools) read(ref detect.Ref) (kind byte, raw []byte, err error) {
	return s[ref.Log].read(ref)
}
