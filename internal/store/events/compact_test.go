package events

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

func expr(t testing.TB, s *Store, src string) query.Expr {
	t.Helper()
	n, err := kql.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	x, diags := kql.Compile(n, s.opt.Catalogue)
	if x == nil {
		t.Fatal(diags)
	}
	return x
}

// compact compacts everything and says that everything is folded.
func compact(t testing.TB, s *Store) {
	t.Helper()
	s.Folded(s.End())
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCompact(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	opt := options(dir, db)
	s := open(t, opt)
	all := records(0, 300)
	add(t, s, encode(t, all[100:200]...), encode(t, all[:100]...))
	compact(t, s)
	if n := files(t, filepath.Join(dir, "log")); len(n) != 0 {
		t.Errorf("log files left: %v", n)
	}
	if n := files(t, filepath.Join(dir, "segments")); !slices.Equal(n, []string{"000000000001.parquet"}) {
		t.Errorf("segments: %v", n)
	}
	end := s.End()
	for again := range 2 {
		if again == 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, opt)
			if s.End() != end {
				t.Errorf("the log goes on at %d, not at %d", s.End(), end)
			}
		}
		if got := scanned(t, s, store.Scan{}); !slices.Equal(got, texts(byKey(all[:200]))) {
			t.Errorf("scanned %d of 200, or other ones", len(got))
		}
	}
	add(t, s, encode(t, all[150:]...))
	want := texts(byKey(all))
	if got := scanned(t, s, store.Scan{}); !slices.Equal(got, want) {
		t.Errorf("segment and log: %d of 300, or other ones", len(got))
	}
	slices.Reverse(want)
	if got := scanned(t, s, store.Scan{Descending: true}); !slices.Equal(got, want) {
		t.Errorf("descending: %d of 300, or other ones", len(got))
	}
	if got := scanned(t, s, store.Scan{Descending: true, Limit: 7}); !slices.Equal(got, want[:7]) {
		t.Errorf("the last 7: %d, or other ones", len(got))
	}
	e, err := s.Find(t.Context(), start.Add(42*time.Second), all[42].ID)
	if err != nil || !bytes.Equal(e.Raw, all[42].Raw) || e.Ingested != opt.Now() {
		t.Errorf("found %v, error %v", e, err)
	}
}

// Frames are replayed until they are folded, compacted or not.
func TestCompactKeepsWhatIsNotFolded(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	all := records(0, 40)
	ends := add(t, s, encode(t, all[:20]...))
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, s, encode(t, all[20:]...))
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, s, 0); !slices.Equal(got, texts(all)) {
		t.Errorf("replayed %d of 40", len(got))
	}
	s.Folded(ends[0])
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, s, ends[0]); !slices.Equal(got, texts(all[20:])) {
		t.Errorf("replayed %d of 20", len(got))
	}
	if n := files(t, filepath.Join(dir, "log")); len(n) != 1 {
		t.Errorf("log files: %v", n)
	}
	if got := scanned(t, s, store.Scan{}); len(got) != 40 {
		t.Errorf("scanned %d of 40", len(got))
	}
}

// A reader beside the writer changes nothing, and is told when what it needs is gone.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	opt := options(dir, db)
	s := open(t, opt)
	all := records(0, 30)
	add(t, s, encode(t, all[:10]...))
	compact(t, s)
	add(t, s, encode(t, all[10:20]...))
	// A frame that is being written, and a segment that is not listed yet.
	torn := encode(t, all[20:]...)[:60]
	path := filepath.Join(dir, "log", logName(s.segs.compacted))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(torn)
	if err := cmpOr(err, f.Close); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "segments", "000000000999.parquet.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := folder(t, dir)
	opt.ReadOnly = true
	var lines logLines
	opt.Log = lines.logger()
	r := open(t, opt)
	if got := scanned(t, r, store.Scan{}); !slices.Equal(got, texts(byKey(all[:20]))) {
		t.Errorf("scanned %d of 20, or other ones", len(got))
	}
	_, appendErr := r.Append(t.Context(), []store.Encoded{encode(t, all[20:]...)})
	_, expireErr := r.Expire(t.Context(), start)
	for _, err := range []error{appendErr, expireErr, r.Compact(t.Context()), r.Reopen()} {
		if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("error %v", err)
		}
	}
	r.Folded(1 << 40)
	if after := folder(t, dir); after != before || lines.String() != "" {
		t.Errorf("before:\n%s\nafter:\n%s\ntold: %s", before, after, lines.String())
	}
	for range mergeFan {
		add(t, s, encode(t, all[20:]...))
		compact(t, s)
	}
	for _, err := range r.Scan(t.Context(), store.Scan{}) {
		if err != nil && !errors.Is(err, ErrChanged) {
			t.Error(err)
		} else if err != nil {
			return
		}
	}
	t.Error("the scan did not end with ErrChanged")
}

// folder is the names and sizes of a folder's files.
func folder(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A log file that is compacted in part, as it went on after a start, is compacted from
// there.
func TestCompactTheRest(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	all := records(0, 20)
	for _, part := range [][]store.Record{all[:15], all[15:]} {
		add(t, s, encode(t, part...))
		if err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		s = open(t, options(dir, db))
	}
	if st := s.Stats(); st.SegmentRows != 20 || st.LogFiles != 1 || st.LogRecords != 20 {
		t.Errorf("%+v", st)
	}
}

// Small segments of the same days become one.
// What is full, or was closed, waits for compaction; what is written to does not.
func TestWaiting(t *testing.T) {
	t.Parallel()
	s := open(t, options(t.TempDir(), &memDB{}))
	for step, want := range []struct {
		do      func()
		waiting bool
	}{
		{func() {}, false},
		{func() { add(t, s, encode(t, records(0, 3)...)) }, false},
		{func() {
			if err := s.log.seal(); err != nil {
				t.Fatal(err)
			}
		}, true},
		{func() { add(t, s, encode(t, records(3, 3)...)) }, true},
		{func() {
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		if want.do(); s.Waiting() != want.waiting {
			t.Errorf("step %d: waiting is %t", step, !want.waiting)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	all := records(0, 200)
	for chunk := range slices.Chunk(all, 10) {
		add(t, s, encode(t, chunk...))
		add(t, s, encode(t, chunk[3]))
		compact(t, s)
	}
	if n := files(t, filepath.Join(dir, "segments")); len(n) >= mergeFan {
		t.Errorf("segments: %v", n)
	}
	if got := scanned(t, s, store.Scan{}); !slices.Equal(got, texts(byKey(all))) {
		t.Errorf("scanned %d of 200, or other ones", len(got))
	}
}

// What a scan reads stays until it has been read.
func TestScanWhileCompacting(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	all := records(0, 120)
	for chunk := range slices.Chunk(all[:100], 10) {
		add(t, s, encode(t, chunk...))
		if err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, encode(t, all[100:]...))
	n := 0
	for _, err := range s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			compact(t, s)
		}
	}
	if n != 120 {
		t.Errorf("scanned %d of 120", n)
	}
	have := append(files(t, filepath.Join(dir, "segments")), files(t, filepath.Join(dir, "log"))...)
	if len(have) >= mergeFan {
		t.Errorf("files left: %v", have)
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	opt := options(dir, db)
	opt.Retention = Retention{Age: 24 * time.Hour}
	s := open(t, opt)
	for i := range 3 {
		add(t, s, encode(t, record(i, start.Add(time.Duration(i)*24*time.Hour), "")))
		compact(t, s)
	}
	dropped, err := s.Expire(t.Context(), start.Add(48*time.Hour+time.Second))
	if err != nil || len(dropped) != 2 || dropped[0].Reason != "age" || !dropped[0].Max.Equal(start) {
		t.Errorf("dropped %v, error %v", dropped, err)
	}
	if got := scanned(t, s, store.Scan{}); len(got) != 1 {
		t.Errorf("%d events left, want 1", len(got))
	}
	s.opt.Retention = Retention{Bytes: 10}
	if dropped, err = s.Expire(t.Context(), start); err != nil || len(dropped) != 1 || dropped[0].Reason != "size" {
		t.Errorf("dropped %v, error %v", dropped, err)
	}
	if n := files(t, filepath.Join(dir, "segments")); len(n) != 0 {
		t.Errorf("segments left: %v", n)
	}
}

// A segment that cannot be read is named; everything else is served.
func TestDamagedSegment(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	var lines logLines
	opt := options(dir, db)
	opt.Log = lines.logger()
	s := open(t, opt)
	all := records(0, 30)
	for chunk := range slices.Chunk(all, 10) {
		add(t, s, encode(t, chunk...))
		compact(t, s)
	}
	path := filepath.Join(dir, "segments", "000000000002.parquet")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := texts(byKey(slices.Concat(all[:10], all[20:])))
	for range 2 {
		var told []string
		got := scanned(t, s, store.Scan{Damaged: func(name string, err error) { told = append(told, name+": "+err.Error()) }})
		if !slices.Equal(got, want) {
			t.Errorf("scanned %d of 20, or other ones", len(got))
		}
		if len(told) != 1 || !strings.Contains(told[0], path) || !strings.Contains(told[0], "checksum") {
			t.Errorf("told %q", told)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, opt)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s = open(t, opt)
	if got := scanned(t, s, store.Scan{}); !slices.Equal(got, want) {
		t.Errorf("one is missing: scanned %d of 20, or other ones", len(got))
	}
	if !strings.Contains(lines.String(), "000000000002.parquet") {
		t.Errorf("the log does not name it:\n%s", lines.String())
	}
}

// Whatever is appended, compacted and reopened in whatever order: a scan yields each
// event once, in order, and those that match.
func TestScanAgreesWithModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		opt := options(dir, &memDB{})
		opt.disk = calmDisk{}
		s := open(t, opt)
		model := map[string]store.Record{}
		draw := func() []store.Record {
			list := make([]store.Record, rapid.IntRange(0, 12).Draw(rt, "records"))
			for i := range list {
				n := rapid.IntRange(0, 40).Draw(rt, "n")
				list[i] = record(n, start.Add(time.Duration(n/3)*time.Hour*7), rapid.SampledFrom([]string{"", "", `,"copy":1`, `,"copy":2`}).Draw(rt, "copy"))
			}
			return list
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) {
				list := draw()
				add(t, s, encode(t, list...))
				for _, r := range list {
					model[string(r.Raw)] = r
				}
			},
			"seal": func(rt *rapid.T) {
				if err := s.log.seal(); err != nil {
					rt.Fatal(err)
				}
			},
			"compact": func(*rapid.T) { compact(t, s) },
			"compact only": func(rt *rapid.T) {
				if err := s.Compact(t.Context()); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(rt *rapid.T) {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = open(t, opt)
			},
			"": func(rt *rapid.T) {
				src := rapid.SampledFrom([]string{"", "event.action: Action1", "user.name: (u1 or u2)", "not source.address: 198.18.0.3"}).Draw(rt, "query")
				q := store.Scan{Descending: rapid.Bool().Draw(rt, "descending"), Limit: rapid.IntRange(0, 20).Draw(rt, "limit")}
				if src != "" {
					q.Match = expr(t, s, src)
				}
				q.From = start.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "from")) * time.Hour)
				if rapid.Bool().Draw(rt, "bounded") {
					q.To = q.From.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "span")) * time.Hour)
				}
				if got, want := scanned(t, s, q), expected(s, model, q); !slices.Equal(got, want) {
					rt.Fatalf("%q %+v: %d events, want %d\n%q\n%q", src, q, len(got), len(want), got, want)
				}
			},
		})
		_ = s.Close()
	})
}

// expected is what a scan must yield.
func expected(s *Store, model map[string]store.Record, q store.Scan) []string {
	maker := newEventMaker(s.opt.Catalogue, nil)
	best := map[[24]byte]entry{}
	var list []store.Record
	for _, r := range model {
		e := entry{Record: r}
		ev, err := maker.make(&e)
		if err != nil || r.Time < q.From.UnixNano() || !q.To.IsZero() && r.Time >= q.To.UnixNano() || q.Match != nil && !q.Match.Match(ev) {
			continue
		}
		var key [24]byte
		copy(key[:], r.ID[:])
		if have, ok := best[key]; !ok || e.before(&have) {
			best[key] = e
		}
	}
	for _, e := range best {
		list = append(list, e.Record)
	}
	out := texts(byKey(list))
	if q.Descending {
		slices.Reverse(out)
	}
	if q.Limit > 0 {
		out = out[:min(q.Limit, len(out))]
	}
	return out
}
