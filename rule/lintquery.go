package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// other is a value that no query names, as UTF-8 ends before it.
const other = "\xff"

// cloudTrail is what every event of CloudTrail has, and what is known besides: names
// of fields and their values, in turn. An empty value stands for none.
func cloudTrail(more ...string) query.Known {
	known := map[string][]string{
		"event.dataset": {"aws.cloudtrail"}, "data_stream.dataset": {"aws.cloudtrail"},
		"event.module": {"aws"}, "event.kind": {"event"}, "data_stream.type": {"logs"},
	}
	for pair := range slices.Chunk(more, 2) {
		known[pair[0]] = nil
		if pair[1] != "" {
			known[pair[0]] = pair[1:]
		}
	}
	return func(f *ecs.Field) ([]string, bool) {
		v, ok := known[f.Name]
		return v, ok
	}
}

// decide asks the query about events of CloudTrail with the given values.
func (l *linter) decide(more ...string) query.Truth { return l.expr.Decide(cloudTrail(more...)) }

// sessionsMatch reports whether the query can match events of role sessions with any
// name: not if it asks for another type of identity, for long-term keys, for sessions
// named in a certain way (an instance names its own i-…), or for calls that roles
// cannot make.
func (l *linter) sessionsMatch() bool {
	if l.expr == nil {
		return false
	}
	session := []string{
		"aws.cloudtrail.user_identity.type", "AssumedRole",
		"aws.cloudtrail.user_identity.access_key_id", "ASIA" + other,
		"user.id", "AROA" + other + ":" + other,
	}
	if l.decide(session...) == query.False {
		return false
	}
	actions := l.possible("event.action", l.literals()["event.action"], session...)
	return len(actions) == 0 || slices.ContainsFunc(actions, func(a string) bool { return a != "GetFederationToken" && a != "GetSessionToken" })
}

// query looks for events that the query could match.
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
	for _, name := range []string{"@timestamp", "event.created", "event.ingested"} {
		if slices.ContainsFunc(l.readFields(), func(f *ecs.Field) bool { return f.Name == name }) {
			l.warn("time-in-query", "query", "the query limits "+name+", which the window of the rule does too", "leave time to from, to and history_window_start")
		}
	}
}

func (l *linter) unreachable(message, hint string) {
	l.warn("unreachable-query", "query", message, hint)
}

// contradiction looks for conditions that no event meets all, by trying the values
// that the query itself names for a field, and one that it does not name: no other
// value makes a difference. First one field at a time, then provider and action
// together. Fields with several values can meet what contradicts itself, and
// patterns can meet in values that are not written down: both are left out.
func (l *linter) contradiction() {
	if len(l.Filters) > 0 { // they name values too
		return
	}
	values := l.literals()
	for _, f := range l.readFields() {
		if f.Array || f.Type != ecs.Keyword || values[f.Name] == nil {
			continue
		}
		if len(l.possible(f.Name, values[f.Name])) == 0 {
			l.unreachable(fmt.Sprintf("no value of %s can meet all conditions of the query", f.Name), "put or between values of one field")
			return
		}
	}
	if values["event.provider"] == nil || values["event.action"] == nil {
		return
	}
	actions := l.possible("event.action", values["event.action"])
	for _, p := range l.possible("event.provider", values["event.provider"]) {
		if len(l.possible("event.action", actions, "event.provider", p)) > 0 {
			return
		}
	}
	l.unreachable("no pair of event.provider and event.action can meet all conditions of the query", "check which action belongs to which provider")
}

// possible returns the values of a field with which the query may hold.
func (l *linter) possible(field string, values []string, more ...string) []string {
	var out []string
	for _, v := range values {
		if l.decide(append([]string{field, v}, more...)...) != query.False {
			out = append(out, v)
		}
	}
	return out
}

// literals returns for each field that the query compares with whole values only:
// these values, one other, and the empty text for none.
func (l *linter) literals() map[string][]string {
	out := make(map[string][]string)
	open := make(map[string]bool) // fields of patterns, ranges and the like
	var walk func(n kql.Node, field string)
	walk = func(n kql.Node, field string) {
		switch n := n.(type) {
		case *kql.And:
			for _, t := range n.Terms {
				walk(t, field)
			}
		case *kql.Or:
			for _, t := range n.Terms {
				walk(t, field)
			}
		case *kql.Not:
			walk(n.Term, field)
		case *kql.Match:
			walk(n.Value, n.Field.Text())
		case *kql.Range:
			open[n.Field.Text()] = true
		case *kql.Literal:
			switch {
			case n.Text() == "*" && n.Wildcard():
				out[field] = append(out[field], "", other)
			case n.Wildcard() || n.Text() == "" || field == "":
				open[field] = true
			default:
				out[field] = append(out[field], "", other, n.Text())
			}
		default: // nested groups say nothing of whole events
		}
	}
	walk(l.parsed, "")
	for f, values := range out {
		slices.Sort(values)
		if out[f] = slices.Compact(values); open[f] {
			delete(out, f)
		}
	}
	return out
}

// readFields returns the fields that the query reads, in order of name.
func (l *linter) readFields() []*ecs.Field {
	seen := make(map[*ecs.Field]bool)
	if l.expr != nil {
		l.expr.Fields(func(f *ecs.Field) { seen[f] = true })
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b *ecs.Field) int { return strings.Compare(a.Name, b.Name) })
}

// fields checks the names of fields wherever the rule has them.
func (l *linter) fields() {
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
	if l.Type == ESQL || l.Type == MachineLearning { // their alerts have fields of their own
		return
	}
	for _, u := range uses {
		if f := l.cat.Resolve(u.field); !f.Known {
			l.reportAt(query.Warning, "unknown-field", l.find(u.path, u.field), "no event of CloudTrail has the field "+u.field, didYouMean(l.cat.Suggest(u.field)))
		}
	}
	for _, f := range l.InvestigationFields {
		if !l.cat.Resolve(f).Known {
			l.reportAt(query.Info, "unknown-field", l.find("investigation_fields.field_names", f), "no event of CloudTrail has the field "+f, didYouMean(l.cat.Suggest(f)))
		}
	}
	for _, f := range l.readFields() {
		add("query", f.Name)
	}
	l.enriched("source.geo.", "a geo", uses)
	l.enriched("source.as.", "an ASN", uses)
}

// use is that a rule names a field at a path of its file.
type use struct{ path, field string }

// enriched names the fields that need a database, at the query if it is one of the
// places.
func (l *linter) enriched(prefix, kind string, uses []use) {
	var fields []string
	at := ""
	for _, u := range uses {
		if !strings.HasPrefix(u.field, prefix) {
			continue
		}
		fields = append(fields, u.field)
		if at == "" || u.path == "query" {
			at = u.path
		}
	}
	if fields == nil {
		return
	}
	slices.Sort(fields)
	l.info("needs-database", at, fmt.Sprintf("%s: %s database is needed", strings.Join(slices.Compact(fields), ", "), kind), "give one with --geoip FILE.mmdb")
}
