package rule

import (
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/debutsec/debut/query"
)

// readTOML reads a document as a tree, or reports why it cannot be read.
//
// The decoder checks the document (types, tables defined twice); the tree is then
// built from the syntax, which is the only place that knows where things stand.
func readTOML(r *reporter) *node {
	var ignored map[string]any
	if err := toml.Unmarshal(r.src.data, &ignored); err != nil {
		reportTOML(r, err)
		return nil
	}
	root := &node{kind: kindObject, end: len(r.src.data)}
	t := tomlTree{data: r.src.data}
	table := root
	t.p.Reset(r.src.data)
	for t.p.NextExpression() {
		e := t.p.Expression()
		if deep := deepKey(e); deep != nil {
			off := int(deep.Raw.Offset)
			r.at(query.Error, "syntax", off, off+len(deep.Data), fmt.Sprintf("broken TOML: a key of more than %d names", maxKey), "")
			return nil
		}
		switch e.Kind {
		case unstable.Table:
			table = t.table(root, e)
		case unstable.ArrayTable:
			table = t.arrayTable(root, e)
		case unstable.KeyValue:
			t.keyValue(table, e)
		default: // comments
		}
	}
	if err := t.p.Error(); err != nil {
		reportTOML(r, err)
		return nil
	}
	return root
}

func reportTOML(r *reporter, err error) {
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := e.Position() // the column in bytes
		off := 0
		if line >= 1 && line <= len(r.src.lines) {
			off = min(r.src.lines[line-1]+max(column, 1)-1, len(r.src.data))
		}
		r.at(query.Error, "syntax", off, off, "broken TOML: "+trimTOML(e.Error()), "")
		return
	}
	r.at(query.Error, "syntax", 0, 0, "broken TOML: "+trimTOML(err.Error()), "")
}

func trimTOML(s string) string {
	if len(s) > 6 && s[:6] == "toml: " {
		return s[6:]
	}
	return s
}

// maxKey is how many names a dotted key may have. Trees are walked recursively.
const maxKey = 100

// deepKey returns the name at which the key of a table or value becomes too long.
func deepKey(e *unstable.Node) *unstable.Node {
	if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable && e.Kind != unstable.KeyValue {
		return nil
	}
	n := 0
	for it := e.Key(); it.Next(); {
		if n++; n > maxKey {
			return it.Node()
		}
	}
	return nil
}

type tomlTree struct {
	data []byte
	p    unstable.Parser
}

type tomlKey struct {
	name string
	off  int
}

func keys(it unstable.Iterator) []tomlKey {
	var out []tomlKey
	for it.Next() {
		k := it.Node()
		out = append(out, tomlKey{string(k.Data), int(k.Raw.Offset)})
	}
	return out
}

// table goes to the table of a header, making what is missing.
func (t *tomlTree) table(root *node, e *unstable.Node) *node {
	path := keys(e.Key())
	n := descend(root, path[:len(path)-1])
	return descend(n, path[len(path)-1:])
}

// arrayTable adds an element to the array of a header.
func (t *tomlTree) arrayTable(root *node, e *unstable.Node) *node {
	path := keys(e.Key())
	last := path[len(path)-1]
	parent := descend(root, path[:len(path)-1])
	list := parent.get(last.name)
	if list == nil {
		list = &node{kind: kindList, off: last.off, end: last.off + len(last.name)}
		parent.set(last.name, last.off, list)
	}
	element := &node{kind: kindObject, off: last.off, end: last.off + len(last.name)}
	list.list = append(list.list, element)
	return element
}

// descend follows a dotted key; in an array of tables it means the last one.
func descend(n *node, path []tomlKey) *node {
	for _, k := range path {
		next := n.get(k.name)
		if next == nil {
			next = &node{kind: kindObject, off: k.off, end: k.off + len(k.name)}
			n.set(k.name, k.off, next)
		}
		if next.kind == kindList && len(next.list) > 0 {
			next = next.list[len(next.list)-1]
		}
		n = next
	}
	return n
}

func (t *tomlTree) keyValue(table *node, e *unstable.Node) {
	path := keys(e.Key())
	last := path[len(path)-1]
	descend(table, path[:len(path)-1]).set(last.name, last.off, t.value(e.Value(), last))
}

// value makes a node. Arrays carry no place of their own in the syntax tree, so
// they stand where their key does.
func (t *tomlTree) value(v *unstable.Node, key tomlKey) *node {
	off, end := int(v.Raw.Offset), int(v.Raw.Offset+v.Raw.Length)
	if v.Raw.Length == 0 {
		off, end = key.off, key.off+len(key.name)
	}
	n := &node{off: off, end: end, text: string(v.Data)}
	switch v.Kind {
	case unstable.Bool:
		n.kind = kindBool
	case unstable.Integer, unstable.Float:
		return number(n.text, off, end)
	case unstable.Array:
		n.kind, n.text = kindList, ""
		for it := v.Children(); it.Next(); {
			n.list = append(n.list, t.value(it.Node(), key))
		}
	case unstable.InlineTable:
		n.kind, n.text = kindObject, ""
		for it := v.Children(); it.Next(); {
			t.keyValue(n, it.Node())
		}
	default: // strings; dates and times are kept as they are spelt
		n.kind = kindString
	}
	return n
}
