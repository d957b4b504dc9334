package query

import (
	"time"

	"github.com/debutsec/debut/ecs"
)

// AnyField returns the condition that some field whose name matches p satisfies
// what make returns for it. Fields are those of the mapping and, in an event, every
// leaf that it has. It builds the whole document of each event that it is asked
// about: put cheaper conditions before it.
//
// make is called once for each known field that matches, and once for each type
// with a nameless field that stands for all others; an error for a field means that
// the field cannot satisfy it.
func AnyField(cat *ecs.Catalogue, p *Pattern, build func(f *ecs.Field) (Expr, error)) Expr {
	a := &anyField{pattern: p, byName: make(map[string]Expr)}
	for f := range cat.Known() {
		if p.Match(f.Name) {
			if x, err := build(f); err == nil {
				a.byName[f.Name] = x
				a.fields = append(a.fields, f)
			}
		}
	}
	a.other = &ecs.Field{Type: ecs.Keyword}
	if x, err := build(a.other); err == nil {
		a.otherExpr = x
	}
	return a
}

type anyField struct {
	pattern   *Pattern
	fields    []*ecs.Field
	byName    map[string]Expr
	other     *ecs.Field
	otherExpr Expr
}

func (a *anyField) Match(ev ecs.Event) bool {
	for name, values := range ev.Document().Leaves() {
		if !a.pattern.Match(name) {
			continue
		}
		x := a.byName[name]
		if x == nil {
			x = a.otherExpr
		}
		if x != nil && x.Match(&oneField{values, ev.Time()}) {
			return true
		}
	}
	return false
}

func (a *anyField) Decide(Known) Truth { return Maybe }

func (a *anyField) Fields(yield func(*ecs.Field)) {
	for _, f := range a.fields {
		yield(f)
	}
}

// oneField is an event of which only the values of one field matter.
type oneField struct {
	values []string
	time   time.Time
}

func (o *oneField) Values(*ecs.Field) []string { return o.values }
func (o *oneField) Time() time.Time            { return o.time }
func (o *oneField) ID() ecs.ID                 { return ecs.ID{} }
func (o *oneField) Document() ecs.Document     { return nil }
