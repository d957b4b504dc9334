package rule_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// excluded is what exceptions mean, slowly and plainly: over the whole document,
// with one regular expression for each pattern and a walk through each value list.
// Fields are of the types that drawEntry knows.
func excluded(item rule.ExceptionItem, doc ecs.Document, lists []rule.ValueList) bool {
	if len(item.OSTypes) > 0 {
		have := append(doc.Values("host.os.type"), doc.Values("host.os.name")...)
		if !slices.ContainsFunc(have, func(v string) bool { return slices.Contains(item.OSTypes, strings.ToLower(v)) }) {
			return false
		}
	}
	for _, e := range item.Entries {
		if !entryHolds(e, doc, lists) {
			return false
		}
	}
	return true
}

func entryHolds(e rule.Entry, doc ecs.Document, lists []rule.ValueList) bool {
	if e.Type == "nested" {
		return slices.ContainsFunc(objects(map[string]any(doc), strings.Split(e.Field, ".")), func(o ecs.Document) bool {
			return !slices.ContainsFunc(e.Entries, func(sub rule.Entry) bool { return !entryHolds(sub, o, lists) })
		})
	}
	holds := slices.ContainsFunc(doc.Values(e.Field), func(v string) bool {
		switch e.Type {
		case "exists":
			return true
		case "wildcard":
			return wildcard(e.Values[0]).MatchString(v)
		case "list":
			l := lists[slices.IndexFunc(lists, func(l rule.ValueList) bool { return l.ID == e.ListID })]
			return slices.ContainsFunc(l.Values, func(s string) bool { return same(e.ListType, v, s) })
		default:
			return slices.ContainsFunc(e.Values, func(s string) bool { return same(fieldTypes[e.Field], v, s) })
		}
	})
	return holds != (e.Operator == "excluded")
}

// objects returns what stands at a path, lists opened.
func objects(v any, path []string) []ecs.Document {
	switch v := v.(type) {
	case []any:
		var out []ecs.Document
		for _, e := range v {
			out = append(out, objects(e, path)...)
		}
		return out
	case map[string]any:
		if len(path) == 0 {
			return []ecs.Document{v}
		}
		return objects(v[path[0]], path[1:])
	}
	return nil
}

func wildcard(pattern string) *regexp.Regexp {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.MustCompile(`(?s)\A(?:` + b.String() + `)\z`)
}

// same compares a value of an event with one of an exception.
func same(typ, value, literal string) bool {
	switch typ {
	case "ip", "ip_range":
		v, err := netip.ParseAddr(value)
		if err != nil {
			return false
		}
		if first, last, ok := strings.Cut(literal, "-"); ok {
			a, b := netip.MustParseAddr(first), netip.MustParseAddr(last)
			return a.Compare(v) <= 0 && v.Compare(b) <= 0
		}
		if strings.Contains(literal, "/") {
			return netip.MustParsePrefix(literal).Contains(v)
		}
		return netip.MustParseAddr(literal) == v
	case "long":
		v, ok := new(big.Rat).SetString(value)
		l, _ := new(big.Rat).SetString(literal)
		return ok && v.Cmp(l) == 0
	}
	return value == literal
}

var fieldTypes = map[string]string{"source.ip": "ip", "source.as.number": "long"}

var drawWords = rapid.SampledFrom([]string{"", "a", "b", "A", "ab", "a?", "a*", `a\`, "é"})

func drawEntry(t *rapid.T, depth int) map[string]any {
	field := rapid.SampledFrom([]string{
		"user.name", "user_agent.original", "aws.cloudtrail.flattened.request_parameters.key", "source.ip", "source.as.number", "no.such.field",
	}).Draw(t, "field")
	value := drawWords
	kinds := []string{"match", "match_any", "exists", "list", "wildcard"}
	switch fieldTypes[field] {
	case "ip":
		value = rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.0/30", "198.51.100.7"})
		kinds = kinds[:4]
	case "long":
		value = rapid.SampledFrom([]string{"64496", "64497", "64496.0"})
		kinds = kinds[:4]
	}
	if depth == 0 {
		kinds = append(kinds, "nested")
	} else {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "list" })
	}
	e := map[string]any{
		"field": field, "type": rapid.SampledFrom(kinds).Draw(t, "type"),
		"operator": rapid.SampledFrom([]string{"included", "excluded"}).Draw(t, "operator"),
	}
	switch e["type"] {
	case "match":
		e["value"] = value.Draw(t, "value")
	case "match_any":
		e["value"] = rapid.SliceOfN(value, 1, 3).Draw(t, "values")
	case "wildcard":
		e["value"] = rapid.StringOfN(rapid.SampledFrom([]rune(`aab?*\`)), 0, 5, -1).Draw(t, "pattern")
	case "list":
		l := drawLists[rapid.IntRange(0, len(drawLists)-1).Draw(t, "list")]
		e["list"] = map[string]any{"id": l.ID, "type": l.Type}
	case "nested":
		e["field"] = "aws.cloudtrail.resources"
		delete(e, "operator")
		inner := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any {
			e := drawEntry(t, 1)
			e["field"] = rapid.SampledFrom([]string{"arn", "type"}).Draw(t, "member")
			switch e["type"] {
			case "match":
				e["value"] = drawWords.Draw(t, "value")
			case "match_any":
				e["value"] = rapid.SliceOfN(drawWords, 1, 3).Draw(t, "values")
			}
			return e
		}), 1, 2).Draw(t, "inner")
		e["entries"] = inner
	}
	return e
}

var drawLists = []rule.ValueList{
	{ID: "words", Type: "keyword", Values: []string{"a", "ab", "192.0.2.1"}},
	{ID: "none", Type: "keyword"},
	{ID: "spans", Type: "ip_range", Values: []string{"192.0.2.0/31", "198.51.100.5-198.51.100.9"}},
	{ID: "numbers", Type: "long", Values: []string{"64496", "7"}},
}

func drawDocument(t *rapid.T) map[string]any {
	optional := func(name string, g *rapid.Generator[string]) any {
		switch values := rapid.SliceOfN(g, 0, 2).Draw(t, name); len(values) {
		case 0:
			return nil
		case 1:
			return values[0]
		default:
			return values
		}
	}
	object := rapid.Custom(func(t *rapid.T) map[string]any {
		return map[string]any{"arn": drawWords.Draw(t, "arn"), "type": rapid.SampledFrom([]any{nil, "a", "b"}).Draw(t, "object type")}
	})
	return map[string]any{
		"@timestamp": "2026-03-01T12:00:00Z",
		"user":       map[string]any{"name": optional("name", drawWords)},
		"user_agent": map[string]any{"original": optional("agent", drawWords)},
		"source": map[string]any{
			"ip": optional("ip", rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.3", "198.51.100.7"})),
			"as": map[string]any{"number": rapid.SampledFrom([]any{nil, 64496, 7, 8}).Draw(t, "asn")},
		},
		"host": map[string]any{"os": map[string]any{"type": rapid.SampledFrom([]any{nil, "linux", "windows"}).Draw(t, "os")}},
		"aws": map[string]any{"cloudtrail": map[string]any{
			"resources": rapid.SliceOfN(object, 0, 2).Draw(t, "resources"),
			"flattened": map[string]any{"request_parameters": map[string]any{"key": optional("key", drawWords)}},
		}},
	}
}

// Compiled exceptions hold exactly where the plain reading of them does, and what
// they decide with partial knowledge agrees with it.
func TestExceptionsAreTheReference(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	rapid.Check(t, func(t *rapid.T) {
		item := map[string]any{
			"list_id": "list", "item_id": "i", "type": "simple", "name": "Item",
			"entries": rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any { return drawEntry(t, 0) }), 1, 3).Draw(t, "entries"),
		}
		if rapid.IntRange(0, 3).Draw(t, "systems") == 0 {
			item["os_types"] = []string{"linux", "macos"}
		}
		file := rule.Parse("x.ndjson", append(mustJSON(t, item), "\n"+theRule...))
		file.ValueLists = drawLists
		if file.Diagnostics.Failed() {
			t.Fatal(file.Diagnostics)
		}
		checkExceptions(t, cat, rule.NewSet(file), mustJSON(t, drawDocument(t)))
	})
}

func mustJSON(t rapid.TB, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func checkExceptions(t rapid.TB, cat *ecs.Catalogue, set *rule.Set, event []byte) {
	exceptions, diags := set.CompileExceptions(set.Rules[0], cat)
	items := set.ExceptionsFor(set.Rules[0])
	if len(exceptions) != len(items) {
		t.Fatalf("of %d items %d apply: %v", len(items), len(exceptions), diags)
	}
	ev, err := ecs.ParseJSON(cat, event)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range exceptions {
		want := excluded(items[i], ev.Document(), set.ValueLists)
		if got := x.Expr.Match(ev); got != want {
			t.Fatalf("%+v on %s: %v, by the reference %v", items[i].Entries, event, got, want)
		}
		decided := x.Expr.Decide(func(f *ecs.Field) ([]string, bool) { return ev.Values(f), true })
		if decided == query.True && !want || decided == query.False && want {
			t.Fatalf("%+v on %s: decided %v, but it is %v", items[i].Entries, event, decided, want)
		}
	}
}

// FuzzExceptions reads exceptions of any text. Whatever loads compiles without a
// panic, says each item that it does not apply, and decides in agreement with what
// it matches.
func FuzzExceptions(f *testing.F) {
	event := `{"@timestamp": "2026-03-01T12:00:00Z", "user": {"name": ["a", "b"]}, "source": {"ip": "192.0.2.1"}}`
	for _, entry := range []string{
		`{"field": "user.name", "operator": "included", "type": "match", "value": "a"}`,
		`{"field": "user.name", "operator": "excluded", "type": "match_any", "value": ["b", "c"]}`,
		`{"field": "user.name", "operator": "included", "type": "wildcard", "value": "a\\?*"}`,
		`{"field": "source.ip", "operator": "included", "type": "list", "list": {"id": "spans", "type": "ip_range"}}`,
		`{"field": "user", "type": "nested", "entries": [{"field": "name", "operator": "included", "type": "match", "value": "a"}]}`,
		`{"field": "source", "operator": "included", "type": "exists"}`,
	} {
		f.Add(`{"list_id": "list", "item_id": "i", "type": "simple", "name": "Item", "entries": [`+entry+`]}`, event)
	}
	f.Fuzz(func(t *testing.T, text, event string) {
		cat := ecs.NewCatalogue()
		file := rule.Parse("x", []byte(text))
		attached := rule.Parse("r", []byte(theRule))
		attached.ValueLists = drawLists
		set := rule.NewSet(file, attached)
		ev, err := ecs.ParseJSON(cat, []byte(event))
		i := slices.IndexFunc(set.Rules, func(r *rule.Rule) bool { return r.ID == "rule" })
		if err != nil || i < 0 {
			t.Skip()
		}
		exceptions, diags := set.CompileExceptions(set.Rules[i], cat)
		said := 0
		for _, d := range append(set.Diagnostics, diags...) {
			if d.Code == "exception-not-applied" || d.Code == "missing-value-list" {
				said++
			}
		}
		if items := set.ExceptionsFor(set.Rules[i]); len(items)-len(exceptions) > said {
			t.Errorf("of %d items %d apply, but %d are said not to: %v", len(items), len(exceptions), said, diags)
		}
		for _, x := range exceptions {
			matches := x.Expr.Match(ev)
			decided := x.Expr.Decide(func(f *ecs.Field) ([]string, bool) { return ev.Values(f), true })
			if decided == query.True && !matches || decided == query.False && matches {
				t.Errorf("decided %v, matches %v", decided, matches)
			}
		}
	})
}

// A value list of a quarter of a million values is applied, and costs one look-up.
func TestLongValueList(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	for i := range 1 << 18 {
		text.WriteString(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
		text.WriteByte('\n')
	}
	item := `{"list_id": "list", "item_id": "i", "type": "simple", "name": "Item", "entries": [{"field": "source.ip", "operator": "included", "type": "list", "list": {"id": "long", "type": "ip"}}]}`
	file := rule.Parse("x", []byte(item+"\n"+theRule))
	file.ValueLists = []rule.ValueList{rule.ParseValueList("long", "ip", text.Bytes())}
	cat := ecs.NewCatalogue()
	set := rule.NewSet(file)
	exceptions, diags := set.CompileExceptions(set.Rules[0], cat)
	if len(exceptions) != 1 || len(diags) > 0 {
		t.Fatal(diags)
	}
	for address, want := range map[string]bool{"10.0.0.0": true, "10.3.255.255": true, "10.4.0.0": false} {
		ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp": "2026-03-01T12:00:00Z", "source": {"ip": "`+address+`"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := exceptions[0].Expr.Match(ev); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
