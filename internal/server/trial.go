package server

import (
	"context"
	"errors"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

const (
	trialSpan  = 30 * 24 * time.Hour
	trialMost  = 50_000 // alerts that are looked at
	trialPage  = 500    // in one View
	trialShown = 10
)

// try says what an exception would have hidden.
func (s *Server) try(ctx context.Context, e *store.Exception) (*api.Trial, error) {
	x, diags, err := store.CheckException(e, s.o.Catalogue)
	switch {
	case err != nil:
		return nil, err
	case x == nil:
		return nil, diags
	}
	if err := s.knownRules("rule_ids", e.RuleIDs); err != nil {
		return nil, err
	}
	var t api.Trial
	if s.o.Trier != nil {
		t, err = s.o.Trier.TryException(ctx, e)
	} else {
		t, err = s.tryAlerts(ctx, e, x)
	}
	if err != nil {
		return nil, err
	}
	t.Diagnostics = append(api.Diagnostics(diags), t.Diagnostics...)
	return &t, nil
}

// tryAlerts counts the alerts whose event the exception excludes.
func (s *Server) tryAlerts(ctx context.Context, e *store.Exception, x query.Expr) (api.Trial, error) {
	t := api.Trial{From: s.o.Now().UTC().Add(-trialSpan)}
	f := store.Filter{From: t.From, Rule: e.RuleIDs, Withheld: true}
	read := eventReader{cat: s.o.Catalogue}
	var after *cursor
	for looked := 0; ; {
		err := s.o.DB.View(ctx, func(tx store.Tx) error {
			list, next, err := page(tx, f, after, trialPage)
			if err != nil {
				return err
			}
			after = next
			looked += len(list)
			for _, a := range list {
				d, err := store.GetAlertDocument(tx, a.Handle)
				if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
					continue
				}
				if err != nil {
					return err
				}
				ev := read.event(a, d)
				if ev == nil || !e.Expire.IsZero() && a.Time.After(e.Expire) || !x.Match(ev) {
					continue
				}
				if t.Hides++; len(t.Alerts) < trialShown {
					t.Alerts = append(t.Alerts, api.AlertOf(a))
				}
			}
			return nil
		})
		if err != nil {
			return t, err
		}
		if after == nil {
			return t, nil
		}
		if looked >= trialMost {
			t.More = true
			return t, nil
		}
	}
}

// An eventReader makes events of what is stored beside alerts, one at a time.
type eventReader struct {
	cat    *ecs.Catalogue
	record cloudtrail.Record
	view   *cloudtrail.Event
}

// event returns nil if the event cannot be read. It is valid until the next. The
// document of an alert has the event's fields, and those of geography and networks as
// they were; that of a threshold has only the group's.
func (r *eventReader) event(a *store.Alert, d *store.AlertDocument) ecs.Event {
	document := d.Document
	if d.Kind == store.KindDocument {
		document = d.Raw
	}
	if d.Kind == store.KindDocument || a.Type != string(rule.Threshold) {
		ev, err := ecs.ParseJSON(r.cat, document)
		if err != nil {
			return nil
		}
		return ev
	}
	if _, err := r.record.Parse(d.Raw); err != nil {
		return nil
	}
	if r.view == nil {
		r.view = cloudtrail.NewEvent(r.cat, nil)
	}
	r.view.Reset(&r.record)
	return r.view
}
