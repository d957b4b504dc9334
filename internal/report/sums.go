package report

import (
	"cmp"

	"github.com/debutsec/debut/internal/alert"
)

// sums are what is counted of the alerts in one pass.
type sums struct {
	notified, withheld int64
	blocks             int64    // of building-block rules: made to be joined, shown to nobody
	severity           [4]int64 // of those that notify, by alert.SeverityRank

	byRule, byPrincipal counts // of those that notify
	cold                counts // by rule, of those that notify
	held                counts // by principal, of the withheld
	heldOf              map[string]counts
}

// counts is how often each name occurred. Names come from logs, so there may be any number of them.
type counts map[string]int64

// maxNames is how many names are told apart.
const maxNames = 100_000

func (c counts) add(name string) {
	if _, ok := c[name]; !ok && len(c) >= maxNames {
		name = "others"
	}
	c[name]++
}

func newSums() sums {
	return sums{byRule: counts{}, byPrincipal: counts{}, cold: counts{}, held: counts{}, heldOf: map[string]counts{}}
}

func (s *sums) add(a *alert.Alert) {
	rule, who := ruleName(a), principal(a)
	if a.Rule.BuildingBlock {
		s.blocks++
		return
	}
	if a.Withheld {
		s.withheld++
		s.held.add(who)
		if s.heldOf[rule] == nil {
			s.heldOf[rule] = counts{}
		}
		s.heldOf[rule].add(who)
		return
	}
	s.notified++
	s.severity[max(alert.SeverityRank(a.Severity), 0)]++
	s.byRule.add(rule)
	s.byPrincipal.add(who)
	if a.Cold {
		s.cold.add(rule)
	}
}

// AtLeast returns how many alerts notify with that severity or a worse one.
func (s *Scan) AtLeast(severity string) (n int64) {
	for rank := max(alert.SeverityRank(severity), 0); rank < len(s.sums.severity); rank++ {
		n += s.sums.severity[rank]
	}
	return n
}

// severities returns the counts by severity, the most severe first.
func (s *sums) severities() []tally {
	var out []tally
	for rank := len(s.severity) - 1; rank >= 0; rank-- {
		if n := s.severity[rank]; n > 0 {
			out = append(out, tally{severityNames[rank], n})
		}
	}
	return out
}

var severityNames = [4]string{"low", "medium", "high", "critical"} //nolint:gochecknoglobals // a constant list

// tallies returns the counts, the largest first.
func (c counts) tallies() []tally {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	return tallies(names, func(name string) (string, int64) { return name, c[name] })
}

func (c counts) sum() (n int64) {
	for _, k := range c {
		n += k
	}
	return n
}

// principal names whose alert it is.
func principal(a *alert.Alert) string {
	return cmp.Or(alert.ShortPrincipal(a.Principal), a.Summary().Who, "unknown principal")
}
