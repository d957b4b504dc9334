package cloudtrail

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/debutsec/debut/internal/rawjson"
)

// Broken JSON says where it breaks, not where it went wrong, so the next record is
// looked for from the beginning of the broken value on: an unclosed list would else
// swallow everything behind it. In one respect the search looks back only: it never
// takes what a string of a sound record holds for a record, because quotes are escaped
// there.

// reach is how far around the beginning of an object the search looks.
const reach = 64

// Values inside one another break at one place, and are parsed over and over until the
// search gets there. An input may waste that many bytes so; from then on it goes there at
// once when maxAgain values in a row broke.
const (
	maxWaste = 256 << 20
	maxAgain = 16
)

// recover reports what is wrong with the value at pos, and moves pos to where the next
// record begins.
func (s *scanner) recover(err error) error {
	code, message, broke := s.explain(err)
	from := 1
	if s.offset(broke) == s.failed {
		// Inside of what is reported already.
		s.again++
		s.waste += int64(broke)
		if s.again >= maxAgain && s.waste > maxWaste {
			from = max(broke, 1)
		}
	} else {
		s.failed, s.again = s.offset(broke), 0
		at := 0
		if code == "bad-json" || code == "too-deep" {
			at = broke
		}
		// The end of a broken input explains the last record: one report is enough.
		if code != "truncated" || !s.broken() {
			if err := s.reject(at, code, message); err != nil {
				return err
			}
		}
	}
	if code == "too-deep" {
		from = max(broke, 1) // else each of its levels would be as deep again
	}
	s.resume(from)
	return nil
}

// explain puts what is wrong with the value at pos in words; broke is where it shows.
func (s *scanner) explain(err error) (code, message string, broke int) {
	var syntax *rawjson.SyntaxError
	switch {
	case errors.Is(err, errTooLarge):
		return "too-large", s.tooLarge(), 0
	case errors.Is(err, rawjson.ErrTruncated):
		return "truncated", "the input ends inside a record", len(s.buf) - s.pos
	case errors.As(err, &syntax):
		code = "bad-json"
		if syntax.Offset > 0 && syntax.Msg == "nested too deep" {
			code = "too-deep"
		}
		return code, fmt.Sprintf("%s, %d bytes into the record", syntax.Msg, syntax.Offset), syntax.Offset
	}
	return "bad-json", err.Error(), 0
}

// resume moves pos to where, at or after pos+from, an object begins that is not part of
// the broken value at pos; to the end of the input if there is none.
func (s *scanner) resume(from int) {
	s.lost, s.disjoint = true, true
	opening := bytes.Clone(firstName(s.buf[s.pos:]))
	back := min(from, len(s.buf)-s.pos) // how far before pos may be looked
	s.pos += back
	for {
		n := bytes.IndexByte(s.buf[s.pos:], '{')
		if n < 0 {
			n = len(s.buf) - s.pos
		}
		s.pos += n
		back = min(back+n, reach)
		if len(s.buf)-s.pos < reach && s.fill(back) {
			continue
		}
		before := s.buf[s.pos-back : s.pos]
		switch {
		case s.pos >= len(s.buf):
			return
		case bytes.HasSuffix(before, []byte("\n\"")): // the text of a record
			s.pos--
			s.unwind = true
			return
		case beginsAny(before, s.buf[s.pos:], opening, s.opening, s.former):
			s.unwind = bytes.HasSuffix(before, []byte("\n"))
			return
		}
		s.pos++
		back++
	}
}

// beginsAny reports whether the object that at begins with is a value of its own, as far as
// that can be told from what is around its beginning: at the beginning of a line, behind
// the end of another, or in a list and with the first name of a record.
func beginsAny(before, at []byte, openings ...[]byte) bool {
	name := firstName(at)
	if name == nil {
		return false
	}
	if bytes.HasSuffix(before, []byte("\n")) {
		return true
	}
	var prev byte
	if before = bytes.TrimRight(before, " \t\r\n"); len(before) > 0 {
		prev = before[len(before)-1]
	}
	switch prev {
	case '}':
		return true
	case ',', '[':
		if _, ok := memberOf(name[1 : len(name)-1]); ok {
			return true
		}
		for _, o := range openings {
			if bytes.Equal(name, o) {
				return true
			}
		}
		return false
	}
	return string(name) == `"eventVersion"` // as behind the time of an export's line, or in a wrapper
}

// firstName returns the first name, with its quotes, of the object that b begins with,
// or nil if there is none nearby.
func firstName(b []byte) []byte {
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	b = b[:min(len(b), reach)]
	i := rawjson.Space(b, 1)
	if i >= len(b) || b[i] != '"' {
		return nil
	}
	n := bytes.IndexByte(b[i+1:], '"')
	if n < 0 {
		return nil
	}
	return b[i : i+n+2]
}
