package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A DB keeps ordered tables. It is safe for concurrent use.
type DB interface {
	// View calls f with a consistent view of everything committed before it began.
	// Views run beside each other and beside an Update.
	View(ctx context.Context, f func(Tx) error) error
	// Update calls f, alone among updates, and commits: all of what f wrote is durable
	// when Update returns nil, and nothing of it, ever, when f returns an error or
	// panics. f sees its own writes.
	Update(ctx context.Context, f func(Tx) error) error
	Close() error
}

// A Tx is a transaction. It belongs to one goroutine and is valid until the function
// that it was given to returns.
type Tx interface {
	// Get returns the value at key, nil if there is none. The value belongs to the
	// caller.
	Get(t Table, key []byte) ([]byte, error)
	// Put and Delete return ErrReadOnly in a View. The bytes may be reused
	// afterwards. A key is 1 to MaxKey bytes long, else the error of CheckKey is
	// returned; deleting what is not there is no error.
	Put(t Table, key, value []byte) error
	Delete(t Table, key []byte) error
	// Range yields the pairs with from ≤ key < to in rising order of bytes; a nil to
	// means to the end. The pairs belong to the caller. The table may be changed while ranging: the
	// pairs yielded are those of the moment in which the ranging began.
	Range(t Table, from, to []byte) iter.Seq2[Pair, error]
	// Reverse is Range in falling order.
	Reverse(t Table, from, to []byte) iter.Seq2[Pair, error]
}

// MaxKey is how long a key may be, in bytes.
const MaxKey = 1024

// CheckKey returns an error, which wraps ErrKey, if key can be no key of a table.
func CheckKey(key []byte) error {
	if len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("%w: it has %d bytes, and must have 1 to %d", ErrKey, len(key), MaxKey)
	}
	return nil
}

// A Pair is one row of a table.
type Pair struct{ Key, Value []byte }

// A Table is one of the tables below. Its number is part of no format, its name is.
type Table uint8

// The tables. The comment is the key; docs/format/state.md has the values.
const (
	Meta        Table = iota // name: small facts about the store
	RuleKeys                 // rule id, fingerprint: the number of that version of the rule
	Findings                 // rule number, group, time, event id: what detectors remember
	Instances                // rule number, suppression group, time, event id, group
	Hits                     // rule number, group, time, event id, content, value: hits that windows may still need
	Alerts                   // handle
	AlertNames               // uuid, present or former: handle
	AlertTimes               // time, handle
	AlertRules               // rule id, time, handle
	Documents                // handle: the alert's document and its event
	Objects                  // hash of name and version: inputs read, expected, failed
	Hours                    // account, region, hour: the coverage ledger
	Positions                // source, name
	Outbox                   // time due, sequence: messages to send
	Exceptions               // id
	Silences                 // id: maintenance windows and snoozes
	Runs                     // time, id
	Audit                    // time, sequence
	Tokens                   // id
	Segments                 // id: Parquet segments in use
	Reports                  // handle, version: what the investigation of an alert found
	AlertsDue                // time due, handle: alerts to be investigated
	AlertScores              // score, time, handle: alerts that were
	NumTables
)

var tableNames = [NumTables]string{ //nolint:gochecknoglobals // a constant table
	"meta", "rule_keys", "findings", "instances", "hits", "alerts", "alert_names", "alert_times", "alert_rules", "documents",
	"objects", "hours", "positions", "outbox", "exceptions", "silences", "runs", "audit", "tokens", "segments",
	"reports", "alerts_due", "alert_scores",
}

// String returns the name, as a store on disk uses it.
func (t Table) String() string { return tableNames[t] }

// What callers tell apart. Errors of stores wrap them.
var (
	ErrNotFound = errors.New("not found")
	ErrReadOnly = errors.New("the transaction only reads")
	ErrKey      = errors.New("not a key")
	// ErrClosed: the store was used after Close.
	ErrClosed = errors.New("the store is closed")
	// ErrInUse: another process has the data folder open.
	ErrInUse = errors.New("in use by another process")
	// ErrFormat: the store was written by a newer program, or is not one of ours.
	ErrFormat = errors.New("unknown format")
	// ErrDamaged: the bytes on disk are not those that were written.
	ErrDamaged = errors.New("damaged")
)
