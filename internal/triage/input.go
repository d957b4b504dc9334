package triage

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// Events is what is asked of the store of events.
type Events interface {
	// Scan yields stored events in order of (time, ID), each once.
	Scan(ctx context.Context, q store.Scan) iter.Seq2[*store.Stored, error]
	// Find returns one event, or store.ErrNotFound.
	Find(ctx context.Context, t time.Time, id ecs.ID) (*store.Stored, error)
	// Rollups yields how often what was done, by hour. Equal rows are added up by who
	// reads them; a row is valid until the next.
	Rollups(ctx context.Context, q store.RollupQuery) iter.Seq2[*store.Rollup, error]
}

// Coverage tells what the store can have seen.
type Coverage interface {
	// Covered returns the covered share of a window of an account and region, 0 to 1.
	Covered(ctx context.Context, account, region string, from, to time.Time) (Covered, error)
	// Accounts returns the accounts whose records are stored: those that they were
	// delivered to, not those of the callers, who may be anybody's.
	Accounts(ctx context.Context) ([]string, error)
}

// Covered is what is known of a window.
type Covered struct {
	Share float64   // 0 to 1
	First time.Time // the first hour of the account and region that is stored; zero: none
	Gaps  []Span    // hours that are missing, in order, a few at most
	Late  int64     // records that came late
	// Duplicates are records that came more than once.
	Duplicates int64
}

// An Alert is what is to be investigated.
type Alert struct {
	ID       string // as a person names it
	Rule     Rule
	Terms    []string // field=value of a new-terms or threshold rule
	Fields   []string // fields of the terms
	Query    string   // of the rule, as KQL; empty: none
	Time     time.Time
	Event    ecs.ID        // of the first event
	Previous time.Time     // when the combination had last been seen before; zero: never
	History  time.Duration // the rule's history window; 0: the rule has none
}

// Settings are what the user says about his organisation. Everything is optional.
type Settings struct {
	Accounts  []string       // the organisation's accounts, besides those whose trails are stored
	Buckets   []string       // its buckets, with wildcards
	Networks  []netip.Prefix // its egress, NAT gateways and bastions
	Endpoints []string       // its VPC endpoints
	Hosting   []netip.Prefix // of hosting providers and VPNs
	Tor       []netip.Prefix // exits
	TimeZone  *time.Location // of its people; nil: UTC
	// Hours of work, if a person's own cannot be learned; both 0: not known.
	WorkFrom, WorkTo int
	Freezes          []Period
	Exercises        []Exercise
	Rota             []Duty
	Subjects         []string // OIDC subjects that deploy, with wildcards
	Scripts          []string // SHA-256, hex, of approved command texts
	Changes          []Change // that were approved
	Agents           []string // document names of known agents (Inspector, Quick Setup), with wildcards
}

// A Period is a named span of time, such as a freeze.
type Period struct {
	Name string
	Span
}

// An Exercise is a test that was announced.
type Exercise struct {
	Name     string
	Accounts []string
	Marks    []string // texts of agents or session names that belong to it
	Span
}

// A Change was approved where changes are kept.
type Change struct {
	ID string // as the comment of a command names it, such as "CHG-1234"
	// Who is a stable principal. A change for an account, or for anybody, proves nothing:
	// everybody can write its number.
	Who string
	Span
}

// A Duty is one person's time on call.
type Duty struct {
	Who string // stable principal or session name
	Span
}

// Places tells where an address is, from databases on this machine.
type Places interface {
	Address(addr netip.Addr) cloudtrail.Place
}

// Input is everything that a report depends on.
type Input struct {
	Alert    Alert
	Events   Events
	Coverage Coverage
	Places   Places // nil: no databases
	// PlacesDate is the date of the databases; zero: none.
	PlacesDate time.Time
	Catalogue  *ecs.Catalogue
	Weights    *Weights
	Settings   Settings
	// AsOf is the time that the report is made for: nothing later is read.
	AsOf     time.Time
	Trigger  string    // alert, later, new events, by hand
	Previous []Version // reports before this one
	Live     *Live     // nil: AWS was not asked
	History  Alerts    // nil: no exception is tested
	// Done, if not nil, is told of each part of the investigation that is done: "event",
	// "baseline", "related", the steps by their ids, "report".
	Done func(part string)
}

// Alerts tells which alerts of a rule there were, to test an exception.
type Alerts interface {
	// Hidden returns how many alerts of a rule, since a time, an exception's query would
	// have hidden, and how many of them were judged bad.
	Hidden(ctx context.Context, rule, query string, since time.Time) (hidden, bad int, err error)
}
