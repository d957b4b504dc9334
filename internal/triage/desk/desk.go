package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/live"
)

// Options say what a desk works with. DB, Events, Catalogue, Weights and Now are
// required.
type Options struct {
	DB        store.DB
	Events    store.Events
	Catalogue *ecs.Catalogue
	Weights   *triage.Weights
	Settings  triage.Settings
	Places    triage.Places // nil: no databases
	// PlacesDate is the date of the databases.
	PlacesDate time.Time
	// Live is how AWS is asked, if a request wants it; AlwaysLive: every one does.
	Live       live.Options
	AlwaysLive bool
	// Again is how long after its event an alert is investigated again.
	Again []time.Duration
	Now   func() time.Time
	// Done, if not nil, is told of each part of an investigation that is done, to measure
	// it; see [triage.Input].
	Done func(part string)
	Log  *slog.Logger // nil: silent

	overrides [][]byte // that Weights were made of
}

// A Desk investigates alerts, one at a time. It is safe for concurrent use.
type Desk struct {
	o     Options
	turn  chan struct{} // holds a token while nobody investigates
	stats stats
}

// New makes a desk. It reads nothing yet.
func New(o Options) *Desk {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Desk{o: o, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d
}

// A Request says how an alert is to be investigated.
type Request struct {
	Trigger string // such as store.TriageByHand
	By      string // who asked
	// AsOf is the time to investigate for; zero: now. Weights replace those of the desk.
	// A report with either is not kept: it answers "what if".
	AsOf    time.Time
	Weights *triage.Weights
	Live    bool // ask AWS too
}

// A Result is what an investigation came to.
type Result struct {
	Report *triage.Report
	// Alert is the alert's row, with the verdict.
	Alert *store.Alert
	// Kept: the report is stored as a new version. It is not if it says what the latest
	// version does.
	Kept bool
}

// ErrGone says that the event of the alert is not stored, or not any more. It is a
// store.ErrNotFound too.
var ErrGone = errors.New("the event of the alert is not stored")

// A goneError names the event.
type goneError struct{ alert, event, at string }

func (e *goneError) Error() string {
	return fmt.Sprintf("alert %s cannot be investigated: its event, %s of %s, is not stored, or not any more", e.alert, e.event, e.at)
}

// Is makes it an ErrGone.
func (*goneError) Is(target error) bool { return target == ErrGone || target == store.ErrNotFound }

// Investigate investigates the alert with a handle. It waits for its turn. Errors wrap
// store.ErrNotFound if there is no such alert, store.ErrInvalid if the request makes no
// sense, and ErrGone.
func (d *Desk) Investigate(ctx context.Context, handle string, r Request) (*Result, error) {
	select {
	case <-d.turn:
	case <-ctx.Done():
		return nil, ctx.Err() //nolint:wrapcheck // of the caller
	}
	defer func() { d.turn <- struct{}{} }()
	began := d.o.Now()
	res, err := d.investigate(ctx, handle, &r)
	d.stats.done(res, err, d.o.Now().Sub(began))
	return res, err
}

func (d *Desk) investigate(ctx context.Context, handle string, r *Request) (*Result, error) {
	in, a, last, err := d.input(ctx, handle, r)
	if err != nil {
		return nil, err
	}
	if r.Live || d.o.AlwaysLive {
		in.Live, err = d.ask(ctx, in)
		if err != nil && r.Live {
			return nil, err
		}
		if err != nil {
			d.o.Log.Warn("AWS is not asked about an alert", "alert", handle, "error", err)
		}
	}
	report, err := triage.Run(ctx, *in)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &goneError{store.ShortID(handle), in.Alert.Event.String(), in.Alert.Time.Format(time.RFC3339)}
	}
	if err != nil {
		return nil, fmt.Errorf("investigate alert %s: %w", store.ShortID(handle), err)
	}
	res := &Result{Report: report, Alert: a}
	if !r.AsOf.IsZero() || r.Weights != nil {
		return res, nil
	}
	if res.Kept = last == nil || !same(last, report); !res.Kept {
		// The report that is kept says the same: it is the one to go by.
		report.Version, report.Versions = last.Version, last.Versions
	} else if report.Version <= a.Triage.Version {
		// The latest cannot be read, nor what was before it: none is written over.
		report.Version = a.Triage.Version + 1
	}
	return res, d.keep(ctx, res, r)
}

// input gathers what a report depends on; last is the latest report, nil if there is
// none.
func (d *Desk) input(ctx context.Context, handle string, r *Request) (in *triage.Input, a *store.Alert, last *triage.Report, err error) {
	in = &triage.Input{
		Events: d.o.Events, Coverage: ledger{d.o.DB}, Places: d.o.Places, PlacesDate: d.o.PlacesDate,
		Catalogue: d.o.Catalogue, Weights: d.o.Weights, Settings: d.o.Settings, AsOf: r.AsOf, Trigger: r.Trigger,
		History: &past{db: d.o.DB, catalogue: d.o.Catalogue}, Done: d.o.Done,
	}
	if r.Weights != nil {
		in.Weights = r.Weights
	}
	if in.AsOf.IsZero() {
		in.AsOf = d.o.Now()
	}
	err = d.o.DB.View(ctx, func(tx store.Tx) error {
		if a, err = store.GetAlert(tx, handle); err != nil {
			return err
		}
		if a == nil {
			return fmt.Errorf("alert %s: %w", handle, store.ErrNotFound)
		}
		if a.EventID == (ecs.ID{}) {
			return fmt.Errorf("%w: alert %s is about Debut itself (%s): there is no event to investigate", store.ErrInvalid, store.ShortID(handle), a.RuleName)
		}
		doc, err := store.GetAlertDocument(tx, handle)
		switch {
		case errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged):
			d.o.Log.Warn("the document of an alert cannot be read: less is known of its rule", "alert", handle, "error", err)
			doc = nil
		case err != nil:
			return err
		}
		in.Alert = alertOf(a, doc)
		if a.Triage.Version == 0 {
			return nil
		}
		kept, err := store.GetReport(tx, handle, 0)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
			d.o.Log.Warn("the latest report of an alert cannot be read", "alert", handle, "error", err)
			return nil
		}
		if err != nil {
			return err
		}
		last = &triage.Report{}
		if err := json.Unmarshal(kept.Report, last, jsontext.AllowInvalidUTF8(true)); err != nil {
			d.o.Log.Warn("the latest report of an alert cannot be read", "alert", handle, "error", err)
			last = nil
			return nil
		}
		if r.AsOf.IsZero() || !kept.AsOf.After(r.AsOf) {
			in.Previous = append(last.Versions, versionOf(kept)) //nolint:gocritic // last is not used any more, but for its texts
		}
		return nil
	})
	if err == nil && in.AsOf.Before(in.Alert.Time) {
		if !r.AsOf.IsZero() {
			err = fmt.Errorf("%w: the report would be for %s, which is before the event at %s", store.ErrInvalid, in.AsOf.UTC().Format(time.RFC3339), in.Alert.Time.Format(time.RFC3339))
		}
		// A clock that is behind those of AWS must not keep the alert from being looked at.
		in.AsOf = in.Alert.Time
	}
	return in, a, last, err
}

func versionOf(r *store.Report) triage.Version {
	return triage.Version{Version: r.Version, AsOf: r.AsOf, Trigger: r.Trigger, Verdict: r.Verdict, Score: r.Score, Confidence: r.Confidence}
}

// keep stores what an investigation came to, and when the next one is due. What takes
// time is done before the transaction: while it runs nothing else is committed.
func (d *Desk) keep(ctx context.Context, res *Result, r *Request) error {
	report, now := res.Report, d.o.Now().UTC()
	var kept *store.Report
	var others []string
	if res.Kept {
		text, err := json.Marshal(report, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return fmt.Errorf("encode the report: %w", err)
		}
		kept = &store.Report{
			Version: report.Version, AsOf: report.AsOf, Created: now, By: r.By, Trigger: r.Trigger,
			Verdict: report.Verdict, Score: report.Score, Confidence: report.Confidence, Report: text,
		}
	}
	if res.Alert.Triage.Version == 0 {
		var err error
		if others, err = d.companions(ctx, res.Alert); err != nil {
			return err
		}
	}
	return d.o.DB.Update(ctx, func(tx store.Tx) error {
		a, err := store.GetAlert(tx, res.Alert.Handle)
		if err != nil {
			return err
		}
		if a == nil {
			return fmt.Errorf("alert %s: %w", res.Alert.Handle, store.ErrNotFound)
		}
		if kept != nil {
			if err := store.PutReport(tx, a.Handle, kept); err != nil {
				return err
			}
			t := &a.Triage
			t.Version, t.Verdict, t.Score, t.Confidence = report.Version, report.Verdict, report.Score, report.Confidence
			t.Summary, t.Cold = report.Summary, report.Cold
		}
		a.Triage.Done, a.Triage.Error = now, ""
		d.next(a, res.Alert, now)
		if err := store.PutAlert(tx, a); err != nil {
			return err
		}
		res.Alert = a
		return wake(tx, others, func(t *store.Triage) {
			t.Wants(later(now, t.Done.Add(store.TriagePause)), store.TriageNewEvents)
		})
	})
}

// wake makes alerts due.
func wake(tx store.Tx, handles []string, wants func(*store.Triage)) error {
	for _, handle := range handles {
		a, err := store.GetAlert(tx, handle)
		if err != nil {
			return err
		}
		if a == nil || a.Withdrawn {
			continue
		}
		before := a.Triage.Due
		if wants(&a.Triage); a.Triage.Due.Equal(before) {
			continue
		}
		if err := store.PutAlert(tx, a); err != nil {
			return err
		}
	}
	return nil
}

// next says when the alert is due again: soon if it stands for other events than when it
// was read, else when the next of the times after its event comes.
func (d *Desk) next(a, read *store.Alert, now time.Time) {
	a.Triage.Due, a.Triage.Why = time.Time{}, ""
	if a.EventID != read.EventID || a.Count != read.Count || a.Suppressed != read.Suppressed {
		a.Triage.Wants(now.Add(store.TriagePause), store.TriageNewEvents)
	}
	for _, after := range d.o.Again {
		if at := a.Time.Add(after); at.After(now) {
			a.Triage.Wants(at, store.TriageLater)
		}
	}
}

// maxCompanions is how many alerts a new one makes due.
const maxCompanions = 50

// companions returns the alerts of the same principal in whose case window a new one
// falls: its event may be what their reports lack.
func (d *Desk) companions(ctx context.Context, a *store.Alert) (list []string, err error) {
	if a.Principal == "" {
		return nil, nil
	}
	before, after := d.o.Weights.Duration("case_after"), d.o.Weights.Duration("case_before")
	err = d.o.DB.View(ctx, func(tx store.Tx) error {
		for other, err := range store.AlertsBy(tx, store.Filter{
			From: a.Time.Add(-before), To: a.Time.Add(after), Principal: a.Principal, Withheld: true, Blocks: true,
		}) {
			if err != nil {
				return err
			}
			if other.Handle != a.Handle && other.Triage.Version > 0 {
				if list = append(list, other.Handle); len(list) == maxCompanions {
					break
				}
			}
		}
		return nil
	})
	return list, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// same reports whether two reports say the same, but for the time that they are for.
// Sentences, queries and unknowns name that time as long as the case window is open: what
// counts are the facts, what they are worth and the events that they rest on.
func same(a, b *triage.Report) bool {
	x, errX := facts(a)
	y, errY := facts(b)
	return errX == nil && errY == nil && x == y
}

func facts(r *triage.Report) (string, error) {
	c := *r
	c.AsOf, c.Version, c.Versions, c.Summary, c.Unknowns, c.NextQuestions = time.Time{}, 0, nil, "", nil, nil
	c.Sum = nil // made of the findings
	c.Steps = make([]triage.Answer, len(r.Steps))
	for i := range r.Steps {
		s := &r.Steps[i]
		c.Steps[i] = triage.Answer{
			ID: s.ID, Status: s.Status, Points: s.Points, Evidence: s.Evidence,
			Findings: slices.Clone(s.Findings), Unknowns: make([]triage.Unknown, len(s.Unknowns)), // how many
		}
		for k := range c.Steps[i].Findings {
			c.Steps[i].Findings[k].Text = ""
		}
	}
	c.Live = slices.Clone(r.Live)
	for i := range c.Live {
		c.Live[i].Time = time.Time{}
	}
	if r.Exception != nil {
		x := *r.Exception
		x.Expires = time.Time{}
		c.Exception = &x
	}
	b, err := json.Marshal(&c, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	return string(b), err
}
