package query

import (
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
	var doc tree
	doc.add(map[string]any(ev.Document()))
	return doc.any(n.path, func(object map[string]any) bool {
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

// A tree is what stands in one place of a document: an object, whose members are
// put together from all names that lead into it, the elements of lists, scalars.
type tree struct {
	object  map[string]*tree // nil if there is none
	items   []*tree
	scalars []any
}

func (t *tree) add(v any) {
	switch v := v.(type) {
	case map[string]any:
		if t.object == nil {
			t.object = make(map[string]*tree, len(v))
		}
		for name, m := range v {
			t.member(name).add(m)
		}
	case []any:
		for _, e := range v {
			item := &tree{}
			item.add(e)
			t.items = append(t.items, item)
		}
	case nil:
	default:
		t.scalars = append(t.scalars, v)
	}
}

// member returns the place of a member, making it where there is none.
func (t *tree) member(name string) *tree {
	for more := true; more; {
		var head string
		head, name, more = strings.Cut(name, ".")
		if t.object == nil {
			t.object = make(map[string]*tree)
		}
		child := t.object[head]
		if child == nil {
			child = &tree{}
			t.object[head] = child
		}
		t = child
	}
	return t
}

// any reports whether an object at path, lists looked into, satisfies try.
func (t *tree) any(path string, try func(map[string]any) bool) bool {
	if slices.ContainsFunc(t.items, func(item *tree) bool { return item.any(path, try) }) {
		return true
	}
	if path == "" {
		return t.object != nil && try(t.members())
	}
	head, rest, _ := strings.Cut(path, ".")
	child := t.object[head]
	return child != nil && child.any(rest, try)
}

func (t *tree) members() map[string]any {
	m := make(map[string]any, len(t.object))
	for name, child := range t.object {
		m[name] = child.value()
	}
	return m
}

// value is add turned round.
func (t *tree) value() any {
	list := slices.Clone(t.scalars)
	if t.object != nil {
		list = append(list, t.members())
	}
	if len(list) == 1 && t.items == nil {
		return list[0]
	}
	for _, item := range t.items {
		list = append(list, item.value())
	}
	return list
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
