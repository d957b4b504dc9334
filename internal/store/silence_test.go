package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestSilenceOnce(t *testing.T) {
	t.Parallel()
	s := store.Silence{Start: start, End: start.Add(time.Hour)}
	for after, want := range map[time.Duration]bool{-1: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		if got := s.Active(start.Add(after)); got != want {
			t.Errorf("%s after start: active %t", after, got)
		}
		if got := s.Ended(start.Add(after)); got != (after >= time.Hour) {
			t.Errorf("%s after start: ended %t", after, got)
		}
	}
	s.End = time.Time{}
	if far := start.AddDate(100, 0, 0); !s.Active(far) || s.Ended(far) {
		t.Error("a silence without an end is over")
	}
}

// Switzerland went from 02:00 to 03:00 on 2026-03-29 and goes from 03:00 to 02:00 on
// 2026-10-25.
func TestSilenceRepeatsByTheClocksOfAPlace(t *testing.T) {
	t.Parallel()
	zurich := zone(t, "Europe/Zurich")
	at := func(text string) time.Time {
		t.Helper()
		out, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	night := store.Silence{
		Start: time.Date(2026, 1, 5, 22, 0, 0, 0, zurich), End: time.Date(2026, 1, 6, 6, 0, 0, 0, zurich), // a Monday
		Repeat: &store.Repeat{Zone: "Europe/Zurich"},
	}
	weekly := night
	weekly.Repeat = &store.Repeat{Zone: "Europe/Zurich", Days: []time.Weekday{time.Saturday, time.Monday}, Until: at("2026-06-01T22:00:00+02:00")}
	skipped := store.Silence{
		Start: time.Date(2026, 1, 5, 2, 15, 0, 0, zurich), End: time.Date(2026, 1, 5, 2, 45, 0, 0, zurich),
		Repeat: &store.Repeat{Zone: "Europe/Zurich"},
	}
	across := skipped
	across.End = time.Date(2026, 1, 5, 3, 15, 0, 0, zurich)
	week := store.Silence{
		Start: at("2026-01-05T00:00:00Z"), End: at("2026-01-12T00:00:00Z"),
		Repeat: &store.Repeat{Zone: "UTC", Days: []time.Weekday{time.Monday}},
	}
	for _, tt := range []struct {
		name   string
		s      store.Silence
		t      string
		active bool
	}{
		{"before the first", night, "2026-01-05T05:00:00+01:00", false},
		{"the first begins", night, "2026-01-05T22:00:00+01:00", true},
		{"the first ends", night, "2026-01-06T06:00:00+01:00", false},
		{"a later one, past midnight", night, "2026-02-11T05:59:59.999+01:00", true},
		{"at noon", night, "2026-02-11T12:00:00+01:00", false},
		{"the short night begins", night, "2026-03-28T22:00:00+01:00", true},
		{"the short night, its last second", night, "2026-03-29T05:59:59+02:00", true},
		{"the short night ends", night, "2026-03-29T06:00:00+02:00", false},
		{"the summer's night begins by the clock", night, "2026-07-01T21:59:59+02:00", false},
		{"the summer's night", night, "2026-07-01T22:00:00+02:00", true},
		{"the long night, its last second", night, "2026-10-25T05:59:59+01:00", true},
		{"the long night ends", night, "2026-10-25T06:00:00+01:00", false},

		{"Saturday's night", weekly, "2026-01-10T23:00:00+01:00", true},
		{"Saturday's night on Sunday", weekly, "2026-01-11T05:00:00+01:00", true},
		{"Sunday's night", weekly, "2026-01-11T23:00:00+01:00", false},
		{"Monday's night on Tuesday", weekly, "2026-01-13T05:00:00+01:00", true},
		{"the last before until", weekly, "2026-05-31T05:00:00+02:00", true},
		{"until is not included", weekly, "2026-06-01T22:00:00+02:00", false},

		{"an hour that is skipped", skipped, "2026-03-29T03:00:00+02:00", false},
		{"the minute before it", skipped, "2026-03-29T01:59:59+01:00", false},
		{"the day after", skipped, "2026-03-30T02:15:00+02:00", true},
		{"an hour that comes twice, first", skipped, "2026-10-25T02:30:00+02:00", true},
		{"between the two", skipped, "2026-10-25T02:50:00+02:00", false},
		{"an hour that comes twice, second", skipped, "2026-10-25T02:30:00+01:00", true},
		{"what is left of it after the gap", across, "2026-03-29T03:10:00+02:00", true},
		{"and no more", across, "2026-03-29T03:15:00+02:00", false},

		{"weeks that touch", week, "2026-05-13T17:00:00Z", true},
		{"the instant at which they touch", week, "2026-05-11T00:00:00Z", true},
	} {
		if got := tt.s.Active(at(tt.t)); got != tt.active {
			t.Errorf("%s: active at %s: %t", tt.name, tt.t, got)
		}
	}
	if weekly.Ended(at("2026-06-02T05:00:00+02:00")) || !weekly.Ended(at("2026-06-05T00:00:00+02:00")) || night.Ended(at("2099-01-01T00:00:00Z")) {
		t.Error("Ended is wrong")
	}
}

// An occurrence whose first night is the one on which the clocks go back, so that they
// show an earlier time at its end than at its start.
func TestSilenceThatEndsBeforeItBeganByTheClock(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 10, 25, 0, 50, 0, 0, time.UTC) // 02:50 in Zurich
	s := store.Silence{Start: first, End: first.Add(20 * time.Minute), Repeat: &store.Repeat{Zone: "Europe/Zurich"}}
	if !s.Active(first) || !s.Active(first.Add(24*time.Hour+time.Hour+19*time.Minute)) || s.Active(first.Add(25*time.Hour+20*time.Minute)) {
		t.Error("it does not last twenty minutes")
	}
}

func TestSilencesAreStored(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	s := &store.Silence{
		ID: "s1", Name: "nightly", Kind: store.SilenceWindow, Start: start, End: start.Add(time.Hour), By: "ana",
		Query:  "kibana.alert.severity: low",
		Repeat: &store.Repeat{Zone: "UTC", Days: []time.Weekday{time.Sunday}},
	}
	snooze := &store.Silence{ID: "s2", Name: "noisy", Kind: store.SilenceSnooze, Rules: []string{"r1"}, Start: start, By: "ana"}
	update(t, db, func(tx store.Tx) error {
		return errors.Join(store.PutSilence(tx, s), store.PutSilence(tx, snooze))
	})
	update(t, db, func(tx store.Tx) error {
		got, err := store.GetSilence(tx, "s1")
		if err != nil {
			return err
		}
		if diff := cmp.Diff(s, got); diff != "" {
			t.Error(diff)
		}
		var ids []string
		for s, err := range store.AllSilences(tx) {
			if err != nil {
				return err
			}
			ids = append(ids, s.ID)
		}
		if strings.Join(ids, " ") != "s1 s2" {
			t.Errorf("stored: %v", ids)
		}
		return store.DeleteSilence(tx, "s1")
	})
	err := db.Update(t.Context(), func(tx store.Tx) error { return store.DeleteSilence(tx, "s1") })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestSilencesAreChecked(t *testing.T) {
	t.Parallel()
	good := func() *store.Silence {
		return &store.Silence{ID: "s", Name: "n", Kind: store.SilenceWindow, Start: start, End: start.Add(time.Hour), Repeat: &store.Repeat{Zone: "UTC"}}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(s *store.Silence){
		"id:":            func(s *store.Silence) { s.ID = "" },
		"name:":          func(s *store.Silence) { s.Name = " " },
		"kind:":          func(s *store.Silence) { s.Kind = "x" },
		"a snooze names": func(s *store.Silence) { s.Kind = store.SilenceSnooze },
		"start:":         func(s *store.Silence) { s.Start = time.Time{} },
		"only a snooze":  func(s *store.Silence) { s.End = time.Time{} },
		"not after":      func(s *store.Silence) { s.End = s.Start },
		"day 7":          func(s *store.Silence) { s.Repeat.Days = []time.Weekday{7} },
		`zone ""`:        func(s *store.Silence) { s.Repeat.Zone = "" },
		`zone "Local"`:   func(s *store.Silence) { s.Repeat.Zone = "Local" },
		`zone "../etc"`:  func(s *store.Silence) { s.Repeat.Zone = "../etc" },
		"at most 7 days": func(s *store.Silence) { s.End = s.Start.Add(8 * 24 * time.Hour) },
		"until":          func(s *store.Silence) { s.Repeat.Until = s.Start.Add(-1) },
		"has more than":  func(s *store.Silence) { s.Query = strings.Repeat("x", 1<<15) },
	} {
		s := good()
		change(s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
