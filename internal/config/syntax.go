package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/debutsec/debut/query"
)

// source is the file that messages point into.
type source struct {
	name   string
	text   []byte
	places map[string]place  // of keys and tables: sources.1.bucket
	env    map[string]string // the variables that keys come from
	diags  query.Diagnostics
}

// A place is a part of the text, in bytes.
type place struct{ off, size int }

// read decodes the file into c, and knows afterwards where everything stands. The
// syntax is walked by us, and decoded only when nothing is wrong: so all that is wrong
// is told, and in our words.
func (s *source) read(c *Config) {
	var ignored map[string]any
	if err := toml.Unmarshal(s.text, &ignored); err != nil {
		s.broken(err)
		return
	}
	s.walk(reflect.TypeOf(c).Elem())
	if len(s.diags) > 0 {
		return
	}
	if err := toml.NewDecoder(bytes.NewReader(s.text)).DisallowUnknownFields().Decode(c); err != nil {
		s.broken(err) // what the walk has let pass
	}
}

func (s *source) broken(err error) {
	e, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		s.add("syntax", "broken TOML: "+strings.TrimPrefix(err.Error(), "toml: "), "")
		return
	}
	line, column := e.Position()
	off := 0
	for range line - 1 {
		off += bytes.IndexByte(s.text[off:], '\n') + 1
	}
	s.at(place{off + column - 1, 1}, "syntax", "broken TOML: "+strings.TrimPrefix(e.Error(), "toml: "), "")
}

// at adds a problem at a place.
func (s *source) at(p place, code, message, hint string) {
	off := min(max(p.off, 0), len(s.text))
	start := bytes.LastIndexByte(s.text[:off], '\n') + 1
	line, _, _ := bytes.Cut(s.text[start:], []byte("\n"))
	s.diags = append(s.diags, query.Diagnostic{
		Code: code, File: s.name, Line: bytes.Count(s.text[:off], []byte("\n")) + 1, Column: utf8.RuneCount(s.text[start:off]) + 1,
		Width:  max(1, utf8.RuneCount(s.text[off:min(off+p.size, len(s.text))])),
		Source: strings.TrimSuffix(string(line), "\r"), Message: message, Hint: hint,
	})
}

// add adds a problem without a place.
func (s *source) add(code, message, hint string) {
	s.diags = append(s.diags, query.Diagnostic{Code: code, File: s.name, Message: message, Hint: hint})
}

// key adds a problem with the value of a key, such as sources.1.bucket: where it
// stands, or else where its table does.
func (s *source) key(key, code, message, hint string) {
	message = withoutNumbers(key) + ": " + message
	if name, ok := s.env[key]; ok {
		s.diags = append(s.diags, query.Diagnostic{Code: code, Message: name + ": " + message, Hint: hint})
		return
	}
	for at := key; at != ""; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
		if p, ok := s.places[at]; ok {
			s.at(p, code, message, hint)
			return
		}
	}
	s.add(code, message, hint)
}

// withoutNumbers leaves the numbers of list elements out of a key.
func withoutNumbers(key string) string {
	parts := strings.Split(key, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { _, err := strconv.Atoi(p); return err == nil }), ".")
}

// walk notes where every key stands, and checks it against the type of the whole.
func (s *source) walk(root reflect.Type) {
	s.places = make(map[string]place)
	lists := make(map[string]int) // elements of lists of tables so far
	table, known := "", root      // where keys go; known is nil below what is unknown
	var p unstable.Parser
	p.Reset(s.text)
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table, known = s.header(root, e, lists)
		case unstable.KeyValue:
			s.keyValue(table, known, e)
		default: // comments
		}
	}
	if err := p.Error(); err != nil {
		s.broken(err)
	}
}

// header goes to the table of [a.b] or [[a.b]].
func (s *source) header(root reflect.Type, e *unstable.Node, lists map[string]int) (table string, known reflect.Type) {
	known = root
	for it := e.Key(); it.Next(); {
		k := it.Node()
		at := place{int(k.Raw.Offset), int(k.Raw.Length)}
		parent := table
		table = join(table, string(k.Data))
		if known = s.member(known, parent, string(k.Data), at); known == nil {
			return table, nil
		}
		last := it.IsLast()
		if known.Kind() == reflect.Slice && known.Elem().Kind() == reflect.Struct {
			if last && e.Kind == unstable.ArrayTable {
				lists[table]++
			}
			if last && e.Kind == unstable.Table {
				s.at(at, "bad-value", fmt.Sprintf("%s is a list of tables", withoutNumbers(table)), fmt.Sprintf("write [[%s]]", withoutNumbers(table)))
				return table, nil
			}
			table, known = join(table, strconv.Itoa(max(lists[table]-1, 0))), known.Elem()
		} else if known.Kind() != reflect.Struct || last && e.Kind == unstable.ArrayTable {
			s.at(at, "bad-value", fmt.Sprintf("%s must be %s", withoutNumbers(table), kindOf(known)), "")
			return table, nil
		}
		s.places[table] = at
	}
	return table, known
}

func join(table, name string) string {
	if table == "" {
		return name
	}
	return table + "." + name
}

// keyValue checks a = value.
func (s *source) keyValue(table string, known reflect.Type, e *unstable.Node) {
	var at place
	for it := e.Key(); it.Next() && known != nil; {
		k := it.Node()
		at = place{int(k.Raw.Offset), int(k.Raw.Length)}
		known = s.member(known, table, string(k.Data), at)
		table = join(table, string(k.Data))
	}
	if known == nil {
		return
	}
	s.places[table] = at
	s.value(table, known, e.Value(), at)
}

// member returns the type of a key of a table.
func (s *source) member(table reflect.Type, path, name string, at place) reflect.Type {
	if table == nil {
		return nil
	}
	if table.Kind() == reflect.Struct {
		var names []string
		for f := range table.Fields() {
			known := tagged(f)
			if known == name && name != "" {
				return f.Type
			}
			names = append(names, known)
		}
		s.at(at, "unknown-key", fmt.Sprintf("%s is no key of the configuration", withoutNumbers(join(path, name))), nearest(name, names))
	} else {
		s.at(at, "bad-value", fmt.Sprintf("%s must be %s, not a table", withoutNumbers(path), kindOf(table)), "")
	}
	return nil
}

// value checks that a value is of a type.
func (s *source) value(key string, t reflect.Type, v *unstable.Node, keyAt place) {
	at := place{int(v.Raw.Offset), int(v.Raw.Length)}
	if at.size == 0 {
		at = keyAt // arrays and inline tables have no place of their own
	}
	wrong := func() {
		s.at(at, "bad-value", fmt.Sprintf("%s: must be %s", withoutNumbers(key), kindOf(t)), "")
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](reflect.New(t)); ok {
		if v.Kind != unstable.String {
			wrong()
		} else if err := u.UnmarshalText(v.Data); err != nil {
			s.at(at, "bad-value", fmt.Sprintf("%s: %v", withoutNumbers(key), err), "")
		}
		return
	}
	switch t.Kind() {
	case reflect.Slice:
		if v.Kind != unstable.Array {
			wrong()
			return
		}
		i := 0
		for it := v.Children(); it.Next(); i++ {
			if it.Node().Kind == unstable.Comment {
				i--
				continue
			}
			s.value(join(key, strconv.Itoa(i)), t.Elem(), it.Node(), at)
		}
	case reflect.Struct:
		if v.Kind != unstable.InlineTable {
			wrong()
			return
		}
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				s.keyValue(key, t, it.Node())
			}
		}
	default:
		if (map[reflect.Kind]unstable.Kind{reflect.String: unstable.String, reflect.Bool: unstable.Bool, reflect.Int: unstable.Integer})[t.Kind()] != v.Kind {
			wrong()
		}
	}
}

// kindOf names what a value must be.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return `a length of time in quotes, such as "7d"`
	case reflect.TypeFor[Bytes]():
		return `an amount in quotes, such as "200GB"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a text in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "a list of tables"
		}
		if t.Elem() == reflect.TypeFor[Duration]() {
			return `a list of lengths of time, such as ["15m", "1h"]`
		}
		return "a list of texts, in [ and ]"
	default:
		return "a table"
	}
}

// nearest suggests one of the names of a table, or the table that has the name.
func nearest(name string, names []string) string {
	best, distance := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := edits(name, n); n != "" && d < distance {
			best, distance = n, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	for _, k := range Keys() {
		if table, ok := strings.CutSuffix(k, "."+name); ok {
			return fmt.Sprintf("it is a key of [%s]", table)
		}
	}
	return "docs/config.md lists every key"
}

// edits is the number of letters to change from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, last+cost)
		}
	}
	return row[len(b)]
}
