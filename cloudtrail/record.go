package cloudtrail

import (
	"bytes"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/rawjson"
)

// A Record is one CloudTrail record: its bytes, kept as delivered, and where its
// top-level members stand in them. It holds no copy: it is valid as long as the
// bytes given to Parse are.
type Record struct {
	raw []byte
	top [numMembers]span
	dup bool // a top-level name occurs more than once (first wins)

	time          time.Time // eventTime, once asked for
	timed, timeOK bool

	// follows is what followed each member in the records before, and numMembers
	// the beginning: producers write their members in one order.
	follows [numMembers + 1]Member
}

// span is a half-open range of raw; end 0 means absent.
type span struct{ start, end int32 }

// Member is a top-level member of a record that the mapping reads.
type Member uint8

// The members, named as in the record.
const (
	EventVersion Member = iota
	EventTime
	UserIdentity
	EventSource
	EventName
	AWSRegion
	SourceIPAddress
	UserAgent
	ErrorCode
	ErrorMessage
	RequestParameters
	ResponseElements
	AdditionalEventData
	RequestID
	EventID
	EventType
	APIVersion
	ReadOnly
	Resources
	RecipientAccountID
	SharedEventID
	SharedEventIDAlt // spelt sharedEventId
	VPCEndpointID
	VPCEndpointAccountID
	ServiceEventDetails
	ManagementEvent
	EventCategory
	InsightDetails
	Addendum
	SessionCredentialFromConsole
	EdgeDeviceDetails
	TLSDetails
	EventContext
	AWSAccountID // digest files
	DigestStartTime
	DigestEndTime
	DigestS3Object
	PreviousDigestHashValue
	LogFiles
	Timestamp // @timestamp, which some shippers move eventTime to
	numMembers
)

// memberNames is indexed by Member.
var memberNames = [numMembers]string{ //nolint:gochecknoglobals // a constant table
	"eventVersion", "eventTime", "userIdentity", "eventSource", "eventName", "awsRegion",
	"sourceIPAddress", "userAgent", "errorCode", "errorMessage", "requestParameters",
	"responseElements", "additionalEventData", "requestID", "eventID", "eventType", "apiVersion",
	"readOnly", "resources", "recipientAccountId", "sharedEventID", "sharedEventId",
	"vpcEndpointId", "vpcEndpointAccountId", "serviceEventDetails", "managementEvent",
	"eventCategory", "insightDetails", "addendum", "sessionCredentialFromConsole",
	"edgeDeviceDetails", "tlsDetails", "eventContext", "awsAccountId", "digestStartTime",
	"digestEndTime", "digestS3Object", "previousDigestHashValue", "logFiles", "@timestamp",
}

// String returns the member's name in the record.
func (m Member) String() string { return memberNames[m] }

// Raw returns the record's bytes as delivered, the braces included.
func (r *Record) Raw() []byte { return r.raw }

// Value returns the raw JSON of a top-level member, or nil if the record does not
// have it. Of duplicate names the first counts.
func (r *Record) Value(m Member) []byte {
	s := r.top[m]
	if s.end == 0 {
		return nil
	}
	return r.raw[s.start:s.end]
}

// Text returns the text of a top-level member: a string's text, the spelling of a
// number or a boolean. Null, a container and an absent member give "". It shares the
// record's memory.
func (r *Record) Text(m Member) string {
	v := r.Value(m)
	if len(v) == 0 || v[0] == '{' || v[0] == '[' || v[0] == 'n' {
		return ""
	}
	return rawjson.String(v)
}

// EventTime returns the record's time in UTC: its eventTime, or @timestamp where a
// shipper has moved it; of a digest file its end. ok is false if it is missing or not
// a time.
func (r *Record) EventTime() (t time.Time, ok bool) {
	if !r.timed {
		r.time, r.timeOK = parseTime(r.Text(r.timeMember()))
		r.timed = true
	}
	return r.time, r.timeOK
}

// timeMember is the member that has the record's time.
func (r *Record) timeMember() Member {
	switch {
	case r.isDigest():
		return DigestEndTime
	case r.top[EventTime].end == 0:
		return Timestamp
	}
	return EventTime
}

// isDigest reports whether r is a digest file: no audit event, but mapped all the
// same where somebody asks.
func (r *Record) isDigest() bool {
	return r.top[DigestStartTime].end != 0 && r.top[EventTime].end == 0 &&
		(r.top[DigestS3Object].end != 0 || r.top[LogFiles].end != 0)
}

// DuplicateNames reports whether a top-level name occurs more than once.
func (r *Record) DuplicateNames() bool { return r.dup }

// Parse makes r the record whose text begins at b[0] and returns how many bytes of
// b it takes. In one pass it checks the full JSON grammar and notes where the
// top-level members stand. It fails if the text is not an object; the error is
// [rawjson.ErrTruncated] if b ends inside it.
func (r *Record) Parse(b []byte) (int, error) {
	*r = Record{follows: r.follows}
	if len(b) == 0 {
		return 0, rawjson.ErrTruncated
	}
	if b[0] != '{' {
		return 0, &rawjson.SyntaxError{Msg: "a record is a JSON object"}
	}
	i := rawjson.Space(b, 1)
	if i < len(b) && b[i] == '}' {
		r.raw = b[:i+1]
		return i + 1, nil
	}
	for last := numMembers; ; {
		var m Member
		var known bool
		var err error
		if n := r.isNext(b[i:], last); n > 0 {
			m, known = r.follows[last], true
			i += n
		} else {
			name := i
			if i, err = rawjson.SkipString(b, name); err != nil {
				return i, err
			}
			if m, known = memberOf(b[name+1 : i-1]); known {
				r.follows[last] = m
			}
		}
		if known {
			last = m
		}
		if i = rawjson.Space(b, i); i >= len(b) {
			return i, rawjson.ErrTruncated
		}
		if b[i] != ':' {
			return i, &rawjson.SyntaxError{Offset: i, Msg: "expected ':' after a member name"}
		}
		start := rawjson.Space(b, i+1)
		if i, err = rawjson.Skip(b, start); err != nil {
			return i, err
		}
		if known && r.top[m].end == 0 {
			r.top[m] = span{int32(start), int32(i)} // records are limited to far less
		} else if known {
			r.dup = true
		}
		if i = rawjson.Space(b, i); i >= len(b) {
			return i, rawjson.ErrTruncated
		}
		switch b[i] {
		case ',':
			i = rawjson.Space(b, i+1)
		case '}':
			r.raw = b[:i+1]
			return i + 1, nil
		default:
			return i, &rawjson.SyntaxError{Offset: i, Msg: "expected ',' or the end of the record"}
		}
	}
}

// isNext returns the length of the name that b begins with, quotes included, if it is
// the one that followed the last member before; else 0.
func (r *Record) isNext(b []byte, last Member) int {
	name := memberNames[r.follows[last]]
	end := len(name) + 1
	if len(b) > end && b[0] == '"' && b[end] == '"' && string(b[1:end]) == name {
		return end + 1
	}
	return 0
}

// memberOf finds the member with that name as spelt between the quotes. A name can
// be spelt with escapes.
func memberOf(name []byte) (Member, bool) {
	if len(name) < len(membersByLength) {
		for _, m := range membersByLength[len(name)] {
			if string(name) == memberNames[m] {
				return m, true
			}
		}
	}
	if bytes.IndexByte(name, '\\') < 0 {
		return 0, false
	}
	text := rawjson.Unquote(nil, append(append([]byte{'"'}, name...), '"'))
	if bytes.IndexByte(text, '\\') >= 0 {
		return 0, false // no name has one
	}
	return memberOf(text)
}

// membersByLength finds a name among the few that are as long, faster than a map.
var membersByLength = func() (table [32][]Member) { //nolint:gochecknoglobals // a constant table
	for i, name := range memberNames {
		table[len(name)] = append(table[len(name)], Member(i))
	}
	return table
}()

// parseTime reads an eventTime: 2006-01-02T15:04:05Z as CloudTrail writes it, any
// RFC 3339 time, or 2006-01-02 15:04:05.000 in UTC as CloudTrail Lake prints it.
func parseTime(s string) (time.Time, bool) {
	if len(s) == 20 && s[4] == '-' && s[7] == '-' && s[10] == 'T' && s[13] == ':' && s[16] == ':' && s[19] == 'Z' {
		year, ok1 := digits(s[0:4])
		month, ok2 := digits(s[5:7])
		day, ok3 := digits(s[8:10])
		hour, ok4 := digits(s[11:13])
		minute, ok5 := digits(s[14:16])
		second, ok6 := digits(s[17:19])
		if ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && month >= 1 && month <= 12 && day >= 1 && day <= 28 &&
			hour < 24 && minute < 60 && second < 60 && sane(year) {
			return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC), true
		}
	}
	if len(s) > 11 && s[10] == ' ' {
		clock := strings.TrimSuffix(s[11:], " UTC")
		if !strings.ContainsAny(clock, "Zz+-") {
			clock += "Z"
		}
		s = s[:10] + "T" + clock
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !sane(t.Year()) {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// sane bounds years to what nanoseconds in 64 bits can say.
func sane(year int) bool { return year >= 1700 && year <= 2200 }

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}
