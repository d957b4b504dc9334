package api

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/store"
)

// Prefix is the beginning of the paths of this version of the API.
const Prefix = "/api/v1"

// AlertPage is a page of alerts.
type AlertPage struct {
	Alerts []*Alert `json:"alerts"`
	Next   string   `json:"next,omitempty"` // the cursor of the next page; empty: this was the last
}

// AlertView is one alert with everything about it.
type AlertView struct {
	Alert *Alert `json:"alert"`
	// Document is the alert as Kibana stores alerts, with its workflow.
	Document jsontext.Value `json:"document"`
	// Event is the event that speaks for it, as it came: a CloudTrail record, or an
	// ECS document.
	Event     jsontext.Value `json:"event"`
	EventKind string         `json:"event_kind"` // record or document
}

// A Change is what somebody does to alerts. Empty members change nothing.
type Change struct {
	Status          string   `json:"status,omitempty"` // open, acknowledged, closed
	Reason          string   `json:"reason,omitempty"` // of closing
	Note            string   `json:"note,omitempty"`
	AddTags         []string `json:"add_tags,omitempty"`
	RemoveTags      []string `json:"remove_tags,omitempty"`
	AddAssignees    []string `json:"add_assignees,omitempty"`
	RemoveAssignees []string `json:"remove_assignees,omitempty"`
}

// BulkChange is one change to many alerts: those that are named, or those of a query.
type BulkChange struct {
	IDs    []string    `json:"ids,omitempty"`
	Query  *AlertQuery `json:"query,omitempty"`
	After  string      `json:"after,omitempty"` // the next of the answer before
	Change Change      `json:"change"`
}

// AlertQuery chooses alerts, as the parameters of the list do.
type AlertQuery struct {
	From      time.Time `json:"from,omitzero"`
	To        time.Time `json:"to,omitzero"`
	Status    []string  `json:"status,omitempty"`
	Severity  []string  `json:"severity,omitempty"`
	Rule      []string  `json:"rule,omitempty"`
	Principal string    `json:"principal,omitempty"`
	Account   string    `json:"account,omitempty"`
	Tag       string    `json:"tag,omitempty"`
	Assignee  string    `json:"assignee,omitempty"`
	Verdict   []string  `json:"verdict,omitempty"`
	MinScore  int       `json:"min_score,omitzero"`
	Text      string    `json:"text,omitempty"`
	Withheld  bool      `json:"withheld,omitzero"`
	Withdrawn bool      `json:"withdrawn,omitzero"`
	Blocks    bool      `json:"blocks,omitzero"`
}

// BulkResult says what a bulk change did. With Next there are more alerts than one
// request changes: send it again with After.
type BulkResult struct {
	Matched int    `json:"matched"`
	Changed int    `json:"changed"`
	Next    string `json:"next,omitempty"`
}

// An ExceptionInput is what is needed to make or test an exception.
type ExceptionInput struct {
	Name    string                 `json:"name"`
	Comment string                 `json:"comment,omitempty"`
	RuleIDs []string               `json:"rule_ids"`
	Entries []store.ExceptionEntry `json:"entries"`
	Expire  time.Time              `json:"expire,omitzero"`
}

// A Trial says what an exception would have done.
type Trial struct {
	// Hides is how many alerts it would have hidden since From; More: at least so many.
	Hides int64     `json:"hides"`
	More  bool      `json:"more,omitzero"`
	From  time.Time `json:"from"`
	// Alerts are the first few of them, the latest first.
	Alerts      []*Alert     `json:"alerts"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// ExceptionList is every exception.
type ExceptionList struct {
	Exceptions []*store.Exception `json:"exceptions"`
}

// ExceptionSaved is an exception that was stored, with what it would have done.
type ExceptionSaved struct {
	Exception *store.Exception `json:"exception"`
	Trial     *Trial           `json:"trial"`
}

// RuleList is every rule that the server has loaded.
type RuleList struct {
	Rules []RuleStatus `json:"rules"`
}

// A RuleStatus says whether a rule runs.
type RuleStatus struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Type       string    `json:"type"`
	Severity   string    `json:"severity"`
	RiskScore  float64   `json:"risk_score"`
	Status     string    `json:"status"`              // running, rebuilding, idle
	Why        string    `json:"why,omitempty"`       // it is idle
	Since      time.Time `json:"since,omitzero"`      // this version of it came into use
	Alerts     time.Time `json:"alerts,omitzero"`     // it alerts on events from then on
	Version    int32     `json:"version,omitzero"`    // number of this version in the store
	Exceptions int       `json:"exceptions,omitzero"` // exceptions that act on it
	Kept       string    `json:"kept,omitempty"`      // the error of its file, for which it goes on as it was
}

// A ReloadReport says what a reload of rules and exceptions changed.
type ReloadReport struct {
	Running     int          `json:"running"`
	Idle        int          `json:"idle"`
	Added       []string     `json:"added,omitempty"`   // rule ids
	Changed     []string     `json:"changed,omitempty"` // their memory is rebuilt
	Removed     []string     `json:"removed,omitempty"`
	Kept        []string     `json:"kept,omitempty"` // they go on as they were: their file has an error
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// RunList is runs, the latest first.
type RunList struct {
	Runs []*store.Run `json:"runs"`
}

// BackfillRequest asks for rules to be run over history, into the same alerts.
type BackfillRequest struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Rules []string  `json:"rules,omitempty"` // ids or names; none: all that run
	// Source names the source to read the history from; empty: the stored events.
	Source string `json:"source,omitempty"`
	By     string `json:"-"` // who asks
}

// Started names a run that was begun.
type Started struct {
	Run string `json:"run"`
}

// Coverage is the ledger for some time, by account and region.
type Coverage struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	By    string    `json:"by"` // hour or day
	Share float64   `json:"share"`
	Zones []Zone    `json:"zones"`
	Gaps  []Gap     `json:"gaps"` // what to look at first comes first
	// MoreGaps is how many were left out.
	MoreGaps int `json:"more_gaps,omitzero"`
}

// A Zone is an account and a region.
type Zone struct {
	Account string  `json:"account"`
	Region  string  `json:"region"`
	Share   float64 `json:"share"`
	Sums
	Cells []Cell `json:"cells"`
}

// Sums are counts of the ledger. Objects count in the hour of their delivery, records
// in that of the event.
type Sums struct {
	Expected   int64   `json:"expected"`
	Read       int64   `json:"read"`
	Unexpected int64   `json:"unexpected"`
	Failed     int64   `json:"failed"`
	Rejected   int64   `json:"rejected"`
	Records    int64   `json:"records"`
	Duplicates int64   `json:"duplicates"`
	Late       int64   `json:"late"`
	Future     int64   `json:"future"`
	MaxDelay   float64 `json:"max_delay_seconds"`
	MeanDelay  float64 `json:"mean_delay_seconds"`
}

// A Cell is an hour or a day of a zone.
type Cell struct {
	Time  time.Time       `json:"time"`
	State store.HourState `json:"state"` // the worst of its hours
	Share float64         `json:"share"`
	Sums
}

// A Gap is a stretch of time of a zone that is not covered whole.
type Gap struct {
	Account string          `json:"account"`
	Region  string          `json:"region"`
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to"`
	State   store.HourState `json:"state"`
	Missing int64           `json:"missing"`
	Failed  int64           `json:"failed"`
}

// ObjectList is inputs of sources.
type ObjectList struct {
	Objects []Object `json:"objects"`
	More    bool     `json:"more,omitzero"` // there are more than the limit
}

// An Object is an input of a source.
type Object struct {
	Source   string    `json:"source"`
	Name     string    `json:"name"`
	Version  string    `json:"version,omitempty"`
	Account  string    `json:"account,omitempty"`
	Region   string    `json:"region,omitempty"`
	Hour     time.Time `json:"hour,omitzero"`
	State    string    `json:"state"` // expected, partial, read, failed
	Expected bool      `json:"expected"`
	Records  int64     `json:"records"`
	Rejected int64     `json:"rejected"`
	Arrived  time.Time `json:"arrived,omitzero"`
	Read     time.Time `json:"read,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

// ParkedList is messages of queues that could not be dealt with.
type ParkedList struct {
	Messages []Parked `json:"messages"`      // of each source, the latest first
	More     bool     `json:"more,omitzero"` // there are more than the limit
}

// A Parked is a message of a queue that could not be dealt with.
type Parked struct {
	Source   string    `json:"source"`
	ID       string    `json:"id"`
	Reason   string    `json:"reason"`
	Sent     time.Time `json:"sent,omitzero"`
	Parked   time.Time `json:"parked"` // when it was tried last
	Receives int       `json:"receives"`
	// Body is the text of the message; Cut: its beginning, so it cannot be tried again.
	Body string `json:"body"`
	Cut  bool   `json:"cut,omitzero"`
}

// A RetryRequest asks for parked messages to be tried again: those that are named, or
// All; of a source, or of every one if none is named.
type RetryRequest struct {
	Source string   `json:"source,omitempty"`
	IDs    []string `json:"ids,omitempty"`
	All    bool     `json:"all,omitzero"`
}

// RetryReport says what became of parked messages that were tried again.
type RetryReport struct {
	Messages []Retried `json:"messages"`
}

// A Retried is a parked message that was tried again.
type Retried struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	// State is done: all that it announces is durable, and it is gone; parked: it stays,
	// for the reason; trying: it takes longer, and goes on.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// A TokenInput is what is needed to make a token.
type TokenInput struct {
	Name   string    `json:"name"`
	Role   string    `json:"role"`
	Expire time.Time `json:"expire,omitzero"`
}

// A Token is one without its secret.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
	Expire  time.Time `json:"expire,omitzero"`
	Used    time.Time `json:"used,omitzero"` // to the hour
}

// NewToken is a token with its secret, which is never shown again.
type NewToken struct {
	Token Token  `json:"token"`
	Value string `json:"value"` // ID.SECRET, what goes behind "Bearer "
}

// TokenList is every token.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// AuditPage is a part of the audit log, the latest first.
type AuditPage struct {
	Entries []*store.Entry `json:"entries"`
	Next    time.Time      `json:"next,omitzero"` // the to of the next page
}

// An EventQuery asks for stored events.
type EventQuery struct {
	Query      string // KQL; empty: all
	From, To   time.Time
	Limit      int // 0: all
	Descending bool
	// Damaged is told of parts of the store that cannot be read; the rest is yielded.
	Damaged func(name string, err error)
}

// Health is whether the process lives, or can work.
type Health struct {
	Status  string   `json:"status"` // alive, ready, not-ready
	Reasons []string `json:"reasons,omitempty"`
}

// A SilenceInput is what is needed to make a silence.
type SilenceInput struct {
	Name    string            `json:"name"`
	Kind    store.SilenceKind `json:"kind"`
	Rules   []string          `json:"rules,omitempty"`
	Query   string            `json:"query,omitempty"`
	Start   time.Time         `json:"start,omitzero"` // zero: now
	End     time.Time         `json:"end,omitzero"`
	Repeat  *store.Repeat     `json:"repeat,omitempty"`
	Comment string            `json:"comment,omitempty"`
}

// A Silence is one with its state now.
type Silence struct {
	store.Silence

	Active bool `json:"active"`
	Ended  bool `json:"ended"`
}

// SilenceList is every silence, by start.
type SilenceList struct {
	Silences []Silence `json:"silences"`
}

// MessageList is messages of the outbox.
type MessageList struct {
	Messages []store.Message `json:"messages"`
}
