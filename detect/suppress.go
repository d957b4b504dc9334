package detect

import (
	"slices"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// A Suppressor applies a rule's alert_suppression: of the findings of one group in
// one bucket of event time the first becomes the alert and the others its count.
// Buckets are floor(time ÷ duration), with the rule's interval where there is no
// duration: a start that slid with the first finding would let one late event
// rename every later alert.
type Suppressor struct {
	rule   *Rule
	fields []*ecs.Field
	length int64
	split  bool // doNotSuppress: a finding without a value stands alone
	yield  func(*Signal) error

	bucket  int64
	groups  map[ecs.ID]int
	pending []Signal
}

// NewSuppressor returns the suppressor of the rule with that index, or nil if the
// rule has no suppression. What comes out is in the order of [Hit.CompareTime].
func (e *Engine) NewSuppressor(index int32, cat *ecs.Catalogue, yield func(*Signal) error) *Suppressor {
	r := e.Rules[index]
	if r.Suppression == nil {
		return nil
	}
	length := r.Suppression.Duration
	if length <= 0 {
		length = r.Interval
	}
	if length <= 0 {
		length = 5 * time.Minute
	}
	by := r.Suppression.GroupBy
	if r.Type == rule.Threshold {
		by = nil // the threshold's own group
	}
	return &Suppressor{
		rule: r, fields: resolveAll(cat, by), length: int64(length),
		split: r.Suppression.MissingFieldsStrategy == "doNotSuppress",
		yield: yield, groups: map[ecs.ID]int{},
	}
}

// NeedsEvent reports whether Add looks at the finding's event.
func (s *Suppressor) NeedsEvent() bool { return len(s.fields) > 0 }

// Add takes the next finding, in the order of [Hit.CompareTime], with its event.
func (s *Suppressor) Add(h *Hit, ev ecs.Event) error {
	if bucket := floorDiv(h.Time, s.length); bucket != s.bucket {
		if err := s.Flush(); err != nil {
			return err
		}
		s.bucket = bucket
	}
	group, whole := s.group(h, ev)
	if at, ok := s.groups[group]; ok && (whole || !s.split) {
		s.pending[at].Suppressed++
		s.pending[at].SuppressedEnd = max(s.pending[at].SuppressedEnd, h.Last)
		return nil
	}
	if whole || !s.split {
		s.groups[group] = len(s.pending)
	}
	s.pending = append(s.pending, Signal{Hit: *h, SuppressedEnd: h.Last, Instance: group})
	return nil
}

// group returns the suppression group of a finding, and whether it has a value for
// every field. The elements of an array are sorted and compared as a whole.
func (s *Suppressor) group(h *Hit, ev ecs.Event) (key ecs.ID, whole bool) {
	if len(s.fields) == 0 {
		return h.Group, true
	}
	whole = true
	var parts []string
	for _, f := range s.fields {
		values := slices.Clone(ev.Values(f))
		slices.Sort(values)
		whole = whole && len(values) > 0
		// The number of values keeps ["a"],["b"] apart from ["a","b"],[].
		parts = append(parts, string(rune(len(values))))
		parts = append(parts, values...)
	}
	return s.rule.seed.key(parts), whole
}

// Flush ends the current bucket; call it after the last finding.
func (s *Suppressor) Flush() error {
	for i := range s.pending {
		if err := s.yield(&s.pending[i]); err != nil {
			return err
		}
	}
	s.pending = s.pending[:0]
	clear(s.groups)
	return nil
}
