package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DateMath is a time, or an expression of Elasticsearch's date math around now:
// "now-7d", "now-1d/d", "2026-01-31", "2026-01-31||+1M/d". It is evaluated in UTC.
type DateMath struct {
	text   string
	anchor time.Time     // if not relative
	unit   time.Duration // what the anchor leaves open: a day for a date without time
	now    bool
	steps  []dateStep
}

type dateStep struct {
	op   byte // + - or /
	n    int
	unit string
}

// maxSteps bounds an expression.
const maxSteps = 32

// ParseDateMath reads s.
func ParseDateMath(s string) (DateMath, error) {
	m := DateMath{text: s}
	ops := ""
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		m.now, ops = true, rest
	} else {
		anchor, rest, _ := strings.Cut(s, "||")
		ok := false
		if m.anchor, m.unit, ok = parseAnchor(anchor); !ok {
			return m, fmt.Errorf("%q is not a time: it begins neither with now nor with a date such as 2026-01-31T08:00:00Z", s)
		}
		ops = rest
	}
	for ops != "" {
		st := dateStep{op: ops[0], n: 1}
		ops = ops[1:]
		digits := 0
		for digits < len(ops) && ops[digits] >= '0' && ops[digits] <= '9' {
			digits++
		}
		if digits > 0 {
			n, err := strconv.ParseInt(ops[:digits], 10, 32)
			if err != nil {
				return m, fmt.Errorf("%q is not date math: the number %s is too large", s, ops[:digits])
			}
			st.n = int(n)
		}
		ops = ops[digits:]
		st.unit = dateUnit(ops)
		if st.unit == "" || !strings.ContainsRune("+-/", rune(st.op)) {
			return m, fmt.Errorf("%q is not date math: expected + or -, a number and one of s, m, h, d, w, M, y", s)
		}
		if st.op == '/' && st.n != 1 {
			return m, fmt.Errorf("%q is not date math: rounding takes no number", s)
		}
		ops = ops[len(st.unit):]
		if m.steps = append(m.steps, st); len(m.steps) > maxSteps {
			return m, fmt.Errorf("%q is not date math: more than %d steps", s, maxSteps)
		}
	}
	return m, nil
}

// String returns the expression as it was read.
func (m DateMath) String() string { return m.text }

// Relative reports whether the time depends on now.
func (m DateMath) Relative() bool { return m.now }

// At returns the time, in UTC; where the expression names a span (a date without a
// time, a rounded unit), its first instant.
func (m DateMath) At(now time.Time) time.Time {
	t, _ := m.evaluate(now)
	return t
}

// End is [DateMath.At] for the last millisecond of the span.
func (m DateMath) End(now time.Time) time.Time {
	t, end := m.evaluate(now)
	if end.After(t) {
		return end.Add(-time.Millisecond)
	}
	return t
}

func (m DateMath) evaluate(now time.Time) (start, end time.Time) {
	t := m.anchor
	span := func(t time.Time) time.Time { return t.Add(m.unit) }
	if m.now {
		t = now.UTC()
	}
	for _, st := range m.steps {
		switch st.op {
		case '/':
			t = roundDown(t, st.unit)
			span = func(t time.Time) time.Time { return shift(t, 1, st.unit) }
		case '-':
			t = shift(t, -st.n, st.unit)
		default:
			t = shift(t, st.n, st.unit)
		}
	}
	return t, span(t)
}

// parseAnchor reads a time; unit is what it leaves open.
func parseAnchor(s string) (t time.Time, unit time.Duration, ok bool) {
	for _, l := range []struct {
		layout string
		unit   time.Duration
	}{
		{time.RFC3339Nano, 0},
		{"2006-01-02T15:04:05.999999999", 0},
		{"2006-01-02T15:04:05.999999999-0700", 0},
		{"2006-01-02 15:04:05.999999999", 0},
		{"2006-01-02T15:04Z07:00", time.Minute},
		{"2006-01-02T15:04", time.Minute},
		{"2006-01-02T15", time.Hour},
		{"2006-01-02", 24 * time.Hour},
	} {
		if t, err := time.Parse(l.layout, s); err == nil {
			return t.UTC(), l.unit, true
		}
	}
	switch len(s) {
	case 7, 4: // a month, a year
		if t, err := time.Parse("2006-01"[:len(s)], s); err == nil {
			end := t.AddDate(0, 1, 0)
			if len(s) == 4 {
				end = t.AddDate(1, 0, 0)
			}
			return t, end.Sub(t), true
		}
	case 12, 13, 14: // epoch milliseconds
		if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.UnixMilli(ms).UTC(), 0, true
		}
	}
	return time.Time{}, 0, false
}

// parseInstant reads a value of a date field.
func parseInstant(s string) (time.Time, bool) {
	t, _, ok := parseAnchor(s)
	return t, ok
}

func dateUnit(s string) string {
	if strings.HasPrefix(s, "ms") {
		return "ms"
	}
	if s != "" && strings.IndexByte("smhHdwMy", s[0]) >= 0 {
		return s[:1]
	}
	return ""
}

func shift(t time.Time, n int, unit string) time.Time {
	switch unit {
	case "d":
		return t.AddDate(0, 0, n)
	case "w":
		return t.AddDate(0, 0, 7*n)
	case "M":
		return addMonths(t, n)
	case "y":
		return addMonths(t, 12*n)
	}
	fixed := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "H": time.Hour}
	return t.Add(time.Duration(n) * fixed[unit])
}

// addMonths keeps the day of the month, or takes the last one: a month after 31
// January is the end of February, as in Java's calendar.
func addMonths(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(d, last)-1)
}

func roundDown(t time.Time, unit string) time.Time {
	y, month, d := t.Date()
	switch unit {
	case "ms":
		return t.Truncate(time.Millisecond)
	case "s":
		return t.Truncate(time.Second)
	case "m":
		return t.Truncate(time.Minute)
	case "h", "H":
		return t.Truncate(time.Hour)
	case "w": // weeks begin on Monday
		d -= (int(t.Weekday()) + 6) % 7
	case "M":
		d = 1
	case "y":
		month, d = time.January, 1
	}
	return time.Date(y, month, d, 0, 0, 0, 0, time.UTC)
}

// ParseDuration reads a length of time: whole numbers with ms, s, m, h, d or w, one
// after the other ("1h30m", "7d"). It is positive.
func ParseDuration(s string) (time.Duration, error) {
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	bad := func() (time.Duration, error) {
		return 0, fmt.Errorf("%q is not a duration such as 90m, 12h or 7d", s)
	}
	var total time.Duration
	for rest := s; rest != ""; {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		unit, ok := units[dateUnit(rest[digits:])]
		if err != nil || !ok || n > int64((1<<62)/unit)-int64(total/unit) {
			return bad()
		}
		total += time.Duration(n) * unit
		rest = rest[digits+len(dateUnit(rest[digits:])):]
	}
	if total <= 0 {
		return bad()
	}
	return total, nil
}
