package detect

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// A Suppression is a rule's alert_suppression: of the findings of one suppression
// group in one bucket of event time the first becomes the alert and the others its
// count. Buckets are floor(time ÷ duration), with the rule's interval where there
// is no duration: a start that slid with the first finding would let one late event
// rename every later alert.
//
// It is one more reduction: each finding becomes a [Signal] that knows its group,
// signals are brought in the order of [Signal.CompareInstance], and Reduce takes
// those of one group.
type Suppression struct {
	seed      groupSeed
	threshold bool
	fields    []*ecs.Field
	length    int64
	split     bool // doNotSuppress: a finding without a value stands alone
}

// NewSuppression returns the suppression of the rule with that index, or nil if it
// has none.
func (e *Engine) NewSuppression(index int32, cat *ecs.Catalogue) *Suppression {
	r := e.Rules[index]
	if r.Suppression == nil {
		return nil
	}
	s := &Suppression{
		seed: r.seed, threshold: r.Type == rule.Threshold, length: int64(r.Suppression.Duration),
		split: r.Suppression.MissingFieldsStrategy == "doNotSuppress",
	}
	if s.length <= 0 {
		s.length = int64(interval(r.Rule))
	}
	if !s.threshold { // which has the threshold's own group
		s.fields = resolveAll(cat, r.Suppression.GroupBy)
	}
	return s
}

func interval(r *rule.Rule) time.Duration {
	if r.Interval > 0 {
		return r.Interval
	}
	return 5 * time.Minute
}

// NeedsEvent reports whether Signal looks at the finding's event.
func (s *Suppression) NeedsEvent() bool { return len(s.fields) > 0 }

// Signal returns a finding with its suppression group. A signal without Instance
// stands alone: nothing suppresses it.
func (s *Suppression) Signal(h *Hit, ev ecs.Event) Signal {
	sig := Signal{Hit: *h, Instance: h.Group, SuppressedEnd: h.Time}
	if s.threshold {
		sig.SuppressedEnd = h.Last
	}
	if len(s.fields) == 0 {
		return sig
	}
	var parts []string
	for _, f := range s.fields {
		// The elements of an array are sorted and compared as a whole.
		values := slices.Sorted(slices.Values(ev.Values(f)))
		if len(values) == 0 && s.split {
			return Signal{Hit: *h}
		}
		// The number of values keeps ["a"],["b"] apart from ["a","b"],[].
		parts = append(append(parts, strconv.Itoa(len(values))), values...)
	}
	sig.Instance = s.seed.key(parts)
	return sig
}

// Reduce yields what remains of the signals of one rule and instance, which come in
// the order of CompareInstance and are each valid only until the next.
func (s *Suppression) Reduce(signals iter.Seq[*Signal], yield func(Signal)) {
	var open Signal
	started := false
	for sig := range signals {
		if started && floorDiv(sig.Time, s.length) == floorDiv(open.Time, s.length) {
			open.Suppressed++
			open.SuppressedEnd = max(open.SuppressedEnd, sig.SuppressedEnd)
			continue
		}
		if started {
			yield(open)
		}
		open, started = *sig, true
	}
	if started {
		yield(open)
	}
}

// CompareInstance orders signals by rule and suppression group, then as
// [Signal.CompareTime] does.
func (s *Signal) CompareInstance(o *Signal) int {
	return cmp.Or(cmp.Compare(s.Rule, o.Rule), bytes.Compare(s.Instance[:], o.Instance[:]), s.CompareTime(o))
}

// SameInstance reports whether two signals are of one rule and suppression group.
func (s *Signal) SameInstance(o *Signal) bool { return s.Rule == o.Rule && s.Instance == o.Instance }

// Length is that of a bucket, in nanoseconds.
func (s *Suppression) Length() int64 { return s.length }
