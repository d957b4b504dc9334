package rule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxCount bounds counts and durations, so that arithmetic cannot overflow.
const maxCount = 1 << 40

// parseInterval reads a positive number without leading zero and s, m, h or d.
func parseInterval(s string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if len(s) < 2 || s[0] < '1' || s[0] > '9' {
		return 0, fmt.Errorf("%q is not a duration such as 5m", s)
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil || n > uint64(1<<62/int64(unit)) {
		return 0, fmt.Errorf("%q is not a duration such as 5m: a number and one of s, m, h, d", s)
	}
	return time.Duration(n) * unit, nil
}

// parseDateMath evaluates Elasticsearch date math for one instant.
func parseDateMath(s string, now time.Time) (time.Time, error) {
	t, ops := now.UTC(), ""
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		ops = rest
	} else {
		anchor, rest, _ := strings.Cut(s, "||")
		var err error
		if t, err = parseTime(anchor); err != nil {
			return time.Time{}, fmt.Errorf("%q is not date math: it begins neither with now nor with a time", s)
		}
		ops = rest
	}
	for ops != "" {
		op := ops[0]
		ops = ops[1:]
		digits := 0
		for digits < len(ops) && ops[digits] >= '0' && ops[digits] <= '9' {
			digits++
		}
		n := 1
		if digits > 0 {
			v, err := strconv.ParseInt(ops[:digits], 10, 32)
			if err != nil {
				return time.Time{}, fmt.Errorf("%q is not date math: the number %s is too large", s, ops[:digits])
			}
			n = int(v)
		}
		ops = ops[digits:]
		unit := unitOf(ops)
		if unit == "" || !strings.ContainsRune("+-/", rune(op)) {
			return time.Time{}, fmt.Errorf("%q is not date math: expected + or -, a number and one of s, m, h, d, w, M, y", s)
		}
		ops = ops[len(unit):]
		switch {
		case op == '/' && n != 1:
			return time.Time{}, fmt.Errorf("%q is not date math: rounding takes no number", s)
		case op == '/':
			t = roundDown(t, unit)
		case op == '-':
			t = shift(t, -n, unit)
		default:
			t = shift(t, n, unit)
		}
	}
	return t, nil
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-01-31T00:00:00Z", s)
}

func unitOf(s string) string {
	if strings.HasPrefix(s, "ms") {
		return "ms"
	}
	if s != "" && strings.IndexByte("smhdwMy", s[0]) >= 0 {
		return s[:1]
	}
	return ""
}

func shift(t time.Time, n int, unit string) time.Time {
	fixed := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour}
	switch unit {
	case "d":
		return t.AddDate(0, 0, n)
	case "w":
		return t.AddDate(0, 0, 7*n)
	case "M":
		return t.AddDate(0, n, 0)
	case "y":
		return t.AddDate(n, 0, 0)
	}
	return t.Add(time.Duration(n) * fixed[unit])
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
	case "h":
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
