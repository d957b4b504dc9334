package serve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/store"
)

// A Backfill runs rules over a time that has passed.
type Backfill struct {
	From, To time.Time // of the events that alerts may begin with
	Rules    []string  // ids or names; none: all that run
	// Objects to read; nil: what the event store holds. They must reach back as far as
	// the rules' history ([Engine.Since]).
	Objects iter.Seq2[pipeline.Object, error]
	By      string
	// Started, if not nil, is told of the run when it has been recorded.
	Started func(*store.Run)
}

// Since is how far back events are needed to judge those from a time on.
func (e *Engine) Since(t time.Time) time.Time {
	since := t
	for _, r := range e.rules.Load().engine.Rules {
		if h := r.History(t); h.Before(since) {
			since = h
		}
	}
	return since
}

// Backfill is a scan whose alerts go where the others are: what is there already stays
// as it is, the rest is added, marked as manual and told to nobody. The run is
// recorded while it lasts and when it has ended.
func (e *Engine) Backfill(ctx context.Context, b Backfill) (*store.Run, error) {
	if !b.From.Before(b.To) {
		return nil, fmt.Errorf("%w: from (%s) is not before to (%s)", store.ErrInvalid, b.From.Format(time.RFC3339), b.To.Format(time.RFC3339))
	}
	engine, numbers, err := e.chosen(b.Rules)
	if err != nil {
		return nil, err
	}
	run := &store.Run{
		ID: store.NewID(), Kind: "backfill", By: b.By, Started: e.opt.Now().UTC(), Status: store.RunRunning,
		From: b.From.UTC(), To: b.To.UTC(), Rules: b.Rules, Counts: map[string]int64{},
	}
	if err := e.putRun(ctx, run); err != nil {
		return nil, err
	}
	if b.Started != nil {
		b.Started(run)
	}
	err = e.backfill(ctx, b, engine, numbers, run)
	run.Ended, run.Status = e.opt.Now().UTC(), store.RunDone
	if err != nil {
		run.Status, run.Error = store.RunFailed, err.Error()
		if errors.Is(err, context.Canceled) {
			run.Status = store.RunInterrupted
		}
	}
	return run, cmp.Or(e.putRun(context.WithoutCancel(ctx), run), err)
}

func (e *Engine) putRun(ctx context.Context, r *store.Run) error {
	return e.opt.DB.Update(ctx, func(tx store.Tx) error { return store.PutRun(tx, r) })
}

// chosen returns an engine of some of the rules that run, with their numbers.
func (e *Engine) chosen(names []string) (*detect.Engine, []int32, error) {
	set := e.rules.Load()
	var inputs []detect.Input
	var numbers []int32
	used := map[string]bool{}
	for i, r := range set.engine.Rules {
		if len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool {
			is := n == r.Rule.ID || strings.EqualFold(n, r.Rule.Name)
			used[n] = used[n] || is
			return is
		}) {
			continue
		}
		inputs = append(inputs, detect.Input{Rule: r.Rule, Query: r.Query, Exceptions: r.Exceptions})
		numbers = append(numbers, set.number[i])
	}
	for _, n := range names {
		if !used[n] {
			return nil, nil, fmt.Errorf("%w: no rule that runs has the id or name %q", store.ErrInvalid, n)
		}
	}
	engine, err := detect.Compile(e.opt.Catalogue, inputs)
	if err != nil {
		return nil, nil, fmt.Errorf("compile the rules: %w", err)
	}
	return engine, numbers, nil
}

// manualAlerts is how many alerts of a backfill are committed at once.
const manualAlerts = 200

func (e *Engine) backfill(ctx context.Context, b Backfill, engine *detect.Engine, numbers []int32, run *store.Run) error {
	since := b.From
	for _, r := range engine.Rules {
		if h := r.History(b.From); h.Before(since) {
			since = h
		}
	}
	objects := b.Objects
	if objects == nil {
		objects = e.stored(ctx, since, b.To)
	}
	res, err := pipeline.Run(ctx, pipeline.Config{
		Engine: engine, Catalogue: e.opt.Catalogue, Enricher: e.opt.Enricher, Limits: e.opt.Limits, Workers: e.opt.Workers,
		From: b.From, To: b.To, TempDir: os.TempDir(),
	}, objects)
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	defer func() { _ = res.Close() }() // temporary files
	run.Counts["objects"], run.Counts["records"] = res.Stats.Objects, res.Stats.Records+res.Stats.Documents
	run.Counts["rejected"] = res.Stats.Rejected
	var batch []manual
	for f, err := range res.Found() { //nolint:contextcheck // temporary files; ctx is asked at every commit
		if err != nil {
			return fmt.Errorf("read the findings: %w", err)
		}
		a := alert.New(f.Rule, &f.Signal, f.Event, f.Coverage, f.Cold)
		account, region := e.zone.of(f.Event)
		m := manual{Alert: a, signal: f.Signal, number: numbers[f.Hit.Rule], account: account, region: region, kind: store.KindRecord, raw: bytes.Clone(f.Raw)}
		if f.Document {
			m.kind = store.KindDocument
		}
		if batch = append(batch, m); len(batch) == manualAlerts {
			if err := e.addManual(ctx, batch, run); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return e.addManual(ctx, batch, run)
}

// manual is an alert of a backfill.
type manual struct {
	*alert.Alert
	signal          detect.Signal
	number          int32
	account, region string
	kind            byte
	raw             []byte
}

func (e *Engine) addManual(ctx context.Context, batch []manual, run *store.Run) error {
	add := func() error {
		return e.opt.DB.Update(ctx, func(tx store.Tx) error {
			a := newApplier(ctx, e.committer, tx, e.rules.Load(), nil, work{manual: true})
			added := int64(0)
			for i := range batch {
				fresh, err := a.addManual(&batch[i])
				if err != nil {
					return err
				}
				if fresh {
					added++
				}
			}
			run.Counts["alerts"] += int64(len(batch))
			run.Counts["added"] += added
			return a.write()
		})
	}
	if len(batch) == 0 {
		return nil
	}
	if e.running.Load() {
		return e.between(ctx, add)
	}
	return add()
}

// addManual makes the alert of a backfill, unless it is there. The finding that memory
// has of it is tied to it, so that late events move it as they move others.
func (a *applier) addManual(m *manual) (added bool, err error) {
	have, err := a.existing(m.UUID)
	if err != nil || have != nil && !have.Withdrawn {
		return false, err
	}
	if have == nil {
		handle, err := a.newHandle(m.UUID)
		if err != nil {
			return false, err
		}
		have = &pending{isNew: true, Alert: &store.Alert{Handle: handle, UUID: m.UUID, Created: a.now, Status: store.Open, Manual: true}}
		a.alerts[handle] = have
	}
	s := &m.signal
	have.made, have.kind, have.raw = m.Alert, m.kind, m.raw
	have.Withheld = m.Withheld
	index := a.set.index(m.number)
	if index < 0 {
		return false, fmt.Errorf("%w: rule %s was changed while its backfill ran: run it again", store.ErrInvalid, m.Rule.ID)
	}
	a.describe(have, index, s, m.account, m.region)
	f, err := store.GetFinding(a.tx, &detect.Hit{Rule: m.number, Group: s.Group, Time: s.Time, ID: s.ID})
	if err != nil || f == nil || f.Handle != "" {
		return true, err
	}
	f.Handle, f.Learned = have.Handle, false
	return true, store.PutFinding(a.tx, f)
}

// stored yields the stored events as objects, one for each day.
func (e *Engine) stored(ctx context.Context, from, to time.Time) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		for day := from.UTC(); day.Before(to); {
			next := day.Truncate(24*time.Hour).AddDate(0, 0, 1)
			if next.After(to) {
				next = to
			}
			since := day // opened later, when day has moved on
			o := pipeline.Object{
				Name: "stored events of " + day.Format(time.DateOnly),
				Open: func() (io.ReadCloser, error) { return e.lines(ctx, since, next), nil },
			}
			if !yield(o, nil) {
				return
			}
			day = next
		}
	}
}

// lines writes stored events one behind the other.
func (e *Engine) lines(ctx context.Context, from, to time.Time) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		for s, err := range e.opt.Events.Scan(ctx, store.Scan{From: from, To: to}) {
			if err == nil {
				_, err = w.Write(append(slices.Clip(s.Raw), '\n'))
			}
			if err != nil {
				w.CloseWithError(err)
				return
			}
		}
		_ = w.Close() // never fails
	}()
	return r
}

// Hidden is what an exception would have hidden.
type Hidden struct {
	Count  int64
	Looked int64 // alerts that were tested
	First  []*store.Alert
}

// hiddenShown is how many alerts a Hidden names.
const hiddenShown = 10

// TryException tests the alerts of the rule since a time: how many would not be there
// if excepts held for their events.
func (e *Engine) TryException(ctx context.Context, ruleID string, since time.Time, x detect.Exception) (*Hidden, error) {
	out := &Hidden{}
	view := viewer{catalogue: e.opt.Catalogue, enricher: e.opt.Enricher}
	err := e.opt.DB.View(ctx, func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Rule: []string{ruleID}, From: since, Withheld: true, Blocks: true}) {
			if err != nil {
				return err
			}
			out.Looked++
			if !x.Expire.IsZero() && x.Expire.Before(a.Time) {
				continue
			}
			d, err := store.GetAlertDocument(tx, a.Handle)
			if err != nil {
				return err
			}
			ev, err := view.view(d.Kind, d.Raw)
			if err != nil {
				return err
			}
			if x.Expr.Match(ev) {
				if out.Count++; len(out.First) < hiddenShown {
					out.First = append(out.First, a)
				}
			}
		}
		return nil
	})
	return out, err
}
