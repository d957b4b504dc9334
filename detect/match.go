package detect

import (
	"encoding/binary"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// Bounds of the rule index: hostile logs can name any number of actions, of any
// length. Beyond maxIndexed pairs and candidates together the index forgets and
// learns again; a longer key is decided each time.
const (
	maxIndexed = 1 << 18
	maxKey     = 256
)

// maxOverflows bounds the events noted for having too many combinations. Beyond it
// they are counted without their ids, so a copy counts again.
const maxOverflows = 1 << 14

// A Matcher tests events against the rules of an engine. It keeps, for each pair of
// event.provider and event.action met, the rules that can match an event of that
// pair, so the cost of an event does not grow with the number of rules. It belongs
// to one goroutine.
type Matcher struct {
	engine *Engine
	// pairs maps provider and action to the rules whose query is not False when
	// nothing but those two is known.
	pairs   map[string][]candidate
	indexed int // pairs and candidates
	key     []byte
	groups  []Group
	scratch []candidate
	hit     Hit

	excess map[Overflow]int64
}

// candidate is a rule that can match, with what is left of its query once the pair is
// known; nil if nothing is.
type candidate struct {
	rule int32
	rest query.Expr
}

// An Overflow is an event that has more combinations than a rule looks at. Event
// is zero for those beyond the first many thousand of a Matcher.
type Overflow struct {
	Rule  int32
	Event ecs.ID
}

// NewMatcher returns a Matcher for one worker.
func (e *Engine) NewMatcher() *Matcher {
	return &Matcher{engine: e, pairs: make(map[string][]candidate), excess: make(map[Overflow]int64)}
}

// Match calls hit for every rule and group that ev belongs to. The Hit has its
// Rule, Group, Time, ID, Last, Value and Principal; it is valid until the function
// returns. An error of hit ends the matching. An event that no rule matches costs
// no allocation.
func (m *Matcher) Match(ev ecs.Event, hit func(*Hit) error) error {
	h := &m.hit
	matched := false
	for _, c := range m.candidates(ev) {
		r := m.engine.Rules[c.rule]
		if c.rest != nil && !c.rest.Match(ev) || r.excepted(ev) {
			continue
		}
		var excess int
		m.groups, excess = r.detector.groups(r.seed, ev, m.groups[:0])
		if excess > 0 {
			m.overflow(c.rule, ev, excess)
		}
		if len(m.groups) == 0 {
			continue
		}
		if !matched {
			matched = true
			t := ev.Time().UnixNano()
			*h = Hit{Time: t, Last: t, ID: ev.ID()}
			if p := ev.Values(m.engine.principal); len(p) > 0 {
				h.Principal = hashText(p[0])
			}
		}
		h.Rule = c.rule
		for _, g := range m.groups {
			h.Group, h.Value = g.Key, g.Value
			if err := hit(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// Excess returns how many combinations of an event a rule did not look at, because
// there were more than 10,000. Of matchers that met copies of one event, either
// tells the whole.
func (m *Matcher) Excess() map[Overflow]int64 { return m.excess }

func (m *Matcher) overflow(rule int32, ev ecs.Event, excess int) {
	key := Overflow{rule, ev.ID()}
	if n, known := m.excess[key]; known || len(m.excess) < maxOverflows {
		m.excess[key] = max(n, int64(excess))
		return
	}
	m.excess[Overflow{Rule: rule}] += int64(excess)
}

// candidates returns the rules that can match ev. The result is valid until the
// next call.
func (m *Matcher) candidates(ev ecs.Event) []candidate {
	provider, action := ev.Values(m.engine.provider), ev.Values(m.engine.action)
	m.key = appendValues(appendValues(m.key[:0], provider), action)
	if list, ok := m.pairs[string(m.key)]; ok {
		return list
	}
	if len(m.key) > maxKey {
		m.scratch = m.decide(provider, action, m.scratch[:0])
		return m.scratch
	}
	list := m.decide(provider, action, nil)
	if m.indexed += 1 + len(list); m.indexed > maxIndexed {
		clear(m.pairs)
		m.indexed = 1 + len(list)
	}
	m.pairs[string(m.key)] = list
	return list
}

// appendValues encodes a field so that no two lists of values look alike: not even
// none and one that is empty, or values that have our separators in them.
func appendValues(key []byte, values []string) []byte {
	key = binary.AppendUvarint(key, uint64(len(values)))
	for _, v := range values {
		key = binary.AppendUvarint(key, uint64(len(v)))
		key = append(key, v...)
	}
	return key
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
		c := candidate{rule: int32(i)}
		switch r.Query.Decide(known) {
		case query.False:
			continue
		case query.Maybe:
			c.rest = query.Assume(r.Query, known)
		case query.True:
		}
		dst = append(dst, c)
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
