package store_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
)

// However a list of alerts is found, it is that of going through all.
func TestAlertsBy(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		db := &tableDB{}
		var all []*store.Alert
		if err := db.Update(t.Context(), func(tx store.Tx) error {
			for i := range rapid.IntRange(1, 30).Draw(rt, "alerts") {
				id := rapid.SampledFrom([]string{"a", "ab", "b", "ß"}).Draw(rt, "rule")
				handle := store.NewHandle(fmt.Sprint(i), 0)
				a := &store.Alert{
					Handle: handle, UUID: handle, RuleID: id, RuleName: "rule " + id, Status: store.Open,
					Time: start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "time")) * time.Hour),
				}
				all = append(all, a)
				if err := store.PutAlert(tx, a); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		f := store.Filter{
			Rule:      rapid.SliceOfN(rapid.SampledFrom([]string{"a", "ab", "b", "ß", "RULE AB", "none"}), 0, 2).Draw(rt, "rules"),
			Ascending: rapid.Bool().Draw(rt, "ascending"),
			Limit:     rapid.IntRange(0, 5).Draw(rt, "limit"),
		}
		if rapid.Bool().Draw(rt, "since") {
			f.From = start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "from")) * time.Hour)
		}
		if rapid.Bool().Draw(rt, "until") {
			f.To = start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "to")) * time.Hour)
		}
		slices.SortFunc(all, func(a, b *store.Alert) int {
			c := cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Handle, b.Handle))
			if !f.Ascending {
				c = -c
			}
			return c
		})
		var chosen []*store.Alert
		for _, a := range all {
			if f.Match(a) && (f.From.IsZero() || !a.Time.Before(f.From)) && (f.To.IsZero() || a.Time.Before(f.To)) {
				chosen = append(chosen, a)
			}
		}
		if len(chosen) > 0 && rapid.Bool().Draw(rt, "goes on") {
			i := rapid.IntRange(0, len(chosen)-1).Draw(rt, "after")
			f.After, chosen = chosen[i].Handle, chosen[i+1:]
		}
		if f.Limit > 0 {
			chosen = chosen[:min(f.Limit, len(chosen))]
		}
		var want, got []string
		for _, a := range chosen {
			want = append(want, a.Handle)
		}
		if err := db.View(t.Context(), func(tx store.Tx) error {
			for a, err := range store.AlertsBy(tx, f) {
				if err != nil {
					return err
				}
				got = append(got, a.Handle)
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Errorf("%+v: (-all +got)\n%s", f, diff)
		}
	})
}
