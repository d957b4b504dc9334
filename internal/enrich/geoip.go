package enrich

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/debutsec/debut/cloudtrail"
)

// A database is one MaxMind DB file.
type database struct {
	file   string
	reader *maxminddb.Reader
}

// entry is what is read of a database's record: places as City, Country and Enterprise
// databases hold them, networks as ASN and ISP databases do.
type entry struct {
	City      named `maxminddb:"city"`
	Continent named `maxminddb:"continent"`
	Country   named `maxminddb:"country"`
	Location  struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
	Subdivisions []named `maxminddb:"subdivisions"`
	ASN          uint32  `maxminddb:"autonomous_system_number"`
	ASOrg        string  `maxminddb:"autonomous_system_organization"`
}

type named struct {
	ISOCode string `maxminddb:"iso_code"`
	Names   struct {
		English string `maxminddb:"en"`
	} `maxminddb:"names"`
}

func (n *named) known() bool { return n.ISOCode != "" || n.Names.English != "" }

func (e *entry) hasPlace() bool {
	return e.City.known() || e.Continent.known() || e.Country.known() || len(e.Subdivisions) > 0 ||
		e.Location.Latitude != nil && e.Location.Longitude != nil
}

func (e *entry) hasNetwork() bool { return e.ASN != 0 || e.ASOrg != "" }

// looked is how many records of a database are looked at to see whether it is of use.
const looked = 1000

// openDatabase opens a file. Its records tell whether it is of use, not the name of its
// type, so databases of other makers in MaxMind's layout are welcome.
func openDatabase(file string) (*database, error) {
	reader, err := maxminddb.Open(file)
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("open GeoIP database %s: %w", file, p.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("open GeoIP database %s: not a MaxMind DB file (%w): give an .mmdb file, unpacked, such as GeoLite2-City.mmdb", file, err)
	}
	db := &database{file, reader}
	if err := db.check(); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return db, nil
}

func (db *database) check() error {
	n := 0
	var bad error
	for result := range db.reader.Networks() {
		if n++; n > looked {
			break
		}
		var e entry
		if err := result.Decode(&e); err != nil {
			bad = err
		} else if e.hasPlace() || e.hasNetwork() {
			return nil
		}
	}
	kind := db.reader.Metadata.DatabaseType
	switch {
	case bad != nil:
		return fmt.Errorf("open GeoIP database %s: of type %q, and not in MaxMind's layout (%w): give a City, Country or ASN database", db.file, kind, bad)
	case n == 0:
		return fmt.Errorf("open GeoIP database %s: of type %q, holds no networks: download it again", db.file, kind)
	}
	return fmt.Errorf("open GeoIP database %s: of type %q, holds neither places nor autonomous systems: give a City, Country or ASN database", db.file, kind)
}

// lookup adds to p what db knows of addr and p does not have yet.
func (db *database) lookup(addr netip.Addr, p *cloudtrail.Place) error {
	if addr.Is6() && db.reader.Metadata.IPVersion == 4 {
		return nil
	}
	result := db.reader.Lookup(addr)
	if !result.Found() && result.Err() == nil {
		return nil
	}
	var e entry
	if err := result.Decode(&e); err != nil {
		return fmt.Errorf("GeoIP database %s is damaged, download it again: look up %s: %w", db.file, addr, err)
	}
	if p.ASN == 0 && p.ASOrg == "" {
		p.ASN, p.ASOrg = e.ASN, e.ASOrg
	}
	network := cloudtrail.Place{ASN: p.ASN, ASOrg: p.ASOrg}
	if *p == network && e.hasPlace() {
		e.place(p)
	}
	return nil
}

// place fills the place of p, in English. A region's code is that of ISO 3166-2, of the
// smallest subdivision.
func (e *entry) place(p *cloudtrail.Place) {
	p.City = e.City.Names.English
	p.Continent = e.Continent.Names.English
	p.CountryISO, p.Country = e.Country.ISOCode, e.Country.Names.English
	if n := len(e.Subdivisions); n > 0 {
		region := &e.Subdivisions[n-1]
		p.Region = region.Names.English
		if region.ISOCode != "" && p.CountryISO != "" {
			p.RegionISO = p.CountryISO + "-" + region.ISOCode
		}
	}
	if e.Location.Latitude != nil && e.Location.Longitude != nil {
		p.Lat, p.Lon, p.HasLocation = *e.Location.Latitude, *e.Location.Longitude, true
	}
}
