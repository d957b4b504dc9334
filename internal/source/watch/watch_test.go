package watch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/source/watch"
)

// interval is the default one and a moment.
const interval = 31 * time.Second

func TestFiles(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		w.write("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/31/x.json", object("a"))
		w.write("deep/er/b.ndjson", lines("b"))
		w.write("c.json.gz", zipped(t, object("c")))
		w.write("no extension", object("d"))
		for _, name := range []string{
			"x.json.tmp", "x.json.part", "x.json.crdownload", ".x.json", ".hidden/x.json", "x.json~", "x.json.gz.6eF5b5da", "x.pdf",
			"AWSLogs/111122223333/Config/eu-west-1/2026/1/31/x.json", "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/31/x.json.gz",
		} {
			w.write(name, object("unwanted"))
		}
		if err := syscall.Mkfifo(w.path("pipe.json"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.pass(interval + 3*time.Second)
		w.want("all", "a", "b", "c", "d")
		if got := w.sink.key(w.path("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/31/x.json")); got != "111122223333 eu-west-1" {
			t.Errorf("the key says %q", got)
		}
		w.pass(3 * interval)
		if n := len(w.sink.deliveries()); n != 4 {
			t.Errorf("%d deliveries of 4 files", n)
		}
		w.restart()
		w.pass(3 * interval)
		w.want("after a restart", "a", "b", "c", "d")
	})
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOnlyFinishedFiles(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{Settle: 10 * time.Second, Interval: 5 * time.Second}, func(w *folder) {
		text := zipped(t, object("a", "b"))
		for i := range len(text) { // a slow writer
			w.add("a.json.gz", text[i:i+1])
			w.pass(4 * time.Second)
			if got := w.sink.deliveries(); len(got) > 0 {
				t.Fatalf("read after %d of %d bytes", i+1, len(text))
			}
		}
		w.pass(20 * time.Second)
		w.want("in the end", "a", "b")
		if n := len(w.sink.deliveries()); n != 1 || len(w.sink.damage()) > 0 {
			t.Errorf("%d deliveries, problems %v", n, w.sink.damage())
		}
		// A temporary name may be at rest as long as it likes.
		w.write("b.json.tmp", object("c"))
		w.pass(time.Minute)
		w.want("before the rename", "a", "b")
		w.rename("b.json.tmp", "b.json")
		w.pass(20 * time.Second)
		w.want("after the rename", "a", "b", "c")
	})
}

func TestRenamed(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		w.write("a.json", object("a"))
		w.write("b.ndjson", lines("b"))
		w.pass(2 * interval)
		w.rename("a.json", "done/a.json")
		w.rename("b.ndjson", "done/b.ndjson")
		w.pass(2 * interval)
		w.want("moved", "a", "b")
		w.stop()
		w.rename("done/a.json", "done/again.json")
		w.rename("done/b.ndjson", "b.ndjson")
		w.start()
		w.pass(2 * interval)
		w.want("moved while nobody looked", "a", "b")
		if err := os.Link(w.path("done/again.json"), w.path("linked.json")); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * interval)
		w.want("linked", "a", "b")
		// What only looks the same is read: inode, size and time, but other bytes.
		info, err := os.Stat(w.path("linked.json"))
		if err != nil {
			t.Fatal(err)
		}
		w.write("linked.json", object("c"))
		if err := os.Chtimes(w.path("linked.json"), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		w.rename("linked.json", "other.json")
		w.pass(2 * interval)
		w.want("an inode used again", "a", "b", "c")
	})
}

func TestRewritten(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		w.write("a.json", object("a"))
		w.pass(2 * interval)
		w.write("a.json", object("a", "b"))
		w.pass(2 * interval)
		w.want("longer", "a×2", "b")
		w.write("a.json", object("c"))
		if err := os.Chtimes(w.path("a.json"), time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * interval)
		w.want("as long as the first", "a×2", "b", "c")
	})
}

func TestGrowing(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{Lines: 300, Part: 400}, func(w *folder) {
		w.write("a.ndjson", lines("01", "02", "03", "04", "05"))
		w.pass(2 * interval)
		w.want("at first", "01", "02", "03", "04", "05")
		w.add("a.ndjson", lines("06", "07"))
		w.pass(2 * interval)
		w.add("a.ndjson", record("08")[:50])
		w.pass(2 * time.Second)
		w.restart()
		w.pass(35 * time.Second)
		w.want("in the middle of a line", "01", "02", "03", "04", "05", "06", "07")
		w.add("a.ndjson", record("08")[50:]+"\n"+record("09"))
		w.pass(2 * interval)
		w.want("a last line that is complete without its end", "01", "02", "03", "04", "05", "06", "07", "08", "09")
		w.add("a.ndjson", "\n"+lines("10"))
		w.pass(2 * interval)
		w.want("its end, and more", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10")
		// Rotation: renamed with something in it that was not read, and begun anew.
		w.add("a.ndjson", lines("11"))
		w.rename("a.ndjson", "a.ndjson.1")
		w.write("a.ndjson", lines("12", "13", "14"))
		w.pass(2 * interval)
		w.want("rotated", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14")
		// Rotation by copy and truncate.
		w.write("a.ndjson.2", lines("12", "13", "14"))
		w.write("a.ndjson", lines("15", "16", "17"))
		w.pass(2 * interval)
		w.want("copied and truncated", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17")
		if len(w.sink.damage()) > 0 {
			t.Errorf("problems: %v", w.sink.damage())
		}
		if !strings.Contains(strings.Join(w.sink.deliveries(), "\n"), w.path("a.ndjson")+"@") {
			t.Errorf("the deliveries are named %v", w.sink.deliveries())
		}
	})
}

// A log that is never at rest is read all the same.
func TestGrowingForEver(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		var want []string
		for i := range 100 {
			id := fmt.Sprintf("%03d", i)
			w.add("a.log", lines(id)+record("half")[:i%20])
			want = append(want, id)
			w.pass(time.Second)
			if i == 90 && len(w.sink.got()) < 50 {
				t.Fatalf("of %d only %d are read", i+1, len(w.sink.got()))
			}
			if err := os.Truncate(w.path("a.log"), size(t, w.path("a.log"))-int64(i%20)); err != nil { // the half line is written over
				t.Fatal(err)
			}
		}
		w.pass(2 * interval)
		w.want("in the end", want...)
	})
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A last line that was cut off is delivered after a while, so that somebody is told, and
// does no harm if it gets its end after all.
func TestCutOff(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{Lines: 10}, func(w *folder) {
		w.write("a.ndjson", lines("a")+record("b")[:40])
		w.pass(interval)
		if len(w.sink.damage()) > 0 {
			t.Errorf("too early: %v", w.sink.damage())
		}
		w.pass(2 * time.Minute)
		if diff := cmp.Diff([]string{"truncated"}, w.sink.damage()); diff != "" {
			t.Error(diff)
		}
		w.restart()
		w.pass(2 * time.Minute)
		w.add("a.ndjson", record("b")[40:]+"\n"+lines("c"))
		w.pass(2 * time.Minute)
		w.want("in the end", "a", "b", "c")
		if diff := cmp.Diff([]string{"truncated"}, w.sink.damage()); diff != "" {
			t.Error(diff)
		}
	})
}

// Files that begin with the same line are told apart.
func TestEqualFirstLines(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{Lines: 10}, func(w *folder) {
		w.write("a.ndjson", lines("a", "b"))
		w.pass(2 * interval)
		w.write("b.ndjson", lines("a", "c", "d"))
		w.pass(2 * interval)
		w.add("a.ndjson", lines("e"))
		w.add("b.ndjson", lines("f"))
		w.pass(2 * interval)
		w.want("both", "a×2", "b", "c", "d", "e", "f")
		w.write("b.ndjson", lines("a", "g"))
		w.pass(2 * interval)
		w.want("written anew", "a×3", "b", "c", "d", "e", "f", "g")
	})
}

func TestLinks(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		link := func(target, name string) {
			t.Helper()
			if err := os.Symlink(target, w.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		w.write("a.json", object("a"))
		w.write("../out/b.json", object("b"))
		w.write("../out/c.json", object("c"))
		w.write("../out/.hidden/d.json", object("d"))
		link(".", "circle")
		link("../out", "out")
		link("../out", "out again")
		link("../out/c.json", "c.json")
		link("a.json", "same.json")
		w.write("../out/up/x.json", object("x"))
		if err := os.Symlink(w.dir, w.path("../out/up/back")); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * interval)
		w.want("links", "a", "b", "c", "x")
		if got := w.sink.troubled(); got != "" {
			t.Errorf("trouble: %s", got)
		}
		link("nowhere", "gone.json")
		w.pass(2 * interval)
		if got := w.sink.troubled(); !strings.Contains(got, "gone.json leads nowhere") {
			t.Errorf("trouble: %q", got)
		}
	})
}

func TestFolderVanishes(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		w.write("a.json", object("a"))
		w.pass(2 * interval)
		if err := os.Rename(w.dir, w.dir+"-away"); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * interval)
		if got := w.sink.troubled(); !strings.Contains(got, w.dir) || !strings.Contains(got, "no such file") {
			t.Errorf("trouble: %q", got)
		}
		if err := os.WriteFile(w.dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * interval)
		if got := w.sink.troubled(); !strings.Contains(got, "it is a file") {
			t.Errorf("trouble: %q", got)
		}
		if err := errors.Join(os.Remove(w.dir), os.Rename(w.dir+"-away", w.dir)); err != nil {
			t.Fatal(err)
		}
		w.write("b.json", object("b"))
		w.pass(2 * interval)
		w.want("it is back", "a", "b")
		if got := w.sink.troubled(); got != "" {
			t.Errorf("trouble: %q", got)
		}
		// An empty folder, as of a mount that is missing, makes nothing forgotten.
		if err := errors.Join(os.Rename(w.dir, w.dir+"-away"), os.Mkdir(w.dir, 0o700)); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * interval)
		if err := errors.Join(os.Remove(w.dir), os.Rename(w.dir+"-away", w.dir)); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * interval)
		w.want("mounted again", "a", "b")
	})
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	inFolder(t, watch.Options{}, func(w *folder) {
		w.write("a.json", object("a"))
		w.write("sub/b.json", object("b"))
		if err := errors.Join(os.Chmod(w.path("a.json"), 0), os.Chmod(w.path("sub"), 0)); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Minute)
		if len(w.sink.failures()) != 1 || !strings.Contains(w.sink.troubled(), "sub cannot be read") {
			t.Errorf("failed %v, trouble %q", w.sink.failures(), w.sink.troubled())
		}
		if err := errors.Join(os.Chmod(w.path("a.json"), 0o600), os.Chmod(w.path("sub"), 0o700)); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Minute)
		w.want("readable", "a", "b")
		if len(w.sink.failures()) != 0 || w.sink.troubled() != "" {
			t.Errorf("failed %v, trouble %q", w.sink.failures(), w.sink.troubled())
		}
	})
}

func TestSinkCannotStore(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		w.sink.refuse(syscall.ENOSPC)
		w.write("a.json", object("a"))
		w.write("b.ndjson", lines("b"))
		w.pass(time.Hour)
		if len(w.sink.failures()) != 0 {
			t.Errorf("the files are called failed: %v", w.sink.failures())
		}
		w.sink.refuse(nil)
		w.pass(10 * time.Minute)
		w.want("room again", "a", "b")
	})
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{Lines: 10}, func(w *folder) {
		var want []string
		for i, name := range []string{"a\nb.json", "\x1b[31mred.json", "\xff\xfe.json", "<script>.json", "'; drop table.json", "-rf.json", strings.Repeat("x", 250) + ".json", "a=b\tc.log", "*?[.json"} {
			id := fmt.Sprint(i)
			w.write(name, object(id))
			w.write("lines-"+strings.TrimLeft(name, "x"), lines(id+"l"))
			want = append(want, id, id+"l")
		}
		w.pass(2 * interval)
		w.want("all", want...)
		w.restart()
		w.pass(2 * interval)
		w.want("after a restart", want...)
	})
}

func TestDamagedPositions(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{Lines: 10}, func(w *folder) {
		w.write("a.json", object("a"))
		w.write("b.ndjson", lines("b", "c"))
		w.pass(2 * interval)
		w.stop()
		for k := range w.sink.positions {
			w.sink.positions[k] = "{damaged"
		}
		w.start()
		w.pass(2 * interval)
		// The parts of b have the same names again: the sink knows them.
		w.want("asked of the sink", "a", "b", "c")
	})
}

func TestManyFiles(t *testing.T) {
	t.Parallel()
	inFolder(t, watch.Options{}, func(w *folder) {
		const n = 3000
		for i := range n {
			w.write(fmt.Sprintf("%d/%d.json", i%7, i), object(fmt.Sprint(i)))
		}
		w.pass(2 * interval)
		if got := len(w.sink.got()); got != n {
			t.Errorf("%d of %d", got, n)
		}
		w.restart()
		w.pass(2 * interval)
		if got := len(w.sink.deliveries()); got != n {
			t.Errorf("%d deliveries of %d files", got, n)
		}
	})
}

// However a log of lines grows, is rotated and the process is killed, every line is
// read exactly once.
func TestLinesAreReadExactlyOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.SampledFrom([]string{"add", "half", "rotate", "wait", "long", "kill", "kill"}), 1, 25).Draw(rt, "script")
		numbers := rapid.SliceOfN(rapid.IntRange(1, 40), len(script), len(script)).Draw(rt, "numbers")
		part := rapid.Int64Range(100, 1000).Draw(rt, "part")
		inFolder(t, watch.Options{Lines: 10, Part: part}, func(w *folder) {
			next, rotated, half := 0, 0, ""
			var want []string
			line := func() string {
				next++
				id := fmt.Sprintf("%04d", next)
				want = append(want, id)
				return lines(id)
			}
			finish := func() {
				if half != "" {
					w.add("a.log", half)
					half = ""
				}
			}
			w.add("a.log", line())
			for i, op := range script {
				switch n := numbers[i]; op {
				case "add":
					finish()
					for range n % 5 {
						w.add("a.log", line())
					}
				case "half":
					finish()
					text := line()
					w.add("a.log", text[:n])
					half = text[n:]
				case "rotate":
					finish()
					rotated++
					w.rename("a.log", fmt.Sprintf("a.log.%d", rotated))
					w.add("a.log", line())
				case "wait":
					w.pass(time.Duration(n) * time.Second / 2)
				case "long":
					w.pass(time.Duration(n) * 10 * time.Second)
				case "kill":
					w.sink.die(n)
					w.pass(time.Duration(n) * time.Second)
					w.stop()
					w.sink.revive()
					w.start()
				}
			}
			finish()
			w.pass(5 * time.Minute)
			w.want(fmt.Sprintf("%v %v, parts of %d", script, numbers, part), want...)
		})
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// With the system's hints a file is found without waiting for the next reading, also in
// a folder that was made a moment ago.
func TestHints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := watch.New(watch.Options{Dir: dir, Now: time.Now, Settle: 10 * time.Millisecond, Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	to := newSink()
	to.arrived = make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, to) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for i, name := range []string{"a.json", "new/folder/b.json", "new/folder/c.json", "new/d.json"} {
		path := filepath.Join(dir, name)
		id := fmt.Sprint(i)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+".tmp", []byte(object(id)), 0o600), os.Rename(path+".tmp", path)); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-to.arrived:
			if got != id {
				t.Errorf("got %s, want %s", got, id)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s did not arrive", name)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := watch.New(watch.Options{}); err == nil {
		t.Error("no folder is no error")
	}
	s, err := watch.New(watch.Options{Dir: "x", Name: "logs", Now: time.Now})
	if err != nil || s.Name() != "logs" {
		t.Errorf("got %v %v", s, err)
	}
	var _ source.Source = s
}
