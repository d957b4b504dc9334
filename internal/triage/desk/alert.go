package desk

import (
	"cmp"
	"strconv"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/query"
)

// alertOf makes what is investigated of a stored alert. What its rule was stands in the
// document: it may have changed since. doc may be nil.
func alertOf(a *store.Alert, doc *store.AlertDocument) triage.Alert {
	out := triage.Alert{
		ID: a.Handle, Rule: triage.Rule{ID: a.RuleID, Name: a.RuleName, Type: a.Type, Severity: a.Severity},
		Time: a.Time, Event: a.EventID, Previous: a.Previous,
	}
	if doc == nil {
		return out
	}
	d, err := ecs.ParseDocument(doc.Document)
	if err != nil {
		return out
	}
	out.Rule.Version = number(d["kibana.alert.rule.version"])
	rule, _ := d["kibana.alert.rule.parameters"].(map[string]any)
	if text(rule["language"]) == "kuery" || text(rule["language"]) == "" {
		out.Query = text(rule["query"])
	}
	out.History = historyOf(rule, a.Time)
	out.Fields = texts(rule["new_terms_fields"])
	if values, ok := d["kibana.alert.new_terms"].([]any); ok {
		for i, v := range values {
			if i < len(out.Fields) {
				out.Terms = append(out.Terms, out.Fields[i]+"="+text(v))
			}
		}
	}
	if result, ok := d["kibana.alert.threshold_result"].(map[string]any); ok {
		terms, _ := result["terms"].([]any)
		for _, t := range terms {
			m, _ := t.(map[string]any)
			if f := text(m["field"]); f != "" {
				out.Fields = append(out.Fields, f)
				out.Terms = append(out.Terms, f+"="+text(m["value"]))
			}
		}
	}
	return out
}

// historyOf is how far back a new-terms rule looks from a time.
func historyOf(rule map[string]any, t time.Time) time.Duration {
	start := text(rule["history_window_start"])
	if start == "" {
		return 0
	}
	m, err := query.ParseDateMath(start)
	if err != nil {
		return 0
	}
	return max(0, t.Sub(m.At(t)))
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case ecs.Number:
		return string(v)
	}
	return ""
}

func number(v any) int {
	n, _ := strconv.Atoi(cmp.Or(text(v), "0"))
	return n
}

func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		out = append(out, text(e))
	}
	return out
}
