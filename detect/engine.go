package detect

import (
	"fmt"
	"iter"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// A detector is the stateful half of a rule. It is immutable: the state is in the
// hits.
type detector interface {
	// groups appends the groups that a matching event belongs to; excess is how
	// many were left out because of a limit.
	groups(seed groupSeed, ev ecs.Event, dst []Group) (groups []Group, excess int)

	// reduce yields the findings of one group, of which it gets all hits in the
	// order of Hit.Compare. A hit is valid until the next.
	reduce(hits iter.Seq[*Hit], yield func(Hit))

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

// Reach is how far in time a hit can change what other hits decide, except by
// joining what touches.
func (r *Rule) Reach() time.Duration { return r.detector.reach() }

// Reduce yields the findings of one group, in order of time. The hits are all hits
// of the group (or episodes of a [Fold]) in the order of [Hit.Compare]; each needs
// to be valid only until the next. Of unequal copies of an event the one with the
// smallest content speaks, and the finding is marked.
//
// Copies of an event are known by ID and time, except in query rules, where the ID
// alone decides: there is no event of one ID at two times but in forged logs, and
// to a fold or a window they are two events.
func (r *Rule) Reduce(hits iter.Seq[*Hit], yield func(Hit)) { r.detector.reduce(hits, yield) }

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

func resolveAll(cat *ecs.Catalogue, names []string) []*ecs.Field {
	fields := make([]*ecs.Field, len(names))
	for i, n := range names {
		fields[i] = cat.Resolve(n)
	}
	return fields
}
