package store

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a zone of a silence means the same on every machine

	"github.com/go-json-experiment/json"
)

// SilenceKind is what a silence is for.
type SilenceKind string

// The kinds of silences.
const (
	// SilenceWindow is a maintenance window: alerts made in it carry its ID.
	SilenceWindow SilenceKind = "window"
	// SilenceSnooze is a rule that somebody does not want to hear of for a while.
	SilenceSnooze SilenceKind = "snooze"
)

// A Silence says when alerts notify nobody. Rules run and alerts are stored all the
// same.
type Silence struct {
	ID   string      `json:"id"`
	Name string      `json:"name"`
	Kind SilenceKind `json:"kind"`
	// Rules are the ids of the rules that it is for; none: all, which only a window
	// may be for.
	Rules []string `json:"rules,omitempty"`
	// Query is KQL over the alert's document; empty: all alerts.
	Query string `json:"query,omitempty"`

	Start time.Time `json:"start"`
	// End is when it is over, or the end of the first occurrence if it repeats. Zero:
	// never, which only a snooze may be.
	End     time.Time `json:"end,omitzero"`
	Repeat  *Repeat   `json:"repeat,omitempty"`
	By      string    `json:"by"`
	Comment string    `json:"comment,omitempty"`
	Created time.Time `json:"created"`
}

// A Repeat makes a silence come back at the same time by the clocks of a place. An
// occurrence covers the instants at which those clocks show a time from its start to
// before its end. So a night from 22:00 to 06:00 ends at 06:00 whatever happens to the
// clocks in it; an hour that is skipped in spring is silent for no one, and one that
// comes twice in autumn is silent twice.
type Repeat struct {
	// Days are the days on which an occurrence begins; none: every day.
	Days []time.Weekday `json:"days,omitempty"`
	Zone string         `json:"zone"` // IANA name, as Europe/Zurich
	// Until is when no more occurrences begin; zero: they go on for ever.
	Until time.Time `json:"until,omitzero"`
}

// Bounds of silences.
const (
	MaxSilences      = 1000
	maxSilenceRules  = 1000
	maxSilenceText   = 4 << 10
	maxSilenceQuery  = 16 << 10
	maxSilenceRepeat = 7 * 24 * time.Hour // of one occurrence
)

// Validate says what is wrong with s. The query is compiled by whoever applies it.
func (s *Silence) Validate() error {
	switch {
	case s.ID == "" || len(s.ID) > maxChannelName:
		return fmt.Errorf("id: it has 1 to %d bytes", maxChannelName)
	case strings.TrimSpace(s.Name) == "":
		return errors.New("name: it is missing")
	case s.Kind != SilenceWindow && s.Kind != SilenceSnooze:
		return fmt.Errorf("kind: %q is neither %s nor %s", s.Kind, SilenceWindow, SilenceSnooze)
	case len(s.Rules) == 0 && s.Kind == SilenceSnooze:
		return errors.New("rules: a snooze names the rules that it is for")
	case len(s.Rules) > maxSilenceRules:
		return fmt.Errorf("rules: %d are more than %d; use a query", len(s.Rules), maxSilenceRules)
	case max(len(s.Name), len(s.Comment), len(s.By)) > maxSilenceText:
		return fmt.Errorf("name, comment and author have at most %d bytes each", maxSilenceText)
	case len(s.Query) > maxSilenceQuery:
		return fmt.Errorf("query: it has more than %d bytes", maxSilenceQuery)
	case s.Start.IsZero():
		return errors.New("start: it is missing")
	case s.End.IsZero() && s.Kind == SilenceWindow:
		return errors.New("end: it is missing; only a snooze may last for ever")
	case !s.End.IsZero() && !s.End.After(s.Start):
		return errors.New("end: it is not after start")
	}
	return s.validRepeat()
}

func (s *Silence) validRepeat() error {
	r := s.Repeat
	if r == nil {
		return nil
	}
	for _, d := range r.Days {
		if d < time.Sunday || d > time.Saturday {
			return fmt.Errorf("repeat: day %d is not one from 0 (Sunday) to 6", d)
		}
	}
	switch _, err := time.LoadLocation(r.Zone); {
	case r.Zone == "" || r.Zone == "Local" || err != nil:
		return fmt.Errorf("repeat: there is no time zone %q; use a name such as Europe/Zurich, or UTC", r.Zone)
	case s.End.IsZero():
		return errors.New("end: a silence that repeats needs one, for its first occurrence")
	case s.End.Sub(s.Start) > maxSilenceRepeat:
		return errors.New("end: an occurrence lasts at most 7 days")
	case !r.Until.IsZero() && r.Until.Before(s.Start):
		return errors.New("repeat: until is before start")
	}
	return nil
}

// Active reports whether the silence is in force at t.
func (s *Silence) Active(t time.Time) bool {
	if t.Before(s.Start) {
		return false
	}
	if s.Repeat == nil {
		return s.End.IsZero() || t.Before(s.End)
	}
	zone, err := time.LoadLocation(s.Repeat.Zone)
	if err != nil { // Validate has let no such zone in
		return false
	}
	// What the clocks of the place show is reckoned with as if it were UTC.
	now, start, end := civil(t, zone), civil(s.Start, zone), civil(s.End, zone)
	if !end.After(start) { // within an hour that comes twice
		end = start.Add(s.End.Sub(s.Start))
	}
	days := int(midnight(now).Sub(midnight(start)) / (24 * time.Hour))
	for back := 0; back <= days && back <= 8; back++ {
		begin := start.AddDate(0, 0, days-back)
		if !s.occurs(begin, zone) {
			continue
		}
		if !now.Before(begin) && now.Before(begin.Add(end.Sub(start))) {
			return true
		}
	}
	return false
}

// occurs reports whether an occurrence begins at that reading of the clocks.
func (s *Silence) occurs(begin time.Time, zone *time.Location) bool {
	r := s.Repeat
	if !r.Until.IsZero() && !begin.Before(civil(r.Until, zone)) {
		return false
	}
	return len(r.Days) == 0 || slices.Contains(r.Days, begin.Weekday())
}

// Ended reports whether the silence can never be in force at t or later.
func (s *Silence) Ended(t time.Time) bool {
	switch {
	case s.Repeat == nil:
		return !s.End.IsZero() && !t.Before(s.End)
	case s.Repeat.Until.IsZero():
		return false
	}
	// A change of the clocks moves an end by an hour or so; a day is enough.
	return !t.Before(s.Repeat.Until.Add(s.End.Sub(s.Start) + 24*time.Hour))
}

// civil is what clocks in a zone show at t, as a time in UTC.
func civil(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// PutSilence stores a silence, new or changed.
func PutSilence(tx Tx, s *Silence) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("silence %s: %w", cmp.Or(s.Name, s.ID), err)
	}
	have, err := tx.Get(Silences, []byte(s.ID))
	if err != nil {
		return err
	}
	if have == nil {
		n := 0
		for _, err := range tx.Range(Silences, nil, nil) {
			if err != nil {
				return fmt.Errorf("count the silences: %w", err)
			}
			n++
		}
		if n >= MaxSilences {
			return fmt.Errorf("silence %s: there are %d already; remove those that are over", s.Name, n)
		}
	}
	b, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("silence %s: %w", s.Name, err)
	}
	return tx.Put(Silences, []byte(s.ID), b)
}

// GetSilence returns one silence, or ErrNotFound.
func GetSilence(tx Tx, id string) (*Silence, error) {
	b, err := tx.Get(Silences, []byte(id))
	switch {
	case err != nil:
		return nil, err
	case b == nil:
		return nil, fmt.Errorf("silence %s: %w", id, ErrNotFound)
	}
	return decodeSilence(b)
}

// DeleteSilence removes a silence. It returns ErrNotFound if there is none.
func DeleteSilence(tx Tx, id string) error {
	b, err := tx.Get(Silences, []byte(id))
	if err == nil && b == nil {
		err = fmt.Errorf("silence %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return err
	}
	return tx.Delete(Silences, []byte(id))
}

// AllSilences yields the silences in order of their ids.
func AllSilences(tx Tx) iter.Seq2[*Silence, error] {
	return func(yield func(*Silence, error) bool) {
		for p, err := range tx.Range(Silences, nil, nil) {
			var s *Silence
			if err == nil {
				s, err = decodeSilence(p.Value)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

func decodeSilence(b []byte) (*Silence, error) {
	var s Silence
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("a silence: %w: %w", ErrDamaged, err)
	}
	return &s, nil
}
