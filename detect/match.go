package detect

import (
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// maxPairs bounds the memory of the rule index: hostile logs can name any number
// of actions. Beyond it the index forgets and learns again.
const maxPairs = 1 << 16

// A Matcher tests events against the rules of an engine. It keeps, for each pair of
// event.provider and event.action met, the rules that can match an event of that
// pair, so the cost of an event does not grow with the number of rules. It belongs
// to one goroutine.
type Matcher struct {
	engine *Engine
	// pairs maps provider NUL action to the rules whose query is not False when
	// nothing but those two is known.
	pairs   map[string][]candidate
	key     []byte
	groups  []Group
	scratch []candidate

	excess map[int32]int64
}

// candidate is a rule that can match; certain if no more needs to be looked at.
type candidate struct {
	rule    int32
	certain bool
}

// NewMatcher returns a Matcher for one worker.
func (e *Engine) NewMatcher() *Matcher {
	return &Matcher{engine: e, pairs: make(map[string][]candidate), excess: make(map[int32]int64)}
}

// Match calls hit for every rule and group that ev belongs to. The Hit has its
// Rule, Group, Time, ID, Last, Value and Principal; it is valid until the function
// returns. An error of hit ends the matching.
func (m *Matcher) Match(ev ecs.Event, hit func(*Hit) error) error {
	for _, c := range m.candidates(ev) {
		r := m.engine.Rules[c.rule]
		if !c.certain && !r.Query.Match(ev) || r.excepted(ev) {
			continue
		}
		var excess int
		m.groups, excess = r.detector.groups(r.seed, ev, m.groups[:0])
		if excess > 0 {
			m.excess[c.rule] += int64(excess)
		}
		if len(m.groups) == 0 {
			continue
		}
		t := ev.Time().UnixNano()
		h := Hit{Rule: c.rule, Time: t, Last: t, ID: ev.ID()}
		if p := ev.Values(m.engine.principal); len(p) > 0 {
			h.Principal = hashText(p[0])
		}
		for _, g := range m.groups {
			h.Group, h.Value = g.Key, g.Value
			if err := hit(&h); err != nil {
				return err
			}
		}
	}
	return nil
}

// Excess returns, by rule index, how many combinations were left out because one
// event had more than 10,000.
func (m *Matcher) Excess() map[int32]int64 { return m.excess }

// candidates returns the rules that can match ev. The result is valid until the
// next call.
func (m *Matcher) candidates(ev ecs.Event) []candidate {
	provider, action := ev.Values(m.engine.provider), ev.Values(m.engine.action)
	if len(provider) > 1 || len(action) > 1 {
		m.scratch = m.decide(provider, action, m.scratch[:0])
		return m.scratch
	}
	m.key = m.key[:0]
	if len(provider) > 0 {
		m.key = append(m.key, provider[0]...)
	}
	m.key = append(m.key, 0)
	if len(action) > 0 {
		m.key = append(m.key, action[0]...)
	}
	if list, ok := m.pairs[string(m.key)]; ok {
		return list
	}
	if len(m.pairs) >= maxPairs {
		clear(m.pairs)
	}
	list := m.decide(provider, action, nil)
	m.pairs[string(m.key)] = list
	return list
}

// decide evaluates every rule with nothing known but the provider and the action.
func (m *Matcher) decide(provider, action []string, dst []candidate) []candidate {
	known := func(f *ecs.Field) ([]string, bool) {
		switch f {
		case m.engine.provider:
			return provider, true
		case m.engine.action:
			return action, true
		default:
			return nil, false
		}
	}
	for i, r := range m.engine.Rules {
		if t := r.Query.Decide(known); t != query.False {
			dst = append(dst, candidate{int32(i), t == query.True}) //nolint:gosec // a rule index
		}
	}
	return dst
}

// excepted reports whether an exception that lasts at the event's time matches it.
// An exception that expires at that very time still acts.
func (r *Rule) excepted(ev ecs.Event) bool {
	for i := range r.Exceptions {
		x := &r.Exceptions[i]
		if (x.Expire.IsZero() || !x.Expire.Before(ev.Time())) && x.Expr.Match(ev) {
			return true
		}
	}
	return false
}
