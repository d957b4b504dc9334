package triage

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// TestDocuments stores the events as ECS documents, as a pipeline of Elastic ships them:
// what is said of the caller is the same as of CloudTrail's own records.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"T3", "T4", "T6"} {
		for name, f := range load(t, "testdata/weights/"+step+".toml") {
			t.Run(step+"."+name, func(t *testing.T) {
				t.Parallel()
				in := f.input(t, f.records(t))
				want, err := Run(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				m, ok := in.Events.(*memory)
				if !ok {
					t.Fatal("no memory")
				}
				asDocuments(t, m)
				got, err := Run(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(says(want, step), says(got, step)); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(want.Chain, got.Chain); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// asDocuments stores every event of m as its ECS document.
func asDocuments(t *testing.T, m *memory) {
	t.Helper()
	for i, s := range m.all {
		raw, err := json.Marshal(s.Event.Document())
		if err != nil {
			t.Fatal(err)
		}
		e, err := ecs.ParseJSON(m.cat, raw)
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		m.all[i] = &store.Stored{Record: store.Record{Kind: store.KindDocument, Time: s.Time, ID: s.ID, Raw: raw}, Event: e}
	}
}
