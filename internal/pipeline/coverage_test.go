package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/cloudtrail"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestCoverageShare(t *testing.T) {
	t.Parallel()
	c := newCoverage()
	day := func(n float64) int64 { return noon.Add(time.Duration(n * 24 * float64(time.Hour))).UnixNano() }
	for n := range 10 { // an account that is busy in one region for ten days
		c.note("a", "busy", day(float64(n)))
	}
	c.note("a", "sleepy", day(9)) // and wakes up in another
	c.note("a", "torn", day(9))
	for _, name := range []string{
		"444455556666_CloudTrail_torn_20260308T1205Z_x.json.gz", // records of 11:50 to 12:05: two hours
		"444455556666_CloudTrail_torn_20260308T1210Z_y.json.gz",
		"444455556666_CloudTrail_torn_20260101T1210Z_z.json.gz", // long before
	} {
		c.fail(&cloudtrail.Key{Account: "a", Region: "torn", Day: noon.Truncate(24 * time.Hour), File: name})
	}
	c.fail(&cloudtrail.Key{Account: "b", Region: "torn", Day: noon, File: "unknown"}) // an account without any record
	l := newLedger(c)
	week := int64(7 * 24 * time.Hour)
	for _, tc := range []struct {
		account, region string
		from, to        int64
		want            float64
	}{
		{"a", "busy", day(8) - week, day(8), 1},
		{"a", "sleepy", day(9) - week, day(9), 1}, // quiet, not blind
		{"a", "never", day(9) - week, day(9), 1},
		{"a", "busy", day(0) - week, day(0), 0},
		{"a", "busy", day(3.5) - week, day(3.5), 0.5},
		{"a", "busy", day(9) - week, day(30), 7.0/28 + 1.0/28/24}, // to the end of the last hour
		{"a", "torn", day(9) - week, day(9), 1 - 2.0/7/24},
		{"a", "torn", day(7) + int64(time.Hour), day(8) + int64(time.Hour), 1},
		{"b", "torn", day(9) - week, day(9), 0},
		{"nobody", "busy", day(9) - week, day(9), 0},
		{"a", "busy", day(9), day(9), 0},
		{"a", "busy", minTime, day(9), 0.00007}, // no overflow
	} {
		got := l.share(tc.account, tc.region, tc.from, tc.to)
		if diff := got - tc.want; diff > 1e-4 || diff < -1e-4 {
			t.Errorf("%s %s [%v, %v): %.4f, want %.4f", tc.account, tc.region, at(tc.from), at(tc.to), got, tc.want)
		}
	}
	var got []string
	for _, z := range l.list() {
		got = append(got, fmt.Sprintf("%s %s: %d records, %d hours, %d quiet, %d failed, %d unreadable", z.Account, z.Region, z.Records, z.Hours, z.Quiet, z.Failed, z.Unreadable))
	}
	if diff := cmp.Diff([]string{
		"a busy: 10 records, 10 hours, 207 quiet, 0 failed, 0 unreadable",
		"a sleepy: 1 records, 1 hours, 216 quiet, 0 failed, 0 unreadable",
		"a torn: 1 records, 1 hours, 214 quiet, 4 failed, 3 unreadable",
		"b torn: 0 records, 0 hours, 0 quiet, 24 failed, 1 unreadable",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The set of hours is a set of hours, before 1970 too.
func TestHours(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := rapid.SliceOfN(rapid.Int64Range(-100, 100), 0, 60)
		var a, b hours
		want, other := map[int64]bool{}, map[int64]bool{}
		for _, h := range draw.Draw(rt, "a") {
			a.add(h)
			want[h] = true
		}
		for _, h := range draw.Draw(rt, "b") {
			b.add(h)
			other[h] = true
		}
		without := a.minus(b)
		a.merge(b)
		from, to := rapid.Int64Range(-110, 110).Draw(rt, "from"), rapid.Int64Range(-110, 110).Draw(rt, "to")
		n, left := 0, 0
		for h := from; h < to; h++ {
			if want[h] || other[h] {
				n++
			}
			if want[h] && !other[h] {
				left++
			}
		}
		if got := a.count(from, to); got != n {
			rt.Fatalf("%d hours in [%d, %d), want %d", got, from, to, n)
		}
		if got := without.count(from, to); got != left {
			rt.Fatalf("%d hours in [%d, %d) of the first only, want %d", got, from, to, left)
		}
	})
}

// Hostile records name any number of accounts and times. The ledger is bounded, and
// what it keeps does not depend on who read what.
func TestCoverageIsBounded(t *testing.T) {
	t.Parallel()
	type event struct {
		account string
		t       int64
	}
	var events []event
	const limit = 1 << 9
	for i := range 3 * limit {
		events = append(events, event{fmt.Sprintf("%09d", i), int64(i)})
	}
	for i := range 2 * maxZoneDays {
		events = append(events, event{"000000000", int64(i) * int64(24*time.Hour)})
	}
	events = append(events, event{string(make([]byte, 1<<20)), 0})
	r := rand.New(rand.NewPCG(1, 2))
	var lists [][]Zone
	var more []int64
	for _, workers := range []int{1, 3} {
		parts := make([]*coverage, workers)
		for i := range parts {
			parts[i] = newCoverage()
			parts[i].limit = limit
		}
		for _, i := range r.Perm(len(events)) {
			c := parts[r.IntN(workers)]
			c.note(events[i].account, "r", events[i].t)
			if len(c.zones) > 2*limit {
				t.Fatalf("%d zones", len(c.zones))
			}
		}
		all := newCoverage()
		all.limit = limit
		for _, c := range parts {
			all.merge(c)
		}
		lists = append(lists, newLedger(all).list())
		more = append(more, all.more)
	}
	if len(lists[0]) != limit || lists[0][1].Hours != maxZoneDays {
		t.Errorf("%d zones, %d days", len(lists[0]), lists[0][1].Hours)
	}
	if !slices.Equal(lists[0], lists[1]) || more[0] != more[1] || more[0] == 0 {
		t.Errorf("one worker and three differ: %d and %d more", more[0], more[1])
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		name          string
		distinct      int
		slots         int
		exact         bool
		zeroes, parts int
	}{
		{"few", 1000, 1 << 12, true, 3, 2},
		{"many", 200_000, 1 << 12, false, 0, 3},
		{"as many as there is room for", 2047, 1 << 12, true, 0, 1},
	} {
		parts := make([]*duplicates, tc.parts)
		for i := range parts {
			parts[i] = newDuplicates(tc.slots)
		}
		n, seen := 0, map[uint64]bool{}
		for i := range tc.distinct {
			h := r.Uint64()
			if i < tc.zeroes {
				h = 0
			}
			for range 1 + r.IntN(4) {
				parts[r.IntN(tc.parts)].add(h)
				n++
			}
			seen[h] = true
		}
		all := newDuplicates(tc.slots)
		for _, p := range parts {
			if len(p.hashes) > tc.slots {
				t.Errorf("%s: %d slots", tc.name, len(p.hashes))
			}
			all.merge(p)
		}
		got, exact := all.total()
		want := int64(n - len(seen))
		off := float64(got-want) / float64(want)
		if exact != tc.exact || exact && off != 0 || off > 0.1 || off < -0.1 {
			t.Errorf("%s: %d duplicates (exact=%v), want %d", tc.name, got, exact, want)
		}
	}
}

func TestProblemsKeepTheFirstExamples(t *testing.T) {
	t.Parallel()
	var a, b Stats
	for i := range 100 {
		st := &a
		if i%3 == 0 {
			st = &b
		}
		st.problem(cloudtrail.Problem{Input: fmt.Sprintf("f%02d", (i*37)%100), Code: "bad", Rejected: true}, nil)
	}
	b.problem(cloudtrail.Problem{Input: "x", Code: "odd"}, nil)
	var all Stats
	all.merge(&a)
	all.merge(&b)
	all.finish()
	if len(all.Problems) != 2 || all.Problems[0].Count != 100 || all.Problems[1].Code != "odd" {
		t.Fatalf("%+v", all.Problems)
	}
	var got []string
	for _, p := range all.Problems[0].Examples {
		got = append(got, p.Input)
	}
	if diff := cmp.Diff([]string{"f00", "f01", "f02", "f03", "f04"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
