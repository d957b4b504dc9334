package cloudtrail

import (
	"maps"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// flattenedMember returns the reader of what is at a path in a flattened field.
func flattenedMember(root, path string) reader {
	for _, t := range texts {
		if t.flattened == root {
			return func(e *Event, dst []string) []string {
				v := e.rec.Value(t.source)
				if kind(v) != '{' || !e.fits(t.source) {
					return dst
				}
				return e.find(dst, v, path, e.hidden(t.source), 1)
			}
		}
	}
	switch root {
	case "aws.cloudtrail.flattened.insight_details":
		return func(e *Event, dst []string) []string { return e.findIn(dst, e.rec.Value(InsightDetails), path) }
	case "aws.cloudtrail.user_identity.session_context.web_id_federation_data.attributes":
		return func(e *Event, dst []string) []string { return e.findIn(dst, e.part(idFederationAttributes), path) }
	}
	return fromDocument(root + "." + path)
}

func (e *Event) findIn(dst []string, v []byte, path string) []string {
	if kind(v) != '{' {
		return dst
	}
	return e.find(dst, v, path, "", 1)
}

// fits reports whether the text form of m is short enough for a flattened copy.
func (e *Event) fits(m Member) bool {
	v := e.rec.Value(m)
	if len(v)*maxGrowth < maxFlattened {
		return true
	}
	hide := e.hidden(m)
	start := len(e.text)
	text, _ := e.render(e.text, v, hide)
	units := utf16Length(rawjson.View(text[start:]))
	e.text = text[:start]
	return units < maxFlattened
}

// maxGrowth is how many times longer than the JSON its text form can be: "1e6," is
// "1000000.0, ".
const maxGrowth = 3

// find appends the leaves that path leads to in an object of a flattened field, as
// [ecs.Document.Values] does. Members that are objects at a depth below the limit
// are cut off. hide is a member of v that is not there.
func (e *Event) find(dst []string, v []byte, path, hide string, depth int) []string {
	if kind(v) == '[' {
		for c := rawjson.Walk(v); c.Next(); {
			if k := kind(c.Value()); k == '{' || k == '[' {
				dst = e.find(dst, c.Value(), path, "", depth)
			}
		}
		return dst
	}
	// The members that the path leads into, by the length of the name and by the
	// name; of those of one name the first.
	var space [4]candidate
	found := space[:0]
	for c := rawjson.Walk(v); c.Next(); {
		name := rawjson.String(c.Name())
		if !begins(path, name) && !begins(name, path) || hide != "" && name == hide {
			continue
		}
		at, known := slices.BinarySearchFunc(found, name, candidate.compare)
		if !known {
			found = slices.Insert(found, at, candidate{name, c.Value()})
		}
	}
	for _, c := range found {
		switch k := kind(c.value); {
		case len(c.name) >= len(path):
			dst = e.leaves(dst, c.value, depth)
		case (k == '[' || k == '{') && depth < maxFlattenedDepth:
			dst = e.find(dst, c.value, path[len(c.name)+1:], "", depth+1)
		}
	}
	return dst
}

// A candidate is a member that a path can lead into.
type candidate struct {
	name  string
	value []byte
}

// compare orders candidates. Those that a path begins with are shorter than it, and
// begin with each other; those that go on where it ends are longer.
func (c candidate) compare(name string) int { return strings.Compare(c.name, name) }

// begins reports whether whole is begin, or goes on behind it with a dot.
func begins(whole, begin string) bool {
	return strings.HasPrefix(whole, begin) && (len(whole) == len(begin) || whole[len(begin)] == '.')
}

// leaves appends every leaf at or below v, a member at that depth: the members of an
// object in order of their names.
func (e *Event) leaves(dst []string, v []byte, depth int) []string {
	switch kind(v) {
	case '{':
		if depth >= maxFlattenedDepth {
			return dst
		}
		members := make(map[string][]byte)
		for c := rawjson.Walk(v); c.Next(); {
			if name := rawjson.String(c.Name()); members[name] == nil {
				members[name] = c.Value()
			}
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			dst = e.leaves(dst, members[name], depth+1)
		}
		return dst
	case '[':
		for c := rawjson.Walk(v); c.Next(); {
			dst = e.leaves(dst, c.Value(), depth)
		}
		return dst
	default:
		return e.scalars(dst, v)
	}
}
