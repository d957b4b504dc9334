package serve_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
					w.notices = nil
					if n, err := e.Reload(t.Context(), []serve.Rule{{Input: in, Fingerprint: "two"}}); err != nil || n != 1 {
						t.Fatalf("%d rebuilt: %v", n, err)
					}
					notices = len(w.notices)
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

var extent = regexp.MustCompile(`"(?:first_event_id|last_event|principal|count|distinct|suppressed\w*|docs_count)":("[^"]*"|\d+)`)

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
