package detect

import (
	"bytes"
	"cmp"
	"time"

	"github.com/debutsec/debut/ecs"
)

// maxWithheld is how many withheld findings are kept for a rule and day, and the
// most that max_signals can let through.
const maxWithheld = 10_000

// A Signal is a finding on its way to becoming an alert.
type Signal struct {
	Hit
	// Instance is the suppression group, Suppressed how many later findings of it
	// this one stands for, and SuppressedEnd the time of the last event of all of
	// them. Zero for a signal that has no suppression group.
	Instance      ecs.ID
	Suppressed    int64
	SuppressedEnd int64
	// Withheld: over the rule's max_signals for its interval. It exists, but
	// nobody is notified.
	Withheld bool
}

// CompareTime orders signals by rule, time, then ID and group: the order in which a
// [Limiter] wants them.
func (s *Signal) CompareTime(o *Signal) int {
	if c := cmp.Compare(s.Rule, o.Rule); c != 0 {
		return c
	}
	if c := cmp.Compare(s.Time, o.Time); c != 0 {
		return c
	}
	if c := bytes.Compare(s.ID[:], o.ID[:]); c != 0 {
		return c
	}
	return bytes.Compare(s.Group[:], o.Group[:])
}

// A Capped tells of an interval in which a rule found more than its max_signals.
type Capped struct {
	Rule     int32
	Start    time.Time // of the interval
	Signals  int64     // let through
	Withheld int64
	// Untold is how many principals have findings of which none was let through.
	// Many thousands are counted as if there were no more.
	Untold int64
}

// A Limiter applies max_signals (at most 10,000): in each interval of event time of
// a rule only so many findings notify. The earliest go first, but the first finding
// of a principal goes before the second of another, so that a flood by one cannot
// hide what another does. Findings over the limit are withheld, never lost; beyond
// 10,000 a day for one rule they are only counted. It holds the findings of one
// interval, and of a flood not more than it could ever let through or keep.
type Limiter struct {
	index    int32
	interval int64
	limit    int
	yield    func(Signal) error
	capped   func(Capped)

	bucket  int64
	pending []Signal
	seen    map[ecs.ID]struct{} // principals of the interval
	over    int64               // findings of the interval that are only counted

	day         int64
	withheldDay int
	// Dropped counts the withheld findings that were not kept.
	Dropped int64
}

// NewLimiter returns the limiter of the rule with that index. Signals come out in
// the order of time; capped may be nil.
func (e *Engine) NewLimiter(index int32, yield func(Signal) error, capped func(Capped)) *Limiter {
	r := e.Rules[index]
	limit := r.MaxSignals
	if limit <= 0 {
		limit = 100
	}
	return &Limiter{
		index: index, interval: int64(interval(r.Rule)), limit: min(limit, maxWithheld),
		yield: yield, capped: capped, seen: map[ecs.ID]struct{}{},
	}
}

// Add takes the next finding; they must come in the order of [Signal.CompareTime].
func (l *Limiter) Add(s *Signal) error {
	bucket := floorDiv(s.Time, l.interval)
	if len(l.pending) > 0 && bucket != l.bucket {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	l.bucket = bucket
	room := l.limit + maxWithheld
	_, repeat := l.seen[s.Principal]
	if len(l.pending) < room || !repeat && len(l.seen) < l.limit {
		l.pending = append(l.pending, *s)
	} else {
		l.over++
		l.Dropped++
	}
	if !repeat && len(l.seen) < room {
		l.seen[s.Principal] = struct{}{}
	}
	return nil
}

// Flush ends the current interval; call it after the last finding.
func (l *Limiter) Flush() error {
	withheld := l.choose()
	if withheld != nil && l.capped != nil {
		l.capped(l.tell(withheld))
	}
	for i := range l.pending {
		s := &l.pending[i]
		s.Withheld = withheld != nil && withheld[i]
		if s.Withheld && !l.keepWithheld(s.Time) {
			l.Dropped++
			continue
		}
		if err := l.yield(*s); err != nil {
			return err
		}
	}
	l.pending, l.over = l.pending[:0], 0
	clear(l.seen)
	return nil
}

func (l *Limiter) tell(withheld []bool) Capped {
	c := Capped{Rule: l.index, Start: time.Unix(0, l.bucket*l.interval).UTC(), Withheld: l.over}
	told := map[ecs.ID]struct{}{}
	for i, w := range withheld {
		if w {
			c.Withheld++
		} else {
			c.Signals++
			told[l.pending[i].Principal] = struct{}{}
		}
	}
	c.Untold = int64(len(l.seen) - len(told))
	return c
}

// choose returns which of the pending findings are withheld, nil if none.
func (l *Limiter) choose() []bool {
	if len(l.pending) <= l.limit {
		return nil
	}
	withheld := make([]bool, len(l.pending))
	budget := l.limit
	told := map[ecs.ID]struct{}{}
	for i := range l.pending {
		p := l.pending[i].Principal
		_, repeat := told[p]
		withheld[i] = repeat || budget == 0
		if !withheld[i] {
			told[p] = struct{}{}
			budget--
		}
	}
	for i := range withheld {
		if withheld[i] && budget > 0 {
			withheld[i] = false
			budget--
		}
	}
	return withheld
}

func (l *Limiter) keepWithheld(t int64) bool {
	if day := floorDiv(t, int64(24*time.Hour)); day != l.day {
		l.day, l.withheldDay = day, 0
	}
	l.withheldDay++
	return l.withheldDay <= maxWithheld
}

// floorDiv rounds down, also what is before 1970.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
