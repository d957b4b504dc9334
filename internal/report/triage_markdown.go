package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/debutsec/debut/internal/triage"
)

// TriageMarkdown writes a report for a ticket or a wiki: everything that the page has
// but the picture. Texts from logs are plain text or code in it.
func TriageMarkdown(w io.Writer, r *triage.Report) error {
	p := &triageMarkdown{printer{w: w}}
	p.head(r)
	p.sum(r)
	p.timeline(r)
	p.chain(r)
	p.steps(r)
	p.claims(r)
	p.entities(r)
	p.unknown(r)
	p.actions(r)
	p.exception(r)
	p.about(r)
	return p.err
}

type triageMarkdown struct{ printer }

// said is text of a length that a line bears.
func said(s string) string { return text(clip(s, maxValue)) }

// called is text of the length of a name.
func called(s string) string { return text(clip(s, maxName)) }

// quoted is code of the length of a name.
func quoted(s string) string { return tableCode(clip(s, maxName)) }

// item writes a line of a list, if there is a value, which is Markdown already.
func (p *triageMarkdown) item(name, value string) {
	if value != "" {
		p.line("- **%s:** %s", name, value)
	}
}

func (p *triageMarkdown) left(n int) {
	if n > 0 {
		p.line("\n%s", more(n))
	}
}

func (p *triageMarkdown) head(r *triage.Report) {
	p.line("# %s: %s\n", called(capital(words(r.Verdict))), called(r.Rule.Name))
	p.line("**Score %d of 100, confidence %s.** %s\n", r.Score, sure(r), said(r.Summary))
	if r.Cold {
		p.line("%s\n", triageCold)
	}
	p.item("Event", clock(r.Time, timeFormat)+" UTC, "+orEmpty(quoted(r.EventID)))
	p.item("Rule", quoted(r.Rule.ID)+" "+said(join(", ", words(r.Rule.Type), r.Rule.Severity)))
	p.item("Alert", quoted(r.AlertID))
	p.item("Answers", said(answered(r)))
}

func (p *triageMarkdown) sum(r *triage.Report) {
	p.line("\n## How the score comes about\n")
	mdRow(&p.printer, "Points", "So far", "Step", "For", "Key", "Events")
	mdRow(&p.printer, "--:", "--:", "---", "---", "---", "---")
	list, total := terms(r)
	list, left := shorter(list, maxFindings)
	for i := range list {
		l := &list[i]
		mdRow(&p.printer, l.Points, strconv.Itoa(l.So), called(l.Step), said(l.Text), quoted(l.Key), quoted(briefly(l.Events)))
	}
	mdRow(&p.printer, "**"+strconv.Itoa(total)+"**", "", "", "**"+comesTo(r, total)+"**", "", "")
	p.left(left)
	if len(r.Categories) > 0 {
		p.line("")
		mdRow(&p.printer, "Category", "Found", "Counted", "At most")
		mdRow(&p.printer, "---", "--:", "--:", "--:")
		for _, c := range first(r.Categories, maxParts) {
			mdRow(&p.printer, called(c.Name), signed(c.Raw), signed(c.Points), signed(c.Cap))
		}
	}
	lost, left := shorter(losses(r), maxFindings)
	if len(lost) > 0 {
		p.line("\nFound, but not counted:\n")
	}
	for _, l := range lost {
		p.line("- **%s** %s %s: %s (%s)", l.Points, called(l.Step), quoted(l.Key), said(l.Text), said(l.Why))
	}
	p.left(left)
}

func (p *triageMarkdown) timeline(r *triage.Report) {
	list, omitted := momentsOf(r, maxMoments)
	if len(list) == 0 {
		return
	}
	p.line("\n## Timeline\n")
	mdRow(&p.printer, "Time (UTC)", "From the alert", "Action", "On", "By", "Tie", "Outcome", "Cited by", "Event")
	mdRow(&p.printer, "---", "--:", "---", "---", "---", "---", "---", "---", "---")
	for i := range list {
		m := &list[i]
		action := quoted(m.Action)
		if m.This {
			action = "**" + orEmpty(action) + "**"
		}
		mdRow(&p.printer, m.Time, m.Off, action, tableCode(clip(m.What, maxMessage)), quoted(m.Who), called(m.Tie), called(m.How),
			called(strings.Join(few(m.Steps, maxName), " ")), quoted(m.Event))
	}
	if omitted > 0 {
		p.line("\n%s", omittedMoments(omitted))
	}
}

func (p *triageMarkdown) chain(r *triage.Report) {
	if len(r.Chain) == 0 {
		return
	}
	p.line("\n## Who it was, by which roles\n")
	list, left := shorter(hops(r), maxParts)
	for i, h := range list {
		line := orEmpty(code(clip(h.Principal, maxMessage)))
		if len(h.Facts) > 0 {
			line += ": " + said(strings.Join(few(h.Facts, maxMessage), " · "))
		}
		if h.Broken != "" {
			line += " (before this: " + said(h.Broken) + ")"
		}
		if h.On != "" {
			line += " → " + said(h.On) + " " + code(clip(h.Event, maxName))
		}
		p.line("%d. %s", i+1, line)
	}
	p.left(left)
}

func (p *triageMarkdown) steps(r *triage.Report) {
	if len(r.Steps) == 0 {
		return
	}
	p.line("\n## Questions and answers")
	list, left := shorter(r.Steps, maxParts)
	var idle []*triage.Answer
	for i := range list {
		if list[i].Status == triage.NotApplicable {
			idle = append(idle, &list[i])
			continue
		}
		p.step(&list[i])
	}
	p.left(left)
	if len(idle) > 0 {
		p.line("\nDoes not apply to this alert:\n")
	}
	for _, a := range idle {
		p.line("- %s %s %s", orEmpty(called(a.ID)), said(a.Question), said(a.Answer))
	}
}

func (p *triageMarkdown) step(a *triage.Answer) {
	worth := ""
	if a.Points != 0 {
		worth = ", " + signed(a.Points)
	}
	p.line("\n### %s %s (%s%s)", called(a.ID), said(a.Question), called(words(a.Status)), worth)
	if a.Answer != "" {
		p.line("\n%s", said(a.Answer))
	}
	if len(a.Findings)+len(a.Unknowns)+len(a.Caveats) > 0 {
		p.line("")
	}
	findings := first(a.Findings, maxFindings)
	for i := range findings {
		p.finding(&findings[i])
	}
	for _, u := range first(a.Unknowns, maxParts) {
		p.item("Unknown", unknownWords(&u))
	}
	for _, c := range first(a.Caveats, maxParts) {
		p.item("Caveat", said(c))
	}
	if s := sources(a); s != "" {
		p.evidence(a, s)
	}
}

func (p *triageMarkdown) finding(f *triage.Finding) {
	line := "**" + signed(f.Points) + "** " + said(f.Text)
	if f.Dropped != "" {
		line = "**not counted** (" + signed(f.Weight) + ", " + said(f.Dropped) + "): " + said(f.Text)
	}
	line += " " + quoted(f.Key)
	if f.Critical {
		line += ", critical"
	}
	if e := codes(few(f.Events, maxName)); e != "" {
		line += ", " + e
	}
	p.line("- %s", line)
}

// evidence is folded away where Markdown is shown as HTML.
func (p *triageMarkdown) evidence(a *triage.Answer, sources string) {
	p.line("\n<details><summary>Rests on %s</summary>\n", sources)
	for _, e := range first(a.Evidence, maxFindings) {
		p.line("- %s %s", clock(e.Time, timeFormat), codes([]string{clip(e.Action, maxName), clip(e.Account, maxName), clip(e.Region, maxName), clip(e.EventID, maxName)}))
	}
	queries := first(a.Queries, maxParts)
	for i := range queries {
		q := &queries[i]
		p.line("- %s UTC, %s: %s", window(q.Window), rows(q), orEmpty(code(clip(q.Text, maxValue))))
	}
	p.line("\n</details>")
}

func unknownWords(u *triage.Unknown) string {
	s := said(u.What)
	if u.Remedy != "" {
		s += ". To know: " + said(u.Remedy)
	}
	return s
}

func (p *triageMarkdown) claims(r *triage.Report) {
	if len(r.Claims) == 0 {
		return
	}
	p.line("\n## Harmless explanations\n")
	for _, c := range first(r.Claims, maxParts) {
		line := called(words(c.Status))
		if len(c.Proof) > 0 {
			line += ": " + said(strings.Join(few(c.Proof, maxMessage), " "))
		}
		if len(c.Wanted) > 0 {
			line += ". To prove it: " + said(strings.Join(few(c.Wanted, maxMessage), "; "))
		}
		if e := codes(few(c.Events, maxName)); e != "" {
			line += " " + e
		}
		p.item(called(c.Name), line)
	}
}

func (p *triageMarkdown) entities(r *triage.Report) {
	list := kinds(&r.Entities)
	if len(list) == 0 {
		return
	}
	p.line("\n## Entities\n")
	for _, k := range list {
		parts := make([]string, 0, len(k.Values))
		for _, v := range k.Values {
			parts = append(parts, orEmpty(code(clip(v, maxValue))))
		}
		p.item(k.Name, join(" ", strings.Join(parts, ", "), more(k.More)))
	}
}

func (p *triageMarkdown) unknown(r *triage.Report) {
	if len(r.Unknowns) > 0 {
		p.line("\n## Unknown\n")
	}
	for _, u := range first(r.Unknowns, maxParts) {
		p.item(called(u.Step), unknownWords(&u))
	}
	if len(r.NextQuestions) > 0 {
		p.line("\n## Next questions\n")
	}
	for i, q := range first(r.NextQuestions, maxParts) {
		p.line("%d. %s", i+1, said(q))
	}
}

func (p *triageMarkdown) actions(r *triage.Report) {
	if len(r.ProposedActions) > 0 {
		p.line("\n## Proposed actions\n\nProposed only: nothing here is done by itself.\n")
	}
	list := first(r.ProposedActions, maxParts)
	for i := range list {
		a := &list[i]
		line := fmt.Sprintf("%s. Impact: %s; %s.", said(a.Why), said(a.Impact), undo(a))
		if with := codes(params(a)); with != "" {
			line += " With " + with
		}
		p.item(called(a.Playbook), line)
	}
}

func (p *triageMarkdown) exception(r *triage.Report) {
	e := r.Exception
	if e == nil {
		return
	}
	p.line("\n## An exception that could be added\n")
	p.item("Hides", code(clip(e.Query, maxValue)))
	p.item("Reason", said(e.Reason))
	p.item("Keys", codes(few(e.Keys, maxName)))
	p.item("Expires", clock(e.Expires, timeFormat)+" UTC")
	p.item("History", tested(e))
	p.item("Evidence", codes(few(e.Evidence, maxName)))
}

func (p *triageMarkdown) about(r *triage.Report) {
	p.line("\n## This report\n")
	p.line("Version %d, of what was stored until %s UTC.\n", r.Version, clock(r.AsOf, timeFormat))
	for _, v := range first(r.Versions, maxParts) {
		p.line("- Version %d: %s", v.Version, said(versionWords(&v)))
	}
	for _, l := range first(r.Live, maxParts) {
		p.item("Asked of AWS", said(lookWords(&l)))
	}
}

// TriageCSV writes the timeline as rows under a header, all of it. A cell that a
// spreadsheet would take for a formula begins with an apostrophe. The columns are
// stable: new ones are added at the end.
func TriageCSV(w io.Writer, r *triage.Report) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"time", "seconds_from_alert", "action", "what", "who", "tie", "outcome", "count", "steps", "event_id", "alert_id"}); err != nil {
		return err
	}
	for i := range r.Timeline {
		m := &r.Timeline[i]
		row := []string{
			instant(m.Time), strconv.FormatInt(int64(sinceAlert(r, i).Seconds()), 10), m.Action, m.What, m.Who, m.Tie, m.Outcome,
			strconv.Itoa(max(m.Count, 1)), strings.Join(m.Steps, " "), m.EventID, r.AlertID,
		}
		for k, c := range row {
			if k != 1 { // a number, which may be negative
				row[k] = cell(c)
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
