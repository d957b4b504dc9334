package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
	"github.com/debutsec/debut/internal/source"
)

// An item is one action of a bulk request, and what became of it. Its texts share the
// body's memory.
type item struct {
	op        string // index, create, update, delete
	index, id string
	doc       []byte // a line with its end; nil: the action has none
	status    int
	kind      string // of the error, in Elasticsearch's terms; "": none
	reason    string
}

const (
	maxActionLine = 64 << 10
	maxIndexName  = 255 // bytes, as in Elasticsearch
	maxDocumentID = 512 // bytes, as in Elasticsearch
)

// bulk serves _bulk. A body that is no bulk request is refused whole, and nothing of
// it is taken; a document that cannot be used is refused by itself.
func (c *call) bulk(ctx context.Context, index string) error {
	if err := c.method(http.MethodPost, http.MethodPut); err != nil {
		return err
	}
	start := c.s.opt.Now()
	b, err := c.decoded()
	if err != nil {
		return err
	}
	items, err := parseBulk(b.bytes, index, c.s.opt.MaxItems)
	if err != nil {
		b.release()
		return err
	}
	lines, err := c.s.judge(ctx, items)
	if err != nil || len(lines) == 0 {
		b.release()
	} else {
		err = c.deliverLines(ctx, b, lines)
	}
	if err != nil {
		return err
	}
	for i := range items {
		if items[i].kind != "" {
			c.s.counts[bulk].rejected.Add(1)
		}
	}
	c.bulkAnswer(items, c.s.opt.Now().Sub(start).Milliseconds())
	return nil
}

// deliverLines delivers the documents that were found usable, one a line.
func (c *call) deliverLines(ctx context.Context, b *body, lines net.Buffers) error {
	o, err := c.s.deliver(ctx, c.r, b, source.Delivery{Open: func(context.Context) (io.ReadCloser, error) {
		text := append(net.Buffers(nil), lines...) // reading takes it apart
		return io.NopCloser(&text), nil
	}})
	if err != nil {
		return err
	}
	c.s.counts[bulk].records.Add(o.Summary.Records)
	c.s.counts[bulk].documents.Add(o.Summary.Documents)
	return nil
}

// malformed is the error for a body that is no bulk request.
func malformed(kind, format string, args ...any) error {
	return &failure{http.StatusBadRequest, kind, fmt.Sprintf(format, args...), 0}
}

const illegalArgument = "illegal_argument_exception"

// parseBulk parts a body into its actions: each is a line, and but for delete the next
// line is its document. Blank lines between actions are passed over.
func parseBulk(b []byte, index string, limit int) ([]item, error) {
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return nil, malformed("parse_exception", "request body is required")
	case b[len(b)-1] != '\n':
		return nil, malformed(illegalArgument, `The bulk request must be terminated by a newline [\n]`)
	}
	var items []item
	for line := 1; len(b) > 0; line++ {
		var action []byte
		action, b = cutLine(b)
		if len(bytes.TrimSpace(action)) == 0 {
			continue
		}
		if len(items) == limit {
			return nil, errTooLarge
		}
		it, err := parseAction(action, line)
		if err != nil {
			return nil, err
		}
		if it.index == "" {
			it.index = index
		}
		if it.op != "delete" {
			if len(b) == 0 {
				return nil, malformed(illegalArgument, "the action on line %d has no document behind it", line)
			}
			it.doc, b = cutLine(b)
			line++
		}
		items = append(items, it)
	}
	return items, nil
}

// cutLine cuts the first line off, its end included.
func cutLine(b []byte) (line, rest []byte) {
	n := bytes.IndexByte(b, '\n') + 1
	return b[:n], b[n:]
}

// parseAction reads a line like {"create":{"_index":"x","_id":"1"}}. Other metadata
// says how Elasticsearch would store the document, and means nothing here.
func parseAction(line []byte, number int) (item, error) {
	bad := func(expected string) (item, error) {
		return item{}, malformed(illegalArgument, "Malformed action/metadata line [%d], expected %s", number, expected)
	}
	text := bytes.TrimSpace(line)
	if len(text) > maxActionLine {
		return bad(fmt.Sprintf("at most %d bytes", maxActionLine))
	}
	if end, err := rawjson.Skip(text, 0); err != nil || end != len(text) || text[0] != '{' {
		return bad("one JSON object")
	}
	c := rawjson.Walk(text)
	if !c.Next() {
		return bad("one of [create, delete, index, update]")
	}
	it, meta := item{op: rawjson.String(c.Name())}, c.Value()
	switch it.op {
	case "create", "delete", "index", "update":
	default:
		return bad("one of [create, delete, index, update]")
	}
	if meta[0] != '{' {
		return bad("an object behind " + it.op)
	}
	if c.Next() {
		return bad("one action only")
	}
	it.index, it.id = scalar(rawjson.Get(meta, "_index")), scalar(rawjson.Get(meta, "_id"))
	return it, nil
}

// scalar is the text of a string or number; nothing of anything else.
func scalar(v []byte) string {
	if len(v) == 0 || v[0] == '{' || v[0] == '[' || v[0] == 'n' {
		return ""
	}
	return rawjson.String(v)
}

// judge sets what becomes of each item, and returns the lines of those that are taken.
// It reads each as the sink will: one document by itself, so that none can change what
// another one means.
func (s *Source) judge(ctx context.Context, items []item) (net.Buffers, error) {
	d, _ := s.decoders.Get().(*cloudtrail.Decoder)
	defer s.decoders.Put(d)
	lines := make(net.Buffers, 0, len(items))
	for i := range items {
		it := &items[i]
		if it.refuse(); it.kind != "" {
			continue
		}
		reason, err := inspect(ctx, d, it.doc)
		if err != nil {
			return nil, errGone
		}
		if reason != "" {
			it.fail("document_parsing_exception", reason)
			continue
		}
		it.status = http.StatusCreated
		if it.id == "" {
			it.id = ecs.HashContent(it.doc).String()
		}
		lines = append(lines, it.doc)
	}
	return lines, nil
}

func (it *item) fail(kind, reason string) {
	it.status, it.kind, it.reason = http.StatusBadRequest, kind, reason
}

// refuse refuses what can be told from the action alone.
func (it *item) refuse() {
	switch {
	case len(it.index) > maxIndexName:
		it.index = strings.ToValidUTF8(it.index[:maxIndexName], "")
		it.fail("invalid_index_name_exception", "the name of the index is too long")
	case len(it.id) > maxDocumentID:
		it.id = strings.ToValidUTF8(it.id[:maxDocumentID], "")
		it.fail(illegalArgument, "the _id is longer than 512 bytes")
	case it.op == "update" || it.op == "delete":
		it.fail(illegalArgument, "events are only added here: use index or create")
	}
}

// notAnObject says why text is not one JSON object, or "".
func notAnObject(text []byte) string {
	if len(text) == 0 {
		return "the document is empty"
	}
	end, err := rawjson.Skip(text, 0)
	switch {
	case err != nil:
		return "the document is not JSON: " + err.Error()
	case text[0] != '{' || end != len(text):
		return "the document is not one JSON object"
	}
	return ""
}

// checkDocument says what [ecs.ParseJSON] would of an object whose grammar has been
// checked, but builds nothing of a document as they usually are: with one plain time.
func checkDocument(raw []byte) error {
	if v := rawjson.Get(raw, "@timestamp"); len(v) > 0 && v[0] == '"' {
		if t, err := time.Parse(time.RFC3339Nano, rawjson.String(v)); err == nil && t.Year() >= 1900 && t.Year() <= 2100 {
			return nil
		}
	}
	_, err := ecs.ParseJSON(nil, raw)
	return err //nolint:wrapcheck // shown as it is
}

// inspect reads one document and says why it cannot be used, or "". The error is that
// of ctx.
func inspect(ctx context.Context, d *cloudtrail.Decoder, line []byte) (reason string, err error) {
	text := bytes.TrimSpace(line)
	if reason = notAnObject(text); reason != "" {
		return reason, nil
	}
	usable := false
	sum, err := d.Decode(ctx, "", bytes.NewReader(text), cloudtrail.Visitor{
		Record: func(*cloudtrail.Record) error {
			usable = true
			return nil
		},
		Document: func(raw []byte) error {
			if err := checkDocument(raw); err == nil {
				usable = true
			} else if reason == "" {
				reason = "[bad-document] " + err.Error()
			}
			return nil
		},
		Problem: func(p cloudtrail.Problem) error {
			if p.Rejected && reason == "" {
				reason = "[" + p.Code + "] " + p.Message
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return "", err //nolint:wrapcheck // that of ctx
	case usable, sum.Digests+sum.Control > 0:
		return "", nil
	case reason == "":
		return "there is no CloudTrail record in the document, and it is none of ECS", nil
	}
	return reason, nil
}
