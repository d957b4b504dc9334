package alert

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// timeFormat is how alert documents write a time: RFC 3339, milliseconds, Z.
const timeFormat = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// Document returns the alert as Kibana stores alerts: the event's ECS fields,
// nested, with the kibana.alert.* fields as dotted names beside them. now is the
// time of creation, @timestamp; the event's own time is
// kibana.alert.original_time. Debut's own fields are under debut.*. The document
// belongs to the caller.
func (a *Alert) Document(now time.Time) ecs.Document {
	doc := a.body()
	event, _ := doc["event"].(map[string]any)
	for k, v := range event {
		doc["kibana.alert.original_event."+k] = v
	}
	if ds, ok := doc["data_stream"].(map[string]any); ok {
		for k, v := range ds {
			doc["kibana.alert.original_data_stream."+k] = v
		}
	}
	signal := map[string]any{}
	maps.Copy(signal, event)
	signal["kind"] = "signal"
	doc["event"] = signal

	created := stamp(now)
	set(doc, map[string]any{
		"@timestamp":                            created,
		"kibana.space_ids":                      []any{"default"},
		"kibana.alert.uuid":                     a.UUID,
		"kibana.alert.original_time":            stamp(a.originalTime()),
		"kibana.alert.ancestors":                []any{map[string]any{"id": a.EventID, "type": "event", "index": "", "depth": ecs.Number("0")}},
		"kibana.alert.depth":                    ecs.Number("1"),
		"kibana.alert.status":                   "active",
		"kibana.alert.start":                    created,
		"kibana.alert.last_detected":            created,
		"kibana.alert.intended_timestamp":       created,
		"kibana.alert.workflow_status":          "open",
		"kibana.alert.workflow_tags":            []any{},
		"kibana.alert.workflow_assignee_ids":    []any{},
		"kibana.alert.reason":                   a.Reason(),
		"kibana.alert.severity":                 a.Severity,
		"kibana.alert.risk_score":               number(a.RiskScore),
		"kibana.alert.rule.execution.timestamp": created,
		"kibana.alert.rule.execution.type":      "manual",
	})
	a.detection(doc)
	a.rule(doc)
	a.debut(doc)
	return doc
}

// body returns the event's fields; of a threshold alert only the group's.
func (a *Alert) body() ecs.Document {
	if a.Threshold == nil {
		return maps.Clone(a.Event)
	}
	doc := ecs.Document{}
	for _, t := range a.Terms {
		nest(doc, t.Field, t.Value)
	}
	return doc
}

func nest(doc map[string]any, name, value string) {
	for {
		head, rest, found := strings.Cut(name, ".")
		if !found {
			doc[name] = value
			return
		}
		child, ok := doc[head].(map[string]any)
		if !ok {
			child = map[string]any{}
			doc[head] = child
		}
		doc, name = child, rest
	}
}

// originalTime is the source event's time. For a threshold that is the latest
// event of the group.
func (a *Alert) originalTime() time.Time {
	if a.Threshold != nil {
		return a.Last
	}
	return a.Time
}

// detection adds what the rule's detector found.
func (a *Alert) detection(doc ecs.Document) {
	switch {
	case a.Rule.Type == rule.NewTerms:
		values := make([]any, len(a.Terms))
		for i, t := range a.Terms {
			values[i] = t.Value
		}
		doc["kibana.alert.new_terms"] = values
	case a.Threshold != nil:
		terms := []any{}
		for _, t := range a.Terms {
			terms = append(terms, map[string]any{"field": t.Field, "value": t.Value})
		}
		cardinality := []any{}
		for _, c := range a.Threshold.Cardinality {
			cardinality = append(cardinality, map[string]any{"field": c.Field, "value": integer(c.Value)})
		}
		doc["kibana.alert.threshold_result"] = map[string]any{
			"terms": terms, "count": integer(a.Threshold.Count),
			"from": stamp(a.Threshold.From), "cardinality": cardinality,
		}
	}
	if a.Rule.BuildingBlock {
		doc["kibana.alert.building_block_type"] = "default"
	}
	if s := a.Suppression; s != nil {
		terms := []any{}
		for _, t := range s.Terms {
			terms = append(terms, map[string]any{"field": t.Field, "value": t.Value})
		}
		set(doc, map[string]any{
			"kibana.alert.instance.id":            s.Instance,
			"kibana.alert.suppression.terms":      terms,
			"kibana.alert.suppression.start":      stamp(s.Start),
			"kibana.alert.suppression.end":        stamp(s.End),
			"kibana.alert.suppression.docs_count": integer(s.Count),
		})
	}
}

// rule copies the rule's fields. Names that a rule does not have stay away.
func (a *Alert) rule(doc ecs.Document) {
	r := a.Rule
	set(doc, map[string]any{
		"kibana.alert.rule.rule_id":      r.ID,
		"kibana.alert.rule.uuid":         orText(r.ObjectID, r.ID),
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
		doc["kibana.alert.rule.parameters"] = r.Parameters
	}
}

// debut adds what Debut knows beyond Kibana's fields.
func (a *Alert) debut(doc ecs.Document) {
	debut := map[string]any{}
	if a.Principal != "" {
		debut["principal"] = a.Principal
	}
	about := map[string]any{"last_event": stamp(a.Last), "withheld": a.Withheld}
	if a.Threshold != nil {
		about["first_event_id"] = a.EventID
	}
	if a.Rule.Type == rule.NewTerms {
		about["history_coverage"] = number(a.Coverage)
		about["cold_baseline"] = a.Cold
		if !a.Previous.IsZero() {
			about["previously_seen"] = stamp(a.Previous)
		}
	}
	if len(a.Rule.InvestigationFields) > 0 {
		fields := map[string]any{}
		for _, f := range a.Rule.InvestigationFields {
			if v := a.Event.Values(f); len(v) > 0 {
				fields[f] = texts(v)
			}
		}
		about["investigation_fields"] = fields
	}
	debut["alert"] = about
	doc["debut"] = debut
}

func set(doc ecs.Document, fields map[string]any) { maps.Copy(doc, fields) }

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func integer(n int64) ecs.Number { return ecs.Number(strconv.FormatInt(n, 10)) }

func number(n float64) ecs.Number { return ecs.Number(strconv.FormatFloat(n, 'f', -1, 64)) }

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
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

// Reason returns one line that says what happened, from the fields that are there.
func (a *Alert) Reason() string {
	s := a.Summary()
	parts := []string{s.What}
	if s.Who != "" {
		parts = append(parts, "by "+s.Who)
	}
	if s.Where != "" {
		parts = append(parts, "from "+s.Where)
	}
	parts = append(parts, "created "+a.Severity+" alert "+a.Name)
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
}
