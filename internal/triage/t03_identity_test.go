package triage

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// TestChainLinks follows a chain over two accounts and two roles.
func TestChainLinks(t *testing.T) {
	t.Parallel()
	f := load(t, "testdata/chain.toml")["chain"]
	r, err := Run(t.Context(), f.input(t, f.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	const ann = "arn:aws:iam::444455556666:user/ann"
	want := []Link{
		{
			Principal: "arn:aws:iam::111122223333:role/Deploy", Type: "AssumedRole", Credential: "ASIA0000000000000001", Session: "ci", Account: "111122223333",
			Address: "198.51.100.7", Attributes: []string{"source identity ann"},
		},
		{
			Principal: "arn:aws:iam::444455556666:role/Base", Type: "AssumedRole", Credential: "ASIA0000000000000002", Session: "work", Account: "444455556666",
			Address: "198.51.100.8", Time: alertTime.Add(-8 * time.Minute), EventID: "00000000-0000-4000-8000-000000000003", Action: "AssumeRole",
			Attributes: []string{"source identity ann", "tag team=payments"},
		},
		{
			Principal: ann, Type: "IAMUser", Credential: "ASIA0000000000000003", Account: "444455556666", Address: "198.51.100.9",
			Time: alertTime.Add(-20 * time.Minute), EventID: "00000000-0000-4000-8000-000000000004", Action: "AssumeRole",
		},
		{
			Principal: ann, Type: "IAMUser", Credential: "AKIA616E6E0000000000", Account: "444455556666", Address: "198.51.100.9",
			Time: alertTime.Add(-time.Hour), EventID: "00000000-0000-4000-8000-000000000005", Action: "GetSessionToken",
		},
	}
	if diff := cmp.Diff(want, r.Chain); diff != "" {
		t.Error(diff)
	}
}

// TestOrder gives the events in another order and twice: the answers stay.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"T3", "T4", "T6"} {
		for name, f := range load(t, "testdata/weights/"+step+".toml") {
			t.Run(step+"."+name, func(t *testing.T) {
				t.Parallel()
				records := f.records(t)
				want := reportOf(t, f, records)
				other := slices.Concat(records, records)
				rand.New(rand.NewPCG(1, 2)).Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
				if got := reportOf(t, f, append([][]byte{records[0]}, other...)); !bytes.Equal(got, want) {
					t.Error(cmp.Diff(string(want), string(got)))
				}
			})
		}
	}
}

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
