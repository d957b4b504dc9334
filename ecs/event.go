package ecs

import (
	"encoding/hex"
	"fmt"
	"time"
)

// An Event is the ECS view of one record: field name → values, always a list.
//
// An Event is used by one goroutine at a time. What Values returns is valid
// until the implementation is given its next record; a caller that keeps a
// value clones it.
type Event interface {
	// Values returns the text of every value of f in document order, or nil if
	// the event has none (absent, null, empty list: the three are one thing).
	// Booleans read "true" and "false", numbers as in the document, dates in
	// RFC 3339 with milliseconds and Z. The slice belongs to the event.
	Values(f *Field) []string

	// Time is @timestamp, in UTC.
	Time() time.Time

	// ID names the event: a hash of recipient account and eventID, else of the
	// content. Two copies of one event have the same ID.
	ID() ID

	// Document builds the whole ECS document. It is expensive and belongs to
	// the caller.
	Document() Document
}

// ID identifies an event. IDs compare bytewise; the order has no meaning but is
// the same everywhere, so it breaks ties between events of one time.
type ID [16]byte

// String returns the ID in lower-case hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements [encoding.TextMarshaler]: hexadecimal, as String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("an event id has %d hexadecimal digits, not %d", hex.EncodedLen(len(id)), len(text))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("event id: %w", err)
	}
	return nil
}
