package query_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/query"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern   string
		one, fold bool
		yes, no   []string
	}{
		{pattern: "", yes: []string{""}, no: []string{"a"}},
		{pattern: "a", yes: []string{"a"}, no: []string{"", "A", "aa", "ba"}},
		{pattern: "*", yes: []string{"", "a", "a\nb"}},
		{pattern: "**", yes: []string{"", "a"}},
		{pattern: "a*", yes: []string{"a", "ab", "a\n"}, no: []string{"", "ba"}},
		{pattern: "*a", yes: []string{"a", "ba"}, no: []string{"ab"}},
		{pattern: "a*a", yes: []string{"aa", "aba"}, no: []string{"a"}},
		{pattern: "ab*ba", yes: []string{"abba", "ab-ba"}, no: []string{"aba"}},
		{pattern: "*ab*ab*", yes: []string{"abab", "xabyabz"}, no: []string{"ab", "aabb"}},
		{pattern: "*aab", yes: []string{"aaab"}},
		{pattern: "a?c", yes: []string{"a?c"}, no: []string{"abc"}},
		{pattern: "a?c", one: true, yes: []string{"a?c", "abc", "aéc"}, no: []string{"ac", "abbc"}},
		{pattern: "*?", one: true, yes: []string{"a", "ab", "日"}, no: []string{""}},
		{pattern: "?*?", one: true, yes: []string{"ab", "日本"}, no: []string{"", "a", "日"}},
		{pattern: "*a?*", one: true, yes: []string{"xab", "aab"}, no: []string{"a", "ba"}},
		{pattern: "get*", fold: true, yes: []string{"GetObject", "get"}, no: []string{"Forget"}},
		{pattern: "*K", fold: true, yes: []string{"k", "xK", "\u212A"}},
		{pattern: "straße", fold: true, yes: []string{"STRAßE", "STRAẞE"}, no: []string{"STRASSE"}},
	} {
		p := query.ParsePattern(tc.pattern, tc.one, tc.fold)
		for _, s := range tc.yes {
			if !p.Match(s) {
				t.Errorf("%q (one %v, fold %v) does not match %q", tc.pattern, tc.one, tc.fold, s)
			}
		}
		for _, s := range tc.no {
			if p.Match(s) {
				t.Errorf("%q (one %v, fold %v) matches %q", tc.pattern, tc.one, tc.fold, s)
			}
		}
	}
}

func TestNewPatternTakesStarsLiterally(t *testing.T) {
	t.Parallel()
	p := query.NewPattern("a*", "b")
	if !p.Match("a*xb") || p.Match("axb") {
		t.Error("a star inside a part is not literal")
	}
	if p := query.NewPattern(); !p.Match("") || p.Match("a") {
		t.Error("a pattern without parts is not the empty text")
	}
}

func TestParseWildcard(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern string
		fold    bool
		yes, no []string
	}{
		{pattern: "", yes: []string{""}, no: []string{"a"}},
		{pattern: "a?c*", yes: []string{"abc", "a?cd"}, no: []string{"ac"}},
		{pattern: `a\?c`, yes: []string{"a?c"}, no: []string{"abc", `a\?c`}},
		{pattern: `a\*c`, yes: []string{"a*c"}, no: []string{"abc"}},
		{pattern: `a\??`, yes: []string{"a?c", "a??"}, no: []string{"abc", "a?"}},
		{pattern: `C:\\*`, yes: []string{`C:\x`}, no: []string{"C:x"}},
		{pattern: `a\b`, yes: []string{"ab"}, no: []string{`a\b`}},
		{pattern: `a\`, yes: []string{`a\`}},
		{pattern: "\uE000\\??", yes: []string{"\uE000?x"}, no: []string{"x?x"}},
		{pattern: "Get*", fold: true, yes: []string{"getObject"}, no: []string{"forget"}},
	} {
		p := query.ParseWildcard(tc.pattern, tc.fold)
		for _, s := range tc.yes {
			if !p.Match(s) {
				t.Errorf("%q (fold %v) does not match %q", tc.pattern, tc.fold, s)
			}
		}
		for _, s := range tc.no {
			if p.Match(s) {
				t.Errorf("%q (fold %v) matches %q", tc.pattern, tc.fold, s)
			}
		}
	}
}

// reference is the pattern as a regular expression.
func reference(pattern string, one, fold bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?s")
	if fold {
		b.WriteByte('i')
	}
	b.WriteString(`)\A(?:`)
	for _, r := range pattern {
		switch {
		case r == '*':
			b.WriteString(".*")
		case r == '?' && one:
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`)\z`)
	return regexp.MustCompile(b.String())
}

func checkPattern(t interface{ Fatalf(string, ...any) }, pattern, s string, one, fold bool) {
	want := reference(pattern, one, fold).MatchString(s)
	if got := query.ParsePattern(pattern, one, fold).Match(s); got != want {
		t.Fatalf("pattern %q (one %v, fold %v) on %q: %v, as a regular expression %v", pattern, one, fold, s, got, want)
	}
	if one && !strings.Contains(pattern, `\`) {
		if got := query.ParseWildcard(pattern, fold).Match(s); got != want {
			t.Fatalf("wildcard %q (fold %v) on %q: %v, as a regular expression %v", pattern, fold, s, got, want)
		}
	}
	if !one && !fold {
		if got := query.NewPattern(strings.Split(pattern, "*")...).Match(s); got != want {
			t.Fatalf("parts of %q on %q: %v, as a regular expression %v", pattern, s, got, want)
		}
	}
}

func TestPatternIsTheRegularExpression(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("aabAkKé?**\n\u212A")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("aabAkKé?*\n\u212A")), 0, 12, -1).Draw(t, "text")
		checkPattern(t, pattern, s, rapid.Bool().Draw(t, "one"), rapid.Bool().Draw(t, "fold"))
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("*ab*ab*", "xabyabz", false, false)
	f.Add("a?*", "A\u212Ab", true, true)
	f.Fuzz(func(t *testing.T, pattern, s string, one, fold bool) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(s) || strings.Count(pattern, "*") > 50 || len(pattern) > 500 {
			t.Skip()
		}
		checkPattern(t, pattern, s, one, fold)
	})
}
