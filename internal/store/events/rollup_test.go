package events

import (
	"context"
	"encoding/json"
	"errors"
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
	"github.com/debutsec/debut/internal/store/storetest"
)

// scannedUp sums up what a scan yields, the plain way.
func scannedUp(t testing.TB, s *Store, q store.RollupQuery) storetest.Sums {
	t.Helper()
	out := storetest.Sums{}
	for e, err := range s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, e.Time).UTC()
		get := func(name string) string { return strings.Clone(firstOf(e.Event, s.opt.Catalogue.Resolve(name))) }
		octets := strings.Split(get("source.ip"), ".")
		key := store.RollupKey{
			Hour: at.Truncate(time.Hour), Principal: get("debut.principal"), Provider: get("event.provider"), Action: get("event.action"),
			Account: get("cloud.account.id"), Region: get("cloud.region"), Outcome: get("event.outcome"),
			Network: strings.Join(octets[:3], ".") + ".0/24",
		}
		if q.Wants(&key) {
			out.Add(store.Rollup{RollupKey: key, First: at, Last: at, Count: 1})
		}
	}
	return out
}

// However events came, how often, and whatever was merged or dropped since: the sums
// are those of what a scan yields.
func TestRollups(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		opt := options(t.TempDir(), &memDB{})
		opt.disk = calmDisk{}
		s := open(t, opt)
		now := start.Add(24 * time.Hour)
		s.recent.most = rapid.SampledFrom([]int64{0, 100, maxRollups}).Draw(rt, "kept of the log")
		for range rapid.IntRange(1, 25).Draw(rt, "frames") {
			var list []store.Record
			for range 20 {
				n := rapid.IntRange(0, 400).Draw(rt, "event") // many come again
				extra := rapid.SampledFrom([]string{"", "", "", `,"readOnly":true`, `,"apiVersion":"2"`}).Draw(rt, "copy")
				list = append(list, record(n, start.Add(time.Duration(n*7919%200)*time.Minute), extra))
			}
			add(t, s, encode(t, list...))
			switch rapid.IntRange(0, 5).Draw(rt, "then") {
			case 0, 1, 2:
				s.Folded(s.End())
				compact(t, s)
			case 3:
				storetest.SumsOf(t, s, store.RollupQuery{}) // what it keeps of the log is of this moment
			case 4: // the oldest segments go
				s.opt.Retention.Bytes = s.Stats().SegmentBytes/2 + 1
				if _, err := s.Expire(t.Context(), now); err != nil {
					rt.Fatal(err)
				}
			}
		}
		hour := rapid.IntRange(-1, 200)
		q := store.RollupQuery{
			Principal: rapid.SampledFrom([]string{"", "arn:aws:iam::111122223333:user/u3", "nobody"}).Draw(rt, "principal"),
			Action:    rapid.SampledFrom([]string{"", "", "Action2"}).Draw(rt, "action"),
			Network:   rapid.SampledFrom([]string{"", "", "198.18.0.0/24"}).Draw(rt, "network"),
		}
		if rapid.Bool().Draw(rt, "window") { // from and to within hours too
			q.From = start.Add(time.Duration(hour.Draw(rt, "from")) * time.Minute)
			q.To = start.Add(time.Duration(hour.Draw(rt, "to")) * time.Minute)
		}
		if diff := cmp.Diff(scannedUp(t, s, q), storetest.SumsOf(t, s, q)); diff != "" {
			rt.Fatal(diff)
		}
		if c, err := s.Check(t.Context()); err != nil || len(c.Problems) > 0 {
			rt.Fatal(c.Problems, err)
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
	q := store.RollupQuery{From: start, To: start.Add(time.Hour)}
	want := scannedUp(t, s, q)
	if diff := cmp.Diff(want, storetest.SumsOf(t, s, q)); diff != "" {
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
	if diff := cmp.Diff(want, storetest.SumsOf(t, s, q)); diff != "" {
		t.Error(diff)
	}
	compact(t, s) // makes the file
	if err := s.checkRollups(s.segs.list[0], int64(len(all))); err != nil || s.segs.list[0].Rollup == nil {
		t.Errorf("made again: %+v, error %v", s.segs.list[0].Rollup, err)
	}
	_ = s.Close()
	s = open(t, opt)
	if s.segs.list[0].Rollup == nil {
		t.Error("what was made again is not listed")
	}
	if diff := cmp.Diff(want, storetest.SumsOf(t, s, q)); diff != "" {
		t.Error(diff)
	}
	if c, err := s.Check(t.Context()); err != nil || len(c.Problems) != 0 {
		t.Errorf("check: %v, error %v", c.Problems, err)
	}
}

// What is damaged is told to every query, and the rest counted.
func TestRollupsOfDamagedLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, options(dir, &memDB{}))
	ends := add(t, s, encode(t, records(0, 10)...), encode(t, records(10, 10)...))
	path := filepath.Join(dir, "log", logName(0))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damaged"), ends[0]-7+fileHeader); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n, told := int64(0), 0
		for u, err := range s.Rollups(t.Context(), store.RollupQuery{Damaged: func(string, error) { told++ }}) {
			if err != nil {
				t.Fatal(err)
			}
			n += u.Count
		}
		if n != 10 || told != 1 {
			t.Errorf("%d events counted, damage told %d times", n, told)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Rollups(ctx, store.RollupQuery{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
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
			err = r.add(ev, start.UnixNano(), nil)
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
