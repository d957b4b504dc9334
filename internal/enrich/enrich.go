package enrich

import (
	"errors"
	"net/netip"
	"strings"
	"sync"

	"github.com/ua-parser/uap-go/uaparser"

	"github.com/debutsec/debut/cloudtrail"
)

// Options say what to enrich with.
type Options struct {
	// GeoIP names MaxMind DB files that hold places (City, Country, Enterprise) or
	// networks (ASN, ISP). The first file that knows the place of an address gives
	// all of the place, the first that knows its network all of that.
	GeoIP []string
}

// An Enricher implements [cloudtrail.Enricher]. It is safe for concurrent use, except
// for Close, and gives the same answer for the same question. Its caches are bounded.
type Enricher struct {
	databases []*database
	agents    *cache[string, cloudtrail.Agent]
	places    *cache[netip.Addr, cloudtrail.Place]
	patterns  func() *uaparser.Parser

	mu  sync.Mutex
	err error // the first damage found in a database
}

var _ cloudtrail.Enricher = (*Enricher)(nil)

const (
	agentsKept = 8 << 10
	placesKept = 64 << 10
	// maxAgent is how many bytes of a user agent are looked at. CloudTrail cuts it
	// at 1 KB.
	maxAgent = 2 << 10
)

// New opens the databases. An error names the file and says what to do.
func New(opt Options) (*Enricher, error) {
	e := &Enricher{
		agents:   newCache[string, cloudtrail.Agent](agentsKept),
		places:   newCache[netip.Addr, cloudtrail.Place](placesKept),
		patterns: sync.OnceValue(compilePatterns),
	}
	for _, file := range opt.GeoIP {
		db, err := openDatabase(file)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		e.databases = append(e.databases, db)
	}
	return e, nil
}

// Close closes the databases. No other method may be called during or after it, except
// Err.
func (e *Enricher) Close() error {
	errs := make([]error, 0, len(e.databases))
	for _, db := range e.databases {
		errs = append(errs, db.reader.Close())
	}
	e.databases = nil
	return errors.Join(errs...)
}

// Err returns the first damage that was found in a database while it was used. What a
// damaged part holds is absent.
func (e *Enricher) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *Enricher) damaged(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

// UserAgent implements [cloudtrail.Enricher]. Name and Device are "Other" where nothing
// better is known; an empty text has no parts at all.
func (e *Enricher) UserAgent(original string) cloudtrail.Agent {
	if original == "" {
		return cloudtrail.Agent{}
	}
	if len(original) > maxAgent {
		original = original[:maxAgent]
	}
	if a, ok := awsAgent(original); ok {
		return a
	}
	if a, ok := e.agents.get(original); ok {
		return a
	}
	original = strings.Clone(original) // it may share the memory of a record
	a := parseAgent(e.patterns(), original)
	e.agents.put(original, a)
	return a
}

// Address implements [cloudtrail.Enricher].
func (e *Enricher) Address(addr netip.Addr) cloudtrail.Place {
	if len(e.databases) == 0 || !addr.IsValid() {
		return cloudtrail.Place{}
	}
	addr = addr.Unmap().WithZone("")
	if p, ok := e.places.get(addr); ok {
		return p
	}
	var p cloudtrail.Place
	for _, db := range e.databases {
		if err := db.lookup(addr, &p); err != nil {
			e.damaged(err)
		}
	}
	e.places.put(addr, p)
	return p
}
