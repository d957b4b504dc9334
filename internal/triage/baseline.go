package triage

import (
	"context"
	"fmt"
	"time"
)

// A Baseline is what was usual in the weeks before the case window, from the sums by
// hour. It is read-only once made.
type Baseline struct {
	Window Span
	Query  Query // what to cite
	// Own is the principal's, Org everybody's.
	Own Habits
	Org Habits
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
	Days        int                   // with an event
	Actions     map[string]*Seen      // "ssm.amazonaws.com/SendCommand"
	Providers   map[string]*Seen      // "ssm.amazonaws.com"
	Regions     map[string]*Seen      //
	Agents      map[string]*Seen      // names of agents, as Sum has them
	Networks    map[string]*Seen      // /24 or /48, or a service's name
	Week        [7 * 24]int64         // by hour of the week, UTC, Monday first
	Hours       map[time.Time]int64   // of the alert's own action, by hour
	days        map[int64]struct{}    //
	who         map[string]*stringSet // principals by network
}

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

type stringSet struct{ m map[string]struct{} }

// Bounds of memory: of a hostile or very large account.
const (
	maxPeers = 200_000
	maxSeen  = 200_000
)

// newBaseline adds the sums of the baseline window up.
func newBaseline(ctx context.Context, c *Case) (*Baseline, error) {
	b := &Baseline{
		Window: c.Base, Principals: map[string]*Peer{}, Regions: map[string]int64{},
		Own: newHabits(), Org: newHabits(), Complete: true,
	}
	action := c.Event.Provider + "/" + c.Event.Action
	var rows int
	for s, err := range c.Sums.Sums(ctx, c.Base.From, c.Base.To) {
		if err != nil {
			return nil, fmt.Errorf("read the sums by hour: %w", err)
		}
		rows++
		what := s.Provider + "/" + s.Action
		if s.Account == c.Event.Account {
			b.Regions[s.Region] += s.Count
		}
		b.Complete = b.Org.add(s, what, what == action) && b.Complete
		if s.Principal == c.Event.Principal && s.Principal != "" {
			b.Complete = b.Own.add(s, what, what == action) && b.Complete
			continue
		}
		p := b.Principals[s.Principal]
		if p == nil {
			if len(b.Principals) >= maxPeers {
				b.Complete = false
				continue
			}
			p = &Peer{First: s.First}
			b.Principals[s.Principal] = p
		}
		p.Events += s.Count
		if what == action {
			p.Does += s.Count
		}
		p.First, p.Last = earlier(p.First, s.First), later(p.Last, s.Last)
	}
	b.Own.Days, b.Org.Days = len(b.Own.days), len(b.Org.days)
	b.Query = Query{Text: "sums by hour of all principals", Window: c.Base, Rows: int(b.Org.Events)}
	return b, nil
}

func newHabits() Habits {
	return Habits{
		Actions: map[string]*Seen{}, Providers: map[string]*Seen{}, Regions: map[string]*Seen{}, Agents: map[string]*Seen{},
		Networks: map[string]*Seen{}, Hours: map[time.Time]int64{}, days: map[int64]struct{}{}, who: map[string]*stringSet{},
	}
}

// add returns false if something could not be kept.
func (h *Habits) add(s *Sum, what string, same bool) bool {
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
	if s.Network != "" {
		w := h.who[s.Network]
		if w == nil {
			w = &stringSet{map[string]struct{}{}}
			h.who[s.Network] = w
		}
		if len(w.m) < 1000 {
			w.m[s.Principal] = struct{}{}
		}
	}
	return ok
}

// Principals returns how many principals used a network, 1,000 at most.
func (h *Habits) Principals(network string) int {
	if w := h.who[network]; w != nil {
		return len(w.m)
	}
	return 0
}

func see(m map[string]*Seen, key string, s *Sum) bool {
	if key == "" {
		return true
	}
	v := m[key]
	if v == nil {
		if len(m) >= maxSeen {
			return false
		}
		v = &Seen{First: s.First}
		m[key] = v
	}
	v.Count += s.Count
	v.First, v.Last = earlier(v.First, s.First), later(v.Last, s.Last)
	return true
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
