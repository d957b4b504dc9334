package triage

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/debutsec/debut/internal/store"
)

// networks are sums with more networks of one principal than a baseline keeps.
type networks struct {
	*memory
	principal string
	n         int
}

func (a *networks) Rollups(ctx context.Context, q store.RollupQuery) iter.Seq2[*store.Rollup, error] {
	return func(yield func(*store.Rollup, error) bool) {
		for s, err := range a.memory.Rollups(ctx, q) {
			if !yield(s, err) {
				return
			}
		}
		if q.Principal != "" && q.Principal != a.principal {
			return
		}
		s := &store.Rollup{First: q.From, Last: q.From, Count: 1, RollupKey: store.RollupKey{
			Hour: q.From, Principal: a.principal, Provider: "ec2.amazonaws.com", Action: "DescribeTags",
		}}
		for i := range a.n {
			if s.Network = fmt.Sprint("n", i); !yield(s, nil) {
				return
			}
		}
	}
}

// TestFloodedBaseline: who fills the baseline so that it is not kept whole takes away
// what rests on absence, and gains nothing else: the case is not likely benign.
func TestFloodedBaseline(t *testing.T) {
	t.Parallel()
	f := load(t, "testdata/weights/F.toml")["patch-manager-yes"]
	for n, want := range map[int]bool{10: true, maxSeen + 1: false} {
		in := f.input(t, f.records(t))
		m, _ := in.Events.(*memory)
		in.Events = &networks{m, "arn:aws:iam::111122223333:role/Other", n}
		r, err := Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if benign := r.Verdict == LikelyBenign && r.Exception != nil; benign != want {
			t.Errorf("%d networks: %s; exception %v", n, r.Summary, r.Exception)
		}
		for i := range r.Steps {
			for _, x := range r.Steps[i].Findings {
				if x.Absence && x.Dropped == "" && !want {
					t.Errorf("%s.%s counts", r.Steps[i].ID, x.Key)
				}
			}
		}
	}
}
