package cloudtrail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/debutsec/debut/internal/rawjson"
)

// A scanner holds the state of one Decode, or of what is inside one wrapper.
type scanner struct {
	window
	d      *Decoder
	ctx    context.Context //nolint:containedctx // lives as long as one call
	name   string
	v      Visitor
	limits Limits
	sum    Summary

	items   int64  // values met, for Problem.Record
	opening []byte // the first name, with its quotes, of the objects of the list being read
	former  []byte // the same of the list before

	failed   int64 // where the last broken value broke; -1: nowhere, or a record was read since
	again    int   // how many values in a row broke there
	waste    int64 // bytes parsed for nothing
	lost     bool  // the last value was broken: what surrounds it may be missing
	unwind   bool  // pos is at the beginning of a line, behind something broken: outside of any list
	disjoint bool  // something was broken: commas and brackets may be left over

	depth   int     // how many wrappers this is inside of
	wrapper Problem // for depth > 0: where the outermost wrapper is
}

// maxWraps bounds how many wrappers can lie in each other.
const maxWraps = 6

// run reads the whole input: values, one after the other.
func (s *scanner) run() error {
	s.failed = -1
	if s.have(3) && bytes.HasPrefix(s.buf, []byte("\xEF\xBB\xBF")) {
		s.pos = 3
	}
	if message := s.foreign(); message != "" {
		return s.reject(0, "not-cloudtrail", message)
	}
	for blank := true; ; blank = false {
		s.unwind = false
		c, ok := s.peek()
		if !ok {
			return s.finish(blank)
		}
		var err error
		switch c {
		case '{':
			err = s.object(0)
		case '[':
			s.pos++
			err = s.array(list{}, 0)
		case ',', ']', '}':
			err = s.stray(c)
		default:
			err = s.line()
		}
		if err != nil {
			return err
		}
	}
}

// finish reports why the input ended, if that is not its end, or that it was blank.
func (s *scanner) finish(blank bool) error {
	if err := s.ctx.Err(); err != nil {
		return err //nolint:wrapcheck // the caller's own
	}
	if !s.broken() {
		if blank {
			return s.note(0, "empty", "the input is empty")
		}
		return nil
	}
	code := "unreadable"
	if bad, ok := errors.AsType[*inputError](s.end); ok {
		code = bad.code
	} else if errors.Is(s.end, io.ErrUnexpectedEOF) {
		code = "truncated"
	}
	return s.reject(len(s.buf)-s.pos, code, s.end.Error())
}

// stray passes over a byte that belongs to no value: what surrounded something that
// was broken, or the rest of an input that begins in its middle.
func (s *scanner) stray(c byte) error {
	s.pos++
	if s.disjoint {
		return nil
	}
	s.disjoint = true
	return s.reject(-1, "bad-json", fmt.Sprintf("%q belongs to nothing: the input may be part of a file", c))
}

// object reads the object at pos. A wrapper whose list can be of any size is streamed:
// it is never held whole.
func (s *scanner) object(depth int) error {
	const common = `{"eventVersion"` // as CloudTrail writes its records
	if s.have(len(common)) && string(s.buf[s.pos:s.pos+len(common)]) == common || s.depth+depth >= maxWraps {
		return s.value()
	}
	if len(s.opening) == 0 {
		s.opening = bytes.Clone(firstName(s.buf[s.pos:]))
	}
	if l, at, open := s.find(); open > 0 {
		s.pos += at
		return s.stream(l, open, depth+1)
	}
	return s.value()
}

// A list says how a wrapper's list of records is read.
type list struct {
	name    string
	opening string // first name in its objects, as the service writes them; "" if unknown
	rows    bool   // its elements are lists themselves, of single columns
}

// lists are the names of lists that wrappers have.
var lists = [...]list{ //nolint:gochecknoglobals // a constant table
	{name: "Records", opening: `"eventVersion"`},
	{name: "records", opening: `"data"`},
	{name: "Events", opening: `"EventId"`},
	{name: "logEvents", opening: `"id"`},
	{name: "hits", opening: `"_index"`},
	{name: "QueryResultRows", rows: true},
}

// find looks in the object at pos for a list to be streamed: after members that are not
// a record's, or one object down. It returns where the list begins behind pos and how
// many objects are open there, 0 if there is none. It does not move pos, and so whatever
// is wrong is found again by who parses the object whole.
func (s *scanner) find() (l list, at, open int) {
	i := 1
	for open = 1; ; {
		c, name, ok := s.next(i, s.limits.Record)
		if !ok || c != '"' {
			return l, 0, 0
		}
		end, err := s.skip(name, s.limits.Record)
		if err != nil {
			return l, 0, 0
		}
		text := s.buf[s.pos+name : s.pos+end]
		control := rawjson.Equal(text, "messageType")
		l, ok = listNamed(text)
		if _, record := memberOf(text[1 : len(text)-1]); record {
			return l, 0, 0
		}
		if c, i, _ = s.next(end, s.limits.Record); c != ':' {
			return l, 0, 0
		}
		c, i, _ = s.next(i+1, s.limits.Record)
		switch {
		case ok && c == '[':
			return l, i, open
		case ok && c == '{' && l.name == "hits" && open == 1:
			open++
			i++
			continue
		}
		if end, err = s.skip(i, s.limits.Record); err != nil ||
			control && rawjson.Equal(s.buf[s.pos+i:s.pos+end], "CONTROL_MESSAGE") {
			return l, 0, 0
		}
		if c, i, _ = s.next(end, s.limits.Record); c != ',' {
			return l, 0, 0
		}
		i++
	}
}

func listNamed(name []byte) (list, bool) {
	for _, l := range lists {
		if rawjson.Equal(name, l.name) {
			return l, true
		}
	}
	return list{}, false
}

// stream reads the list at pos, and the rest of the objects that are open around it:
// other members are passed over, other lists are read too.
func (s *scanner) stream(l list, open, depth int) error {
	at, record := s.offset(0), false
	s.pos++
	if err := s.array(l, depth); err != nil {
		return err
	}
	for open > 0 && !s.unwind {
		c, ok := s.peek()
		switch {
		case !ok:
			return s.openEnd("wrapper")
		case c == '}':
			s.pos++
			open--
			continue
		case c != ',':
			return nil // something else begins: run sees to it
		}
		s.pos++
		if c, ok = s.peek(); !ok || c != '"' {
			return nil
		}
		var err error
		if l, record, err = s.member(record); err != nil {
			return s.recover(err)
		}
		if l.name != "" {
			s.pos++
			if err := s.array(l, depth); err != nil {
				return err
			}
		}
	}
	if record {
		return s.problemAt(at, true, "not-a-record", "a list with members of a record behind it: only the list was read")
	}
	return nil
}

// member passes over the member of an object at pos. If it is a list of records, l is not
// empty and pos is left at its beginning. Record is set if its name tells a record.
func (s *scanner) member(record bool) (l list, _ bool, err error) {
	end, err := s.skip(0, s.limits.Record)
	if err != nil {
		return l, record, err
	}
	name := s.buf[s.pos : s.pos+end]
	l, found := listNamed(name)
	if m, _ := memberOf(name[1 : end-1]); m == EventTime {
		record = true
	}
	c, i, ok := s.next(end, s.limits.Record)
	if ok && c != ':' {
		return list{}, record, &rawjson.SyntaxError{Offset: i, Msg: "expected ':' after a member name"}
	}
	if c, i, ok = s.next(i+1, s.limits.Record); !ok {
		return list{}, record, rawjson.ErrTruncated
	}
	if found && c == '[' {
		s.pos += i
		return l, record, nil
	}
	if i, err = s.skip(i, s.limits.Record); err == nil {
		s.pos += i
	}
	return list{}, record, err
}

// array reads the elements of a list from pos on, to its end or the input's.
func (s *scanner) array(l list, depth int) error {
	outer := s.opening
	s.opening = []byte(l.opening)
	defer func() { s.former, s.opening = s.opening, outer }()
	ready := true // for an element: none since the last comma
	for !s.unwind {
		c, ok := s.peek()
		switch {
		case !ok:
			return s.openEnd("list of records")
		case c == ']':
			s.pos++
			return nil
		case c == ',':
			s.pos++
			ready = true
			continue
		}
		if !ready && !s.lost && (c == '{' || c == '[') {
			if err := s.note(0, "missing-comma", "there is no comma between two elements of a list"); err != nil {
				return err
			}
		}
		ready = false
		var err error
		switch {
		case c == '{':
			err = s.object(depth)
		case c == '[' && !l.rows && s.depth+depth < maxWraps:
			s.pos++
			err = s.array(list{opening: string(s.opening)}, depth+1)
		default:
			err = s.element(c, l.rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// element reads an element of a list that is not an object: the text of a record, a row
// of columns, or nothing that is known.
func (s *scanner) element(c byte, rows bool) error {
	s.items++
	end, err := s.skip(0, s.limits.Record)
	if err == nil {
		if c, i, ok := s.next(end, s.limits.Record); ok && c != ',' && c != ']' { // of an object without its brace
			err = &rawjson.SyntaxError{Offset: i, Msg: "expected ',' or the end of the list"}
		}
	}
	if err != nil {
		return s.recover(err)
	}
	at, v := s.offset(0), s.buf[s.pos:s.pos+end]
	s.pos += end
	s.lost = false
	switch {
	case c == '[' && rows:
		return s.row(joinColumns(v), at, s.depth)
	case c == '"':
		if text, ok := objectText(v); ok {
			return s.text(text, at, s.depth)
		}
	}
	return s.problemAt(at, true, "not-a-record", "an element of a list that is neither a record nor the text of one")
}

// openEnd reports that something is not closed, unless the reason is reported anyway.
func (s *scanner) openEnd(what string) error {
	if s.broken() || s.lost {
		return nil
	}
	s.lost = true // what is around it is not closed either
	return s.reject(0, "truncated", "the input ends inside a "+what)
}

// value parses the object at pos whole and uses it.
func (s *scanner) value() error {
	s.items++
	for {
		n, err := s.d.record.Parse(s.buf[s.pos:])
		switch {
		case err == nil:
			at := s.offset(0)
			s.pos += n
			s.lost = false
			if int64(n) > s.limits.Record {
				return s.problemAt(at, true, "too-large", s.tooLarge())
			}
			return s.use(&s.d.record, at, s.depth)
		case !errors.Is(err, rawjson.ErrTruncated):
			return s.recover(err)
		case int64(len(s.buf)-s.pos) > s.limits.Record:
			return s.recover(errTooLarge)
		case !s.grow():
			return s.recover(err)
		}
	}
}

func (s *scanner) tooLarge() string {
	return fmt.Sprintf("a record or wrapper of more than %d bytes", s.limits.Record)
}

// reject reports a part of the input, at pos+i, that is not used.
func (s *scanner) reject(i int, code, message string) error {
	return s.problemAt(s.offset(i), true, code, message)
}

// note reports a remark on what is at pos+i.
func (s *scanner) note(i int, code, message string) error {
	return s.problemAt(s.offset(i), false, code, message)
}

func (s *scanner) problemAt(at int64, rejected bool, code, message string) error {
	p := Problem{Input: s.name, Offset: at, Record: s.items, Rejected: rejected, Code: code, Message: message}
	if s.depth > 0 {
		p.Offset, p.Record, p.Message = s.wrapper.Offset, s.wrapper.Record, "inside a wrapper: "+message
	}
	if rejected {
		s.sum.Rejected++
	} else {
		s.sum.Noted++
	}
	if s.v.Problem == nil {
		return nil
	}
	return s.v.Problem(p)
}
