package query

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Pattern is a wildcard pattern over whole values. It is immutable.
type Pattern struct {
	parts []string // the literal text between the stars; at least one
	one   rune     // stands for one character in parts; 0: nothing does
	fold  bool     // letter case does not matter
}

// NewPattern returns the pattern that matches the parts in order with any run of
// characters, newlines included, between them: one part is a literal, two parts
// are what "a*b" means.
func NewPattern(parts ...string) *Pattern {
	if len(parts) == 0 {
		parts = []string{""}
	}
	return &Pattern{parts: slices.Clone(parts)}
}

// ParsePattern returns the pattern of text in which * stands for any run of
// characters and, with one, ? for exactly one. Nothing is escaped. With fold,
// letters that differ only in case are equal, as in [strings.EqualFold].
func ParsePattern(text string, one, fold bool) *Pattern {
	p := &Pattern{parts: strings.Split(text, "*"), fold: fold}
	if one && strings.Contains(text, "?") {
		p.one = '?'
	}
	return p
}

// ParseWildcard returns the pattern of text as Elasticsearch's wildcard query reads
// it: * stands for any run of characters, ? for exactly one, and a backslash takes
// the meaning from the character behind it. With fold, letters that differ only in
// case are equal.
func ParseWildcard(text string, fold bool) *Pattern {
	p := &Pattern{fold: fold, one: '?'}
	if strings.Contains(text, `\?`) { // the text itself may hold a question mark
		for p.one = '\uE000'; strings.ContainsRune(text, p.one); p.one++ {
		}
	}
	var part strings.Builder
	one, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			part.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*':
			p.parts = append(p.parts, part.String())
			part.Reset()
		case r == '?':
			part.WriteRune(p.one)
			one = true
		default:
			part.WriteRune(r)
		}
	}
	if escaped { // a backslash at the end stands for itself
		part.WriteByte('\\')
	}
	p.parts = append(p.parts, part.String())
	if !one {
		p.one = 0
	}
	return p
}

// folded returns the pattern without regard to letter case.
func (p *Pattern) folded() *Pattern { return &Pattern{parts: p.parts, one: p.one, fold: true} }

// Match reports whether the pattern matches the whole of s. It takes time in
// proportion to the length of s times that of the longest part at worst, and
// allocates nothing.
func (p *Pattern) Match(s string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	n, ok := p.prefix(s, first)
	if !ok {
		return false
	}
	if len(p.parts) == 1 {
		return n == len(s)
	}
	s = s[n:]
	// The leftmost place for each part leaves most room for the next.
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i, n := p.index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+n:]
	}
	return p.suffix(s, last)
}

// bytewise reports whether parts are compared byte by byte.
func (p *Pattern) bytewise() bool { return p.one == 0 && !p.fold }

// prefix returns how many bytes of s the part takes at its beginning.
func (p *Pattern) prefix(s, part string) (int, bool) {
	if p.bytewise() {
		return len(part), strings.HasPrefix(s, part)
	}
	i := 0
	for _, want := range part {
		if i >= len(s) {
			return 0, false
		}
		got, n := utf8.DecodeRuneInString(s[i:])
		if !p.same(want, got) {
			return 0, false
		}
		i += n
	}
	return i, true
}

func (p *Pattern) same(want, got rune) bool {
	return want == got || want == p.one && p.one != 0 || p.fold && equalFold(want, got)
}

// equalFold reports whether a and b are the same letter. Three letters can be the
// same (K, k and the sign of Kelvin), so it goes round.
func equalFold(a, b rune) bool {
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return a == b
}

func (p *Pattern) suffix(s, part string) bool {
	if p.bytewise() {
		return strings.HasSuffix(s, part)
	}
	skip := utf8.RuneCountInString(s) - utf8.RuneCountInString(part)
	if skip < 0 {
		return false
	}
	for ; skip > 0; skip-- {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	_, ok := p.prefix(s, part)
	return ok
}

func (p *Pattern) index(s, part string) (at, width int) {
	if p.bytewise() {
		return strings.Index(s, part), len(part)
	}
	for i := 0; ; {
		if n, ok := p.prefix(s[i:], part); ok {
			return i, n
		}
		if i >= len(s) {
			return -1, 0
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
	}
}

// String returns the pattern with a * for each run.
func (p *Pattern) String() string { return strings.Join(p.parts, "*") }
