package report

import (
	"cmp"
	"strconv"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/rule"
)

const (
	// maxCards is how many alerts a document for people tells in full; more would
	// open in no browser and be read by nobody.
	maxCards  = 1000
	maxValues = 20 // of one field
)

// A card is an alert with its details, for Markdown and HTML. Nothing in it is
// escaped yet.
type card struct {
	line
	N                                         int
	Principal, When, History, Counted, Errors string
	Terms                                     []alert.Term
	Targets                                   []string
	Evidence                                  []pair
	Rule                                      *rule.Rule
	RuleName, RuleID, Risk                    string
	Threats                                   []string
	EventID, UUID                             string
	Found                                     string // by an investigation
	Guide                                     int    // number of the card that has the rule's guide
}

func (s *Scan) cards(alerts []*alert.Alert) []card {
	out := make([]card, len(alerts))
	guides := map[*rule.Rule]int{}
	for i, a := range alerts {
		if guides[a.Rule] == 0 {
			guides[a.Rule] = i + 1
		}
		out[i] = cardOf(a, i+1, guides[a.Rule])
		if r := s.triageOf(a); r != nil {
			out[i].Verdict, out[i].Found = s.verdictCell(a), clip(r.Summary, maxSummary)
		}
	}
	return out
}

func cardOf(a *alert.Alert, n, guide int) card {
	c := card{
		line: lineOf(a), N: n, Guide: guide, Principal: cmp.Or(a.Principal, a.Summary().Who),
		When: when(a), History: history(a), Counted: counted(a), Errors: firstOf(a, "aws.cloudtrail.error_message"),
		Targets: few(a.Targets(), maxValue), Rule: a.Rule, RuleName: ruleName(a), RuleID: clip(a.Rule.ID, maxName),
		Risk: strconv.FormatFloat(a.RiskScore, 'f', -1, 64), EventID: a.EventID, UUID: a.UUID,
	}
	c.Principal, c.EventID, c.Errors = clip(c.Principal, maxName), clip(c.EventID, maxName), clip(c.Errors, maxValue)
	for _, t := range a.Terms {
		c.Terms = append(c.Terms, alert.Term{Field: clip(t.Field, maxName), Value: clip(t.Value, maxValue)})
	}
	for _, e := range evidence(a) {
		c.Evidence = append(c.Evidence, pair{clip(e.Name, maxName), few(e.Values, maxValue)})
	}
	for _, t := range a.Rule.Threat {
		c.Threats = append(c.Threats, techniques(join(" ", t.Tactic.Name, t.Tactic.ID), t.Technique)...)
	}
	return c
}

// techniques names each technique with the tactic above it.
func techniques(above string, list []rule.Technique) []string {
	if len(list) == 0 {
		return []string{clip(above, maxMessage)}
	}
	var out []string
	for _, t := range list {
		out = append(out, techniques(above+" › "+join(" ", t.Name, t.ID), t.Subtechnique)...)
	}
	return out
}

// few clips values to a number of bytes and leaves out all after the first few.
func few(values []string, limit int) []string {
	var out []string
	for i, v := range values {
		if i == maxValues {
			out = append(out, "… and "+count(int64(len(values)-maxValues))+" more")
			break
		}
		out = append(out, clip(v, limit))
	}
	return out
}

// omitted says how many alerts have no card; empty if all have.
func omitted(all int64, shown int) string {
	if all <= int64(shown) {
		return ""
	}
	return "The " + count(int64(shown)) + " most severe of " + count(all) + " alerts; NDJSON and CSV have them all."
}
