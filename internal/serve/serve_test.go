package serve_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/store"
)

// entries draws events of a few users, some of them in unequal copies.
func entries(t *rapid.T) []entry {
	at := base
	var list []entry
	for i := range rapid.IntRange(1, 50).Draw(t, "entries") {
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
			list = append(list, e)
		}
	}
	return list
}

// Whatever the order of the records, how they are spread over objects and how often
// each comes, whenever hits are forgotten, and wherever the machine loses power: the
// alerts are those of a scan.
func TestAlertsAreThoseOfAScan(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	list := inputs(t, cat)
	crashes, alerts, expired := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		var records []string
		for _, e := range entries(rt) {
			records = append(records, e.record())
		}
		var start time.Time
		if rapid.Bool().Draw(rt, "learns") {
			start = base.Add(20 * time.Hour)
		}
		expected := want(t, cat, list, start, records)
		alerts += len(expected)

		shuffled := rapid.Permutation(records).Draw(rt, "order")
		for _, r := range records {
			if rapid.IntRange(0, 4).Draw(rt, "twice") == 0 {
				shuffled = append(shuffled, r)
			}
		}
		w := newWorld(t, cat, rules(list))
		w.opt.Start = start
		var names, texts []string
		for i := 0; len(shuffled) > 0; i++ {
			n := rapid.IntRange(1, len(shuffled)).Draw(rt, "size")
			names = append(names, fmt.Sprintf("object-%d", i))
			texts = append(texts, strings.Join(shuffled[:n], "\n"))
			shuffled = shuffled[n:]
		}
		for i := 0; len(texts) > 0; i++ {
			n := rapid.IntRange(1, len(texts)).Draw(rt, "session")
			w.db.mu.Lock()
			w.db.n, w.db.behind = 0, false
			if i < 8 && rapid.Bool().Draw(rt, "crash") {
				w.db.n, w.db.behind = rapid.IntRange(1, 6).Draw(rt, "at"), rapid.Bool().Draw(rt, "behind")
			}
			w.db.mu.Unlock()
			ok := true
			err := w.session(func(e *serve.Engine) {
				early := n
				if rapid.Bool().Draw(rt, "expires") {
					early = rapid.IntRange(0, n).Draw(rt, "before")
				}
				for _, o := range deliver(t, e, names[:early], texts[:early]) {
					ok = ok && o.Err == nil
				}
				if early < n {
					expired += w.expire(rt, e)
				}
				for _, o := range deliver(t, e, names[early:n], texts[early:n]) {
					ok = ok && o.Err == nil
				}
			})
			switch {
			case errors.Is(err, errCrash):
				crashes++
				continue // the sources deliver again
			case err != nil:
				rt.Fatal(err)
			case !ok:
				rt.Fatal("a delivery failed without a crash")
			}
			names, texts = names[n:], texts[n:]
		}
		w.db.n = 0
		if err := w.session(func(*serve.Engine) {}); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(distinct(records), w.stored()); diff != "" {
			rt.Fatalf("events (-delivered +stored):\n%s", diff)
		}
		if diff := cmp.Diff(expected, got(t, w.db)); diff != "" {
			rt.Fatalf("(-scan +serve):\n%s", diff)
		}
	})
	if crashes == 0 || alerts == 0 || expired == 0 {
		t.Errorf("%d crashes, %d alerts, %d hits forgotten: the test proves little", crashes, alerts, expired)
	}
}

// expire makes an engine forget all that it may, and the log become segments, perhaps.
// It returns how many hits were forgotten.
func (w *world) expire(rt *rapid.T, e *serve.Engine) int {
	before := w.hits()
	if rapid.Bool().Draw(rt, "compacts") {
		if err := w.events.Compact(w.t.Context()); err != nil {
			rt.Fatal(err)
		}
	}
	e.Calm()
	if err := e.Expire(w.t.Context(), 0); err != nil && !errors.Is(err, errCrash) {
		rt.Fatal(err)
	}
	return before - w.hits()
}

// hits counts the hits that are kept.
func (w *world) hits() (n int) {
	if err := w.db.View(w.t.Context(), func(tx store.Tx) error {
		for _, err := range tx.Range(store.Hits, nil, nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// distinct counts the events of records.
func distinct(records []string) map[string]int {
	out := map[string]int{}
	for _, r := range records {
		_, id, _ := strings.Cut(r, `"eventID":"`)
		id, _, _ = strings.Cut(id, `"`)
		out[id] = 1
	}
	return out
}

func TestObjectIsReadOnce(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := newWorld(t, cat, rules(inputs(t, cat)))
	text := entry{id: 1, at: base, user: "ana", action: "SendCommand", account: "111122223333", region: "eu-west-1"}.record()
	for i := range 2 {
		if err := w.session(func(e *serve.Engine) {
			for _, o := range deliver(t, e, []string{"a"}, []string{text}) {
				if o.Err != nil || o.Seen != (i == 1) {
					t.Errorf("delivery %d: %+v", i, o)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	var hours []store.Hour
	if err := w.db.View(t.Context(), func(tx store.Tx) error {
		for h, err := range store.HoursOf(tx, "111122223333", "", time.Time{}, time.Time{}) {
			if err != nil {
				return err
			}
			hours = append(hours, *h)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(hours) != 1 || hours[0].Records != 1 || hours[0].Region != "eu-west-1" {
		t.Errorf("the ledger says %+v", hours)
	}
}
