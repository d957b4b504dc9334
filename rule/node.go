package rule

import (
	"math"
	"strconv"
	"strings"
)

// kind is the kind of a node.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInteger
	kindFloat
	kindString
	kindList
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "an integer", "a number", "a string", "a list", "a table"}[k]
}

// A node is a value of a file, TOML or JSON, that remembers where it stands.
// Both formats become the same tree, so there is one decoder for both.
type node struct {
	kind    kind
	off     int    // of the value's first byte; -1 if it is not in the file
	end     int    // behind its last byte
	text    string // string: its text; scalar: true, false, or the number in Go's spelling
	list    []*node
	members []member // in file order
}

// A member is one entry of an object.
type member struct {
	name  string
	off   int // of the name
	value *node
}

// get returns the member of that name, or nil if it is absent or null.
func (n *node) get(name string) *node {
	if m := n.member(name); m != nil && m.value.kind != kindNull {
		return m.value
	}
	return nil
}

// has reports whether a member of that name is there and not null.
func (n *node) has(name string) bool { return n.get(name) != nil }

// member returns the first member of that name: of duplicates the first wins.
func (n *node) member(name string) *member {
	if n == nil || n.kind != kindObject {
		return nil
	}
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i]
		}
	}
	return nil
}

// str returns the text of the member of that name if it is a string.
func (n *node) str(name string) string {
	if v := n.get(name); v != nil && v.kind == kindString {
		return v.text
	}
	return ""
}

// set replaces or adds the member of that name.
func (n *node) set(name string, off int, v *node) {
	if m := n.member(name); m != nil {
		m.value = v
		return
	}
	n.members = append(n.members, member{name, off, v})
}

// remove takes the members of that name out.
func (n *node) remove(name string) {
	kept := n.members[:0]
	for _, m := range n.members {
		if m.name != name {
			kept = append(kept, m)
		}
	}
	n.members = kept
}

// value returns n as nil, bool, int64, float64, string, []any or map[string]any.
func (n *node) value() any {
	switch n.kind {
	case kindNull:
		return nil
	case kindBool:
		return n.text == "true"
	case kindInteger:
		i, _ := strconv.ParseInt(n.text, 10, 64)
		return i
	case kindFloat:
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return n.text // JSON has no spelling for it
		}
		return f
	case kindString:
		return n.text
	case kindList:
		out := make([]any, len(n.list))
		for i, v := range n.list {
			out[i] = v.value()
		}
		return out
	case kindObject:
		out := make(map[string]any, len(n.members))
		for _, m := range n.members {
			if _, dup := out[m.name]; !dup {
				out[m.name] = m.value.value()
			}
		}
		return out
	}
	return nil
}

// number makes a scalar node of a number's literal, Go's, JSON's or TOML's.
func number(literal string, off, end int) *node {
	n := &node{off: off, end: end}
	plain := strings.ReplaceAll(literal, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		n.kind, n.text = kindInteger, strconv.FormatInt(i, 10)
		return n
	}
	n.kind, n.text = kindFloat, plain
	// 21.0 is 21: JSON does not tell the two apart.
	if f, err := strconv.ParseFloat(plain, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		n.kind, n.text = kindInteger, strconv.FormatInt(int64(f), 10)
	}
	return n
}
