package query

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
)

// Nested returns the condition that one object under the dotted path satisfies x as
// a whole: what Elasticsearch's nested query does where the mapping says nested, and
// what is evaluated here for any path. x names its fields in full, and sees only
// values below the path. Member names with dots mean objects in each other. It
// builds the document of each event that it is asked about.
func Nested(path string, x Expr) Expr { return &nested{path, x} }

type nested struct {
	path string
	x    Expr
}

func (n *nested) Match(ev ecs.Event) bool {
	doc := expand(map[string]any(ev.Document()))
	return anyObject(doc, n.path, func(object map[string]any) bool {
		return n.x.Match(&objectEvent{path: n.path, object: object, whole: ev})
	})
}

// Decide knows only that a field without a value has none in any object.
func (n *nested) Decide(k Known) Truth {
	return min(Maybe, n.x.Decide(func(f *ecs.Field) ([]string, bool) {
		values, ok := k(f)
		return nil, ok && len(values) == 0
	}))
}

func (n *nested) Fields(yield func(*ecs.Field)) { n.x.Fields(yield) }

// anyObject reports whether an object at path, lists looked into, satisfies try.
func anyObject(v any, path string, try func(map[string]any) bool) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return anyObject(e, path, try) })
	case map[string]any:
		if path == "" {
			return try(v)
		}
		head, rest, _ := strings.Cut(path, ".")
		return anyObject(v[head], rest, try)
	}
	return false
}

// expand returns the object with no dots in member names. Two values that come to
// stand in one place become a list, two objects one object.
func expand(object map[string]any) map[string]any {
	out := make(map[string]any, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		m := out
		rest := name
		for {
			head, tail, found := strings.Cut(rest, ".")
			if !found {
				break
			}
			child, ok := m[head].(map[string]any)
			if !ok {
				child = make(map[string]any)
				m[head] = join(m[head], child)
			}
			m, rest = child, tail
		}
		m[rest] = join(m[rest], expandValue(object[name]))
	}
	return out
}

func expandValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return expand(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = expandValue(e)
		}
		return out
	}
	return v
}

// join puts b where a already is.
func join(a, b any) any {
	if a == nil {
		return b
	}
	into, ok := a.(map[string]any)
	from, ok2 := b.(map[string]any)
	if ok && ok2 {
		for name, v := range from {
			into[name] = join(into[name], v)
		}
		return into
	}
	return append(slices.Clone(list(a)), list(b)...)
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// objectEvent is an event of which only one object can be seen.
type objectEvent struct {
	path   string
	object map[string]any
	whole  ecs.Event
}

func (o *objectEvent) Values(f *ecs.Field) []string {
	name, ok := strings.CutPrefix(f.Name, o.path+".")
	if !ok {
		return nil
	}
	return ecs.Document(o.object).Values(name)
}

func (o *objectEvent) Time() time.Time { return o.whole.Time() }
func (o *objectEvent) ID() ecs.ID      { return o.whole.ID() }

// Document returns the object at its path, and nothing else.
func (o *objectEvent) Document() ecs.Document {
	return ecs.Document{o.path: o.object}
}
