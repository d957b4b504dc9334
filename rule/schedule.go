package rule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/query"
)

// maxCount bounds counts and durations, so that arithmetic cannot overflow.
const maxCount = 1 << 40

// reference returns the instant at which relative times are compared with each
// other. It lies in the middle of its hour, day, month and year, so that rounding
// does what it does nearly always.
func reference() time.Time { return time.Date(2024, time.June, 12, 12, 30, 30, 500_000_000, time.UTC) }

func decodeSchedule(o object, r *Rule) {
	interval := o.strOr("interval", "5m")
	r.Interval = 5 * time.Minute
	d, err := parseInterval(interval)
	if err != nil {
		o.errorAt("interval", "bad-duration", "is wrong: "+err.Error(), "")
	} else {
		r.Interval = d
	}
	r.From, r.To = o.strOr("from", "now-6m"), o.strOr("to", "now")
	from, okFrom := o.dateMath("from", r.From)
	to, okTo := o.dateMath("to", r.To)
	if !okFrom || !okTo || err != nil || from.Relative() != to.Relative() {
		return
	}
	switch window := to.At(reference()).Sub(from.At(reference())); {
	case window <= 0:
		o.errorAt("from", "short-window", fmt.Sprintf("%s is not before to %s", r.From, r.To), "")
	case window < r.Interval:
		o.errorAt("from", "short-window",
			fmt.Sprintf("%s to %s is shorter than the interval %s: events between two runs would never be read", r.From, r.To, interval),
			"let from reach back by the interval and a minute or more")
	}
}

// dateMath checks the date math of a member that has the value s.
func (o object) dateMath(name, s string) (query.DateMath, bool) {
	m, err := parseDateMath(s)
	if err != nil {
		o.errorAt(name, "bad-date-math", "is wrong: "+err.Error(), "")
	}
	return m, err == nil
}

// parseDateMath reads a time of a rule's schedule as Kibana does: narrower than
// Elasticsearch, which knows the unit H and takes a number for milliseconds.
func parseDateMath(s string) (query.DateMath, error) {
	m, err := query.ParseDateMath(s)
	if err != nil {
		return m, err
	}
	anchor, steps, _ := strings.Cut(s, "||")
	if m.Relative() {
		steps = s
	} else if len(anchor) != len("2006") && strings.Trim(anchor, "0123456789") == "" {
		return m, fmt.Errorf("%q is not a time such as 2026-01-31T08:00:00Z", s)
	}
	if strings.Contains(steps, "H") {
		return m, fmt.Errorf("%q is not date math: the unit of hours is h", s)
	}
	return m, nil
}

// parseInterval reads a positive number without leading zero and s, m, h or d.
func parseInterval(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration such as 5m: a number and one of s, m, h, d", s)
	if len(s) < 2 || s[0] < '1' || s[0] > '9' {
		return 0, bad
	}
	if _, err := strconv.ParseUint(s[:len(s)-1], 10, 32); err != nil || strings.IndexByte("smhd", s[len(s)-1]) < 0 {
		return 0, bad
	}
	d, err := query.ParseDuration(s)
	if err != nil {
		return 0, bad
	}
	return d, nil
}
