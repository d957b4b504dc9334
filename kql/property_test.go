package kql_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// checkQuery holds the compiled form of a query against the reference on one event,
// its printed form against the query, and Decide against Match. known chooses the
// fields that Decide is told.
func checkQuery(t interface{ Fatalf(string, ...any) }, cat *ecs.Catalogue, n kql.Node, ev ecs.Event, known func(name string) bool) {
	again, err := kql.Parse(n.String())
	if err != nil || !kql.Equal(n, again) || again.String() != n.String() {
		t.Fatalf("%s is read as %v (%v)", n, again, err)
	}
	x, diags := kql.Compile(n, cat)
	if diags.Failed() && slices.ContainsFunc(diags, func(d query.Diagnostic) bool { return d.Code == "too-many-patterns" }) {
		return
	}
	if x == nil || diags.Failed() {
		t.Fatalf("%s does not compile: %v", n, diags)
	}
	doc := ev.Document()
	want := (&reference{cat, doc, ev.Time()}).holds(n)
	got := x.Match(ev)
	if got != want {
		t.Fatalf("%s on %s: %v, by the reference %v", n, doc.AppendJSON(nil), got, want)
	}
	decide := func(known func(string) bool) query.Truth {
		return x.Decide(func(f *ecs.Field) ([]string, bool) {
			if !known(f.Name) {
				return nil, false
			}
			return ev.Values(f), true
		})
	}
	all := func(string) bool { return true }
	for _, k := range []func(string) bool{known, all, func(string) bool { return false }} {
		if d := decide(k); d == query.True && !got || d == query.False && got {
			t.Fatalf("%s on %s is decided as %v, but is %v", n, doc.AppendJSON(nil), d, got)
		}
	}
	// All fields decide what does not look for fields, into objects or at the clock.
	if text := n.String(); decide(all) == query.Maybe && !strings.ContainsAny(text, "{*") && !strings.Contains(text, "now") && !bare(n) {
		t.Fatalf("%s on %s is not decided by all fields", n, doc.AppendJSON(nil))
	}
	reads := map[*ecs.Field]bool{}
	x.Fields(func(f *ecs.Field) { reads[f] = true })
	if len(reads) == 0 && decide(func(string) bool { return false }) == query.Maybe && !strings.ContainsAny(n.String(), "*") && !bare(n) {
		t.Fatalf("%s reads no fields", n)
	}
}

// bare reports whether there is a value without a field.
func bare(n kql.Node) bool {
	switch n := n.(type) {
	case *kql.And:
		return slices.ContainsFunc(n.Terms, bare)
	case *kql.Or:
		return slices.ContainsFunc(n.Terms, bare)
	case *kql.Not:
		return bare(n.Term)
	case *kql.Nested:
		return bare(n.Query)
	case *kql.Literal:
		return true
	}
	return false
}

var (
	// One field of each type, an unknown one, sub-keys, and objects in lists.
	fieldNames = []string{
		"event.action", "user.name", "event.dataset", "error.message", "source.ip", "source.as.number", "source.geo.location.lat", "source.geo.location",
		"aws.cloudtrail.read_only", "event.created", "aws.cloudtrail.flattened.request_parameters", "aws.cloudtrail.flattened.request_parameters.a.b",
		"list.a", "list.sub.a", "no.such", "user", "list",
	}
	fieldPatterns = []string{"user.*", "*.name", "*", "source.*", "list.*", "*request_parameters", "aws.cloudtrail.flattened.request_parameters.*", "*a", "**e**"}
	texts         = []string{
		"a", "b", "A", "ab", "a b", "", "1", "1.0", "15", "-2.5e1", "true", "false", "10.0.0.1", "::ffff:10.0.0.1", "10.1.0.0/16", "2001:db8::1", "::/0", "x*y", "not", "or b",
		"2026-01-31T08:00:00.000Z", "2026-01-31T23:59:59.9999Z", "2026-02-01T00:00:00+01:00", "2026-01-31", "now-1d/d", "now", "é\n\t\"\\(){}<>:*", "\u202e", "Access denied, a b",
	}
)

// drawDocument draws an event whose fields stand in every way they can.
func drawDocument(t *rapid.T, cat *ecs.Catalogue) ecs.Event {
	doc := ecs.Document{"@timestamp": "2026-02-01T12:00:00.000Z"}
	var value func(depth int) any
	value = func(depth int) any {
		switch rapid.IntRange(0, 8-min(depth, 2)).Draw(t, "value") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return ecs.Number(rapid.SampledFrom([]string{"1", "15", "-2.5e1", "1.0", "9007199254740993"}).Draw(t, "number"))
		case 7:
			list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
			for i := range list {
				list[i] = value(depth + 1)
			}
			return list
		case 8:
			object := map[string]any{}
			for range rapid.IntRange(0, 2).Draw(t, "members") {
				object[rapid.SampledFrom([]string{"a", "b", "a.b", "sub", "sub.a", "name", "e"}).Draw(t, "member")] = value(depth + 1)
			}
			return object
		}
		return rapid.SampledFrom(texts).Draw(t, "text")
	}
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		name := rapid.SampledFrom(fieldNames).Draw(t, "name")
		v := value(0)
		if strings.HasPrefix(name, "list") && rapid.Bool().Draw(t, "objects") {
			name, v = "list", []any{map[string]any{"a": value(1), "sub": value(1)}, map[string]any{"a": value(1), "sub.a": value(1)}}
		}
		if rapid.Bool().Draw(t, "dotted") {
			doc[name] = v
		} else {
			doc.Set(name, v)
		}
	}
	ev, err := ecs.ParseJSON(cat, doc.AppendJSON(nil))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// drawQuery draws the text of a query, with operators and white space in all forms.
func drawQuery(t *rapid.T, depth int, nested bool) string {
	space := func() string { return rapid.SampledFrom([]string{"", " ", "\n", "\u00a0 "}).Draw(t, "space") }
	must := func() string { return rapid.SampledFrom([]string{" ", "\t", " \r\n"}).Draw(t, "white space") }
	operator := func(words ...string) string { return must() + rapid.SampledFrom(words).Draw(t, "operator") + must() }
	literal := func() string {
		s := rapid.SampledFrom(texts).Draw(t, "literal")
		if s == "" || rapid.Bool().Draw(t, "quoted") {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(s) + `"`
		}
		var b strings.Builder
		for _, r := range s {
			switch {
			case r < utf8.RuneSelf && strings.ContainsRune(`\():<>"{}*`, r) && (r != '*' || rapid.Bool().Draw(t, "star")):
				b.WriteString(`\` + string(r))
			case r == '\n', r == '\t', strings.EqualFold(s, "not"), s == "or b":
				fmt.Fprintf(&b, `\u%04x`, r)
			default:
				b.WriteRune(r)
			}
		}
		return b.String()
	}
	var list func(depth int) string
	list = func(depth int) string {
		switch kind := rapid.IntRange(0, 9).Draw(t, "list"); {
		case kind == 0 && depth > 0:
			return list(depth-1) + operator("or", "OR") + list(depth-1)
		case kind == 1 && depth > 0:
			return list(depth-1) + operator("and", "And") + list(depth-1)
		case kind == 2 && depth > 0:
			return "not" + must() + "(" + space() + list(depth-1) + space() + ")"
		case kind == 3 && depth > 0:
			return "(" + space() + list(depth-1) + space() + ")"
		case kind == 4:
			return "*"
		case kind == 5:
			return rapid.SampledFrom([]string{"a*", "*b", "*a*b*", "**", "Acc* a", "1*", "10.*"}).Draw(t, "pattern")
		}
		return literal()
	}
	field := func() string {
		if nested {
			return rapid.SampledFrom([]string{"a", "sub.a", "sub", "*", "s*", "b", "a.b"}).Draw(t, "inner field")
		}
		if rapid.IntRange(0, 5).Draw(t, "field kind") == 0 {
			return rapid.SampledFrom(fieldPatterns).Draw(t, "field pattern")
		}
		return rapid.SampledFrom(fieldNames).Draw(t, "field")
	}
	switch kind := rapid.IntRange(0, 12).Draw(t, "query"); {
	case kind <= 1 && depth > 0:
		return drawQuery(t, depth-1, nested) + operator("and", "AND") + drawQuery(t, depth-1, nested)
	case kind <= 3 && depth > 0:
		return drawQuery(t, depth-1, nested) + operator("or", "oR") + drawQuery(t, depth-1, nested)
	case kind == 4 && depth > 0:
		return "not" + must() + "(" + space() + drawQuery(t, depth-1, nested) + space() + ")"
	case kind == 5 && depth > 0:
		return "(" + space() + drawQuery(t, depth-1, nested) + space() + ")"
	case kind == 6 && depth > 0:
		path := rapid.SampledFrom([]string{"list", "list.sub", "user", "aws.cloudtrail.flattened.request_parameters"}).Draw(t, "path")
		if nested {
			path = rapid.SampledFrom([]string{"sub", "a"}).Draw(t, "inner path")
		}
		return path + space() + ":" + space() + "{" + space() + drawQuery(t, depth-1, true) + space() + "}"
	case kind == 7:
		return literal()
	case kind == 8:
		return field() + space() + rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op") + space() + strings.ReplaceAll(strings.ReplaceAll(literal(), `\*`, ""), "*", "")
	case kind <= 10:
		return field() + space() + ":" + space() + "(" + space() + list(3) + space() + ")"
	}
	return field() + space() + ":" + space() + list(0)
}

func TestCompiledEqualsReference(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		src := drawQuery(t, 4, false)
		n, err := kql.Parse(src)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		known := rapid.SliceOfNDistinct(rapid.SampledFrom(fieldNames), 0, -1, rapid.ID).Draw(t, "known")
		for range 4 {
			ev := drawDocument(t, cat)
			checkQuery(t, cat, n, ev, func(name string) bool { return slices.Contains(known, name) })
			if (&reference{cat, ev.Document(), ev.Time()}).holds(n) {
				matched++
			}
		}
	})
	t.Logf("%d matches", matched)
	if matched == 0 {
		t.Error("no query matched a document: the test shows nothing")
	}
}

// TestLiteralsSurvivePrinting draws any text as a value and as the name of a field.
func TestLiteralsSurvivePrinting(t *testing.T) {
	t.Parallel()
	runes := rapid.RuneFrom([]rune("ornotadNOT  \t\n*\\\"():<>{}\u00a0\u2003\u202eé😀�x"))
	rapid.Check(t, func(t *rapid.T) {
		n := kql.Node(&kql.And{Terms: []kql.Node{
			&kql.Match{Field: drawLiteral(t, runes), Value: drawLiteral(t, runes)},
			&kql.Or{Terms: []kql.Node{drawLiteral(t, runes), &kql.Range{Field: &kql.Literal{Parts: []string{"f"}}, Op: query.Less, Value: &kql.Literal{Parts: []string{"1"}}}}},
			&kql.Match{Field: drawLiteral(t, runes), Value: &kql.And{Terms: []kql.Node{&kql.Not{Term: drawLiteral(t, runes)}, drawLiteral(t, runes)}}},
		}})
		again, err := kql.Parse(n.String())
		if err != nil || !kql.Equal(n, again) {
			t.Fatalf("%q is read as %v (%v)", n, again, err)
		}
	})
}

func drawLiteral(t *rapid.T, runes *rapid.Generator[rune]) *kql.Literal {
	part := rapid.StringOfN(runes, 1, 8, -1)
	if rapid.Bool().Draw(t, "quoted") {
		return &kql.Literal{Parts: []string{part.Draw(t, "text")}, Quoted: true}
	}
	return &kql.Literal{Parts: rapid.SliceOfN(part, 1, 3).Draw(t, "parts")}
}

func FuzzQuery(f *testing.F) {
	for _, src := range []string{
		`event.provider: "ssm.amazonaws.com" and event.action: (SendCommand or Start*) and not user.name: *`,
		`source.ip: (10.0.0.0/8 or "::1") or source.as.number >= 15`, `list: { a: 1 and not sub: { a: * } }`, `user*: (a and not b*) or c`,
		`a: \u0041\*\not b`, `@timestamp > now-1d/d and error.message: "access denied"`,
	} {
		f.Add(src, `{"list":[{"a":1},{"a":2,"sub":{"a":null}}],"user.name":["a","c"],"source":{"ip":"10.0.0.1"}}`, uint64(5))
	}
	cat := ecs.NewCatalogue()
	f.Fuzz(func(t *testing.T, src, members string, known uint64) {
		if len(src) > 1<<10 || len(members) > 1<<10 || !strings.HasPrefix(members, "{") {
			t.Skip()
		}
		n, err := kql.Parse(src)
		if err != nil {
			checkError(t, src, err)
			return
		}
		sep := ","
		if strings.TrimSpace(members[1:]) == "}" {
			sep = ""
		}
		ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-02-01T12:00:00Z"`+sep+members[1:]))
		if err != nil {
			t.Skip()
		}
		checkQuery(t, cat, n, ev, func(name string) bool { return known>>(len(name)%64)&1 == 1 })
	})
}

// checkError holds a syntax error to pointing into the query.
func checkError(t *testing.T, src string, err error) {
	t.Helper()
	var ds query.Diagnostics
	if !errors.As(err, &ds) || len(ds) != 1 {
		t.Fatalf("the error of %q is %#v", src, err)
	}
	d := ds[0]
	lines := strings.Split(src, "\n")
	if d.Severity != query.Error || d.Code == "" || d.Line < 1 || d.Line > len(lines) {
		t.Fatalf("%q: %+v", src, d)
	}
	line := lines[d.Line-1]
	if d.Source != strings.TrimSuffix(line, "\r") || d.Column < 1 || d.Width < 1 || d.Column+d.Width > utf8.RuneCountInString(line)+2 {
		t.Errorf("%q: %+v points beside the text", src, d)
	}
}
