package triage

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Steps returns the steps in order.
func Steps() []*Step {
	return []*Step{
		dataQuality(),
		targetInstances(),
		document(),
		identity(),
		pattern(),
		content(),
		timing(),
		userAgent(),
		sourceNetwork(),
		recurrence(),
		systemsManager(),
		objects(),
		identities(),
		compute(),
		tampering(),
		outcome(),
		targets(),
		claims(),
	}
}

// Run investigates an alert. The report is a pure function of the input: the same
// events, in whatever order they came and however often, give the same bytes. An error
// says that there is no report at all; a step that fails says so in the report.
func Run(ctx context.Context, in Input) (*Report, error) {
	if in.Weights == nil || in.Events == nil || in.Coverage == nil || in.Catalogue == nil {
		return nil, errors.New("triage: weights, events, sums, coverage and catalogue are needed")
	}
	c, err := open(ctx, in)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Schema: Schema, AlertID: in.Alert.ID, Rule: in.Alert.Rule, EventID: c.Event.ID, Time: c.Event.Time, Cold: c.Cold,
		AsOf: in.AsOf.UTC(), Version: len(in.Previous) + 1, Versions: slices.Clone(in.Previous), Live: in.Live.Looks(),
	}
	var evidence []*Event
	for _, s := range Steps() {
		a := &Asking{ctx: ctx, c: c, step: s, cited: map[string]bool{}}
		if why := s.applies(c); why != "" {
			r.Steps = append(r.Steps, Answer{ID: s.ID, Question: s.Question, Status: NotApplicable, Answer: why})
			continue
		}
		s.Run(c, a)
		r.Steps = append(r.Steps, a.answer())
		evidence = append(evidence, a.events...)
		c.done(s.ID)
		if err := ctx.Err(); err != nil {
			return nil, err //nolint:wrapcheck // the caller cancelled
		}
	}
	c.judge(r)
	r.Chain, r.Claims = c.Chain, c.Claims
	c.except(ctx, r)
	c.unknowns(r)
	c.timeline(r, evidence)
	c.entities(r, evidence)
	c.propose(r)
	c.ask(r)
	c.summarise(r)
	r.complete()
	c.done("report")
	return r, nil
}

func (s *Step) applies(c *Case) string {
	if s.Applies == nil {
		return ""
	}
	return s.Applies(c)
}

// unknowns gathers what the steps do not know, the most valuable first: that of the
// heaviest step.
func (c *Case) unknowns(r *Report) {
	weights := map[string]int{}
	for _, s := range Steps() {
		weights[s.ID] = s.Weight
	}
	for i := range r.Steps {
		r.Unknowns = append(r.Unknowns, r.Steps[i].Unknowns...)
	}
	for i := range r.Unknowns {
		if u := &r.Unknowns[i]; c.Live != nil && strings.Contains(u.Remedy, "--live") {
			u.Remedy = "" // it was asked: what AWS refused follows
		}
	}
	for _, l := range r.Live {
		u := Unknown{Step: stepOfCall(l.Call), What: "what " + l.Call + " would tell: " + l.Error}
		told := func(x Unknown) bool { return x.What == u.What || x.Remedy == remedyOf([]Look{l}) }
		if l.Error == "" || slices.ContainsFunc(r.Unknowns, told) {
			continue
		}
		if l.Policy != "" {
			u.Remedy = "This statement allows it: " + l.Policy + " (debut triage --print-policy prints all of them)."
		}
		r.Unknowns = append(r.Unknowns, u)
	}
	slices.SortStableFunc(r.Unknowns, func(a, b Unknown) int { return weights[b.Step] - weights[a.Step] })
}

// stepOfCall is the question that a look at AWS would answer.
func stepOfCall(call string) string {
	switch {
	case strings.Contains(call, "Invocation"):
		return "T15"
	case strings.Contains(call, "Command"):
		return "T5"
	case strings.Contains(call, "Document"):
		return "T2"
	case strings.Contains(call, "Association"), strings.Contains(call, "MaintenanceWindow"):
		return "F"
	}
	return "T1"
}

// complete makes empty lists of those that are nil: a reader of the JSON finds every
// list.
func (r *Report) complete() {
	fill(&r.Categories)
	fill(&r.Claims)
	fill(&r.Chain)
	fill(&r.Timeline)
	fill(&r.Unknowns)
	fill(&r.NextQuestions)
	fill(&r.ProposedActions)
	fill(&r.Versions)
	for i := range r.Steps {
		a := &r.Steps[i]
		fill(&a.Findings)
		fill(&a.Evidence)
		fill(&a.Queries)
		fill(&a.Caveats)
	}
	for i := range r.Claims {
		fill(&r.Claims[i].Proof)
	}
	e := &r.Entities
	for _, list := range []*[]string{&e.Principals, &e.Credentials, &e.IPs, &e.Instances, &e.Documents, &e.Commands, &e.Buckets} {
		fill(list)
	}
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// ask writes the questions that a person should put next: what is unknown, then what
// only people know.
func (c *Case) ask(r *Report) {
	for _, u := range r.Unknowns {
		if q := strings.TrimSpace(u.Remedy); q != "" {
			r.NextQuestions = append(r.NextQuestions, q)
		}
	}
	if r.Verdict != LikelyBenign {
		r.NextQuestions = append(r.NextQuestions, "Ask the owner of "+shortPrincipal(c.Event.Principal)+", on another channel, whether he did this and why.")
	}
	r.NextQuestions = unique(r.NextQuestions)
}
