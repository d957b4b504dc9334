package push

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// firehoseReply is what Amazon Data Firehose reads, and the only form in which it does:
// https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html.
type firehoseReply struct {
	RequestID    string `json:"requestId"`
	Timestamp    int64  `json:"timestamp"` // of this answer, milliseconds since 1970
	ErrorMessage string `json:"errorMessage,omitzero"`
}

// maxRequestID bounds what is sent back of a request's own name for itself.
const maxRequestID = 256

// firehose serves POST /v1/firehose. Firehose takes 200 for success and everything else
// for failure: it sends the batch again, for as long as it is configured to, and then
// writes it to its backup bucket; after 413 at once. So a batch with anything usable in
// it is a success, and one without is left for the backup.
func (c *call) firehose(ctx context.Context) error {
	if err := c.method(http.MethodPost); err != nil {
		return err
	}
	b, err := c.decoded()
	if err != nil {
		return err
	}
	if err := c.firehoseBatch(b.bytes); err != nil {
		b.release()
		return err
	}
	o, err := c.s.deliver(ctx, c.r, b, whole(b.bytes))
	if err != nil {
		return err
	}
	c.count(&o.Summary)
	if !usable(&o) && o.Summary.Rejected > 0 {
		f := nothingUsable(&o)
		return &failure{http.StatusBadRequest, f.Code, f.Message, 0}
	}
	c.firehoseAnswer(http.StatusOK, "")
	return nil
}

// firehoseBatch checks the form of a batch, and bounds what its data may become.
func (c *call) firehoseBatch(b []byte) error {
	bad := func(message string) error { return &failure{http.StatusBadRequest, "bad-request", message, 0} }
	start := rawjson.Space(b, 0)
	end, err := rawjson.Skip(b, start)
	switch {
	case err != nil:
		return bad("the body is not JSON: " + err.Error())
	case rawjson.Space(b, end) != len(b), b[start] != '{':
		return bad("the body is not one JSON object")
	}
	if id := rawjson.Get(b[start:end], "requestId"); len(id) > 2 && id[0] == '"' {
		c.requestID = strings.Clone(rawjson.String(id)) // the one that must be sent back
	}
	list := rawjson.Get(b[start:end], "records")
	if len(list) == 0 || list[0] != '[' {
		return bad("the body has no list of records")
	}
	left := c.s.opt.MaxDecoded
	if int64(len(b)) <= left/maxDeflate {
		return nil
	}
	for l := rawjson.Walk(list); l.Next(); {
		data := rawjson.String(rawjson.Get(l.Value(), "data"))
		head, _ := base64.StdEncoding.DecodeString(data[:min(len(data), 8)])
		if !compressed(head) {
			continue
		}
		if left -= inflatedSize(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)), left); left < 0 {
			return errTooLarge
		}
	}
	return nil
}

func (c *call) firehoseAnswer(status int, message string) {
	id := cmp.Or(c.requestID, c.r.Header.Get("X-Amz-Firehose-Request-Id"))
	c.answer(status, firehoseReply{RequestID: strings.ToValidUTF8(id[:min(len(id), maxRequestID)], "�"), Timestamp: c.s.opt.Now().UnixMilli(), ErrorMessage: message})
}
