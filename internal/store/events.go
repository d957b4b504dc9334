package store

import (
	"context"
	"iter"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// Events keeps the records themselves: first in a log, the truth that everything else
// is a fold of, then in segments sorted by time. It is safe for concurrent use.
type Events interface {
	// Append makes frames durable, in this order, with one sync, and returns the
	// offset behind each. After an error nothing is known to be durable; the frames
	// may be appended again, and readers see each event once all the same.
	Append(ctx context.Context, frames []Encoded) (ends []int64, err error)
	// Replay yields the frames from an offset on, which is 0 or one that Append
	// returned, with the offset behind each.
	Replay(ctx context.Context, from int64) iter.Seq2[Logged, error]
	// End is the offset behind the last frame.
	End() int64
	// Folded says that nothing before the offset will be replayed again: the frames
	// before it may be dropped once they are in segments too.
	Folded(before int64)
	// Scan yields the stored events that match q in order of (time, ID), each once:
	// of unequal copies the one with the smallest content hash speaks. An event is
	// valid until the next.
	Scan(ctx context.Context, q Scan) iter.Seq2[*Stored, error]
	// Find returns one event by its time and ID, or ErrNotFound.
	Find(ctx context.Context, t time.Time, id ecs.ID) (*Stored, error)
	Close() error
}

// Kinds of raw text.
const (
	KindRecord   = 'R' // a CloudTrail record
	KindDocument = 'D' // an ECS document
)

// A Frame is what is appended at once: records of one input, and Meta, which says
// where they came from and means nothing to the log.
type Frame struct {
	Meta    []byte
	Records []Record
}

// A Record is one record of a frame.
type Record struct {
	Kind byte
	Time int64  // of the event, nanoseconds since 1970 UTC
	ID   ecs.ID // of the event
	Raw  []byte
}

// Encoded is a frame as the log writes it: compressed, with checksum. Encoding is the
// work, and is done by whoever has time.
type Encoded []byte

// Logged is a frame read back. It is valid until the next.
type Logged struct {
	Frame
	End int64
}

// A Scan says which events to yield.
type Scan struct {
	From, To time.Time // From ≤ @timestamp < To; zero: no bound
	// Match is the query that events must match; nil: all. Its fields are of the
	// catalogue that the store was opened with.
	Match query.Expr
	// Descending yields the latest first.
	Descending bool
	Limit      int // 0: all
	// Copies yields the unequal copies of an event that match, each, the one that
	// speaks first.
	Copies bool
	// Damaged, if not nil, is told of segments and parts of the log that cannot be
	// read; the rest is yielded.
	Damaged func(name string, err error)
}

// Stored is an event read back.
type Stored struct {
	Record
	// Event is the ECS view of the record.
	Event ecs.Event
	// Ingested is when the record arrived here; zero if that is not known.
	Ingested time.Time
}
