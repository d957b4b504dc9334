package detect

import (
	"bytes"
	"cmp"

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
	// Value is a hash of the value of the threshold's cardinality field; 0: none.
	Value uint64
	// Principal is a hash of the event's stable principal; 0: none.
	Principal uint64
	Ref       Ref

	// Set in findings only.
	Previous int64 // last event of the episode before; 0: none
	Count    int64 // threshold: distinct events
	Distinct int64 // threshold: distinct values of the cardinality field
}

// Compare orders hits by rule, group, time, ID, then content: the order in which
// [Engine.Reduce] wants them.
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
	if c := cmp.Compare(h.Value, o.Value); c != 0 {
		return c
	}
	return cmp.Compare(h.Last, o.Last)
}

// CompareTime orders findings by rule, time, then ID and group: the order in
// which [Engine.Signals] wants them.
func (h *Hit) CompareTime(o *Hit) int {
	if c := cmp.Compare(h.Rule, o.Rule); c != 0 {
		return c
	}
	if c := cmp.Compare(h.Time, o.Time); c != 0 {
		return c
	}
	if c := bytes.Compare(h.ID[:], o.ID[:]); c != 0 {
		return c
	}
	return bytes.Compare(h.Group[:], o.Group[:])
}

// SameGroup reports whether two hits are of one rule and group.
func (h *Hit) SameGroup(o *Hit) bool { return h.Rule == o.Rule && h.Group == o.Group }
