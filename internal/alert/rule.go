package alert

import (
	"cmp"
	"maps"
	"strconv"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// rule copies the rule's fields. Names that a rule does not have stay away.
func (a *Alert) rule(doc ecs.Document) {
	r := a.Rule
	maps.Copy(doc, map[string]any{
		"kibana.alert.rule.rule_id":      r.ID,
		"kibana.alert.rule.uuid":         cmp.Or(r.ObjectID, r.ID),
		"kibana.alert.rule.name":         a.Name,
		"kibana.alert.rule.type":         string(r.Type),
		"kibana.alert.rule.severity":     r.Severity,
		"kibana.alert.rule.risk_score":   integer(int64(r.RiskScore)),
		"kibana.alert.rule.interval":     interval(r.Interval),
		"kibana.alert.rule.max_signals":  integer(int64(r.MaxSignals)),
		"kibana.alert.rule.version":      integer(int64(max(r.Version, 1))),
		"kibana.alert.rule.revision":     integer(int64(r.Revision)),
		"kibana.alert.rule.enabled":      r.Enabled,
		"kibana.alert.rule.immutable":    r.Immutable,
		"kibana.alert.rule.consumer":     "siem",
		"kibana.alert.rule.producer":     "siem",
		"kibana.alert.rule.category":     category(r.Type),
		"kibana.alert.rule.rule_type_id": typeID(r.Type),
		"kibana.alert.rule.threat":       threats(r.Threat),
	})
	for name, text := range map[string]string{
		"description": r.Description, "from": r.From, "to": r.To, "license": r.License, "note": r.Note,
		"timestamp_override": r.TimestampOverride, "rule_name_override": r.RuleNameOverride,
		"timeline_id": r.TimelineID, "timeline_title": r.TimelineTitle,
		"created_at": r.CreatedAt, "created_by": r.CreatedBy, "updated_at": r.UpdatedAt, "updated_by": r.UpdatedBy,
	} {
		if text != "" {
			doc["kibana.alert.rule."+name] = text
		}
	}
	for name, list := range map[string][]string{
		"tags": r.Tags, "author": r.Author, "references": r.References,
		"false_positives": r.FalsePositives, "indices": r.Index,
	} {
		doc["kibana.alert.rule."+name] = texts(list)
	}
	if r.Parameters != nil {
		doc["kibana.alert.rule.parameters"] = tree(r.Parameters)
	}
	for _, name := range []string{"severity_mapping", "risk_score_mapping", "exceptions_list", "actions"} {
		list, ok := r.Parameters[name].([]any)
		if !ok {
			list = []any{}
		}
		doc["kibana.alert.rule."+name] = tree(list)
	}
}

// tree copies what a rule file said into the values that documents have.
func tree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = tree(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = tree(e)
		}
		return out
	case int64:
		return integer(v)
	case float64:
		return number(v)
	}
	return v
}

// interval writes a duration as rules do: 5m, 1h.
func interval(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

func category(t rule.Type) string {
	switch t {
	case rule.Query, rule.SavedQuery:
		return "Custom Query Rule"
	case rule.NewTerms:
		return "New Terms Rule"
	case rule.Threshold:
		return "Threshold Rule"
	case rule.EQL, rule.ESQL, rule.ThreatMatch, rule.MachineLearning:
	}
	return string(t)
}

func typeID(t rule.Type) string {
	switch t {
	case rule.Query:
		return "siem.queryRule"
	case rule.SavedQuery:
		return "siem.savedQueryRule"
	case rule.NewTerms:
		return "siem.newTermsRule"
	case rule.Threshold:
		return "siem.thresholdRule"
	case rule.EQL, rule.ESQL, rule.ThreatMatch, rule.MachineLearning:
	}
	return "siem." + string(t)
}

func threats(list []rule.Threat) []any {
	out := make([]any, len(list))
	for i, t := range list {
		out[i] = map[string]any{"framework": t.Framework, "tactic": technique(t.Tactic, false), "technique": techniques(t.Technique)}
	}
	return out
}

func techniques(list []rule.Technique) []any {
	out := make([]any, len(list))
	for i, t := range list {
		out[i] = technique(t, true)
	}
	return out
}

func technique(t rule.Technique, sub bool) map[string]any {
	m := map[string]any{"id": t.ID, "name": t.Name, "reference": t.Reference}
	if sub && len(t.Subtechnique) > 0 {
		m["subtechnique"] = techniques(t.Subtechnique)
	}
	return m
}
