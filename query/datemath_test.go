package query_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/query"
)

// now is a Wednesday.
var now = time.Date(2026, 3, 4, 10, 20, 30, 456_000_000, time.UTC)

func TestDateMath(t *testing.T) {
	t.Parallel()
	const layout = "2006-01-02T15:04:05.000"
	for _, tc := range []struct{ expr, at, end string }{
		{"now", "2026-03-04T10:20:30.456", ""},
		{"now-9m", "2026-03-04T10:11:30.456", ""},
		{"now-m", "2026-03-04T10:19:30.456", ""},
		{"now+1s-1s", "2026-03-04T10:20:30.456", ""},
		{"now-456ms", "2026-03-04T10:20:30.000", ""},
		{"now-7d", "2026-02-25T10:20:30.456", ""},
		{"now-2w", "2026-02-18T10:20:30.456", ""},
		{"now-1M", "2026-02-04T10:20:30.456", ""},
		{"now-1y", "2025-03-04T10:20:30.456", ""},
		{"now-2h", "2026-03-04T08:20:30.456", ""},
		{"now-2H", "2026-03-04T08:20:30.456", ""},
		{"now-100d", "2025-11-24T10:20:30.456", ""},
		{"now/d", "2026-03-04T00:00:00.000", "2026-03-04T23:59:59.999"},
		{"now/1d", "2026-03-04T00:00:00.000", "2026-03-04T23:59:59.999"},
		{"now/h", "2026-03-04T10:00:00.000", "2026-03-04T10:59:59.999"},
		{"now/m", "2026-03-04T10:20:00.000", "2026-03-04T10:20:59.999"},
		{"now/s", "2026-03-04T10:20:30.000", "2026-03-04T10:20:30.999"},
		{"now/ms", "2026-03-04T10:20:30.456", "2026-03-04T10:20:30.456"},
		{"now/w", "2026-03-02T00:00:00.000", "2026-03-08T23:59:59.999"},
		{"now/M", "2026-03-01T00:00:00.000", "2026-03-31T23:59:59.999"},
		{"now/y", "2026-01-01T00:00:00.000", "2026-12-31T23:59:59.999"},
		{"now-1d/d", "2026-03-03T00:00:00.000", "2026-03-03T23:59:59.999"},
		{"now/d+1h", "2026-03-04T01:00:00.000", "2026-03-05T00:59:59.999"},
		{"2026-01-31", "2026-01-31T00:00:00.000", "2026-01-31T23:59:59.999"},
		{"2026-01-31||", "2026-01-31T00:00:00.000", "2026-01-31T23:59:59.999"},
		{"2026-01-31||+1M/d", "2026-02-28T00:00:00.000", "2026-02-28T23:59:59.999"},
		{"2024-01-31||+1M", "2024-02-29T00:00:00.000", "2024-02-29T23:59:59.999"},
		{"2024-02-29||+1y", "2025-02-28T00:00:00.000", "2025-02-28T23:59:59.999"},
		{"2026-01||+1M", "2026-02-01T00:00:00.000", "2026-02-28T23:59:59.999"},
		{"2026", "2026-01-01T00:00:00.000", "2026-12-31T23:59:59.999"},
		{"2026-02", "2026-02-01T00:00:00.000", "2026-02-28T23:59:59.999"},
		{"2026-01-31T08", "2026-01-31T08:00:00.000", "2026-01-31T08:59:59.999"},
		{"2026-01-31T08:09Z", "2026-01-31T08:09:00.000", "2026-01-31T08:09:59.999"},
		{"2026-01-31T08:09:10Z", "2026-01-31T08:09:10.000", "2026-01-31T08:09:10.999"},
		{"2026-01-31T08:09:10.5Z", "2026-01-31T08:09:10.500", ""},
		{"2026-01-31T08:09:10.123+02:00", "2026-01-31T06:09:10.123", ""},
		{"2026-01-31T08:09:10+0200", "2026-01-31T06:09:10.000", "2026-01-31T06:09:10.999"},
		{"2026-01-31 08:09:10.123", "2026-01-31T08:09:10.123", ""},
		{"1769846950123", "2026-01-31T08:09:10.123", ""},
		{"0", "1970-01-01T00:00:00.000", ""},
	} {
		m, err := query.ParseDateMath(tc.expr)
		if err != nil {
			t.Errorf("%s: %v", tc.expr, err)
			continue
		}
		if tc.end == "" {
			tc.end = tc.at
		}
		at, end := m.At(now), m.End(now)
		if at.Format(layout) != tc.at || end.Format(layout) != tc.end {
			t.Errorf("%s: from %s to %s, want %s to %s", tc.expr, at.Format(layout), end.Format(layout), tc.at, tc.end)
		}
		if m.String() != tc.expr {
			t.Errorf("%s prints as %s", tc.expr, m)
		}
		if want := tc.expr[0] == 'n'; m.Relative() != want {
			t.Errorf("%s: relative %v", tc.expr, m.Relative())
		}
	}
}

func TestDateMathRejects(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{
		"", "now-", "now-7", "now-7x", "now/2d", "now/0d", "now/", "now 7d", "now- 7d", "nowd", "now-7d ", "now*7d", "Now",
		"now||-1d", "yesterday", "2026-13-01", "2026-02-30", "26-01-01", "2026-01-31-1d", "2026-01-31|+1d",
		"2026-1-1", "now-99999999999d", "999999999999999", "9999999999999999999999", "-1", "2026-01-31T25:00:00Z",
	} {
		if m, err := query.ParseDateMath(expr); err == nil {
			t.Errorf("%q is accepted as %s", expr, m.At(now))
		}
	}
}

func TestDateMathNeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		expr := rapid.StringMatching(`(now|2026-01-31\|\|)([+-][0-9]{0,10}(ms|[smhdwMy])|/(ms|[smhdwMy])){0,6}`).Draw(t, "expr")
		m, err := query.ParseDateMath(expr)
		if err != nil {
			return // a number that is too large
		}
		if at, end := m.At(now), m.End(now); end.Before(at) {
			t.Fatalf("%s ends at %s, before it begins at %s", expr, end, at)
		}
	})
}

func FuzzParseDateMath(f *testing.F) {
	f.Add("now-7d/d+1h")
	f.Add("2026-01-31T08:09:10.123Z||+1M")
	f.Fuzz(func(t *testing.T, expr string) {
		m, err := query.ParseDateMath(expr)
		if err != nil {
			return
		}
		if m.String() != expr {
			t.Errorf("%q prints as %q", expr, m)
		}
		if m.End(now).Before(m.At(now)) {
			t.Errorf("%q ends before it begins", expr)
		}
		if !m.Relative() && !m.At(now).Equal(m.At(now.Add(time.Hour))) {
			t.Errorf("%q is not relative, but depends on now", expr)
		}
	})
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"5m": 5 * time.Minute, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour,
		"2w": 14 * 24 * time.Hour, "10ms": 10 * time.Millisecond, "1d1ms": 24*time.Hour + time.Millisecond,
	} {
		if got, err := query.ParseDuration(s); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0m", "m", "5", "-5m", "5 m", "1M", "1y", "1H", "1.5h", "5m5", "999999999999999999w", "99999999999999999999h", "100w99999999w99999999w"} {
		if got, err := query.ParseDuration(s); err == nil {
			t.Errorf("%q is accepted as %v", s, got)
		}
	}
}
