package store

import (
	"context"
	"fmt"
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
	// Rollups yields how often what was done, by hour, of every event that Scan would
	// yield and of each once, whether it is in a segment or in the log only. Rows with
	// equal [RollupKey] come in no order and more than once: whoever reads them adds
	// them up. A row is valid until the next; its texts are the reader's to keep.
	Rollups(ctx context.Context, q RollupQuery) iter.Seq2[*Rollup, error]
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

// FindByScan is [Events.Find] of a store that finds an event among those of its instant.
func FindByScan(ctx context.Context, s Events, t time.Time, id ecs.ID) (*Stored, error) {
	for e, err := range s.Scan(ctx, Scan{From: t, To: t.Add(1)}) {
		if err != nil {
			return nil, err
		}
		if e.ID == id {
			return e, nil
		}
	}
	return nil, fmt.Errorf("event %s of %s: %w", id, t.Format(time.RFC3339), ErrNotFound)
}

// A RollupKey is what events have in common that are counted together. A field that an
// event does not have is empty; of several values the first counts. Texts are cut at
// 1,024 bytes.
type RollupKey struct {
	Hour      time.Time // begin of the full hour, UTC
	Account   string    // cloud.account.id
	Region    string    // cloud.region
	Principal string    // debut.principal
	Provider  string    // event.provider, such as ssm.amazonaws.com
	Action    string    // event.action
	Outcome   string    // event.outcome
	// Network is the /24 of the source address, of IPv6 its /48; of a call by a service
	// the service's name.
	Network string
	// Agent is the name of the parsed user agent (user_agent.name), or, where that says
	// nothing, the first 128 bytes of the user agent.
	Agent string
}

// A Rollup is how often something was done within one hour.
type Rollup struct {
	RollupKey

	Count       int64
	First, Last time.Time // of the events, UTC; exact to the microsecond
}

// A RollupQuery says which rollups to yield: those of full hours with From ≤ Hour < To
// whose fields are equal to those that are not empty here.
type RollupQuery struct {
	From, To  time.Time // zero: no bound
	Account   string
	Region    string
	Principal string
	Provider  string
	Action    string
	Network   string
	// Totals asks for less: Outcome and Agent of rows are empty, and what differs by
	// these and the hour only is added up, as far as that is cheap. A row is then of Hour
	// and of other hours.
	Totals bool
	// Damaged, if not nil, is told of segments and parts of the log that cannot be
	// read; the rest is counted.
	Damaged func(name string, err error)
}

// Wants reports whether a rollup with that key is asked for.
func (q *RollupQuery) Wants(k *RollupKey) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return !k.Hour.Before(q.From) && (q.To.IsZero() || k.Hour.Before(q.To)) &&
		is(q.Principal, k.Principal) && is(q.Account, k.Account) && is(q.Region, k.Region) &&
		is(q.Action, k.Action) && is(q.Provider, k.Provider) && is(q.Network, k.Network)
}
