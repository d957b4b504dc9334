package serve

import (
	"fmt"
	"math"
	"slices"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// A Rule is one rule to run, with the name of what it remembers by.
type Rule struct {
	detect.Input
	Fingerprint string // rule.Set.Fingerprint, and the version of what its fields come from
}

// minTime is before every event.
const minTime = math.MinInt64

// A ruleset is an engine, and what the store knows about its rules. It is immutable.
type ruleset struct {
	engine      *detect.Engine
	number      []int32 // of the version of the rule, by index
	start       []int64 // nanoseconds: findings of the rule that begin before are learned
	suppression []*detect.Suppression
	// adopts: findings look for alerts that another version of the rule has made.
	adopts bool
}

func newRuleset(cat *ecs.Catalogue, rules []Rule, keys []store.RuleKey, start int64) (*ruleset, error) {
	inputs := make([]detect.Input, len(rules))
	for i := range rules {
		inputs[i] = rules[i].Input
	}
	engine, err := detect.Compile(cat, inputs)
	if err != nil {
		return nil, fmt.Errorf("compile the rules: %w", err)
	}
	s := &ruleset{engine: engine}
	for i := range rules {
		s.number = append(s.number, keys[i].Number)
		t0 := start
		if !keys[i].Start.IsZero() {
			t0 = max(t0, keys[i].Start.UnixNano())
		}
		s.start = append(s.start, t0)
		s.suppression = append(s.suppression, engine.NewSuppression(int32(i), cat))
	}
	return s, nil
}

// index returns the index of a version of a rule, -1 if it is not in the set.
func (s *ruleset) index(number int32) int { return slices.Index(s.number, number) }

// interval is the rule's, in nanoseconds: the bucket of max_signals.
func (s *ruleset) interval(i int) int64 {
	if d := s.engine.Rules[i].Interval; d > 0 {
		return int64(d)
	}
	return int64(defaultInterval)
}

// RulesOf compiles the rules of a set that run and that runs chooses. extra is part of
// every fingerprint: the version of what else gives an event its fields.
func RulesOf(set *rule.Set, cat *ecs.Catalogue, extra string, runs func(*rule.Rule) bool) ([]Rule, query.Diagnostics, error) {
	compiled, diags := set.Compile(cat)
	var out []Rule
	for _, c := range compiled {
		if !runs(c.Rule) {
			continue
		}
		name, err := set.Fingerprint(c.Rule)
		if err != nil {
			return nil, diags, err
		}
		r := Rule{Input: detect.Input{Rule: c.Rule, Query: c.Query}, Fingerprint: fmt.Sprintf("%s/%d/%s", name, mapping, extra)}
		for _, x := range c.Exceptions {
			r.Exceptions = append(r.Exceptions, detect.Exception(x))
		}
		out = append(out, r)
	}
	return out, diags, nil
}

// mapping is the version of what turns records into events. Memory made with another
// one is made anew: a field that reads otherwise would make everything a debut.
const mapping = 1

// Groups names the groups of a new-terms rule, for somebody who prepares its memory.
type Groups struct {
	Number int32 // of the version of the rule
	Key    func(i int) ecs.ID
}

// GroupOf returns the groups that a rule's term fields make up with the values that
// values returns for each i.
func (e *Engine) GroupOf(ruleID string, values func(i int) []string) (Groups, error) {
	set := e.rules.Load()
	for i, r := range set.engine.Rules {
		if r.Rule.ID == ruleID {
			return Groups{set.number[i], func(i int) ecs.ID { return r.Group(values(i)) }}, nil
		}
	}
	return Groups{}, fmt.Errorf("rule %s: %w", ruleID, store.ErrNotFound)
}
