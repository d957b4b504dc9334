package rawjson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 512

// ErrTruncated means that the text ended inside a value.
var ErrTruncated = errors.New("unexpected end of JSON")

// A SyntaxError says what is wrong and at which byte of the text given.
type SyntaxError struct {
	Offset int
	Msg    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Msg, e.Offset) }

func syntax(off int, msg string) error { return &SyntaxError{off, msg} }

// Space returns the index of the first byte of b at or after i that is not JSON
// white space (len(b) if there is none).
func Space(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}

// Skip checks the value that begins at b[i] (no leading space) against the full
// grammar of RFC 8259 and returns the index behind it. It allocates only for an error.
func Skip(b []byte, i int) (int, error) { return skip(b, i, 0) }

func skip(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, ErrTruncated
	}
	switch c := b[i]; c {
	case '"':
		return SkipString(b, i)
	case '{', '[':
		if depth >= MaxDepth {
			return i, syntax(i, "nested too deep")
		}
		return skipContainer(b, i, depth+1, c == '{')
	case 't':
		return literal(b, i, "true")
	case 'f':
		return literal(b, i, "false")
	case 'n':
		return literal(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

func skipContainer(b []byte, i, depth int, object bool) (int, error) {
	closing := byte(']')
	if object {
		closing = '}'
	}
	i = Space(b, i+1)
	if i < len(b) && b[i] == closing {
		return i + 1, nil
	}
	for {
		var err error
		if object {
			if i, err = SkipString(b, i); err != nil {
				return i, err
			}
			if i = Space(b, i); i >= len(b) {
				return i, ErrTruncated
			}
			if b[i] != ':' {
				return i, syntax(i, "expected ':' after a member name")
			}
			i = Space(b, i+1)
		}
		if i, err = skip(b, i, depth); err != nil {
			return i, err
		}
		if i = Space(b, i); i >= len(b) {
			return i, ErrTruncated
		}
		switch b[i] {
		case ',':
			i = Space(b, i+1)
		case closing:
			return i + 1, nil
		default:
			return i, syntax(i, "expected ',' or the end of the container")
		}
	}
}

func literal(b []byte, i int, want string) (int, error) {
	end := i + len(want)
	if end <= len(b) && string(b[i:end]) == want {
		return end, nil
	}
	if end > len(b) && string(b[i:]) == want[:len(b)-i] {
		return len(b), ErrTruncated
	}
	return i, syntax(i, "expected a JSON value")
}

// SkipString checks the string that begins at b[i] and returns the index behind it.
func SkipString(b []byte, i int) (int, error) {
	if i >= len(b) {
		return i, ErrTruncated
	}
	if b[i] != '"' {
		return i, syntax(i, "expected a string")
	}
	for i++; ; {
		// Eight bytes at a time while none of them needs a look.
		for i+8 <= len(b) && plain(binary.LittleEndian.Uint64(b[i:])) {
			i += 8
		}
		for n := 0; n < 8; n++ {
			if i >= len(b) {
				return i, ErrTruncated
			}
			switch c := b[i]; {
			case c == '"':
				return i + 1, nil
			case c == '\\':
				var err error
				if i, err = skipEscape(b, i); err != nil {
					return i, err
				}
			case c < 0x20:
				return i, syntax(i, "control character in a string")
			default:
				i++
			}
		}
	}
}

// plain reports whether none of the eight bytes of w is a quote, a backslash or a
// control character. It may say no wrongly, never yes.
func plain(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := w ^ (ones * '"')
	slash := w ^ (ones * '\\')
	return ((quote-ones)&^quote|(slash-ones)&^slash|(w-ones*0x20)&^w)&highs == 0
}

// skipEscape checks the escape whose backslash is b[i].
func skipEscape(b []byte, i int) (int, error) {
	if i++; i >= len(b) {
		return i, ErrTruncated
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, nil
	case 'u':
		for k := 1; k <= 4; k++ {
			if i+k >= len(b) {
				return len(b), ErrTruncated
			}
			if unhex(b[i+k]) < 0 {
				return i, syntax(i, "bad \\u escape")
			}
		}
		return i + 5, nil
	}
	return i, syntax(i, "unknown escape")
}

func skipNumber(b []byte, i int) (int, error) {
	start := i
	if b[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	switch {
	case i >= len(b):
		return i, ErrTruncated
	case b[i] == '0':
		i++
	case !digits():
		return start, syntax(start, "expected a JSON value")
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return i, numberEnd(b, i)
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return i, numberEnd(b, i)
		}
	}
	return i, nil
}

func numberEnd(b []byte, i int) error {
	if i >= len(b) {
		return ErrTruncated
	}
	return syntax(i, "bad number")
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// A Cursor walks the members of an object or the elements of an array whose text
// has been checked by [Skip]. The zero Cursor has nothing to give.
//
//	for c := rawjson.Walk(obj); c.Next(); {
//		use(c.Name(), c.Value())
//	}
type Cursor struct {
	b           []byte
	i           int
	object      bool
	name, value []byte
}

// Walk starts a Cursor over v, an object or array (leading space allowed). Over
// any other value the Cursor is empty.
func Walk(v []byte) Cursor {
	i := Space(v, 0)
	if i < len(v) && (v[i] == '{' || v[i] == '[') {
		return Cursor{b: v, i: i + 1, object: v[i] == '{'}
	}
	return Cursor{}
}

// Next moves to the next member or element.
func (c *Cursor) Next() bool {
	i := Space(c.b, c.i)
	if i < len(c.b) && c.b[i] == ',' {
		i = Space(c.b, i+1)
	}
	if i >= len(c.b) || c.b[i] == '}' || c.b[i] == ']' {
		return false
	}
	var err error
	if c.object {
		start := i
		if i, err = SkipString(c.b, i); err != nil {
			return false
		}
		c.name = c.b[start:i]
		i = Space(c.b, Space(c.b, i)+1)
	}
	start := i
	if i, err = Skip(c.b, i); err != nil {
		return false
	}
	c.value, c.i = c.b[start:i], i
	return true
}

// Name returns the raw name of the current member, quotes included.
func (c *Cursor) Name() []byte { return c.name }

// Value returns the raw text of the current value, without surrounding space.
func (c *Cursor) Value() []byte { return c.value }

// NameIs reports whether the current member's name, unescaped, is name.
func (c *Cursor) NameIs(name string) bool { return Equal(c.name, name) }

// Equal reports whether the raw JSON string v, unescaped, is s.
func Equal(v []byte, s string) bool {
	if len(v) < 2 || v[0] != '"' {
		return false
	}
	in := v[1 : len(v)-1]
	if len(in) == len(s) && string(in) == s {
		// Equal bytes mean equal text unless s itself contains a backslash.
		return !hasBackslash(in)
	}
	return hasBackslash(in) && String(v) == s
}

func hasBackslash(b []byte) bool {
	return bytes.IndexByte(b, '\\') >= 0
}

// Get returns the raw value of the first member of obj with the given name, or nil.
func Get(obj []byte, name string) []byte {
	for c := Walk(obj); c.Next(); {
		if c.object && c.NameIs(name) {
			return c.value
		}
	}
	return nil
}

// Path returns the raw value that names lead to through objects, or nil. It does
// not look into arrays.
func Path(v []byte, names ...string) []byte {
	for _, n := range names {
		if v = Get(v, n); v == nil {
			return nil
		}
	}
	return v
}

// String returns the text of the raw JSON string v (quotes included). Without
// escapes and broken UTF-8 the result shares v's memory; the caller clones what
// it keeps. Broken UTF-8 and lone surrogates become U+FFFD. For anything that is
// not a string it returns the raw text itself.
func String(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return view(v)
	}
	in := v[1 : len(v)-1]
	plain := true
	for _, c := range in {
		if c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return view(in)
	}
	if !hasBackslash(in) && utf8.Valid(in) {
		return view(in)
	}
	return string(Unquote(make([]byte, 0, len(in)), v))
}

func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// Unquote appends the text of the raw JSON string v to dst.
func Unquote(dst, v []byte) []byte {
	in := v[1 : len(v)-1]
	for i := 0; i < len(in); {
		c := in[i]
		switch {
		case c == '\\' && i+1 < len(in):
			i++
			switch in[i] {
			case 'b':
				dst = append(dst, '\b')
			case 'f':
				dst = append(dst, '\f')
			case 'n':
				dst = append(dst, '\n')
			case 'r':
				dst = append(dst, '\r')
			case 't':
				dst = append(dst, '\t')
			case 'u':
				r := hex4(in, i+1)
				i += 4
				if utf16.IsSurrogate(r) {
					if i+2 < len(in) && in[i+1] == '\\' && in[i+2] == 'u' {
						if p := utf16.DecodeRune(r, hex4(in, i+3)); p != utf8.RuneError {
							r, i = p, i+6
						} else {
							r = utf8.RuneError
						}
					} else {
						r = utf8.RuneError
					}
				}
				dst = utf8.AppendRune(dst, r)
			default:
				dst = append(dst, in[i])
			}
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(in[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst
}

func hex4(b []byte, i int) rune {
	var r rune
	for k := range 4 {
		if i+k >= len(b) {
			return utf8.RuneError
		}
		r = r<<4 | rune(unhex(b[i+k])&0xf)
	}
	return r
}
