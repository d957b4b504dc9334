package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/rule"
)

// ledger answers from the coverage ledger of a store.
type ledger struct{ db store.DB }

const maxGaps = 10

// Covered implements [triage.Coverage]. It counts as the engine does: whole hours, those
// in which the window begins and ends included.
func (l ledger) Covered(ctx context.Context, account, region string, from, to time.Time) (triage.Covered, error) {
	var out triage.Covered
	first := from.UTC().Truncate(time.Hour)
	last := to.UTC().Add(time.Hour - time.Nanosecond).Truncate(time.Hour)
	if !first.Before(last) {
		last = first.Add(time.Hour)
	}
	err := l.db.View(ctx, func(tx store.Tx) error {
		zones, err := store.CoverageOf(tx, account, region, first, last)
		if err != nil || len(zones) == 0 {
			return err
		}
		z := &zones[0]
		out.Share = z.Share
		for i := range z.Hours {
			out.Late += z.Hours[i].Late
			out.Duplicates += z.Hours[i].Duplicates
		}
		for _, g := range z.Gaps() {
			if len(out.Gaps) == maxGaps {
				break
			}
			out.Gaps = append(out.Gaps, triage.Span{From: later(g.From, from.UTC()), To: earlier(g.To, to.UTC())})
		}
		for h, err := range store.HoursOf(tx, account, region, time.Time{}, last) {
			if err != nil {
				return err
			}
			if h.Account == account && h.Region == region && h.Records > h.Future {
				out.First = h.Hour
				break
			}
		}
		return nil
	})
	return out, err
}

// Accounts implements [triage.Coverage].
func (l ledger) Accounts(ctx context.Context) (list []string, err error) {
	err = l.db.View(ctx, func(tx store.Tx) error {
		list, err = store.LedgerAccounts(tx)
		return err
	})
	return list, err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// past tells which alerts of a rule there were.
type past struct {
	db        store.DB
	catalogue *ecs.Catalogue
}

// maxPast is how many alerts an exception is tested against.
const maxPast = 5000

// Hidden implements [triage.Alerts]. An alert was judged bad if who closed it said so
// (true positive, malicious, incident), or if its own report does.
func (p *past) Hidden(ctx context.Context, ruleID, text string, since time.Time) (hidden, bad int, err error) {
	match, diags := kql.CompileText(text, p.catalogue)
	if match == nil {
		return 0, 0, fmt.Errorf("the query %s: %w", text, diags)
	}
	err = p.db.View(ctx, func(tx store.Tx) error {
		looked := 0
		for a, err := range store.AlertsBy(tx, store.Filter{From: since, Rule: []string{ruleID}, Withheld: true, Blocks: true}) {
			if err != nil {
				return err
			}
			if looked++; looked > maxPast {
				return nil
			}
			d, err := store.GetAlertDocument(tx, a.Handle)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
				continue
			}
			if err != nil {
				return err
			}
			if ev := p.event(a, d); ev != nil && match.Match(ev) {
				hidden++
				if judgedBad(a) {
					bad++
				}
			}
		}
		return nil
	})
	return hidden, bad, err
}

// event makes the event of an alert again; nil if it cannot be read.
func (p *past) event(a *store.Alert, d *store.AlertDocument) ecs.Event {
	document := d.Document
	if d.Kind == store.KindDocument {
		document = d.Raw
	}
	if d.Kind == store.KindDocument || a.Type != string(rule.Threshold) {
		ev, err := ecs.ParseJSON(p.catalogue, document)
		if err != nil {
			return nil
		}
		return ev
	}
	var rec cloudtrail.Record
	if _, err := rec.Parse(d.Raw); err != nil {
		return nil
	}
	ev := cloudtrail.NewEvent(p.catalogue, nil)
	ev.Reset(&rec)
	return ev
}

func judgedBad(a *store.Alert) bool {
	said := strings.ToLower(a.Reason + " " + strings.Join(a.Tags, " "))
	for _, word := range []string{"true positive", "true-positive", "true_positive", "malicious", "incident"} {
		if strings.Contains(said, word) {
			return true
		}
	}
	return a.Triage.Verdict == triage.Malicious || a.Triage.Verdict == triage.LikelyMalicious
}
