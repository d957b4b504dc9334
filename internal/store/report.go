package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Triage is what the row of an alert knows of its investigation.
type Triage struct {
	// Version is that of the latest report, from 1; 0: there is none yet.
	Version    int     `json:"version,omitzero"`
	Verdict    string  `json:"verdict,omitempty"`
	Score      int     `json:"score,omitzero"`
	Confidence float64 `json:"confidence,omitzero"`
	Summary    string  `json:"summary,omitempty"`
	Cold       bool    `json:"cold,omitempty"` // too little of the history was stored
	// Done is when the alert was last investigated, whether or not that changed the
	// report. Error is why it could not be; empty: it could.
	Done  time.Time `json:"done,omitzero"`
	Error string    `json:"error,omitempty"`
	// Due is when it is investigated next, and Why; zero: not again by itself.
	Due time.Time `json:"due,omitzero"`
	Why string    `json:"why,omitempty"`
}

// A Report is one version of what an investigation of an alert found.
type Report struct {
	Version    int            `json:"version"`
	AsOf       time.Time      `json:"as_of"`
	Created    time.Time      `json:"created"`
	By         string         `json:"by"`
	Trigger    string         `json:"trigger"`
	Verdict    string         `json:"verdict"`
	Score      int            `json:"score"`
	Confidence float64        `json:"confidence"`
	Report     jsontext.Value `json:"report"` // triage.v1
}

// MaxReports is how many versions of a report are kept of one alert: the first, and the
// latest.
const MaxReports = 100

func reportKey(handle string, version int) []byte {
	return binary.BigEndian.AppendUint32(keyText(nil, handle), uint32(version))
}

// PutReport stores a version of an alert's report. If there are very many, the second
// that is kept goes.
func PutReport(tx Tx, handle string, r *Report) error {
	b, err := json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("encode a report: %w", err)
	}
	if err := tx.Put(Reports, reportKey(handle, r.Version), compress(b)); err != nil {
		return err
	}
	if r.Version <= MaxReports {
		return nil
	}
	// One comes at a time, so one goes.
	return tx.Delete(Reports, reportKey(handle, r.Version-MaxReports+1))
}

// GetReport returns a version of the report of an alert; 0: the latest. The error wraps
// ErrNotFound if there is none.
func GetReport(tx Tx, handle string, version int) (*Report, error) {
	if version > 0 {
		v, err := tx.Get(Reports, reportKey(handle, version))
		switch {
		case err != nil:
			return nil, err
		case v == nil:
			return nil, fmt.Errorf("version %d of the report of alert %s: %w", version, ShortID(handle), ErrNotFound)
		}
		return decodeReport(v)
	}
	prefix := keyText(nil, handle)
	for p, err := range tx.Reverse(Reports, prefix, Behind(prefix)) {
		if err != nil {
			return nil, err
		}
		return decodeReport(p.Value)
	}
	return nil, fmt.Errorf("a report of alert %s: %w", ShortID(handle), ErrNotFound)
}

func decodeReport(v []byte) (*Report, error) {
	b, err := decompress(v)
	var r Report
	if err == nil {
		err = json.Unmarshal(b, &r, jsontext.AllowInvalidUTF8(true))
	}
	if err != nil {
		return nil, fmt.Errorf("a value of table %s: %w: %w", Reports, ErrDamaged, err)
	}
	return &r, nil
}

// putTriage keeps the ways to alerts by what is due and by score.
func putTriage(tx Tx, old, a *Alert, had bool) error {
	var err error
	if had && !old.Triage.Due.IsZero() && !old.Triage.Due.Equal(a.Triage.Due) {
		err = tx.Delete(AlertsDue, handleTime(old.Triage.Due, old.Handle))
	}
	if had && old.Triage.Version > 0 && (old.Triage.Score != a.Triage.Score || !old.Time.Equal(a.Time) || a.Triage.Version == 0) {
		err = cmp.Or(err, tx.Delete(AlertScores, scoreTime(old)))
	}
	if !a.Triage.Due.IsZero() {
		err = cmp.Or(err, tx.Put(AlertsDue, handleTime(a.Triage.Due, a.Handle), []byte{}))
	}
	if a.Triage.Version > 0 {
		err = cmp.Or(err, tx.Put(AlertScores, scoreTime(a), []byte{}))
	}
	return err
}

func scoreTime(a *Alert) []byte {
	return append(keyTime([]byte{byte(a.Triage.Score)}, nanos(a.Time)), a.Handle...)
}

// DueAlerts returns the alerts that are to be investigated by now, in order of the time
// since when, at most limit, and when the next one is due; zero: none is.
func DueAlerts(tx Tx, now time.Time, limit int) (list []*Alert, next time.Time, err error) {
	for p, err := range tx.Range(AlertsDue, nil, nil) {
		if err != nil {
			return nil, next, err
		}
		if len(p.Key) < 9 {
			return nil, next, fmt.Errorf("a key of table %s: %w", AlertsDue, ErrDamaged)
		}
		if due := time.Unix(0, timeOf(p.Key)).UTC(); due.After(now) {
			return list, due, nil
		}
		if len(list) == limit {
			return list, now, nil
		}
		var a Alert
		if ok, err := getJSON(tx, Alerts, p.Key[8:], &a); err != nil || !ok {
			return nil, next, cmp.Or(err, fmt.Errorf("alert %s is due and not there: %w", p.Key[8:], ErrDamaged))
		}
		list = append(list, &a)
	}
	return list, next, nil
}

// CountDue counts the alerts that are due by now, at most limit.
func CountDue(tx Tx, now time.Time, limit int) (n int, err error) {
	for _, err := range tx.Range(AlertsDue, nil, keyTime(nil, nanos(now)+1)) {
		if err != nil {
			return n, err
		}
		if n++; n == limit {
			break
		}
	}
	return n, nil
}

// Why an alert is investigated.
const (
	TriageAlert     = "alert"      // it is new
	TriageLater     = "later"      // some time has passed, and records come late
	TriageNewEvents = "new events" // of the alert, or another alert of the same principal
	TriageByHand    = "by hand"
)

// TriagePause is how long an alert is left alone after it was investigated, however
// often it grows.
const TriagePause = 5 * time.Minute

// Wants asks that an alert be investigated at a time, unless it will be sooner.
func (t *Triage) Wants(at time.Time, why string) {
	if t.Due.IsZero() || at.Before(t.Due) {
		t.Due, t.Why = at, why
	}
}

// Verdicts are the verdicts of reports, the worst first.
func Verdicts() []string {
	return slices.Clone([]string{"malicious", "likely_malicious", "suspicious", "review", "likely_benign"})
}
