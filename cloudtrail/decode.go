package cloudtrail

import (
	"context"
	"io"
)

// A Decoder reads records out of any container that CloudTrail travels in: log
// objects of S3, NDJSON, arrays, single records, CloudWatch Logs subscriptions and
// exports, EventBridge events, the output of lookup-events, rows of CloudTrail Lake
// and Athena, and what Lambda, Kinesis, Firehose, SNS, SQS, Filebeat and OpenSearch
// wrap around them; compressed with gzip or zstd or not, told by content. It keeps
// buffers between inputs: use one per goroutine.
type Decoder struct {
	Limits Limits
	// Strict checks every record whole, for duplicate names, members of a wrong type
	// and lone surrogates, and notes them.
	Strict bool

	buf    []byte
	record Record
	in     input
	inner  *Decoder // for compressed data inside a wrapper
}

// Limits bound what an input may cost. A zero field means its default.
type Limits struct {
	Record int64 // bytes of one record or wrapper; default 16 MiB, at most 1 GiB. Records over 256 KiB are noted, over this rejected
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
	l.Record = min(l.Record, 1<<30) // a Record counts in 32 bits
	return l
}

// A Visitor takes what a Decoder finds. Nil functions are skipped. An error that
// a function returns ends the decoding and is returned by Decode.
type Visitor struct {
	// Record gets every record that is well-formed JSON, has a usable
	// eventTime and is an audit event. It is valid until the function returns.
	//
	// The records of an input whose end is damaged were given before that was
	// known; the damage is then a Problem.
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
	Offset   int64  // byte offset in the decompressed input; of what is inside a wrapper: the wrapper's
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

// Add adds what another input held.
func (s *Summary) Add(o *Summary) {
	s.Records += o.Records
	s.Documents += o.Documents
	s.Rejected += o.Rejected
	s.Noted += o.Noted
	s.Digests += o.Digests
	s.Insights += o.Insights
	s.Control += o.Control
	s.Bytes += o.Bytes
	s.InBytes += o.InBytes
}

// Decode reads one input to its end. The error is that of the visitor or of ctx;
// whatever is wrong with the input goes to Visitor.Problem instead, and everything
// readable around it is still read. Memory is bounded by Limits.Record, not by the
// size of the input.
func (d *Decoder) Decode(ctx context.Context, name string, r io.Reader, v Visitor) (Summary, error) {
	s := scanner{d: d, ctx: ctx, name: name, v: v, limits: d.Limits.withDefaults()}
	err := s.read(r)
	return s.sum, err
}

// read reads all of r, in the decoder's buffer.
func (s *scanner) read(r io.Reader) error {
	d := s.d
	d.in.open(r, s.limits)
	s.window = window{ctx: s.ctx, in: &d.in, buf: d.buf[:0]}
	err := s.run()
	s.sum.Bytes, s.sum.InBytes = s.base+int64(len(s.buf)), d.in.src.n
	d.buf = s.buf
	if cap(d.buf) > keepBuffer { // one giant must not keep its room for ever
		d.buf = nil
	}
	d.in.close()
	return err
}

// keepBuffer is how large a buffer may be that is kept for the next input.
const keepBuffer = 4 << 20
