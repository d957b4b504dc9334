package cloudtrail

import (
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// The document is built from a tree of the whole record, and reads nothing else. It
// is the plain statement of the mapping, which the lazy Event is held to by a test.
// Values are string, bool, [ecs.Number], nil, []any and *object.

// An object has its members in the order of the record, because Java's hash map
// keeps it within a bucket.
type object struct {
	names  []string
	values map[string]any
	parsed int // how many members it had before pruning
}

func (o *object) get(name string) any {
	if o == nil {
		return nil
	}
	return o.values[name]
}

// parseTree builds the tree of JSON whose grammar has been checked.
func parseTree(raw []byte) any {
	switch kind(raw) {
	case '{':
		o := &object{values: make(map[string]any)}
		for c := rawjson.Walk(raw); c.Next(); {
			name := strings.Clone(rawjson.String(c.Name()))
			if _, dup := o.values[name]; !dup {
				o.names = append(o.names, name)
				o.values[name] = parseTree(c.Value())
			}
		}
		o.parsed = len(o.names)
		return o
	case '[':
		list := []any{}
		for c := rawjson.Walk(raw); c.Next(); {
			list = append(list, parseTree(c.Value()))
		}
		return list
	}
	return ecs.Tree(raw)
}

// prune removes what counts as no value: null, the strings that [empty] knows, and
// containers in which nothing is left.
func prune(v any) any {
	switch v := v.(type) {
	case *object:
		v.names = slices.DeleteFunc(v.names, func(name string) bool {
			v.values[name] = prune(v.values[name])
			return v.values[name] == nil
		})
		if len(v.names) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
		v = slices.DeleteFunc(v, func(e any) bool { return e == nil })
		if len(v) == 0 {
			return nil
		}
		return v
	case string:
		if empty(v) {
			return nil
		}
	}
	return v
}

// cut returns what a flattened field holds of v, a member at that depth.
func cut(v any, depth int) any {
	switch v := v.(type) {
	case *object:
		if depth >= maxFlattenedDepth {
			return nil
		}
		members := make(map[string]any, len(v.names))
		for _, name := range v.names {
			if child := cut(v.values[name], depth+1); child != nil {
				members[name] = child
			}
		}
		if len(members) == 0 {
			return nil
		}
		return members
	case []any:
		var list []any
		for _, e := range v {
			if child := cut(e, depth); child != nil {
				list = append(list, child)
			}
		}
		if list == nil {
			return nil
		}
		return list
	}
	return v
}

// scalar returns what a field that is no object holds of v.
func scalar(v any) any {
	switch v := v.(type) {
	case *object:
		return nil
	case []any:
		var list []any
		for _, e := range v {
			if s := scalar(e); s != nil {
				list = append(list, s)
			}
		}
		if list == nil {
			return nil
		}
		return list
	}
	return v
}

// whole returns v as documents hold it.
func whole(v any) any {
	switch v := v.(type) {
	case *object:
		members := make(map[string]any, len(v.names))
		for _, name := range v.names {
			members[name] = whole(v.values[name])
		}
		return members
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = whole(e)
		}
		return list
	}
	return v
}

// scalarTexts returns the texts of v and of the values in it.
func scalarTexts(v any) []string {
	return ecs.Document{"": scalar(v)}.Values("")
}

// javaText returns v as Java prints it.
func javaText(v any) string {
	switch v := v.(type) {
	case *object:
		names := slices.Clone(v.names)
		mask := tableSize(v.parsed) - 1
		slices.SortStableFunc(names, func(a, b string) int { return int(javaHash(a)&mask) - int(javaHash(b)&mask) })
		members := make([]string, len(names))
		for i, name := range names {
			members[i] = name + "=" + javaText(v.values[name])
		}
		return "{" + strings.Join(members, ", ") + "}"
	case []any:
		elements := make([]string, len(v))
		for i, e := range v {
			elements[i] = javaText(e)
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case ecs.Number:
		return string(appendJavaNumber(nil, string(v)))
	}
	return "null"
}
