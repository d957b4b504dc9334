package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// An Alert is one finding of one rule, with the event that speaks for it. It is
// read-only once made.
type Alert struct {
	// UUID is a hash of the rule's id, the values of the group and the first
	// event. Reading the same records again gives the same UUID, whatever the
	// order; so does re-importing the rule.
	UUID string
	Rule *rule.Rule

	// After overrides.
	Name      string
	Severity  string
	RiskScore float64

	Time     time.Time // of the first event
	Last     time.Time // of the last event of the episode or window
	Previous time.Time // when the combination had last been seen before; zero: never

	Terms []Term // the new terms, or the threshold's group
	// Principal is the stable principal of the event; of a threshold's alert that
	// of all its events, empty if they have several.
	Principal string

	Threshold   *ThresholdResult // threshold rules only
	Suppression *Suppression     // alerts with a suppression group only
	Withheld    bool             // over max_signals: exists, notifies nobody
	// Conflict: copies of the event (of a threshold, of one of its events) were read
	// that are not equal. The one with the smallest hash was taken.
	Conflict bool
	// Coverage is the covered share of the history window, 0 to 1; Cold: too
	// little for "first time" to mean much. New-terms rules only.
	Coverage float64
	Cold     bool

	// Event is the whole ECS document of the event.
	Event   ecs.Document
	EventID string // eventID as in the record, a hash of the content if it has none
}

// A Term is a field with the value that made the alert.
type Term struct{ Field, Value string }

// ThresholdResult is what a threshold rule counted.
type ThresholdResult struct {
	Count       int64
	From        time.Time
	Cardinality []Cardinality
}

// Cardinality is a count of distinct values.
type Cardinality struct {
	Field string
	Value int64
}

// Suppression tells which alerts this one stands for.
type Suppression struct {
	Terms      []SuppressionTerm
	Instance   string
	Start, End time.Time
	Count      int64 // this one not counted
}

// A SuppressionTerm is a field with its values, of which all must be the same; none
// if the event does not have it.
type SuppressionTerm struct {
	Field  string
	Values []string
}

// New makes the alert of a finding. ev is the finding's event; coverage is the
// covered share of its history window.
func New(r *detect.Rule, s *detect.Signal, ev ecs.Event, coverage float64, cold bool) *Alert {
	doc := ev.Document()
	a := &Alert{
		Rule: r.Rule, Name: r.Name, Severity: r.Severity, RiskScore: float64(r.RiskScore),
		Time: at(s.Time), Last: at(s.Last), Withheld: s.Withheld,
		Coverage: coverage, Cold: cold, Event: doc, Conflict: s.Conflict,
		EventID: cmp.Or(first(doc.Values("event.id")), s.ID.String()),
	}
	if s.Principal != (ecs.ID{}) {
		a.Principal = first(doc.Values("debut.principal"))
	}
	if s.Recurs {
		a.Previous = at(s.Previous)
	}
	a.Terms = terms(r, s, ev)
	a.UUID = uuid(r.Rule.ID, a.Terms, s.ID)
	if r.Type == rule.Threshold {
		a.Threshold = &ThresholdResult{Count: s.Count, From: a.Time}
		if len(r.Cardinality) > 0 {
			a.Threshold.Cardinality = []Cardinality{{r.Cardinality[0].Field, s.Distinct}}
		}
	}
	if s.Instance != (ecs.ID{}) {
		a.Suppression = a.suppression(s)
	}
	a.override()
	return a
}

// suppression is that of the signal's group, which of a threshold is its own.
func (a *Alert) suppression(s *detect.Signal) *Suppression {
	out := &Suppression{Instance: s.Instance.String(), Start: a.Time, End: at(s.SuppressedEnd), Count: s.Suppressed}
	if a.Threshold != nil {
		for _, t := range a.Terms {
			out.Terms = append(out.Terms, SuppressionTerm{t.Field, []string{t.Value}})
		}
		return out
	}
	for _, f := range a.Rule.Suppression.GroupBy {
		values := a.Event.Values(f)
		slices.Sort(values)
		out.Terms = append(out.Terms, SuppressionTerm{f, values})
	}
	return out
}

func at(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// terms finds the combination that the finding's group stands for: an event with
// arrays has several.
func terms(r *detect.Rule, s *detect.Signal, ev ecs.Event) []Term {
	values := r.Combination(ev, s.Group)
	out := make([]Term, len(values))
	for i, v := range values {
		out[i] = Term{r.TermFields[i].Name, v}
	}
	return out
}

// UUID returns the UUID that the alert of a finding has, given the finding's event.
func UUID(r *detect.Rule, h *detect.Hit, ev ecs.Event) string {
	return uuid(r.Rule.ID, terms(r, &detect.Signal{Hit: *h}, ev), h.ID)
}

// uuid hashes length-prefixed parts, so that no two lists of parts run together.
func uuid(ruleID string, terms []Term, event ecs.ID) string {
	var b []byte
	part := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	part(ruleID)
	b = binary.AppendUvarint(b, uint64(len(terms)))
	for _, t := range terms {
		part(t.Value)
	}
	part(string(event[:]))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// severities in rising order.
var severities = []string{"low", "medium", "high", "critical"} //nolint:gochecknoglobals // a constant list

// SeverityRank returns 0 for low to 3 for critical, and -1 for anything else.
func SeverityRank(s string) int { return slices.Index(severities, s) }

// override applies the rule's overrides as Kibana does: the highest severity whose
// mapping matches wins; only the first risk mapping counts; a name must be a single
// string. A threshold alert has only its group fields to override from.
func (a *Alert) override() {
	best := -1
	for _, m := range a.Rule.SeverityMapping {
		rank := SeverityRank(m.Severity)
		if rank > best && slices.ContainsFunc(a.values(m.Field), func(v string) bool { return sameValue(m.Field, v, m.Value) }) {
			best, a.Severity = rank, m.Severity
		}
	}
	if len(a.Rule.RiskScoreMapping) > 0 {
		score := math.Inf(-1)
		for _, v := range a.values(a.Rule.RiskScoreMapping[0].Field) {
			if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) {
				score = max(score, n)
			}
		}
		if score >= 0 && score <= 100 {
			a.RiskScore = score
		}
	}
	if f := a.Rule.RuleNameOverride; f != "" {
		if v, ok := a.single(f); ok {
			a.Name = v
		}
	}
}

// sameValue compares as text, except event.severity, which is a number.
func sameValue(field, have, want string) bool {
	if field == "event.severity" {
		h, herr := strconv.ParseFloat(have, 64)
		w, werr := strconv.ParseFloat(want, 64)
		return herr == nil && werr == nil && h == w
	}
	return have == want
}

// single returns the value of a field that is one string, not a list or a number.
func (a *Alert) single(field string) (string, bool) {
	v := a.values(field)
	if len(v) != 1 || v[0] == "" {
		return "", false
	}
	if a.Rule.Type == rule.Threshold {
		return v[0], true
	}
	_, ok := member(a.Event, field).(string)
	return v[0], ok
}

// member returns what stands at a dotted name, however its dots are spelt; nil if
// that is nothing, or lies within a list.
func member(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		if child, ok := m[name[:i]].(map[string]any); ok {
			if v := member(child, name[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

func (a *Alert) values(field string) []string {
	if a.Rule.Type != rule.Threshold {
		return a.Event.Values(field)
	}
	for _, t := range a.Terms {
		if t.Field == field {
			return []string{t.Value}
		}
	}
	return nil
}
