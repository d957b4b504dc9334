package cloudtrail

import "github.com/debutsec/debut/internal/rawjson"

// A Record is one CloudTrail record: its bytes, kept as delivered, and where its
// top-level members stand in them. It holds no copy: it is valid as long as the
// bytes given to Parse are.
type Record struct {
	raw []byte
	top [numMembers]span
	dup bool // a top-level name occurs more than once (first wins)
	esc bool // a top-level name is spelt with an escape
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
	numMembers
)

// memberNames is indexed by Member.
var memberNames = [numMembers]string{
	"eventVersion", "eventTime", "userIdentity", "eventSource", "eventName", "awsRegion",
	"sourceIPAddress", "userAgent", "errorCode", "errorMessage", "requestParameters",
	"responseElements", "additionalEventData", "requestID", "eventID", "eventType", "apiVersion",
	"readOnly", "resources", "recipientAccountId", "sharedEventID", "sharedEventId",
	"vpcEndpointId", "vpcEndpointAccountId", "serviceEventDetails", "managementEvent",
	"eventCategory", "insightDetails", "addendum", "sessionCredentialFromConsole",
	"edgeDeviceDetails", "tlsDetails", "eventContext", "awsAccountId", "digestStartTime",
	"digestEndTime", "digestS3Object", "previousDigestHashValue",
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

// Parse makes r the record whose text begins at b[0] and returns how many bytes
// of b it takes. It checks the full JSON grammar and that the text is an object.
func (r *Record) Parse(b []byte) (int, error) {
	*r = Record{}
	end, err := rawjson.Skip(b, 0)
	if err != nil {
		return end, err
	}
	if b[0] != '{' {
		return end, &rawjson.SyntaxError{Msg: "a record is a JSON object"}
	}
	r.raw = b[:end]
	for c := rawjson.Walk(r.raw); c.Next(); {
		for m, name := range memberNames {
			if c.NameIs(name) && r.top[m].end == 0 {
				start := cap(r.raw) - cap(c.Value())
				r.top[m] = span{int32(start), int32(start + len(c.Value()))}
			}
		}
	}
	return end, nil
}
