package query

import "github.com/debutsec/debut/ecs"

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

// And returns the condition that holds where all of exprs hold; without any it
// always holds.
func And(exprs ...Expr) Expr {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return and(exprs)
}

// Or returns the condition that holds where any of exprs holds; without any it
// never holds.
func Or(exprs ...Expr) Expr {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return or(exprs)
}

// Not returns the condition that holds where x does not: also where the field that
// x asks for has no value.
func Not(x Expr) Expr { return not{x} }

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
