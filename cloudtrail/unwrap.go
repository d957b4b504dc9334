package cloudtrail

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// use takes a parsed object: a record, a document, a digest, or a wrapper. at is its
// offset in the input, depth how many wrappers it is inside of.
func (s *scanner) use(r *Record, at int64, depth int) error {
	// Lambda's triggers look like records: aws:kinesis, aws:s3, aws:sqs.
	trigger := bytes.HasPrefix(r.Value(EventSource), []byte(`"aws:`))
	version := r.Value(EventVersion) != nil
	timed := r.Value(EventTime) != nil
	switch {
	case trigger:
	case version && (timed || r.Value(Timestamp) != nil), timed && (r.Value(EventName) != nil || r.Value(EventSource) != nil || r.Value(EventID) != nil):
		return s.audit(r, at)
	case r.Value(DigestStartTime) != nil && (r.Value(DigestS3Object) != nil || r.Value(LogFiles) != nil):
		s.sum.Digests++
		return nil
	case version || r.Value(UserIdentity) != nil && r.Value(EventName) != nil:
		return s.problemAt(at, true, "no-event-time", "the record has no eventTime")
	}
	if depth >= maxWraps {
		return s.tooDeep(at)
	}
	return s.unwrap(r.Raw(), at, depth)
}

// inside parses an object that was inside a wrapper, and uses it.
func (s *scanner) inside(raw []byte, at int64, depth int) error {
	if _, err := s.d.record.Parse(raw); err != nil {
		return s.problemAt(at, true, "bad-json", err.Error())
	}
	return s.use(&s.d.record, at, depth+1)
}

// unwrap looks for records in an object that is not one itself.
func (s *scanner) unwrap(raw []byte, at int64, depth int) error {
	if rawjson.Equal(rawjson.Get(raw, "messageType"), "CONTROL_MESSAGE") {
		s.sum.Control++
		return nil
	}
	if isDocument(raw) {
		return s.document(raw)
	}
	if list, rows := listOf(raw); list != nil {
		return s.each(list, rows, at, depth)
	}
	if rows := rawjson.Path(raw, "ResultSet", "Rows"); rows != nil {
		return s.resultSet(rows, at, depth)
	}
	for _, path := range [...][]string{
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
		{"Sns", "Message"},
		{"body"},
		{"data"},
	} {
		v := rawjson.Path(raw, path...)
		if len(v) > 0 && v[0] == '{' {
			return s.inside(v, at, depth)
		}
		if text, ok := objectText(v); ok {
			return s.text(text, at, depth)
		}
	}
	for _, path := range [...][]string{{"awslogs", "data"}, {"kinesis", "data"}, {"data"}} {
		if v := rawjson.Path(raw, path...); len(v) > 2 && v[0] == '"' {
			return s.encoded(rawjson.String(v), at, depth)
		}
	}
	if rawjson.Get(raw, "eventtime") != nil {
		return s.row(raw, at, depth)
	}
	if rawjson.Get(raw, "@timestamp") != nil { // perhaps of another data stream: the rules decide
		return s.document(raw)
	}
	return s.problemAt(at, true, "not-a-record", "an object that is no CloudTrail record and no wrapper that is known")
}

// listOf returns the list of records of a wrapper that was parsed whole. One that is
// null is empty.
func listOf(raw []byte) (v []byte, rows bool) {
	for _, l := range lists {
		if v := rawjson.Get(raw, l.name); len(v) > 0 && (v[0] == '[' || v[0] == 'n') {
			return v, l.rows
		}
	}
	if v := rawjson.Path(raw, "hits", "hits"); len(v) > 0 && v[0] == '[' { // a search response
		return v, false
	}
	return nil, false
}

// isDocument reports whether an object is an ECS document that an ingest pipeline has
// made: one that names its action, or anything of CloudTrail's own, nested or with
// dots. One that a shipper has only wrapped around a record is not.
func isDocument(raw []byte) bool {
	if rawjson.Get(raw, "@timestamp") == nil {
		return false
	}
	for c := rawjson.Walk(raw); c.Next(); {
		name := rawjson.String(c.Name())
		switch {
		case name == "event":
			if rawjson.Get(c.Value(), "action") != nil || rawjson.Get(c.Value(), "outcome") != nil {
				return true
			}
		case name == "aws":
			if rawjson.Get(c.Value(), "cloudtrail") != nil {
				return true
			}
		case name == "event.action", name == "event.outcome", strings.HasPrefix(name, "aws.cloudtrail."):
			return true
		}
	}
	return false
}

func (s *scanner) document(raw []byte) error {
	s.sum.Documents++
	if s.v.Document == nil {
		return nil
	}
	return s.v.Document(raw)
}

// each reads the elements of a list that was parsed with its wrapper.
func (s *scanner) each(v []byte, rows bool, at int64, depth int) error {
	for c := rawjson.Walk(v); c.Next(); {
		v := c.Value()
		var err error
		text, isText := objectText(v)
		switch {
		case v[0] == '{':
			err = s.inside(v, at, depth)
		case v[0] == '[' && rows:
			err = s.row(joinColumns(v), at, depth)
		case isText:
			err = s.text(text, at, depth)
		default:
			err = s.problemAt(at, true, "not-a-record", "an element of a list that is neither a record nor the text of one")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// encoded reads base64 data of Lambda, Kinesis or Firehose, which may be compressed.
func (s *scanner) encoded(text string, at int64, depth int) error {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return s.problemAt(at, true, "bad-base64", "the data inside a wrapper is not base64")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return s.problemAt(at, true, "not-a-record", "the data inside a wrapper is empty")
	}
	if formatOf(data) != plain {
		return s.compressed(data, at, depth)
	}
	return s.text(data, at, depth)
}
