package pipeline

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// coldBelow is the share of a history window that must have been covered; under it
// a "first time" says little.
const coldBelow = 0.95

// A Result holds the findings of a run, in temporary files where they are many.
// Close it. It belongs to one goroutine.
type Result struct {
	Stats Stats

	cfg    Config
	spools spools
	ledger *ledger
	found  *sorter[found]
}

// A Found is one finding with the event that speaks for it.
type Found struct {
	detect.Signal
	Rule *detect.Rule
	// Event is valid until the next Found, and so is Raw, its text: a CloudTrail record,
	// or an ECS document if Document.
	Event    ecs.Event
	Raw      []byte
	Document bool
	// Coverage is the covered share of the history window of the event's account
	// and region, 0 to 1, for new-terms rules; 1 for others. Cold: under 95 %.
	Coverage float64
	Cold     bool
}

// Len returns the number of findings.
func (r *Result) Len() int64 { return r.found.n }

// Close releases the temporary files.
func (r *Result) Close() error {
	err := r.spools.close()
	if r.found != nil {
		err = errors.Join(err, r.found.close())
	}
	return err
}

// FailedHours returns the hours that are not covered, by account and region.
func (r *Result) FailedHours() []FailedHour { return r.ledger.failures() }

// Found yields the findings by time of their first event, then rule and event. It
// may be called again, and then reads them again.
func (r *Result) Found() iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		findings, err := merged(r.cfg.Memory/8, r.found)
		if err != nil {
			yield(Found{}, err)
			return
		}
		var l loader
		for {
			var f found
			ok, err := findings.next(context.Background(), &f)
			var ev ecs.Event
			if ok {
				ev, err = l.load(r, f.Ref)
			}
			if err != nil {
				yield(Found{}, err)
				return
			}
			if !ok || !yield(Found{
				Signal: f.Signal, Rule: r.cfg.Engine.Rules[f.Hit.Rule], Event: ev, Raw: l.raw, Document: l.kind == kindDocument,
				Coverage: f.coverage, Cold: f.coverage < coldBelow,
			}, nil) {
				return
			}
		}
	}
}

// coverage returns which part of a rule's history before an event the logs of its
// account and region cover.
func (r *Result) coverage(rule int32, ev ecs.Event) float64 {
	account, region := newZoneFields(r.cfg.Catalogue).of(ev)
	t := ev.Time()
	return r.ledger.share(account, region, r.cfg.Engine.Rules[rule].History(t).UnixNano(), t.UnixNano())
}

// loader makes events of spooled records again.
type loader struct {
	event  *cloudtrail.Event
	record cloudtrail.Record
	kind   byte // of what was loaded last, and its text
	raw    []byte
}

// load returns the event of a record. It is valid until the next load.
func (l *loader) load(r *Result, ref detect.Ref) (ecs.Event, error) {
	kind, raw, err := r.spools.read(ref)
	if err != nil {
		return nil, err
	}
	l.kind, l.raw = kind, raw
	if kind == kindDocument {
		ev, err := ecs.ParseJSON(r.cfg.Catalogue, raw)
		if err != nil {
			return nil, fmt.Errorf("parse a kept document: %w", err)
		}
		return ev, nil
	}
	if _, err := l.record.Parse(raw); err != nil {
		return nil, fmt.Errorf("parse a kept record: %w", err)
	}
	if l.event == nil {
		l.event = cloudtrail.NewEvent(r.cfg.Catalogue, r.cfg.Enricher)
	}
	l.event.Reset(&l.record)
	return l.event, nil
}
