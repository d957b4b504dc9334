package triage

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"
)

// agents are sums with more agents of one principal than a baseline keeps.
type agents struct {
	*memory
	principal string
	n         int
}

func (a *agents) Sums(ctx context.Context, from, to time.Time) iter.Seq2[*Sum, error] {
	return func(yield func(*Sum, error) bool) {
		for s, err := range a.memory.Sums(ctx, from, to) {
			if !yield(s, err) {
				return
			}
		}
		s := &Sum{Hour: from, First: from, Last: from, Principal: a.principal, Provider: "ec2.amazonaws.com", Action: "DescribeTags", Count: 1}
		for i := range a.n {
			if s.Agent = fmt.Sprint("a", i); !yield(s, nil) {
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
		m, _ := in.Sums.(*memory)
		in.Sums = &agents{m, "arn:aws:iam::111122223333:role/Other", n}
		r, err := Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if benign := r.Verdict == LikelyBenign && r.Exception != nil; benign != want {
			t.Errorf("%d agents: %s; exception %v", n, r.Summary, r.Exception)
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
