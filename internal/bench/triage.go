//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/desk"
)

// triageBar is how long the triage of one alert may take over ten million events.
const triageBar = 2 * time.Second

// A suspect is an alert that is investigated.
type suspect struct {
	name, handle string
	event        string // what was done, and how often by whom
	alert        store.Alert
	took         []time.Duration // the first one: everything is cold
	used         []time.Duration
	inStore      time.Duration // of the last one
	steps        map[string]time.Duration
	report       *triage.Report
}

// investigations measures the triage of alerts over thirty days of stored events.
func (b *bench) investigations(ctx context.Context) error {
	cat := ecs.NewCatalogue()
	dir, err := b.stored(ctx, cat)
	if err != nil {
		return err
	}
	weights, err := triage.ParseWeights()
	if err != nil {
		return err
	}
	var list []*suspect
	if err := b.withStore(ctx, dir, cat, func(db *sqlite.DB, s *events.Store) (err error) {
		b.tellStore(s)
		list, err = suspects(ctx, db, s, cat)
		return err
	}); err != nil {
		return err
	}
	for _, x := range list {
		// A store of its own: nothing that it keeps is left from the last alert.
		evict(filepath.Join(dir, "segments"), filepath.Join(dir, "rollups"))
		if err := b.withStore(ctx, dir, cat, func(db *sqlite.DB, s *events.Store) error {
			return b.investigate(ctx, x, db, s, cat, weights)
		}); err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	b.printf("| alert | related | cold wall s | cold CPU s | wall s | CPU s | of the bar | in the store s |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, x := range list {
		wall, used := middle(x.took[1:]), middle(x.used[1:])
		b.printf("| %s: %s | %d | %.2f | %.2f | %.2f | %.2f | **%.2f** | %.2f |\n", x.name, x.event, related(x.report), x.took[0].Seconds(),
			x.used[0].Seconds(), wall.Seconds(), used.Seconds(), wall.Seconds()/triageBar.Seconds(), x.inStore.Seconds())
	}
	b.printf("\n| alert | what took longest, ms |\n|---|---|\n")
	for _, x := range list {
		names := slices.SortedFunc(maps.Keys(x.steps), func(a, b string) int { return cmp.Or(cmp.Compare(x.steps[b], x.steps[a]), strings.Compare(a, b)) })
		var text []string
		for _, n := range names[:min(len(names), 10)] {
			text = append(text, fmt.Sprintf("%s %.0f", n, x.steps[n].Seconds()*1e3))
		}
		b.printf("| %s | %s |\n", x.name, strings.Join(text, ", "))
	}
	return nil
}

// middle is the median.
func middle(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// related is how many events a report says that the case window has.
func related(r *triage.Report) (n int) {
	for i := range r.Steps {
		for _, q := range r.Steps[i].Queries {
			n = max(n, q.Rows*min(1, strings.Count(q.Text, "debut.principal")*strings.Count(q.Text, " or ")))
		}
	}
	return n
}

func (b *bench) investigate(ctx context.Context, x *suspect, db *sqlite.DB, s *events.Store, cat *ecs.Catalogue, w *triage.Weights) error {
	timed := &timedEvents{Events: s}
	var last time.Time
	d := desk.New(desk.Options{
		DB: db, Events: timed, Catalogue: cat, Weights: w, Now: func() time.Time { return s.Stats().Last.Add(time.Minute) },
		Done: func(step string) {
			now := time.Now() //nolint:forbidigo // it measures
			x.steps[step] += now.Sub(last)
			last = now
		},
	})
	for range b.rounds + 1 {
		timed.took, x.steps = 0, map[string]time.Duration{}
		last = time.Now() //nolint:forbidigo // it measures
		began, before := last, cpuUsed()
		res, err := d.Investigate(ctx, x.handle, desk.Request{Trigger: store.TriageByHand, By: "bench"})
		if err != nil {
			return err
		}
		x.took, x.used = append(x.took, time.Since(began)), append(x.used, cpuUsed()-before)
		x.inStore, x.report = timed.took, res.Report
	}
	return nil
}

// timedEvents measures what the store takes: not what its reader does with the rows.
type timedEvents struct {
	store.Events

	took time.Duration
}

func (t *timedEvents) Scan(ctx context.Context, q store.Scan) iter.Seq2[*store.Stored, error] {
	return timed(t, t.Events.Scan(ctx, q))
}

func (t *timedEvents) Rollups(ctx context.Context, q store.RollupQuery) iter.Seq2[*store.Rollup, error] {
	return t.Events.Rollups(ctx, q) // too many rows to look at the clock for each: part of the baseline
}

func timed[T any](t *timedEvents, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		began := time.Now() //nolint:forbidigo // it measures
		defer func() { t.took += time.Since(began) }()
		for v, err := range seq {
			at := time.Now() //nolint:forbidigo // it measures
			more := yield(v, err)
			began = began.Add(time.Since(at))
			if !more {
				return
			}
		}
	}
}

// suspects stores alerts of several kinds, and the coverage of what is stored.
func suspects(ctx context.Context, db *sqlite.DB, s *events.Store, cat *ecs.Catalogue) ([]*suspect, error) {
	type zone struct {
		account, region string
		hour            time.Time
	}
	hours, all, commands := map[zone]int64{}, map[string]int64{}, map[string]int64{}
	last := s.Stats().Last.Add(-36 * time.Hour)
	for u, err := range s.Rollups(ctx, store.RollupQuery{}) {
		if err != nil {
			return nil, err
		}
		hours[zone{u.Account, u.Region, u.Hour}] += u.Count
		if all[u.Principal] += u.Count; u.Action == "SendCommand" && u.Hour.Before(last.Add(-time.Hour)) && u.Hour.After(last.AddDate(0, 0, -5)) {
			commands[u.Principal] += u.Count
		}
	}
	delete(commands, "")
	delete(all, "")
	if err := db.Update(ctx, func(tx store.Tx) error {
		for h, err := range store.HoursOf(tx, "", "", time.Time{}, time.Time{}) {
			if err != nil || h != nil {
				return err // they are known already
			}
		}
		for z, n := range hours {
			if err := store.AddHour(tx, &store.Hour{Account: z.account, Region: z.region, Hour: z.hour, Expected: 1, Read: 1, Records: n}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	order := func(a, b string) int { return cmp.Or(cmp.Compare(all[a], all[b]), strings.Compare(a, b)) }
	sending, busy := slices.SortedFunc(maps.Keys(commands), order), slices.SortedFunc(maps.Keys(all), order)
	if len(sending) == 0 {
		return nil, errors.New("the trail has no SendCommand")
	}
	var list []*suspect
	for _, x := range []struct{ name, principal, match string }{
		{"a rare principal", sending[0], "event.action: SendCommand"},
		{"one in the middle", sending[len(sending)/2], "event.action: SendCommand"},
		{"the busiest role that sends commands", sending[len(sending)-1], "event.action: SendCommand"},
		{"another action of the busiest principal", busy[len(busy)-1], "not event.action: SendCommand"},
	} {
		match, err := compile(cat, fmt.Sprintf("debut.principal: %q and event.provider: * and %s", x.principal, x.match))
		if err != nil {
			return nil, err
		}
		for e, err := range s.Scan(ctx, store.Scan{To: last, Match: match, Descending: true, Limit: 1}) {
			if err != nil {
				return nil, err
			}
			p := &suspect{name: x.name, handle: fmt.Sprintf("%064d", len(list)+1)}
			first := func(field string) string {
				return strings.ToValidUTF8(strings.Clone(strings.Join(e.Event.Values(cat.Resolve(field)), "")), "?") // it ends with the event
			}
			p.event = fmt.Sprintf("%s by %s, who did %d things", first("event.action"), x.principal[strings.LastIndexByte(x.principal, ':')+1:], all[x.principal])
			at := time.Unix(0, e.Time).UTC()
			p.alert = store.Alert{
				Handle: p.handle, UUID: p.handle, RuleID: "bench", RuleName: "bench", Type: "new_terms", Severity: "low", Time: at, Last: at,
				Created: at, Updated: at, Principal: strings.ToValidUTF8(x.principal, "?"), Account: first("cloud.account.id"), Region: first("cloud.region"), Status: store.Open, EventID: e.ID,
			}
			list = append(list, p)
		}
	}
	return list, db.Update(ctx, func(tx store.Tx) error {
		for _, x := range list {
			doc := fmt.Sprintf(`{"kibana.alert.rule.version":1,"kibana.alert.rule.parameters":{"language":"kuery","query":"event.action: *","new_terms_fields":["user.name"],"history_window_start":"now-7d"},"kibana.alert.new_terms":[%q]}`, x.alert.Principal)
			if err := errors.Join(store.PutAlert(tx, &x.alert), store.PutAlertDocument(tx, x.handle, &store.AlertDocument{
				Document: []byte(doc), Kind: store.KindRecord, Raw: []byte("{}"),
			})); err != nil {
				return err
			}
		}
		return nil
	})
}
