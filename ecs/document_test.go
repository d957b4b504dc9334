package ecs_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
)

func parse(t testing.TB, raw string) ecs.Document {
	t.Helper()
	doc, err := ecs.ParseDocument([]byte(raw))
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return doc
}

func TestValues(t *testing.T) {
	t.Parallel()
	doc := parse(t, `{
		"event": {"action": "A", "type": ["user", "change"], "none": null, "empty": [], "blank": ""},
		"event.kind": "event",
		"a": [{"b": 1}, {"b": [2, {"c": true}]}, "text", null, [[{"b": 1.50}]]],
		"a.b": "dotted", "x.y": {"z.w": "deep"}, "x": {"y": {"z": {"w": "deeper"}, "z.w": "deep too"}},
		"": {"": "nameless"}, "end.": 1, "end": {"": 2}
	}`)
	for name, want := range map[string][]string{
		"event.action":   {"A"},
		"event.type":     {"user", "change"},
		"event.none":     nil,
		"event.empty":    nil,
		"event.blank":    {""},
		"event.kind":     {"event"},
		"event":          {"A", "", "user", "change", "event"}, // by name, without what has no value
		"a.b":            {"1", "2", "true", "1.50", "dotted"},
		"a.b.c":          {"true"},
		"x.y.z.w":        {"deeper", "deep too", "deep"},
		"x.y.z":          {"deeper", "deep too", "deep"},
		"end.":           {"2", "1"},
		"end":            {"2", "1"},
		".":              {"nameless"},
		"event.action.x": nil, "event.": nil, "nope": nil, "a.": nil, "..": nil,
	} {
		if got := doc.Values(name); !slices.Equal(got, want) {
			t.Errorf("Values(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLeaves(t *testing.T) {
	t.Parallel()
	doc := parse(t, `{"b":{"c":[1,{"d":2}],"":"x"},"a":null,"b.c":3,"e":[[],{}],"f":false}`)
	type leaf struct {
		Name   string
		Values []string
	}
	var got []leaf
	for name, values := range doc.Leaves() {
		got = append(got, leaf{name, values})
	}
	want := []leaf{{"b.", []string{"x"}}, {"b.c", []string{"1", "3"}}, {"b.c.d", []string{"2"}}, {"f", []string{"false"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range doc.Leaves() {
		break // a loop can end early
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	doc := ecs.Document{}
	doc.Set("a.b.c", "1")
	doc.Set("a.b.d", ecs.Number("2.50"))
	doc.Set("a.b.c.e", true) // replaces the text
	doc.Set("z", []any{"x", nil, map[string]any{"y": "\xff\u2028<"}})
	const want = `{"a":{"b":{"c":{"e":true},"d":2.50}},"z":["x",null,{"y":"` + "\uFFFD\u2028" + `<"}]}`
	if got := string(doc.AppendJSON(nil)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, err := json.Marshal(doc); err != nil || !json.Valid(got) {
		t.Errorf("Marshal: %s, %v", got, err)
	}
}

func TestParseDocument(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``:                         "parse a document: unexpected end of JSON",
		`{"a":1`:                   "parse a document: unexpected end of JSON",
		`{"a":1} x`:                "parse a document: there is text behind it",
		`[1]`:                      "parse a document: it is not an object",
		`"text"`:                   "parse a document: it is not an object",
		`{"a":01}`:                 "parse a document: expected ',' or the end of the container at byte 6",
		strings.Repeat("[", 1e6):   "parse a document: nested too deep at byte 128",
		`{"a":"` + "\x01" + `"}`:   "parse a document: control character in a string at byte 6",
		` {"a":1,"\u0061":2} `:     "",
		`{"a":1E400,"b":-0,"c":1}`: "",
	} {
		_, err := ecs.ParseDocument([]byte(raw))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("ParseDocument(%.40q): error %q, want %q", raw, got, want)
		}
	}
	if got := parse(t, `{"a":1,"\u0061":2}`).Values("a"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("of duplicate names %q counts, not the first", got)
	}
	raw := []byte(`{"a":"shared"}`)
	doc, err := ecs.ParseDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw, bytes.Repeat([]byte("x"), len(raw)))
	if got := doc.Values("a"); !slices.Equal(got, []string{"shared"}) {
		t.Errorf("the document shares the input's memory: %q", got)
	}
}

// Every leaf is found by its name, and what is printed reads back the same.
func TestLeavesAreFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc := ecs.Document(object(4).Draw(t, "document"))
		raw := doc.AppendJSON(nil)
		back, err := ecs.ParseDocument(raw)
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if diff := cmp.Diff(doc, back); diff != "" {
			t.Fatalf("it came back different (-want +got):\n%s", diff)
		}
		seen := 0
		for name, want := range doc.Leaves() {
			seen++
			got := doc.Values(name)
			// What is at the name, and what is below it when the name is an object too.
			for _, v := range want {
				if !slices.Contains(got, v) {
					t.Fatalf("Values(%q) = %q lacks %q: %s", name, got, v, raw)
				}
			}
			if len(got) < len(want) {
				t.Fatalf("Values(%q) = %q, Leaves has %q: %s", name, got, want, raw)
			}
		}
	})
}

func object(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "a.b", "b.a", "", ".", "c"}), value(depth-1), 0, 4)
}

func value(depth int) *rapid.Generator[any] {
	scalar := rapid.SampledFrom([]any{"x", "", nil, true, false, ecs.Number("1.50"), ecs.Number("-0"), "é\"\\\n"})
	if depth <= 0 {
		return scalar
	}
	return rapid.OneOf(scalar, rapid.Map(object(depth), func(m map[string]any) any { return m }),
		rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(l []any) any { return l }))
}

// FuzzParseJSON reads any text as an ECS document, and what it could read again.
func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"action":"A","id":"1"},"cloud.account.id":"2"}`))
	f.Add([]byte(`{"@timestamp":["2026-01-31T08:00:00.5+01:00"],"aws.cloudtrail.user_identity.type":"Root","":[{"a.b":null}]}`))
	f.Add([]byte(`{"@timestamp":null,"a":{"b":["` + "\xff" + `",1e9]}}`))
	cat := ecs.NewCatalogue()
	f.Fuzz(func(t *testing.T, raw []byte) {
		ev, err := ecs.ParseJSON(cat, raw)
		if err != nil {
			return
		}
		doc := ev.Document()
		again, err := ecs.ParseJSON(cat, doc.AppendJSON(nil))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(doc, again.Document()); diff != "" {
			t.Fatalf("it came back different (-want +got):\n%s", diff)
		}
		if !again.Time().Equal(ev.Time()) {
			t.Fatalf("the time %s came back as %s", ev.Time(), again.Time())
		}
		if id := doc.Values("event.id"); len(id) == 1 && id[0] != "" && again.ID() != ev.ID() {
			t.Fatalf("the ID %s came back as %s", ev.ID(), again.ID())
		}
	})
}
