package rawjson

import (
	"encoding/binary"
	"math/bits"
)

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
	if c.object {
		end := endOfString(c.b, i)
		c.name = c.b[i:end]
		i = Space(c.b, Space(c.b, end)+1)
	}
	if c.i = endOfValue(c.b, i); c.i <= i {
		return false // not JSON
	}
	c.value = c.b[i:c.i]
	return true
}

// endOfValue returns the index behind the value that begins at b[i]. It knows that
// the text has been checked, and looks only for where strings and brackets end.
func endOfValue(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return endOfString(b, i)
	case '{', '[':
	default:
		for i < len(b) && b[i] > ' ' && b[i] != ',' && b[i] != ']' && b[i] != '}' {
			i++
		}
		return i
	}
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = endOfString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(b)
}

// endOfString is endOfValue for a string.
func endOfString(b []byte, i int) int {
	for i++; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ (ones * '"')
		slash := w ^ (ones * '\\')
		if m := ((quote-ones)&^quote | (slash-ones)&^slash) & highs; m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			if b[i] == '"' {
				return i + 1
			}
			i += 2 - 8 // the escaped character
		}
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(b)
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
	if verbatim(in) {
		return string(in) == s
	}
	return String(v) == s
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
