package triage

import "testing"

// TestAttacks runs testdata/attacks.toml: what an intruder does to look harmless never
// ends as likely benign, and gets no exception proposed.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for name, f := range load(t, "testdata/attacks.toml") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "flood" && testing.Short() {
				t.Skip("it has 20,000 events")
			}
			r, err := Run(t.Context(), f.input(t, f.records(t)))
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict == LikelyBenign || r.Exception != nil {
				t.Errorf("%s; exception: %+v; sum:", r.Summary, r.Exception)
				for _, l := range r.Sum {
					t.Errorf("%+d %s %s  %s", l.Points, l.Step, l.Key, l.Text)
				}
			}
		})
	}
}
