package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
)

// Workflow states of an alert.
const (
	Open         = "open"
	Acknowledged = "acknowledged"
	Closed       = "closed"
)

// An Alert is one row for ever: its handle, its workflow, and what a list shows of
// it. The document is apart ([AlertDocument]).
type Alert struct {
	// Handle never changes. UUID is that of the first event, and moves when an earlier
	// one comes late; Former are those that it had before.
	Handle string   `json:"handle"`
	UUID   string   `json:"uuid"`
	Former []string `json:"former,omitempty"`

	RuleID    string  `json:"rule_id"`
	RuleName  string  `json:"rule_name"`
	Type      string  `json:"type"`
	Severity  string  `json:"severity"`
	RiskScore float64 `json:"risk_score"`

	Time time.Time `json:"time"` // of the first event
	Last time.Time `json:"last"` // of the last one
	// Previous is when the combination had last been seen before; zero: never.
	Previous  time.Time `json:"previous,omitzero"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	Principal string    `json:"principal,omitempty"`
	Account   string    `json:"account,omitempty"`
	Region    string    `json:"region,omitempty"`
	Who       string    `json:"who,omitempty"` // the words of alert.Summary
	What      string    `json:"what,omitempty"`
	Where     string    `json:"where,omitempty"`

	Status        string    `json:"status"`
	Reason        string    `json:"reason,omitempty"` // of closing
	ClosedAt      time.Time `json:"closed_at,omitzero"`
	Assignees     []string  `json:"assignees,omitempty"`
	Tags          []string  `json:"tags,omitempty"`
	Notes         []Note    `json:"notes,omitempty"`
	History       []Change  `json:"history,omitempty"`
	Withheld      bool      `json:"withheld,omitempty"`    // over max_signals: nobody is notified
	Cold          bool      `json:"cold,omitempty"`        // its history window was not covered
	Withdrawn     bool      `json:"withdrawn,omitempty"`   // late events took its ground away
	Provisional   bool      `json:"provisional,omitempty"` // its history window is still being read
	Manual        bool      `json:"manual,omitempty"`      // of a backfill
	BuildingBlock bool      `json:"building_block,omitempty"`
	Count         int64     `json:"count,omitempty"`          // events of a threshold
	Suppressed    int64     `json:"suppressed,omitempty"`     // findings behind it
	SuppressedEnd int64     `json:"suppressed_end,omitempty"` // of the last of them, nanoseconds
	Distinct      int64     `json:"distinct,omitempty"`
	// JoinedInto is the handle of the alert that this one was joined into; Linked are
	// handles of those that stand for the same finding.
	JoinedInto string   `json:"joined_into,omitempty"`
	Linked     []string `json:"linked,omitempty"`
	// Windows are the maintenance windows that were active.
	Windows []string `json:"windows,omitempty"`

	// Triage is what its investigation has come to.
	Triage Triage `json:"triage,omitzero"`

	// PrincipalID is the hash of Principal that detectors work with.
	PrincipalID ecs.ID `json:"principal_id"`
	// Rule is the number of the version of the rule, Group and EventID the finding.
	Rule     int32  `json:"rule"`
	Group    ecs.ID `json:"group"`
	EventID  ecs.ID `json:"event_id"`
	Content  uint64 `json:"content"`
	Conflict bool   `json:"conflict,omitempty"`
}

// A Note is what a person wrote about an alert.
type Note struct {
	Time time.Time `json:"time"`
	By   string    `json:"by"`
	Text string    `json:"text"`
}

// A Change is one step of an alert's history: by a person, or by an event.
type Change struct {
	Time time.Time `json:"time"`
	By   string    `json:"by"` // "debut" for what no person did
	What string    `json:"what"`
}

// Bounds of what people and events may add to one alert.
const (
	maxNotes   = 1000
	maxHistory = 1000
	maxNote    = 64 << 10
	maxTags    = 100
)

// ErrInvalid says that a request makes no sense; the message has the reason.
var ErrInvalid = errors.New("invalid")

// note appends to the history; of a very long one the middle goes.
func (a *Alert) note(now time.Time, by, what string) {
	a.Updated = now
	if len(a.History) >= maxHistory {
		a.History = slices.Delete(a.History, maxHistory/2, maxHistory/2+1)
	}
	a.History = append(a.History, Change{now, by, what})
}

// Changed notes something that no person did.
func (a *Alert) Changed(now time.Time, what string) { a.note(now, "debut", what) }

// Touched reports whether a person has dealt with the alert.
func (a *Alert) Touched() bool {
	return a.Status != Open || len(a.Notes) > 0 || len(a.Tags) > 0 || len(a.Assignees) > 0 ||
		slices.ContainsFunc(a.History, func(c Change) bool { return c.By != "debut" })
}

// Acknowledge moves the alert through the workflow, as Close and Reopen do, in any
// direction. It returns false if there is nothing to change.
func (a *Alert) Acknowledge(by string, now time.Time) bool {
	return a.move(Acknowledged, "", by, now, "acknowledged")
}

// Close closes the alert. The reason is free text; empty: none.
func (a *Alert) Close(reason, by string, now time.Time) bool {
	what := "closed"
	if reason != "" {
		what += ": " + reason
	}
	return a.move(Closed, reason, by, now, what)
}

// Reopen opens the alert again.
func (a *Alert) Reopen(by string, now time.Time) bool {
	return a.move(Open, "", by, now, "reopened")
}

func (a *Alert) move(status, reason, by string, now time.Time, what string) bool {
	if a.Status == status && a.Reason == reason {
		return false
	}
	a.Status, a.Reason, a.ClosedAt = status, reason, time.Time{}
	if status == Closed {
		a.ClosedAt = now
	}
	a.note(now, by, what)
	return true
}

// AddNote adds what a person wrote.
func (a *Alert) AddNote(text, by string, now time.Time) error {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return fmt.Errorf("%w: the note is empty", ErrInvalid)
	case len(text) > maxNote:
		return fmt.Errorf("%w: the note has %d bytes; %d at most", ErrInvalid, len(text), maxNote)
	case len(a.Notes) >= maxNotes:
		return fmt.Errorf("%w: the alert has %d notes already", ErrInvalid, len(a.Notes))
	}
	a.Notes = append(a.Notes, Note{now, by, text})
	a.note(now, by, "note added")
	return nil
}

// Tag adds and removes tags; Assign does so with assignees.
func (a *Alert) Tag(add, remove []string, by string, now time.Time) error {
	return a.set(&a.Tags, "tags", add, remove, by, now)
}

// Assign adds and removes assignees.
func (a *Alert) Assign(add, remove []string, by string, now time.Time) error {
	return a.set(&a.Assignees, "assignees", add, remove, by, now)
}

func (a *Alert) set(list *[]string, name string, add, remove []string, by string, now time.Time) error {
	out := slices.Clone(*list)
	out = slices.DeleteFunc(out, func(s string) bool { return slices.Contains(remove, s) })
	for _, s := range add {
		s = strings.TrimSpace(s)
		switch {
		case s == "" || len(s) > 256:
			return fmt.Errorf("%w: one of the %s has %d bytes; 1 to 256", ErrInvalid, name, len(s))
		case !slices.Contains(out, s):
			out = append(out, s)
		}
	}
	if len(out) > maxTags {
		return fmt.Errorf("%w: %d %s; %d at most", ErrInvalid, len(out), name, maxTags)
	}
	slices.Sort(out)
	if !slices.Equal(out, *list) {
		*list = out
		a.note(now, by, name+": "+strings.Join(out, ", "))
	}
	return nil
}

func handleTime(t time.Time, handle string) []byte {
	return append(keyTime(nil, nanos(t)), handle...)
}

func ruleTime(rule string, t time.Time, handle string) []byte {
	return append(keyTime(keyText(nil, clean(rule)), nanos(t)), handle...)
}

// PutAlert stores an alert and the ways to find it.
func PutAlert(tx Tx, a *Alert) error {
	var old Alert
	had, err := getJSON(tx, Alerts, []byte(a.Handle), &old)
	if err != nil {
		return err
	}
	if had && (!old.Time.Equal(a.Time) || old.RuleID != a.RuleID) {
		err = cmp.Or(tx.Delete(AlertTimes, handleTime(old.Time, old.Handle)),
			tx.Delete(AlertRules, ruleTime(old.RuleID, old.Time, old.Handle)))
	}
	for _, name := range []string{a.Handle, a.UUID} {
		err = cmp.Or(err, tx.Put(AlertNames, []byte(name), []byte(a.Handle)))
	}
	for _, name := range a.Former {
		// Another alert may have this uuid by now: then it is that one's.
		var other []byte
		if err == nil {
			other, err = tx.Get(AlertNames, []byte(name))
		}
		if other == nil {
			err = cmp.Or(err, tx.Put(AlertNames, []byte(name), []byte(a.Handle)))
		}
	}
	return cmp.Or(err, putTriage(tx, &old, a, had),
		tx.Put(AlertTimes, handleTime(a.Time, a.Handle), []byte{}),
		tx.Put(AlertRules, ruleTime(a.RuleID, a.Time, a.Handle), []byte{}),
		putJSON(tx, Alerts, []byte(a.Handle), a))
}

// NewHandle returns the handle for an alert that is born with a uuid. Another alert may
// have been born with it and moved on, so n tells them apart, from 0 on.
func NewHandle(uuid string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", uuid, n))
	return hex.EncodeToString(sum[:16])
}

// GetAlert returns the alert that a handle or a uuid, present or former, names; nil if there is
// none.
func GetAlert(tx Tx, uuid string) (*Alert, error) {
	handle, err := tx.Get(AlertNames, []byte(uuid))
	if err != nil || handle == nil {
		return nil, err
	}
	var a Alert
	ok, err := getJSON(tx, Alerts, handle, &a)
	if err == nil && !ok {
		err = fmt.Errorf("alert %s is named and not there: %w", uuid, ErrDamaged)
	}
	return &a, err
}

// minPrefix is how much of a uuid a person must type.
const minPrefix = 4

// FindAlert returns the alert that a uuid names, or the beginning of one if it names
// no other. The error wraps ErrNotFound or ErrInvalid.
func FindAlert(tx Tx, name string) (*Alert, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if len(name) < minPrefix || strings.Trim(name, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%w: %q is no alert id: give at least %d of its hexadecimal digits", ErrInvalid, name, minPrefix)
	}
	var handles [][]byte
	for p, err := range tx.Range(AlertNames, []byte(name), Behind([]byte(name))) {
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(handles, func(h []byte) bool { return bytes.Equal(h, p.Value) }) {
			if handles = append(handles, p.Value); len(handles) > 1 {
				return nil, fmt.Errorf("%w: several alerts begin with %q: give more of its id", ErrInvalid, name)
			}
		}
	}
	if len(handles) == 0 {
		return nil, fmt.Errorf("alert %s: %w", name, ErrNotFound)
	}
	return GetAlert(tx, string(handles[0]))
}

// A Filter chooses alerts. Empty members choose everything; several values of one
// member are alternatives.
type Filter struct {
	From, To  time.Time // From ≤ Time < To
	Status    []string
	Severity  []string
	Rule      []string // ids, or names whatever the case; one alone that is an id is no name
	Principal string
	Account   string
	Tag       string
	Assignee  string
	Verdict   []string // of the investigation
	MinScore  int      // of it; above 0 only what was investigated is chosen
	Text      string   // that who, what, where or the rule's name contain, whatever the case
	Withheld  bool     // also those that are withheld
	Withdrawn bool     // also those that are withdrawn
	Blocks    bool     // also building blocks
	Limit     int      // 0: all
	After     string   // the handle behind which to go on, in the order of the list
	Ascending bool     // the oldest first; otherwise the latest
}

// Match reports whether the filter chooses an alert, time and limit apart.
func (f *Filter) Match(a *Alert) bool {
	has := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	switch {
	case a.Withheld && !f.Withheld, a.Withdrawn && !f.Withdrawn, a.BuildingBlock && !f.Blocks,
		!has(f.Status, a.Status), !has(f.Severity, a.Severity),
		f.Principal != "" && f.Principal != a.Principal, f.Account != "" && f.Account != a.Account,
		len(f.Verdict) > 0 && !slices.Contains(f.Verdict, a.Triage.Verdict), f.MinScore > 0 && (a.Triage.Version == 0 || a.Triage.Score < f.MinScore),
		f.Tag != "" && !slices.Contains(a.Tags, f.Tag), f.Assignee != "" && !slices.Contains(a.Assignees, f.Assignee):
		return false
	}
	if len(f.Rule) > 0 && !slices.ContainsFunc(f.Rule, func(r string) bool { return r == a.RuleID || strings.EqualFold(r, a.RuleName) }) {
		return false
	}
	if f.Text == "" {
		return true
	}
	want := strings.ToLower(f.Text)
	return slices.ContainsFunc([]string{a.Who, a.What, a.Where, a.RuleName, a.Principal}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), want)
	})
}

// AlertsBy yields the alerts that a filter chooses, in order of time. It looks at those
// of its time, or, if Rule is one id, at those of that rule.
func AlertsBy(tx Tx, f Filter) iter.Seq2[*Alert, error] {
	return func(yield func(*Alert, error) bool) {
		table, prefix, err := f.index(tx)
		if err != nil {
			yield(nil, err)
			return
		}
		from, to := slices.Clip(prefix), Behind(prefix)
		if !f.From.IsZero() {
			from = keyTime(slices.Clip(prefix), nanos(f.From))
		}
		if !f.To.IsZero() {
			to = keyTime(slices.Clip(prefix), nanos(f.To))
		}
		if f.After != "" {
			a, err := GetAlert(tx, f.After)
			switch {
			case err != nil:
				yield(nil, err)
				return
			case a == nil:
				yield(nil, fmt.Errorf("alert %s: %w", f.After, ErrNotFound))
				return
			case f.Ascending:
				from = append(slices.Concat(prefix, handleTime(a.Time, a.Handle)), 0)
			default:
				to = slices.Concat(prefix, handleTime(a.Time, a.Handle))
			}
		}
		pairs := tx.Reverse(table, from, to)
		if f.Ascending {
			pairs = tx.Range(table, from, to)
		}
		n := 0
		for p, err := range pairs {
			var a Alert
			if err == nil {
				var ok bool
				handle := p.Key[len(prefix)+8:]
				if ok, err = getJSON(tx, Alerts, handle, &a); err == nil && !ok {
					err = fmt.Errorf("alert %s is listed and not there: %w", handle, ErrDamaged)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !f.Match(&a) {
				continue
			}
			if n++; !yield(&a, nil) || n == f.Limit {
				return
			}
		}
	}
}

// index chooses the table to go through, and the part of it.
func (f *Filter) index(tx Tx) (Table, []byte, error) {
	if len(f.Rule) != 1 {
		return AlertTimes, nil, nil
	}
	prefix := keyText(nil, clean(f.Rule[0]))
	for _, err := range tx.Range(AlertRules, prefix, Behind(prefix)) {
		return AlertRules, prefix, err
	}
	return AlertTimes, nil, nil
}

// AlertsByScore yields the alerts that a filter chooses, those that were investigated
// first, the highest score before the others and the latest before the earlier; then
// the rest, the latest first. Limit, After and Ascending are not looked at.
func AlertsByScore(tx Tx, f Filter) iter.Seq2[*Alert, error] {
	return func(yield func(*Alert, error) bool) {
		for p, err := range tx.Reverse(AlertScores, nil, nil) {
			var a Alert
			if err == nil && len(p.Key) < 10 {
				err = fmt.Errorf("a key of table %s: %w", AlertScores, ErrDamaged)
			}
			if err == nil {
				var ok bool
				if ok, err = getJSON(tx, Alerts, p.Key[9:], &a); err == nil && !ok {
					err = fmt.Errorf("alert %s is listed and not there: %w", p.Key[9:], ErrDamaged)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if inTime := !a.Time.Before(f.From) && (f.To.IsZero() || a.Time.Before(f.To)); inTime && f.Match(&a) && !yield(&a, nil) {
				return
			}
		}
		f.Limit, f.After, f.Ascending = 0, "", false
		for a, err := range AlertsBy(tx, f) {
			if (err != nil || a.Triage.Version == 0) && !yield(a, err) {
				return
			}
		}
	}
}

// AlertsOfRule returns the alerts of a rule that begin in [from, to), by time,
// withdrawn ones too.
func AlertsOfRule(tx Tx, rule string, from, to time.Time) ([]*Alert, error) {
	prefix := keyText(nil, clean(rule))
	var out []*Alert
	for p, err := range tx.Range(AlertRules, keyTime(slices.Clip(prefix), nanos(from)), keyTime(slices.Clip(prefix), nanos(to))) {
		if err != nil {
			return nil, err
		}
		var a Alert
		if ok, err := getJSON(tx, Alerts, p.Key[len(prefix)+8:], &a); err != nil || !ok {
			return nil, cmp.Or(err, fmt.Errorf("an alert of rule %s is listed and not there: %w", rule, ErrDamaged))
		}
		out = append(out, &a)
	}
	return out, nil
}

// An AlertDocument is an alert as Kibana stores alerts, without workflow, and the raw
// event that it was made of.
type AlertDocument struct {
	Document []byte // JSON
	Kind     byte   // of the event: KindRecord or KindDocument
	Raw      []byte
}

// PutAlertDocument stores it under the alert's handle, compressed.
func PutAlertDocument(tx Tx, handle string, d *AlertDocument) error {
	b := make([]byte, 0, 1+4+len(d.Document)+len(d.Raw))
	b = putText(append(b, d.Kind), d.Document)
	return tx.Put(Documents, []byte(handle), compress(append(b, d.Raw...)))
}

// GetAlertDocument returns it.
func GetAlertDocument(tx Tx, handle string) (*AlertDocument, error) {
	v, err := tx.Get(Documents, []byte(handle))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, fmt.Errorf("the document of alert %s: %w", handle, ErrNotFound)
	}
	b, err := decompress(v)
	if err != nil {
		return nil, fmt.Errorf("the document of alert %s: %w: %w", handle, ErrDamaged, err)
	}
	d := decoder{b: b}
	out := &AlertDocument{Kind: d.byte(), Document: []byte(d.string())}
	if d.bad {
		return nil, fmt.Errorf("the document of alert %s: %w", handle, ErrDamaged)
	}
	out.Raw = d.b
	return out, nil
}

// ShortID is what of a handle a line has room for.
func ShortID(handle string) string { return handle[:min(len(handle), 12)] }
