package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// Bounds of a chunk: what is appended to the log as one frame.
const (
	chunkRecords = 8192
	chunkBytes   = 8 << 20
)

// A chunk is some records of one delivery, on their way from a worker to the log and
// into the database. One goroutine at a time owns it.
type chunk struct {
	set     *ruleset // that the hits are of
	meta    meta
	records []store.Record
	block   []byte       // what the Raw of the last records share
	size    int          // bytes of all
	hits    []detect.Hit // Ref.Offset is the index of the record
	encoded store.Encoded
	fresh   []recentKey // of records that are not known to be stored
	end     int64       // offset behind it in the log

	task *task // the delivery; nil when the log is replayed
	last bool  // of the delivery
	err  error // the delivery could not be read to its end; then last
}

// Blocks of a chunk's memory, in bytes: as much as there is by now.
const (
	leastBlock = 64 << 10
	mostBlock  = 1 << 20
)

// keep copies the text of a record. What was copied before stays where it is: a buffer
// that grows would copy all of it again and again.
func (c *chunk) keep(raw []byte) []byte {
	if cap(c.block)-len(c.block) < len(raw) {
		c.block = make([]byte, 0, max(len(raw), min(max(c.size, leastBlock), mostBlock)))
	}
	start := len(c.block)
	c.block, c.size = append(c.block, raw...), c.size+len(raw)
	return c.block[start:len(c.block):len(c.block)]
}

// meta says where the records of a frame came from. It is written to the log: names
// never change their meaning. docs/format/log.md lists them.
type meta struct {
	Source   string    `json:"source,omitempty"`
	Input    string    `json:"input,omitempty"`
	Object   string    `json:"object,omitempty"`
	Version  string    `json:"version,omitempty"`
	Account  string    `json:"account,omitempty"` // of the object's name
	Region   string    `json:"region,omitempty"`
	Hour     int64     `json:"hour,omitempty"` // of delivery, since 1970
	Arrived  time.Time `json:"arrived,omitzero"`
	Ingested time.Time `json:"ingested,omitzero"`
	// Done is how many records of the input have been dealt with, this frame included.
	Done     int64      `json:"done,omitempty"`
	Rejected int64      `json:"rejected,omitempty"`
	Last     bool       `json:"last,omitempty"`
	Hours    []metaHour `json:"hours,omitempty"`
}

// metaHour counts the records of an account, region and hour.
type metaHour struct {
	Account    string `json:"account,omitempty"`
	Region     string `json:"region,omitempty"`
	Hour       int64  `json:"hour"`
	Records    int64  `json:"records,omitempty"`
	Duplicates int64  `json:"duplicates,omitempty"`
	Late       int64  `json:"late,omitempty"`
	Future     int64  `json:"future,omitempty"`
	MaxDelay   int64  `json:"max_delay,omitempty"` // milliseconds
	SumDelay   int64  `json:"sum_delay,omitempty"` // milliseconds
}

func (m *meta) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode what a frame came from: %w", err)
	}
	return b, nil
}

func (m *meta) decode(b []byte) error {
	if err := json.Unmarshal(b, m); err != nil {
		return fmt.Errorf("what a frame of the log came from: %w: %w", store.ErrDamaged, err)
	}
	return nil
}

// viewer makes events of raw records. It belongs to one goroutine, and an event is
// valid until the next.
type viewer struct {
	catalogue *ecs.Catalogue
	enricher  cloudtrail.Enricher
	event     *cloudtrail.Event
	record    cloudtrail.Record
}

func (v *viewer) view(kind byte, raw []byte) (ecs.Event, error) {
	if kind == store.KindDocument {
		ev, err := ecs.ParseJSON(v.catalogue, raw)
		if err != nil {
			return nil, fmt.Errorf("a stored document: %w: %w", store.ErrDamaged, err)
		}
		return ev, nil
	}
	if _, err := v.record.Parse(raw); err != nil {
		return nil, fmt.Errorf("a stored record: %w: %w", store.ErrDamaged, err)
	}
	if v.event == nil {
		v.event = cloudtrail.NewEvent(v.catalogue, v.enricher)
	}
	v.event.Reset(&v.record)
	return v.event, nil
}

// content is the hash of a record that tells copies of one event apart. It is that of
// a scan, and never zero.
func content(raw []byte) uint64 {
	sum := sha256.Sum256(raw)
	return max(binary.BigEndian.Uint64(sum[:]), 1)
}

// match finds the hits of a chunk's records under a set of rules.
func (v *viewer) match(c *chunk, set *ruleset, m *detect.Matcher) error {
	c.set, c.hits = set, c.hits[:0]
	for i := range c.records {
		r := &c.records[i]
		ev, err := v.view(r.Kind, r.Raw)
		if err != nil {
			return err
		}
		if err := c.matchOne(m, ev, i); err != nil {
			return err
		}
	}
	return nil
}

// matchOne adds the hits of one event.
func (c *chunk) matchOne(m *detect.Matcher, ev ecs.Event, record int) error {
	hash := uint64(0)
	return m.Match(ev, func(h *detect.Hit) error {
		if hash == 0 {
			hash = content(c.records[record].Raw)
		}
		h.Content = hash
		h.Ref = detect.Ref{Offset: int64(record)}
		c.hits = append(c.hits, *h)
		return nil
	})
}
