package store_test

import (
	"testing"
	"time"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
)

// line is the only line of the ledger.
func line(t *testing.T, db store.DB) store.Hour {
	t.Helper()
	var out []store.Hour
	if err := db.View(t.Context(), func(tx store.Tx) error {
		for h, err := range store.HoursOf(tx, "", "", time.Time{}, time.Time{}) {
			if err != nil {
				return err
			}
			out = append(out, *h)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 {
		t.Fatalf("the ledger has %d lines: %+v", len(out), out)
	}
	return out[0]
}

// Whoever speaks first of an object, a digest, a listing or its reading, it counts
// once.
func TestObjectCountsOnce(t *testing.T) {
	t.Parallel()
	digest := store.Object{Name: "b/k", Account: "1", Region: "r", Hour: 5, State: store.ObjectExpected, Expected: true}
	listed := digest
	listed.Version = "etag"
	read := listed
	read.State, read.Expected, read.Records, read.Read = store.ObjectRead, false, 7, 1
	for name, order := range map[string][]store.Object{
		"digest, then read":              {digest, read},
		"read, then digest":              {read, digest},
		"listed, then read":              {listed, read},
		"digest, listed, read":           {digest, listed, read},
		"read, read again, digest twice": {read, read, digest, digest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := memory.New()
			for _, o := range order {
				if err := db.Update(t.Context(), func(tx store.Tx) error {
					have, err := store.GetObject(tx, o.Name, o.Version)
					if err != nil {
						return err
					}
					if have != nil && o.State == store.ObjectRead { // as the engine does
						o.Expected = o.Expected || have.Expected
					}
					return store.PutObject(tx, &o)
				}); err != nil {
					t.Fatal(err)
				}
			}
			if h := line(t, db); h.Expected != 1 || h.Read != 1 || h.Unexpected != 0 || h.Missing() != 0 {
				t.Errorf("the ledger says %+v", h)
			}
		})
	}
}

func TestOldObjectsAreForgotten(t *testing.T) {
	t.Parallel()
	db := memory.New()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		for _, o := range []store.Object{
			{Name: "b/old", Version: "1", State: store.ObjectRead, Read: at.UnixNano()},
			{Name: "b/new", Version: "1", State: store.ObjectRead, Read: at.Add(48 * time.Hour).UnixNano()},
			{Name: "/file", Version: "1", State: store.ObjectRead, Read: at.UnixNano()},
			{Name: "b/lost", Version: "1", State: store.ObjectFailed},
		} {
			if err := store.PutObject(tx, &o); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		n, err := store.ForgetObjects(tx, at.Add(24*time.Hour), 100)
		if err != nil || n != 2 { // the object, and its bare name
			t.Errorf("%d forgotten: %v", n, err)
		}
		for _, name := range []string{"b/old", "b/new", "/file", "b/lost"} {
			o, err := store.GetObject(tx, name, "1")
			if err != nil {
				return err
			}
			if o != nil {
				left = append(left, name)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(left) != 3 || left[0] != "b/new" {
		t.Errorf("left: %v", left)
	}
}
