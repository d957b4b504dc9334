package push

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

// taken is the answer for a body that was taken.
type taken struct {
	Records   int64         `json:"records"`
	Documents int64         `json:"documents"`
	Rejected  int64         `json:"rejected"`
	Skipped   int64         `json:"skipped,omitzero"` // digests and control messages
	Seen      bool          `json:"seen,omitzero"`    // this body had been taken before, under this Idempotency-Key
	Problems  []problemLine `json:"problems,omitzero"`
}

type problemLine struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Offset   int64  `json:"offset"`
	Record   int64  `json:"record,omitzero"`
	Rejected bool   `json:"rejected"`
}

// refused is the answer for a body in which nothing could be used.
type refused struct {
	taken

	Error problemBody `json:"error"`
}

// maxProblems is how many problems an answer has at most.
const maxProblems = 10

// records serves POST /v1/records.
func (c *call) records(ctx context.Context) error {
	if err := c.method(http.MethodPost); err != nil {
		return err
	}
	key := c.r.Header.Get("Idempotency-Key")
	if len(key) > 255 {
		return &failure{http.StatusBadRequest, "bad-key", "the Idempotency-Key is longer than 255 bytes", 0}
	}
	if key != "" {
		if !c.s.hold(key) {
			return errInFlight
		}
		defer c.s.drop(key)
	}
	b, err := c.raw()
	if err != nil {
		return err
	}
	if err := bounded(b.bytes, c.s.opt.MaxDecoded); err != nil {
		b.release()
		return err
	}
	d := whole(b.bytes)
	if key != "" {
		sum := sha256.Sum256(b.bytes)
		d.Object = &source.Object{Name: "push/" + c.s.opt.Name + "/" + key, Version: hex.EncodeToString(sum[:16])}
	}
	return c.take(ctx, b, d)
}

// eventBridge serves POST /v1/eventbridge.
func (c *call) eventBridge(ctx context.Context) error {
	if err := c.method(http.MethodPost, http.MethodPut); err != nil {
		return err
	}
	b, err := c.raw()
	if err != nil {
		return err
	}
	if err := bounded(b.bytes, c.s.opt.MaxDecoded); err != nil {
		b.release()
		return err
	}
	return c.take(ctx, b, whole(b.bytes))
}

// whole is a delivery of all that a body holds.
func whole(b []byte) source.Delivery {
	return source.Delivery{Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// take delivers a body and answers what became of it.
func (c *call) take(ctx context.Context, b *body, d source.Delivery) error {
	o, err := c.s.deliver(ctx, c.r, b, d)
	if err != nil {
		return err
	}
	c.count(&o.Summary)
	answer := taken{
		Records: o.Summary.Records, Documents: o.Summary.Documents, Rejected: o.Summary.Rejected,
		Skipped: o.Summary.Digests + o.Summary.Control, Seen: o.Seen, Problems: problemLines(o.Problems),
	}
	if !usable(&o) {
		c.s.counts[c.kind].fail(http.StatusBadRequest)
		c.answer(http.StatusBadRequest, refused{answer, nothingUsable(&o)})
		return nil
	}
	c.answer(http.StatusOK, answer)
	return nil
}

// count notes what became durable.
func (c *call) count(s *cloudtrail.Summary) {
	count := &c.s.counts[c.kind]
	count.records.Add(s.Records)
	count.documents.Add(s.Documents)
	count.rejected.Add(s.Rejected)
}

// usable reports whether there was anything in an input that could be used, or that is
// passed over by design.
func usable(o *source.Outcome) bool {
	s := &o.Summary
	return o.Seen || s.Records+s.Documents+s.Digests+s.Control > 0
}

func nothingUsable(o *source.Outcome) problemBody {
	for _, p := range o.Problems {
		if p.Rejected || p.Code == "empty" {
			return problemBody{p.Code, "nothing in the body could be used: " + p.Message}
		}
	}
	return problemBody{"not-a-record", "there is no CloudTrail record and no ECS document in the body"}
}

func problemLines(list []cloudtrail.Problem) []problemLine {
	out := make([]problemLine, 0, min(len(list), maxProblems))
	for _, p := range list[:min(len(list), maxProblems)] {
		out = append(out, problemLine{p.Code, p.Message, p.Offset, p.Record, p.Rejected})
	}
	return out
}

// hold takes an idempotency key, unless a request has it. drop gives it back.
func (s *Source) hold(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keyed[key] {
		return false
	}
	s.keyed[key] = true
	return true
}

func (s *Source) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keyed, key)
}
