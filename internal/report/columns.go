package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/debutsec/debut/rule"
)

// Columns writes rows under a header row, in columns. On a terminal the widest are
// cut until a row fits; elsewhere nothing is.
func Columns(w io.Writer, rows [][]string, o Options) error {
	p := &printer{w: w, color: o.Color}
	g := make(grid, len(rows))
	for i, r := range rows {
		g[i] = safeRow(r...)
	}
	widths := g.fit(o.Width, 0)
	for i, r := range g {
		line := r.text(widths)
		if i == 0 {
			line = p.dim(line)
		}
		p.line("%s", line)
	}
	return p.err
}

// Rule writes a rule for somebody who wants to know what it does: what it looks for,
// when, what it says about an alert, and its guide.
func Rule(w io.Writer, r *rule.Rule, o Options) error {
	p := &printer{w: w, color: o.Color}
	p.line("%s", p.bold(Safe(r.Name)))
	item := func(name, value string) {
		if value != "" {
			p.block(block{name, []string{value}}, o.Width)
		}
	}
	item("id", r.ID)
	kind := string(r.Type)
	if r.Language != "" && r.Language != kind {
		kind += " in " + r.Language
	}
	item("type", kind)
	item("severity", fmt.Sprintf("%s, risk score %d", r.Severity, r.RiskScore))
	item("runs", runs(r))
	item("schedule", fmt.Sprintf("every %s over %s to %s, at most %d alerts", span(r.Interval), r.From, r.To, r.MaxSignals))
	item("new", newTerms(r))
	item("counts", thresholdOf(r))
	item("groups", suppressionOf(r))
	for _, t := range r.Threat {
		for _, name := range techniques(join(" ", t.Tactic.Name, t.Tactic.ID), t.Technique) {
			item("att&ck", name)
		}
	}
	item("tags", strings.Join(r.Tags, ", "))
	item("indices", strings.Join(r.Index, ", "))
	item("file", fmt.Sprintf("%s:%d", r.File, r.Line))
	for _, part := range []struct{ name, text string }{
		{"description", r.Description},
		{"query", r.Query},
		{"false positives", strings.Join(r.FalsePositives, "\n\n")},
		{"references", strings.Join(r.References, "\n")},
		{"setup", r.Setup},
		{"guide", r.Note},
	} {
		if strings.TrimSpace(part.text) == "" {
			continue
		}
		p.line("\n%s", p.bold(part.name))
		for _, l := range safeLines(part.text) {
			p.line("%s", l)
		}
	}
	return p.err
}

func runs(r *rule.Rule) string {
	ok, reason := r.Runnable()
	switch {
	case !ok:
		return "no: " + reason
	case r.EnabledSet && !r.Enabled:
		return "only when asked for: it is disabled in its file"
	}
	return "yes"
}

func newTerms(r *rule.Rule) string {
	if r.Type != rule.NewTerms {
		return ""
	}
	return strings.Join(r.NewTermsFields, " + ") + " not seen since " + r.HistoryWindowStart
}

func thresholdOf(r *rule.Rule) string {
	if r.Type != rule.Threshold {
		return ""
	}
	s := fmt.Sprintf("%d or more events", r.ThresholdValue)
	if len(r.Cardinality) > 0 { // the first is the one that counts
		s += fmt.Sprintf(" with %d or more values of %s", r.Cardinality[0].Value, r.Cardinality[0].Field)
	}
	if len(r.ThresholdFields) > 0 {
		s += " by " + strings.Join(r.ThresholdFields, " + ")
	}
	return s
}

func suppressionOf(r *rule.Rule) string {
	if r.Suppression == nil {
		return ""
	}
	s := "one alert"
	if len(r.Suppression.GroupBy) > 0 {
		s += " for each " + strings.Join(r.Suppression.GroupBy, " + ")
	}
	if r.Suppression.Duration > 0 {
		return s + " in " + span(r.Suppression.Duration)
	}
	return s + " in each interval"
}
