package report

import (
	"cmp"
	_ "embed" // the page's template
	"html/template"
	"io"
	"math"
	"slices"

	"github.com/debutsec/debut/internal/triage"
)

//go:embed triage.html
var triageSource string

// maxRefs is how many events are named beside a finding; the evidence lists them.
const maxRefs = 6

// A triagePage is what the template shows. The template passes every text through
// safe, note or name, which clip it and make it visible, and html/template escapes it
// for where it stands.
type triagePage struct {
	*triage.Report

	Class, Sure, Answered, ColdMeans, Subject, Low string
	ScoreBar, SureBar                              float64
	Terms                                          []term
	Total                                          int
	ComesTo                                        string
	Losses                                         []loss
	Bars                                           []categoryBar
	Picture                                        *picture
	Moments                                        []moment
	Short                                          bool // enough to show all of them at once
	Omitted                                        string
	Hops                                           []hop
	Asked                                          []stepCard
	Idle                                           []stepCard // that do not apply
	Kinds                                          []kind
	Actions                                        []actionCard
	Tested                                         string
	MoreTerms, MoreLosses, MoreSteps               string

	rows  map[string]int // of the timeline, by event
	steps map[string]int // cards by step
}

// A categoryBar is a category as a bar; all have one scale, in percent of the longest.
type categoryBar struct {
	Name, Value        string
	Cap, Counted, Over float64 // widths
	Benign             bool
}

// A stepCard is a step with its numbers in words.
type stepCard struct {
	*triage.Answer

	N       int
	Class   string
	Worth   string
	Sources string
}

// An actionCard is a proposed action in words.
type actionCard struct {
	*triage.Action

	Undo string
	With []string
}

// TriageHTML writes a report as one page that needs nothing else: no script, no font,
// no network.
func TriageHTML(w io.Writer, r *triage.Report) error {
	p := triagePageOf(r)
	t, err := pageTemplate(triageSource, template.FuncMap{
		"safe":  func(s string) string { return Safe(clip(s, maxValue)) },
		"note":  func(s string) string { return Safe(clip(s, maxMessage)) },
		"name":  func(s string) string { return Safe(clip(s, maxName)) },
		"words": words, "capital": capital,
		"signed": signed,
		"brief":  func(id string) string { return briefly([]string{id}) },
		"utc":    clockUTC,
		"window": window,
		"rows":   func(q triage.Query) string { return rows(&q) },
		"row":    func(event string) int { return p.rows[event] },
		"step":   func(id string) int { return p.steps[id] },
		"few":    func(list []string) []string { return few(list, maxMessage) },
		"refs":   func(list []string) []string { return first(list, maxRefs) },
		"rest":   func(list []string) string { return more(len(list) - maxRefs) },
		"list":   p.limit,
	})
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

func triagePageOf(r *triage.Report) *triagePage {
	p := &triagePage{
		Report: r, Class: verdictClass(r.Verdict), Sure: sure(r), Answered: answered(r),
		ScoreBar: share(float64(r.Score), 100), SureBar: share(r.Confidence, 1), Hops: first(hops(r), maxParts),
		Kinds: kinds(&r.Entities), Bars: categoryBars(r.Categories), rows: map[string]int{}, steps: map[string]int{},
	}
	if r.Cold {
		p.ColdMeans = triageCold
	}
	if r.Confidence < triage.LowConfidence {
		p.Low = "Low confidence: less than half of what the questions count is answered. The unknowns below say what would help."
	}
	var left int
	p.Terms, p.Total = terms(r)
	p.ComesTo = comesTo(r, p.Total)
	p.Terms, left = shorter(p.Terms, maxFindings)
	p.MoreTerms = more(left)
	p.Losses, left = shorter(losses(r), maxFindings)
	p.MoreLosses = more(left)
	p.Moments, left = momentsOf(r, maxMoments)
	p.Omitted, p.Short = omittedMoments(left), len(p.Moments) <= terminalMoments
	for i := range p.Moments {
		m := &p.Moments[i]
		if p.rows[m.Event] == 0 {
			p.rows[m.Event] = m.N
		}
		if m.This && p.Subject == "" {
			p.Subject = join(" · ", m.Action, m.What, m.Who)
		}
	}
	p.Picture = newPicture(r, p.Moments)
	p.cards(r)
	for i := range first(r.ProposedActions, maxParts) {
		a := &r.ProposedActions[i]
		p.Actions = append(p.Actions, actionCard{a, undo(a), params(a)})
	}
	if r.Exception != nil {
		p.Tested = tested(r.Exception)
	}
	return p
}

// cards makes a card of each step, those that do not apply by themselves.
func (p *triagePage) cards(r *triage.Report) {
	for i := range first(r.Steps, maxParts) {
		a := &r.Steps[i]
		c := stepCard{Answer: a, N: i + 1, Class: statusClass(a.Status), Sources: sources(a)}
		if a.Points != 0 {
			c.Worth = signed(a.Points)
		}
		if p.steps[a.ID] == 0 {
			p.steps[a.ID] = c.N
		}
		if a.Status == triage.NotApplicable {
			p.Idle = append(p.Idle, c)
		} else {
			p.Asked = append(p.Asked, c)
		}
	}
	p.MoreSteps = more(len(r.Steps) - maxParts)
}

func statusClass(status string) string {
	switch status {
	case triage.NotKnown:
		return "medium"
	case triage.Failed:
		return "high"
	}
	return "none"
}

// limit is for lists in the template: no page of a hostile report is endless.
func (p *triagePage) limit(list any) any {
	switch l := list.(type) {
	case []triage.Finding:
		return first(l, maxFindings)
	case []triage.Evidence:
		return first(l, maxFindings)
	case []triage.Query:
		return first(l, maxParts)
	case []triage.Unknown:
		return first(l, maxParts)
	case []triage.Claim:
		return first(l, maxParts)
	case []triage.Look:
		return first(l, maxParts)
	case []triage.Version:
		return first(l, maxParts)
	case []string:
		return first(l, maxParts)
	}
	return list
}

// share returns a part in percent of the whole, from 0 to 100.
func share(part, whole float64) float64 {
	if math.IsNaN(part) || whole <= 0 {
		return 0
	}
	return round(100 * min(1, max(0, part/whole)))
}

func categoryBars(list []triage.Category) (bars []categoryBar) {
	list = slices.Clone(first(list, maxParts))
	slices.SortStableFunc(list, func(a, b triage.Category) int { return cmp.Compare(b.Points, a.Points) })
	longest := 0.0
	size := func(n int) float64 { return math.Abs(float64(n)) }
	for _, c := range list {
		longest = max(longest, size(c.Raw), size(c.Cap))
	}
	for _, c := range list {
		bars = append(bars, categoryBar{
			Name: c.Name, Value: capped(c), Benign: c.Points < 0,
			Cap: share(size(c.Cap), longest), Counted: share(size(c.Points), longest), Over: share(size(c.Raw), longest),
		})
	}
	return bars
}
