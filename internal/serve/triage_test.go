package serve_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/store"
)

// due lists the alerts that are due by the clock of the tests and a while, with why.
func due(t testing.TB, db store.DB, in time.Duration) []string {
	t.Helper()
	var out []string
	if err := db.View(t.Context(), func(tx store.Tx) error {
		list, _, err := store.DueAlerts(tx, clock().Add(in), 100)
		for _, a := range list {
			out = append(out, a.Time.Format(time.DateTime)+" "+a.Triage.Why)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// investigated is what a desk does with what is due.
func investigated(t testing.TB, db store.DB) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		list, _, err := store.DueAlerts(tx, clock().Add(time.Hour), 100)
		if err != nil {
			return err
		}
		for _, a := range list {
			a.Triage = store.Triage{Version: 1, Done: clock(), Verdict: "review", Score: 20}
			if err := store.PutAlert(tx, a); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// An alert is due when it is new and when another event speaks for it, and nothing is
// due that people do not want investigated.
func TestAlertsAreDue(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for name, on := range map[string]bool{"on": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
			w.opt.Triage = on
			want := func(in time.Duration, list ...string) {
				t.Helper()
				if !on {
					list = nil
				}
				if diff := cmp.Diff(list, due(t, w.db, in)); diff != "" {
					t.Error(diff)
				}
			}
			run(t, w, func(e *serve.Engine) {
				at := base.Add(time.Hour)
				send(t, e, "a", happened(1, at, "ana", "SendCommand"))
				want(0, "2026-03-01 13:00:00 alert")
				investigated(t, w.db)
				want(time.Hour)
				send(t, e, "later", happened(2, at.Add(time.Minute), "ana", "SendCommand"))
				want(time.Hour) // the episode goes on
				send(t, e, "earlier", happened(3, at.Add(-time.Hour), "ana", "SendCommand"))
				want(0)
				want(store.TriagePause, "2026-03-01 12:00:00 new events")
			})
		})
	}
}

// While its history is being read nothing is found out about an alert.
func TestProvisionalAlertsAreNotDue(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	w.opt.Triage, w.opt.Provisional = true, true
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base.Add(time.Hour), "ana", "SendCommand"))
		if list := due(t, w.db, time.Hour); list != nil {
			t.Errorf("due: %q", list)
		}
		if err := e.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"2026-03-01 13:00:00 alert"}, due(t, w.db, 0)); diff != "" {
			t.Error(diff)
		}
	})
}

// Alerts of a backfill are due, though nobody is told of them.
func TestAlertsOfABackfillAreDue(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	w.opt.Triage, w.opt.Start = true, base.Add(time.Hour)
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base, "ana", "SendCommand"))
		if list := due(t, w.db, time.Hour); list != nil {
			t.Errorf("what was learned is due: %q", list)
		}
		if _, err := e.Backfill(t.Context(), serve.Backfill{From: base.Add(-time.Hour), To: base.Add(time.Hour), By: "kim"}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"2026-03-01 12:00:00 alert"}, due(t, w.db, 0)); diff != "" {
			t.Error(diff)
		}
	})
	if len(w.notices) > 0 {
		t.Errorf("told: %q", w.notices)
	}
}

// An alert that is withdrawn is not investigated.
func TestWithdrawnAlertsAreNotDue(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, []serve.Rule{firstTime(t, cat, "one", "SendCommand")})
	w.opt.Triage = true
	run(t, w, func(e *serve.Engine) {
		send(t, e, "a", happened(1, base, "ana", "SendCommand"), happened(2, base.AddDate(0, 0, 10), "ana", "SendCommand"))
		send(t, e, "between", happened(3, base.AddDate(0, 0, 5), "ana", "SendCommand")) // both are one
		if diff := cmp.Diff([]string{"2026-03-01 12:00:00 alert"}, due(t, w.db, 0)); diff != "" {
			t.Error(diff)
		}
	})
}
