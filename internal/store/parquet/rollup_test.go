package parquet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
)

// Whatever is asked for, the rows are those that the query wants, in their order.
func TestRollups(t *testing.T) {
	t.Parallel()
	begin := time.Date(2025, 1, 6, 0, 0, 0, 0, time.UTC)
	list := make([]Rollup, 20_000)
	for i := range list {
		hour := begin.Add(time.Duration(i%30) * time.Hour)
		list[i] = Rollup{
			Rollup: store.Rollup{
				RollupKey: store.RollupKey{
					Hour: hour, Account: "111122223333", Region: fmt.Sprintf("eu-west-%d", i%3), Principal: fmt.Sprintf("arn:aws:iam::111122223333:user/person%03d", i/100),
					Provider: "ssm.amazonaws.com", Action: fmt.Sprintf("Act%d", i%11), Outcome: "success", Network: "198.18.0.0/24", Agent: "aws-cli",
				},
				First: hour.Add(time.Second), Last: hour.Add(time.Minute), Count: int64(i),
			},
		}
		if i%17 == 0 {
			list[i].Elsewhere = []uint64{3, 1 << 40}
		}
	}
	var buf bytes.Buffer
	w := NewRollupWriter(&buf)
	for _, part := range [][]Rollup{list[:10], list[10:900], list[900:]} {
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Close()
	if err != nil || info.Rows != 20_000 || info.Bytes != int64(buf.Len()) {
		t.Fatalf("%+v, error %v", info, err)
	}
	person := "arn:aws:iam::111122223333:user/person150"
	for name, q := range map[string]store.RollupQuery{
		"all":       {},
		"hours":     {From: begin.Add(3 * time.Hour), To: begin.Add(5 * time.Hour)},
		"principal": {Principal: person},
		"both":      {Principal: person, From: begin.Add(3 * time.Hour), To: begin.Add(5 * time.Hour)},
		"texts":     {Account: "111122223333", Region: "eu-west-1", Provider: "ssm.amazonaws.com", Action: "Act7", Network: "198.18.0.0/24"},
		"nobody":    {Principal: person + "0"},
		"absent":    {Region: "us-east-1"},
		"after":     {From: begin.Add(30 * time.Hour)},
	} {
		var want, got []Rollup
		for i := range list {
			if q.Wants(&list[i].RollupKey) {
				want = append(want, list[i])
			}
		}
		if more, err := ReadRollups(buf.Bytes(), info.Sums, &q, func(u *Rollup) bool { got = append(got, *u); return true }); err != nil || !more {
			t.Fatalf("%s: more %t, error %v", name, more, err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	checkTotals(t, list, begin)
	n := 0
	if more, err := ReadRollups(buf.Bytes(), info.Sums, &store.RollupQuery{}, func(*Rollup) bool { n++; return n < 3 }); more || err != nil || n != 3 {
		t.Errorf("%d rows after the third was the last wanted; more %t, error %v", n, more, err)
	}
}

// checkTotals checks that totals say what the rows by hour do.
func checkTotals(t *testing.T, list []Rollup, begin time.Time) {
	t.Helper()
	slices.SortStableFunc(list, func(a, b Rollup) int { // as files are written
		return cmp.Or(strings.Compare(a.Principal, b.Principal), strings.Compare(a.Action, b.Action), strings.Compare(a.Region, b.Region),
			len(a.Elsewhere)-len(b.Elsewhere), a.Hour.Compare(b.Hour))
	})
	var buf bytes.Buffer
	w := NewRollupWriter(&buf)
	if err := w.Write(list); err != nil {
		t.Fatal(err)
	}
	info, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []store.RollupQuery{{}, {From: begin.Add(3 * time.Hour), To: begin.Add(17 * time.Hour)}, {Region: "eu-west-1", From: begin.Add(5 * time.Hour)}} {
		want, got := map[string]store.Rollup{}, map[string]store.Rollup{}
		add := func(m map[string]store.Rollup, r *Rollup) {
			k := r.RollupKey
			k.Hour, k.Outcome, k.Agent = time.Time{}, "", ""
			name := fmt.Sprint(k, r.Elsewhere)
			u, ok := m[name]
			if !ok {
				u = r.Rollup
				u.RollupKey, u.Count = k, 0
			}
			u.Count += r.Count
			if r.First.Before(u.First) {
				u.First = r.First
			}
			if r.Last.After(u.Last) {
				u.Last = r.Last
			}
			m[name] = u
		}
		rows := 0
		for i := range list {
			if q.Wants(&list[i].RollupKey) {
				add(want, &list[i])
				rows++
			}
		}
		q.Totals = true
		fewer := 0
		if more, err := ReadRollups(buf.Bytes(), info.Sums, &q, func(u *Rollup) bool { add(got, u); fewer++; return true }); err != nil || !more {
			t.Fatalf("more %t, error %v", more, err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("totals: %s", diff)
		}
		if fewer >= rows {
			t.Errorf("%d totals of %d rows", fewer, rows)
		}
	}
}

// A changed byte anywhere is told before a row is given out.
func TestDamagedRollups(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	w := NewRollupWriter(&buf)
	if err := w.Write(make([]Rollup, 10)); err != nil {
		t.Fatal(err)
	}
	info, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	for at := range buf.Len() {
		b := bytes.Clone(buf.Bytes())
		b[at] ^= 1
		if _, err := ReadRollups(b, info.Sums, &store.RollupQuery{}, func(*Rollup) bool {
			t.Errorf("byte %d changed: a row", at)
			return false
		}); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("byte %d changed: error %v", at, err)
		}
	}
}
