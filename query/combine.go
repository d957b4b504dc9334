package query

import (
	"slices"

	"github.com/debutsec/debut/ecs"
)

// Const returns the condition that always has the given outcome.
func Const(value bool) Expr { return constant(value) }

type constant bool

func (c constant) Match(ecs.Event) bool    { return bool(c) }
func (c constant) Fields(func(*ecs.Field)) {}
func (c constant) Decide(Known) Truth {
	if c {
		return True
	}
	return False
}

// Never returns the condition on f that no value meets: what is left of a
// comparison with something that cannot be a value of f.
func Never(f *ecs.Field) Expr { return never{f} }

type never struct{ field *ecs.Field }

func (n never) Match(ecs.Event) bool          { return false }
func (n never) Decide(Known) Truth            { return False }
func (n never) Fields(yield func(*ecs.Field)) { yield(n.field) }

// And returns the condition that holds where all of exprs hold; without any it
// always holds. Conditions are tried in the given order, but those that need the
// whole document of an event ([AnyField], [Nested]) last.
func And(exprs ...Expr) Expr {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return and(lightFirst(exprs))
}

// Or returns the condition that holds where any of exprs holds; without any it
// never holds. The order is as in [And].
func Or(exprs ...Expr) Expr {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return or(lightFirst(exprs))
}

// Not returns the condition that holds where x does not: also where the field that
// x asks for has no value.
func Not(x Expr) Expr { return not{x} }

// Assume returns the condition that is left of x among the events that agree with k:
// what k decides is taken out. Over such events it matches as x does.
func Assume(x Expr, k Known) Expr {
	switch x.Decide(k) {
	case True:
		return Const(true)
	case False:
		return Const(false)
	case Maybe:
	}
	switch x := x.(type) {
	case and:
		return And(assumeAll(x, k, True)...)
	case or:
		return Or(assumeAll(x, k, False)...)
	case not:
		return Not(Assume(x.x, k))
	}
	return x
}

// assumeAll leaves out what k decides to be neutral.
func assumeAll(list []Expr, k Known, neutral Truth) []Expr {
	left := make([]Expr, 0, len(list))
	for _, x := range list {
		if x.Decide(k) != neutral {
			left = append(left, Assume(x, k))
		}
	}
	return left
}

// lightFirst returns a copy with what builds the document at the end.
func lightFirst(exprs []Expr) []Expr {
	out := slices.Clone(exprs)
	slices.SortStableFunc(out, func(a, b Expr) int { return weight(a) - weight(b) })
	return out
}

// weight is 1 for a condition that may build the document of an event, else 0.
func weight(x Expr) int {
	switch x := x.(type) {
	case and:
		return heaviest(x)
	case or:
		return heaviest(x)
	case not:
		return weight(x.x)
	case *anyField, *nested:
		return 1
	}
	return 0
}

// heaviest relies on the order that And and Or keep.
func heaviest(list []Expr) int {
	if len(list) == 0 {
		return 0
	}
	return weight(list[len(list)-1])
}

type and []Expr

func (a and) Match(ev ecs.Event) bool {
	for _, x := range a {
		if !x.Match(ev) {
			return false
		}
	}
	return true
}

func (a and) Decide(k Known) Truth {
	t := True
	for _, x := range a {
		if t = min(t, x.Decide(k)); t == False {
			break
		}
	}
	return t
}

func (a and) Fields(yield func(*ecs.Field)) { fields(a, yield) }

type or []Expr

func (o or) Match(ev ecs.Event) bool {
	for _, x := range o {
		if x.Match(ev) {
			return true
		}
	}
	return false
}

func (o or) Decide(k Known) Truth {
	t := False
	for _, x := range o {
		if t = max(t, x.Decide(k)); t == True {
			break
		}
	}
	return t
}

func (o or) Fields(yield func(*ecs.Field)) { fields(o, yield) }

func fields(list []Expr, yield func(*ecs.Field)) {
	for _, x := range list {
		x.Fields(yield)
	}
}

type not struct{ x Expr }

func (n not) Match(ev ecs.Event) bool       { return !n.x.Match(ev) }
func (n not) Decide(k Known) Truth          { return -n.x.Decide(k) }
func (n not) Fields(yield func(*ecs.Field)) { n.x.Fields(yield) }
