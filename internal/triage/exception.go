package triage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/debutsec/debut/internal/enrich"
)

// maxReasons is how many facts an exception's reason names.
const maxReasons = 3

// except proposes an exception for alerts like this one: if the verdict is likely
// benign, or if there is nothing worse than a review, a harmless explanation is proven
// and the baseline is not cold. It ends with what the explanation rests on, such as an
// exercise. It is a proposal for a person, who adds it or does not.
func (c *Case) except(ctx context.Context, r *Report) {
	if r.Verdict != LikelyBenign && (r.Verdict != Review || !c.proven() || !c.whole()) {
		return
	}
	if c.Event.Error != "" {
		return // it would hide the call that is not denied
	}
	keys := c.exceptionKeys()
	if keys == nil {
		return
	}
	expires := c.AsOf.Add(time.Duration(c.Weights.Number("exception_days")) * 24 * time.Hour)
	if !c.provenTo.IsZero() {
		expires = earlier(expires, c.provenTo)
	}
	if !expires.After(c.AsOf) {
		return
	}
	x := &Exception{Expires: expires.UTC(), Evidence: []string{c.Event.ID}}
	var clauses, reasons []string
	for _, k := range keys {
		clauses = append(clauses, is(k.field, k.value))
		x.Keys = append(x.Keys, k.field+" is "+k.value)
	}
	x.Query = all(clauses...)
	for _, f := range c.benign(r) {
		reasons = append(reasons, f.Text)
		x.Evidence = append(x.Evidence, f.Events...)
	}
	x.Evidence = unique(x.Evidence)
	x.Evidence = atMost(x.Evidence, maxEvidence)
	x.Reason = fmt.Sprintf("%s by triage of alert %s", strings.ReplaceAll(r.Verdict, "_", " "), c.Alert.ID)
	if len(reasons) > 0 {
		x.Reason += ": " + strings.Join(atMost(reasons, maxReasons), "; ")
	}
	r.Exception = x
	c.testException(ctx, r)
}

// testException says which alerts of the rule it would have hidden.
func (c *Case) testException(ctx context.Context, r *Report) {
	if c.History == nil {
		return
	}
	x := r.Exception
	hidden, bad, err := c.History.Hidden(ctx, c.Alert.Rule.ID, x.Query, c.Event.Time.Add(-c.Weights.Duration("baseline")))
	if err != nil {
		r.Unknowns = append(r.Unknowns, Unknown{Step: "F", What: "which alerts the proposed exception would have hidden: " + err.Error(), Remedy: "Try it before it is added: debut exceptions test."})
		return
	}
	x.WouldHide, x.Bad, x.Tested = hidden, bad, true
}

// benign returns the findings that speak for the caller and that he does not choose, the
// strongest first.
func (c *Case) benign(r *Report) (list []Finding) {
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			if f.Points < 0 && !f.Spoofable {
				list = append(list, f)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return a.Points - b.Points })
	return list
}

type exceptionKey struct{ field, value string }

// exceptionKeys are what an exception compares, in the words of debut exceptions: who,
// what, with which document, from where. Nil: there is no exception that is narrow
// enough, since who or from where is not told, or cannot be written as a condition.
func (c *Case) exceptionKeys() []exceptionKey {
	e := c.Event
	keys := []exceptionKey{{"debut.principal", e.Principal}, {"event.provider", e.Provider}, {"event.action", e.Action}}
	if d := documentRun(e); d != "" {
		keys = append(keys, exceptionKey{"aws.cloudtrail.flattened.request_parameters.documentName", d})
	}
	switch class := enrich.AddressClass(e.Address); {
	case class == enrich.AddressService:
		// A service acts for whoever asked it to: what runs any code is not hidden.
		if d := c.documentNamed(e); d == nil || d.Class != docFixed {
			return nil
		}
		keys = append(keys, exceptionKey{"source.address", e.Address})
	case e.Endpoint != "":
		keys = append(keys, exceptionKey{"aws.cloudtrail.vpc_endpoint_id", e.Endpoint})
	case class == enrich.AddressPublic:
		keys = append(keys, exceptionKey{"source.ip", e.IP.String()})
	default:
		return nil
	}
	for _, k := range keys {
		if !canBeCondition(k.value) {
			return nil
		}
	}
	return keys
}

// canBeCondition reports whether "FIELD is VALUE" means just that: a value that begins
// like another operator, or that white space or a control character is in, does not.
func canBeCondition(value string) bool {
	odd := func(r rune) bool {
		return unicode.IsSpace(r) && r != ' ' || !unicode.IsPrint(r) || r == unicode.ReplacementChar
	}
	return value != "" && value == strings.TrimSpace(value) && len(value) <= 300 && !strings.ContainsFunc(value, odd) &&
		value != "not" && !strings.HasPrefix(value, "not ") && !strings.HasPrefix(value, "one of ")
}
