package events

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/store"
)

// atlas is a database that has every address in one city.
type atlas string

func (atlas) UserAgent(string) cloudtrail.Agent { return cloudtrail.Agent{} }

func (a atlas) Address(netip.Addr) cloudtrail.Place { return cloudtrail.Place{City: string(a)} }

// citiesOf counts the stored events by the city that they are in.
func citiesOf(t *testing.T, s *Store) map[string]int {
	t.Helper()
	city := s.opt.Catalogue.Resolve("source.geo.city_name")
	counts := map[string]int{}
	for e, err := range s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		counts[firstOf(e.Event, city)]++
	}
	return counts
}

// Where an address was when its event was stored stays with the event, whoever merges
// its segment, and with whatever databases.
func TestMergeKeepsPlaces(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), &memDB{}
	opt := options(dir, db)
	at := func(e cloudtrail.Enricher, places string) *Store {
		opt.Enricher, opt.Places = e, places
		return open(t, opt)
	}
	written := 0
	fill := func(s *Store, segments int) {
		for range segments {
			add(t, s, encode(t, records(written, 10)...))
			written += 10
			s.Folded(s.End())
			if err := s.sealOld(); err != nil {
				t.Fatal(err)
			}
			if err := s.compactLog(context.Background(), s.log.sealed()); err != nil {
				t.Fatal(err)
			}
			s.dropLog()
		}
	}
	shut := func(s *Store) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, s *Store, want map[string]int) {
		t.Helper()
		got := citiesOf(t, s)
		for city, n := range want {
			if got[city] != n {
				t.Errorf("%s: %d events in %q, want %d; all: %v", what, got[city], city, n, got)
			}
		}
	}

	s := at(atlas("Kyoto"), "atlas of 2024")
	fill(s, mergeFan)
	shut(s)

	s = at(nil, "")
	fill(s, mergeFan-1) // not enough to be merged by themselves
	if err := s.mergeSmall(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("merged without a database", s, map[string]int{"Kyoto": 10 * mergeFan, "": 10 * (mergeFan - 1)})
	shut(s)

	// What nobody has looked up is still looked up by whoever reads it.
	s = at(atlas("Oslo"), "")
	check("read with another database", s, map[string]int{"Kyoto": 10 * mergeFan, "Oslo": 10 * (mergeFan - 1)})
	fill(s, 1)
	if err := s.mergeSmall(t.Context()); err != nil {
		t.Fatal(err)
	}
	shut(s)
	s = at(atlas("Lima"), "")
	check("merged by who looks nothing up", s, map[string]int{"Kyoto": 10 * mergeFan, "Lima": 10 * mergeFan})
	shut(s)

	s = at(atlas("Oslo"), "atlas of 2025")
	fill(s, 2*mergeFan)
	if err := s.mergeSmall(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("merged with another database", s, map[string]int{"Kyoto": 10 * mergeFan, "Oslo": 10 * 3 * mergeFan})
	shut(s)
}

// Of two copies of a record the one that was looked up says where it came from.
func TestCopiesKeepPlaces(t *testing.T) {
	t.Parallel()
	kyoto := cloudtrail.Place{City: "Kyoto"}
	r := record(1, start, "")
	for _, first := range []bool{true, false} {
		m := merger{}
		a, b := entry{Record: r, ingested: int64(time.Second)}, entry{Record: r, ingested: int64(2 * time.Second)}
		if first {
			a.place = &kyoto
		} else {
			b.place = &kyoto
		}
		m.take(&a)
		m.take(&b)
		if len(m.group) != 1 || m.group[0].place == nil || *m.group[0].place != kyoto {
			t.Errorf("looked up first: %v: %+v", first, m.group[0].place)
		}
	}
}
