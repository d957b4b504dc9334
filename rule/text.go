package rule

import (
	"bytes"
	"unicode/utf8"
)

// textOffset returns where in the raw literal of a string, TOML's or JSON's with
// its quotes, the byte at offset want of its text stands.
func textOffset(raw []byte, want int) int {
	quote := 1
	if len(raw) >= 6 && (bytes.HasPrefix(raw, []byte(`"""`)) || bytes.HasPrefix(raw, []byte(`'''`))) {
		quote = 3
	}
	i, end := quote, max(quote, len(raw)-quote)
	if quote == 3 { // a line feed right behind the opening is not part of the text
		if i < end && raw[i] == '\r' {
			i++
		}
		if i < end && raw[i] == '\n' {
			i++
		}
	}
	escapes := len(raw) > 0 && raw[0] == '"'
	for at := 0; i < end; {
		n, text := 1, 1
		if escapes && raw[i] == '\\' {
			n, text = escapeLen(raw[i:end])
		}
		if at >= want && text > 0 {
			break
		}
		i, at = i+n, at+text
	}
	return min(i, len(raw))
}

// escapeLen returns the length of the escape that b begins with, and the length
// of what it stands for.
func escapeLen(b []byte) (raw, text int) {
	if len(b) < 2 {
		return len(b), 1
	}
	var digits int
	switch b[1] {
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case 'x':
		digits = 2
	case ' ', '\t', '\r', '\n': // TOML: the line goes on behind the white space
		n := 1
		for n < len(b) && bytes.IndexByte([]byte(" \t\r\n"), b[n]) >= 0 {
			n++
		}
		return n, 0
	default:
		return 2, 1
	}
	if len(b) < 2+digits {
		return len(b), 1
	}
	var r rune
	for _, c := range b[2 : 2+digits] {
		d := rune(c&0xf) + 9*rune(c>>6)
		r = r<<4 | d
	}
	// A surrogate pair of JSON is two escapes and four bytes: two for each half.
	if r >= 0xd800 && r < 0xe000 {
		return 2 + digits, 2
	}
	if !utf8.ValidRune(r) {
		return 2 + digits, utf8.UTFMax
	}
	return 2 + digits, utf8.RuneLen(r)
}
