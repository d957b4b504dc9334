package rule

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/debutsec/debut/internal/rawjson"
	"github.com/debutsec/debut/query"
)

// readJSON reads every value of a file: one object, an array of objects, or
// objects one after the other. Behind a syntax error it goes on at the next line
// that begins an object, so that one broken line of an export costs one line.
func readJSON(r *reporter) []*node {
	data := r.src.data
	var out []*node
	for i := rawjson.Space(data, 0); i < len(data); i = rawjson.Space(data, i) {
		end, err := rawjson.Skip(data, i)
		if err == nil {
			out = append(out, jsonNode(r, data[i:end]))
			i = end
			continue
		}
		out = append(out, readBrokenArray(r, i)...)
		at, message := jsonError(err, len(data))
		next := len(data)
		if n := bytes.Index(data[i:], []byte("\n{")); n >= 0 {
			next = i + n
		}
		if data[i] == '{' && at > next { // found out only in the line behind
			at, message = next, "broken JSON: the line ends inside an object"
		}
		r.at(query.Error, "syntax", at, at, message, "")
		if data[i] == '[' {
			next = len(data)
		}
		i = next
	}
	return out
}

// readBrokenArray returns the elements in front of the syntax error of the array
// that begins at i.
func readBrokenArray(r *reporter, i int) []*node {
	data := r.src.data
	if data[i] != '[' {
		return nil
	}
	var list []*node
	for i = rawjson.Space(data, i+1); i < len(data); {
		end, err := rawjson.Skip(data, i)
		if err != nil {
			break
		}
		list = append(list, jsonNode(r, data[i:end]))
		if i = rawjson.Space(data, end); i >= len(data) || data[i] != ',' {
			break
		}
		i = rawjson.Space(data, i+1)
	}
	return list
}

func jsonError(err error, size int) (at int, message string) {
	if e, ok := errors.AsType[*rawjson.SyntaxError](err); ok {
		return e.Offset, "broken JSON: " + e.Msg
	}
	return size, "broken JSON: the file ends inside a value"
}

// jsonNode makes a tree of checked JSON text, a slice of the file's.
func jsonNode(r *reporter, v []byte) *node {
	off := cap(r.src.data) - cap(v)
	n := &node{off: off, end: off + len(v)}
	switch v[0] {
	case 'n':
		n.kind = kindNull
	case 't', 'f':
		n.kind, n.text = kindBool, string(v)
	case '"':
		n.kind, n.text = kindString, string(rawjson.Unquote(nil, v))
	case '[':
		n.kind = kindList
		for c := rawjson.Walk(v); c.Next(); {
			n.list = append(n.list, jsonNode(r, c.Value()))
		}
	case '{':
		n.kind = kindObject
		seen := make(map[string]bool)
		for c := rawjson.Walk(v); c.Next(); {
			name := string(rawjson.Unquote(nil, c.Name()))
			at := cap(r.src.data) - cap(c.Name())
			if seen[name] {
				r.at(query.Warning, "duplicate-key", at, at+len(c.Name()),
					fmt.Sprintf("the name %q occurs twice in one object; the first is used", name), "remove one of the two")
			}
			seen[name] = true
			n.members = append(n.members, member{name, at, jsonNode(r, c.Value())})
		}
	default:
		return number(string(v), off, off+len(v))
	}
	return n
}
