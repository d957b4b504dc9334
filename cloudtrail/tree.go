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
	v, _ := parseValue(raw, 0)
	return v
}

// parseValue builds the tree of the value that begins at b[i], and returns the index
// behind it. It sees every byte once, however deep they lie.
func parseValue(b []byte, i int) (any, int) {
	switch b[i] {
	case '{':
		o := &object{values: make(map[string]any)}
		for i = rawjson.Space(b, i+1); b[i] != '}'; {
			end, _ := rawjson.SkipString(b, i)
			name := strings.Clone(rawjson.String(b[i:end]))
			var v any
			v, i = parseValue(b, rawjson.Space(b, rawjson.Space(b, end)+1))
			if _, dup := o.values[name]; !dup {
				o.names = append(o.names, name)
				o.values[name] = v
			}
			if i = rawjson.Space(b, i); b[i] == ',' {
				i = rawjson.Space(b, i+1)
			}
		}
		o.parsed = len(o.names)
		return o, i + 1
	case '[':
		list := []any{}
		for i = rawjson.Space(b, i+1); b[i] != ']'; {
			var v any
			v, i = parseValue(b, i)
			list = append(list, v)
			if i = rawjson.Space(b, i); b[i] == ',' {
				i = rawjson.Space(b, i+1)
			}
		}
		return list, i + 1
	}
	end, _ := rawjson.Skip(b, i)
	return ecs.Tree(b[i:end]), end
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

// firstText returns the first of them, "" if there is none.
func firstText(v any) string {
	list, ok := v.([]any)
	if !ok {
		return first(scalarTexts(v))
	}
	for _, e := range list {
		if s := firstText(e); s != "" {
			return s
		}
	}
	return ""
}

// appendJava appends v as Java prints it.
func appendJava(dst []byte, v any) []byte {
	switch v := v.(type) {
	case *object:
		names := slices.Clone(v.names)
		mask := tableSize(v.parsed) - 1
		slices.SortStableFunc(names, func(a, b string) int { return int(javaHash(a)&mask) - int(javaHash(b)&mask) })
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(append(dst, name...), '=')
			dst = appendJava(dst, v.values[name])
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendJava(dst, e)
		}
		return append(dst, ']')
	case string:
		return append(dst, v...)
	case bool:
		return strconv.AppendBool(dst, v)
	case ecs.Number:
		return appendJavaNumber(dst, string(v))
	}
	return append(dst, "null"...)
}
