package query

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// words splits analysed text as a standard analyser does for what logs hold: runs
// of letters, digits and underscores.
func words(s string) []string { return strings.FieldsFunc(s, notWord) }

func notWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }

// nextWord returns the first word of s and what is behind it. It is what words does
// step by step, because that allocates.
func nextWord(s string) (word, rest string) {
	s = strings.TrimLeftFunc(s, notWord)
	if i := strings.IndexFunc(s, notWord); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// anyWordTest tests whether a text has one of the words of literal.
func anyWordTest(literal string) test {
	want := words(literal)
	return func(v string, _ time.Time) bool {
		for word, rest := nextWord(v); word != ""; word, rest = nextWord(rest) {
			if slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, word) }) {
				return true
			}
		}
		return false
	}
}

// phraseTest tests whether a text has the words of literal side by side.
func phraseTest(literal string) test {
	want := words(literal)
	return func(v string, _ time.Time) bool {
		for len(want) > 0 && v != "" {
			if beginsWith(v, want) {
				return true
			}
			_, v = nextWord(v)
		}
		return false
	}
}

func beginsWith(s string, want []string) bool {
	for _, w := range want {
		var word string
		if word, s = nextWord(s); !strings.EqualFold(w, word) {
			return false
		}
	}
	return true
}

// wordPatternTest tests whether a text, or one of its words, matches p.
func wordPatternTest(p *Pattern) test {
	return func(v string, _ time.Time) bool {
		if p.Match(v) {
			return true
		}
		for word, rest := nextWord(v); word != ""; word, rest = nextWord(rest) {
			if p.Match(word) {
				return true
			}
		}
		return false
	}
}
