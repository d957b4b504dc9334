package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/query"
)

// A Scan is everything that a report tells of.
type Scan struct {
	Stats *pipeline.Stats
	// Rules lists every loaded rule. Those of the engine come first and in its
	// order, so that an index of the engine is one of Rules.
	Rules     []RuleLine
	NotLoaded query.Diagnostics
	Skipped   map[string]int64 // inputs that were not read, by reason
	Paths     []string
	Now       time.Time
	Elapsed   time.Duration
	Version   string
	Alerts    []*alert.Alert // by time
}

// A RuleLine is one rule and what became of it.
type RuleLine struct {
	ID, Name, Type, Severity string
	Runnable                 bool
	Ran                      bool
	Reason                   string // why it did not run
	Stats                    pipeline.RuleStats
}

// Options say for what a text is written.
type Options struct {
	Color bool
	Width int // columns; 0: unlimited, nothing is cut
}

// notified returns the alerts that notify somebody: all but the withheld ones.
func (s *Scan) notified() []*alert.Alert {
	return slices.DeleteFunc(slices.Clone(s.Alerts), func(a *alert.Alert) bool { return a.Withheld })
}

// withheld returns the others.
func (s *Scan) withheld() []*alert.Alert {
	return slices.DeleteFunc(slices.Clone(s.Alerts), func(a *alert.Alert) bool { return !a.Withheld })
}

// rule returns the name of the rule with that index in the engine.
func (s *Scan) rule(index int32) string {
	if index < 0 || int(index) >= len(s.Rules) {
		return "rule " + count(int64(index))
	}
	return s.Rules[index].title()
}

func (r RuleLine) title() string { return cmp.Or(r.Name, r.ID) }

// worst returns at most limit alerts, the most severe, still in order of time.
func worst(alerts []*alert.Alert, limit int) []*alert.Alert {
	if len(alerts) <= limit {
		return alerts
	}
	order := make([]int, len(alerts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(alert.SeverityRank(alerts[b].Severity), alert.SeverityRank(alerts[a].Severity))
	})
	order = order[:limit]
	slices.Sort(order)
	out := make([]*alert.Alert, limit)
	for i, at := range order {
		out[i] = alerts[at]
	}
	return out
}

// A tally counts by name.
type tally struct {
	Name  string
	Count int64
}

// tallies adds up n for each name and returns the largest first.
func tallies[T any](list []T, of func(T) (name string, n int64)) []tally {
	counts := map[string]int64{}
	for _, e := range list {
		if name, n := of(e); n != 0 {
			counts[name] += n
		}
	}
	out := make([]tally, 0, len(counts))
	for name, n := range counts {
		out = append(out, tally{name, n})
	}
	slices.SortFunc(out, func(a, b tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func sum(list []tally) (n int64) {
	for _, t := range list {
		n += t.Count
	}
	return n
}

func byRule(a *alert.Alert) (string, int64) { return ruleName(a), 1 }

func byPrincipal(a *alert.Alert) (string, int64) {
	return cmp.Or(alert.ShortPrincipal(a.Principal), a.Summary().Who, "unknown principal"), 1
}

func bySeverity(a *alert.Alert) (string, int64) { return a.Severity, 1 }

// severityTallies counts the alerts by severity, the most severe first.
func severityTallies(alerts []*alert.Alert) []tally {
	list := tallies(alerts, bySeverity)
	slices.SortStableFunc(list, func(a, b tally) int {
		return cmp.Compare(alert.SeverityRank(b.Name), alert.SeverityRank(a.Name))
	})
	return list
}

// ruleName is the rule's own name, which an alert's Name may override.
func ruleName(a *alert.Alert) string { return cmp.Or(a.Rule.Name, a.Rule.ID) }
