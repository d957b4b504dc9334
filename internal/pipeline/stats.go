package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/debutsec/debut/cloudtrail"
)

// examples is how many problems of one code are kept by name.
const examples = 5

// Stats is what a run saw, besides the alerts.
type Stats struct {
	cloudtrail.Summary
	Objects int64 // read

	First, Last     time.Time // event times of the records; zero if there were none
	Start           time.Time // T0: what began before it was learned; zero: no such time
	Outside         int64     // records at or after Config.To, not looked at
	Duplicates      int64     // records whose account and eventID had been read before
	DuplicatesExact bool      // false: Duplicates is an estimate
	Zones           []Zone    // by account and region
	MoreZones       int64     // records of accounts and regions that are too many to list
	Problems        []ProblemCount
	Rules           []RuleStats // by index in the engine

	problems map[string]*ProblemCount
}

// RuleStats counts what became of one rule's findings.
type RuleStats struct {
	Findings   int64 // after reduction
	Conflicts  int64 // findings on an event of which unequal copies were read: one was taken
	Learned    int64 // began before T0
	Suppressed int64 // stand behind another finding of their group
	Alerts     int64 // withheld ones included
	Withheld   int64 // over max_signals and kept
	Dropped    int64 // over max_signals and only counted
	Capped     int64 // intervals with more than max_signals
	Untold     int64 // principals, by interval, of whose findings none was let through
	Cold       int64 // alerts whose history window is covered under 95 %
	Excess     int64 // combinations over 10,000 of one event
}

// ProblemCount counts problems of one code, with the first few by name and offset.
type ProblemCount struct {
	Code     string
	Rejected bool
	Count    int64
	Examples []cloudtrail.Problem
}

func (s *Stats) problem(p cloudtrail.Problem, tell func(cloudtrail.Problem)) {
	if tell != nil {
		tell(p)
	}
	if s.problems == nil {
		s.problems = map[string]*ProblemCount{}
	}
	c := s.problems[p.Code]
	if c == nil {
		c = &ProblemCount{Code: p.Code, Rejected: p.Rejected}
		s.problems[p.Code] = c
	}
	c.Count++
	c.example(p)
}

// example keeps the smallest few, so that the choice does not depend on who read
// what first.
func (c *ProblemCount) example(p cloudtrail.Problem) {
	less := func(a, b cloudtrail.Problem) int {
		return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Record, b.Record))
	}
	if len(c.Examples) == examples && less(p, c.Examples[examples-1]) >= 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(c.Examples, p, less)
	c.Examples = slices.Insert(c.Examples, at, p)
	c.Examples = c.Examples[:min(len(c.Examples), examples)]
}

// seen widens First and Last.
func (s *Stats) seen(first, last time.Time) {
	if s.First.IsZero() || first.Before(s.First) {
		s.First = first
	}
	if s.Last.IsZero() || last.After(s.Last) {
		s.Last = last
	}
}

// merge adds what another worker counted.
func (s *Stats) merge(o *Stats) {
	s.Add(&o.Summary)
	s.Objects += o.Objects
	s.Outside += o.Outside
	if !o.First.IsZero() {
		s.seen(o.First, o.Last)
	}
	for code, c := range o.problems {
		have := s.problems[code]
		if have == nil {
			if s.problems == nil {
				s.problems = map[string]*ProblemCount{}
			}
			s.problems[code] = c
			continue
		}
		have.Count += c.Count
		for _, p := range c.Examples {
			have.example(p)
		}
	}
}

// finish sorts what was gathered in maps.
func (s *Stats) finish() {
	for _, code := range slices.Sorted(maps.Keys(s.problems)) {
		s.Problems = append(s.Problems, *s.problems[code])
	}
}
