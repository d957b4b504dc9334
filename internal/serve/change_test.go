package serve_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// firstTime is a new-terms rule over the user name of an action.
func firstTime(t testing.TB, cat *ecs.Catalogue, fingerprint, action string) serve.Rule {
	return serve.Rule{
		Input: detect.Input{
			Rule: &rule.Rule{
				ID: "first", Name: "first", Type: rule.NewTerms, NewTermsFields: []string{"user.name"}, HistoryWindowStart: "now-7d",
				Severity: "low", RiskScore: 21, MaxSignals: 100, Interval: 5 * time.Minute,
			},
			Query: where(t, cat, "event.action", action),
		},
		Fingerprint: fingerprint,
	}
}

func happened(id int, at time.Time, user, action string) string {
	return entry{id: id, at: at, user: user, action: action, account: "111122223333", region: "eu-west-1"}.record()
}

// listed is the alerts of a store in order of time: principal, event time, state.
func listed(t testing.TB, db store.DB) []string {
	t.Helper()
	var out []string
	if err := db.View(t.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Withdrawn: true, Withheld: true, Ascending: true}) {
			if err != nil {
				return err
			}
			s := fmt.Sprintf("%s %s", a.Principal[strings.LastIndex(a.Principal, "/")+1:], a.Time.Format(time.DateTime))
			for _, f := range []struct {
				name string
				is   bool
			}{{"withdrawn", a.Withdrawn}, {"manual", a.Manual}, {"provisional", a.Provisional}, {a.Status, a.Status != store.Open}} {
				if f.is {
					s += " " + f.name
				}
			}
			out = append(out, s)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func run(t testing.TB, w *world, f func(*serve.Engine)) {
	t.Helper()
	if err := w.session(f); err != nil {
		t.Fatal(err)
	}
}

func send(t testing.TB, e *serve.Engine, name string, records ...string) {
	t.Helper()
	for _, o := range deliver(t, e, []string{name}, []string{strings.Join(records, "\n")}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
}

// A rule that changes keeps the alerts that it has made, knows from stored events who
// is no news, and raises nothing that is dated before the change.
func TestRuleEditKeepsMemory(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			t.Parallel()
			cat := ecs.NewCatalogue()
			w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
			now := base.Add(24 * time.Hour)
			w.opt.Now = func() time.Time { return now }
			changed := []serve.Rule{firstTime(t, cat, "two", "SendCommand")}
			changed[0].Query = query.Or(where(t, cat, "event.action", "SendCommand"), where(t, cat, "event.action", "StartSession"))
			before := func(e *serve.Engine) {
				send(t, e, "a", happened(1, base, "ana", "SendCommand"), happened(2, base, "bo", "StartSession"))
			}
			after := func(e *serve.Engine) {
				now = now.Add(time.Hour)
				send(t, e, "b",
					happened(3, now, "ana", "StartSession"), // known: the edit kept her
					happened(4, now, "bo", "SendCommand"),   // known from stored events only
					happened(5, now, "cy", "StartSession"),  // new
					happened(6, base.Add(-time.Hour), "ana", "SendCommand"))
			}
			if running {
				run(t, w, func(e *serve.Engine) {
					before(e)
					if n, err := e.Reload(t.Context(), changed); err != nil || n != 1 {
						t.Fatalf("%d rebuilt: %v", n, err)
					}
					after(e)
				})
			} else {
				run(t, w, before)
				w.opt.Rules = changed
				run(t, w, after)
			}
			// Late news moves the alert of the version before, and no other is raised.
			if diff := cmp.Diff([]string{"ana 2026-03-01 11:00:00", "cy 2026-03-02 13:00:00"}, listed(t, w.db)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"new first arn:aws:iam::111122223333:user/ana", "new first arn:aws:iam::111122223333:user/cy"}, w.notices); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A change that memory does not depend on rebuilds nothing.
func TestReloadOfTheSameMeaning(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base, "ana", "SendCommand"))
		renamed := firstTime(t, cat, "one", "SendCommand")
		renamed.Rule.Severity = "high"
		if n, err := e.Reload(t.Context(), []serve.Rule{renamed}); err != nil || n != 0 {
			t.Fatalf("%d rebuilt: %v", n, err)
		}
		send(t, e, "b", happened(2, base.Add(time.Hour), "ana", "SendCommand"), happened(3, base, "bo", "SendCommand"))
	})
	if diff := cmp.Diff([]string{"ana 2026-03-01 12:00:00", "bo 2026-03-01 12:00:00"}, slices.Sorted(slices.Values(listed(t, w.db)))); diff != "" {
		t.Error(diff)
	}
}

// A version that was not there for a while has missed something: it is rebuilt.
func TestRuleThatWasAway(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	other := firstTime(t, cat, "other", "StartSession")
	other.Rule.ID = "other"
	both := []serve.Rule{firstTime(t, cat, "one", "SendCommand"), other}
	w := newWorld(t, cat, both)
	now := base
	w.opt.Now = func() time.Time { return now }
	run(t, w, func(e *serve.Engine) { send(t, e, "a", happened(1, base, "ana", "SendCommand")) })
	w.opt.Rules = both[1:]
	run(t, w, func(e *serve.Engine) {
		send(t, e, "b", happened(2, base.Add(time.Minute), "bo", "SendCommand"))
		now = base.Add(time.Hour)
		if n, err := e.Reload(t.Context(), both); err != nil || n != 1 {
			t.Errorf("%d rebuilt: %v", n, err)
		}
		send(t, e, "c", happened(3, base.Add(2*time.Hour), "bo", "SendCommand"))
	})
	if diff := cmp.Diff([]string{"ana 2026-03-01 12:00:00"}, listed(t, w.db)); diff != "" {
		t.Error(diff) // bo is known
	}
}

func TestProvisionalAlertsAreToldWhenTheyStand(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	w.opt.Start, w.opt.Provisional = base, true
	run(t, w, func(e *serve.Engine) {
		send(t, e, "now", happened(1, base.Add(time.Minute), "ana", "SendCommand"), happened(2, base.Add(time.Minute), "bo", "SendCommand"))
		if diff := cmp.Diff([]string{"ana 2026-03-01 12:01:00 provisional", "bo 2026-03-01 12:01:00 provisional"}, slices.Sorted(slices.Values(listed(t, w.db)))); diff != "" {
			t.Error(diff)
		}
		send(t, e, "history", happened(3, base.Add(-24*time.Hour), "bo", "SendCommand"))
		if len(w.notices) != 0 {
			t.Errorf("told: %v", w.notices)
		}
	})
	w.opt.Provisional = false // the store knows
	run(t, w, func(e *serve.Engine) {
		if !e.Status().Provisional {
			t.Error("a restart made alerts final")
		}
		if err := e.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if diff := cmp.Diff([]string{"ana 2026-03-01 12:01:00", "bo 2026-03-01 12:01:00 withdrawn"}, slices.Sorted(slices.Values(listed(t, w.db)))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"new first arn:aws:iam::111122223333:user/ana"}, w.notices); diff != "" {
		t.Error(diff)
	}
}

// What persons did hangs on the alert, whatever late events do to it.
func TestWorkflowSurvivesLateEvents(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	at := func(days int) time.Time { return base.AddDate(0, 0, days) }
	act := func(when time.Time, f func(*store.Alert)) {
		if err := w.db.Update(t.Context(), func(tx store.Tx) error {
			for a, err := range store.AlertsBy(tx, store.Filter{From: when, To: when.Add(time.Second)}) {
				if err != nil {
					return err
				}
				f(a)
				return store.PutAlert(tx, a)
			}
			return store.ErrNotFound
		}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, at(0), "ana", "SendCommand"), happened(2, at(12), "ana", "SendCommand"), happened(3, at(24), "ana", "SendCommand"))
		act(at(12), func(a *store.Alert) { a.Close("false positive", "kim", clock()) })
		send(t, e, "late", happened(4, at(6), "ana", "SendCommand"))
		if diff := cmp.Diff([]string{
			"ana 2026-03-01 12:00:00 closed", "ana 2026-03-01 12:00:00 withdrawn", "ana 2026-03-25 12:00:00",
		}, slices.Sorted(slices.Values(listed(t, w.db)))); diff != "" {
			t.Error(diff) // the one that kim closed moved to the first event
		}
		act(at(24), func(a *store.Alert) { _ = a.AddNote("seen before?", "kim", clock()) })
		send(t, e, "later", happened(5, at(18), "ana", "SendCommand"))
	})
	got := listed(t, w.db)
	if diff := cmp.Diff([]string{
		"ana 2026-03-01 12:00:00 closed", "ana 2026-03-01 12:00:00 withdrawn", "ana 2026-03-25 12:00:00",
	}, slices.Sorted(slices.Values(got))); diff != "" {
		t.Error(diff) // both were touched: both stay
	}
	if diff := cmp.Diff([]string{
		"new first arn:aws:iam::111122223333:user/ana", "new first arn:aws:iam::111122223333:user/ana", "new first arn:aws:iam::111122223333:user/ana",
		"withdrawn first arn:aws:iam::111122223333:user/ana",
	}, w.notices); diff != "" {
		t.Error(diff)
	}
}

func TestBackfillAddsWhatIsMissing(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	w.opt.Start = base.Add(time.Hour)
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base, "ana", "SendCommand"), happened(2, base, "bo", "SendCommand"), happened(3, base.Add(2*time.Hour), "cy", "SendCommand"))
		if diff := cmp.Diff([]string{"cy 2026-03-01 14:00:00"}, listed(t, w.db)); diff != "" {
			t.Error(diff)
		}
		for _, added := range []int64{2, 0} {
			r, err := e.Backfill(t.Context(), serve.Backfill{From: base.Add(-time.Hour), To: base.Add(24 * time.Hour), By: "kim"})
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != store.RunDone || r.Counts["alerts"] != 3 || r.Counts["added"] != added {
				t.Errorf("the run says %+v", r)
			}
		}
		// The memory of what was learned is tied to the alert now.
		send(t, e, "late", happened(4, base.Add(-time.Hour), "ana", "SendCommand"))
	})
	if diff := cmp.Diff([]string{"ana 2026-03-01 11:00:00 manual", "bo 2026-03-01 12:00:00 manual", "cy 2026-03-01 14:00:00"}, listed(t, w.db)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"new first arn:aws:iam::111122223333:user/cy"}, w.notices); diff != "" {
		t.Error(diff)
	}
}

// A backfill that finds what had been withdrawn raises it again, and tells nobody.
func TestBackfillTellsNobody(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	w.opt.Start = base.Add(time.Hour)
	at := base.Add(2 * time.Hour)
	record := happened(1, at, "ana", "SendCommand")
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", record)
		send(t, e, "late", happened(2, base, "ana", "SendCommand")) // she was known before the start
		if diff := cmp.Diff([]string{"ana 2026-03-01 14:00:00 withdrawn"}, listed(t, w.db)); diff != "" {
			t.Error(diff)
		}
		w.notices = nil
		r, err := e.Backfill(t.Context(), serve.Backfill{
			From: base.Add(time.Hour), To: base.Add(24 * time.Hour), By: "kim",
			Objects: func(yield func(pipeline.Object, error) bool) { // without what came late
				yield(pipeline.Object{Name: "one", Open: func() (io.ReadCloser, error) {
					return io.NopCloser(strings.NewReader(record)), nil
				}}, nil)
			},
		})
		if err != nil || r.Counts["added"] != 1 {
			t.Errorf("the run says %+v: %v", r, err)
		}
	})
	if diff := cmp.Diff([]string{"ana 2026-03-01 14:00:00"}, listed(t, w.db)); diff != "" {
		t.Error(diff)
	}
	if len(w.notices) > 0 {
		t.Errorf("told: %v", w.notices)
	}
}
