package events

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// An entry is one stored event on its way to a reader or into a segment.
type entry struct {
	store.Record

	ingested int64             // nanoseconds; 0: not known
	place    *cloudtrail.Place // where its address was when it was stored; nil: not known
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
	places *storedPlaces
	event  *cloudtrail.Event
	record cloudtrail.Record
}

func newEventMaker(cat *ecs.Catalogue, enr cloudtrail.Enricher) *eventMaker {
	p := &storedPlaces{Enricher: enr}
	return &eventMaker{cat: cat, places: p, event: cloudtrail.NewEvent(cat, p)}
}

// make returns the event of an entry. It is valid until the next call.
func (m *eventMaker) make(e *entry) (ecs.Event, error) {
	if e.Kind == store.KindDocument {
		ev, err := ecs.ParseJSON(m.cat, e.Raw)
		if err != nil {
			return nil, fmt.Errorf("%w: a stored document: %w", store.ErrDamaged, err)
		}
		return ev, nil
	}
	if _, err := m.record.Parse(e.Raw); err != nil {
		return nil, fmt.Errorf("%w: a stored record: %w", store.ErrDamaged, err)
	}
	m.places.stored = e.place
	m.event.Reset(&m.record)
	return m.event, nil
}

// storedPlaces says of an event's address what was known when the event was stored,
// and so its fields do not change with the database.
type storedPlaces struct {
	cloudtrail.Enricher // nil: nothing is known

	stored *cloudtrail.Place
}

// UserAgent implements [cloudtrail.Enricher].
func (p *storedPlaces) UserAgent(original string) cloudtrail.Agent {
	if p.Enricher == nil {
		return cloudtrail.Agent{}
	}
	return p.Enricher.UserAgent(original)
}

// Address implements [cloudtrail.Enricher].
func (p *storedPlaces) Address(addr netip.Addr) cloudtrail.Place {
	switch {
	case p.stored != nil:
		return *p.stored
	case p.Enricher == nil:
		return cloudtrail.Place{}
	}
	return p.Enricher.Address(addr)
}

// ingestTime is the time that an entry arrived at, as readers see it.
func ingestTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
