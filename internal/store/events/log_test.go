package events

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
)

func TestAppendAndReplay(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	s := open(t, options(dir, db))
	all := records(0, 50)
	ends := add(t, s, encode(t, all[:20]...), encode(t, all[20:21]...))
	ends = append(ends, add(t, s, encode(t, all[21:]...))...)
	if !slices.IsSorted(ends) || s.End() != ends[2] {
		t.Errorf("ends %v, End %d", ends, s.End())
	}
	for again := range 2 {
		if got := replayed(t, s, 0); !slices.Equal(got, texts(all)) {
			t.Errorf("replayed %d of 50, or other ones", len(got))
		}
		if got := replayed(t, s, ends[0]); !slices.Equal(got, texts(all[20:])) {
			t.Errorf("from the first end: %d records, want 30", len(got))
		}
		if got := replayed(t, s, ends[2]); len(got) != 0 {
			t.Errorf("from the end: %d records", len(got))
		}
		if again == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, options(dir, db))
		}
	}
	for f, err := range s.Replay(t.Context(), 0) {
		if err != nil || string(f.Meta) != "from a test" {
			t.Errorf("meta %q, error %v", f.Meta, err)
		}
	}
}

// An append after a reopen goes on where the log ended, in the same file.
func TestAppendAfterReopen(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	all := records(0, 30)
	for i := range 3 {
		s := open(t, options(dir, db))
		add(t, s, encode(t, all[10*i:10*i+10]...))
		if i == 1 {
			if err := s.log.seal(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, options(dir, db))
	if got := replayed(t, s, 0); !slices.Equal(got, texts(all)) {
		t.Errorf("replayed %d of 30, or other ones", len(got))
	}
}

func TestScanOfLog(t *testing.T) {
	t.Parallel()
	s := open(t, options(t.TempDir(), &memDB{}))
	all := records(0, 100)
	mixed := slices.Clone(all)
	slices.SortFunc(mixed, func(a, b store.Record) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	for chunk := range slices.Chunk(mixed, 9) {
		add(t, s, encode(t, chunk...))
	}
	add(t, s, encode(t, all[10:30]...)) // again
	if err := s.log.seal(); err != nil {
		t.Fatal(err)
	}
	add(t, s, encode(t, all[20:40]...)) // and again, in another file
	want := texts(byKey(all))
	if got := scanned(t, s, store.Scan{}); !slices.Equal(got, want) {
		t.Errorf("scanned %d of 100, or in another order", len(got))
	}
	slices.Reverse(want)
	if got := scanned(t, s, store.Scan{Descending: true, Limit: 30}); !slices.Equal(got, want[:30]) {
		t.Errorf("descending: %d of 30, or other ones", len(got))
	}
	from, to := start.Add(10*time.Second), start.Add(20*time.Second)
	if got := scanned(t, s, store.Scan{From: from, To: to}); !slices.Equal(got, texts(byKey(all[10:20]))) {
		t.Errorf("of ten seconds: %d", len(got))
	}
	n, err := kql.Parse(`event.action: Action3 and user.name: u1`)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := kql.Compile(n, s.opt.Catalogue)
	var count []string
	for i, r := range all {
		if i%5 == 3 && i%7 == 1 {
			count = append(count, string(r.Raw))
		}
	}
	if diff := cmp.Diff(count, scanned(t, s, store.Scan{Match: x})); diff != "" {
		t.Error(diff)
	}
	if e, err := s.Find(t.Context(), start.Add(5*time.Second), all[5].ID); err != nil || string(e.Raw) != string(all[5].Raw) {
		t.Errorf("found %v, error %v", e, err)
	}
	if e, err := s.Find(t.Context(), start.Add(6*time.Second), all[5].ID); err == nil {
		t.Errorf("found %v at another time", e)
	}
}

// Of unequal copies the same one speaks, whatever the order in which they came.
func TestUnequalCopies(t *testing.T) {
	t.Parallel()
	var first string
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		s := open(t, options(t.TempDir(), &memDB{}))
		for _, i := range order {
			add(t, s, encode(t, record(1, start, `,"x":`+string(rune('0'+i)))))
		}
		got := scanned(t, s, store.Scan{})
		if len(got) != 1 || (first != "" && got[0] != first) {
			t.Errorf("order %v: %q, before %q", order, got, first)
		}
		first = got[0]
		for _, falling := range []bool{false, true} {
			if got := scanned(t, s, store.Scan{Copies: true, Descending: falling}); len(got) != 3 || got[0] != first {
				t.Errorf("order %v: copies are %q", order, got)
			}
		}
	}
}
