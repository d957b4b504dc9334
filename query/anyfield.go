package query

import (
	"time"

	"github.com/debutsec/debut/ecs"
)

// AnyField returns the condition that some field whose name matches p satisfies
// what build returns for it. Fields are those of the mapping and, in an event, every
// leaf that it has. An event that no known field decides is asked for its whole
// document: put cheaper conditions before it, as [And] does.
//
// build is called once for each known field that matches, and once with a nameless
// keyword field that stands for all others; an error for a field means that the
// field cannot satisfy it.
func AnyField(cat *ecs.Catalogue, p *Pattern, build func(f *ecs.Field) (Expr, error)) Expr {
	a := &anyField{pattern: p, names: make(map[string]struct{})}
	for f := range cat.Known() {
		if !p.Match(f.Name) {
			continue
		}
		a.fields = append(a.fields, f)
		a.names[f.Name] = struct{}{}
		if x, err := build(f); err == nil {
			a.known = append(a.known, x)
		}
	}
	if x, err := build(&ecs.Field{Type: ecs.Keyword}); err == nil {
		a.other = x
	}
	return a
}

type anyField struct {
	pattern *Pattern
	fields  []*ecs.Field        // known ones that match
	names   map[string]struct{} // of fields
	known   []Expr              // one for each of fields that can satisfy the condition
	other   Expr                // over a field of any other name; may be nil
}

func (a *anyField) Match(ev ecs.Event) bool {
	for _, x := range a.known {
		if x.Match(ev) {
			return true
		}
	}
	if a.other == nil {
		return false
	}
	for name, values := range ev.Document().Leaves() {
		if _, tried := a.names[name]; tried || !a.pattern.Match(name) {
			continue
		}
		if a.other.Match(&oneField{values, ev.Time()}) {
			return true
		}
	}
	return false
}

// Decide is never False: an event may have fields that nobody knows.
func (a *anyField) Decide(k Known) Truth { return max(Maybe, or(a.known).Decide(k)) }

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
