package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
)

// plenty is enough documents to spill with a small memory.
func plenty(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(entry{
			id: i, at: base.Add(time.Duration(i) * time.Second), user: fmt.Sprintf("user-%d", i%997),
			action: []string{"SendCommand", "StartSession", "GetParameter"}[i%3], failed: i%5 == 0,
			account: "111122223333", region: "eu-west-1",
		}.document() + "\n")
	}
	return b.String()
}

// openFiles counts this process's open files.
func openFiles(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("counts open files in /proc")
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Whatever goes wrong, and when: the error says what, and no file and no goroutine
// stays. (Not parallel: it counts open files.)
func TestFaultsLeaveNothingBehind(t *testing.T) {
	cat := ecs.NewCatalogue()
	e := engine(t, cat)
	text := plenty(6_000)
	broken := errors.New("the wire is cut")
	yes := func(list ...pipeline.Object) iter.Seq2[pipeline.Object, error] {
		return func(yield func(pipeline.Object, error) bool) {
			for _, o := range list {
				if !yield(o, nil) {
					return
				}
			}
		}
	}
	good := pipeline.Object{Name: "good", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		dir     string
		objects func(cancel func()) iter.Seq2[pipeline.Object, error]
		want    string
		is      error
	}{
		{
			"no such folder for temporary files", filepath.Join(t.TempDir(), "none"),
			func(func()) iter.Seq2[pipeline.Object, error] { return yes(good, good) }, "TMPDIR", os.ErrNotExist,
		},
		{
			"the folder is a file", file,
			func(func()) iter.Seq2[pipeline.Object, error] { return yes(good, good) }, "TMPDIR", nil,
		},
		{
			"the listing fails", t.TempDir(),
			func(func()) iter.Seq2[pipeline.Object, error] {
				return func(yield func(pipeline.Object, error) bool) {
					if yield(good, nil) {
						yield(pipeline.Object{}, broken)
					}
				}
			}, "the wire is cut", broken,
		},
		{
			"cancelled while listing", t.TempDir(),
			func(cancel func()) iter.Seq2[pipeline.Object, error] {
				return func(yield func(pipeline.Object, error) bool) {
					for i := 0; ; i++ {
						if i == 5 {
							cancel()
						}
						if !yield(good, nil) {
							return
						}
					}
				}
			}, "", context.Canceled,
		},
		{
			"cancelled while reading", t.TempDir(),
			func(cancel func()) iter.Seq2[pipeline.Object, error] {
				o := good
				o.Open = func() (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader(text), onRead(cancel), strings.NewReader(text))), nil
				}
				return yes(good, o, good)
			}, "", context.Canceled,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := openFiles(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := pipeline.Run(ctx, pipeline.Config{
				Engine: e, Catalogue: cat, Workers: 2, Memory: 1, TempDir: tc.dir,
			}, tc.objects(cancel))
			if err == nil {
				_ = res.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v; want %q, %v", err, tc.want, tc.is)
			}
			if after := openFiles(t); after != before {
				t.Errorf("%d open files before, %d after", before, after)
			}
		})
	}
	t.Run("no fault", func(t *testing.T) {
		before := openFiles(t)
		dir := t.TempDir()
		res, err := pipeline.Run(t.Context(), pipeline.Config{Engine: e, Catalogue: cat, Workers: 2, Memory: 1, TempDir: dir}, yes(good))
		if err != nil {
			t.Fatal(err)
		}
		during := openFiles(t)
		if during == before {
			t.Error("nothing was spilled: the test proves nothing")
		}
		if during-before > 3 { // two spools and the result; the sorters are done
			t.Errorf("%d files stay open", during-before)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("temporary files can be found: %v, %v", entries, err)
		}
		first := list(t, res)
		if diff := cmp.Diff(first, list(t, res)); diff != "" {
			t.Errorf("read again, the findings differ:\n%s", diff)
		}
		for _, err := range res.Found() { // and they need not be read to the end
			if err != nil {
				t.Error(err)
			}
			break
		}
		if err := res.Close(); err != nil {
			t.Error(err)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d open files before, %d after", before, after)
		}
	})
}

// onRead does something when it is read, and has nothing to read.
type onRead func()

func (f onRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// What cannot be read is named and counted, and everything around it is read.
func TestUnreadableObjects(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	day := base.Truncate(24 * time.Hour)
	key := func(kind, file string) *cloudtrail.Key {
		return &cloudtrail.Key{Account: "111122223333", Kind: kind, Region: "eu-west-1", Day: day, File: file}
	}
	doc := entry{id: 1, at: base, user: "ana", action: "SendCommand", account: "111122223333", region: "eu-west-1"}.document()
	bad := entry{id: 2, at: base, user: "ana", action: "SendCommand"}.document()
	text := func(s string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
	}
	denied := func() (io.ReadCloser, error) { return nil, errors.New("permission denied") }
	var told []string
	res, err := pipeline.Run(t.Context(), pipeline.Config{
		Engine: engine(t, cat), Catalogue: cat, Workers: 1,
		Problem: func(p cloudtrail.Problem) { told = append(told, p.Input+": "+p.Code) },
	}, func(yield func(pipeline.Object, error) bool) {
		_ = yield(pipeline.Object{Name: "a", Open: text(doc)}, nil) &&
			yield(pipeline.Object{}, fmt.Errorf("list: %w", &pipeline.Failure{Path: "b", Code: "no-such-file", Message: "there is no such file"})) &&
			yield(pipeline.Object{Name: "c", Open: denied, Key: key("CloudTrail", "111122223333_CloudTrail_eu-west-1_20260301T1205Z_c.json.gz")}, nil) &&
			yield(pipeline.Object{Name: "d", Open: text(compress(doc)[:60]), Key: key("CloudTrail", "d")}, nil) &&
			yield(pipeline.Object{Name: "e", Open: denied, Key: key("CloudTrail-Digest", "e")}, nil) &&
			yield(pipeline.Object{Name: "f", Open: text(strings.Replace(bad, "2026-03-01T", "yesterday ", 1))}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Close() }()
	st := &res.Stats
	if st.Rejected != 5 || st.Objects != 5 || st.Documents != 1 || res.Len() == 0 {
		t.Errorf("%d rejected, %d objects, %d documents, %d findings", st.Rejected, st.Objects, st.Documents, res.Len())
	}
	var got []string
	for _, c := range st.Problems {
		for _, p := range c.Examples {
			got = append(got, fmt.Sprintf("%s: %s: %v", p.Input, c.Code, c.Rejected))
		}
	}
	if diff := cmp.Diff([]string{"f: bad-document: true", "b: no-such-file: true", "d: truncated: true", "c: unreadable: true", "e: unreadable: true"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(told) != 5 {
		t.Errorf("told of %v", told)
	}
	if z := st.Zones; len(z) != 1 || z[0].Unreadable != 2 || z[0].Failed != 24 {
		t.Errorf("zones %+v", z)
	}
}

// From, To and Learn: what begins before the start is remembered and not alerted.
func TestStartAndEnd(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	e := engine(t, cat)
	send := func(id int, at time.Duration, user string) string {
		return entry{id: id, at: base.Add(at), user: user, action: "SendCommand", account: "1", region: "r"}.document()
	}
	text := strings.Join([]string{
		send(1, 0, "ana"), send(2, time.Hour, "bo"), send(3, 2*time.Hour, "ana"), send(4, 3*time.Hour, "cy"), send(5, 4*time.Hour, "di"),
	}, "\n")
	for _, tc := range []struct {
		name             string
		cfg              pipeline.Config
		start            time.Time
		alerts           string
		learned, outside int64
	}{
		{"all", pipeline.Config{}, time.Time{}, "1 2 4 5", 0, 0},
		{"from is included", pipeline.Config{From: base.Add(time.Hour)}, base.Add(time.Hour), "2 4 5", 1, 0},
		{"what came before is known", pipeline.Config{From: base.Add(time.Hour + 1)}, base.Add(time.Hour + 1), "4 5", 2, 0},
		{"to is not included", pipeline.Config{To: base.Add(3 * time.Hour)}, time.Time{}, "1 2", 0, 2},
		{"learn", pipeline.Config{Learn: 2 * time.Hour}, base.Add(2 * time.Hour), "4 5", 2, 0},
		{"the later start counts", pipeline.Config{Learn: time.Hour, From: base.Add(4 * time.Hour)}, base.Add(4 * time.Hour), "5", 3, 0},
		{"or this", pipeline.Config{Learn: 4 * time.Hour, From: base.Add(time.Hour)}, base.Add(4 * time.Hour), "5", 3, 0},
		{"nothing is left", pipeline.Config{From: base.Add(time.Hour), To: base}, base.Add(time.Hour), "", 0, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.cfg.Engine, tc.cfg.Catalogue = e, cat
			res, err := pipeline.Run(t.Context(), tc.cfg, objects(text))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Close() }()
			var got []string
			for f, err := range res.Found() {
				if err != nil {
					t.Fatal(err)
				}
				if f.Rule.Rule.ID == "first" {
					got = append(got, strings.TrimPrefix(f.Event.Values(cat.Resolve("event.id"))[0], "id-"))
				}
			}
			st := &res.Stats
			if alerts := strings.Join(got, " "); alerts != tc.alerts || st.Rules[0].Learned != tc.learned || st.Outside != tc.outside || !st.Start.Equal(tc.start) {
				t.Errorf("alerts %q, learned %d, outside %d, start %v", alerts, st.Rules[0].Learned, st.Outside, st.Start)
			}
		})
	}
}

// A flood of hits, of findings and of combinations gives the same with hardly any
// memory as with plenty.
func TestFloodInLittleMemory(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	e := engine(t, cat)
	text := plenty(11_000)
	stats, want := scan(t, pipeline.Config{Engine: e, Catalogue: cat, Workers: 1}, text)
	again, got := scan(t, pipeline.Config{Engine: e, Catalogue: cat, Workers: 3, Memory: 1 << 16}, text, text)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-plenty +little memory):\n%s", diff)
	}
	if diff := cmp.Diff(sameOf(stats), sameOf(again)); diff != "" {
		t.Errorf("stats (-plenty +little memory):\n%s", diff)
	}
	if stats.Rules[4].Capped == 0 || stats.Rules[4].Withheld == 0 || stats.Rules[4].Dropped == 0 {
		t.Errorf("the flood is none: %+v", stats.Rules[4])
	}
}
