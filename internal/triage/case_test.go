package triage

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the reports that are expected")

// TestCases runs testdata/cases/*.toml: the report is the one in the .json of the same
// name, whatever the order of the records and however often each is there.
func TestCases(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/cases/*.toml")
	if len(files) == 0 {
		t.Fatal("no cases")
	}
	for _, file := range files {
		for name, f := range load(t, file) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				records := f.records(t)
				got := reportOf(t, f, records)
				golden := filepath.Join("testdata/cases", name+".json")
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
					t.Errorf("the report differs (-want +got); go test ./internal/triage -update writes it:\n%s", diff)
				}
				r := rand.New(rand.NewPCG(1, uint64(len(records))))
				for range 3 {
					more := slices.Concat(records, records[:r.IntN(len(records)+1)])
					first := more[0]
					r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
					// The alert's record is the first: it stands there once more.
					if other := reportOf(t, f, append([][]byte{first}, more...)); !bytes.Equal(other, got) {
						t.Fatalf("another order, or copies, change the report:\n%s", cmp.Diff(string(got), string(other)))
					}
				}
			})
		}
	}
}

func reportOf(t *testing.T, f *fixture, records [][]byte) []byte {
	t.Helper()
	r, err := Run(t.Context(), f.input(t, records))
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, r)
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// checkSum adds the score up as a reader would.
func checkSum(t *testing.T, r *Report) {
	t.Helper()
	n := 0
	for _, l := range r.Sum {
		n += l.Points
	}
	if n = min(max(n, 0), 100); n != r.Score {
		t.Errorf("the sum gives %d, the report says %d", n, r.Score)
	}
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			if len(f.Events) == 0 {
				t.Errorf("%s.%s cites nothing", r.Steps[i].ID, f.Key)
			}
		}
	}
}

// What AWS refuses is an unknown of the question that it would answer, and nobody is
// told to ask again what was asked.
func TestRefusedByAWS(t *testing.T) {
	t.Parallel()
	f := &fixture{Live: &Live{
		Commands:  Looked[[]LiveCommand]{Looks: []Look{{Call: "ssm:ListCommands", Time: alertTime, Error: "AccessDenied", Policy: "{}"}}},
		Instances: Looked[[]LiveInstance]{Looks: []Look{{Call: "ec2:DescribeInstances", Time: alertTime, Error: "AWS did not answer in time"}}},
	}}
	r, err := Run(t.Context(), f.input(t, f.records(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"what the command does: its text is not in the log": "T5", "what ec2:DescribeInstances would tell: AWS did not answer in time": "T1"}
	refused := 0
	for _, u := range r.Unknowns {
		if strings.Contains(u.Remedy, "--live") {
			t.Errorf("to ask again: %+v", u)
		}
		if strings.Contains(u.What+u.Remedy, "ssm:ListCommands") {
			refused++
		}
		if want[u.What] == u.Step {
			delete(want, u.What)
		}
	}
	if len(want) > 0 || refused != 1 {
		t.Errorf("a refused call is told %d times; not told: %v; unknown are %+v", refused, want, r.Unknowns)
	}
}

// Of very many events of everybody's the latest are read, and the report says so.
func TestReadsAbout(t *testing.T) {
	t.Parallel()
	f := &fixture{Events: []map[string]any{
		{"at": "-21d", "every": "1d", "times": int64(19), "do": "ssm:SendCommand", "who": "role/Other", "request": map[string]any{"documentName": "AWS-RunShellScript"}},
		{"at": "-21d", "every": "1d", "times": int64(19), "do": "ec2:CreateTags", "who": "role/Other"},
	}}
	for text, want := range map[string]bool{"[limits]\nread_about = 5": true, "": false} {
		in := f.input(t, f.records(t))
		w, err := ParseWeights([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		in.Weights = w
		r, err := Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []string{"T1", "T2"} {
			says := says(r, step)
			if got := strings.Contains(says, "are looked at"); got != want {
				t.Errorf("%q, %s: a caveat %v, want %v: %s", text, step, got, want, says)
			}
		}
		if got := strings.Contains(says(r, "T2"), "19 times by 1 principal"); got == want {
			t.Errorf("%q: %s", text, says(r, "T2"))
		}
	}
}
