package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// A Group is what a detector keeps apart: one combination of a new-terms rule, one
// set of values of a threshold.
type Group struct {
	Key   ecs.ID
	Value uint64 // see Hit.Value
}

// A detector is the stateful half of a rule. It is immutable: the state is in the
// hits.
type detector interface {
	// groups appends the groups that a matching event belongs to; excess is how
	// many were left out because of a limit.
	groups(seed groupSeed, ev ecs.Event, dst []Group) (groups []Group, excess int)

	// reduce yields the findings of one group, of which it gets all hits in the
	// order of Hit.Compare. It returns how many events had unequal copies.
	reduce(hits iter.Seq[*Hit], yield func(Hit)) (conflicts int64)

	// reach is the R for which a hit at t changes nothing decided by hits outside
	// [t − R, t + R], except by joining what touches.
	reach() time.Duration
}

// A Rule is a compiled rule.
type Rule struct {
	*rule.Rule
	// Query and Exceptions decide what matches: Query holds and no unexpired
	// exception does. They act before any memory.
	Query      query.Expr
	Exceptions []Exception

	// TermFields are the fields whose values make the group: the new terms, the
	// threshold's fields. Empty for query rules.
	TermFields []*ecs.Field

	detector detector
	seed     groupSeed
}

// An Exception excludes the events that Expr matches, while it lasts.
type Exception struct {
	Expr   query.Expr
	Expire time.Time // compared with the event's time; zero: never
	Name   string
}

// Folds reports whether the hits of the rule can be given to a [Fold].
func (r *Rule) Folds() bool {
	_, ok := r.detector.(*newTerms)
	return ok
}

// Reach is how far in time a hit can change what other hits decide.
func (r *Rule) Reach() time.Duration { return r.detector.reach() }

// History returns the time since when an earlier hit makes one at t known. It is
// t for rules that are not of type new_terms.
func (r *Rule) History(t time.Time) time.Time {
	if d, ok := r.detector.(*newTerms); ok {
		return time.Unix(0, d.since(t.UnixNano())).UTC()
	}
	return t
}

// An Engine is a set of compiled rules. It is immutable and safe for concurrent use.
type Engine struct {
	Rules []*Rule

	provider, action, principal *ecs.Field
}

// Input is one rule to compile, with its query and exceptions compiled already.
type Input struct {
	Rule       *rule.Rule
	Query      query.Expr
	Exceptions []Exception
}

// Compile makes an engine of runnable rules. The fields must be of cat. An error
// names the rule.
func Compile(cat *ecs.Catalogue, inputs []Input) (*Engine, error) {
	e := &Engine{
		provider:  cat.Resolve("event.provider"),
		action:    cat.Resolve("event.action"),
		principal: cat.Resolve("debut.principal"),
	}
	for _, in := range inputs {
		r := &Rule{Rule: in.Rule, Query: in.Query, Exceptions: in.Exceptions}
		var err error
		switch in.Rule.Type {
		case rule.Query, rule.SavedQuery:
			r.detector = eachHit{}
		case rule.NewTerms:
			r.detector, err = newNewTerms(in.Rule, cat)
			r.TermFields = resolveAll(cat, in.Rule.NewTermsFields)
		case rule.Threshold:
			r.detector, err = newThreshold(in.Rule, cat)
			r.TermFields = resolveAll(cat, in.Rule.ThresholdFields)
		case rule.EQL, rule.ESQL, rule.ThreatMatch, rule.MachineLearning:
			err = fmt.Errorf("rules of type %s do not run", in.Rule.Type)
		default:
			err = fmt.Errorf("unknown rule type %q", in.Rule.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("rule %s (%s): %w", in.Rule.ID, in.Rule.Name, err)
		}
		r.seed = newGroupSeed(in.Rule.ID)
		e.Rules = append(e.Rules, r)
	}
	return e, nil
}

// Reduce yields the findings of one group, of which hits are all hits (or
// episodes of a [Fold]) in the order of [Hit.Compare]. It returns how many events
// had unequal copies: the one with the smallest hash speaks.
func (e *Engine) Reduce(hits iter.Seq[*Hit], yield func(Hit)) (conflicts int64) {
	next, stop := iter.Pull(hits)
	defer stop()
	first, ok := next()
	if !ok {
		return 0
	}
	return e.Rules[first.Rule].detector.reduce(func(yield func(*Hit) bool) {
		for h := first; ok && yield(h); {
			h, ok = next()
		}
	}, yield)
}

func resolveAll(cat *ecs.Catalogue, names []string) []*ecs.Field {
	fields := make([]*ecs.Field, len(names))
	for i, n := range names {
		fields[i] = cat.Resolve(n)
	}
	return fields
}

// groupSeed keeps the groups of different rules apart.
type groupSeed [8]byte

func newGroupSeed(ruleID string) groupSeed {
	sum := sha256.Sum256([]byte(ruleID))
	return groupSeed(sum[:8])
}

// key returns the group of a list of values.
func (s groupSeed) key(values []string) ecs.ID {
	var buf [512]byte
	b := append(buf[:0], s[:]...)
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	sum := sha256.Sum256(b)
	return ecs.ID(sum[:16])
}

// crossProduct appends a group for each combination of the fields' values; none if
// a field has no value.
func crossProduct(seed groupSeed, ev ecs.Event, fields []*ecs.Field, dst []Group) (groups []Group, excess int) {
	var lists [8][]string
	total := 1
	for i, f := range fields {
		lists[i] = ev.Values(f)
		if len(lists[i]) == 0 {
			return dst, 0
		}
		if total *= len(lists[i]); total > 1<<30 {
			total = 1 << 30
		}
	}
	var combination [8]string
	for n := range min(total, maxCombinations) {
		for i, k := len(fields)-1, n; i >= 0; i-- {
			combination[i] = lists[i][k%len(lists[i])]
			k /= len(lists[i])
		}
		dst = append(dst, Group{Key: seed.key(combination[:len(fields)])})
	}
	return dst, max(total-maxCombinations, 0)
}

func compareID(a, b ecs.ID) int { return bytes.Compare(a[:], b[:]) }

// eachHit is the detector of query rules: every event is a finding.
type eachHit struct{}

func (eachHit) groups(_ groupSeed, ev ecs.Event, dst []Group) ([]Group, int) {
	return append(dst, Group{Key: ev.ID()}), 0
}

func (eachHit) reach() time.Duration { return 0 }

// reduce yields the one event of the group. Unequal copies share the ID: the one
// with the smallest content hash speaks.
func (eachHit) reduce(hits iter.Seq[*Hit], yield func(Hit)) (conflicts int64) {
	var speaks Hit
	started := false
	for h := range hits {
		switch {
		case !started:
			speaks, started = *h, true
		case h.Content != speaks.Content:
			conflicts = 1
			if h.Content < speaks.Content {
				speaks = *h
			}
		}
	}
	if started {
		yield(speaks)
	}
	return conflicts
}

// Combination returns the values of the rule's term fields that make up the group
// of a finding, given the finding's event: an event with arrays has several
// combinations. It returns nil for query rules.
func (r *Rule) Combination(ev ecs.Event, group ecs.ID) []string {
	lists := make([][]string, len(r.TermFields))
	total := 1
	for i, f := range r.TermFields {
		lists[i] = ev.Values(f)
		total = min(total*len(lists[i]), maxCombinations)
	}
	if len(lists) == 0 {
		return nil
	}
	values := make([]string, len(lists))
	for n := range total {
		for i, k := len(lists)-1, n; i >= 0; i-- {
			values[i] = lists[i][k%len(lists[i])]
			k /= len(lists[i])
		}
		if r.seed.key(values) == group {
			for i, v := range values {
				values[i] = strings.Clone(v)
			}
			return values
		}
	}
	return nil
}
