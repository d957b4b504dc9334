package events

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// An entry is one stored event on its way to a reader or into a segment.
type entry struct {
	store.Record

	ingested int64 // nanoseconds; 0: not known
}

// compareKeys orders by (time, ID).
func compareKeys(at int64, a *ecs.ID, bt int64, b *ecs.ID) int {
	if c := cmp.Compare(at, bt); c != 0 {
		return c
	}
	return bytes.Compare(a[:], b[:])
}

func (e *entry) compare(o *entry) int { return compareKeys(e.Time, &e.ID, o.Time, &o.ID) }

// before reports whether e is the copy that speaks for an event rather than o: that
// with the smaller hash of its content, of equal ones that which arrived first.
func (e *entry) before(o *entry) bool {
	if bytes.Equal(e.Raw, o.Raw) {
		return e.ingested < o.ingested
	}
	a, b := sha256.Sum256(e.Raw), sha256.Sum256(o.Raw)
	return bytes.Compare(a[:], b[:]) < 0
}

// An eventMaker makes events of stored text again. It belongs to one goroutine.
type eventMaker struct {
	cat    *ecs.Catalogue
	event  *cloudtrail.Event
	record cloudtrail.Record
}

func newEventMaker(cat *ecs.Catalogue, enr cloudtrail.Enricher) *eventMaker {
	return &eventMaker{cat: cat, event: cloudtrail.NewEvent(cat, enr)}
}

// make returns the event of a record. It is valid until the next call.
func (m *eventMaker) make(kind byte, raw []byte) (ecs.Event, error) {
	if kind == store.KindDocument {
		ev, err := ecs.ParseJSON(m.cat, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: a stored document: %w", store.ErrDamaged, err)
		}
		return ev, nil
	}
	if _, err := m.record.Parse(raw); err != nil {
		return nil, fmt.Errorf("%w: a stored record: %w", store.ErrDamaged, err)
	}
	m.event.Reset(&m.record)
	return m.event, nil
}

// ingestTime is the time that an entry arrived at, as readers see it.
func ingestTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
