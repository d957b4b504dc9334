package report

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/triage"
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
	// Alerts yields the alerts by time. It is gone through more than once, because
	// all alerts with their events may be more than memory holds.
	Alerts iter.Seq2[*alert.Alert, error]
	// Triage has the reports of the alerts that were investigated, by the alert's UUID;
	// nil: nobody asked. Investigable is how many could have been.
	Triage       map[string]*triage.Report
	Investigable int

	sums    sums
	counted bool
}

// New returns the scan with its alerts counted, which reports for people begin with.
func New(s Scan) (*Scan, error) {
	scan := Stream(s)
	for _, err := range scan.all() {
		if err != nil {
			return nil, err
		}
	}
	return scan, nil
}

// Stream returns the scan for [NDJSON] or [CSV], which count the alerts as they write
// them: making an alert anew costs as much as writing it. Other reports and
// [Scan.AtLeast] come after one of the two.
func Stream(s Scan) *Scan {
	s.sums, s.counted = newSums(), false
	return &s
}

// all yields every alert, and counts them the first time.
func (s *Scan) all() iter.Seq2[*alert.Alert, error] {
	return func(yield func(*alert.Alert, error) bool) {
		count := !s.counted
		s.counted = true
		for a, err := range s.Alerts {
			if err == nil && count {
				s.sums.add(a)
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
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

// notified yields the alerts that notify somebody: all but the withheld ones and those
// of building-block rules, which Elastic hides too (detection-engine §5.4).
func (s *Scan) notified() iter.Seq2[*alert.Alert, error] {
	return func(yield func(*alert.Alert, error) bool) {
		for a, err := range s.Alerts {
			if err == nil && (a.Withheld || a.Rule.BuildingBlock) {
				continue
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

func (r RuleLine) title() string { return clip(cmp.Or(r.Name, r.ID), maxName) }

// worst returns at most limit of the alerts that notify, the most severe and among
// those the earliest, in order of time.
func (s *Scan) worst(limit int) ([]*alert.Alert, error) {
	var room [4]int // for each severity, the rest having been taken by worse ones
	left := limit
	for rank := len(room) - 1; rank >= 0; rank-- {
		room[rank] = int(min(int64(left), s.sums.severity[rank]))
		left -= room[rank]
	}
	out := make([]*alert.Alert, 0, limit-left)
	for a, err := range s.notified() {
		if err != nil {
			return nil, err
		}
		rank := max(alert.SeverityRank(a.Severity), 0)
		if room[rank] > 0 {
			room[rank]--
			out = append(out, a)
		}
	}
	return out, nil
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

// ruleName is the rule's own name, which an alert's Name may override.
func ruleName(a *alert.Alert) string { return clip(cmp.Or(a.Rule.Name, a.Rule.ID), maxName) }
