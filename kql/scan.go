package kql

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner reads the pieces that a query is written in. What a piece is depends on
// where it stands (or is an operator behind a condition, and a word elsewhere), so
// the parser asks for what can stand there.
type scanner struct {
	src string
	pos int
}

var operators = [...]string{"or", "and", "not"} //nolint:gochecknoglobals // a constant table

// space is what counts as white space.
const space = " \t\r\n\u00A0"

// special reports whether c ends an unquoted literal.
func special(c byte) bool { return strings.IndexByte(`\():<>"*{}`, c) >= 0 }

// spaceAt returns the length of the white space character at the beginning of s, or 0.
func spaceAt(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r':
		return 1
	case strings.HasPrefix(s, "\u00A0"):
		return len("\u00A0")
	}
	return 0
}

func (s *scanner) rest() string { return s.src[s.pos:] }
func (s *scanner) atEnd() bool  { return s.pos == len(s.src) }

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.atEnd() {
		return 0
	}
	return s.src[s.pos]
}

// space skips white space.
func (s *scanner) space() {
	for n := spaceAt(s.rest()); n > 0; n = spaceAt(s.rest()) {
		s.pos += n
	}
}

// keyword reports whether s begins with the word and white space, and how long the
// two are.
func keyword(s, word string) (length int, ok bool) {
	if len(s) <= len(word) || s[0]|0x20 != word[0] || !strings.EqualFold(s[:len(word)], word) {
		return 0, false
	}
	n := spaceAt(s[len(word):])
	return len(word) + n, n > 0
}

// infix skips an operator between two operands, if it is the next: white space on
// both sides.
func (s *scanner) infix(word string) bool {
	start := s.pos
	s.space()
	if n, ok := keyword(s.rest(), word); ok && s.pos > start {
		s.pos += n
		s.space()
		return true
	}
	s.pos = start
	return false
}

// not skips the operator not, if it is the next.
func (s *scanner) not() bool {
	n, ok := keyword(s.rest(), "not")
	if ok {
		s.pos += n
		s.space()
	}
	return ok
}

// operatorAhead reports whether an operator ends the unquoted literal here.
func operatorAhead(s string) bool {
	if _, not := keyword(s, "not"); not {
		return true
	}
	n := spaceAt(s)
	if n == 0 {
		return false
	}
	_, or := keyword(s[n:], "or")
	_, and := keyword(s[n:], "and")
	return or || and
}

// unquoted reads a run of characters, inner white space included. ok is false
// without one, and bad is set if an escape that there is not stands at pos.
func (s *scanner) unquoted() (parts []string, ok, bad bool) {
	var b strings.Builder
	// Where the last character stands that is not white space, and how much of the
	// text that is.
	start := s.pos
	end, kept := start, 0
scan:
	for !s.atEnd() {
		c := s.peek()
		switch n := spaceAt(s.rest()); {
		case c == '\\':
			text, n := escape(s.rest())
			if n == 0 {
				return nil, false, true
			}
			b.WriteString(text)
			s.pos += n
		case c == '*':
			parts = append(parts, b.String())
			b.Reset()
			s.pos++
		case special(c) || operatorAhead(s.rest()):
			break scan
		case n > 0:
			b.WriteString(s.src[s.pos : s.pos+n])
			s.pos += n
			continue
		default:
			_, n := utf8.DecodeRuneInString(s.rest())
			b.WriteString(s.src[s.pos : s.pos+n])
			s.pos += n
		}
		end, kept = s.pos, b.Len()
	}
	s.pos = end
	return append(parts, b.String()[:kept]), end > start, false
}

// escape resolves the escape that s begins with; n is its length, 0 if there is no
// such escape.
func escape(s string) (text string, n int) {
	if text, n = charEscape(s); n > 0 && (s[1] != 'n' || !isNot(s[1:])) {
		return text, n
	}
	if len(s) > 1 && special(s[1]) {
		return s[1:2], 2
	}
	for _, word := range operators {
		if len(s) > len(word) && strings.EqualFold(s[1:1+len(word)], word) {
			return s[1 : 1+len(word)], 1 + len(word)
		}
	}
	return "", 0
}

// isNot reports whether s begins with the operator not, or is the word not alone.
// Kibana reads \not as a newline and "ot", and its own escaping of values with a
// not in them is lost by that.
func isNot(s string) bool {
	_, ok := keyword(s, "not")
	return ok || strings.EqualFold(s, "not")
}

// charEscape resolves the escapes that quoted and unquoted literals have in common.
func charEscape(s string) (text string, n int) {
	if len(s) < 2 {
		return "", 0
	}
	switch s[1] {
	case 't':
		return "\t", 2
	case 'r':
		return "\r", 2
	case 'n':
		return "\n", 2
	case 'u':
		r, ok := unit(s)
		if !ok {
			return "", 0
		}
		if low, ok := unit(s[6:]); ok && utf16.IsSurrogate(r) {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return string(both), 12
			}
		}
		return string(r), 6 // half a pair becomes U+FFFD, as in a record
	}
	return "", 0
}

// unit reads \uXXXX.
func unit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

// quoted reads a literal in double quotes, at which s stands; ok is false if it
// does not end.
func (s *scanner) quoted() (text string, ok bool) {
	var b strings.Builder
	for i := s.pos + 1; i < len(s.src); {
		switch c := s.src[i]; c {
		case '"':
			s.pos = i + 1
			return b.String(), true
		case '\\':
			text, n := charEscape(s.src[i:])
			if n == 0 && i+1 < len(s.src) && (s.src[i+1] == '"' || s.src[i+1] == '\\') {
				text, n = s.src[i+1:i+2], 2
			}
			if n == 0 { // an escape that there is not stands for itself
				text, n = `\`, 1
			}
			b.WriteString(text)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return "", false
}
