package triage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// How an event is tied to the alert's event, closest first.
const (
	TieThis      = "this"
	TieSession   = "session" // the same session, or the same temporary key
	TieKey       = "key"     // the same access key
	TiePrincipal = "principal"
	TieAddress   = "address" // the same IP address
	TieOther     = "other"
)

// A Case is one alert with what was read about it. Steps read it and never change it,
// except [Case.Chain], which is T3's, and [Case.Claims], which are F's.
type Case struct {
	Input
	Event *Event // the alert's
	// Window is the case window, and Base the baseline before it: what was done in the
	// case window is no habit. Both end no later than AsOf.
	Window, Base Span
	// Covered is the coverage of the rule's history window (of the baseline, if the rule
	// has none). Cold: too little for absence to mean anything.
	Covered  Covered
	Coverage Span // the window that Covered is about
	Cold     bool
	Baseline *Baseline
	// Related are the events of the case window by the same session, key, principal or
	// address, in order of time, with the alert's event among them.
	Related []*Event
	Chain   []Link
	Claims  []Claim // of step F
	// provenTo is when the first of the proven claims ends; zero: none does.
	provenTo time.Time

	relatedQuery Query
	accounts     []string // whose records are stored
	reader       *reader
	ties         map[string]string // by event id
	asked        map[question]*asked
	agents       map[string]enrich.AgentKind // by agent
}

type question struct {
	kql      string
	from, to int64
	limit    int
}

type asked struct {
	events []*Event
	query  Query
}

// Bounds of the related events: all of the latest, and of those before them the latest
// of each action and outcome, so that a flood of one action hides no other. maxOlder is
// how many are looked at.
const (
	maxRelated  = 20_000
	olderOfEach = 50
	maxOlder    = 500_000
)

// open reads what every step needs.
func open(ctx context.Context, in Input) (*Case, error) {
	found, err := in.Events.Find(ctx, in.Alert.Time, in.Alert.Event)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("the event of the alert is not stored (it may be older than what is kept): %w", err)
		}
		return nil, fmt.Errorf("read the alert's event: %w", err)
	}
	reader := newReader(in.Catalogue)
	c := &Case{Input: in, Event: reader.read(found), reader: reader, ties: map[string]string{}, asked: map[question]*asked{}, agents: map[string]enrich.AgentKind{}}
	c.done("event")
	t, w := c.Event.Time, in.Weights
	if in.AsOf.Before(t) {
		return nil, fmt.Errorf("the report is for %s, before the event at %s", in.AsOf.Format(time.RFC3339), t.Format(time.RFC3339))
	}
	c.Window = Span{t.Add(-w.Duration("case_before")), c.until(t.Add(w.Duration("case_after")))}
	// Sums are by full hours: the hour in which the case window begins belongs to both.
	c.Base = Span{t.Add(-w.Duration("baseline")).Truncate(time.Hour), c.Window.From.Truncate(time.Hour)}
	history := in.Alert.History
	if history <= 0 {
		history = w.Duration("baseline")
	}
	c.Coverage = Span{t.Add(-history), t}
	if c.Covered, err = in.Coverage.Covered(ctx, c.Event.Owner, c.Event.Region, c.Coverage.From, c.Coverage.To); err != nil {
		return nil, fmt.Errorf("read the coverage: %w", err)
	}
	c.Cold = c.Covered.Share < w.Number("cold_below")
	if c.accounts, err = in.Coverage.Accounts(ctx); err != nil {
		return nil, fmt.Errorf("read which accounts are stored: %w", err)
	}
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	c.done("baseline and related")
	if c.relatedQuery.Truncated {
		older, err := c.older(ctx)
		if err != nil {
			return nil, err
		}
		c.Related = append(older, c.Related...)
	}
	if !slices.ContainsFunc(c.Related, func(e *Event) bool { return e.ID == c.Event.ID }) {
		c.Related = append(c.Related, c.Event)
		slices.SortStableFunc(c.Related, compareEvents)
	}
	for _, e := range c.Related {
		c.ties[e.ID] = c.tie(e)
	}
	c.done("older")
	return c, nil
}

// look reads the baseline and the related events, which together take the most time, side
// by side.
func (c *Case) look(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		c.Baseline, err = newBaseline(ctx, c)
		return err
	})
	g.Go(func() (err error) {
		c.Related, c.relatedQuery, err = c.query(ctx, c.relatedKQL(), c.Window, maxRelated)
		return err
	})
	return g.Wait() //nolint:wrapcheck // both say what they were at
}

func (c *Case) done(part string) {
	if c.Done != nil {
		c.Done(part)
	}
}

// older reads the related events before those that were read: of each action and outcome
// the latest, in order of time.
func (c *Case) older(ctx context.Context) (list []*Event, err error) {
	match, err := c.match(c.relatedQuery.Text)
	if err != nil {
		return nil, err
	}
	read := map[string]bool{}
	for _, e := range c.Related {
		read[e.ID] = true
	}
	have := map[[3]string]int{}
	window := Span{c.Window.From, c.Related[0].Time.Add(time.Nanosecond)}
	scan := store.Scan{From: window.From, To: window.To, Match: match, Descending: true, Limit: maxOlder}
	for s, err := range c.Events.Scan(ctx, scan) {
		if err != nil {
			return nil, fmt.Errorf("search the events: %w", err)
		}
		r := c.reader
		key := [3]string{firstOf(s.Event.Values(r.provider)), firstOf(s.Event.Values(r.action)), firstOf(s.Event.Values(r.code))}
		if have[key] >= olderOfEach || len(list) >= maxRelated {
			continue
		}
		if e := r.read(s); !read[e.ID] {
			for i, part := range key {
				key[i] = strings.Clone(part)
			}
			have[key]++
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, compareEvents)
	return list, nil
}

// until returns t, or the time to which the store is read if that is earlier.
func (c *Case) until(t time.Time) time.Time {
	if end := c.AsOf.Add(time.Nanosecond); end.Before(t) {
		return end
	}
	return t
}

// relatedKQL asks for what the same principal, key or address did.
func (c *Case) relatedKQL() string {
	e := c.Event
	return strings.Join(slices.DeleteFunc([]string{
		is("debut.principal", e.Principal),
		is("aws.cloudtrail.user_identity.access_key_id", e.Credential),
		c.addressKQL(),
	}, func(s string) bool { return s == "" }), " or ")
}

// here asks for what was logged in the account of the alert, there for what was logged in
// its account and region. The store finds that without reading records.
func (c *Case) here() string { return c.in(c.Event.Owner) }

func (c *Case) there() string { return all(c.here(), is("cloud.region", c.Event.Region)) }

// in asks for what was logged in some accounts. Old records do not name theirs.
func (c *Case) in(accounts ...string) string {
	const field = "aws.cloudtrail.recipient_account_id"
	if c.Event.Value(field) == "" {
		return is("cloud.account.id", accounts...)
	}
	return is(field, accounts...)
}

func (c *Case) addressKQL() string {
	if !c.Event.IP.IsValid() {
		return ""
	}
	return is("source.address", c.Event.Address)
}

// is returns a KQL clause, or "" if there is no value.
func is(field string, values ...string) string {
	values = unique(values)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return field + ": " + quote(values[0])
	}
	for i, v := range values {
		values[i] = quote(v)
	}
	return field + ": (" + strings.Join(values, " or ") + ")"
}

// all joins clauses that must all hold; empty ones are left out. A clause that has
// alternatives outside of brackets brings its own.
func all(clauses ...string) string { return strings.Join(unique(clauses), " and ") }

// quote makes a KQL phrase of a text: no wildcard in it acts.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// tie returns how an event is tied to the alert's.
func (c *Case) tie(e *Event) string {
	x := c.Event
	switch {
	case e.ID == x.ID:
		return TieThis
	case e.UserID != "" && e.UserID == x.UserID && !e.Created.IsZero() && e.Created.Equal(x.Created),
		e.Credential != "" && e.Credential == x.Credential && strings.HasPrefix(e.Credential, "ASIA"):
		return TieSession
	case e.Credential != "" && e.Credential == x.Credential:
		return TieKey
	case e.Principal != "" && e.Principal == x.Principal:
		return TiePrincipal
	case e.IP.IsValid() && e.IP == x.IP:
		return TieAddress
	}
	return TieOther
}

// Tie returns how an event is tied to the alert's: "other" if it is not.
func (c *Case) Tie(e *Event) string {
	if t, ok := c.ties[e.ID]; ok {
		return t
	}
	return c.tie(e)
}

// Tied says it in words, such as "by the same session".
func (c *Case) Tied(e *Event) string {
	switch t := c.Tie(e); t {
	case TieThis:
		return "itself"
	case TieOther:
		return "by " + shortPrincipal(e.Principal)
	default:
		return "by the same " + t
	}
}

// Own returns the related events by the same session, key or principal: not those that
// only share the address.
func (c *Case) Own() []*Event {
	return keep(c.Related, func(e *Event) bool { return c.Tie(e) != TieAddress })
}

// Before and After return the events of a list before and after the alert's.
func (c *Case) Before(list []*Event) []*Event {
	return keep(list, func(e *Event) bool { return e.ID != c.Event.ID && compareEvents(e, c.Event) < 0 })
}

// After returns the events of a list that came after the alert's.
func (c *Case) After(list []*Event) []*Event {
	return keep(list, func(e *Event) bool { return e.ID != c.Event.ID && compareEvents(e, c.Event) > 0 })
}

func keep(list []*Event, f func(*Event) bool) (out []*Event) {
	for _, e := range list {
		if f(e) {
			out = append(out, e)
		}
	}
	return out
}

// match compiles a KQL query.
func (c *Case) match(text string) (query.Expr, error) {
	match, diags := kql.CompileText(text, c.Catalogue)
	if match == nil {
		return nil, fmt.Errorf("the query %s: %w", text, diags)
	}
	return match, nil
}

// query asks the store for the latest events that match, at most limit, in order of
// time. A question is asked once.
func (c *Case) query(ctx context.Context, text string, window Span, limit int) ([]*Event, Query, error) {
	window.To = c.until(window.To)
	key := question{text, window.From.UnixNano(), window.To.UnixNano(), limit}
	if a, ok := c.asked[key]; ok {
		return a.events, a.query, nil
	}
	q := Query{Text: text, Window: window}
	a := &asked{query: q}
	if text != "" && window.From.Before(window.To) {
		match, err := c.match(text)
		if err != nil {
			return nil, q, err
		}
		scan := store.Scan{From: window.From, To: window.To, Match: match, Descending: true, Limit: limit + 1}
		for s, err := range c.Events.Scan(ctx, scan) {
			if err != nil {
				return nil, q, fmt.Errorf("search the events: %w", err)
			}
			a.events = append(a.events, c.reader.read(s))
		}
		if len(a.events) > limit {
			a.events, q.Truncated = a.events[:limit], true
		}
		slices.Reverse(a.events)
		slices.SortStableFunc(a.events, compareEvents)
	}
	q.Rows = len(a.events)
	a.query = q
	c.asked[key] = a
	return a.events, q, nil
}

// Ours reports whether an account belongs to the organisation: it is configured, or its
// trail is stored.
func (c *Case) Ours(account string) bool {
	return account == c.Event.Owner || slices.Contains(c.Settings.Accounts, account) || slices.Contains(c.accounts, account)
}

// SendCommand reports whether the case is about a command of Systems Manager.
func (c *Case) SendCommand() bool { return c.Event.Is("ssm", "SendCommand") }

// shortPrincipal is the end of an ARN that people know a principal by.
func shortPrincipal(p string) string {
	if p == "" {
		return "somebody unknown"
	}
	// What is behind the account may have colons of its own, as subjects of OIDC do.
	if part := strings.SplitN(p, ":", 6); part[0] == "arn" && len(part) == 6 && part[5] != "" {
		return part[5]
	}
	return p
}
