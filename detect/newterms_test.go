package detect_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/rule"
)

// naiveNewTerms is the definition: a hit is known if its combination was hit
// earlier, not before the beginning of its own history; the smaller id breaks ties.
// Of the copies of an event the smallest content speaks.
func naiveNewTerms(hits []detect.Hit, history func(time.Time) time.Time) []string {
	earlier := func(a, b detect.Hit) bool { return a.Compare(&b) < 0 && (a.Time != b.Time || a.ID != b.ID) }
	var want []string
	seen := map[string]bool{}
	for _, h := range hits {
		since := history(time.Unix(0, h.Time)).UnixNano()
		known, speaks, conflict := false, true, false
		for _, o := range hits {
			switch {
			case o.Group != h.Group:
			case o.Time == h.Time && o.ID == h.ID:
				speaks = speaks && h.Content <= o.Content
				conflict = conflict || h.Content != o.Content
			case earlier(o, h) && o.Time >= since:
				known = true
			}
		}
		if known || !speaks {
			continue
		}
		text := fmt.Sprintf("%x %s %d by %x, conflict %v", h.Group, idOf(h), h.Content, h.Principal, conflict)
		if !seen[text] {
			seen[text] = true
			want = append(want, text)
		}
	}
	slices.Sort(want)
	return want
}

func TestNewTermsIsItsDefinition(t *testing.T) {
	t.Parallel()
	for _, history := range []string{"now-7d", "now-1M", "now-1M/d", "now-1w/w", "now-9m", "2026-03-05", "2030-01-01", "now-250y"} {
		r := newTermsRule("user.name", "source.ip")
		r.HistoryWindowStart = history
		e := compile(t, input(r))
		rapid.Check(t, func(rt *rapid.T) {
			hits := match(t, e, drawEvents(rt))
			want := naiveNewTerms(hits, e.Rules[0].History)
			var got []string
			for _, f := range reduce(e, fold(t, e, disturb(rt, hits))) {
				got = append(got, fmt.Sprintf("%x %s %d by %x, conflict %v", f.Group, idOf(f), f.Content, f.Principal, f.Conflict))
			}
			slices.Sort(got)
			if diff := gocmp.Diff(want, got); diff != "" {
				rt.Fatalf("%s (-definition +detector):\n%s", history, diff)
			}
		})
	}
}

// An episode tells when the combination had been seen last, also if that was 1970.
func TestPreviouslySeen(t *testing.T) {
	t.Parallel()
	e := compile(t, input(newTermsRule("user.name")))
	epoch := time.Unix(0, 0).UTC()
	got := run(t, e, []*event{
		user(epoch.Add(-time.Hour), "a", "ana"), user(epoch, "b", "ana"), user(base, "c", "ana"), user(base, "d", "bo"),
	})
	if len(got) != 3 {
		t.Fatal(describe(got))
	}
	if got[0].Recurs || got[2].Recurs {
		t.Errorf("the first of all was seen before: %v", describe(got))
	}
	if !got[1].Recurs || got[1].Previous != 0 {
		t.Errorf("c was last seen at the epoch: %v", describe(got))
	}
}

// When an earlier event arrives, what was first until then is still seen.
func TestReplacedFirstStillCounts(t *testing.T) {
	t.Parallel()
	e := compile(t, input(newTermsRule("user.name")))
	late, early := user(base, "late", "ana"), user(base.Add(-week), "early", "ana")
	next := user(base.Add(week), "next", "ana")
	for _, order := range [][]*event{{late, early, next}, {next, late, early}, {early, next, late}, {next, early, late}} {
		got := run(t, e, order)
		if len(got) != 1 || idOf(got[0]) != "early" || got[0].Last != next.t.UnixNano() {
			t.Errorf("%v", describe(got))
		}
	}
}

// The beginning of the history never moves back: otherwise an event between two
// others could undo that they are one episode, and the result would depend on when
// it came.
func TestHistoryNeverMovesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		expr := "now"
		for range rapid.IntRange(1, 3).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "round") {
				expr += "/" + rapid.SampledFrom([]string{"m", "h", "d", "w", "M", "y"}).Draw(rt, "unit")
				continue
			}
			expr += fmt.Sprintf("%s%d%s", rapid.SampledFrom([]string{"-", "-", "-", "+"}).Draw(rt, "sign"), rapid.IntRange(1, 40).Draw(rt, "n"),
				rapid.SampledFrom([]string{"s", "m", "h", "d", "w", "M", "y"}).Draw(rt, "unit"))
		}
		r := newTermsRule("user.name")
		r.HistoryWindowStart = expr
		e, err := compileErr(r)
		if err != nil {
			return // not before now
		}
		// Around the ends of months, which are of unequal length.
		a := time.Date(1960+rapid.IntRange(0, 100).Draw(rt, "year"), time.Month(rapid.IntRange(1, 12).Draw(rt, "month")), 29, 0, 0, 0, 0, time.UTC)
		a = a.Add(time.Duration(rapid.IntRange(-48, 96).Draw(rt, "hours")) * time.Hour)
		b := a.Add(time.Duration(rapid.SampledFrom([]int{1, 3600, 20 * 3600, 40 * 24 * 3600}).Draw(rt, "later")) * time.Second)
		from, to := e.Rules[0].History(a), e.Rules[0].History(b)
		if from.After(to) {
			rt.Fatalf("%s: at %v it begins %v, later at %v it begins %v", expr, a, from, b, to)
		}
		if from.After(a) {
			rt.Fatalf("%s: at %v it begins after, %v", expr, a, from)
		}
		if length := a.Sub(from); length > e.Rules[0].Reach() {
			rt.Fatalf("%s: the history at %v is longer than the reach: %v over %v", expr, a, length, e.Rules[0].Reach())
		}
	})
}

// A month before 29 March is 28 February, and so is a month before the 30th: taken
// to the hour, what is new at the end of the 29th would be known on the 30th, and
// whether the three are one episode would depend on what came first.
func TestHistoryOfMonths(t *testing.T) {
	t.Parallel()
	r := newTermsRule("user.name")
	r.HistoryWindowStart = "now-1M"
	e := compile(t, input(r))
	a := user(time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), "a", "ana")
	b := user(time.Date(2026, 3, 29, 23, 0, 0, 0, time.UTC), "b", "ana")
	c := user(time.Date(2026, 3, 30, 1, 0, 0, 0, time.UTC), "c", "ana")
	for _, order := range [][]*event{{a, b, c}, {a, c, b}, {c, a, b}, {b, c, a}} {
		if got := ids(run(t, e, order)); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%v, want a alone", got)
		}
	}
}

func TestHistoryThatIsNone(t *testing.T) {
	t.Parallel()
	for _, history := range []string{"nonsense", "now", "now+1d", ""} {
		r := newTermsRule("user.name")
		r.HistoryWindowStart = history
		if _, err := compileErr(r); err == nil {
			t.Errorf("the history %q compiles", history)
		}
	}
}

// Loading refuses a history that leaves nothing behind the window: the eleventh of
// the cases that the simulation begins with.
func TestHistoryMustStartBeforeFrom(t *testing.T) {
	t.Parallel()
	for history, sound := range map[string]bool{"now-9m": false, "now-5m": false, "now-7d": true, "now-10m": true} {
		f := rule.Parse("rule.toml", []byte(`
[rule]
rule_id = "2b3c1a9e-5b1f-4c5e-9a51-0d2f6f0a7a11"
name = "First time"
description = "Somebody does it for the first time."
type = "new_terms"
language = "kuery"
query = "event.action: SendCommand"
severity = "low"
risk_score = 21
from = "now-9m"
index = ["logs-*"]
new_terms = { value = ["user.name"], field = "new_terms_fields", history_window_start = [{ value = "`+history+`", field = "history_window_start" }] }
`))
		if loaded := len(f.Rules) == 1; loaded != sound {
			t.Errorf("history %s with from now-9m: loaded=%v: %v", history, loaded, f.Diagnostics)
		}
	}
}
