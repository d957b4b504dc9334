package query

import (
	"strings"
	"unicode/utf8"
)

// A Pattern is a wildcard pattern over whole values. It is immutable.
type Pattern struct {
	parts []string // the literal text between the stars
	one   bool     // ? stands for one character
	fold  bool     // letter case does not matter
}

// NewPattern returns the pattern that matches the parts in order with any run of
// characters, newlines included, between them: one part is a literal, two parts
// are what "a*b" means.
func NewPattern(parts ...string) *Pattern { return &Pattern{parts: parts} }

// ParsePattern returns the pattern of text in which * stands for any run of
// characters and, with one, ? for exactly one. Nothing is escaped. With fold,
// letter case does not matter.
func ParsePattern(text string, one, fold bool) *Pattern {
	if fold {
		text = strings.ToLower(text)
	}
	return &Pattern{parts: strings.Split(text, "*"), one: one && strings.Contains(text, "?"), fold: fold}
}

// Match reports whether the pattern matches the whole of s. It takes time in
// proportion to the length of s times that of the pattern at worst.
func (p *Pattern) Match(s string) bool {
	if p.fold {
		s = strings.ToLower(s)
	}
	parts := p.parts
	if len(parts) == 1 {
		n, ok := p.prefix(s, parts[0])
		return ok && n == len(s)
	}
	n, ok := p.prefix(s, parts[0])
	if !ok {
		return false
	}
	s = s[n:]
	last := parts[len(parts)-1]
	// The leftmost place for each part leaves most room for the next.
	for _, part := range parts[1 : len(parts)-1] {
		i, n := p.index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+n:]
	}
	return p.suffix(s, last)
}

// prefix returns how many bytes of s the part takes at its beginning.
func (p *Pattern) prefix(s, part string) (int, bool) {
	if !p.one {
		return len(part), strings.HasPrefix(s, part)
	}
	i := 0
	for _, want := range part {
		if i >= len(s) {
			return 0, false
		}
		got, n := utf8.DecodeRuneInString(s[i:])
		if want != '?' && want != got {
			return 0, false
		}
		i += n
	}
	return i, true
}

func (p *Pattern) suffix(s, part string) bool {
	if !p.one {
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
	if !p.one {
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
