package triage

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// coldDropped and spoofableDropped are why a finding does not count.
const (
	coldDropped      = "cold baseline: never seen here is not never done"
	partDropped      = "there was more in the baseline than is kept in memory"
	spoofableDropped = "the caller chooses this himself, and nothing that he cannot choose supports it"
)

// judge decides which findings count, adds them up and gives the verdict.
func (c *Case) judge(r *Report) {
	solid := c.drop(r)
	c.add(r)
	critical := false
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			critical = critical || f.Critical && f.Dropped == ""
		}
	}
	total := 0
	for _, l := range r.Sum {
		total += l.Points
	}
	r.Score = min(max(total, 0), 100)
	if critical && r.Score < c.Weights.Verdicts[Malicious] {
		n := c.Weights.Verdicts[Malicious] - r.Score
		r.Sum = append(r.Sum, SumLine{Points: n + r.Score - total, Key: "critical", Text: "a critical finding is a verdict by itself"})
		r.Score += n
	}
	r.Verdict = c.verdict(r, r.Score, critical, len(solid))
	r.Confidence = confidence(r.Steps)
}

// drop marks the findings that do not count, and returns the kinds of benign evidence
// that cannot be forged.
func (c *Case) drop(r *Report) map[string]bool {
	solid := map[string]bool{}
	for i := range r.Steps {
		for k := range r.Steps[i].Findings {
			f := &r.Steps[i].Findings[k]
			switch {
			case f.Absence && c.Cold:
				f.Points, f.Dropped = 0, coldDropped
			case f.Absence && !c.Baseline.Complete:
				f.Points, f.Dropped = 0, partDropped
			case f.Weight < 0 && !f.Spoofable && f.Kind != "":
				solid[f.Kind] = true
			}
		}
	}
	// A service acts for whoever asked it to: that one made the call speaks for nobody,
	// unless a record tells who asked.
	if !solid["record"] {
		delete(solid, "origin")
	}
	for i := range r.Steps {
		a := &r.Steps[i]
		for k := range a.Findings {
			f := &a.Findings[k]
			if f.Weight < 0 && f.Spoofable && len(solid) == 0 {
				f.Points, f.Dropped = 0, spoofableDropped
			}
			a.Points += f.Points
		}
	}
	return solid
}

// prior is what the rule itself is worth.
func (c *Case) prior() Weight {
	switch c.Alert.Rule.Severity {
	case "medium", "high", "critical":
		return c.Weights.Row("score.prior-" + c.Alert.Rule.Severity)
	}
	return c.Weights.Row("score.prior")
}

// add makes the sum: the prior, the findings, and what the caps take away.
func (c *Case) add(r *Report) {
	p := c.prior()
	r.Sum = append(r.Sum, SumLine{Points: p.Points, Key: "prior", Text: p.Means})
	raised, taken := map[string]int{}, 0
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			if f.Points == 0 {
				continue
			}
			r.Sum = append(r.Sum, SumLine{f.Points, r.Steps[i].ID, f.Key, f.Text})
			if f.Points > 0 {
				raised[f.Category] += f.Points
			} else {
				taken += f.Points
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(raised)) {
		r.cap(name, raised[name], c.Weights.Caps[name])
	}
	if taken < 0 {
		r.cap("benign", taken, -c.Weights.Caps["benign"])
	}
}

// cap adds a category, and to the sum what is over its cap.
func (r *Report) cap(name string, raw, most int) {
	points := min(raw, most)
	if most < 0 {
		points = max(raw, most)
	}
	r.Categories = append(r.Categories, Category{Name: name, Raw: raw, Points: points, Cap: most})
	if over := points - raw; over != 0 {
		r.Sum = append(r.Sum, SumLine{Points: over, Key: "cap " + name, Text: fmt.Sprintf("%s counts %d at most", name, most)})
	}
}

func (c *Case) verdict(r *Report, score int, critical bool, kinds int) string {
	v := c.Weights.Verdicts
	switch {
	case critical:
		return Malicious
	case score >= v[LikelyMalicious]:
		return LikelyMalicious
	case score >= v[Suspicious]:
		return Suspicious
	case score < v[Review] && kinds >= 2 && c.whole() && !c.dark(r):
		return LikelyBenign
	}
	return Review
}

// whole reports whether all was read that could speak against the caller.
func (c *Case) whole() bool { return !c.Cold && c.Baseline.Complete && !c.relatedQuery.Truncated }

// dark reports whether something ran of which nobody knows what it does, and no record
// explains why: what is not known is never harmless.
func (c *Case) dark(r *Report) bool {
	d := c.documentNamed(c.Event)
	if d == nil || d.Class == docFixed || c.proven() {
		return false
	}
	return slices.ContainsFunc(r.Steps, func(a Answer) bool { return a.ID == "T5" && a.Status != Answered })
}

// proven reports whether a harmless explanation is.
func (c *Case) proven() bool {
	return slices.ContainsFunc(c.Claims, func(cl Claim) bool { return cl.Status == Proven })
}

// confidence is the weight of the answered steps among those that apply, in hundredths.
func confidence(steps []Answer) float64 {
	have, all := 0, 0
	for _, s := range Steps() {
		i := slices.IndexFunc(steps, func(a Answer) bool { return a.ID == s.ID })
		if i < 0 || steps[i].Status == NotApplicable {
			continue
		}
		all += s.Weight
		if steps[i].Status == Answered {
			have += s.Weight
		}
	}
	if all == 0 {
		return 0
	}
	return math.Round(float64(have)/float64(all)*100) / 100
}

// LowConfidence is the confidence under which a report says so.
const LowConfidence = 0.5

// summarise writes the line that a report begins with.
func (c *Case) summarise(r *Report) {
	var up, down []SumLine
	for _, l := range r.Sum {
		switch {
		case l.Step == "":
		case l.Points > 0:
			up = append(up, l)
		case l.Points < 0:
			down = append(down, l)
		}
	}
	// What is critical comes first, whatever it counts.
	rank := func(l SumLine) int {
		if c.Weights.Row(l.Step + "." + l.Key).Critical {
			return 100 + l.Points
		}
		return l.Points
	}
	slices.SortStableFunc(up, func(a, b SumLine) int { return rank(b) - rank(a) })
	slices.SortStableFunc(down, func(a, b SumLine) int { return a.Points - b.Points })
	// The meaning of the row, not the finding's text: what it lists is long.
	means := func(l SumLine) string { return c.Weights.Row(l.Step + "." + l.Key).Means }
	low := ""
	if r.Confidence < LowConfidence {
		low = "low "
	}
	two := func(list []SumLine) string {
		text := means(list[0])
		if len(list) > 1 {
			text += ", and " + means(list[1])
		}
		return text
	}
	parts := []string{}
	switch {
	case r.Verdict == LikelyBenign: // with two kinds of benign evidence
		parts = append(parts, two(down))
		if len(up) > 0 {
			parts = append(parts, "for suspicion: "+means(up[0]))
		}
	case len(up) > 0:
		parts = append(parts, two(up))
		if len(down) > 0 {
			parts = append(parts, "against it: "+means(down[0]))
		}
	default:
		parts = append(parts, "nothing found raises suspicion")
		if len(down) > 0 {
			parts = append(parts, "against it: "+means(down[0]))
		}
	}
	if len(r.Unknowns) > 0 {
		parts = append(parts, "unknown: "+r.Unknowns[0].What)
	}
	name := strings.ReplaceAll(r.Verdict, "_", " ")
	r.Summary = fmt.Sprintf("%s%s (%d, %sconfidence %.2f): %s.", strings.ToUpper(name[:1]), name[1:], r.Score, low, r.Confidence, strings.Join(parts, "; "))
	if c.Cold {
		r.Summary += fmt.Sprintf(" Cold baseline: the stored history covers %.0f%% of the window before the event.", math.Floor(c.Covered.Share*100))
	}
}
