package detect

import (
	"bytes"
	"cmp"
	"crypto/sha256"

	"github.com/debutsec/debut/ecs"
)

// A Ref says where the raw record of a hit can be read again. Its meaning is that
// of whoever keeps the records.
type Ref struct {
	Log    uint32
	Length uint32
	Offset int64
}

// A Hit is that a rule's query is true for an event, in one group. Folded hits and
// findings have the same form: an episode of a combination, a window over a
// threshold. Hits are plain values of fixed size.
type Hit struct {
	Rule  int32  // index in Engine.Rules
	Group ecs.ID // of the rule and the values of its group fields
	Time  int64  // of the first event, nanoseconds since 1970 UTC
	ID    ecs.ID // of the first event
	Last  int64  // time of the last event
	// Content tells copies of one event apart: they share ID. The smallest speaks.
	Content uint64
	// Value is a hash of the value of the threshold's cardinality field; zero: none.
	Value ecs.ID
	// Principal is a hash of the stable principal; zero: none, or, of a threshold's
	// finding, not the same for all its events.
	Principal ecs.ID
	Ref       Ref
	// Conflict: unequal copies of the event were met, or, in a threshold's finding,
	// of one of its events.
	Conflict bool

	// Set in findings only.
	Recurs   bool  // the combination was seen before, at Previous
	Previous int64 // time of the last event of the episode before
	Count    int64 // threshold: distinct events
	Distinct int64 // threshold: distinct values of the cardinality field; maxDistinct: or more
}

// Compare orders hits by rule, group, time, ID, then content: the order in which
// [Rule.Reduce] wants them.
func (h *Hit) Compare(o *Hit) int {
	if c := cmp.Compare(h.Rule, o.Rule); c != 0 {
		return c
	}
	if c := bytes.Compare(h.Group[:], o.Group[:]); c != 0 {
		return c
	}
	if c := cmp.Compare(h.Time, o.Time); c != 0 {
		return c
	}
	if c := bytes.Compare(h.ID[:], o.ID[:]); c != 0 {
		return c
	}
	if c := cmp.Compare(h.Content, o.Content); c != 0 {
		return c
	}
	if c := bytes.Compare(h.Value[:], o.Value[:]); c != 0 {
		return c
	}
	return cmp.Compare(h.Last, o.Last)
}

// SameGroup reports whether two hits are of one rule and group.
func (h *Hit) SameGroup(o *Hit) bool { return h.Rule == o.Rule && h.Group == o.Group }

// copies reports whether two hits are of copies of one event.
func (h *Hit) copies(o *Hit) bool { return h.ID == o.ID && h.Time == o.Time }

// hashText returns a hash of s that is the same in every run and never zero. It
// takes the width of an ID because the texts come from logs: with fewer bits
// somebody could find two names that count as one.
func hashText(s string) ecs.ID {
	var buf [256]byte
	sum := sha256.Sum256(append(buf[:0], s...))
	return ecs.ID(sum[:16])
}
