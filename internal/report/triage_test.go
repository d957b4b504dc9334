package report_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/triage"
)

// triageSamples are the made-up reports under testdata/triage.
func triageSamples(t testing.TB) map[string]*triage.Report {
	t.Helper()
	files, err := filepath.Glob("testdata/triage/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	samples := map[string]*triage.Report{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := report.ReadTriage(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		samples[strings.TrimSuffix(filepath.Base(file), ".json")] = r
	}
	return samples
}

// A triageFormat is one way to write a triage.
type triageFormat struct {
	name  string
	write func(io.Writer, *triage.Report) error
}

func triageText(o report.Options) func(io.Writer, *triage.Report) error {
	return func(w io.Writer, r *triage.Report) error { return report.Triage(w, r, o) }
}

func triageFormats() []triageFormat {
	return []triageFormat{
		{"100.txt", triageText(report.Options{Width: 100})},
		{"plain.txt", triageText(report.Options{})},
		{"color.txt", triageText(report.Options{Width: 100, Color: true})},
		{"html", report.TriageHTML},
		{"md", report.TriageMarkdown},
		{"csv", report.TriageCSV},
	}
}

func renderTriage(t testing.TB, f triageFormat, r *triage.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.write(&b, r); err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	return b.String()
}

// TestTriage compares every format of the samples with the files under testdata.
func TestTriage(t *testing.T) {
	t.Parallel()
	for name, r := range triageSamples(t) {
		if name == "hostile" || name == "attack.v1" {
			continue
		}
		for _, f := range triageFormats() {
			t.Run(name+"."+f.name, func(t *testing.T) {
				t.Parallel()
				got := renderTriage(t, f, r)
				if name != "attack" {
					got = withoutStyle(got)
				}
				golden(t, "testdata/triage/"+name+"."+f.name, got)
			})
		}
	}
}

// A report that went through JSON is the same report, and equal reports are equal bytes.
func TestTriageRoundTrip(t *testing.T) {
	t.Parallel()
	for name, r := range triageSamples(t) {
		var first, second bytes.Buffer
		if err := report.TriageJSON(&first, r); err != nil {
			t.Fatal(err)
		}
		again, err := report.ReadTriage(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if err := report.TriageJSON(&second, again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: other bytes", name)
		}
	}
}

func TestReadTriageErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{`:                      "triage report: unexpected end of JSON input",
		`{}`:                     `triage report: no "schema": this is not a report of a triage`,
		`{"schema":"triage.v9"}`: `triage report: schema "triage.v9": this program reads "triage.v1"`,
		`{"schema":1}`:           "triage report: json: cannot unmarshal number into Go struct field Report.schema of type string",
	} {
		if _, err := report.ReadTriage([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// The samples are as the program would write them: their sums add up.
func TestTriageSamplesAddUp(t *testing.T) {
	t.Parallel()
	for name, r := range triageSamples(t) {
		total := 0
		for _, l := range r.Sum {
			total += l.Points
		}
		if got := min(max(total, 0), 100); got != r.Score {
			t.Errorf("%s: the sum is %d, the score %d", name, total, r.Score)
		}
	}
}

// No line is wider than the terminal, whatever is in it.
func TestTriageFits(t *testing.T) {
	t.Parallel()
	for name, r := range triageSamples(t) {
		for _, width := range []int{60, 80, 100, 200} {
			got := renderTriage(t, triageFormat{"text", triageText(report.Options{Width: width})}, r)
			for line := range strings.Lines(got) {
				line = strings.TrimSuffix(line, "\n")
				if n := lipgloss.Width(line); n > width {
					t.Fatalf("%s at %d: %d columns: %s", name, width, n, line)
				}
			}
		}
	}
}
