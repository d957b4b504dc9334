package serve_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/rule"
)

// tooMany is a threshold rule: three failures of a user in nine minutes.
func tooMany(t testing.TB, cat *ecs.Catalogue) detect.Input {
	return detect.Input{
		Rule: &rule.Rule{
			ID: "many", Name: "many", Type: rule.Threshold, ThresholdFields: []string{"user.name"}, ThresholdValue: 3,
			From: "now-9m", To: "now", Interval: 5 * time.Minute, Severity: "low", RiskScore: 21, MaxSignals: 100,
		},
		Query: where(t, cat, "event.outcome", "failure"),
	}
}

// failures are records of failures of a user, some minutes behind base.
func failures(user string, from, to, step int) (records []string) {
	for m := from; m < to; m += step {
		records = append(records, entry{
			id: len(user)*10_000 + m, at: base.Add(time.Duration(m) * time.Minute), user: user, action: "GetParameter", failed: true,
			account: "111122223333", region: "eu-west-1",
		}.record())
	}
	return records
}

// A finding of a threshold that began long before its rule was rebuilt goes on as the
// alert that it was, whatever the order in which its events came.
func TestRebuildOfALongThreshold(t *testing.T) {
	t.Parallel()
	for _, length := range []int{12, 30, 100, 1000} { // windows have nine minutes
		for _, reverse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d minutes, reverse=%v", length, reverse), func(t *testing.T) {
				t.Parallel()
				cat := ecs.NewCatalogue()
				in := tooMany(t, cat)
				w := newWorld(t, cat, []serve.Rule{{Input: in, Fingerprint: "one"}})
				now := base.Add(time.Duration(length) * time.Minute)
				w.opt.Now = func() time.Time { return now }
				before := failures("ana", 0, length, 3)
				before = append(before, failures("bo", 0, 8, 3)...)                // over long ago
				before = append(before, failures("cleo", length-9, length, 3)...)  // just begun
				before = append(before, failures("diana", length-5, length, 3)...) // too few yet
				after := append(failures("ana", length, length+20, 3), failures("diana", length+1, length+4, 1)...)
				after = append(after, failures("cleo", length, length+9, 3)...)
				chunks := [][]string{before}
				if reverse {
					chunks = nil
					for i := range before {
						chunks = append(chunks, before[len(before)-1-i:len(before)-i])
					}
				}
				var notices int
				run(t, w, func(e *serve.Engine) {
					for i, c := range chunks {
						send(t, e, fmt.Sprint("before", i), c...)
					}
					closeAlert(t, w, "ana", base)
					e.LearnBy(4)
					w.notices = nil
					history := historyAt(t, w, base)
					if n, err := e.Reload(t.Context(), []serve.Rule{{Input: in, Fingerprint: "two"}}); err != nil || n != 1 {
						t.Fatalf("%d rebuilt: %v", n, err)
					}
					notices = len(w.notices)
					if diff := cmp.Diff(history, historyAt(t, w, base)); diff != "" {
						t.Errorf("the rebuild changed the history of the alert: %s", diff)
					}
					now = now.Add(20 * time.Minute)
					send(t, e, "after", after...)
				})
				if notices > 0 {
					t.Errorf("the rebuild told: %v", w.notices[:notices])
				}
				all := slices.Concat(before, after)
				if diff := cmp.Diff(extents(want(t, cat, []detect.Input{in}, time.Time{}, all)), extents(got(t, w.db))); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

var extent = regexp.MustCompile(`"[\w.]*(?:first_event_id|withheld|principal|count|suppression.end)":("[^"]*"|\w+)`)

// extents says of alerts what they are of, and not when they were made.
func extents(alerts map[string]string) map[string]string {
	out := map[string]string{}
	for uuid, doc := range alerts {
		out[uuid] = strings.Join(extent.FindAllString(doc, -1), " ")
	}
	return out
}

// closeAlert closes the alert of a user that began at a time.
func closeAlert(t testing.TB, w *world, user string, at time.Time) {
	t.Helper()
	if err := w.db.Update(t.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{From: at, To: at.Add(time.Second)}) {
			if err != nil {
				return err
			}
			if a.Principal == "arn:aws:iam::111122223333:user/"+user {
				a.Close("expected", "kim", clock())
				return store.PutAlert(tx, a)
			}
		}
		return store.ErrNotFound
	}); err != nil {
		t.Fatal(err)
	}
}

// historyAt is what has been done with the alerts of a time.
func historyAt(t testing.TB, w *world, at time.Time) (out []string) {
	t.Helper()
	if err := w.db.View(t.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{From: at, To: at.Add(time.Second)}) {
			if err != nil {
				return err
			}
			out = append(out, a.UUID)
			for _, c := range a.History {
				out = append(out, c.What)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// What an alert suppresses goes on being suppressed, and counted, when its rule is
// rebuilt.
func TestRebuildGoesOnSuppressing(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	list := inputs(t, cat)
	in := list[slices.IndexFunc(list, func(in detect.Input) bool { return in.Rule.ID == "suppressed" })]
	w := newWorld(t, cat, []serve.Rule{{Input: in, Fingerprint: "one"}})
	now := base.Add(20 * time.Minute)
	w.opt.Now = func() time.Time { return now }
	records := make([]string, 5) // within an hour
	for i := range records {
		records[i] = happened(i, base.Add(time.Duration(i)*10*time.Minute), "ana", "StartSession")
	}
	run(t, w, func(e *serve.Engine) {
		send(t, e, "before", records[:2]...)
		if n, err := e.Reload(t.Context(), []serve.Rule{{Input: in, Fingerprint: "two"}}); err != nil || n != 1 {
			t.Fatalf("%d rebuilt: %v", n, err)
		}
		now = base.Add(time.Hour)
		send(t, e, "after", records[2:]...)
	})
	if diff := cmp.Diff(extents(want(t, cat, []detect.Input{in}, time.Time{}, records)), extents(got(t, w.db))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"new suppressed arn:aws:iam::111122223333:user/ana"}, w.notices); diff != "" {
		t.Error(diff)
	}
}

// What was known when an event came is not counted as a debut that an alert suppressed,
// though what made it known is before the history that a rebuild needs.
func TestRebuildKnowsWhatWasKnown(t *testing.T) {
	t.Parallel()
	for _, later := range []time.Duration{20 * time.Minute, 20 * time.Hour} { // the bucket of time runs, or is over
		t.Run(later.String(), func(t *testing.T) {
			t.Parallel()
			cat := ecs.NewCatalogue()
			list := inputs(t, cat)
			in := list[slices.IndexFunc(list, func(in detect.Input) bool { return in.Rule.ID == "first and suppressed" })]
			w := newWorld(t, cat, []serve.Rule{{Input: in, Fingerprint: "one"}})
			w.opt.Now = func() time.Time { return base.Add(later) }
			records := []string{
				happened(1, base.Add(-24*time.Hour+10*time.Minute), "ana", "GetParameter"),
				happened(2, base.Add(5*time.Minute), "ana", "SendCommand"),
				happened(3, base.Add(8*time.Minute), "ana", "GetParameter"), // known for two minutes more
			}
			run(t, w, func(e *serve.Engine) {
				send(t, e, "before", records...)
				if n, err := e.Reload(t.Context(), []serve.Rule{{Input: in, Fingerprint: "two"}}); err != nil || n != 1 {
					t.Fatalf("%d rebuilt: %v", n, err)
				}
			})
			if diff := cmp.Diff(extents(want(t, cat, []detect.Input{in}, time.Time{}, records)), extents(got(t, w.db))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A rule that remembers nothing learns nothing, though one that is rebuilt with it reads
// events of days.
func TestRebuildLearnsByRule(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	list := inputs(t, cat)
	list = slices.DeleteFunc(list, func(in detect.Input) bool { return in.Rule.ID != "first" && in.Rule.ID != "capped" })
	w := newWorld(t, cat, rules(list))
	w.opt.Now = func() time.Time { return base.AddDate(0, 0, 1) }
	changed := rules(list)
	for i := range changed {
		changed[i].Fingerprint += ", changed"
	}
	run(t, w, func(e *serve.Engine) {
		send(t, e, "before", happened(1, base, "ana", "SendCommand"), happened(2, base, "bo", "SendCommand"))
		if n, err := e.Reload(t.Context(), changed); err != nil || n != 2 {
			t.Fatalf("%d rebuilt: %v", n, err)
		}
	})
	learned := map[string]int{}
	if err := w.db.View(t.Context(), func(tx store.Tx) error {
		for k, err := range store.RuleVersions(tx, "") {
			if err != nil {
				return err
			}
			for _, err := range store.AllFindings(tx, k.Number) {
				if err != nil {
					return err
				}
				if !k.Retired {
					learned[k.RuleID]++
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"first": 2}, learned); diff != "" {
		t.Error(diff)
	}
}

// closeAll closes the alerts that are open, and returns how many.
func closeAll(t testing.TB, w *world) (n int) {
	t.Helper()
	if err := w.db.Update(t.Context(), func(tx store.Tx) error {
		var open []*store.Alert
		for a, err := range store.AlertsBy(tx, store.Filter{Withheld: true}) {
			if err != nil {
				return err
			}
			if a.Status != store.Closed {
				open = append(open, a)
			}
		}
		n = len(open)
		for _, a := range open {
			a.Close("expected", "kim", clock())
			if err := store.PutAlert(tx, a); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// An alert that says when somebody was seen before goes on saying so, though a rebuild
// does not reach back to that time.
func TestRebuildKeepsPrevious(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	now := base.AddDate(0, 0, 9)
	w.opt.Now = func() time.Time { return now }
	previous := func() (out []string) {
		if err := w.db.View(t.Context(), func(tx store.Tx) error {
			for a, err := range store.AlertsBy(tx, store.Filter{Ascending: true}) {
				if err != nil {
					return err
				}
				out = append(out, a.Time.Format(time.DateOnly)+" after "+a.Previous.Format(time.DateOnly))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base, "ana", "SendCommand"), happened(2, base.AddDate(0, 0, 8), "ana", "SendCommand"))
		before := previous()
		if n, err := e.Reload(t.Context(), []serve.Rule{firstTime(t, cat, "two", "SendCommand")}); err != nil || n != 1 {
			t.Fatalf("%d rebuilt: %v", n, err)
		}
		send(t, e, "b", happened(3, now, "ana", "SendCommand"))
		if diff := cmp.Diff(before, previous()); diff != "" || before[1] != "2026-03-09 after 2026-03-01" {
			t.Errorf("%v: %s", before, diff)
		}
	})
}

// Whenever rules are rebuilt, the alerts are those of a scan. (What they say of the time
// before the history of the rebuild, and the end of an episode that began before it, may
// be missing.)
func TestRebuildKeepsAlerts(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	rapid.Check(t, func(rt *rapid.T) {
		list := inputs(t, cat)
		if i := rapid.IntRange(-1, len(list)-1).Draw(rt, "rule alone"); i >= 0 {
			list = list[i : i+1]
		}
		all := entries(rt)
		cut := rapid.IntRange(1, len(all)).Draw(rt, "cut")
		now := all[cut-1].at
		if cut < len(all) && all[cut].at.Equal(now) {
			return
		}
		now = now.Add(time.Second)
		var before, after, records []string
		for i, e := range all {
			if records = append(records, e.record()); i < cut {
				before = append(before, e.record())
			} else {
				after = append(after, e.record())
			}
		}
		w := newWorld(t, cat, rules(list))
		w.opt.Now = func() time.Time { return now }
		changed := rules(list)
		for i := range changed {
			changed[i].Fingerprint += ", changed"
		}
		run(t, w, func(e *serve.Engine) {
			send(t, e, "before", before...)
			e.LearnBy(rapid.IntRange(1, 30).Draw(rt, "at once"))
			told, closed := len(w.notices), 0
			if rapid.Bool().Draw(rt, "close") {
				closed = closeAll(t, w)
			}
			if n, err := e.Reload(t.Context(), changed); err != nil || n != len(list) {
				rt.Fatalf("%d rebuilt: %v", n, err)
			}
			if len(w.notices) > told {
				rt.Errorf("the rebuild told %v", w.notices[told:])
			}
			if closed > 0 && closeAll(t, w) > 0 {
				rt.Error("the rebuild opened alerts that were closed")
			}
			now = clock()
			if len(after) > 0 {
				send(t, e, "after", after...)
			}
		})
		if diff := cmp.Diff(extents(want(t, cat, list, time.Time{}, records)), extents(got(t, w.db))); diff != "" {
			rt.Fatal(diff)
		}
	})
}
