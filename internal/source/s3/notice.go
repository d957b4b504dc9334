package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// A ref is an object that a message announces.
type ref struct {
	bucket, key string
	etag        string    // "" if the message does not tell
	at          time.Time // when it was written, zero if the message does not tell
}

// A notice is what a message says.
type notice struct {
	refs  []ref
	other int // events that announce nothing to read: deletions, restored objects
}

// envelope holds the members of all kinds of messages that are understood; no two kinds
// share a member with different meanings.
type envelope struct {
	// SNS, unless the subscription delivers raw
	Type    string
	Message *string
	// S3's own
	Records []s3Event
	Event   string // s3:TestEvent
	// EventBridge
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Time       string
	Detail     *struct {
		Bucket struct{ Name string }
		Object struct {
			Key, ETag string
		}
	}
	// CloudTrail's own
	S3Bucket    string   `json:"s3Bucket"`
	S3ObjectKey []string `json:"s3ObjectKey"`
}

type s3Event struct {
	EventName, EventTime string
	S3                   *struct {
		Bucket struct{ Name string }
		Object struct {
			Key, ETag string
		}
	}
}

const (
	maxWraps = 3
	// cloudTrailTest is what CloudTrail publishes when a topic is set for a trail.
	cloudTrailTest = "CloudTrail validation message."
)

// parseNotice reads the body of a message. An error says why nobody understands it.
func parseNotice(body string) (notice, error) {
	for range maxWraps + 1 {
		if strings.TrimSpace(body) == cloudTrailTest {
			return notice{}, nil
		}
		var e envelope
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return notice{}, fmt.Errorf("it is not JSON as S3, SNS, EventBridge or CloudTrail write it: %w", err)
		}
		switch {
		case e.Type == "Notification" && e.Message != nil:
			body = *e.Message
		case e.Type == "SubscriptionConfirmation" || e.Type == "UnsubscribeConfirmation":
			return notice{}, fmt.Errorf("it is a %s of SNS: confirm the subscription of the queue in SNS", e.Type)
		default:
			return e.notice()
		}
	}
	return notice{}, fmt.Errorf("it is wrapped by SNS more than %d times", maxWraps)
}

func (e *envelope) notice() (notice, error) {
	var n notice
	switch {
	case e.Event == "s3:TestEvent":
		return n, nil
	case e.Records != nil:
		return e.fromS3()
	case e.S3ObjectKey != nil:
		if e.S3Bucket == "" {
			return n, errors.New("it names no bucket (s3Bucket)")
		}
		for _, key := range e.S3ObjectKey {
			if key == "" {
				return n, errors.New("it names an empty key")
			}
			n.refs = append(n.refs, ref{bucket: e.S3Bucket, key: key})
		}
		return n, nil
	case e.Source == "aws.s3" && e.DetailType == "Object Created" && e.Detail != nil:
		o := e.Detail.Object
		if e.Detail.Bucket.Name == "" || o.Key == "" {
			return n, errors.New("an Object Created event names no bucket or no key")
		}
		n.refs = []ref{{bucket: e.Detail.Bucket.Name, key: o.Key, etag: cleanETag(o.ETag), at: stamp(e.Time)}}
		return n, nil
	case e.Source == "aws.s3" && strings.HasPrefix(e.DetailType, "Object "):
		n.other = 1
		return n, nil
	case e.DetailType != "":
		return n, fmt.Errorf("it is an EventBridge event %q of %q: the rule should match source aws.s3, detail-type Object Created", e.DetailType, e.Source)
	}
	return n, errors.New("it is no notification of S3, EventBridge or CloudTrail")
}

func (e *envelope) fromS3() (notice, error) {
	var n notice
	for i := range e.Records {
		r := &e.Records[i]
		if r.S3 == nil {
			return n, fmt.Errorf("record %d of it is not of S3", i+1)
		}
		if !strings.HasPrefix(strings.TrimPrefix(r.EventName, "s3:"), "ObjectCreated:") {
			n.other++
			continue
		}
		if r.S3.Bucket.Name == "" || r.S3.Object.Key == "" {
			return n, fmt.Errorf("record %d of it names no bucket or no key", i+1)
		}
		// The key is encoded as in a form: + is a space. What cannot be decoded was
		// not encoded.
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			key = r.S3.Object.Key
		}
		n.refs = append(n.refs, ref{bucket: r.S3.Bucket.Name, key: key, etag: cleanETag(r.S3.Object.ETag), at: stamp(r.EventTime)})
	}
	return n, nil
}

func cleanETag(s string) string { return strings.Trim(s, `"`) }

// stamp reads a time that only measures delay: what cannot be read is left out.
func stamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
