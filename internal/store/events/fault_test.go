package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
)

// faultyDisk fails at the nth change, and from then on if it is broken for good.
type faultyDisk struct {
	calmDisk

	mu    sync.Mutex
	n     int // changes until the fault; negative: none
	err   error
	stays bool
	short bool // a write that fails writes half
	hit   bool
}

func (d *faultyDisk) fault() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n < 0 {
		return nil
	}
	if d.n--; d.n >= 0 {
		return nil
	}
	d.hit = true
	if d.stays {
		d.n = 0
	}
	return d.err
}

func (d *faultyDisk) repair() { d.mu.Lock(); d.n = -1; d.mu.Unlock() }

func (d *faultyDisk) Create(name string) (file, error) {
	if err := d.fault(); err != nil {
		return nil, err
	}
	f, err := d.calmDisk.Create(name)
	return &faultyFile{f, d}, err
}

func (d *faultyDisk) Open(name string, reads bool) (file, error) {
	f, err := d.calmDisk.Open(name, reads)
	return &faultyFile{f, d}, err
}

func (d *faultyDisk) Rename(from, to string) error {
	return cmpOr(d.fault(), func() error { return d.calmDisk.Rename(from, to) })
}

func (d *faultyDisk) Remove(name string) error {
	return cmpOr(d.fault(), func() error { return d.calmDisk.Remove(name) })
}
func (d *faultyDisk) SyncDir(string) error { return d.fault() }

func cmpOr(err error, do func() error) error {
	if err != nil {
		return err
	}
	return do()
}

type faultyFile struct {
	file

	d *faultyDisk
}

func (f *faultyFile) write(p []byte, do func([]byte) (int, error)) (int, error) {
	if err := f.d.fault(); err != nil {
		n := 0
		if f.d.short {
			n, _ = do(p[:len(p)/2])
		}
		return n, err
	}
	return do(p)
}

func (f *faultyFile) Write(p []byte) (int, error) { return f.write(p, f.file.Write) }
func (f *faultyFile) WriteAt(p []byte, at int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.file.WriteAt(p, at) })
}

func (f *faultyFile) Sync() error { return f.d.fault() }

func (f *faultyFile) Truncate(n int64) error {
	return cmpOr(f.d.fault(), func() error { return f.file.Truncate(n) })
}

// Whatever change of the disk fails, and whether or not it stays broken: what was
// acknowledged is there afterwards, nothing else comes that was not appended, and once
// the disk works the store does, after Reopen or a new start.
func TestFaults(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		disk := &faultyDisk{
			n: -1, err: rapid.SampledFrom([]error{errInjected, syscall.ENOSPC, syscall.EIO}).Draw(rt, "error"),
			stays: rapid.Bool().Draw(rt, "stays"), short: rapid.Bool().Draw(rt, "short"),
		}
		db := &memDB{}
		opt := options(dir, db)
		opt.disk = disk
		s := open(t, opt)
		acked, tried := map[string]bool{}, map[string]bool{}
		step := func(i int) {
			list := records(10*i, 10)
			for _, r := range list {
				tried[string(r.Raw)] = true
			}
			if _, err := s.Append(t.Context(), []store.Encoded{encode(t, list...)}); err == nil {
				for _, r := range list {
					acked[string(r.Raw)] = true
				}
			} else if disk.hit && disk.n >= 0 && !strings.Contains(err.Error(), "takes no more") {
				rt.Fatalf("an error that does not say what follows: %v", err)
			}
			s.Folded(s.End())
			if rapid.Bool().Draw(rt, "compact") {
				_ = s.Compact(t.Context())
			}
		}
		for i := range 5 {
			step(i)
		}
		disk.mu.Lock()
		disk.n = rapid.IntRange(0, 30).Draw(rt, "fault after")
		disk.mu.Unlock()
		for i := 5; i < 12; i++ {
			step(i)
		}
		disk.repair()
		if rapid.Bool().Draw(rt, "new start") {
			_ = s.Close()
			opt.disk = calmDisk{}
			s = open(t, opt)
			s.Folded(0)
		} else if err := s.Reopen(); err != nil {
			rt.Fatal(err)
		}
		last := records(1000, 3)
		add(t, s, encode(t, last...))
		for _, r := range last {
			acked[string(r.Raw)], tried[string(r.Raw)] = true, true
		}
		for round := range 2 {
			got := scanned(t, s, store.Scan{Damaged: func(name string, err error) { rt.Fatalf("damaged: %s: %v", name, err) }})
			have := map[string]bool{}
			for _, raw := range got {
				if have[raw] || !tried[raw] {
					rt.Fatalf("round %d: twice, or never appended: %s", round, raw)
				}
				have[raw] = true
			}
			for raw := range acked {
				if !have[raw] {
					rt.Fatalf("round %d: lost: %s", round, raw)
				}
			}
			compact(t, s)
		}
		c, err := s.Check(t.Context())
		if err != nil || len(c.Problems) > 0 {
			rt.Fatalf("check: %v, error %v", c.Problems, err)
		}
		_ = s.Close()
	})
}

// After a failed append the log takes nothing more, and says what to do.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := &faultyDisk{n: -1, err: syscall.ENOSPC}
	opt := options(t.TempDir(), &memDB{})
	opt.disk = disk
	s := open(t, opt)
	all := records(0, 20)
	add(t, s, encode(t, all[:10]...))
	disk.n = 0
	for range 2 { // the second time the disk has room again
		_, err := s.Append(t.Context(), []store.Encoded{encode(t, all[10:]...)})
		if err == nil || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") || !strings.Contains(err.Error(), s.log.dir) {
			t.Errorf("error %v", err)
		}
	}
	if got := scanned(t, s, store.Scan{}); !slices.Equal(got, texts(byKey(all[:10]))) {
		t.Errorf("%d events, want the 10 that were acknowledged", len(got))
	}
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	add(t, s, encode(t, all[10:]...))
	if got := replayed(t, s, 0); !slices.Equal(got, texts(all)) {
		t.Errorf("replayed %d of 20", len(got))
	}
}

// A folder that was copied or cut at any byte of the last log file: what was whole is
// there, and the log goes on.
func TestTornTail(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	all := records(0, 30)
	var ends []int64
	for chunk := range slices.Chunk(all, 5) {
		ends = append(ends, add(t, s, encode(t, chunk...))...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("log", logName(0))
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		cut := rapid.IntRange(0, len(whole)).Draw(rt, "cut")
		b := whole[:cut]
		if rapid.Bool().Draw(rt, "zeros") { // a file that has its length, but not its bytes
			b = append(bytes.Clone(b), make([]byte, len(whole)-cut)...)
		}
		if err := cmpOr(os.MkdirAll(filepath.Join(dir, "log"), 0o700), func() error { return os.WriteFile(filepath.Join(dir, name), b, 0o600) }); err != nil {
			rt.Fatal(err)
		}
		opt := options(dir, &memDB{})
		opt.disk = calmDisk{}
		s := open(t, opt)
		n := 0
		for n < len(ends) && ends[n]+fileHeader <= int64(cut) {
			n++
		}
		if got := replayed(t, s, 0); !slices.Equal(got, texts(all[:5*n])) {
			rt.Fatalf("cut at %d: %d records, want %d", cut, len(got), 5*n)
		}
		more := records(100, 4)
		add(t, s, encode(t, more...))
		_ = s.Close()
		s = open(t, opt)
		if got := replayed(t, s, 0); !slices.Equal(got, texts(slices.Concat(all[:5*n], more))) {
			rt.Fatalf("cut at %d, appended: %d records", cut, len(got))
		}
		_ = s.Close()
	})
}

// A byte changed anywhere in an older log file: the frame that it is in is named and
// left out, and no other.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, options(dir, &memDB{}))
	all := records(0, 30)
	var ends []int64
	for chunk := range slices.Chunk(all[:25], 5) {
		ends = append(ends, add(t, s, encode(t, chunk...))...)
	}
	if err := s.log.seal(); err != nil {
		t.Fatal(err)
	}
	add(t, s, encode(t, all[25:]...))
	_ = s.Close()
	var names []string
	whole := map[string][]byte{}
	for _, name := range files(t, filepath.Join(dir, "log")) {
		b, err := os.ReadFile(filepath.Join(dir, "log", name))
		if err != nil {
			t.Fatal(err)
		}
		names, whole[name] = append(names, name), b
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, len(whole[names[0]])-1).Draw(rt, "at")
		for i, name := range names {
			b := bytes.Clone(whole[name])
			if i == 0 {
				b[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
			}
			if err := os.WriteFile(filepath.Join(dir, "log", name), b, 0o600); err != nil {
				rt.Fatal(err)
			}
		}
		var lines logLines
		opt := options(dir, &memDB{})
		opt.disk, opt.Log = calmDisk{}, lines.logger()
		s, err := Open(opt)
		if errors.Is(err, store.ErrFormat) {
			return // the version is checked before all else, with its sum
		}
		if err != nil {
			rt.Fatal(err)
		}
		want := all
		if at >= fileHeader {
			i, _ := slices.BinarySearch(ends, int64(at-fileHeader)+1)
			want = slices.Concat(all[:5*i], all[5*i+5:])
		}
		for round := range 2 {
			told := 0
			got := scanned(t, s, store.Scan{Damaged: func(string, error) { told++ }})
			if !slices.Equal(got, texts(byKey(want))) {
				rt.Fatalf("round %d: byte %d changed: %d events, want %d", round, at, len(got), len(want))
			}
			if round == 0 && (at >= fileHeader) != (told > 0) {
				rt.Fatalf("told %d times of damage", told)
			}
			if round == 0 {
				if c, err := s.Check(t.Context()); err != nil || len(c.Problems) == 0 {
					rt.Fatalf("check found nothing, error %v", err)
				}
				if got := replayed(t, s, 0); !slices.Equal(got, texts(want)) {
					rt.Fatalf("replayed %d, want %d", len(got), len(want))
				}
			}
			compact(t, s)
		}
		if !strings.Contains(lines.String(), names[0]) {
			rt.Fatalf("the log does not name the file:\n%s", lines.String())
		}
		_ = s.Close()
	})
}

// A log that lost its end, which was folded, goes on behind it and says so.
func TestLostTail(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	end := add(t, s, encode(t, records(0, 10)...))[0]
	_ = s.Close()
	if err := os.Remove(filepath.Join(dir, "log", logName(0))); err != nil {
		t.Fatal(err)
	}
	var lines logLines
	opt := options(dir, db)
	opt.Log = lines.logger()
	s = open(t, opt)
	s.Folded(end)
	if s.End() != end || !strings.Contains(lines.String(), "missing or cut") {
		t.Errorf("the log ends at %d, want %d; told:\n%s", s.End(), end, lines.String())
	}
	add(t, s, encode(t, records(10, 3)...))
	if got := replayed(t, s, end); !slices.Equal(got, texts(records(10, 3))) {
		t.Errorf("replayed %d of 3", len(got))
	}
}

func TestNewerLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := appendFileHeader(nil, 0)
	b[8] = 9
	if err := cmpOr(os.MkdirAll(filepath.Join(dir, "log"), 0o700), func() error {
		return os.WriteFile(filepath.Join(dir, "log", logName(0)), resum(b), 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(options(dir, &memDB{})); !errors.Is(err, store.ErrFormat) || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("error %v", err)
	}
}

// The process is killed again and again while it appends and compacts. What it
// acknowledged is there when it starts again.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("DEBUT_TEST_KILLED"); dir != "" {
		appendForEver(dir)
		return
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acked := 0
	for round := range 8 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$", "-test.v")
		cmd.Env = append(os.Environ(), "DEBUT_TEST_KILLED="+dir, fmt.Sprintf("DEBUT_TEST_FROM=%d", 1000*round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := newLines(out)
		for range 5 + 7*round { // how far it gets is not chosen, how much it says is
			lines.next()
		}
		_ = cmd.Process.Kill()
		for lines.next() {
		}
		_ = cmd.Wait()
		acked += lines.acked
		db, err := openFileDB(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, options(dir, db))
		got := scanned(t, s, store.Scan{Damaged: func(name string, err error) { t.Errorf("damaged: %s: %v", name, err) }})
		if len(got) < acked {
			t.Errorf("round %d: %d events, %d were acknowledged", round, len(got), acked)
		}
		acked = len(got)
		if c, err := s.Check(t.Context()); err != nil || len(c.Problems) > 0 {
			t.Errorf("round %d: check: %v, error %v", round, c.Problems, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if acked == 0 {
		t.Error("nothing was appended")
	}
}

// appendForEver is the process that is killed. It says how many events it appended.
func appendForEver(dir string) {
	from, _ := strconv.Atoi(os.Getenv("DEBUT_TEST_FROM"))
	db, err := openFileDB(dir)
	if err != nil {
		panic(err)
	}
	s, err := Open(options(dir, db))
	if err != nil {
		panic(err)
	}
	for i := from; ; i++ {
		list := records(10*i, 10)
		e, err := Encode(&store.Frame{Records: list})
		if err == nil {
			_, err = s.Append(context.Background(), []store.Encoded{e})
		}
		if err == nil {
			_, err = fmt.Println("acked", len(list))
		}
		if err == nil && i%2 == 1 {
			s.Folded(s.End())
			err = s.Compact(context.Background())
		}
		if err != nil {
			panic(err)
		}
	}
}

type ackedLines struct {
	r     io.Reader
	rest  []byte
	acked int
}

func newLines(r io.Reader) *ackedLines { return &ackedLines{r: r} }

// next reads one line and reports whether there was one.
func (l *ackedLines) next() bool {
	for {
		if i := bytes.IndexByte(l.rest, '\n'); i >= 0 {
			var n int
			if _, err := fmt.Sscanf(string(l.rest[:i]), "acked %d", &n); err == nil {
				l.acked += n
			}
			l.rest = l.rest[i+1:]
			return true
		}
		buf := make([]byte, 4096)
		n, err := l.r.Read(buf)
		l.rest = append(l.rest, buf[:n]...)
		if n == 0 && err != nil {
			return false
		}
	}
}
