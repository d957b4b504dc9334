package cloudtrail

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/debutsec/debut/internal/rawjson"
)

// A Decoder reads records out of any container that CloudTrail travels in: log
// objects of S3, NDJSON, arrays, single records, CloudWatch Logs subscriptions and
// exports, EventBridge events, the output of lookup-events, rows of CloudTrail Lake
// and Athena, and what Lambda, Kinesis, Firehose, Filebeat and OpenSearch wrap around
// them; compressed with gzip or zstd or not, told by content. It keeps buffers
// between inputs: use one per goroutine.
type Decoder struct {
	Limits Limits
	// Strict checks every record whole for duplicate names, and notes them.
	Strict bool

	buf    []byte
	record Record
	inner  Record
	in     input
}

// Limits bound what an input may cost. A zero field means its default.
type Limits struct {
	Record int64 // bytes of one record or wrapper; default 16 MiB. Records over 256 KiB are noted, over this rejected
	Input  int64 // bytes of one input after decompression; default 64 GiB
	Ratio  int64 // decompressed bytes per compressed byte, judged beyond the first 64 MiB; default 1000
}

func (l Limits) withDefaults() Limits {
	if l.Record <= 0 {
		l.Record = 16 << 20
	}
	if l.Input <= 0 {
		l.Input = 64 << 30
	}
	if l.Ratio <= 0 {
		l.Ratio = 1000
	}
	return l
}

// largeRecord is CloudTrail's own limit for a record.
const largeRecord = 256 << 10

// A Visitor takes what a Decoder finds. Nil functions are skipped. An error that
// a function returns ends the decoding and is returned by Decode.
type Visitor struct {
	// Record gets every record that is well-formed JSON, has a usable
	// eventTime and is an audit event. It is valid until the function returns.
	Record func(*Record) error
	// Document gets every JSON object that is an ECS document already. It is
	// valid until the function returns.
	Document func(raw []byte) error
	// Problem gets everything that was rejected or noted.
	Problem func(Problem) error
}

// A Problem is a part of an input that could not be used, or only with a remark.
type Problem struct {
	Input    string // name of the input as given to Decode
	Offset   int64  // byte offset in the decompressed input
	Record   int64  // 1-based number of the record in the input; 0 if outside any
	Rejected bool   // false: it was used all the same
	Code     string // stable, kebab-case: "truncated", "bad-json", "no-event-time", "too-large", ...
	Message  string // what and why, one line, lower case
}

// Summary counts what one Decode found.
type Summary struct {
	Records   int64 // given to Visitor.Record
	Documents int64 // given to Visitor.Document
	Rejected  int64 // problems with Rejected set
	Noted     int64 // other problems
	Digests   int64 // digest files and records, skipped by design
	Insights  int64 // of Records: Insights events
	Control   int64 // CloudWatch Logs control messages, skipped by design
	Bytes     int64 // decompressed
	InBytes   int64 // as read
}

// Decode reads one input to its end. The error is that of the visitor or of ctx;
// whatever is wrong with the input goes to Visitor.Problem instead, and everything
// readable around it is still read.
func (d *Decoder) Decode(ctx context.Context, name string, r io.Reader, v Visitor) (Summary, error) {
	s := scanner{d: d, ctx: ctx, name: name, v: v, limits: d.Limits.withDefaults(), buf: d.buf[:0]}
	s.in = &d.in
	s.in.open(r, s.limits)
	err := s.run()
	d.buf = s.buf
	if cap(d.buf) > 4<<20 { // one giant must not keep its room for ever
		d.buf = nil
	}
	s.sum.Bytes, s.sum.InBytes = s.base+int64(len(s.buf)), s.in.src.n
	s.in.close()
	return s.sum, err
}

// A scanner holds the state of one Decode: a window of the decompressed input,
// in which pos is the next byte to look at.
type scanner struct {
	d      *Decoder
	ctx    context.Context //nolint:containedctx // lives as long as one call
	name   string
	v      Visitor
	limits Limits
	in     *input
	sum    Summary

	buf   []byte
	base  int64 // offset of buf[0] in the input
	pos   int
	end   error // why no more can be read: io.EOF, or what is wrong
	items int64 // values met, for Problem.Record
}

// chunk is how much is read at a time.
const chunk = 256 << 10

// fill reads more behind what the window holds from keep on. It returns false at
// the end of the input.
func (s *scanner) fill(keep int) bool {
	if s.end != nil {
		return false
	}
	keep = max(0, keep-s.in.history())
	if keep > 0 && cap(s.buf)-len(s.buf) < chunk {
		n := copy(s.buf, s.buf[keep:])
		s.buf = s.buf[:n]
		s.base += int64(keep)
		s.pos -= keep
	}
	if cap(s.buf)-len(s.buf) < chunk {
		s.buf = append(make([]byte, 0, max(2*cap(s.buf), 2*chunk)), s.buf...)
	}
	if s.end = s.ctx.Err(); s.end != nil {
		return false
	}
	from := len(s.buf)
	more, err := s.in.more(s.buf[:from : from+chunk])
	s.buf, s.end = s.buf[:len(more)], err
	return len(s.buf) > from
}

// peek returns the next byte that is not white space, from pos on, reading as
// needed; ok is false at the end.
func (s *scanner) peek() (c byte, ok bool) {
	for {
		s.pos = rawjson.Space(s.buf, s.pos)
		if s.pos < len(s.buf) {
			return s.buf[s.pos], true
		}
		if !s.fill(s.pos) && s.pos >= len(s.buf) {
			return 0, false
		}
	}
}

func (s *scanner) run() error {
	if c, ok := s.peek(); ok && c == 0xEF {
		for len(s.buf)-s.pos < 3 && s.fill(s.pos) { //nolint:revive // reads
		}
		if bytes.HasPrefix(s.buf[s.pos:], []byte("\xEF\xBB\xBF")) {
			s.pos += 3
		}
	}
	for {
		c, ok := s.peek()
		if !ok {
			break
		}
		var err error
		switch {
		case c == '{':
			err = s.object()
		case c == '[':
			s.pos++
			err = s.array()
		case c == ',' || c == ']' || c == '}':
			s.pos++ // left over behind something that was reported
		default:
			err = s.line()
		}
		if err != nil {
			return err
		}
	}
	return s.finish()
}

// finish reports why the input ended, if that is not its end.
func (s *scanner) finish() error {
	if err := s.ctx.Err(); err != nil {
		return err //nolint:wrapcheck // the caller's own
	}
	if s.end == nil || errors.Is(s.end, io.EOF) {
		if s.base+int64(len(s.buf)) == 0 {
			return s.problem(Problem{Code: "empty", Message: "the input is empty"})
		}
		return nil
	}
	var bad *inputError
	code := "unreadable"
	switch {
	case errors.As(s.end, &bad):
		code = bad.code
	case errors.Is(s.end, io.ErrUnexpectedEOF):
		code = "truncated"
	}
	return s.problem(Problem{Offset: s.base + int64(len(s.buf)), Rejected: true, Code: code, Message: s.end.Error()})
}

// broken reports whether the input ended before its end.
func (s *scanner) broken() bool { return s.end != nil && !errors.Is(s.end, io.EOF) }

func (s *scanner) problem(p Problem) error {
	p.Input = s.name
	if p.Rejected {
		s.sum.Rejected++
	} else {
		s.sum.Noted++
	}
	if s.v.Problem == nil {
		return nil
	}
	return s.v.Problem(p)
}

// object reads the object at pos. A wrapper whose list can be of any size is
// streamed: it is never held whole.
func (s *scanner) object() error {
	start := s.pos
	// The first member tells wrappers from records: look at it before parsing.
	for {
		if list, ok := streamed(s.buf[start:]); ok {
			s.pos = start + list
			return s.wrapper()
		}
		if len(s.buf)-start > 64 || !s.fill(start) {
			break
		}
		start = s.pos
	}
	return s.value()
}

// wrapper reads the list at pos, and passes over the rest of the object that it is
// in.
func (s *scanner) wrapper() error {
	s.pos++
	if err := s.array(); err != nil {
		return err
	}
	// What is behind the list: other members, small ones.
	for {
		c, ok := s.peek()
		switch {
		case !ok:
			return nil
		case c == '}':
			s.pos++
			return nil
		case c != ',':
			return nil // something else begins: run sees to it
		}
		s.pos++
		if !s.member() {
			return nil // run meets the same text again and reports what is wrong
		}
	}
}

// member passes over one member of an object: a name, a colon, a value.
func (s *scanner) member() bool {
	for _, want := range []byte{'"', ':', 0} {
		c, ok := s.peek()
		switch {
		case !ok || want != 0 && c != want:
			return false
		case c == ':':
			s.pos++
			continue
		}
		end, err := s.skip()
		if err != nil {
			return false
		}
		s.pos = end
	}
	return true
}

// skip returns the end of the JSON value at pos.
func (s *scanner) skip() (int, error) {
	for {
		end, err := rawjson.Skip(s.buf, s.pos)
		if errors.Is(err, rawjson.ErrTruncated) && int64(len(s.buf)-s.pos) < s.limits.Record && s.fill(s.pos) {
			continue
		}
		return end, err //nolint:wrapcheck // stays in this package
	}
}

// streamed reports whether the object that b begins with is a wrapper whose first
// member is its list, and where the list begins.
func streamed(b []byte) (list int, ok bool) {
	i := rawjson.Space(b, 1)
	for _, name := range []string{`"Records"`, `"Events"`} {
		if !bytes.HasPrefix(b[min(i, len(b)):], []byte(name)) {
			continue
		}
		j := rawjson.Space(b, i+len(name))
		if j < len(b) && b[j] == ':' {
			j = rawjson.Space(b, j+1)
			return j, j < len(b) && b[j] == '['
		}
	}
	return 0, false
}

// array reads the elements of a list from pos on, to its end or the input's.
func (s *scanner) array() error {
	for {
		c, ok := s.peek()
		switch {
		case !ok:
			return s.openEnd()
		case c == ']':
			s.pos++
			return nil
		case c == ',':
			s.pos++
		case c == '{':
			if err := s.value(); err != nil {
				return err
			}
		default:
			s.items++
			at := s.pos
			end, err := s.skip()
			if err != nil {
				if err := s.recover(at, err); err != nil {
					return err
				}
				continue
			}
			s.pos = end
			if err := s.reject(at, "not-a-record", "an element of the list is not an object"); err != nil {
				return err
			}
		}
	}
}

// openEnd reports a list that is not closed, unless the reason is reported anyway.
func (s *scanner) openEnd() error {
	if s.broken() {
		return nil
	}
	return s.reject(len(s.buf), "truncated", "the input ends inside a list of records")
}

func (s *scanner) reject(at int, code, message string) error {
	return s.problem(Problem{Offset: s.base + int64(at), Record: s.items, Rejected: true, Code: code, Message: message})
}

func (s *scanner) note(at int, code, message string) error {
	return s.problem(Problem{Offset: s.base + int64(at), Record: s.items, Code: code, Message: message})
}

// value parses the object at pos whole and uses it.
func (s *scanner) value() error {
	s.items++
	for {
		n, err := s.d.record.Parse(s.buf[s.pos:])
		switch {
		case err == nil:
			at := s.pos
			s.pos += n
			return s.use(&s.d.record, s.base+int64(at), 0)
		case !errors.Is(err, rawjson.ErrTruncated):
			return s.recover(s.pos, err)
		case int64(len(s.buf)-s.pos) > s.limits.Record:
			return s.recover(s.pos, errTooLarge)
		case !s.fill(s.pos):
			return s.recover(s.pos, err)
		}
	}
}

var errTooLarge = errors.New("larger than the limit for one record")

// recover reports what is wrong with the value at position at, and moves pos to
// where the next record begins.
func (s *scanner) recover(at int, err error) error {
	p := Problem{Offset: s.base + int64(at), Record: s.items, Rejected: true, Code: "bad-json"}
	var syntax *rawjson.SyntaxError
	switch {
	case errors.Is(err, errTooLarge):
		p.Code, p.Message = "too-large", fmt.Sprintf("a record of more than %d bytes", s.limits.Record)
	case errors.Is(err, rawjson.ErrTruncated):
		p.Code, p.Message = "truncated", "the input ends inside a record"
	case errors.As(err, &syntax):
		if syntax.Msg == "nested too deep" {
			p.Code = "too-deep"
		}
		p.Message = fmt.Sprintf("%s, %d bytes into the record", syntax.Msg, syntax.Offset)
		p.Offset += int64(syntax.Offset)
	default:
		p.Message = err.Error()
	}
	// The end of a broken input explains the last record: one report is enough.
	if !(p.Code == "truncated" && s.broken()) {
		if err := s.problem(p); err != nil {
			return err
		}
	}
	s.pos = at + 1
	for {
		next := nextRecord(s.buf, s.pos)
		if next >= 0 {
			s.pos = next
			return nil
		}
		// A start can lie across the end of the window.
		s.pos = max(s.pos, len(s.buf)-64)
		if !s.fill(s.pos) {
			s.pos = len(s.buf)
			return nil
		}
	}
}

// nextRecord returns where, at or after from, a record or a line with an object
// begins; -1 if nowhere. Every record of CloudTrail begins with its eventVersion.
func nextRecord(b []byte, from int) int {
	version := -1
	for i := from; ; {
		n := bytes.Index(b[i:], []byte(`"eventVersion"`))
		if n < 0 {
			break
		}
		if open := lastNonSpace(b[:i+n]); open >= from && b[open] == '{' {
			if before := lastNonSpace(b[:open]); before < 0 || b[before] != ':' {
				version = open
				break
			}
		}
		i += n + 1
	}
	limit := len(b)
	if version >= 0 {
		limit = version
	}
	for i := from; i < limit; {
		n := bytes.IndexByte(b[i:limit], '\n')
		if n < 0 {
			break
		}
		i += n + 1
		if i < limit && b[i] == '{' {
			return i
		}
	}
	return version
}

func lastNonSpace(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if c := b[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return i
		}
	}
	return -1
}

// line reads a line of text: CloudWatch Logs exports put a time before the record.
func (s *scanner) line() error {
	end := -1
	for end < 0 {
		if n := bytes.IndexByte(s.buf[s.pos:], '\n'); n >= 0 {
			end = s.pos + n
		} else if int64(len(s.buf)-s.pos) > s.limits.Record {
			return s.recover(s.pos, &rawjson.SyntaxError{Msg: "neither JSON nor a line of text"})
		} else if !s.fill(s.pos) {
			end = len(s.buf)
		}
	}
	at := s.pos
	text := s.buf[at:end]
	s.items++
	if open := bytes.IndexByte(text, '{'); open > 0 && open <= 40 && isTimestamp(text[:open]) {
		s.pos = at + open
		s.items--
		return s.value()
	}
	s.pos = end
	message := "neither JSON nor a CloudWatch Logs export"
	code := "not-cloudtrail"
	switch {
	case bytes.Contains(text[:min(len(text), 4096)], []byte("useridentity")):
		code, message = "athena-csv", "a CSV export of Athena cannot be read back reliably: export with CAST(… AS JSON), or scan the log objects"
	case bytes.HasPrefix(text, []byte("PK\x03\x04")):
		message = "a zip archive: unpack it first"
	case bytes.HasPrefix(text, []byte("PAR1")):
		message = "a Parquet file: export it as JSON"
	case bytes.IndexByte(text[:min(len(text), 512)], 0) >= 0:
		message = "binary data, not CloudTrail"
	}
	if err := s.reject(at, code, message); err != nil {
		return err
	}
	if code == "not-cloudtrail" || code == "athena-csv" {
		return s.rest()
	}
	return nil
}

// rest looks in what follows for records: one report for all that is not.
func (s *scanner) rest() error {
	for {
		if next := nextRecord(s.buf, s.pos); next >= 0 {
			s.pos = next
			return nil
		}
		s.pos = max(s.pos, len(s.buf)-64)
		if !s.fill(s.pos) {
			s.pos = len(s.buf)
			return nil
		}
	}
}

// isTimestamp reports whether b is an ISO time and white space.
func isTimestamp(b []byte) bool {
	_, ok := parseTime(string(bytes.TrimSpace(b)))
	return ok
}

// maxWraps bounds how many wrappers can lie in each other.
const maxWraps = 6

// use takes a parsed object: a record, a document, a digest, or a wrapper. at is
// its offset in the input.
func (s *scanner) use(r *Record, at int64, depth int) error {
	if r.Value(EventTime) != nil && (r.Value(EventName) != nil || r.Value(EventSource) != nil || r.Value(EventID) != nil || r.Value(EventVersion) != nil) {
		return s.audit(r, at)
	}
	if r.Value(DigestStartTime) != nil && (r.Value(DigestS3Object) != nil || r.Value(LogFiles) != nil) {
		s.sum.Digests++
		return nil
	}
	if r.Value(EventVersion) != nil || r.Value(UserIdentity) != nil && r.Value(EventName) != nil {
		return s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "no-event-time", Message: "the record has no eventTime"})
	}
	if depth >= maxWraps {
		return s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "too-deep", Message: "too many wrappers in each other"})
	}
	return s.unwrap(r.Raw(), at, depth)
}

// audit gives a record to the visitor, with what is to be noted about it.
func (s *scanner) audit(r *Record, at int64) error {
	if _, ok := r.EventTime(); !ok {
		return s.problem(Problem{
			Offset: at, Record: s.items, Rejected: true, Code: "bad-event-time",
			Message: fmt.Sprintf("eventTime %s is not a time", excerpt(r.Value(EventTime))),
		})
	}
	note := func(code, message string) error {
		return s.problem(Problem{Offset: at, Record: s.items, Code: code, Message: message})
	}
	if len(r.raw) > largeRecord {
		if err := note("large-record", fmt.Sprintf("%d bytes: more than CloudTrail's limit of 256 KiB", len(r.raw))); err != nil {
			return err
		}
	}
	if id := r.Value(EventID); len(id) < 3 || id[0] != '"' {
		if err := note("no-event-id", "no eventID: duplicates are told by content"); err != nil {
			return err
		}
	}
	for _, m := range [...]Member{EventSource, EventName, AWSRegion, RecipientAccountID, UserIdentity} {
		if v := r.Value(m); len(v) > 0 && v[0] != 'n' && (v[0] == '{') != (m == UserIdentity) || len(v) > 0 && v[0] == '[' {
			if err := note("wrong-type", fmt.Sprintf("%s is %s", m, kindOf(v))); err != nil {
				return err
			}
		}
	}
	if name := r.duplicate(s.d.Strict); name != "" {
		if err := note("duplicate-name", fmt.Sprintf("the name %q occurs twice in one object: the first counts", name)); err != nil {
			return err
		}
	}
	s.sum.Records++
	if r.Value(InsightDetails) != nil {
		s.sum.Insights++
	}
	if s.v.Record == nil {
		return nil
	}
	return s.v.Record(r)
}

// duplicate returns a name that occurs twice in one object: of the record itself, or
// with deep anywhere.
func (r *Record) duplicate(deep bool) string {
	if deep {
		return duplicateName(r.raw)
	}
	if r.dup {
		return firstDuplicate(r.raw)
	}
	return ""
}

func firstDuplicate(obj []byte) string {
	seen := make(map[string]bool)
	for c := rawjson.Walk(obj); c.Next(); {
		name := rawjson.String(c.Name())
		if seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}

func duplicateName(v []byte) string {
	if len(v) == 0 || v[0] != '{' && v[0] != '[' {
		return ""
	}
	if v[0] == '{' {
		if name := firstDuplicate(v); name != "" {
			return name
		}
	}
	for c := rawjson.Walk(v); c.Next(); {
		if name := duplicateName(c.Value()); name != "" {
			return name
		}
	}
	return ""
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

func excerpt(v []byte) string {
	if len(v) > 60 {
		return string(v[:60]) + "…"
	}
	return string(v)
}

// inside parses raw, which was inside a wrapper, and uses it.
func (s *scanner) inside(raw []byte, at int64, depth int) error {
	start := rawjson.Space(raw, 0)
	if _, err := s.d.inner.Parse(raw[start:]); err != nil {
		return s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "bad-json", Message: "inside a wrapper: " + err.Error()})
	}
	return s.use(&s.d.inner, at, depth+1)
}

// unwrap looks for records in an object that is not one itself.
func (s *scanner) unwrap(raw []byte, at int64, depth int) error {
	get := func(names ...string) []byte { return rawjson.Path(raw, names...) }
	if v := get("messageType"); v != nil && get("logEvents") != nil {
		if rawjson.Equal(v, "CONTROL_MESSAGE") {
			s.sum.Control++
			return nil
		}
		return s.each(get("logEvents"), at, depth)
	}
	for _, name := range []string{"Records", "records", "Events", "logEvents"} {
		if v := get(name); len(v) > 0 && v[0] == '[' {
			return s.each(v, at, depth)
		}
	}
	if hits := get("hits", "hits"); len(hits) > 0 && hits[0] == '[' { // a search response
		return s.each(hits, at, depth)
	}
	// A document in the mapping of the integration names its data.
	if get("@timestamp") != nil && (get("event") != nil || get("aws") != nil || get("event.action") != nil || get("event.dataset") != nil) {
		s.sum.Documents++
		if s.v.Document == nil {
			return nil
		}
		return s.v.Document(raw)
	}
	for _, path := range [][]string{
		{"_source"},
		{"detail"},
		{"CloudTrailEvent"},
		{"result", "_raw"},
		{"_raw"},
		{"eventJson"},
		{"eventjson"},
		{"event_json"},
		{"message"},
		{"event", "original"},
		{"Message"},
	} {
		v := get(path...)
		switch {
		case len(v) > 0 && v[0] == '{':
			return s.inside(v, at, depth)
		case len(v) > 2 && v[0] == '"':
			if text := []byte(rawjson.String(v)); len(bytes.TrimSpace(text)) > 0 && bytes.TrimSpace(text)[0] == '{' {
				return s.inside(text, at, depth)
			}
		}
	}
	for _, path := range [][]string{{"awslogs", "data"}, {"kinesis", "data"}, {"data"}} {
		if v := get(path...); len(v) > 2 && v[0] == '"' {
			return s.encoded(rawjson.String(v), at, depth)
		}
	}
	if get("eventtime") != nil {
		if record, ok := athenaRecord(raw); ok {
			return s.inside(record, at, depth)
		}
		return s.problem(Problem{
			Offset: at, Record: s.items, Rejected: true, Code: "athena-struct",
			Message: "a row of Athena whose useridentity is printed text cannot be read back: select CAST(useridentity AS JSON)",
		})
	}
	return s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "not-a-record", Message: "an object that is no CloudTrail record and no wrapper that is known"})
}

func (s *scanner) each(list []byte, at int64, depth int) error {
	for c := rawjson.Walk(list); c.Next(); {
		v := c.Value()
		if len(v) == 0 || v[0] != '{' {
			if err := s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "not-a-record", Message: "an element of a list is not an object"}); err != nil {
				return err
			}
			continue
		}
		if err := s.inside(v, at, depth); err != nil {
			return err
		}
		s.items++
	}
	s.items--
	return nil
}

// encoded decodes base64 data of Lambda, Kinesis or Firehose, which may be
// compressed and hold a stream of its own.
func (s *scanner) encoded(text string, at int64, depth int) error {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "bad-base64", Message: "the data inside a wrapper is not base64"})
	}
	if depth+1 >= maxWraps {
		return s.problem(Problem{Offset: at, Record: s.items, Rejected: true, Code: "too-deep", Message: "too many wrappers in each other"})
	}
	inner := &Decoder{Limits: Limits{Record: s.limits.Record, Input: 256 << 20, Ratio: s.limits.Ratio}, Strict: s.d.Strict}
	v := s.v
	if v.Problem != nil {
		report := v.Problem
		v.Problem = func(p Problem) error { p.Offset, p.Record = at, s.items; return report(p) }
	}
	sum, err := inner.Decode(s.ctx, s.name, bytes.NewReader(data), v)
	s.sum.Records += sum.Records
	s.sum.Documents += sum.Documents
	s.sum.Rejected += sum.Rejected
	s.sum.Noted += sum.Noted
	s.sum.Digests += sum.Digests
	s.sum.Insights += sum.Insights
	s.sum.Control += sum.Control
	return err
}

// athenaRecord rebuilds a record from a row with lower-case columns, if its
// structured columns are JSON: objects, or text that holds one.
func athenaRecord(row []byte) ([]byte, bool) {
	columns := make(map[string]Member, numMembers)
	for m, name := range memberNames {
		columns[lower(name)] = Member(m) //nolint:gosec // a small number
	}
	out := []byte{'{'}
	for c := rawjson.Walk(row); c.Next(); {
		m, ok := columns[lower(rawjson.String(c.Name()))]
		if !ok {
			continue
		}
		v := c.Value()
		switch m {
		case UserIdentity, RequestParameters, ResponseElements, AdditionalEventData, ServiceEventDetails, Resources, TLSDetails:
			if v[0] == '"' {
				text := []byte(rawjson.String(v))
				if end, err := rawjson.Skip(text, rawjson.Space(text, 0)); err != nil || rawjson.Space(text, end) != len(text) {
					if m == UserIdentity {
						return nil, false
					}
				} else {
					v = text
				}
			}
			if m == UserIdentity && v[0] == '{' {
				v = restoreIdentity(v)
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), memberNames[m]...), '"', ':')
		out = append(out, v...)
	}
	return append(out, '}'), true
}

func lower(s string) string { return string(bytes.ToLower([]byte(s))) }

// identityNames are the members of userIdentity, at any depth.
var identityNames = []string{ //nolint:gochecknoglobals // a constant list
	"type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy", "sessionContext",
	"attributes", "creationDate", "mfaAuthenticated", "sessionIssuer", "webIdFederationData",
	"federatedProvider", "sourceIdentity", "ec2RoleDelivery", "identityProvider", "onBehalfOf", "userId",
	"identityStoreArn", "credentialId", "inScopeOf", "issuerType", "credentialsIssuedTo", "sourceArn", "sourceAccount",
}

// restoreIdentity gives the members of an Athena struct their names again.
func restoreIdentity(v []byte) []byte {
	if v[0] != '{' {
		return v
	}
	out := []byte{'{'}
	for c := rawjson.Walk(v); c.Next(); {
		name := c.Name()
		for _, n := range identityNames {
			if lower(n) == lower(rawjson.String(name)) {
				name = []byte(`"` + n + `"`)
				break
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, name...), ':')
		out = append(out, restoreIdentity(c.Value())...)
	}
	return append(out, '}')
}
