package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe returns s on one line and without anything that a terminal or a viewer acts
// on or hides: control characters and the escape sequences that begin with them,
// characters that change the direction of writing, invisible ones, and bytes that
// are not UTF-8. They are not dropped but spelled out, as \x1b or \u202e, so that
// whoever reads the report sees that they are there.
func Safe(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case visible(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}

// visible reports whether r leaves a mark, or is the plain space. Variation
// selectors and fillers count as printable in Unicode, yet show nothing.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// safeLines is Safe for a text of several lines. Tabs become spaces.
func safeLines(s string) []string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(s), "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = Safe(strings.ReplaceAll(l, "\t", "    "))
	}
	return lines
}

// Lengths of values in bytes, beyond which they are clipped.
const (
	maxName    = 160  // in a list, a table, a sentence
	maxMessage = 500  // of an error
	maxValue   = 2000 // where a value stands for itself
)

// clip cuts s to a number of bytes and says how many are missing.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "… (" + count(int64(len(s)-limit)) + " more bytes)"
}
