package triage

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A Step is one question of the investigation and how it is answered. Each has a file
// of its own; adding a step is adding a file and its name in [Steps].
type Step struct {
	ID       string // such as "T5"
	Question string
	// Weight is what its answer counts in the confidence.
	Weight int
	// Applies returns why the step says nothing about this case, or "". Nil: it always
	// applies.
	Applies func(c *Case) string
	// Run answers. What it reads it asks of the answer, so that the report cites it.
	Run func(c *Case, a *Asking)
}

// An Asking is a step at work: it collects what the step says. It belongs to one
// goroutine.
type Asking struct {
	ctx    context.Context
	c      *Case
	step   *Step
	out    Answer
	say    []string
	cited  map[string]bool
	events []*Event
	err    error
}

// Say adds a sentence to the answer, with the events that it rests on.
func (a *Asking) Say(events []*Event, format string, args ...any) {
	a.say = append(a.say, strings.TrimSpace(fmt.Sprintf(format, args...)))
	a.Cite(events...)
}

// Find adds a fact that the table of weights has a row for, by its key without the
// step's id, and the events that it rests on. A weight counts once, however often it is
// found; the first text stands.
func (a *Asking) Find(key string, events []*Event, format string, args ...any) {
	a.find(a.step.ID+"."+key, 1, events, fmt.Sprintf(format, args...))
}

// FindTimes is like Find for a weight that counts several times, up to its most.
func (a *Asking) FindTimes(key string, times int, events []*Event, format string, args ...any) {
	a.find(a.step.ID+"."+key, times, events, fmt.Sprintf(format, args...))
}

// find adds a finding of any row, for claims of innocence, which have rows of their own.
func (a *Asking) find(row string, times int, events []*Event, text string) {
	w := a.c.Weights.Row(row)
	_, key, _ := strings.Cut(row, ".")
	ids := ids(events)
	for i := range a.out.Findings {
		if f := &a.out.Findings[i]; f.Key == key {
			f.Events = unique(append(f.Events, ids...))
			a.Cite(events...)
			return
		}
	}
	points := w.Points * times
	if w.Most > 0 {
		points = min(points, w.Most)
	} else if times > 1 {
		points = w.Points
	}
	a.out.Findings = append(a.out.Findings, Finding{
		Key: key, Weight: points, Points: points, Category: w.Category, Critical: w.Critical, Kind: w.Kind,
		Absence: w.Absence, Spoofable: w.Spoofable, Text: text, Events: ids,
	})
	a.Cite(events...)
}

// Unknown says what the data does not tell, and what would tell it.
func (a *Asking) Unknown(what, remedy string) {
	a.out.Unknowns = append(a.out.Unknowns, Unknown{Step: a.step.ID, What: what, Remedy: remedy})
}

// Caveat adds a warning about the answer.
func (a *Asking) Caveat(format string, args ...any) {
	a.out.Caveats = append(a.out.Caveats, fmt.Sprintf(format, args...))
}

// Cite adds events to the evidence. Nil events are left out.
func (a *Asking) Cite(events ...*Event) {
	for _, e := range events {
		if e != nil && !a.cited[e.ID] {
			a.cited[e.ID] = true
			a.events = append(a.events, e)
		}
	}
}

// Uses says that the step rests on a query that was made before.
func (a *Asking) Uses(list ...Query) {
	for _, q := range list {
		if q.Text != "" && !slices.Contains(a.out.Queries, q) {
			a.out.Queries = append(a.out.Queries, q)
		}
	}
}

// Events asks the store: the events of a window that match a KQL query, in order of
// time, at most limit (the latest ones). The query is cited. The same question is asked
// once in a case. If the store cannot answer, the step fails and there are no events.
func (a *Asking) Events(kql string, window Span, limit int) []*Event {
	if a.err != nil {
		return nil
	}
	list, q, err := a.c.query(a.ctx, kql, window, limit)
	if err != nil {
		a.err = err
		return nil
	}
	a.Uses(q)
	if q.Truncated {
		a.Caveat("more than %d events match %s; the latest are read", limit, kql)
	}
	return list
}

// answer ends the step.
func (a *Asking) answer() Answer {
	out := a.out
	out.ID, out.Question = a.step.ID, a.step.Question
	out.Answer = strings.Join(a.say, " ")
	slices.SortStableFunc(a.events, compareEvents)
	for _, e := range atMost(a.events, maxEvidence) {
		out.Evidence = append(out.Evidence, e.evidence())
	}
	if n := len(a.events) - maxEvidence; n > 0 {
		out.Caveats = append(out.Caveats, fmt.Sprintf("%d more events are evidence of this; the first %d are listed", n, maxEvidence))
	}
	switch {
	case a.err != nil:
		out.Status = Failed
		out.Caveats = append(out.Caveats, "the store could not be read: "+a.err.Error())
		out.Findings = nil
	case len(a.say) == 0 && len(out.Findings) == 0:
		out.Status = NotKnown
		if len(out.Unknowns) == 0 {
			out.Unknowns = append(out.Unknowns, Unknown{Step: a.step.ID, What: a.step.Question})
		}
	case out.Status == "":
		out.Status = Answered
	}
	return out
}

// Unanswered makes the step end as unknown although it has something to say.
func (a *Asking) Unanswered() { a.out.Status = NotKnown }

const maxEvidence = 50

func compareEvents(a, b *Event) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}
