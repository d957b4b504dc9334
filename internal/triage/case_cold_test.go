package triage

import (
	"slices"
	"testing"
)

// TestColdLowersConfidence: a report on a history that is not covered is less sure than
// the same on one that is.
func TestColdLowersConfidence(t *testing.T) {
	t.Parallel()
	confidence := func(share float64) float64 {
		f := &fixture{Coverage: &share}
		r, err := Run(t.Context(), f.input(t, f.records(t)))
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(r.Steps, func(a Answer) bool { return a.ID == "T0" }); (r.Steps[i].Status == Answered) == r.Cold {
			t.Errorf("covered %v: T0 is %s", share, r.Steps[i].Status)
		}
		return r.Confidence
	}
	if cold, warm := confidence(0.3), confidence(1); cold >= warm {
		t.Errorf("confidence %v with a cold baseline, %v without", cold, warm)
	}
}
