package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/query"
)

var ruleTypes = map[Type]bool{ //nolint:gochecknoglobals // a constant table
	Query: true, SavedQuery: true, NewTerms: true, Threshold: true,
	EQL: true, ESQL: true, ThreatMatch: true, MachineLearning: true,
}

// noEffect are the keys that detection does not read, with what they hold. They
// stay in Parameters.
var noEffect = map[string]kind{ //nolint:gochecknoglobals // a constant table
	"actions": kindList, "response_actions": kindList, "meta": kindObject, "namespace": kindString,
	"output_index": kindString, "related_integrations": kindList, "required_fields": kindList, "threat_mappings": kindList,
}

// bookkept are keys of exported rules that Kibana itself writes and nobody reads.
var bookkept = []string{ //nolint:gochecknoglobals // a constant table
	"rule_source", "execution_summary", "outcome", "alias_target_id", "alias_purpose", "consumer", "rule_type_id",
}

// decodeRule reads a rule, in TOML's or the API's form. It always returns one;
// whether it is sound, the reporter knows.
func decodeRule(rep *reporter, n, metadata, transform *node) *Rule {
	normalise(n)
	rep.ruleID = n.str("rule_id")
	o := newObject(rep, n, "")
	r := &Rule{
		src: rep.src, tree: n,
		File: rep.src.name, Line: rep.src.line(n.off),
		ID: o.str("rule_id"), ObjectID: o.str("id"),
		Name: o.required("name"), Description: o.required("description"),
	}
	if r.ID == "" {
		r.ID = derivedID(r.Name)
		rep.ruleID = r.ID
		o.reportAt(query.Warning, "rule_id", "missing-rule-id",
			"is missing; "+r.ID+", made from the name, stands in for it", "give the rule an id of its own, so that renaming it keeps its history")
	}
	r.Type = Type(o.required("type"))
	if r.Type != "" && !ruleTypes[r.Type] {
		o.errorAt("type", "bad-value", fmt.Sprintf("is %q, which is no rule type", r.Type),
			"one of query, saved_query, new_terms, threshold, eql, esql, threat_match, machine_learning")
	}
	decodeCommon(o, r)
	decodeSchedule(o, r)
	decodeOverrides(o, r)
	decodeQuery(o, r)
	decodeTyped(o, r)
	decodeLinks(o, r)
	decodeThrottle(o)
	for _, name := range slices.Sorted(maps.Keys(noEffect)) {
		o.typed(name, noEffect[name])
	}
	o.ignore(bookkept...)
	o.unknown()
	if metadata != nil {
		r.Metadata, _ = metadata.value().(map[string]any)
	}
	if transform != nil && transform.kind == kindObject {
		r.Transform, _ = transform.value().(map[string]any)
		r.Note = fillNote(r.Note, r.Transform)
	}
	r.Parameters = parameters(n, r)
	return r
}

// normalise turns the repository's TOML spellings into the API's.
func normalise(n *node) {
	if nt := n.get("new_terms"); nt != nil && nt.kind == kindObject && !n.has("new_terms_fields") {
		if v := nt.get("value"); v != nil {
			n.set("new_terms_fields", v.off, v)
		}
		if h := nt.get("history_window_start"); h != nil && h.kind == kindList && len(h.list) > 0 {
			h = h.list[0].get("value") // only the first counts
			if h != nil && !n.has("history_window_start") {
				n.set("history_window_start", h.off, h)
			}
		}
		n.remove("new_terms")
	}
	if field := n.get("threshold").get("field"); field != nil && field.kind == kindString {
		list := &node{kind: kindList, off: field.off, end: field.end}
		if field.text != "" {
			list.list = []*node{field}
		}
		n.get("threshold").set("field", field.off, list)
	}
	if m := n.get("threat_mappings"); m != nil && !n.has("threat") {
		threat := &node{kind: kindList, off: m.off, end: m.end}
		for _, e := range m.list {
			if t := e.get("threat"); t != nil {
				threat.list = append(threat.list, t.list...)
			}
		}
		n.set("threat", m.off, threat)
	}
	if threat := n.get("threat"); threat != nil {
		for _, t := range threat.list {
			if t.kind == kindObject && !t.has("technique") {
				t.set("technique", -1, &node{kind: kindList, off: -1, end: -1})
			}
		}
	}
}

// derivedID makes an id in the form of a UUID that depends on the name only.
func derivedID(name string) string {
	sum := sha256.Sum256([]byte("debut rule\x00" + name))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func decodeCommon(o object, r *Rule) {
	if !o.n.has("risk_score") {
		o.ignore("risk_score")
		o.errorAt("risk_score", "missing-field", "is required", "")
	} else {
		r.RiskScore = int(o.integer("risk_score", 0, 0, 100))
	}
	r.Severity = o.required("severity")
	if r.Severity != "" {
		o.oneOf("severity", "", "low", "medium", "high", "critical")
	}
	r.Enabled, r.EnabledSet = o.boolean("enabled"), o.n.has("enabled")
	r.MaxSignals = int(o.integer("max_signals", 100, 1, maxCount))
	r.Version = int(o.integer("version", 1, 1, maxCount))
	r.Revision = int(o.integer("revision", 0, 0, maxCount))
	r.Immutable = o.boolean("immutable")
	r.Tags, r.Author = o.strs("tags"), o.strs("author")
	r.References, r.FalsePositives = o.strs("references"), o.strs("false_positives")
	r.License, r.Note, r.Setup = o.str("license"), o.str("note"), o.str("setup")
	r.CreatedAt, r.CreatedBy = o.str("created_at"), o.str("created_by")
	r.UpdatedAt, r.UpdatedBy = o.str("updated_at"), o.str("updated_by")
	if o.n.has("building_block_type") {
		r.BuildingBlock = o.oneOf("building_block_type", "", "default") == "default"
	}
	o.ignore("building_block_type")
	r.TimelineID, r.TimelineTitle = o.str("timeline_id"), o.str("timeline_title")
	if (r.TimelineID == "") != (r.TimelineTitle == "") {
		o.errorAt("timeline_id", "timeline-pair", "and timeline_title need each other", "give both or none")
	} else if r.TimelineID == "" && (o.n.has("timeline_id") || o.n.has("timeline_title")) {
		o.errorAt("timeline_id", "timeline-pair", "and timeline_title must not be empty", "give both or none")
	}
	if f := o.get("investigation_fields"); f != nil {
		switch f.kind {
		case kindList: // how early releases wrote it
			r.InvestigationFields = o.strs("investigation_fields")
		default:
			if c, ok := o.child("investigation_fields"); ok {
				r.InvestigationFields = c.strs("field_names")
				if v := c.n.get("field_names"); v == nil || v.kind == kindList && len(v.list) == 0 {
					c.errorAt("field_names", "missing-field", "is required and must not be empty", "leave investigation_fields out for none")
				}
				c.unknown()
			}
		}
	}
}

func decodeOverrides(o object, r *Rule) {
	r.TimestampOverride = o.str("timestamp_override")
	r.TimestampOverrideFallbackDisabled = o.boolean("timestamp_override_fallback_disabled")
	r.RuleNameOverride = o.str("rule_name_override")
	for _, m := range o.children("severity_mapping") {
		r.SeverityMapping = append(r.SeverityMapping, SeverityMapping{
			Field: m.required("field"), Operator: m.oneOf("operator", "equals", "equals"), Value: m.scalar("value"),
			Severity: m.oneOf("severity", "", "low", "medium", "high", "critical"),
		})
		if !m.n.has("severity") {
			m.errorAt("severity", "missing-field", "is required", "")
		}
		m.unknown()
	}
	for _, m := range o.children("risk_score_mapping") {
		r.RiskScoreMapping = append(r.RiskScoreMapping, RiskScoreMapping{
			Field: m.required("field"), Operator: m.oneOf("operator", "equals", "equals"), Value: m.scalar("value"),
		})
		m.integer("risk_score", 0, 0, 100)
		m.unknown()
	}
}

// scalar returns a string, number or boolean as text.
func (o object) scalar(name string) string {
	v := o.get(name)
	if v == nil {
		return ""
	}
	if v.kind == kindList || v.kind == kindObject {
		o.errorAt(name, "wrong-type", fmt.Sprintf("is %s, not a string", v.kind), "")
	}
	return v.text
}

func decodeQuery(o object, r *Rule) {
	languages := map[Type][]string{EQL: {"eql"}, ESQL: {"esql"}, MachineLearning: {""}}
	allowed := languages[r.Type]
	if allowed == nil {
		allowed = []string{"kuery", "lucene"}
	}
	r.Language = o.oneOf("language", allowed[0], allowed...)
	r.Index, r.DataViewID = o.strs("index"), o.str("data_view_id")
	r.EventCategoryOverride = o.str("event_category_override")
	r.TiebreakerField, r.TimestampField = o.str("tiebreaker_field"), o.str("timestamp_field")
	if f := o.typed("filters", kindList); f != nil {
		o.children("filters") // says what is no table
		r.Filters, _ = f.value().([]any)
	}
	r.Query = o.str("query")
	if q := o.n.get("query"); q != nil && q.kind == kindString {
		at := textOffset(o.r.src.data[q.off:q.end], 0)
		r.QueryLine, r.QueryCol, _ = o.r.src.position(q.off + at)
	} else if !o.n.has("query") && r.Type != Query && r.Type != SavedQuery && r.Type != MachineLearning && ruleTypes[r.Type] {
		o.errorAt("query", "missing-field", "is required for a rule of type "+string(r.Type), "")
	}
	if r.Language == "kuery" && o.n.str("query") == r.Query {
		n, diags := r.parseQuery()
		r.parsed = n
		for _, d := range diags {
			o.r.add(d)
		}
	}
	if r.Type == ESQL {
		for _, name := range []string{"index", "filters"} {
			if v := o.n.get(name); v != nil && len(v.list) > 0 {
				o.errorAt(name, "bad-value", "has no place in an esql rule", "the query's FROM names the indices")
			}
		}
	}
	if len(r.Index) > 0 && r.DataViewID != "" {
		o.reportAt(query.Warning, "data_view_id", "index-and-data-view", "and index are both given; data_view_id would win in Kibana", "keep one of them")
	}
}

func decodeTyped(o object, r *Rule) {
	o.ignore("saved_id")
	switch r.Type {
	case SavedQuery:
		id := o.required("saved_id")
		if r.Query != "" {
			o.reportAt(query.Warning, "saved_id", "saved-query", fmt.Sprintf("names the saved query %s, which is not in the file; the query of the rule itself is used", id), "")
		}
	case NewTerms:
		decodeNewTerms(o, r)
	case Threshold:
		decodeThreshold(o, r)
	case ThreatMatch:
		o.required("threat_query")
		o.strs("threat_index")
		o.typed("threat_filters", kindList)
		o.oneOf("threat_language", "kuery", "kuery", "lucene")
		o.str("threat_indicator_path")
		decodeThreatMapping(o)
		if o.n.has("concurrent_searches") != o.n.has("items_per_search") {
			o.errorAt("concurrent_searches", "searches-pair", "and items_per_search need each other", "give both or none")
		}
		o.integer("concurrent_searches", 1, 1, maxCount)
		o.integer("items_per_search", 1, 1, maxCount)
	case MachineLearning:
		if !o.n.has("anomaly_threshold") {
			o.errorAt("anomaly_threshold", "missing-field", "is required", "")
		}
		o.integer("anomaly_threshold", 0, 0, 100)
		if !o.n.has("machine_learning_job_id") {
			o.errorAt("machine_learning_job_id", "missing-field", "is required", "")
		}
		o.strOrStrs("machine_learning_job_id")
	default:
	}
	decodeSuppression(o, r)
}

// decodeThreatMapping checks which fields an indicator is compared with.
func decodeThreatMapping(o object) {
	groups := o.children("threat_mapping")
	if m := o.n.get("threat_mapping"); m == nil || m.kind == kindList && len(m.list) == 0 {
		o.errorAt("threat_mapping", "missing-field", "is required and must not be empty", "")
	}
	for _, g := range groups {
		for _, e := range g.children("entries") {
			e.required("field")
			e.required("value")
			e.oneOf("type", "mapping", "mapping")
			e.boolean("negate")
			e.unknown()
		}
		if m := g.n.get("entries"); m == nil || m.kind == kindList && len(m.list) == 0 {
			g.errorAt("entries", "missing-field", "is required and must not be empty", "")
		}
	}
}

func decodeNewTerms(o object, r *Rule) {
	r.NewTermsFields = o.strs("new_terms_fields")
	switch n := len(r.NewTermsFields); {
	case n < 1 && !o.n.has("new_terms_fields"):
		o.errorAt("new_terms_fields", "missing-field", "is required", "")
	case n < 1 || n > 3:
		o.errorAt("new_terms_fields", "out-of-range", fmt.Sprintf("names %d fields; it must be 1 to 3", n), "")
	}
	for i, f := range r.NewTermsFields {
		if strings.TrimSpace(f) == "" {
			o.errorAt("new_terms_fields", "bad-value", "holds an empty name", "")
		} else if slices.Contains(r.NewTermsFields[:i], f) {
			o.errorAt("new_terms_fields", "bad-value", "names "+f+" twice", "")
		}
	}
	r.HistoryWindowStart = o.required("history_window_start")
	if r.HistoryWindowStart == "" {
		return
	}
	start, ok := o.dateMath("history_window_start", r.HistoryWindowStart)
	from, err := parseDateMath(r.From)
	if !ok || err != nil || start.Relative() != from.Relative() {
		return
	}
	if !start.At(reference()).Before(from.At(reference())) {
		o.errorAt("history_window_start", "history-window",
			fmt.Sprintf("%s is not earlier than from %s: there would be no history to compare with", r.HistoryWindowStart, r.From),
			"for a week of history write now-7d")
	}
}

func decodeThreshold(o object, r *Rule) {
	t, ok := o.child("threshold")
	if !ok {
		if !o.n.has("threshold") {
			o.errorAt("threshold", "missing-field", "is required for a rule of type threshold", "")
		}
		return
	}
	r.ThresholdFields = slices.DeleteFunc(t.strs("field"), func(s string) bool { return s == "" })
	if !t.n.has("value") {
		t.errorAt("value", "missing-field", "is required", "")
	}
	r.ThresholdValue = t.integer("value", 1, 1, maxCount)
	for _, c := range t.children("cardinality") {
		r.Cardinality = append(r.Cardinality, Cardinality{Field: c.required("field"), Value: c.integer("value", 0, 0, maxCount)})
		if !c.n.has("value") {
			c.errorAt("value", "missing-field", "is required", "")
		}
		if field := c.n.str("field"); slices.Contains(r.ThresholdFields, field) {
			c.errorAt("field", "cardinality-is-group-field", field+" is also a field of the group, where it has one value always", "count another field")
		}
		c.unknown()
	}
	t.unknown()
}

func decodeSuppression(o object, r *Rule) {
	s, ok := o.child("alert_suppression")
	if !ok {
		return
	}
	r.Suppression = &Suppression{
		GroupBy:               s.strs("group_by"),
		MissingFieldsStrategy: s.oneOf("missing_fields_strategy", "suppress", "suppress", "doNotSuppress"),
	}
	if d, ok := s.child("duration"); ok {
		value := d.integer("value", 1, 1, maxCount)
		unit := d.oneOf("unit", "", "s", "m", "h")
		for _, name := range []string{"value", "unit"} {
			if !d.n.has(name) {
				d.errorAt(name, "missing-field", "is required", "")
			}
		}
		if d.n.has("unit") {
			var err error
			if r.Suppression.Duration, err = parseInterval(strconv.FormatInt(value, 10) + unit); err != nil {
				d.errorAt("value", "bad-duration", "is wrong: "+err.Error(), "")
			}
		}
		d.unknown()
	} else if r.Type == Threshold {
		s.errorAt("duration", "missing-field", "is required: a threshold rule suppresses for a time", "")
	}
	if n := len(r.Suppression.GroupBy); r.Type != Threshold && (n < 1 || n > 3) {
		s.errorAt("group_by", "out-of-range", fmt.Sprintf("names %d fields; it must be 1 to 3", n), "")
	} else if r.Type == Threshold && n > 0 {
		s.reportAt(query.Warning, "group_by", "unknown-key", "has no effect: a threshold rule is suppressed by its own fields", "remove it")
	}
	s.unknown()
}

// decodeThrottle checks the old, rule-level way to limit notifications.
func decodeThrottle(o object) {
	switch s := o.str("throttle"); s {
	case "", "no_actions", "rule":
	default:
		if _, err := parseInterval(s); err != nil {
			o.errorAt("throttle", "bad-duration", fmt.Sprintf("is %q, not no_actions, rule or a duration such as 1h", s), "")
		}
	}
}

// checkThreatMappings checks what is the repository's own: several versions of one
// framework. The entries have become threat.
func checkThreatMappings(o object) {
	seen := make(map[[2]string]bool)
	for _, m := range o.children("threat_mappings") {
		framework, version := m.n.str("framework"), m.scalar("version")
		if key := [2]string{framework, version}; seen[key] {
			m.errorAt("framework", "bad-value", fmt.Sprintf("%s %s occurs twice", framework, version), "put its entries together")
		} else {
			seen[key] = true
		}
		for _, t := range m.children("threat") {
			if inner := t.n.str("framework"); inner != "" && inner != framework {
				t.errorAt("framework", "bad-value", fmt.Sprintf("is %q inside of %q", inner, framework), "")
			}
		}
	}
}

func decodeLinks(o object, r *Rule) {
	checkThreatMappings(o)
	for _, t := range o.children("threat") {
		threat := Threat{Framework: t.required("framework")}
		if tactic, ok := t.child("tactic"); ok {
			threat.Tactic = decodeTechnique(tactic)
		} else if !t.n.has("tactic") {
			t.errorAt("tactic", "missing-field", "is required", "")
		}
		for _, e := range t.children("technique") {
			threat.Technique = append(threat.Technique, decodeTechnique(e))
		}
		t.unknown()
		r.Threat = append(r.Threat, threat)
	}
	for _, e := range o.children("exceptions_list") {
		r.ExceptionsList = append(r.ExceptionsList, ListRef{
			ID: e.str("id"), ListID: e.required("list_id"), Type: e.str("type"),
			NamespaceType: e.oneOf("namespace_type", "single", "single", "agnostic"),
		})
		e.unknown()
	}
}

func decodeTechnique(o object) Technique {
	t := Technique{ID: o.required("id"), Name: o.required("name"), Reference: o.str("reference")}
	for _, s := range o.children("subtechnique") {
		t.Subtechnique = append(t.Subtechnique, decodeTechnique(s))
	}
	o.unknown()
	return t
}

var placeholder = regexp.MustCompile(`\$(?:\{((?:osquery|investigate)_\d+)\}|((?:osquery|investigate)_\d+))`)
