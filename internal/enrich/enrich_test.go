package enrich_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/enrich"
)

// database writes a MaxMind DB file and returns its name.
func database(t testing.TB, opt mmdbwriter.Options, networks map[string]mmdbtype.DataType) string {
	t.Helper()
	opt.IncludeReservedNetworks = true
	tree, err := mmdbwriter.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for prefix, record := range networks {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), opt.DatabaseType+".mmdb")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t testing.TB, geoip ...string) *enrich.Enricher {
	t.Helper()
	e, err := enrich.New(enrich.Options{GeoIP: geoip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

type m = mmdbtype.Map

func names(english string) m {
	return m{"en": mmdbtype.String(english), "de": mmdbtype.String(english + " (de)")}
}

func city(t testing.TB) string {
	return database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City"}, map[string]mmdbtype.DataType{
		"192.0.2.0/24": m{
			"city":      m{"geoname_id": mmdbtype.Uint32(1), "names": names("Porto Novo")},
			"continent": m{"code": mmdbtype.String("EU"), "names": names("Europe")},
			"country":   m{"iso_code": mmdbtype.String("PT"), "names": names("Portugal")},
			"location":  m{"latitude": mmdbtype.Float64(41.5), "longitude": mmdbtype.Float64(-8.25), "time_zone": mmdbtype.String("Europe/Lisbon")},
			"subdivisions": mmdbtype.Slice{
				m{"iso_code": mmdbtype.String("13"), "names": names("Porto")},
				m{"iso_code": mmdbtype.String("1301"), "names": names("Amarante")},
			},
			"registered_country": m{"iso_code": mmdbtype.String("FR"), "names": names("France")},
		},
		"2001:db8::/32": m{"country": m{"iso_code": mmdbtype.String("IS"), "names": names("Iceland")}},
		"198.51.100.0/24": m{
			"country":      m{"names": names("Nowhere")},
			"location":     m{"latitude": mmdbtype.Float64(1)},
			"subdivisions": mmdbtype.Slice{m{"iso_code": mmdbtype.String("X"), "names": names("Part")}},
		},
	})
}

func asn(t testing.TB) string {
	return database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"}, map[string]mmdbtype.DataType{
		"192.0.2.0/25":  m{"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": mmdbtype.String("Example Net")},
		"2001:db8::/32": m{"autonomous_system_number": mmdbtype.Uint32(64501)},
	})
}

func TestAddress(t *testing.T) {
	t.Parallel()
	country := database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-Country", IPVersion: 4}, map[string]mmdbtype.DataType{
		"192.0.0.0/16":   m{"country": m{"iso_code": mmdbtype.String("ES"), "names": names("Spain")}},
		"203.0.113.0/24": m{"country": m{"iso_code": mmdbtype.String("ES"), "names": names("Spain")}},
	})
	e := open(t, city(t), asn(t), country)
	porto := cloudtrail.Place{
		City: "Porto Novo", Continent: "Europe", CountryISO: "PT", Country: "Portugal", RegionISO: "PT-1301", Region: "Amarante",
		Lat: 41.5, Lon: -8.25, HasLocation: true, ASN: 64500, ASOrg: "Example Net",
	}
	for addr, want := range map[string]cloudtrail.Place{
		"192.0.2.1":        porto,
		"::ffff:192.0.2.1": porto,
		"2001:db8::1":      {CountryISO: "IS", Country: "Iceland", ASN: 64501},
		"2001:db8::1%eth0": {CountryISO: "IS", Country: "Iceland", ASN: 64501},
		"198.51.100.7":     {Country: "Nowhere", Region: "Part"},
		"203.0.113.9":      {CountryISO: "ES", Country: "Spain"}, // from the third
		"192.0.3.1":        {CountryISO: "ES", Country: "Spain"},
		"10.1.2.3":         {},
		"2001:db9::1":      {},
	} {
		for range 2 { // the second from the cache
			if diff := cmp.Diff(want, e.Address(netip.MustParseAddr(addr))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", addr, diff)
			}
		}
	}
	if got := e.Address(netip.Addr{}); got != (cloudtrail.Place{}) {
		t.Errorf("no address: %+v", got)
	}
	if err := e.Err(); err != nil {
		t.Error(err)
	}
}

// The first file that knows a place gives all of it.
func TestFirstDatabaseWins(t *testing.T) {
	t.Parallel()
	own := database(t, mmdbwriter.Options{DatabaseType: "Our-Offices"}, map[string]mmdbtype.DataType{
		"192.0.2.0/24": m{"city": m{"names": names("Head office")}},
	})
	e := open(t, own, city(t))
	if diff := cmp.Diff(cloudtrail.Place{City: "Head office"}, e.Address(netip.MustParseAddr("192.0.2.1"))); diff != "" {
		t.Errorf("own first (-want +got):\n%s", diff)
	}
	e = open(t, city(t), own)
	if got := e.Address(netip.MustParseAddr("192.0.2.1")).City; got != "Porto Novo" {
		t.Errorf("own last: got %q", got)
	}
}

func TestNoDatabase(t *testing.T) {
	t.Parallel()
	if got := open(t).Address(netip.MustParseAddr("192.0.2.1")); got != (cloudtrail.Place{}) {
		t.Errorf("got %+v", got)
	}
}

func TestBadDatabases(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "x.mmdb")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good, err := os.ReadFile(asn(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, want string }{
		"not there":        {filepath.Join(t.TempDir(), "x.mmdb"), "no such file"},
		"a folder":         {t.TempDir(), ""},
		"empty":            {file(""), "give an .mmdb file"},
		"text":             {file("country,city\n"), "give an .mmdb file"},
		"cut off":          {file(string(good[:len(good)/2])), "give an .mmdb file"},
		"cut at the front": {file(string(good[200:])), ""},
		"no networks":      {database(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City"}, nil), `of type "GeoLite2-City", holds no networks`},
		"of another kind": {
			database(t, mmdbwriter.Options{DatabaseType: "GeoIP2-Connection-Type"}, map[string]mmdbtype.DataType{"192.0.2.0/24": m{"connection_type": mmdbtype.String("Cellular")}}),
			`of type "GeoIP2-Connection-Type", holds neither`,
		},
		"of another layout": {
			database(t, mmdbwriter.Options{DatabaseType: "flat country"}, map[string]mmdbtype.DataType{"192.0.2.0/24": m{"country": mmdbtype.String("PT")}}),
			"not in MaxMind's layout",
		},
	} {
		e, err := enrich.New(enrich.Options{GeoIP: []string{city(t), test.file}})
		if err == nil {
			t.Errorf("%s: no error", name)
			_ = e.Close()
			continue
		}
		if !strings.Contains(err.Error(), test.file) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, want the file and %q in it", name, err, test.want)
		}
	}
}
