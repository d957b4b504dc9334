package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// coldBelow is the share of a history window that must have been covered; under it
// a "first time" says little.
const coldBelow = 0.95

// A Result holds the findings of a run, in order of time. Close it.
type Result struct {
	Stats Stats

	cfg    Config
	spools spools
	ledger *ledger
	found  []detect.Signal
}

// A Found is one finding with the event that speaks for it.
type Found struct {
	detect.Signal
	Rule *detect.Rule
	// Event is valid until the next Found.
	Event ecs.Event
	// Coverage is the covered share of the history window of the event's account
	// and region, 0 to 1, for new-terms rules; 1 for others. Cold: under 95 %.
	Coverage float64
	Cold     bool
}

// Len returns the number of findings.
func (r *Result) Len() int { return len(r.found) }

// Close releases the temporary files.
func (r *Result) Close() error { return r.spools.Close() }

// Found yields the findings by time of their first event, then rule and event.
func (r *Result) Found() iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		var l loader
		for _, s := range r.found {
			ev, err := l.load(r, s.Ref)
			if err != nil {
				yield(Found{}, err)
				return
			}
			f := Found{Signal: s, Rule: r.cfg.Engine.Rules[s.Hit.Rule], Event: ev, Coverage: 1}
			if f.Rule.Folds() {
				f.Coverage = r.coverage(&f)
				f.Cold = f.Coverage < coldBelow
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (r *Result) coverage(f *Found) float64 {
	account := ""
	for _, name := range []string{"aws.cloudtrail.recipient_account_id", "cloud.account.id"} {
		if v := f.Event.Values(r.cfg.Catalogue.Resolve(name)); len(v) > 0 {
			account = v[0]
			break
		}
	}
	return r.ledger.share(account, f.Rule.History(at(f.Time)).UnixNano(), f.Time)
}

// loader makes events of spooled records again.
type loader struct {
	event  *cloudtrail.Event
	record cloudtrail.Record
}

func (l *loader) load(r *Result, ref detect.Ref) (ecs.Event, error) {
	kind, raw, err := r.spools.read(ref)
	if err != nil {
		return nil, err
	}
	if kind == kindDocument {
		ev, err := ecs.ParseJSON(r.cfg.Catalogue, raw)
		if err != nil {
			return nil, fmt.Errorf("parse a spilled document: %w", err)
		}
		return ev, nil
	}
	if _, err := l.record.Parse(raw); err != nil {
		return nil, fmt.Errorf("parse a spilled record: %w", err)
	}
	if l.event == nil {
		l.event = cloudtrail.NewEvent(r.cfg.Catalogue, r.cfg.Enricher)
	}
	l.event.Reset(&l.record)
	return l.event, nil
}

// signals takes findings by rule and time through T0, suppression and max_signals.
func (r *Result) signals(ctx context.Context, findings *merge, start int64) error {
	st := &r.Stats
	var l loader
	var chain *chain
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		h, ok, err := findings.next()
		if err != nil {
			return fmt.Errorf("merge findings: %w", err)
		}
		if chain != nil && (!ok || h.Rule != chain.index) {
			if err := chain.end(); err != nil {
				return err
			}
			chain = nil
		}
		if !ok {
			break
		}
		rs := &st.Rules[h.Rule]
		rs.Findings++
		if h.Time < start {
			rs.Learned++
			continue
		}
		if chain == nil {
			chain = r.newChain(h.Rule)
		}
		if err := chain.add(&h, &l); err != nil {
			return err
		}
	}
	slices.SortFunc(r.found, func(a, b detect.Signal) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Rule, b.Rule),
			bytes.Compare(a.ID[:], b.ID[:]), bytes.Compare(a.Group[:], b.Group[:]))
	})
	for f, err := range r.Found() {
		if err != nil {
			return err
		}
		if f.Cold {
			st.Rules[f.Hit.Rule].Cold++
		}
	}
	st.finish()
	return nil
}

// A chain is what the findings of one rule go through.
type chain struct {
	index    int32
	result   *Result
	suppress *detect.Suppressor
	limit    *detect.Limiter
}

func (r *Result) newChain(index int32) *chain {
	c := &chain{index: index, result: r}
	rs := &r.Stats.Rules[index]
	c.limit = r.cfg.Engine.NewLimiter(index, func(s detect.Signal) error {
		rs.Alerts++
		rs.Suppressed += s.Suppressed
		if s.Withheld {
			rs.Withheld++
		}
		r.found = append(r.found, s)
		return nil
	}, func(capped detect.Capped) { r.Stats.Capped = append(r.Stats.Capped, capped) })
	c.suppress = r.cfg.Engine.NewSuppressor(index, r.cfg.Catalogue, c.limit.Add)
	return c
}

func (c *chain) add(h *detect.Hit, l *loader) error {
	if c.suppress == nil {
		return c.limit.Add(&detect.Signal{Hit: *h})
	}
	var ev ecs.Event
	if c.suppress.NeedsEvent() {
		var err error
		if ev, err = l.load(c.result, h.Ref); err != nil {
			return err
		}
	}
	return c.suppress.Add(h, ev)
}

func (c *chain) end() error {
	var err error
	if c.suppress != nil {
		err = c.suppress.Flush()
	}
	err = errors.Join(err, c.limit.Flush())
	c.result.Stats.Rules[c.index].Dropped = c.limit.Dropped
	return err
}
