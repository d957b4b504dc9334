package ecs

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Document is a whole ECS document as a tree: the values are string, bool,
// [Number], nil, []any and map[string]any. It belongs to whoever asked for it.
// A member name with dots means the same as objects in each other.
type Document map[string]any

// Number is a JSON number kept in its own spelling, so that nothing is lost.
type Number string

// Values returns the text of every leaf at or below the dotted name, in document
// order, objects inside lists included: what Elasticsearch would have indexed
// (query-languages §1.1). Null is no value, the empty string is one. Members of one
// object come in order of their names. It returns nil if there is none.
func (d Document) Values(name string) []string { return find(nil, map[string]any(d), name) }

// find appends the leaves that name leads to, trying every way to read its dots and
// those in the names of members.
func find(dst []string, v any, name string) []string {
	switch v := v.(type) {
	case map[string]any:
		for i := 0; i <= len(name); i++ {
			if i < len(name) && name[i] != '.' {
				continue
			}
			child, ok := v[name[:i]]
			switch {
			case !ok:
			case i == len(name):
				dst = below(dst, child)
			default:
				dst = find(dst, child, name[i+1:])
			}
		}
		var longer []string // names that go on where name ends: a.b for a
		for k := range v {
			if len(k) > len(name) && k[len(name)] == '.' && k[:len(name)] == name {
				longer = append(longer, k)
			}
		}
		slices.Sort(longer)
		for _, k := range longer {
			dst = below(dst, v[k])
		}
	case []any:
		for _, e := range v {
			dst = find(dst, e, name)
		}
	}
	return dst
}

// below appends every leaf at or below v.
func below(dst []string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			dst = below(dst, v[k])
		}
	case []any:
		for _, e := range v {
			dst = below(dst, e)
		}
	default:
		if s, ok := text(v); ok {
			dst = append(dst, s)
		}
	}
	return dst
}

// text returns the text of a scalar; ok is false for null and for containers.
func text(v any) (s string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case Number:
		return string(v), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// Leaves yields the dotted name and the values of every leaf, in order of name.
func (d Document) Leaves() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		all := make(map[string][]string)
		leaves(map[string]any(d), "", all)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

// leaves collects the leaves of an object whose members' names begin with prefix.
func leaves(object map[string]any, prefix string, all map[string][]string) {
	for _, k := range slices.Sorted(maps.Keys(object)) {
		leaf(object[k], prefix+k, all)
	}
}

func leaf(v any, name string, all map[string][]string) {
	switch v := v.(type) {
	case map[string]any:
		leaves(v, name+".", all)
	case []any:
		for _, e := range v {
			leaf(e, name, all)
		}
	default:
		if s, ok := text(v); ok {
			all[name] = append(all[name], s)
		}
	}
}

// Set puts a value at a dotted name, making the objects on the way. A value that
// stands where an object has to be is replaced.
func (d Document) Set(name string, value any) {
	m := map[string]any(d)
	for {
		head, rest, found := strings.Cut(name, ".")
		if !found {
			m[name] = value
			return
		}
		child, ok := m[head].(map[string]any)
		if !ok {
			child = make(map[string]any)
			m[head] = child
		}
		m, name = child, rest
	}
}

// AppendJSON appends the document as one line of JSON to dst. Member names are in
// order, so equal documents give equal bytes.
func (d Document) AppendJSON(dst []byte) []byte { return appendJSON(dst, map[string]any(d)) }

// MarshalJSON implements [json.Marshaler].
func (d Document) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		return appendObject(dst, v)
	case Document:
		return appendObject(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case string:
		return appendString(dst, v)
	case Number:
		return append(dst, v...)
	case bool:
		if v {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	default:
		return append(dst, "null"...)
	}
}

func appendObject(dst []byte, m map[string]any) []byte {
	dst = append(dst, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		dst = appendJSON(dst, m[k])
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil { // broken UTF-8
		out, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return out
}
