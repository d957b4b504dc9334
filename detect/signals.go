package detect

import (
	"time"

	"github.com/debutsec/debut/ecs"
)

// maxWithheld is how many withheld findings are kept for a rule and day.
const maxWithheld = 10_000

// A Signal is a finding on its way to becoming an alert.
type Signal struct {
	Hit
	// Suppressed is how many later findings of the same suppression group and
	// bucket this one stands for, SuppressedEnd the time of the last of them, and
	// Instance the group; all zero for a rule without suppression.
	Suppressed    int64
	SuppressedEnd int64
	Instance      ecs.ID
	// Withheld: over the rule's max_signals for its interval. It exists, but
	// nobody is notified.
	Withheld bool
}

// A Capped tells of an interval in which a rule found more than its max_signals.
type Capped struct {
	Rule     int32
	Start    time.Time // of the interval
	Signals  int64     // let through
	Withheld int64
	Untold   int64 // principals of whose findings none was let through
}

// A Limiter applies max_signals: in each interval of event time of a rule only so
// many findings notify. The earliest go first, but the first finding of a
// principal goes before the second of another, so that a flood by one cannot hide
// what another does. Findings over the limit are withheld, never lost; beyond
// 10,000 a day for one rule they are only counted.
type Limiter struct {
	rule     *Rule
	index    int32
	interval int64
	limit    int
	yield    func(Signal) error
	capped   func(Capped)

	bucket  int64
	pending []Signal
	seen    map[uint64]struct{} // principals of the interval
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
	interval := r.Interval
	if interval <= 0 {
		interval = 5 * time.Minute
	}
	limit := r.MaxSignals
	if limit <= 0 {
		limit = 100
	}
	return &Limiter{rule: r, index: index, interval: int64(interval), limit: limit, yield: yield, capped: capped,
		seen: map[uint64]struct{}{},
	}
}

// Add takes the next finding; they must come in the order of [Hit.CompareTime].
func (l *Limiter) Add(h *Signal) error {
	bucket := floorDiv(h.Time, l.interval)
	if len(l.pending) > 0 && bucket != l.bucket {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	l.bucket = bucket
	_, repeat := l.seen[h.Principal]
	// Nothing that comes this late can be let through or kept any more, and memory
	// must not grow with the flood.
	if len(l.pending) >= l.limit+maxWithheld && (repeat || len(l.seen) >= l.limit) {
		l.over++
		l.Dropped++
	} else {
		l.pending = append(l.pending, *h)
	}
	l.seen[h.Principal] = struct{}{}
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
	told := map[uint64]struct{}{}
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
	for i := range withheld {
		withheld[i] = true
	}
	budget := l.limit
	told := map[uint64]struct{}{}
	for i := range l.pending {
		p := l.pending[i].Principal
		if _, ok := told[p]; !ok && budget > 0 {
			told[p] = struct{}{}
			withheld[i] = false
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

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
