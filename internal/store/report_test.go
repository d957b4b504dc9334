package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
)

func TestReports(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if _, err := store.GetReport(tx, "aa", 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a report that is not there: %v", err)
		}
		for v := 1; v <= store.MaxReports+2; v++ {
			for _, handle := range []string{"aa", "aab"} {
				r := &store.Report{Version: v, Score: v % 101, Verdict: "review", Report: []byte(fmt.Sprintf(`{"alert_id":%q,"version":%d}`, handle, v))}
				if err := store.PutReport(tx, handle, r); err != nil {
					return err
				}
			}
		}
		last, err := store.GetReport(tx, "aa", 0)
		if err != nil || last.Version != store.MaxReports+2 || string(last.Report) != `{"alert_id":"aa","version":102}` {
			t.Errorf("the latest report is %+v, %v", last, err)
		}
		var kept []int
		for v := 1; v <= store.MaxReports+2; v++ {
			if _, err := store.GetReport(tx, "aa", v); err == nil {
				kept = append(kept, v)
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("version %d: %v", v, err)
			}
		}
		if len(kept) != store.MaxReports || kept[0] != 1 || kept[1] != 4 {
			t.Errorf("kept are %d versions: %v", len(kept), kept)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is due and how alerts rank follows their rows, however they change.
func TestTriageOfAlerts(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alert := func(name string, at int, change func(*store.Alert)) {
		t.Helper()
		a := &store.Alert{Handle: name, UUID: name, Time: base.Add(time.Duration(at) * time.Minute), Status: store.Open}
		change(a)
		if err := db.Update(t.Context(), func(tx store.Tx) error { return store.PutAlert(tx, a) }); err != nil {
			t.Fatal(err)
		}
	}
	score := func(n int) func(*store.Alert) {
		return func(a *store.Alert) { a.Triage = store.Triage{Version: 1, Score: n, Verdict: "review"} }
	}
	state := func(now time.Time) (due, ranked []string, next time.Time) {
		t.Helper()
		err := db.View(t.Context(), func(tx store.Tx) error {
			list, at, err := store.DueAlerts(tx, now, 2)
			for _, a := range list {
				due = append(due, a.Handle)
			}
			next = at
			for a, err := range store.AlertsByScore(tx, store.Filter{}) {
				if err != nil {
					return err
				}
				ranked = append(ranked, a.Handle)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return due, ranked, next
	}
	alert("a1", 1, func(a *store.Alert) { a.Triage.Wants(base.Add(time.Hour), "later") })
	alert("a2", 2, func(a *store.Alert) { a.Triage.Wants(base, "alert") })
	alert("a3", 3, score(40))
	alert("a4", 4, score(40))
	alert("a5", 5, score(90))
	alert("a6", 6, func(*store.Alert) {})
	due, ranked, next := state(base)
	if diff := cmp.Diff([]string{"a2"}, due); diff != "" || !next.Equal(base.Add(time.Hour)) {
		t.Errorf("due: %s; next %s", diff, next)
	}
	if diff := cmp.Diff([]string{"a5", "a4", "a3", "a6", "a2", "a1"}, ranked); diff != "" {
		t.Error(diff)
	}
	alert("a5", 7, score(10)) // moved, and harmless
	alert("a2", 2, score(0))
	due, ranked, next = state(base.Add(2 * time.Hour))
	if diff := cmp.Diff([]string{"a1"}, due); diff != "" || !next.IsZero() {
		t.Errorf("due: %s; next %s", diff, next)
	}
	if diff := cmp.Diff([]string{"a4", "a3", "a5", "a2", "a6", "a1"}, ranked); diff != "" {
		t.Error(diff)
	}
	f := store.Filter{MinScore: 10, Verdict: []string{"review"}}
	var got []string
	_ = db.View(t.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, a.Handle)
		}
		return nil
	})
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a3", "a4", "a5"}, got); diff != "" {
		t.Error(diff)
	}
}
