package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
)

// entries draws events of a few users, some of them in unequal copies.
func entries(t *rapid.T) []entry {
	at := base
	var list []entry
	for i := range rapid.IntRange(1, 60).Draw(t, "entries") {
		at = at.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 4 * time.Minute, 20 * time.Hour, 170 * time.Hour}).Draw(t, "gap"))
		e := entry{
			id: i, at: at,
			user:    rapid.SampledFrom([]string{"ana", "bo", "cy"}).Draw(t, "user"),
			action:  rapid.SampledFrom([]string{"SendCommand", "StartSession", "GetParameter"}).Draw(t, "action"),
			failed:  rapid.Bool().Draw(t, "failed"),
			account: rapid.SampledFrom([]string{"111122223333", "444455556666"}).Draw(t, "account"),
			region:  rapid.SampledFrom([]string{"eu-west-1", "us-east-1"}).Draw(t, "region"),
		}
		list = append(list, e)
		if rapid.IntRange(0, 9).Draw(t, "copy") == 0 {
			e.note = "another copy"
			e.user = rapid.SampledFrom([]string{"ana", "bo", "cy"}).Draw(t, "user of the copy")
			list = append(list, e)
		}
	}
	return list
}

// pack spreads records over objects in several forms, some of them gzipped.
func pack(t *rapid.T, list []string) []string {
	var texts []string
	for len(list) > 0 {
		n := rapid.IntRange(1, len(list)).Draw(t, "size")
		text := "[" + strings.Join(list[:n], ",") + "]"
		if rapid.Bool().Draw(t, "lines") {
			text = strings.Join(list[:n], "\n") + "\n"
		}
		if rapid.Bool().Draw(t, "gzip") {
			text = compress(text)
		}
		texts = append(texts, text)
		list = list[n:]
	}
	return texts
}

// same is what does not depend on how often a record was read.
type same struct {
	Rules              []pipeline.RuleStats
	Zones              []pipeline.Zone
	First, Last, Start time.Time
}

func sameOf(st pipeline.Stats) same {
	s := same{Rules: st.Rules, First: st.First, Last: st.Last, Start: st.Start}
	for _, z := range st.Zones {
		z.Records = 0
		s.Zones = append(s.Zones, z)
	}
	return s
}

// The result is a function of the set of records: not of workers, order, objects,
// copies or memory.
func TestResultDependsOnNothingElse(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	e := engine(t, cat)
	found, withheld, suppressed, conflicts := 0, int64(0), int64(0), int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		write := rapid.SampledFrom([]func(entry) string{entry.document, entry.record}).Draw(rt, "form")
		var records []string
		for _, e := range entries(rt) {
			records = append(records, write(e))
		}
		cfg := pipeline.Config{Engine: e, Catalogue: cat, Workers: 1}
		switch rapid.IntRange(0, 3).Draw(rt, "start") {
		case 0:
			cfg.From = base.Add(20 * time.Hour)
		case 1:
			cfg.Learn = 25 * time.Hour
		case 2:
			cfg.To = base.Add(300 * time.Hour)
		}
		stats, want := scan(t, cfg, strings.Join(records, "\n"))
		if !stats.DuplicatesExact || stats.Duplicates > int64(len(records))/2 {
			rt.Fatalf("%d duplicates of %d, exact=%v", stats.Duplicates, len(records), stats.DuplicatesExact)
		}
		once := stats.Duplicates // unequal copies
		found += len(want)
		for _, r := range stats.Rules {
			withheld, suppressed, conflicts = withheld+r.Withheld, suppressed+r.Suppressed, conflicts+r.Conflicts
			if r.Findings != r.Learned+r.Suppressed+r.Alerts+r.Dropped {
				rt.Fatalf("the counts do not add up: %+v", r)
			}
		}

		shuffled := rapid.Permutation(records).Draw(rt, "order")
		all := rapid.Bool().Draw(rt, "every one twice")
		for _, r := range records {
			if all || rapid.Bool().Draw(rt, "twice") {
				shuffled = append(shuffled, r)
			}
		}
		cfg.Workers = rapid.IntRange(1, 4).Draw(rt, "workers")
		cfg.Memory = rapid.SampledFrom([]int64{0, 1}).Draw(rt, "memory") // 1 spills after every few hits
		again, got := scan(t, cfg, pack(rt, shuffled)...)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-one file in order +disturbed):\n%s", diff)
		}
		if diff := cmp.Diff(sameOf(stats), sameOf(again)); diff != "" {
			rt.Fatalf("stats (-one file in order +disturbed):\n%s", diff)
		}
		if n := int64(len(shuffled)-len(records)) + once; again.Duplicates != n {
			rt.Fatalf("%d duplicates, want %d", again.Duplicates, n)
		}
		if again.Records+again.Documents != int64(len(shuffled)) {
			rt.Fatalf("%d read of %d", again.Records+again.Documents, len(shuffled))
		}
	})
	if found == 0 || withheld == 0 || suppressed == 0 || conflicts == 0 {
		t.Errorf("%d findings, %d withheld, %d suppressed, %d in conflict: the test proves little", found, withheld, suppressed, conflicts)
	}
}
