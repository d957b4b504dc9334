package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// other is a value that no query names.
const other = "\x00other"

// knownValues makes a [query.Known] of a few fields; all others are not known.
func knownValues(values map[string][]string) query.Known {
	return func(f *ecs.Field) ([]string, bool) {
		v, ok := values[f.Name]
		return v, ok
	}
}

// cloudTrail is what every event of CloudTrail has.
func cloudTrail() map[string][]string {
	return map[string][]string{
		"event.dataset": {"aws.cloudtrail"}, "data_stream.dataset": {"aws.cloudtrail"},
		"event.module": {"aws"}, "event.kind": {"event"}, "data_stream.type": {"logs"},
	}
}

// decide asks the query about events of CloudTrail with the given values.
func (l *linter) decide(more ...string) query.Truth {
	known := cloudTrail()
	for i := 0; i < len(more); i += 2 {
		known[more[i]] = []string{more[i+1]}
	}
	return l.expr.Decide(knownValues(known))
}

// sessionsMatch reports whether events of assumed roles can match the query.
func (l *linter) sessionsMatch() bool {
	return l.expr == nil || l.decide("aws.cloudtrail.user_identity.type", "AssumedRole") != query.False
}

// query compiles the query and looks for events that it could match.
func (l *linter) query() {
	if l.expr == nil {
		return
	}
	nothing := func(*ecs.Field) ([]string, bool) { return nil, false }
	switch {
	case l.expr.Decide(nothing) == query.False:
		l.unreachable("no event can match the query", "")
		return
	case l.decide() == query.False:
		l.warn("other-data-source", "query", "the query asks for events of another data source than CloudTrail", "the rule runs, but never matches")
		return
	}
	l.contradiction()
	if l.decide("event.provider", other, "event.action", other, "event.outcome", "success") == query.True &&
		l.decide("event.provider", other, "event.action", other, "event.outcome", "failure") == query.True {
		l.warn("matches-everything", "query", "the query matches every event of CloudTrail", "name a provider and an action")
	}
	for f := range l.readFields() {
		if f.Name == "@timestamp" || f.Name == "event.ingested" || f.Name == "event.created" {
			l.warn("time-in-query", "query", "the query limits "+f.Name+", which the window of the rule does too", "leave time to from, to and history_window_start")
		}
	}
}

func (l *linter) unreachable(message, hint string) {
	l.warn("unreachable-query", "query", message, hint)
}

// contradiction looks for two conditions that no event meets both, by trying the
// values that the query itself names: first one field at a time, then provider
// and action together.
func (l *linter) contradiction() {
	candidates := append(words(l.Query), other)
	for _, f := range []string{"event.provider", "event.action", "event.outcome", "aws.cloudtrail.user_identity.type", "cloud.region"} {
		if len(l.possible(candidates, f)) == 0 {
			l.unreachable(fmt.Sprintf("no value of %s can meet all conditions of the query", f), "use or between values of one field")
			return
		}
	}
	actions := l.possible(candidates, "event.action")
	for _, p := range l.possible(candidates, "event.provider") {
		if len(l.possible(actions, "event.action", "event.provider", p)) > 0 {
			return
		}
	}
	l.unreachable("no pair of event.provider and event.action can meet all conditions of the query", "check which action belongs to which provider")
}

// possible returns the candidates for a field with which the query may hold, or
// one empty text if it may hold for an event that has no value there.
func (l *linter) possible(candidates []string, field string, more ...string) []string {
	known := cloudTrail()
	for i := 0; i < len(more); i += 2 {
		known[more[i]] = []string{more[i+1]}
	}
	var out []string
	known[field] = nil
	if l.expr.Decide(knownValues(known)) != query.False {
		out = append(out, "")
	}
	for _, c := range candidates {
		known[field] = []string{c}
		if l.expr.Decide(knownValues(known)) != query.False {
			out = append(out, c)
		}
	}
	return out
}

// words returns the literals of a query, roughly: everything between quotes, and
// every run of other characters that can be part of a word. A * stands for nothing.
func words(q string) []string {
	var out []string
	for i := 0; i < len(q); {
		if q[i] == '"' {
			end := i + 1
			for end < len(q) && q[end] != '"' {
				if q[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end, len(q))
			out = append(out, unescape(q[i+1:end]))
			i = end + 1
			continue
		}
		end := i
		for end < len(q) && !strings.ContainsRune(" \t\r\n():<>\"{}", rune(q[end])) {
			if q[end] == '\\' {
				end++
			}
			end++
		}
		if end = min(end, len(q)); end > i {
			out = append(out, unescape(strings.ReplaceAll(q[i:end], "*", "")))
		}
		i = max(end, i+1)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unescape takes the backslash from escaped characters.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// readFields returns the fields that the query reads.
func (l *linter) readFields() map[*ecs.Field]bool {
	out := make(map[*ecs.Field]bool)
	if l.expr != nil {
		l.expr.Fields(func(f *ecs.Field) { out[f] = true })
	}
	return out
}

// fields checks the names of fields wherever the rule has them.
func (l *linter) fields() {
	type use struct{ path, field string }
	var uses []use
	add := func(path string, fields ...string) {
		for _, f := range fields {
			uses = append(uses, use{path, f})
		}
	}
	add("new_terms_fields", l.NewTermsFields...)
	add("threshold.field", l.ThresholdFields...)
	for _, c := range l.Cardinality {
		add("threshold.cardinality", c.Field)
	}
	if l.Suppression != nil {
		add("alert_suppression.group_by", l.Suppression.GroupBy...)
	}
	for _, m := range l.SeverityMapping {
		add("severity_mapping", m.Field)
	}
	for _, m := range l.RiskScoreMapping {
		add("risk_score_mapping", m.Field)
	}
	if l.RuleNameOverride != "" {
		add("rule_name_override", l.RuleNameOverride)
	}
	if l.TimestampOverride != "" {
		add("timestamp_override", l.TimestampOverride)
	}
	for _, u := range uses {
		if f := l.cat.Resolve(u.field); !f.Known {
			l.warn("unknown-field", u.path, "no event of CloudTrail has the field "+u.field, l.similar(u.field))
		}
	}
	for _, f := range l.InvestigationFields {
		if !l.cat.Resolve(f).Known {
			l.info("unknown-field", "investigation_fields.field_names", "no event of CloudTrail has the field "+f, l.similar(f))
		}
	}
	l.enriched(func(yield func(path, field string)) {
		for f := range l.readFields() {
			yield("query", f.Name)
		}
		for _, u := range uses {
			yield(u.path, u.field)
		}
	})
}

// enriched names the fields that need databases, once for each kind.
func (l *linter) enriched(uses func(yield func(path, field string))) {
	found := make(map[string][]string)
	at := make(map[string]string)
	uses(func(path, field string) {
		for prefix, kind := range map[string]string{"source.geo.": "a geo", "source.as.": "an ASN"} {
			if strings.HasPrefix(field, prefix) && !slices.Contains(found[kind], field) {
				found[kind] = append(found[kind], field)
				if at[kind] == "" || path == "query" {
					at[kind] = path
				}
			}
		}
	})
	for kind, fields := range found {
		slices.Sort(fields)
		l.info("needs-database", at[kind], fmt.Sprintf("%s needs %s database", strings.Join(fields, ", "), kind), "give one with --geoip FILE.mmdb")
	}
}

// similar names a field of the mapping that the name given may have meant.
func (l *linter) similar(name string) string { return "" }
