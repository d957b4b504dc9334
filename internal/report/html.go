package report

import (
	"cmp"
	_ "embed" // the page's template
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/query"
)

//go:embed page.html
var pageSource string

// styleSource is the style of every page.
//
//go:embed style.css
var styleSource string

// A page is what the template shows. The template passes every text through Safe,
// and html/template escapes it for where it stands.
type page struct {
	Now      string
	Version  string
	Paths    []string
	Tiles    []tile
	Period   string
	Timeline *timeline
	Cards    []card
	Nothing  string
	Remarks  []string
	Read     []string
	Notes    []string
	Top      []top10
	Zones    []zoneRow
	Problems []problemRow
	NotRead  []tally
	Rules    []ruleRow
	Failed   []string
}

// A tile is a large number with a word under it.
type tile struct{ Value, Label, Class string }

// A top10 is a list of the largest.
type top10 struct {
	Title string
	Rows  []bar
	More  int
}

// A bar is a row of a top10 with its share of the largest, in percent.
type bar struct {
	Name, Count string
	Share       float64
}

// A zoneRow is a Zone in words.
type zoneRow struct{ Account, Region, Records, First, Last, Hours, Quiet, Unreadable string }

// A problemRow is a ProblemCount in words.
type problemRow struct {
	Verdict, Code, Count, Place, Message string
}

// A ruleRow is a RuleLine with its counts in words, empty for none.
type ruleRow struct {
	Name, ID, Type, Severity, Why                          string
	Alerts, Withheld, Suppressed, Learned, Cold, Uncounted string
}

// HTML writes one page that needs nothing else: no script, no font, no network.
// Withheld alerts are only counted.
func HTML(w io.Writer, s *Scan) error {
	t, err := pageTemplate(pageSource, template.FuncMap{
		"safe": Safe, "lines": func(s string) string { return strings.Join(safeLines(s), "\n") },
	})
	if err != nil {
		return err
	}
	shown, err := s.worst(maxCards)
	if err != nil {
		return err
	}
	return t.Execute(w, pageOf(s, shown))
}

// pageTemplate parses a page, which has the style of all.
func pageTemplate(source string, funcs template.FuncMap) (*template.Template, error) {
	t, err := template.New("page").Funcs(funcs).Parse(source)
	if err != nil {
		return nil, err
	}
	if _, err := t.New("style").Parse(styleSource); err != nil {
		return nil, err
	}
	return t, nil
}

func pageOf(s *Scan, shown []*alert.Alert) *page {
	p := &page{
		Now: clock(s.Now, minuteFormat), Version: s.Version, Paths: few(s.Paths, maxName), Tiles: tiles(s), Timeline: newTimeline(s, shown),
		Cards: s.cards(shown), Read: inputLines(s), Notes: noteLines(s), NotRead: skipped(s),
	}
	if !s.Stats.First.IsZero() {
		p.Period = clock(s.Stats.First, minuteFormat) + " to " + clock(s.Stats.Last, minuteFormat) + " UTC"
	}
	if s.sums.notified == 0 {
		p.Nothing = nothing(s)
	} else {
		p.Top = []top10{topOf("By rule", s.sums.byRule.tallies()), topOf("By principal", s.sums.byPrincipal.tallies())}
	}
	for _, t := range []string{omitted(s.sums.notified, len(shown)), heldLine(s), triageNote(s)} {
		if t != "" {
			p.Remarks = append(p.Remarks, t)
		}
	}
	for _, z := range s.Stats.Zones {
		p.Zones = append(p.Zones, zoneOf(z))
	}
	for _, c := range s.Stats.Problems {
		p.Problems = append(p.Problems, problemOf(c))
	}
	for i := range s.Rules {
		p.Rules = append(p.Rules, ruleOf(&s.Rules[i]))
	}
	slices.SortStableFunc(p.Rules, func(a, b ruleRow) int { return cmp.Compare(len(a.Why), len(b.Why)) })
	for _, d := range s.NotLoaded {
		if d.Severity == query.Error {
			p.Failed = append(p.Failed, clip(d.Error(), maxMessage))
		}
	}
	return p
}

func tiles(s *Scan) []tile {
	var out []tile
	for rank := len(severityNames) - 1; rank >= 0; rank-- {
		name, n := severityNames[rank], s.sums.severity[rank]
		class := name
		if n == 0 {
			class = "none"
		}
		out = append(out, tile{count(n), name, class})
	}
	ran := int64(0)
	for i := range s.Rules {
		if s.Rules[i].Ran {
			ran++
		}
	}
	out = append(out, tile{count(s.Stats.Records + s.Stats.Documents), "records", ""}, tile{count(ran), "rules run", ""})
	if n := s.Stats.Rejected; n > 0 {
		out = append(out, tile{count(n), "rejected", "bad"})
	}
	return out
}

func topOf(title string, list []tally) top10 {
	t := top10{Title: title, More: max(0, len(list)-maxTop)}
	for _, e := range list[:min(len(list), maxTop)] {
		t.Rows = append(t.Rows, bar{clip(e.Name, maxName), count(e.Count), float64(e.Count) / float64(list[0].Count) * 100})
	}
	return t
}

func zoneOf(z pipeline.Zone) zoneRow {
	v := zoneRow{
		Account: clip(cmp.Or(z.Account, "(none)"), maxName), Region: clip(cmp.Or(z.Region, "(none)"), maxName), Records: count(z.Records),
		Unreadable: some(z.Unreadable),
	}
	if z.Records > 0 { // without records the times mean nothing
		v.First, v.Last = clock(z.First, minuteFormat), clock(z.Last, minuteFormat)
		v.Hours, v.Quiet = count(int64(z.Hours)), some(int64(z.Quiet))
	}
	return v
}

func problemOf(c pipeline.ProblemCount) problemRow {
	v := problemRow{Verdict: verdict(c), Code: c.Code, Count: count(c.Count)}
	if len(c.Examples) > 0 {
		v.Place, v.Message = place(c.Examples[0]), clip(c.Examples[0].Message, maxMessage)
	}
	return v
}

func ruleOf(r *RuleLine) ruleRow {
	st := r.Stats
	return ruleRow{
		Name: r.title(), ID: clip(r.ID, maxName), Type: r.Type, Severity: r.Severity, Why: r.why(),
		Alerts: some(st.Alerts), Withheld: some(st.Withheld), Suppressed: some(st.Suppressed),
		Learned: some(st.Learned), Cold: some(st.Cold), Uncounted: some(st.Dropped),
	}
}

// why says why the rule did not run; empty if it ran.
func (r *RuleLine) why() string {
	if r.Ran {
		return ""
	}
	return clip(cmp.Or(r.Reason, "not chosen"), maxName)
}

// some is count, but nothing for none: it leaves tables readable.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return count(n)
}
