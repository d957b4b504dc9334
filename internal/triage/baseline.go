package triage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// A Baseline is what was usual in the weeks before the case window, from the sums by
// hour. It is read-only once made.
type Baseline struct {
	Window Span
	Query  Query // what to cite
	// Own is the principal's, Org everybody's.
	Own Habits
	Org Org
	// Principals are the others that were active.
	Principals map[string]*Peer
	// Regions counts the events of the alert's account by region.
	Regions map[string]int64
	// Complete is false if there was more than is kept in memory.
	Complete bool
}

// Habits are what was done, by whom the baseline tells.
type Habits struct {
	Events      int64
	First, Last time.Time
	Days        int                 // with an event
	Actions     map[string]*Seen    // "ssm.amazonaws.com/SendCommand"
	Providers   map[string]*Seen    // "ssm.amazonaws.com"
	Regions     map[string]*Seen    //
	Agents      map[string]*Seen    // names of agents, as rollups have them
	Networks    map[string]*Seen    // /24 or /48, or a service's name
	Week        [7 * 24]int64       // by hour of the week, UTC, Monday first
	Hours       map[time.Time]int64 // of the alert's own action, by hour
	days        map[int64]struct{}  //
}

// Org is what everybody did.
type Org struct {
	Events   int64
	Actions  map[string]*Seen // as those of Habits
	Networks map[string]*Seen

	principals int
}

// Principals returns how many principals used the network of the alert, 1,000 at most.
func (o *Org) Principals() int { return o.principals }

// Seen is when and how often something was seen.
type Seen struct {
	Count       int64
	First, Last time.Time
}

// A Peer is another principal.
type Peer struct {
	Events int64
	// Does counts the alert's action.
	Does        int64
	First, Last time.Time
}

// Bounds of memory: of a hostile or very large account.
const (
	maxPeers = 200_000
	maxSeen  = 200_000
	// maxPrincipals is how many principals of a network are counted.
	maxPrincipals = 1000
)

// newBaseline adds the sums of the baseline window up: the principal's own by hour, those
// of everybody as totals, which are far fewer.
func newBaseline(ctx context.Context, c *Case) (*Baseline, error) {
	b := &Baseline{
		Window: c.Base, Principals: map[string]*Peer{}, Regions: map[string]int64{},
		Own: newHabits(), Org: Org{Actions: map[string]*Seen{}, Networks: map[string]*Seen{}}, Complete: true,
	}
	action := c.Event.Provider + "/" + c.Event.Action
	if c.Event.Principal != "" {
		for s, err := range c.Events.Rollups(ctx, store.RollupQuery{From: c.Base.From, To: c.Base.To, Principal: c.Event.Principal}) {
			if err != nil {
				return nil, fmt.Errorf("read the sums by hour: %w", err)
			}
			what := s.Provider + "/" + s.Action
			b.Complete = b.Own.add(s, what, what == action) && b.Complete
		}
		b.Own.Days = len(b.Own.days)
	}
	t := totals{Baseline: b, event: c.Event, network: network(c.Event), principals: map[string]struct{}{}, actions: map[[2]string]*Seen{}}
	for s, err := range c.Events.Rollups(ctx, store.RollupQuery{From: c.Base.From, To: c.Base.To, Totals: true}) {
		if err != nil {
			return nil, fmt.Errorf("read the sums by hour: %w", err)
		}
		t.add(s)
	}
	b.Org.principals = len(t.principals)
	b.Query = Query{Text: "sums by hour of all principals", Window: c.Base, Rows: int(b.Org.Events)}
	return b, nil
}

// totals adds up what everybody did. Rows of one principal, and of one of his actions,
// stand together for the most part: what was found for the last row is kept.
type totals struct {
	*Baseline

	event      *Event
	network    string // of the alert
	principals map[string]struct{}
	actions    map[[2]string]*Seen // those of Org, by provider and action

	last struct {
		principal, provider, action, network string
		peer                                 *Peer
		same                                 bool // the alert's action
		done, from                           *Seen
	}
}

func (t *totals) add(s *store.Rollup) {
	l, first := &t.last, t.Org.Events == 0
	t.Org.Events += s.Count
	if s.Account == t.event.Account {
		t.Regions[s.Region] += s.Count
	}
	if s.Action != l.action || s.Provider != l.provider || first {
		l.action, l.provider = s.Action, s.Provider
		l.same = s.Action == t.event.Action && s.Provider == t.event.Provider
		l.done = t.action(s)
	}
	l.done.add(s)
	if s.Network != l.network || first {
		l.network = s.Network
		l.from = t.seen(t.Org.Networks, s.Network, s)
	}
	l.from.add(s)
	if s.Network == t.network && s.Network != "" && len(t.principals) < maxPrincipals {
		if _, ok := t.principals[s.Principal]; !ok {
			t.principals[strings.Clone(s.Principal)] = struct{}{}
		}
	}
	if s.Principal != l.principal || first {
		l.principal = s.Principal
		l.peer = t.peer(s)
	}
	if p := l.peer; p != nil {
		p.Events += s.Count
		if l.same {
			p.Does += s.Count
		}
		p.First, p.Last = earlier(p.First, s.First), later(p.Last, s.Last)
	}
}

// action returns what Org has of a row's action.
func (t *totals) action(s *store.Rollup) *Seen {
	v, ok := t.actions[[2]string{s.Provider, s.Action}]
	if !ok {
		v = t.seen(t.Org.Actions, s.Provider+"/"+s.Action, s)
		if v != nil {
			t.actions[[2]string{strings.Clone(s.Provider), strings.Clone(s.Action)}] = v
		}
	}
	return v
}

// seen returns what a map has of a key, nil if the key is empty or cannot be kept.
func (t *totals) seen(m map[string]*Seen, key string, s *store.Rollup) *Seen {
	v, ok := seenOf(m, key, s)
	t.Complete = t.Complete && ok
	return v
}

// peer returns the principal of a row; nil if it is the alert's or cannot be kept.
func (t *totals) peer(s *store.Rollup) *Peer {
	if s.Principal == t.event.Principal && s.Principal != "" {
		return nil
	}
	p := t.Principals[s.Principal]
	if p == nil {
		if len(t.Principals) >= maxPeers {
			t.Complete = false
			return nil
		}
		p = &Peer{First: s.First}
		t.Principals[strings.Clone(s.Principal)] = p
	}
	return p
}

func newHabits() Habits {
	return Habits{
		Actions: map[string]*Seen{}, Providers: map[string]*Seen{}, Regions: map[string]*Seen{}, Agents: map[string]*Seen{},
		Networks: map[string]*Seen{}, Hours: map[time.Time]int64{}, days: map[int64]struct{}{},
	}
}

// add returns false if something could not be kept.
func (h *Habits) add(s *store.Rollup, what string, same bool) bool {
	h.Events += s.Count
	if h.First.IsZero() {
		h.First = s.First
	}
	h.First, h.Last = earlier(h.First, s.First), later(h.Last, s.Last)
	h.days[s.Hour.Unix()/86400] = struct{}{}
	h.Week[hourOfWeek(s.Hour)] += s.Count
	if same {
		h.Hours[s.Hour.UTC()] += s.Count
	}
	ok := see(h.Actions, what, s)
	ok = see(h.Providers, s.Provider, s) && ok
	ok = see(h.Regions, s.Region, s) && ok
	ok = see(h.Agents, s.Agent, s) && ok
	ok = see(h.Networks, s.Network, s) && ok
	return ok
}

// see returns false if something could not be kept.
func see(m map[string]*Seen, key string, s *store.Rollup) bool {
	v, ok := seenOf(m, key, s)
	v.add(s)
	return ok
}

// seenOf returns what a map has of a key; nil if the key is empty, or, and then false, if
// there is no room for it.
func seenOf(m map[string]*Seen, key string, s *store.Rollup) (*Seen, bool) {
	if key == "" {
		return nil, true
	}
	v := m[key]
	if v == nil {
		if len(m) >= maxSeen {
			return nil, false
		}
		v = &Seen{First: s.First}
		m[strings.Clone(key)] = v // of the row it may be a part of something large
	}
	return v, true
}

func (v *Seen) add(s *store.Rollup) {
	if v == nil {
		return
	}
	v.Count += s.Count
	v.First, v.Last = earlier(v.First, s.First), later(v.Last, s.Last)
}

// hourOfWeek counts from Monday, UTC.
func hourOfWeek(t time.Time) int {
	t = t.UTC()
	return (int(t.Weekday())+6)%7*24 + t.Hour()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
