package cloudtrail

import (
	"bytes"
	"io"
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// line reads what is not JSON, or a JSON string: a line of a CloudWatch Logs export, the
// text of a record, the beginning of a CSV file. Whatever else it is, it is reported
// once, and records are looked for behind it.
func (s *scanner) line() error {
	if s.buf[s.pos] == '"' {
		if end, err := s.skip(0, s.limits.Record); err == nil {
			if text, ok := objectText(s.buf[s.pos : s.pos+end]); ok {
				s.items++
				at := s.offset(0)
				s.pos += end
				return s.text(text, at, s.depth)
			}
		}
	}
	text := s.rest(s.limits.Record)
	if open := bytes.IndexByte(text, '{'); open > 0 && open <= 40 && isTimestamp(text[:open]) {
		s.pos += open
		return s.object(0)
	}
	if header := csvHeader(text); header != nil && s.items == 0 {
		s.pos += len(text)
		return s.csv(header)
	}
	s.items++
	message := "neither JSON nor a CloudWatch Logs export"
	if bytes.IndexByte(text[:min(len(text), 512)], 0) >= 0 {
		message = "binary data"
	}
	if err := s.reject(0, "not-cloudtrail", message+"; what follows was searched for records"); err != nil {
		return err
	}
	s.resume(1)
	return nil
}

// isTimestamp reports whether b is an ISO time and white space.
func isTimestamp(b []byte) bool {
	_, ok := parseTime(string(bytes.TrimSpace(b)))
	return ok
}

// foreign tells by its beginning that an input is of a kind that cannot hold records as
// text, and what to do about it.
func (s *scanner) foreign() string {
	if s.depth > 0 {
		return ""
	}
	s.have(512)
	head := s.buf[s.pos:min(s.pos+512, len(s.buf))]
	for _, kind := range [...]struct{ magic, message string }{
		{"PK\x03\x04", "a zip archive: unpack it first"},
		{"PAR1", "a Parquet file: export it as JSON"},
		{"ORC", "an ORC file: export it as JSON"},
		{"Obj\x01", "an Avro file: export it as JSON"},
		{"\x1f\x8b", "compressed twice: decompress it once first"},
		{"BZh", "compressed with bzip2: decompress it first"},
		{"\xfd7zXZ\x00", "compressed with xz: decompress it first"},
		{"\xff\xfe", "UTF-16 text, as PowerShell writes it: save it as UTF-8"},
		{"\xfe\xff", "UTF-16 text: save it as UTF-8"},
	} {
		if bytes.HasPrefix(head, []byte(kind.magic)) {
			return kind.message
		}
	}
	if len(head) >= 262 && string(head[257:262]) == "ustar" && bytes.IndexByte(head[:257], 0) >= 0 {
		return "a tar archive: unpack it first"
	}
	return ""
}

// objectText returns a copy of the text of a raw JSON string if an object begins it.
func objectText(v []byte) ([]byte, bool) {
	if len(v) < 2 || v[0] != '"' {
		return nil, false
	}
	text := strings.TrimSpace(rawjson.String(v))
	if !strings.HasPrefix(text, "{") {
		return nil, false
	}
	return []byte(text), true
}

// text reads the text that a wrapper holds as a string, which can be anything that an
// input can be.
func (s *scanner) text(text []byte, at int64, depth int) error {
	child, err := s.child(at, depth)
	if child == nil {
		return err
	}
	child.window = window{ctx: s.ctx, buf: text, end: io.EOF}
	err = child.run()
	s.sum.Add(&child.sum)
	return err
}

// compressed reads data that a wrapper holds in compressed form.
func (s *scanner) compressed(data []byte, at int64, depth int) error {
	child, err := s.child(at, depth)
	if child == nil {
		return err
	}
	if s.d.inner == nil {
		s.d.inner = &Decoder{Strict: s.d.Strict}
	}
	child.d = s.d.inner
	child.limits.Input = min(s.limits.Input, maxInside)
	err = child.read(bytes.NewReader(data))
	s.sum.Add(&child.sum)
	return err
}

// maxInside is how much may come out of compressed data inside a wrapper.
const maxInside = 256 << 20

// child returns a scanner for what is inside the wrapper at offset at, or nil if wrappers
// lie in each other too deep.
func (s *scanner) child(at int64, depth int) (*scanner, error) {
	if depth+1 >= maxWraps {
		return nil, s.tooDeep(at)
	}
	child := &scanner{d: s.d, ctx: s.ctx, name: s.name, v: s.v, limits: s.limits, depth: depth + 1}
	child.wrapper = s.wrapper
	if s.depth == 0 {
		child.wrapper = Problem{Offset: at, Record: s.items}
	}
	return child, nil
}

func (s *scanner) tooDeep(at int64) error {
	return s.problemAt(at, true, "too-deep", "too many wrappers in each other")
}
