package report_test

import (
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/triage"
)

// investigated gives the alerts of a scan reports, all but one.
func investigated(t testing.TB, s *report.Scan, r *triage.Report) *report.Scan {
	t.Helper()
	s.Triage = map[string]*triage.Report{}
	for a, err := range s.Alerts {
		if err != nil {
			t.Fatal(err)
		}
		if a.Withheld || a.Rule.BuildingBlock {
			continue
		}
		if s.Investigable++; s.Investigable > 1 {
			one := *r
			one.AlertID, one.Time = a.UUID, a.Time
			s.Triage[a.UUID] = &one
		}
	}
	return s
}

// Every format of a scan tells what investigations found, and which alerts had none.
func TestScanWithTriage(t *testing.T) {
	t.Parallel()
	samples := triageSamples(t)
	r := samples[slices.Sorted(maps.Keys(samples))[0]]
	for name, tc := range map[string]struct {
		write func(io.Writer, *report.Scan) error
		want  []string
	}{
		"table":  {func(w io.Writer, s *report.Scan) error { return report.Table(w, s, report.Options{}) }, []string{"TRIAGE"}},
		"narrow": {func(w io.Writer, s *report.Scan) error { return report.Table(w, s, report.Options{Width: 100}) }, nil},
		"briefs": {
			func(w io.Writer, s *report.Scan) error { return report.TriageBriefs(w, s, report.Options{Width: 80}) },
			[]string{"alerts investigated, the severest first; --triage="},
		},
		"ndjson":   {report.NDJSON, []string{`"triage":{`, `"schema":"triage.v1"`}},
		"csv":      {report.CSV, []string{",verdict,score,confidence\n", "," + r.Verdict + ","}},
		"markdown": {report.Markdown, []string{"**Investigated:**", "alerts investigated"}},
		"html":     {report.HTML, []string{"<dt>Investigated</dt>", "alerts investigated"}},
		"index":    {report.TriageIndex, []string{"alerts investigated", `href="` + "20", `<span class="badge critical">malicious<`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			if err := tc.write(&b, investigated(t, sample(t), r)); err != nil {
				t.Fatal(err)
			}
			for _, want := range append(tc.want, strings.ReplaceAll(r.Verdict, "_", " ")) {
				if name == "ndjson" || name == "csv" {
					want = strings.ReplaceAll(want, " ", "_")
				}
				if !strings.Contains(strings.ToLower(b.String()), strings.ToLower(want)) {
					t.Errorf("it does not say %q:\n%s", want, b.String())
				}
			}
		})
	}
}

// A name of a page has nothing of a log in it, and the index none of its commands.
func TestTriageIndexIsSafe(t *testing.T) {
	t.Parallel()
	r := &triage.Report{Verdict: `suspicious"><script>`, Summary: "<script>alert(1)</script>\x1b]0;x\a\u202e", Rule: triage.Rule{Name: "<b>"}}
	s := investigated(t, hostile(t), r)
	var b strings.Builder
	if err := report.TriageIndex(&b, s); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script") || strings.ContainsAny(b.String(), "\x1b\a\u202e") {
		t.Errorf("hostile text comes through:\n%s", b.String())
	}
	for _, r := range s.Triage {
		if name := report.TriagePage(r); !regexp.MustCompile(`^\d{8}-\d{6}-[0-9a-zA-Z]*\.html$`).MatchString(name) {
			t.Errorf("a page is called %q", name)
		}
	}
	var text strings.Builder
	if err := report.TriageBriefs(&text, s, report.Options{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\a\u202e") {
		t.Errorf("hostile text comes through: %q", text.String())
	}
}
