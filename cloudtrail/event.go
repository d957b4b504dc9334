package cloudtrail

import (
	"net/netip"
	"time"

	"github.com/debutsec/debut/ecs"
)

// An Enricher adds what a record does not hold. It must be safe for concurrent
// use and give the same answer for the same question.
type Enricher interface {
	UserAgent(original string) Agent
	Address(addr netip.Addr) Place
}

// Agent is a parsed user agent; empty members are absent.
type Agent struct{ Name, Version, Device, OSName, OSVersion, OSFull string }

// Place is where an address is and whose; zero members are absent.
type Place struct {
	City, Continent, CountryISO, Country, RegionISO, Region string
	Lat, Lon                                                float64
	HasLocation                                             bool
	ASN                                                     uint32
	ASOrg                                                   string
}

// Event is the lazy ECS view of a [Record]: a value is read when it is asked for,
// once. It implements [ecs.Event].
type Event struct {
	cat *ecs.Catalogue
	enr Enricher
	rec *Record
}

var _ ecs.Event = (*Event)(nil)

// NewEvent returns an Event without a record. enr may be nil: then the fields that
// it gives are absent.
func NewEvent(cat *ecs.Catalogue, enr Enricher) *Event { return &Event{cat: cat, enr: enr} }

// Reset makes e the view of r, which must stay valid and unchanged as long as e is used.
func (e *Event) Reset(r *Record) { e.rec = r }

// Record returns the record that e views.
func (e *Event) Record() *Record { return e.rec }

// Values implements [ecs.Event].
func (e *Event) Values(f *ecs.Field) []string { panic("not written yet") }

// Time implements [ecs.Event].
func (e *Event) Time() time.Time { panic("not written yet") }

// ID implements [ecs.Event].
func (e *Event) ID() ecs.ID { panic("not written yet") }

// Document implements [ecs.Event].
func (e *Event) Document() ecs.Document { panic("not written yet") }
