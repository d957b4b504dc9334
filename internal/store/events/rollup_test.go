package events

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
)

type rollups map[parquet.Rollup]parquet.Rollup

// add adds a rollup to those that are equal in their fields.
func (m rollups) add(r parquet.Rollup) {
	key := r
	key.First, key.Last, key.Count = time.Time{}, time.Time{}, 0
	have, ok := m[key]
	if !ok {
		m[key] = r
		return
	}
	if r.First.Before(have.First) {
		have.First = r.First
	}
	if r.Last.After(have.Last) {
		have.Last = r.Last
	}
	have.Count += r.Count
	m[key] = have
}

func addedUp(t testing.TB, s *Store, from, to time.Time) rollups {
	t.Helper()
	out := rollups{}
	for r, err := range s.Rollups(t.Context(), from, to) {
		if err != nil {
			t.Fatal(err)
		}
		out.add(*r)
	}
	return out
}

// expectedRollups sums records up the plain way.
func expectedRollups(t testing.TB, s *Store, list []store.Record, from, to time.Time) rollups {
	t.Helper()
	out := rollups{}
	maker := newEventMaker(s.opt.Catalogue, nil)
	for _, r := range list {
		ev, err := maker.make(&entry{Record: r})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, r.Time).UTC()
		if at.Before(from) || !at.Before(to) {
			continue
		}
		get := func(name string) string { return strings.Clone(firstOf(ev, s.opt.Catalogue.Resolve(name))) }
		octets := strings.Split(get("source.ip"), ".")
		out.add(parquet.Rollup{
			Hour: at.Truncate(time.Hour), Principal: get("debut.principal"), Provider: get("event.provider"), Action: get("event.action"),
			Account: get("cloud.account.id"), Region: get("cloud.region"), Network: strings.Join(octets[:3], ".") + ".0/24",
			First: at, Last: at, Count: 1,
		})
	}
	return out
}

// However events came into segments, their sums are those of the events.
func TestRollups(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		opt := options(t.TempDir(), &memDB{})
		opt.disk = calmDisk{}
		s := open(t, opt)
		var all []store.Record
		for i := range rapid.IntRange(1, 12).Draw(rt, "frames") {
			var list []store.Record
			for k := range 20 {
				list = append(list, record(100*i+k, start.Add(time.Duration(rapid.IntRange(0, 200).Draw(rt, "minute"))*time.Minute), ""))
			}
			add(t, s, encode(t, list...))
			all = append(all, list...)
			if rapid.Bool().Draw(rt, "compact") {
				compact(t, s)
			}
		}
		from, to := start.Add(time.Hour), start.Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "hours"))*time.Hour)
		if diff := cmp.Diff(expectedRollups(t, s, all, from, to), addedUp(t, s, from, to)); diff != "" {
			rt.Fatal(diff)
		}
		_ = s.Close()
	})
}

// Sums that are damaged, or were never made, are made from the events.
func TestRollupsWithoutFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var lines logLines
	db := &memDB{}
	opt := options(dir, db)
	opt.Log = lines.logger()
	s := open(t, opt)
	all := records(0, 50)
	add(t, s, encode(t, all...))
	compact(t, s)
	path := filepath.Join(dir, "rollups", "000000000001.parquet")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	to := start.Add(time.Hour)
	want := expectedRollups(t, s, all, start, to)
	if diff := cmp.Diff(want, addedUp(t, s, start, to)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(lines.String(), path) {
		t.Errorf("told: %s", lines.String())
	}
	if c, err := s.Check(t.Context()); err != nil || len(c.Problems) != 1 || c.Problems[0].File != path {
		t.Errorf("check: %v, error %v", c.Problems, err)
	}
	_ = s.Close()

	for key, value := range db.tables[store.Segments] { // as a store was listed before there were any
		var l map[string]any
		if err := json.Unmarshal(value, &l); err != nil {
			t.Fatal(err)
		}
		delete(l, "rollup")
		if db.tables[store.Segments][key], err = json.Marshal(l); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, opt)
	if diff := cmp.Diff(want, addedUp(t, s, start, to)); diff != "" {
		t.Error(diff)
	}
	if c, err := s.Check(t.Context()); err != nil || len(c.Problems) != 0 {
		t.Errorf("check: %v, error %v", c.Problems, err)
	}
}

// An hour with more rows than fit is given out in parts.
func TestRollupsOfABusyHour(t *testing.T) {
	t.Parallel()
	s := open(t, options(t.TempDir(), &memDB{}))
	n, rows := int64(0), 0
	r := newRoller(s.opt.Catalogue, func(list []parquet.Rollup) error {
		rows += len(list)
		for i := range list {
			n += list[i].Count
		}
		if len(list) > maxRollups {
			t.Errorf("%d rows at once", len(list))
		}
		return nil
	})
	maker := newEventMaker(s.opt.Catalogue, nil)
	raw := []byte(`{"eventTime":"2025-01-06T08:00:00Z","eventName":"A0000000"}`)
	at := strings.Index(string(raw), "A0000000") + 1
	for i := range maxRollups + 7 {
		for k, v := 6, i; k >= 0; k, v = k-1, v/10 {
			raw[at+k] = byte('0' + v%10)
		}
		ev, err := maker.make(&entry{Record: store.Record{Kind: store.KindRecord, Raw: raw}})
		if err == nil {
			err = r.add(ev, start.UnixNano())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.flush(); err != nil || n != maxRollups+7 || rows != maxRollups+7 {
		t.Errorf("%d events in %d rows, error %v", n, rows, err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"198.18.7.9": "198.18.7.0/24", "::ffff:198.18.7.9": "198.18.7.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := networkOf(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
