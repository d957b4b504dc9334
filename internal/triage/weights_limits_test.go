package triage

import (
	"strings"
	"testing"
)

// TestLimitsRefused: a limit that steps cannot work with is refused with its name, and
// the smallest that are allowed stop no report.
func TestLimitsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"cadence_events = 0", "cadence_events = 0.5", "exception_days = 100000000", "peers_share = 1.5", "peers_share = 0", "peers_share = nan",
		"baseline = '0s'", "baseline = '-1h'", "baseline = '999999h'", "chain_depth = -1",
	} {
		name, _, _ := strings.Cut(text, " ")
		if _, err := ParseWeights([]byte("[limits]\n" + text)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var least strings.Builder
	w, err := ParseWeights()
	if err != nil {
		t.Fatal(err)
	}
	least.WriteString("[limits]\n")
	for name, v := range w.limits {
		value := "'1ns'"
		if f, ok := v.(float64); ok {
			if value = "1"; f < 1 {
				value = "0.0001"
			}
		}
		least.WriteString(name + " = " + value + "\n")
	}
	f := load(t, "testdata/attacks.toml")["denied-with-habit"]
	in := f.input(t, f.records(t))
	if in.Weights, err = ParseWeights([]byte(least.String())); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}
