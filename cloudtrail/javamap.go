package cloudtrail

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/debutsec/debut/internal/rawjson"
)

// The integration stores requestParameters and its like as the text that Java prints
// for a hash map, and rules look into that text: {documentName=X, instanceIds=[a, b]}.
// The members come in the order in which java.util.HashMap iterates: by bucket, and
// in a bucket as they were put in. The table is sized for the members as parsed, and
// pruning afterwards does not shrink it.

// An entry is a member of an object that is being rendered.
type entry struct {
	hash        uint32
	name, value []byte
}

// render appends the text form of v. It returns false, and dst as it was, if nothing
// of v is left after pruning. hide is a member of v that was moved away.
func (e *Event) render(dst, v []byte, hide string) ([]byte, bool) {
	start := len(dst)
	switch kind(v) {
	case '{':
		return e.renderObject(dst, v, hide)
	case '[':
		dst = append(dst, '[')
		for c := rawjson.Walk(v); c.Next(); {
			before := len(dst)
			if before > start+1 {
				dst = append(dst, ", "...)
			}
			var ok bool
			if dst, ok = e.render(dst, c.Value(), ""); !ok {
				dst = dst[:before]
			}
		}
		if len(dst) == start+1 {
			return dst[:start], false
		}
		return append(dst, ']'), true
	case '"':
		if dst = rawjson.Unquote(dst, v); empty(rawjson.View(dst[start:])) {
			return dst[:start], false
		}
		return dst, true
	case '0':
		return appendJavaNumber(dst, rawjson.View(v)), true
	case 't':
		return append(dst, v...), true
	}
	return dst, false
}

func (e *Event) renderObject(dst, v []byte, hide string) ([]byte, bool) {
	// Inner objects use e.entries behind ours, and may move it.
	from := len(e.entries)
	defer func() { e.entries = e.entries[:from] }()
	for c := rawjson.Walk(v); c.Next(); {
		e.entries = append(e.entries, entry{javaHash(rawjson.String(c.Name())), c.Name(), c.Value()})
	}
	mine := distinct(e.entries[from:])
	e.entries = e.entries[:from+len(mine)]
	mask := tableSize(len(mine)) - 1
	slices.SortStableFunc(mine, func(a, b entry) int { return int(a.hash&mask) - int(b.hash&mask) })

	start := len(dst)
	dst = append(dst, '{')
	for i := range mine {
		m := e.entries[from+i]
		if hide != "" && rawjson.Equal(m.name, hide) {
			continue
		}
		before := len(dst)
		if before > start+1 {
			dst = append(dst, ", "...)
		}
		dst = append(rawjson.Unquote(dst, m.name), '=')
		var ok bool
		if dst, ok = e.render(dst, m.value, ""); !ok {
			dst = dst[:before]
		}
	}
	if len(dst) == start+1 {
		return dst[:start], false
	}
	return append(dst, '}'), true
}

// distinct keeps the first entry of each name, in place.
func distinct(list []entry) []entry {
	if len(list) > 32 { // hostile objects are large
		seen := make(map[string]struct{}, len(list))
		return slices.DeleteFunc(list, func(m entry) bool {
			name := rawjson.String(m.name)
			_, dup := seen[name]
			seen[name] = struct{}{}
			return dup
		})
	}
	kept := list[:0]
	for _, m := range list {
		if !slices.ContainsFunc(kept, func(k entry) bool {
			return k.hash == m.hash && (bytes.Equal(k.name, m.name) || rawjson.String(k.name) == rawjson.String(m.name))
		}) {
			kept = append(kept, m)
		}
	}
	return kept
}

// javaHash is how java.util.HashMap spreads the hash code of a string, which is over
// its UTF-16 units.
func javaHash(s string) uint32 {
	var h uint32
	for _, r := range s {
		if r > 0xFFFF {
			r -= 0x10000
			h = 31*h + 0xD800 + uint32(r>>10)
			r = 0xDC00 + r&0x3FF
		}
		h = 31*h + uint32(r)
	}
	return h ^ h>>16
}

// tableSize is how many buckets a java.util.HashMap has when n keys were put in: it
// doubles when it is more than three quarters full.
func tableSize(n int) uint32 {
	size := uint32(16)
	for n > int(size/4*3) {
		size *= 2
	}
	return size
}

// utf16Length returns how many UTF-16 units s has.
func utf16Length(s string) (n int) {
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// appendJavaNumber appends a JSON number as Java prints what it parses it to: whole
// numbers in full, others as a double.
func appendJavaNumber(dst []byte, number string) []byte {
	whole := true
	for i := range len(number) {
		if c := number[i]; c == '.' || c == 'e' || c == 'E' {
			whole = false
		}
	}
	switch {
	case number == "-0":
		return append(dst, '0')
	case whole:
		return append(dst, number...)
	}
	f, _ := strconv.ParseFloat(number, 64) // infinite beyond what a double holds
	return appendJavaDouble(dst, f)
}

// appendJavaDouble appends a double as Double.toString does: the fewest digits, but
// two at least, that read back the same, with an exponent below 10^-3 and from 10^7 on.
func appendJavaDouble(dst []byte, f float64) []byte {
	size := f
	if size < 0 {
		size = -size
	}
	start := len(dst)
	switch {
	case size > 1.7976931348623157e308:
		if f < 0 {
			dst = append(dst, '-')
		}
		return append(dst, "Infinity"...)
	case size == 0 || size >= 1e-3 && size < 1e7:
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if !bytes.ContainsRune(dst[start:], '.') {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	var space [32]byte
	digits := strconv.AppendFloat(space[:0], f, 'E', -1, 64) // 1.5E-07, 1E+20
	if !bytes.ContainsRune(digits, '.') {
		digits = strconv.AppendFloat(space[:0], f, 'E', 1, 64) // two digits at least
	}
	mantissa, exponent, _ := bytes.Cut(digits, []byte{'E'})
	dst = append(append(dst, mantissa...), 'E')
	if exponent[0] == '-' {
		dst = append(dst, '-')
	}
	return append(dst, bytes.TrimLeft(exponent[1:], "0")...)
}
