package server

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/store"
)

// Whatever was stored, what comes out is one JSON object in which the workflow stands,
// or an error.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"debut":7}`, `{"debut":{"alert":{"handle":"x","a":1}},"a":12345678901234567890}`, `{"kibana.alert.workflow_status":null}`,
		`{"a":{"b":[1,{"c":"\ud800"}]}}`, `[]`, `{"a":1`, `{"a":1}x`, "{\"\xff\":1}", `{"a":1,"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		a := &store.Alert{Handle: "h\x00\xff\u2028", UUID: "u", Status: store.Closed, Tags: []string{"<b>"}}
		out, err := appendDocument(nil, a, &store.AlertDocument{Document: doc})
		if err != nil {
			return
		}
		status := ""
		for name, value := range objectMembers(out) {
			if value == nil {
				t.Fatalf("%q became %q, which is no object", doc, out)
			}
			if name == "kibana.alert.workflow_status" {
				status = string(value)
			}
		}
		if status != `"closed"` || bytes.ContainsRune(out, '\n') && !bytes.ContainsRune(doc, '\n') {
			t.Fatalf("%q became %q", doc, out)
		}
	})
}

// A record with a name twice is shown with the first, and what is shown is JSON.
func FuzzRawEvent(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"a":2}`, `{"a":{"b":[{"c":1,"c":2}]},"d":"\ud800"}`, "{\"a\":\"\xff\"}", `nonsense`, `{"a":1}`, ``, `[{"a":1,"a":[]}]`, `{"a":1,"\u0061":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, kind := rawEvent(&store.AlertDocument{Kind: store.KindRecord, Raw: raw})
		if kind != "record" || !v.IsValid() {
			t.Fatalf("%q became %q", raw, v)
		}
		if jsontext.Value(raw).IsValid() && !bytes.Equal(raw, v) {
			t.Fatalf("%q became %q without need", raw, v)
		}
	})
}

func TestFirstNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1,"a":2}`:                           `{"a":1}`,
		`{"x":[{"a":1,"a":2},[]],"x":3}`:          `{"x":[{"a":1},[]]}`,
		`{"a":1,"\u0061":2,"b":"\u0062","c":1.0}`: `{"a":1,"b":"b","c":1.0}`,
		"{\"a\":\"\xff\",\"a\":1}":                "{\"a\":\"\uFFFD\"}",
	} {
		got, err := firstNames(jsontext.Value(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
	if _, err := appendDocument(nil, &store.Alert{}, &store.AlertDocument{Document: []byte("[]")}); err == nil {
		t.Error("a list is no document")
	}
	if !slices.Equal([]string{"a"}, texts([]string{"a"})) || texts(nil) == nil {
		t.Error("no tags are an empty list, not null")
	}
}
