package triage

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// An event that builds its document when it is asked for a field says what the stored
// event's document does, whether it was stored as a record or as a document.
func TestEventIsItsDocument(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/*/*.toml")
	events := 0
	for _, file := range files {
		for name, f := range load(t, file) {
			m := newMemory(t, f.records(t), f.Places)
			for _, s := range m.all {
				events++
				if !sayTheSame(t, m.reader, s) {
					t.Fatalf("%s: %s: %s", file, name, s.Raw)
				}
				raw := s.Event.Document().AppendJSON(nil)
				ev, err := ecs.ParseJSON(m.cat, raw)
				if err != nil {
					t.Fatal(err)
				}
				d := &store.Stored{Record: store.Record{Kind: store.KindDocument, Time: s.Time, ID: s.ID, Raw: raw}, Event: ev}
				if !sayTheSame(t, m.reader, d) {
					t.Fatalf("%s: %s, as a document: %s", file, name, raw)
				}
			}
		}
	}
	if events < 1000 {
		t.Errorf("only %d events", events)
	}
}

func sayTheSame(t *testing.T, r *reader, s *store.Stored) bool {
	t.Helper()
	doc := s.Event.Document()
	e := r.read(s)
	for field := range doc.Leaves() {
		if known(field) {
			continue
		}
		want := doc.Values(field)
		if got := e.Values(field); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", field, got, want)
			return false
		}
		for part, ask := range map[string]func(string) []string{
			"aws.cloudtrail.flattened.request_parameters.": e.Request, "aws.cloudtrail.flattened.response_elements.": e.Response,
		} {
			if path, ok := strings.CutPrefix(field, part); ok && !slices.Equal(ask(path), want) {
				t.Errorf("%s is %q, want %q", field, ask(path), want)
				return false
			}
		}
	}
	for field := range e.doc.Leaves() {
		if doc.Values(field) == nil {
			t.Errorf("%s is not in the document", field)
			return false
		}
	}
	return true
}
