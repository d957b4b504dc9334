package triage

import (
	"slices"
	"testing"
	"time"
)

// caseOf loads a whole case.
func caseOf(t *testing.T, name string) *fixture {
	t.Helper()
	f := load(t, "testdata/cases/"+name+".toml")[name]
	if f == nil {
		t.Fatalf("no case %s", name)
	}
	return f
}

func provenOf(r *Report) (list []string) {
	for _, c := range r.Claims {
		if c.Status == Proven {
			list = append(list, c.Name)
		}
	}
	return list
}

// TestVerdicts: what is harmless ends so for a proof, what is forged does not, and an
// attack is one however little of the history there is.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		verdicts []string
		proven   []string
	}{
		"attack":                      {[]string{Malicious}, nil},
		"truncated-history":           {[]string{Malicious, LikelyMalicious}, nil},
		"stolen-instance-credentials": {[]string{Malicious, LikelyMalicious}, nil},
		"state-manager":               {[]string{LikelyBenign}, []string{"State Manager"}},
		"patch-manager":               {[]string{LikelyBenign}, []string{"Patch Manager"}},
		"ci-role":                     {[]string{LikelyBenign}, []string{"pipeline"}},
		"on-call":                     {[]string{LikelyBenign}, []string{"person on call"}},
		"cold-baseline":               {[]string{Review}, []string{"State Manager"}},
		"state-manager-name-only":     {[]string{Suspicious, LikelyMalicious}, nil},
		"patch-name-only":             {[]string{Suspicious, LikelyMalicious}, nil},
		"ci-agent-only":               {[]string{Review, Suspicious}, nil},
		"time-only":                   {[]string{Review, Suspicious}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := caseOf(t, name)
			r, err := Run(t.Context(), f.input(t, f.records(t)))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(want.verdicts, r.Verdict) {
				t.Errorf("%s", r.Summary)
			}
			if got := provenOf(r); !slices.Equal(got, want.proven) {
				t.Errorf("proven: %q, want %q", got, want.proven)
			}
			// None for what a service does with a document that runs any code: it would hide
			// everybody's schedules.
			if (r.Exception != nil) != (r.Verdict == LikelyBenign && name != "state-manager") {
				t.Errorf("the exception is %+v", r.Exception)
			}
		})
	}
}

// TestForged changes one fact of a harmless case at a time: without it the case is no
// longer proven, and not likely benign for it.
func TestForged(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]map[string]func(f *fixture){
		"state-manager": {
			"the call comes from an address": func(f *fixture) {
				f.Alert["ip"], f.Alert["record"] = "203.0.113.77", nil
				f.Alert["who"] = "role/AWSServiceRoleForAmazonSSM"
			},
			"no association":    func(f *fixture) { f.Events = f.Events[1:] },
			"a new association": func(f *fixture) { f.Events[0]["at"] = "-2h" },
			"another instance": func(f *fixture) {
				f.Alert["request"].(map[string]any)["instanceIds"] = []any{"i-0000000000000000a", "i-0000000000000000f"}
			},
			"another document": func(f *fixture) { f.Alert["request"].(map[string]any)["documentName"] = "AWS-RunPowerShellScript" },
		},
		"patch-manager": {
			"the call comes from an address": func(f *fixture) {
				f.Alert["ip"], f.Alert["record"] = "203.0.113.77", nil
				f.Alert["who"] = "role/Patch"
			},
			"no earlier runs":  func(f *fixture) { f.Events = nil },
			"at another time":  func(f *fixture) { f.Events[0]["at"] = "-28d3h" },
			"another document": func(f *fixture) { f.Alert["request"].(map[string]any)["documentName"] = "Patch-RunPatchBaseline" },
		},
		"ci-role": {
			"no repository":      func(f *fixture) { f.Events = f.Events[1:] },
			"another repository": func(f *fixture) { f.Settings.Subjects = []string{"repo:other/*"} },
			"another network":    func(f *fixture) { f.Alert["ip"] = "203.0.113.77" },
			"another agent":      func(f *fixture) { f.Alert["agent"] = "aws-cli/2.17.60 os/linux#6.5" },
			"no history":         func(f *fixture) { f.Events = f.Events[:1] },
			"another document":   func(f *fixture) { f.Alert["request"].(map[string]any)["documentName"] = "AWS-RunRemoteScript" },
		},
		"on-call": {
			"no MFA":          func(f *fixture) { f.Alert["mfa"] = "false" },
			"another address": func(f *fixture) { f.Alert["ip"] = "203.0.113.77" },
			"another time":    func(f *fixture) { f.Settings.Rota[0].To = "-1m" },
			"another person":  func(f *fixture) { f.Alert["session"] = "eve@example.com" },
		},
	} {
		for what, change := range changes {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				f := caseOf(t, name)
				change(f)
				r, err := Run(t.Context(), f.input(t, f.records(t)))
				if err != nil {
					t.Fatal(err)
				}
				if got := provenOf(r); len(got) > 0 {
					t.Errorf("proven: %q; %s", got, r.Summary)
				}
			})
		}
	}
}

// TestExceptionEnds: what rests on a rota is proposed to its end only.
func TestExceptionEnds(t *testing.T) {
	t.Parallel()
	f := caseOf(t, "on-call")
	r, err := Run(t.Context(), f.input(t, f.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Exception == nil || !r.Exception.Expires.Equal(alertTime.Add(4*24*time.Hour)) {
		t.Errorf("%+v", r.Exception)
	}
	f.AsOf = "5d"
	if r, err = Run(t.Context(), f.input(t, f.records(t))); err != nil || r.Exception != nil {
		t.Errorf("after its end: %+v, %v", r.Exception, err)
	}
}
