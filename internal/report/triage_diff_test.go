package report_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/debutsec/debut/internal/report"
)

func TestTriageDiff(t *testing.T) {
	t.Parallel()
	samples := triageSamples(t)
	d, err := report.DiffTriage(samples["attack.v1"], samples["attack"])
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"100.txt":   func(w io.Writer) error { return report.TriageDiffText(w, d, report.Options{Width: 100}) },
		"color.txt": func(w io.Writer) error { return report.TriageDiffText(w, d, report.Options{Color: true}) },
		"md":        func(w io.Writer) error { return report.TriageDiffMarkdown(w, d) },
		"json":      func(w io.Writer) error { return report.TriageDiffJSON(w, d) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/diff/attack."+name, b.String())
		})
	}
}

// A report differs in nothing from itself, and what is added one way is removed the
// other way.
func TestTriageDiffOfEqualAndReverse(t *testing.T) {
	t.Parallel()
	samples := triageSamples(t)
	for name, r := range samples {
		d, err := report.DiffTriage(r, r)
		if err != nil || !d.Empty() {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	there, err := report.DiffTriage(samples["attack.v1"], samples["attack"])
	if err != nil {
		t.Fatal(err)
	}
	back, err := report.DiffTriage(samples["attack"], samples["attack.v1"])
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string][2]int{
		"findings":  {len(there.FindingsAdded), len(back.FindingsRemoved)},
		"events":    {len(there.EventsAdded), len(back.EventsRemoved)},
		"unknowns":  {len(there.UnknownsSolved), len(back.UnknownsAdded)},
		"actions":   {len(there.ActionsProposed), len(back.ActionsDropped)},
		"changes":   {len(there.FindingsChanged), len(back.FindingsChanged)},
		"questions": {len(there.AnswersChanged), len(back.AnswersChanged)},
	} {
		if n[0] == 0 || n[0] != n[1] {
			t.Errorf("%s: %d there, %d back", name, n[0], n[1])
		}
	}
	if there.Empty() {
		t.Error("nothing changed")
	}
}

func TestTriageDiffOfDifferentAlerts(t *testing.T) {
	t.Parallel()
	samples := triageSamples(t)
	_, err := report.DiffTriage(samples["attack"], samples["benign"])
	want := "triage diff: the reports are of different alerts, 3f2a91c07d4e5b68 and 77b0c2aa11223344: name two versions of one"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
