package cloudtrail

import (
	"context"
	"io"
)

// A Decoder reads records out of any container that CloudTrail travels in. It
// keeps buffers between inputs: use one per goroutine.
type Decoder struct {
	Limits Limits
}

// Limits bound what an input may cost. A zero field means its default.
type Limits struct {
	Record int64 // bytes of one record; default 16 MiB. Over 256 KiB is noted, over this is rejected
	Input  int64 // bytes of one input after decompression; default 64 GiB
	Ratio  int64 // decompressed bytes per compressed byte, judged beyond the first 64 MiB; default 1000
}

// A Visitor takes what a Decoder finds. Nil functions are skipped. An error that
// a function returns ends the decoding and is returned by Decode.
type Visitor struct {
	// Record gets every record that is well-formed JSON, has a usable
	// eventTime and is an audit event. It is valid until the function returns.
	Record func(*Record) error
	// Document gets every JSON object that is an ECS document already.
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
	panic("not written yet")
}
