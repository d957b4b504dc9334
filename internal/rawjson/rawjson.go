package rawjson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep arrays and objects may nest. Whoever looks at everything in a
// value with a [Cursor] passes over its end once for each level around it, so this
// bounds what a hostile record costs; CloudTrail's own stay below 20.
const MaxDepth = 128

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
//
// It is one loop over four places in the grammar and a stack of one bit a level: a
// function that calls itself for each value takes half as long again.
func Skip(b []byte, i int) (int, error) {
	if i < len(b) && b[i] == '"' {
		return SkipString(b, i)
	}
	var (
		objects [MaxDepth / 64]uint64 // bit d: level d is an object
		depth   int
		object  bool // the innermost level is one
		isName  bool // the string at i is a member's name
		err     error
	)
value:
	if i >= len(b) {
		return i, ErrTruncated
	}
	switch b[i] {
	case '"':
		goto text
	case '{', '[':
		if depth == MaxDepth {
			return i, syntax(i, "nested too deep")
		}
		object = b[i] == '{'
		if object {
			objects[depth/64] |= 1 << (depth % 64)
		} else {
			objects[depth/64] &^= 1 << (depth % 64)
		}
		depth++
		if i = Space(b, i+1); i < len(b) && b[i] == '}' && object || i < len(b) && b[i] == ']' && !object {
			goto closed
		}
		if object {
			goto member
		}
		goto value
	default:
		if i, err = skipScalar(b, i); err != nil {
			return i, err
		}
		goto behind
	}

member:
	if i >= len(b) {
		return i, ErrTruncated
	}
	if b[i] != '"' {
		return i, syntax(i, "expected a string")
	}
name:
	i = nextSpecial(b, i+1)
	if i+2 < len(b) && b[i] == '"' && b[i+1] == ':' && b[i+2] > ' ' { // nearly always
		i += 2
		goto value
	}
	isName = true
	goto inText

text:
	i = nextSpecial(b, i+1)
	if i+2 < len(b) && b[i] == '"' && b[i+1] == ',' && b[i+2] == '"' && object { // mostly
		i += 2
		goto name
	}

inText:
	if i, err = closeString(b, i); err != nil {
		return i, err
	}
	if isName {
		isName = false
		if i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
		if i >= len(b) {
			return i, ErrTruncated
		}
		if b[i] != ':' {
			return i, syntax(i, "expected ':' after a member name")
		}
		if i++; i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
		goto value
	}

behind:
	if depth == 0 {
		return i, nil
	}
	if i < len(b) && b[i] <= ' ' {
		i = Space(b, i)
	}
	if i >= len(b) {
		return i, ErrTruncated
	}
	switch c := b[i]; {
	case c == ',':
		if i++; i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
		if object {
			goto member
		}
		goto value
	case c == '}' && object, c == ']' && !object:
	default:
		return i, syntax(i, "expected ',' or the end of the container")
	}

closed:
	i++
	depth--
	object = depth > 0 && objects[(depth-1)/64]>>((depth-1)%64)&1 != 0
	goto behind
}

func skipScalar(b []byte, i int) (int, error) {
	switch b[i] {
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
	i = nextSpecial(b, i+1)
	if i < len(b) && b[i] == '"' {
		return i + 1, nil
	}
	return closeString(b, i)
}

// closeString goes on inside a string from b[i], which nextSpecial has found, to
// behind its end.
func closeString(b []byte, i int) (int, error) {
	for i < len(b) && b[i] != '"' {
		var err error
		if i, err = skipEscape(b, i); err != nil {
			return i, err
		}
		i = nextSpecial(b, i)
	}
	if i >= len(b) {
		return i, ErrTruncated
	}
	return i + 1, nil
}

// special returns a mask whose lowest bit that is set, divided by eight, is the first
// byte of w that is a quote, a backslash or a control character. Bits above it can be
// wrong, by a borrow. It is 0 if there is no such byte.
func special(w uint64) uint64 {
	slash := w ^ (ones * '\\')
	// Flipping one bit moves the quote, 0x22, to behind the control characters.
	low := w ^ (ones * 0x02)
	return ((low-ones*0x21)&^low | (slash-ones)&^slash) & highs
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// nextSpecial returns the index of the first byte of b at or after i that is a
// quote, a backslash or a control character; len(b) if there is none.
//
// Four words a round are not to save work: each has a branch of its own, so the
// processor learns how long which strings are.
func nextSpecial(b []byte, i int) int {
	for ; i+32 <= len(b); i += 32 {
		if m := special(load64(b, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		if m := special(load64(b, i+8)); m != 0 {
			return i + 8 + bits.TrailingZeros64(m)>>3
		}
		if m := special(load64(b, i+16)); m != 0 {
			return i + 16 + bits.TrailingZeros64(m)>>3
		}
		if m := special(load64(b, i+24)); m != 0 {
			return i + 24 + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			return i
		}
	}
	return len(b)
}

// load64 reads b[i:i+8], which must be in bounds: it is not checked, for a seventh of
// the speed.
func load64(b []byte, i int) uint64 {
	p := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i) //nolint:gosec // audited: nextSpecial checks
	return binary.LittleEndian.Uint64((*[8]byte)(p)[:])
}

// skipEscape checks the escape whose backslash is b[i]; anything else there is an
// error.
func skipEscape(b []byte, i int) (int, error) {
	if b[i] != '\\' {
		return i, syntax(i, "control character in a string")
	}
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
	switch {
	case i >= len(b):
		return i, ErrTruncated
	case b[i] == '0':
		i++
	case b[i] >= '1' && b[i] <= '9':
		i = skipDigits(b, i)
	default:
		return start, syntax(start, "expected a JSON value")
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = skipDigits(b, from); i == from {
			return i, numberEnd(b, i)
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		from := i + 1
		if from < len(b) && (b[from] == '+' || b[from] == '-') {
			from++
		}
		if i = skipDigits(b, from); i == from {
			return i, numberEnd(b, i)
		}
	}
	return i, nil
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
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

// String returns the text of the raw JSON string v (quotes included). Without
// escapes and broken UTF-8 the result shares v's memory; the caller clones what
// it keeps. Broken UTF-8 and lone surrogates become U+FFFD. For anything that is
// not a string it returns the raw text itself.
func String(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return View(v)
	}
	in := v[1 : len(v)-1]
	if verbatim(in) {
		return View(in)
	}
	return string(Unquote(make([]byte, 0, len(in)), v))
}

// verbatim reports whether what stands between the quotes of a JSON string is its
// text: no escapes, no broken UTF-8.
func verbatim(in []byte) bool {
	last := len(in) - 8
	if last < 0 {
		for _, c := range in {
			if c == '\\' || c >= utf8.RuneSelf {
				return !hasBackslash(in) && utf8.Valid(in)
			}
		}
		return true
	}
	for i := 0; i < last; i += 8 {
		if escaped(binary.LittleEndian.Uint64(in[i:])) {
			return !hasBackslash(in) && utf8.Valid(in)
		}
	}
	return !escaped(binary.LittleEndian.Uint64(in[last:])) || !hasBackslash(in) && utf8.Valid(in)
}

// escaped reports whether a byte of w is a backslash or not ASCII.
func escaped(w uint64) bool {
	slash := w ^ (ones * '\\')
	return ((slash-ones)&^slash|w)&highs != 0
}

func hasBackslash(b []byte) bool {
	return bytes.IndexByte(b, '\\') >= 0
}

// Verbatim returns the text of the raw JSON string v sharing its memory; ok is false
// if that cannot be, because something has to be unescaped or replaced.
func Verbatim(v []byte) (text string, ok bool) {
	if in := v[1 : len(v)-1]; verbatim(in) {
		return View(in), true
	}
	return "", false
}

// View returns b as a string without a copy: b must not change while it is used.
func View(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b)) //nolint:gosec // the memory is shared, as String says
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
