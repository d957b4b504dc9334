package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/query"
)

// An object reads the members of a node by name and type, and reports what does
// not fit. What no one asked for is reported by unknown.
type object struct {
	r    *reporter
	n    *node
	path string // prefix for messages: "threat[0]."
	used map[string]bool
}

func newObject(r *reporter, n *node, path string) object {
	return object{r: r, n: n, path: path, used: make(map[string]bool)}
}

// get returns the member of that name, or nil if it is absent or null.
func (o object) get(name string) *node {
	o.used[name] = true
	return o.n.get(name)
}

// errorAt reports an error of the member of that name: at its value if it has
// one, else at the object.
func (o object) errorAt(name, code, message, hint string) {
	o.reportAt(query.Error, name, code, message, hint)
}

func (o object) reportAt(severity query.Severity, name, code, message, hint string) {
	off, end := o.n.off, o.n.off+1
	if o.n.kind == kindObject && o.path == "" {
		end = o.n.off
	}
	if v := o.n.get(name); v != nil {
		off, end = v.off, v.end
	}
	o.r.at(severity, code, off, end, o.path+name+" "+message, hint)
}

// typed returns the member of that name if it has the kind wanted.
func (o object) typed(name string, want kind) *node {
	v := o.get(name)
	if v == nil {
		return nil
	}
	if v.kind != want {
		o.errorAt(name, "wrong-type", fmt.Sprintf("is %s, not %s", v.kind, want), "")
		return nil
	}
	return v
}

func (o object) str(name string) string {
	if v := o.typed(name, kindString); v != nil {
		return v.text
	}
	return ""
}

// strOr returns def if the member is absent.
func (o object) strOr(name, def string) string {
	if o.n.has(name) {
		return o.str(name)
	}
	o.used[name] = true
	return def
}

// required returns a string that must be there and not be blank.
func (o object) required(name string) string {
	if !o.n.has(name) {
		o.used[name] = true
		o.errorAt(name, "missing-field", "is required", "")
		return ""
	}
	s := o.str(name)
	if v := o.n.get(name); v.kind == kindString && strings.TrimSpace(s) == "" {
		o.errorAt(name, "missing-field", "is empty", "")
	}
	return s
}

// oneOf returns a string that must be one of the values allowed, or def.
func (o object) oneOf(name, def string, allowed ...string) string {
	s := o.strOr(name, def)
	if v := o.n.get(name); v != nil && v.kind == kindString && !slices.Contains(allowed, s) {
		o.errorAt(name, "bad-value", fmt.Sprintf("is %q, not one of %s", s, strings.Join(allowed, ", ")), "")
	}
	return s
}

func (o object) strs(name string) []string {
	v := o.typed(name, kindList)
	if v == nil {
		return nil
	}
	out := make([]string, 0, len(v.list))
	for i, e := range v.list {
		if e.kind != kindString {
			o.r.at(query.Error, "wrong-type", e.off, e.end,
				fmt.Sprintf("%s%s[%d] is %s, not a string", o.path, name, i, e.kind), "")
			continue
		}
		out = append(out, e.text)
	}
	return out
}

// strOrStrs reads a list of strings that may be written as one string.
func (o object) strOrStrs(name string) []string {
	if v := o.get(name); v != nil && v.kind == kindString {
		return []string{v.text}
	}
	return o.strs(name)
}

// integer returns a number of [lo, hi], or def if the member is absent.
func (o object) integer(name string, def, lo, hi int64) int64 {
	v := o.get(name)
	if v == nil {
		return def
	}
	if v.kind != kindInteger {
		o.errorAt(name, "wrong-type", fmt.Sprintf("is %s, not an integer", v.kind), "")
		return def
	}
	i, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || i < lo || i > hi {
		limit := fmt.Sprintf("%d to %d", lo, hi)
		if hi >= maxCount {
			limit = fmt.Sprintf("%d or more", lo)
		}
		o.errorAt(name, "out-of-range", fmt.Sprintf("is %s; it must be %s", v.text, limit), "")
		return def
	}
	return i
}

func (o object) boolean(name string) bool {
	v := o.typed(name, kindBool)
	return v != nil && v.text == "true"
}

// child returns the member of that name as an object.
func (o object) child(name string) (object, bool) {
	v := o.typed(name, kindObject)
	if v == nil {
		return object{}, false
	}
	return newObject(o.r, v, o.path+name+"."), true
}

// children returns the elements of the list of that name as objects.
func (o object) children(name string) []object {
	v := o.typed(name, kindList)
	if v == nil {
		return nil
	}
	out := make([]object, 0, len(v.list))
	for i, e := range v.list {
		if e.kind != kindObject {
			o.r.at(query.Error, "wrong-type", e.off, e.end,
				fmt.Sprintf("%s%s[%d] is %s, not a table", o.path, name, i, e.kind), "")
			continue
		}
		out = append(out, newObject(o.r, e, fmt.Sprintf("%s%s[%d].", o.path, name, i)))
	}
	return out
}

// ignore marks members as known without reading them.
func (o object) ignore(names ...string) {
	for _, name := range names {
		o.used[name] = true
	}
}

// unknown warns about the members that nobody asked for. They are kept in
// Parameters all the same.
func (o object) unknown() {
	for _, m := range o.n.members {
		if o.used[m.name] {
			continue
		}
		hint := "it is kept and has no effect"
		if near := nearest(m.name, o.used); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		o.r.at(query.Warning, "unknown-key", m.off, m.off+len(m.name), fmt.Sprintf("unknown key %s%s", o.path, m.name), hint)
	}
}

// nearest returns the known name closest to name, if one is close.
func nearest(name string, known map[string]bool) string {
	best, bestDistance := "", max(1, len(name)/3)+1
	for k := range known {
		d := distance(name, k, bestDistance)
		if d < bestDistance || d == bestDistance && best != "" && k < best {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is Levenshtein's; where the lengths alone differ by limit it is given
// up and more than limit is returned.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
