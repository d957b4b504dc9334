package cloudtrail

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
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
//
// An Event is made once per goroutine and reused: [Event.Reset] costs the same
// whatever was read before, and an Event that has seen a few records reads the
// usual fields of the next without allocating. Strings share the record's memory
// where they can, the Event's where they had to be made; both are valid until the
// next Reset.
type Event struct {
	cat *ecs.Catalogue
	enr Enricher
	rec *Record

	// unusual says that values are read from the document: of a digest file, which
	// no rule is about, and of a record larger than CloudTrail makes them, because a
	// document takes one pass however the record is nested.
	unusual bool

	gen   uint32 // of the record; what carries another one is not of it
	cells []cell // by ecs.Field.Index
	text  []byte // strings made for this record; only ever appended to

	identity identity
	entities entities
	agent    Agent
	place    Place
	doc      ecs.Document
	gens     struct{ entities, agent, place, doc uint32 } // of what is kept above

	entries   []entry    // scratch of render
	resources []resource // scratch of appendResources
}

// A cell holds the values of one field. The slice is the cell's own and is used
// again for every record.
type cell struct {
	field  *ecs.Field
	read   reader
	gen    uint32
	values []string
}

var _ ecs.Event = (*Event)(nil)

// NewEvent returns an Event without a record. enr may be nil: then the fields that
// it gives are absent. The fields asked for must be of cat.
func NewEvent(cat *ecs.Catalogue, enr Enricher) *Event { return &Event{cat: cat, enr: enr} }

// Reset makes e the view of r, which must stay valid and unchanged as long as e is used.
func (e *Event) Reset(r *Record) {
	e.rec = r
	e.unusual = r.isDigest() || len(r.raw) > largeRecord
	e.text = e.text[:0]
	if cap(e.text) > maxText { // one giant must not keep its room for ever
		e.text = nil
	}
	if e.gen++; e.gen == 0 { // after four thousand million records
		*e = Event{cat: e.cat, enr: e.enr, rec: r, unusual: e.unusual, gen: 1}
	}
}

// What an Event keeps from one record to the next: bytes of strings, values of a field.
const (
	maxText   = 1 << 20
	maxValues = 1 << 12
)

// Record returns the record that e views.
func (e *Event) Record() *Record { return e.rec }

// Values implements [ecs.Event].
func (e *Event) Values(f *ecs.Field) []string {
	if f.Index >= len(e.cells) {
		e.grow(f.Index)
	}
	c := &e.cells[f.Index]
	if c.field != f {
		if c.field != nil { // of another catalogue
			return e.resolve(f)(e, nil)
		}
		c.field, c.read = f, e.resolve(f)
	}
	if c.gen != e.gen {
		c.gen = e.gen
		if cap(c.values) > maxValues {
			c.values = nil
		}
		if e.unusual {
			c.values = fromDocument(cmp.Or(f.Of, f.Name))(e, c.values[:0])
		} else {
			c.values = c.read(e, c.values[:0])
		}
	}
	if len(c.values) == 0 {
		return nil
	}
	return c.values
}

// grow makes room for the field of that index, and for all that exist by now.
func (e *Event) grow(index int) {
	cells := make([]cell, max(index+1, e.cat.Len()))
	copy(cells, e.cells)
	e.cells = cells
}

// Time implements [ecs.Event]. It is the zero time if the record has no usable
// eventTime; a [Decoder] gives out no such record.
func (e *Event) Time() time.Time {
	if t, ok := e.rec.EventTime(); ok {
		return t
	}
	t, _ := parseTime(e.first(e.rec.Value(e.rec.timeMember())))
	return t
}

// ID implements [ecs.Event]: a hash of the account that received the record and
// its eventID. A record from before version 1.02 does not name that account: then
// it is cloud.account.id, the caller's. So an ECS document of the same event has the
// same ID. Without an eventID it is a hash of the record's bytes, which nothing but
// a copy byte for byte shares.
func (e *Event) ID() ecs.ID {
	var space [2]string
	if id := e.scalars(space[:0], e.rec.Value(EventID)); len(id) == 1 {
		account := e.first(e.rec.Value(RecipientAccountID))
		if account == "" {
			account = first(e.cloudAccount(space[1:1]))
		}
		return ecs.HashID(account, id[0])
	}
	return ecs.HashContent(e.rec.Raw())
}

// timeError says what is wrong with the record's time, "" if it has none or a good one.
func (e *Event) timeError() string {
	stamp := e.first(e.rec.Value(e.rec.timeMember()))
	if _, ok := parseTime(stamp); ok || stamp == "" {
		return ""
	}
	return timeError(stamp)
}

func timeError(stamp string) string { return fmt.Sprintf("the record's time %q is not one", stamp) }

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// Document implements [ecs.Event].
func (e *Event) Document() ecs.Document { return document(e.rec, e.enr) }

// document returns the document for reading only, built once for each record.
func (e *Event) document() ecs.Document {
	if e.gens.doc != e.gen {
		e.doc, e.gens.doc = e.Document(), e.gen
	}
	return e.doc
}

// scalars appends the text of v, or of the values in it if it is a list. What is
// pruned is left out, and so are objects: no field of the mapping but a flattened
// one can hold them.
func (e *Event) scalars(dst []string, v []byte) []string {
	switch kind(v) {
	case '"':
		if s := e.string(v); !empty(s) {
			dst = append(dst, s)
		}
	case '0', 't':
		dst = append(dst, rawjson.String(v))
	case '[':
		for c := rawjson.Walk(v); c.Next(); {
			dst = e.scalars(dst, c.Value())
		}
	}
	return dst
}

// first returns the first text of v, "" if it has none. Wherever the mapping
// decides by a value or makes another of it, it is this one.
func (e *Event) first(v []byte) string {
	switch kind(v) {
	case '"':
		if s := e.string(v); !empty(s) {
			return s
		}
	case '0', 't':
		return rawjson.String(v)
	case '[':
		for c := rawjson.Walk(v); c.Next(); {
			if s := e.first(c.Value()); s != "" {
				return s
			}
		}
	}
	return ""
}

// kind returns what v is: '{', '[', '"', 't' for booleans, 'n' for null, '0' for
// numbers, 0 if it is absent.
func kind(v []byte) byte {
	if len(v) == 0 {
		return 0
	}
	switch c := v[0]; c {
	case '{', '[', '"', 't', 'n':
		return c
	case 'f':
		return 't'
	default:
		return '0'
	}
}

// empty reports whether a string counts as no value: the integration removes the
// empty string, "-" and "none" wherever they stand.
func empty(s string) bool {
	switch len(s) {
	case 0:
		return true
	case 1:
		return s[0] == '-'
	case 4:
		return s == "none"
	}
	return false
}

// string returns the text of the raw JSON string v.
func (e *Event) string(v []byte) string {
	if s, ok := rawjson.Verbatim(v); ok {
		return s
	}
	start := len(e.text)
	e.text = rawjson.Unquote(e.text, v)
	return e.made(start)
}

// made returns as a string what was appended to e.text from start on. It stays
// valid when e.text grows, and until Reset.
func (e *Event) made(start int) string { return rawjson.View(e.text[start:]) }
