package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DateMath is a time, or an expression of Elasticsearch's date math around now:
// "now-7d", "now-1d/d", "2026-01-31", "2026-01-31||+1M/d". It is evaluated in UTC.
//
// Days, weeks, months and years go by the calendar, hours and less by their length.
// H is another spelling of h, as in Elasticsearch.
type DateMath struct {
	text   string
	anchor time.Time // if not relative
	open   string    // the unit that the anchor leaves open: d for a date without time
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
	if len(s) > 256 {
		return DateMath{}, fmt.Errorf("%s is not a time: it is too long", quote(s))
	}
	m := DateMath{text: s}
	var ops string
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		m.now, ops = true, rest
	} else {
		anchor, rest, _ := strings.Cut(s, "||")
		var ok bool
		if m.anchor, m.open, ok = parseAnchor(anchor); !ok {
			return m, fmt.Errorf("%s is not a time: it begins neither with now nor with a date such as 2026-01-31T08:00:00Z", quote(s))
		}
		ops = rest
	}
	for ops != "" {
		st := dateStep{op: ops[0], n: 1}
		ops = ops[1:]
		digits := countDigits(ops)
		if digits > 0 {
			n, err := strconv.ParseInt(ops[:digits], 10, 32)
			if err != nil {
				return m, fmt.Errorf("%s is not date math: the number %s is too large", quote(s), ops[:digits])
			}
			st.n = int(n)
		}
		ops = ops[digits:]
		st.unit = dateUnit(ops)
		if st.unit == "" || strings.IndexByte("+-/", st.op) < 0 {
			return m, fmt.Errorf("%s is not date math: expected + or -, a number and one of ms, s, m, h, d, w, M, y", quote(s))
		}
		if st.op == '/' && digits > 0 && st.n != 1 {
			return m, fmt.Errorf("%s is not date math: rounding takes no number", quote(s))
		}
		ops = ops[len(st.unit):]
		if m.steps = append(m.steps, st); len(m.steps) > maxSteps {
			return m, fmt.Errorf("%s is not date math: more than %d steps", quote(s), maxSteps)
		}
	}
	return m, nil
}

func countDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// String returns the expression as it was read.
func (m DateMath) String() string { return m.text }

// Relative reports whether the time depends on now.
func (m DateMath) Relative() bool { return m.now }

// At returns the time, in UTC; where the expression names a span (a date without a
// time, a rounded unit), its first instant.
func (m DateMath) At(now time.Time) time.Time {
	t := m.anchor
	if m.now {
		t = now.UTC()
	}
	for _, st := range m.steps {
		t = st.apply(t)
	}
	return t
}

// End is [DateMath.At] for the last millisecond of the span.
func (m DateMath) End(now time.Time) time.Time {
	t := m.anchor
	if m.now {
		t = now.UTC()
	}
	t = lastOf(t, m.open)
	for _, st := range m.steps {
		t = st.apply(t)
		if st.op == '/' {
			t = lastOf(t, st.unit)
		}
	}
	// Steps of months can turn the order: they end on the last day of a shorter one.
	if at := m.At(now); t.Before(at) {
		return at
	}
	return t
}

func (st dateStep) apply(t time.Time) time.Time {
	switch st.op {
	case '/':
		return roundDown(t, st.unit)
	case '-':
		return shift(t, -st.n, st.unit)
	default:
		return shift(t, st.n, st.unit)
	}
}

// lastOf returns the last millisecond of the unit that begins at t.
func lastOf(t time.Time, unit string) time.Time {
	if unit == "" {
		return t
	}
	return shift(t, 1, unit).Add(-time.Millisecond)
}

// layouts are the forms of a time with the unit that each leaves open. Where
// seconds are there, a fraction may follow.
var layouts = [...]struct{ layout, open string }{ //nolint:gochecknoglobals // a constant table
	{time.RFC3339, "s"},
	{"2006-01-02T15:04:05", "s"},
	{"2006-01-02T15:04:05Z0700", "s"},
	{"2006-01-02 15:04:05", "s"},
	{"2006-01-02T15:04Z07:00", "m"},
	{"2006-01-02T15:04", "m"},
	{"2006-01-02T15Z07:00", "h"},
	{"2006-01-02T15", "h"},
	{"2006-01-02", "d"},
	{"2006-01", "M"},
	{"2006", "y"},
}

// parseAnchor reads a time; open is the unit that it leaves open.
func parseAnchor(s string) (t time.Time, open string, ok bool) {
	if countDigits(s) == len(s) && len(s) != len("2006") {
		return parseEpoch(s)
	}
	for i := range layouts {
		if t, err := time.Parse(layouts[i].layout, s); err == nil {
			open = layouts[i].open
			if open == "s" && strings.ContainsAny(s, ".,") {
				open = ""
			}
			return t.UTC(), open, true
		}
	}
	return time.Time{}, "", false
}

// parseEpoch reads milliseconds since 1970, up to the year 9999. Four digits are
// a year.
func parseEpoch(s string) (time.Time, string, bool) {
	const end = 253402300800000
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms >= end {
		return time.Time{}, "", false
	}
	return time.UnixMilli(ms).UTC(), "", true
}

// parseInstant reads a value of a date field, to the millisecond, which is what
// Elasticsearch keeps.
func parseInstant(s string) (time.Time, bool) {
	t, _, ok := parseAnchor(s)
	return t.Truncate(time.Millisecond), ok
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

// unitLength returns the length of a unit, or 0 for one that depends on the calendar.
func unitLength(unit string) time.Duration {
	switch unit {
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m":
		return time.Minute
	case "h", "H":
		return time.Hour
	case "d":
		return 24 * time.Hour
	case "w":
		return 7 * 24 * time.Hour
	}
	return 0
}

// shift moves t by n units. In UTC every day has 24 hours.
func shift(t time.Time, n int, unit string) time.Time {
	switch unit {
	case "M":
		return addMonths(t, n)
	case "y":
		return addMonths(t, 12*n)
	}
	length := unitLength(unit)
	if length >= 24*time.Hour {
		return t.AddDate(0, 0, n*int(length/(24*time.Hour)))
	}
	// A Duration holds 292 years only.
	perDay := int(24 * time.Hour / length)
	return t.AddDate(0, 0, n/perDay).Add(time.Duration(n%perDay) * length)
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
	case "ms", "s", "m", "h", "H":
		return t.Truncate(unitLength(unit))
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
	const most = time.Duration(1 << 62)
	var total time.Duration
	ok := s != ""
	for rest := s; rest != "" && ok; {
		digits := countDigits(rest)
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		name := dateUnit(rest[digits:])
		unit := unitLength(name)
		if ok = err == nil && unit > 0 && name != "H" && n <= int64((most-total)/unit); ok {
			total += time.Duration(n) * unit
			rest = rest[digits+len(name):]
		}
	}
	if !ok || total <= 0 {
		return 0, fmt.Errorf("%s is not a duration such as 90m, 12h or 7d", quote(s))
	}
	return total, nil
}
