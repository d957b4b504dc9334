package triage

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 200)
	for want, got := range map[string]string{
		"less than a second":           lasting(-time.Hour),
		"1 second":                     lasting(time.Second),
		"119 seconds":                  lasting(2*time.Minute - 1),
		"2 minutes":                    lasting(2 * time.Minute),
		"60 minutes":                   lasting(time.Hour),
		"47 hours":                     lasting(48*time.Hour - 1),
		"2 days":                       lasting(48 * time.Hour),
		"0 calls":                      amount(0, "call"),
		"1 call":                       amount(1, "call"),
		"2 properties":                 several(2, "property", "properties"),
		"0 times":                      times(0),
		"once":                         times(1),
		"twice":                        times(2),
		"3 times":                      times(3),
		"1.5 kB":                       size(1500),
		"999 bytes":                    size(999),
		"one line of it":               shown(" one\nline\t of it "),
		"äää…":                         cut(long, 3),
		"":                             enumerate(nil),
		"a":                            enumerate([]string{"a"}),
		"a, b and c":                   enumerate([]string{"a", "b", "c"}),
		"a, b and 1 more":              fewOf([]string{"a", "b", "c"}, 2),
		"a and b":                      fewOf([]string{"a", "b"}, 2),
		strings.Repeat("ä", 120) + "…": fewOf([]string{long}, 1),
	} {
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOneOf(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		pattern, text string
		want          bool
	}{
		{"logs", "logs", true},
		{"logs", "Logs", false},
		{"logs-*", "logs-", true},
		{"*-logs", "a/b-logs", true},
		{"a*c*e", "abcde", true},
		{"a*c*e", "aecd", false},
		{"a*a", "a", false},
		{"lo?s", "logs", false},
		{"*", "x", true},
		{"*", "", false},
	} {
		if got := oneOf([]string{"other", x.pattern}, x.text); got != x.want {
			t.Errorf("%q matches %q: %t", x.pattern, x.text, got)
		}
	}
}
