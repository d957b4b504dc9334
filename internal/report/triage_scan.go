package report

import (
	"cmp"
	_ "embed" // the page's template
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/triage"
)

// triageOf returns the report of an alert, nil if there is none.
func (s *Scan) triageOf(a *alert.Alert) *triage.Report { return s.Triage[a.UUID] }

// verdictCell is a verdict in a column: the score and the word.
func (s *Scan) verdictCell(a *alert.Alert) string {
	r := s.triageOf(a)
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%d %s", r.Score, words(r.Verdict))
}

// triageNote says how many alerts were investigated, if not all were.
func triageNote(s *Scan) string {
	if s.Triage == nil || s.Investigable <= len(s.Triage) {
		return ""
	}
	return fmt.Sprintf("%s of %s alerts investigated, the severest first; --triage=%d investigates all.",
		count(int64(len(s.Triage))), count(int64(s.Investigable)), s.Investigable)
}

// ranked returns the reports, the highest score first.
func (s *Scan) ranked() []*triage.Report {
	return slices.SortedFunc(maps.Values(s.Triage), func(a, b *triage.Report) int {
		return cmp.Or(b.Score-a.Score, a.Time.Compare(b.Time), strings.Compare(a.AlertID, b.AlertID))
	})
}

// TriageBriefs writes a few lines for each alert of a scan that was investigated, the
// highest score first: the summary, and what counts most.
func TriageBriefs(w io.Writer, s *Scan, o Options) error {
	if s.Triage == nil {
		return nil
	}
	p := &printer{w: w, color: o.Color}
	width := cmp.Or(o.Width, 120)
	for _, r := range s.ranked() {
		p.line("\n%s", p.bold(fmt.Sprintf("%3d %s  %s  %s", r.Score, words(r.Verdict), clock(r.Time, timeFormat), Safe(clip(r.Rule.Name, maxName)))))
		for _, l := range wrap(Safe(clip(r.Summary, maxSummary)), width-4) {
			p.line("    %s", l)
		}
		for _, t := range topTerms(r, 5) {
			p.line("    %+4d  %-4s %s", t.Points, t.Step, cut(Safe(t.Text), max(20, width-14)))
		}
	}
	if note := triageNote(s); note != "" {
		p.line("")
		p.note(note, o.Width)
	}
	return p.err
}

// topTerms returns the terms of a score that count most.
func topTerms(r *triage.Report, most int) []triage.SumLine {
	list := slices.DeleteFunc(slices.Clone(r.Sum), func(l triage.SumLine) bool { return l.Step == "" || l.Points == 0 })
	slices.SortStableFunc(list, func(a, b triage.SumLine) int { return max(b.Points, -b.Points) - max(a.Points, -a.Points) })
	return first(list, most)
}

// maxSummary bounds a summary, in bytes.
const maxSummary = 2000

// TriagePage is the name of the file that a report is written to beside others.
func TriagePage(r *triage.Report) string {
	id := strings.Map(func(c rune) rune { // a handle has nothing else
		if strings.ContainsRune("0123456789abcdef", c) {
			return c
		}
		return -1
	}, r.AlertID)
	return fmt.Sprintf("%s-%s.html", r.Time.UTC().Format("20060102-150405"), id[:min(len(id), 12)])
}

//go:embed triage_index.html
var indexSource string

type indexRow struct {
	Page, Time, Verdict, Class, Severity, Rule, Who, What, Where, Summary string
	Score                                                                 int
}

// TriageIndex writes a page that leads to the reports of a scan's alerts, each in the
// file that [TriagePage] names.
func TriageIndex(w io.Writer, s *Scan) error {
	lines := map[string]line{}
	for a, err := range s.notified() {
		if err != nil {
			return err
		}
		if r := s.triageOf(a); r != nil {
			lines[r.AlertID] = lineOf(a)
		}
	}
	var rows []indexRow
	for _, r := range s.ranked() {
		l := lines[r.AlertID]
		rows = append(rows, indexRow{
			TriagePage(r), clock(r.Time, timeFormat), words(r.Verdict), verdictClass(r.Verdict), Safe(l.Severity), Safe(l.Name),
			Safe(l.Who), Safe(l.What), Safe(l.Where), Safe(clip(r.Summary, maxSummary)), r.Score,
		})
	}
	t, err := pageTemplate(indexSource, nil)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{
		"Rows": rows, "Paths": Safe(strings.Join(few(s.Paths, maxName), ", ")), "Now": clock(s.Now, timeFormat), "Version": s.Version, "Note": triageNote(s),
	})
}
