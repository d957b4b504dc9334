package kql_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// A reference evaluates KQL the slow and obvious way: it walks the tree for every
// event and looks everything up in the whole document. It shares date math with
// the compiled form, and nothing else.
type reference struct {
	cat *ecs.Catalogue
	doc ecs.Document
	now time.Time
}

func (r *reference) holds(n kql.Node) bool { return r.node(n, nil, "", "") }

// node evaluates n. field is that of the list around, path that of the nested
// groups around; object is the address of the object that they are tried on.
func (r *reference) node(n kql.Node, field *kql.Literal, path, object string) bool {
	switch n := n.(type) {
	case *kql.And:
		for _, t := range n.Terms {
			if !r.node(t, field, path, object) {
				return false
			}
		}
		return true
	case *kql.Or:
		for _, t := range n.Terms {
			if r.node(t, field, path, object) {
				return true
			}
		}
		return false
	case *kql.Not:
		return !r.node(n.Term, field, path, object)
	case *kql.Match:
		return r.node(n.Value, n.Field, path, object)
	case *kql.Range:
		return r.anyField(n.Field, path, object, func(t ecs.Type, v string) bool { return r.inRange(t, v, n.Op, n.Value.Text()) }, false)
	case *kql.Literal:
		exists := n.Text() == "*" && n.Wildcard()
		if path == "" && exists && (field == nil || field.Text() == "*" && field.Wildcard()) {
			return true
		}
		return r.anyField(field, path, object, func(t ecs.Type, v string) bool { return exists || r.equals(t, v, n) }, exists)
	case *kql.Nested:
		path += n.Path.Text() + "."
		for _, o := range r.objects(strings.Count(path, "."), path, object) {
			if r.node(n.Query, nil, path, o) {
				return true
			}
		}
		return false
	}
	panic(fmt.Sprintf("%T", n))
}

// anyField tests the values of one field, or of all that match. exists says that
// objects have the value that is asked for.
func (r *reference) anyField(field *kql.Literal, path, object string, test func(ecs.Type, string) bool, exists bool) bool {
	if field == nil {
		field = star
	}
	doc := r.doc
	if path != "" {
		doc = r.inside(object)
	}
	some := func(t ecs.Type, values []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return test(t, v) })
	}
	if !field.Wildcard() {
		f := r.cat.Resolve(path + field.Text())
		if !f.Known && r.isObject(f.Name) && !exists {
			return false
		}
		return some(f.Type, doc.Values(source(f)))
	}
	name := expression(field.Parts, false, regexp.QuoteMeta(path))
	known := map[string]bool{}
	for f := range r.cat.Known() {
		if known[f.Name] = true; name.MatchString(f.Name) && some(f.Type, doc.Values(source(f))) {
			return true
		}
	}
	for leaf, values := range doc.Leaves() {
		if !known[leaf] && name.MatchString(leaf) && some(ecs.Keyword, values) {
			return true
		}
	}
	return false
}

// source is where a field's values stand: those of a multi-field under the name of the
// field that it is of.
func source(f *ecs.Field) string { return cmp.Or(f.Of, f.Name) }

var star = must("a:*").(*kql.Match).Value.(*kql.Literal)

func must(src string) kql.Node {
	n, err := kql.Parse(src)
	if err != nil {
		panic(err)
	}
	return n
}

func (r *reference) isObject(name string) bool {
	for f := range r.cat.Known() {
		if strings.HasPrefix(f.Name, name+".") {
			return true
		}
	}
	return false
}

func expression(parts []string, fold bool, prefix string) *regexp.Regexp {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = regexp.QuoteMeta(p)
	}
	flags := "(?s)"
	if fold {
		flags = "(?si)"
	}
	return regexp.MustCompile(flags + `\A` + prefix + strings.Join(quoted, ".*") + `\z`)
}

func (r *reference) equals(t ecs.Type, value string, l *kql.Literal) bool {
	text := l.Text()
	if l.Wildcard() {
		switch t {
		case ecs.Keyword, ecs.ConstantKeyword, ecs.Flattened, ecs.Object:
			return expression(l.Parts, false, "").MatchString(value)
		case ecs.Text:
			x := expression(l.Parts, true, "")
			return x.MatchString(value) || slices.ContainsFunc(wordsOf(value), x.MatchString)
		default:
			return false
		}
	}
	switch t {
	case ecs.Text:
		have, want := wordsOf(value), wordsOf(text)
		if l.Quoted {
			for i := range have {
				if len(want) > 0 && len(have)-i >= len(want) && slices.EqualFunc(have[i:i+len(want)], want, strings.EqualFold) {
					return true
				}
			}
			return false
		}
		for _, h := range have {
			for _, w := range want {
				if strings.EqualFold(h, w) {
					return true
				}
			}
		}
		return false
	case ecs.IP:
		return inBlock(value, text)
	case ecs.Long, ecs.Double:
		a, b := decimal(value), decimal(text)
		return a != nil && b != nil && a.Cmp(b) == 0
	case ecs.Boolean:
		return (text == "true" || text == "false") && value == text
	case ecs.Date:
		return r.inRange(t, value, query.GreaterOrEqual, text) && r.inRange(t, value, query.LessOrEqual, text)
	case ecs.GeoPoint:
		return false
	default:
		return value == text
	}
}

func (r *reference) inRange(t ecs.Type, value string, op query.Op, text string) bool {
	var c int
	switch t {
	case ecs.IP:
		a, b := sixteen(value), sixteen(text)
		if a == nil || b == nil {
			return false
		}
		c = strings.Compare(string(a), string(b))
	case ecs.Long, ecs.Double:
		a, b := decimal(value), decimal(text)
		if a == nil || b == nil {
			return false
		}
		c = a.Cmp(b)
	case ecs.Date:
		have, err := query.ParseDateMath(value)
		m, err2 := query.ParseDateMath(text)
		if err != nil || err2 != nil || have.Relative() || strings.Contains(value, "||") {
			return false
		}
		bound := m.At(r.now).UnixMilli()
		if op == query.LessOrEqual || op == query.Greater {
			bound = m.End(r.now).UnixMilli()
		}
		c = int(have.At(r.now).UnixMilli() - bound)
	case ecs.Boolean, ecs.GeoPoint:
		return false
	default:
		c = strings.Compare(value, text)
	}
	switch op {
	case query.Less:
		return c < 0
	case query.LessOrEqual:
		return c <= 0
	case query.Greater:
		return c > 0
	default:
		return c >= 0
	}
}

var wordExpression = regexp.MustCompile(`[\p{L}\p{Nd}_]+`)

func wordsOf(s string) []string { return wordExpression.FindAllString(s, -1) }

// sixteen returns the 16 bytes of an address.
func sixteen(s string) net.IP {
	s, _, zone := strings.Cut(s, "%")
	ip := net.ParseIP(s)
	if zone && ip.To4() != nil {
		return nil
	}
	return ip.To16()
}

func inBlock(value, block string) bool {
	a := sixteen(value)
	if a == nil {
		return false
	}
	if !strings.Contains(block, "/") {
		b := sixteen(block)
		return b != nil && a.Equal(b)
	}
	ip, n, err := net.ParseCIDR(block)
	if err != nil {
		return false
	}
	ones, size := n.Mask.Size()
	for bit := range ones + 128 - size {
		mask := byte(0x80) >> (bit % 8)
		if a[bit/8]&mask != ip.To16()[bit/8]&mask {
			return false
		}
	}
	return true
}

var decimalExpression = regexp.MustCompile(`\A[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?\z`)

func decimal(s string) *big.Rat {
	m := decimalExpression.FindStringSubmatch(s)
	if m == nil || len(s) > 64 {
		return nil
	}
	if m[2] != "" {
		if e, err := strconv.Atoi(m[2][1:]); err != nil || e > 400 || e < -400 {
			return nil
		}
	}
	r, _ := new(big.Rat).SetString(s)
	return r
}

// A place is a value of the document, or an object or null without one, with its
// address: the names on the way, and the number of each element of a list.
type place struct {
	address string // of names after a \x00 each, elements of lists after a \x01
	names   []string
	value   any
}

func places(v any, address string, names []string, out *[]place) {
	switch v := v.(type) {
	case map[string]any:
		*out = append(*out, place{address + "\x00", names, nil})
		for _, k := range slices.Sorted(maps.Keys(v)) {
			a, n := address, slices.Clone(names)
			for part := range strings.SplitSeq(k, ".") {
				a, n = a+"\x00"+part, append(n, part)
				*out = append(*out, place{a[:len(a)-len(part)], n[:len(n)-1], nil})
			}
			places(v[k], a, n, out)
		}
	case []any:
		for i, e := range v {
			places(e, fmt.Sprintf("%s\x01%d", address, i), names, out)
		}
	default:
		*out = append(*out, place{address, names, v})
	}
}

// objects returns the addresses of the objects at the path, which has that many
// names, within an object.
func (r *reference) objects(names int, path, within string) []string {
	var all []place
	places(map[string]any(r.doc), "", nil, &all)
	found := map[string]bool{}
	for _, p := range all {
		if len(p.names) == names && strings.Join(p.names, ".")+"." == path && strings.HasSuffix(p.address, "\x00") && strings.HasPrefix(p.address, within) {
			found[p.address] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// inside returns what the document has in one object, as a document of dotted names.
func (r *reference) inside(object string) ecs.Document {
	var all []place
	places(map[string]any(r.doc), "", nil, &all)
	doc := ecs.Document{}
	for _, p := range all {
		if p.value != nil && strings.HasPrefix(p.address, object) {
			name := strings.Join(p.names, ".")
			list, _ := doc[name].([]any)
			doc[name] = append(list, p.value)
		}
	}
	return doc
}
