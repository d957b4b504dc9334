package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

func stamp(t time.Time) string { return t.UTC().Format(ecs.TimeFormat) }

// Document returns the alert as Kibana stores alerts: the event's ECS fields,
// nested, with the kibana.alert.* fields as dotted names beside them. now is the
// time of creation, @timestamp; the event's own time is
// kibana.alert.original_time. Debut's own fields are under debut.*. The document
// belongs to the caller, but shares parts with a.
//
// kibana.version and kibana.alert.url are absent: no Kibana made the alert, and none
// shows it. So are fields of what an alert has not gone through yet: a maintenance
// window, a change of its workflow status.
func (a *Alert) Document(now time.Time) ecs.Document {
	doc := a.body()
	original(doc)
	created := stamp(now)
	maps.Copy(doc, map[string]any{
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
		"kibana.alert.rule.execution.uuid":      execution(a.Rule.ID, created),
	})
	a.detection(doc)
	a.rule(doc)
	a.debut(doc)
	return doc
}

// execution names the run of a rule: what one run found has one name, and a run that
// is repeated with the same clock has it again.
func execution(ruleID, created string) string {
	sum := sha256.Sum256([]byte(created + " " + ruleID))
	s := hex.EncodeToString(sum[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// body returns the event's fields; of a threshold alert only the group's. What an
// event says of alerts is left out: only the alert speaks under kibana.
func (a *Alert) body() ecs.Document {
	if a.Threshold != nil {
		doc := ecs.Document{}
		for _, t := range a.Terms {
			doc.Set(t.Field, t.Value)
		}
		return doc
	}
	doc := maps.Clone(a.Event)
	dotted := false
	for name := range doc {
		if name == "kibana" || strings.HasPrefix(name, "kibana.") {
			delete(doc, name)
		} else if strings.Contains(name, ".") {
			dotted = true
		}
	}
	if dotted { // a document may spell objects with dots; alerts do not
		return nest(doc)
	}
	return doc
}

// nest returns a copy in which dotted names are objects in each other.
func nest(doc ecs.Document) ecs.Document {
	out := ecs.Document{}
	for name, v := range doc {
		if !strings.Contains(name, ".") {
			out[name] = clone(v)
		}
	}
	for name, v := range doc {
		if strings.Contains(name, ".") {
			out.Set(name, v)
		}
	}
	return out
}

// clone copies objects, which get new members.
func clone(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(m))
	for k, c := range m {
		out[k] = clone(c)
	}
	return out
}

// original keeps what the alert changes of the event: it becomes a signal.
func original(doc ecs.Document) {
	for _, name := range []string{"event", "data_stream"} {
		object, _ := doc[name].(map[string]any)
		for k, v := range object {
			doc["kibana.alert.original_"+name+"."+k] = v
		}
	}
	event, _ := doc["event"].(map[string]any)
	signal := map[string]any{}
	maps.Copy(signal, event)
	signal["kind"] = "signal"
	doc["event"] = signal
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
		terms := make([]any, len(a.Terms))
		for i, t := range a.Terms {
			terms[i] = map[string]any{"field": t.Field, "value": t.Value}
		}
		cardinality := make([]any, len(a.Threshold.Cardinality))
		for i, c := range a.Threshold.Cardinality {
			cardinality[i] = map[string]any{"field": c.Field, "value": integer(c.Value)}
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
		terms := make([]any, len(s.Terms))
		for i, t := range s.Terms {
			var value any // null without a value
			switch len(t.Values) {
			case 0:
			case 1:
				value = t.Values[0]
			default:
				value = texts(t.Values)
			}
			terms[i] = map[string]any{"field": t.Field, "value": value}
		}
		maps.Copy(doc, map[string]any{
			"kibana.alert.instance.id":            s.Instance,
			"kibana.alert.suppression.terms":      terms,
			"kibana.alert.suppression.start":      stamp(s.Start),
			"kibana.alert.suppression.end":        stamp(s.End),
			"kibana.alert.suppression.docs_count": integer(s.Count),
		})
	}
}

// debut adds what Debut knows beyond Kibana's fields.
func (a *Alert) debut(doc ecs.Document) {
	about := map[string]any{"last_event": stamp(a.Last), "withheld": a.Withheld}
	if a.Threshold != nil {
		about["first_event_id"] = a.EventID
	}
	if a.Conflict {
		about["unequal_copies"] = true
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
	debut := map[string]any{"alert": about}
	if a.Principal != "" {
		debut["principal"] = a.Principal
	}
	doc["debut"] = debut
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func integer(n int64) ecs.Number { return ecs.Number(strconv.FormatInt(n, 10)) }

func number(n float64) ecs.Number { return ecs.Number(strconv.FormatFloat(n, 'f', -1, 64)) }
