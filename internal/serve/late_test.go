package serve_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// burst is a threshold of three failures of a user in nine minutes.
func burst(t testing.TB, cat *ecs.Catalogue) []detect.Input {
	return []detect.Input{{
		Rule: &rule.Rule{
			ID: "many", Name: "many", Type: rule.Threshold, ThresholdFields: []string{"user.name"}, ThresholdValue: 3,
			From: "now-9m", To: "now", Interval: 5 * time.Minute, Severity: "low", RiskScore: 21, MaxSignals: 100,
		},
		Query: where(t, cat, "event.outcome", "failure"),
	}}
}

func failed(id int, at time.Time) string {
	return entry{id: id, at: at, user: "ana", action: "SendCommand", failed: true, account: "111122223333", region: "eu-west-1"}.record()
}

// forget expires all that the engine may forget, with a watermark ten days on.
func forget(t testing.TB, e *serve.Engine, keep time.Duration) {
	t.Helper()
	send(t, e, "ten days on", happened(1000, base.AddDate(0, 0, 10), "bo", "GetParameter"))
	e.Calm()
	if err := e.Expire(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
}

// A late hit finds the hits that were forgotten among the stored events, in the log and
// in segments: alerts are those of a scan.
func TestLateHitOfForgottenWindow(t *testing.T) {
	t.Parallel()
	minute := func(n int) time.Time { return base.Add(time.Duration(n) * time.Minute) }
	for _, tc := range []struct {
		name    string
		first   []int // minutes
		late    []int
		alerts  int
		notices []string
	}{
		{"within a finding", []int{0, 1, 2}, []int{1}, 1, []string{"new"}},
		{"behind a finding", []int{0, 1, 2}, []int{10}, 1, []string{"new"}},
		{"before a finding", []int{0, 1, 2}, []int{-5}, 1, []string{"new"}},
		{"makes a finding", []int{0, 1}, []int{2}, 1, []string{"new"}},
		{"joins two findings", []int{0, 1, 2, 12, 13, 14}, []int{4, 5, 11}, 1, []string{"new", "new", "withdrawn"}},
		{"out of reach", []int{0, 1, 2}, []int{12}, 1, []string{"new"}},
	} {
		for _, compact := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, compact=%v", tc.name, compact), func(t *testing.T) {
				t.Parallel()
				cat := ecs.NewCatalogue()
				list := burst(t, cat)
				w := newWorld(t, cat, rules(list))
				var records, late []string
				for i, m := range tc.first {
					records = append(records, failed(i, minute(m)))
				}
				for i, m := range tc.late {
					late = append(late, failed(100+i, minute(m)))
				}
				run(t, w, func(e *serve.Engine) {
					send(t, e, "first", records...)
					if compact {
						if err := w.events.Compact(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					forget(t, e, 0)
					if n, rows := w.hits(), e.Status().Rows; n != 0 || rows["hits"] != 0 || rows["findings"] == 0 != (len(tc.first) == 2) {
						t.Errorf("%d hits are kept, of %v", n, rows)
					}
				})
				run(t, w, func(e *serve.Engine) { send(t, e, "late", late...) }) // what was forgotten is known after a restart
				expected := want(t, cat, list, time.Time{}, append(records, late...))
				if diff := cmp.Diff(expected, got(t, w.db)); diff != "" || len(expected) != tc.alerts {
					t.Errorf("%d alerts; (-scan +serve):\n%s", len(expected), diff)
				}
				for i, n := range w.notices {
					w.notices[i], _, _ = strings.Cut(n, " ")
				}
				if diff := cmp.Diff(tc.notices, w.notices); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// lost is an event store of which the events before a time are gone.
type lost struct {
	store.Events
	before time.Time
}

func (l lost) Scan(ctx context.Context, q store.Scan) iter.Seq2[*store.Stored, error] {
	if q.From.Before(l.before) {
		q.From = l.before
	}
	return l.Events.Scan(ctx, q)
}

// Where the events are gone too, an alert of them stays, whatever comes late.
func TestLateHitOfLostEvents(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, tc := range []struct {
		name  string
		lost  int // minutes
		late  []int
		count int64
		last  int // minutes
	}{
		{"all gone, within", 60, []int{1}, 3, 2},
		{"all gone, behind", 3, []int{4, 5, 6}, 3, 2}, // a finding of its own, below
		{"some gone", 1, []int{2}, 3, 2},
		{"some gone, it grows", 1, []int{3, 4}, 5, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cat, rules(burst(t, cat)))
			run(t, w, func(e *serve.Engine) {
				send(t, e, "first", failed(0, base), failed(1, base.Add(time.Minute)), failed(2, base.Add(2*time.Minute)))
				forget(t, e, 0)
			})
			w.lost = base.Add(time.Duration(tc.lost) * time.Minute)
			run(t, w, func(e *serve.Engine) {
				for i, m := range tc.late {
					send(t, e, fmt.Sprint("late", i), failed(100+i, base.Add(time.Duration(m)*time.Minute)))
				}
			})
			var first *store.Alert
			if err := w.db.View(t.Context(), func(tx store.Tx) error {
				for a, err := range store.AlertsBy(tx, store.Filter{Withdrawn: true, Ascending: true}) {
					if err != nil {
						return err
					}
					if first == nil {
						first = a
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if last := base.Add(time.Duration(tc.last) * time.Minute); first.Withdrawn || first.Count != tc.count || !first.Last.Equal(last) || !first.Time.Equal(base) {
				t.Errorf("withdrawn %v, %d events from %s to %s", first.Withdrawn, first.Count, first.Time, first.Last)
			}
		})
	}
}

// What goes on does not become the first time when the time before is forgotten.
func TestForgottenEpisodeBefore(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	r := firstTime(t, cat, "one", "SendCommand")
	list := []detect.Input{r.Input}
	w := newWorld(t, cat, []serve.Rule{r})
	records := []string{
		happened(1, base.AddDate(0, 0, -30), "ana", "SendCommand"),
		happened(2, base, "ana", "SendCommand"),
		happened(3, base.AddDate(0, 0, 5), "ana", "SendCommand"),
	}
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", records[:2]...)
		forget(t, e, 10*24*time.Hour)
		send(t, e, "b", records[2])
	})
	if diff := cmp.Diff(want(t, cat, list, time.Time{}, records), got(t, w.db)); diff != "" {
		t.Errorf("(-scan +serve):\n%s", diff)
	}
}

// What a version remembered goes when it is not in use, also when the rule has come back
// to it meanwhile, under another number.
func TestForgottenVersions(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	one, two := []serve.Rule{firstTime(t, cat, "one", "SendCommand")}, []serve.Rule{firstTime(t, cat, "two", "SendCommand")}
	w := newWorld(t, cat, one)
	w.opt.Now = func() time.Time { return base.Add(time.Hour) }
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base, "ana", "SendCommand"))
		for _, list := range [][]serve.Rule{two, one} {
			if n, err := e.Reload(t.Context(), list); err != nil || n != 1 {
				t.Fatalf("%d rebuilt: %v", n, err)
			}
		}
		if err := e.Expire(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if n := e.Status().Rows["findings"]; n != 1 {
			t.Errorf("%d findings in use", n)
		}
	})
	if err := w.db.View(t.Context(), func(tx store.Tx) error {
		numbers, err := store.MemoryOf(tx)
		if !cmp.Equal(numbers, []int32{3}) {
			t.Errorf("memory of %v", numbers)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Findings that one alert stands for are forgotten together.
func TestForgottenSuppression(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, kind := range []rule.Type{rule.Query, rule.NewTerms} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := &rule.Rule{
				ID: "r", Name: "r", Type: kind, Severity: "low", RiskScore: 21, MaxSignals: 100, Interval: 5 * time.Minute, From: "now-9m", To: "now",
				Suppression: &rule.Suppression{GroupBy: []string{"user.name"}, Duration: 4 * 24 * time.Hour},
			}
			if kind == rule.NewTerms {
				r.NewTermsFields, r.HistoryWindowStart = []string{"event.action"}, "now-1d"
			}
			list := []detect.Input{{Rule: r, Query: query.And(where(t, cat, "user.name", "ana"))}}
			w := newWorld(t, cat, rules(list))
			start := time.Unix(0, 0).UTC().Add(base.Sub(time.Unix(0, 0)).Truncate(4 * 24 * time.Hour)) // of a bucket
			at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
			records := []string{
				happened(1, at(0), "ana", "GetParameter"), happened(2, at(40), "ana", "StartSession"), happened(3, at(60), "ana", "StartSession"),
			}
			late := happened(4, at(50), "ana", "SendCommand")
			run(t, w, func(e *serve.Engine) {
				send(t, e, "a", records...)
				send(t, e, "now", happened(5, at(84), "bo", "GetParameter"))
				if err := e.Expire(t.Context(), 20*time.Hour); err != nil {
					t.Fatal(err)
				}
				send(t, e, "late", late)
			})
			expected := want(t, cat, list, time.Time{}, append(records, late))
			if diff := cmp.Diff(expected, got(t, w.db)); diff != "" || len(expected) != 1 {
				t.Errorf("%d alerts; (-scan +serve):\n%s", len(expected), diff)
			}
		})
	}
}
