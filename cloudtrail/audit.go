package cloudtrail

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/debutsec/debut/internal/rawjson"
)

// largeRecord is CloudTrail's own limit for a record.
const largeRecord = 256 << 10

// audit gives a record to the visitor, with what is to be noted about it.
func (s *scanner) audit(r *Record, at int64) error {
	if _, ok := r.EventTime(); !ok {
		if v := r.Value(EventTime); string(v) == "null" || string(v) == `""` {
			return s.problemAt(at, true, "no-event-time", "the record has no eventTime")
		}
		return s.problemAt(at, true, "bad-event-time", fmt.Sprintf("the eventTime %s is not a time", excerpt(r.Value(EventTime))))
	}
	note := func(code, format string, args ...any) error {
		return s.problemAt(at, false, code, fmt.Sprintf(format, args...))
	}
	if len(r.raw) > largeRecord {
		if err := note("large-record", "%d bytes: more than CloudTrail's limit of 256 KiB", len(r.raw)); err != nil {
			return err
		}
	}
	if id := r.Value(EventID); len(id) < 3 || id[0] != '"' {
		if err := note("no-event-id", "no eventID: copies are told by content"); err != nil {
			return err
		}
	}
	for m := range r.wrongTypes(s.d.Strict) {
		if err := note("wrong-type", "%s is %s", m, kindOf(r.Value(m))); err != nil {
			return err
		}
	}
	if !utf8.Valid(r.raw) {
		if err := note("invalid-utf8", "bytes that are not UTF-8: U+FFFD stands for them"); err != nil {
			return err
		}
	}
	if s.d.Strict && loneSurrogate(r.raw) {
		if err := note("lone-surrogate", "an escape that is half a character: U+FFFD stands for it"); err != nil {
			return err
		}
	}
	if r.dup || s.d.Strict {
		if name, ok := r.duplicate(s.d.Strict); ok {
			if err := note("duplicate-name", "the name %s occurs twice in one object: the first counts", excerpt(name)); err != nil {
				return err
			}
		}
	}
	s.sum.Records++
	s.failed = -1
	if r.Value(InsightDetails) != nil {
		s.sum.Insights++
	}
	if s.v.Record == nil {
		return nil
	}
	return s.v.Record(r)
}

// wrongTypes yields the members that are not of the type that CloudTrail gives them: of
// those that decide what the record is, or of all. Null is no type.
func (r *Record) wrongTypes(all bool) iter.Seq[Member] {
	return func(yield func(Member) bool) {
		members := decisive
		if all {
			members = everything
		}
		for _, m := range members {
			if v := r.Value(m); len(v) > 0 && v[0] != 'n' && !typed(m, v[0]) && !yield(m) {
				return
			}
		}
	}
}

var (
	decisive   = []Member{EventSource, EventName, AWSRegion, RecipientAccountID, UserIdentity} //nolint:gochecknoglobals // a constant list
	everything = slices.Collect(func(yield func(Member) bool) {                                //nolint:gochecknoglobals // a constant list
		for m := Member(0); m < numMembers && yield(m); m++ {
		}
	})
)

// typed reports whether a value that begins with c is of m's type.
func typed(m Member, c byte) bool {
	switch m {
	case UserIdentity, RequestParameters, ResponseElements, AdditionalEventData, ServiceEventDetails, InsightDetails,
		Addendum, EdgeDeviceDetails, TLSDetails, EventContext:
		return c == '{'
	case Resources, LogFiles:
		return c == '['
	case ReadOnly, ManagementEvent:
		return c == 't' || c == 'f'
	default:
		return c == '"'
	}
}

// duplicate returns a name, raw, that occurs twice in one object: of the record itself,
// or with deep anywhere.
func (r *Record) duplicate(deep bool) ([]byte, bool) {
	if deep {
		return duplicateName(r.raw)
	}
	return firstDuplicate(r.raw)
}

func firstDuplicate(obj []byte) ([]byte, bool) {
	seen := make(map[string]bool)
	for c := rawjson.Walk(obj); c.Next(); {
		name := rawjson.String(c.Name())
		if seen[name] {
			return c.Name(), true
		}
		seen[name] = true
	}
	return nil, false
}

func duplicateName(v []byte) ([]byte, bool) {
	if len(v) == 0 || v[0] != '{' && v[0] != '[' {
		return nil, false
	}
	if v[0] == '{' {
		if name, ok := firstDuplicate(v); ok {
			return name, true
		}
	}
	for c := rawjson.Walk(v); c.Next(); {
		if name, ok := duplicateName(c.Value()); ok {
			return name, true
		}
	}
	return nil, false
}

// loneSurrogate reports whether checked JSON has a \u escape of half a surrogate pair.
func loneSurrogate(v []byte) bool {
	for {
		i := bytes.IndexByte(v, '\\')
		if i < 0 {
			return false
		}
		high, ok := surrogate(v[i:])
		if !ok {
			v = v[i+2:]
			continue
		}
		low, ok := surrogate(v[i+6:])
		if high >= 0xdc00 || !ok || low < 0xdc00 {
			return true
		}
		v = v[i+12:]
	}
}

// surrogate reads the \u escape of a surrogate that v begins with.
func surrogate(v []byte) (rune, bool) {
	if len(v) < 6 || v[0] != '\\' || v[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v[2:6]), 16, 16)
	return rune(n), err == nil && n >= 0xd800 && n < 0xe000
}

func kindOf(v []byte) string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	default:
		return "a number"
	}
}

// excerpt quotes a little of a value from a record, which may hold anything, so that it
// stays on one line and cannot command a terminal.
func excerpt(v []byte) string {
	text := rawjson.String(v)
	if len(text) > 60 {
		return strconv.QuoteToASCII(text[:60]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
