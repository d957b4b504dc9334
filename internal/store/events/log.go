package events

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/debutsec/debut/internal/store"
)

// When a log file is full. Compaction keeps an index of one file's records in memory.
const (
	rollBytes   = 64 << 20
	rollRaw     = 256 << 20
	rollRecords = 500_000
)

const (
	maxTime = 1<<63 - 1
	minTime = -1 << 63
)

// A logFile is one file of the log. Its name says its first offset.
type logFile struct {
	held

	path string
	base int64
	logSums
}

// logSums is what is known of the frames of a log file without reading it again.
type logSums struct {
	end      int64 // offset behind the last durable frame
	min, max int64 // times of the records
	records  int64
	raw      int64 // bytes of payloads before compression
	since    int64 // when the first frame was appended
}

func newLogSums(base int64) logSums {
	return logSums{end: base, min: maxTime, max: minTime, since: maxTime}
}

func (s *logSums) add(h *header, end int64) {
	s.end, s.since = end, min(s.since, h.stored)
	s.min, s.max = min(s.min, h.min), max(s.max, h.max)
	s.records += int64(h.count)
	s.raw += int64(h.raw)
}

func (f *logFile) full() bool {
	return f.end-f.base >= rollBytes || f.raw >= rollRaw || f.records >= rollRecords
}

func logName(base int64) string { return fmt.Sprintf("%020d.log", base) }

// A eventLog is the files of the log and the one that is written to.
type eventLog struct {
	dir     string
	disk    disk
	now     func() int64
	damaged func(name string, err error) // told of what cannot be read
	notice  func(msg string, args ...any)
	reads   bool // nothing is changed: another process writes

	mu    sync.Mutex // guards what follows, also within the files
	files []*logFile // by offset
	end   int64

	write  sync.Mutex // held while appending; taken before mu
	active file       // of the last of files, nil: none is open
	failed error      // why nothing can be appended
	buf    []byte
}

// open reads what is there. A tail that is not whole is cut off; everything else
// that is not readable is told and stays.
func (l *eventLog) open() error {
	if !l.reads {
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return fmt.Errorf("make the folder of the event log: %w", err)
		}
	}
	entries, err := os.ReadDir(l.dir)
	if l.reads && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the folder of the event log: %w", err)
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".log")
		base, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || base < 0 || e.Name() != logName(base) {
			continue // not ours
		}
		l.files = append(l.files, &logFile{path: filepath.Join(l.dir, e.Name()), base: base})
	}
	slices.SortFunc(l.files, func(a, b *logFile) int { return cmp.Compare(a.base, b.base) })
	for i, f := range l.files {
		limit := int64(maxTime)
		if i+1 < len(l.files) {
			limit = l.files[i+1].base
		}
		if err := l.load(f, limit, i == len(l.files)-1); err != nil {
			if l.reads && errors.Is(err, fs.ErrNotExist) {
				if limit == maxTime {
					limit = f.base
				}
				f.logSums, f.path = newLogSums(limit), "" // it is in segments by now
				continue
			}
			return fmt.Errorf("open %s: %w", f.path, err)
		}
		if i > 0 && l.files[i-1].end < f.base {
			l.damaged(l.files[i-1].path, fmt.Errorf("%w: the %d bytes of the log from offset %d to %d are missing",
				store.ErrDamaged, f.base-l.files[i-1].end, l.files[i-1].end, f.base))
		}
	}
	if n := len(l.files); n > 0 {
		l.end = l.files[n-1].end
	}
	l.files = slices.DeleteFunc(l.files, func(f *logFile) bool { return f.path == "" })
	return nil
}

// load reads what a file holds. The last one is read whole, and cut behind its last
// whole frame; if there is none and its beginning was not written either, it is
// removed.
func (l *eventLog) load(f *logFile, limit int64, last bool) (err error) {
	file, err := l.disk.Open(f.path, l.reads)
	if err != nil {
		return err
	}
	defer func() {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	headErr := checkFileHeader(file, f.base)
	if headErr != nil && !errors.Is(headErr, store.ErrDamaged) {
		return headErr
	}
	f.logSums = newLogSums(f.base)
	type gap struct {
		from, to int64
		err      error
	}
	var gaps []gap
	w := walker{
		file: file, base: f.base, pos: f.base, end: min(max(info.Size()-fileHeader, 0)+f.base, limit),
		damaged: func(from, to int64, err error) { gaps = append(gaps, gap{from, to, err}) },
	}
	for {
		h, at, err := w.next()
		if errors.Is(err, io.EOF) {
			break
		}
		ok := err == nil
		if ok && last {
			ok, err = w.intact(&h, at)
		}
		if err != nil {
			return err
		}
		if ok {
			f.add(&h, w.pos)
		}
	}
	if headErr != nil && (!last || f.end > f.base) {
		l.damaged(f.path, headErr)
	}
	for _, g := range gaps {
		if g.from < f.end || !last {
			l.damaged(f.path, f.damage(g.from, g.to, g.err))
		}
	}
	if !last {
		f.end = w.end // offsets of what is damaged are taken
		return nil
	}
	if l.reads {
		return nil // what is not whole yet is being written
	}
	if headErr != nil && f.end == f.base {
		path := f.path
		f.path = ""
		l.notice("a log file that was just begun is removed", "file", path, "bytes", info.Size())
		return errors.Join(file.Close(), l.disk.Remove(path), l.disk.SyncDir(l.dir), forget(&file))
	}
	if cut := w.end - f.end; cut > 0 {
		l.notice("the event log ends in a frame that was not written whole; it is cut off, as nobody was told that it is stored",
			"file", f.path, "bytes", cut, "offset", f.end)
		if err := errors.Join(file.Truncate(f.end-f.base+fileHeader), file.Sync()); err != nil {
			return err
		}
	}
	l.active = file
	return forget(&file)
}

func forget(f *file) error { *f = nil; return nil }

// damage names a part of the file.
func (f *logFile) damage(from, to int64, err error) error {
	return fmt.Errorf("bytes %d to %d: %w", from-f.base+fileHeader, to-f.base+fileHeader, err)
}

// append writes frames and makes them durable.
func (l *eventLog) append(frames []store.Encoded) ([]int64, error) {
	for i, e := range frames {
		if !whole(e) {
			return nil, fmt.Errorf("append frame %d of %d: it is not one that Encode made", i+1, len(frames))
		}
	}
	l.write.Lock()
	defer l.write.Unlock()
	if l.failed != nil {
		return nil, l.failed
	}
	f, err := l.current()
	if err != nil {
		return nil, l.fail(err)
	}
	l.mu.Lock()
	sums := f.logSums
	l.mu.Unlock()
	start, now := sums.end, l.now()
	ends := make([]int64, len(frames))
	l.buf = l.buf[:0]
	for i, e := range frames {
		at := len(l.buf)
		l.buf = append(l.buf, e...)
		stamp(l.buf[at:], sums.end, now)
		h, ok := parseHeader(l.buf[at:], sums.end)
		if !ok {
			return nil, fmt.Errorf("append frame %d of %d: it is not one that Encode made", i+1, len(frames))
		}
		sums.add(&h, h.end(sums.end))
		ends[i] = sums.end
	}
	_, err = l.active.WriteAt(l.buf, start-f.base+fileHeader)
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	if err == nil {
		err = l.active.Sync()
	}
	if err != nil {
		_ = l.active.Truncate(start - f.base + fileHeader) // what nobody was promised should not come back
		return nil, l.fail(err)
	}
	l.mu.Lock()
	f.logSums, l.end = sums, sums.end
	l.mu.Unlock()
	return ends, nil
}

// fail makes the log refuse everything from now on: after an error nobody knows what
// is on the disk.
func (l *eventLog) fail(err error) error {
	remedy := "look at the disk, then reopen the store"
	if noSpace(err) {
		remedy = "the disk is full: make room, then reopen the store"
	}
	l.failed = fmt.Errorf("the event log in %s takes no more: %w (%s)", l.dir, err, remedy)
	return l.failed
}

// current returns the file to append to, a new one if the last is full.
func (l *eventLog) current() (*logFile, error) {
	l.mu.Lock()
	var last *logFile
	if n := len(l.files); n > 0 {
		last = l.files[n-1]
	}
	keep := l.active != nil && last != nil && (!last.full() || last.end == last.base)
	base := l.end
	l.mu.Unlock()
	if keep {
		return last, nil
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	f := &logFile{path: filepath.Join(l.dir, logName(base)), base: base, logSums: newLogSums(base)}
	file, err := l.disk.Create(f.path)
	if err != nil {
		return nil, fmt.Errorf("begin a log file: %w", err)
	}
	if _, err := file.WriteAt(appendFileHeader(nil, base), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a log file: %w", err), file.Close())
	}
	if err := l.disk.SyncDir(l.dir); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a log file: %w", err), file.Close())
	}
	l.active = file
	l.mu.Lock()
	l.files = append(l.files, f)
	l.mu.Unlock()
	return f, nil
}

// close closes the file that is written to. Everything in it is durable already.
func (l *eventLog) close() error {
	if l.active == nil {
		return nil
	}
	f := l.active
	l.active = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close a log file: %w", err)
	}
	return nil
}

// seal ends the file that is written to, unless nothing is in it: what comes next
// goes to a new one.
func (l *eventLog) seal() error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	n := len(l.files)
	empty := n == 0 || l.files[n-1].end == l.files[n-1].base
	l.mu.Unlock()
	if empty {
		return nil
	}
	return l.close()
}

// sealed returns the files that nothing is added to any more.
func (l *eventLog) sealed() []*logFile {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.files)
	if n > 0 && l.active != nil && !l.files[n-1].full() {
		n--
	}
	return slices.Clone(l.files[:n])
}

// skip makes the log go on at an offset, if it ends before: what was there is lost.
func (l *eventLog) skip(to int64) error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	behind := l.end < to
	l.mu.Unlock()
	if !behind {
		return nil
	}
	if err := l.dropEmpty(); err != nil {
		return err
	}
	l.mu.Lock()
	l.end = to
	l.mu.Unlock()
	return l.close()
}

// dropEmpty removes the last file if it has no frame.
func (l *eventLog) dropEmpty() error {
	l.mu.Lock()
	n := len(l.files)
	if n == 0 || l.files[n-1].end > l.files[n-1].base {
		l.mu.Unlock()
		return nil
	}
	f := l.files[n-1]
	l.files = l.files[:n-1]
	l.mu.Unlock()
	return errors.Join(l.close(), l.disk.Remove(f.path), l.disk.SyncDir(l.dir))
}

// reopen makes a log that failed work again: back to what is known to be durable, and
// on in a new file.
func (l *eventLog) reopen() error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.failed == nil {
		return nil
	}
	if l.active != nil {
		l.mu.Lock()
		f := l.files[len(l.files)-1]
		size := f.end - f.base + fileHeader
		l.mu.Unlock()
		if err := errors.Join(l.active.Truncate(size), l.active.Sync()); err != nil {
			return l.fail(err)
		}
		if err := errors.Join(l.dropEmpty(), l.close()); err != nil {
			return l.fail(err)
		}
	}
	l.mu.Lock()
	begun := filepath.Join(l.dir, logName(l.end))
	l.mu.Unlock()
	if err := l.disk.Remove(begun); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.fail(err)
	}
	l.failed = nil
	return nil
}
