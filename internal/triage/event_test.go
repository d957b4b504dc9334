package triage

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// known is what only an enricher knows of an event: steps do not ask the document for it.
func known(field string) bool {
	for _, p := range []string{"user_agent.name", "user_agent.version", "user_agent.device.", "user_agent.os.", "source.geo.", "source.as."} {
		if strings.HasPrefix(field, p) {
			return true
		}
	}
	return false
}

// What an event reads out of its record, and then out of the document that is built for
// its structure, is what the stored event's document says, whether that was stored as a
// record or as a document. Fields that it does not have are asked for too.
func TestEventIsItsDocument(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/*/*.toml")
	events := 0
	for _, file := range files {
		var m *memory
		var all []*store.Stored
		fields := map[string]bool{}
		for _, f := range load(t, file) {
			m = newMemory(t, f.records(t), f.Places)
			all = append(all, m.all...)
			for _, s := range m.all {
				for field := range s.Event.Document().Leaves() {
					fields[field] = !known(field)
				}
			}
		}
		for _, s := range all[:min(len(all), 60)] {
			events++
			sayTheSame(t, m.cat, s, fields)
			raw := s.Event.Document().AppendJSON(nil)
			ev, err := ecs.ParseJSON(m.cat, raw)
			if err != nil {
				t.Fatal(err)
			}
			sayTheSame(t, m.cat, &store.Stored{Record: store.Record{Kind: store.KindDocument, Time: s.Time, ID: s.ID, Raw: raw}, Event: ev}, fields)
		}
	}
	if events < 500 {
		t.Errorf("only %d events", events)
	}
}

func sayTheSame(t *testing.T, cat *ecs.Catalogue, s *store.Stored, fields map[string]bool) {
	t.Helper()
	const request, response = "aws.cloudtrail.flattened.request_parameters.", "aws.cloudtrail.flattened.response_elements."
	doc := s.Event.Document()
	e := newReader(cat).read(s)
	for range 2 {
		for field, ask := range fields {
			if !ask {
				continue
			}
			got := e.Values(field)
			if path, ok := strings.CutPrefix(field, request); ok {
				got = e.Request(path)
			}
			if path, ok := strings.CutPrefix(field, response); ok {
				got = e.Response(path)
			}
			if want := doc.Values(field); !slices.Equal(got, want) {
				t.Fatalf("%s is %q, want %q: %s", field, got, want, s.Raw)
			}
		}
		e.load()
	}
	for field := range doc.Leaves() {
		for part, tree := range map[string]func(string) any{request: e.RequestTree, response: e.ResponseTree} {
			path, ok := strings.CutPrefix(field, part)
			name, _, _ := strings.Cut(path, ".")
			if want := member(doc, strings.TrimSuffix(strings.TrimPrefix(part, "aws.cloudtrail.flattened."), "."))[name]; ok && !cmp.Equal(tree(name), want) {
				t.Fatalf("%s: %v, want %v", field, tree(name), want)
			}
		}
	}
}
