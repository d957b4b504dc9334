package rule

import (
	"encoding/json"
	"strconv"
	"strings"
)

// parameters returns the whole rule in the API's spelling, with every default
// that Kibana writes when it stores a rule.
func parameters(n *node, r *Rule) map[string]any {
	p, _ := n.value().(map[string]any)
	for name, v := range map[string]any{
		"rule_id": r.ID, "enabled": false, "interval": "5m", "from": r.From, "to": r.To,
		"max_signals": int64(100), "version": int64(1), "revision": int64(0), "immutable": false,
		"setup": "", "output_index": "", "rule_source": map[string]any{"type": "internal"},
	} {
		if p[name] == nil {
			p[name] = v
		}
	}
	for _, name := range []string{
		"tags", "author", "references", "false_positives", "risk_score_mapping", "severity_mapping", "threat",
		"related_integrations", "required_fields", "exceptions_list", "actions",
	} {
		if p[name] == nil {
			p[name] = []any{}
		}
	}
	if r.Language != "" && p["language"] == nil {
		p["language"] = r.Language
	}
	if r.Type == Query && p["query"] == nil {
		p["query"] = ""
	}
	if r.Transform != nil {
		p["note"] = r.Note
	}
	return p
}

// fillNote puts the entries of [transform] where the note names them, as
// $osquery_0 or ${investigate_1}, in the form that Kibana's Markdown plugins read.
func fillNote(note string, transform map[string]any) string {
	return placeholder.ReplaceAllStringFunc(note, func(s string) string {
		name, index, _ := strings.Cut(strings.Trim(s, "${}"), "_")
		entries, _ := transform[name].([]any)
		i, err := strconv.Atoi(index)
		if err != nil || i >= len(entries) {
			return s
		}
		text, err := json.Marshal(entries[i])
		if err != nil {
			return s
		}
		return "!{" + name + string(text) + "}"
	})
}
