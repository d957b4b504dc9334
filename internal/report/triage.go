package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/debutsec/debut/internal/triage"
)

// ReadTriage reads a report that [TriageJSON] wrote. An error says that it is none, or
// one of a format that this program does not know. Fields that it does not know it
// passes over.
func ReadTriage(data []byte) (*triage.Report, error) {
	var r triage.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("triage report: %w", err)
	}
	switch r.Schema {
	case triage.Schema:
		return &r, nil
	case "":
		return nil, errors.New(`triage report: no "schema": this is not a report of a triage`)
	}
	return nil, fmt.Errorf("triage report: schema %q: this program reads %q", clip(r.Schema, maxName), triage.Schema)
}

// TriageJSON writes a report as JSON of the format triage.v1, indented, equal bytes for
// equal reports. Characters that a terminal would act on are escaped.
func TriageJSON(w io.Writer, r *triage.Report) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(unseen(b.Bytes()))
	return err
}

// unseen escapes the invisible in JSON. Outside of strings JSON has only ASCII.
func unseen(doc []byte) []byte {
	out := make([]byte, 0, len(doc))
	for i := 0; i < len(doc); {
		c, n := utf8.DecodeRune(doc[i:])
		switch {
		case c < 0x7F || visible(c):
			out = append(out, doc[i:i+n]...)
		case c > 0xFFFF:
			c -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xD800+c>>10, 0xDC00+c&0x3FF)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		i += n
	}
	return out
}

// terminalMoments is how long a timeline may be for a terminal. Of a longer one it shows
// what answers cite, and of that at most twice as much, around the alert.
const terminalMoments = 40

// Triage writes a report for a terminal: the verdict and why, each question with its
// answer, the timeline, and what to do next. Evidence is named by the beginning of its
// event's id; queries are only counted.
func Triage(w io.Writer, r *triage.Report, o Options) error {
	t := &sheet{printer: printer{w: w, color: o.Color}, width: o.Width}
	t.head(r)
	t.sum(r)
	t.steps(r)
	t.claims(r)
	t.chain(r)
	t.timeline(r)
	t.entities(r)
	t.versions(r)
	t.looks(r)
	t.exception(r)
	t.next(r) // where a terminal's reader ends up
	return t.err
}

// A sheet is a printer that writes columns of text, wrapped to a width.
type sheet struct {
	printer

	width int
}

func (t *sheet) title(name string) { t.line("\n%s", t.bold(name)) }

// cols writes a label of that many columns and a text beside it, which is wrapped.
// The label has its colours already, and is padded by its bare text.
func (t *sheet) cols(bare, painted string, label int, text string) {
	pad := strings.Repeat(" ", max(0, label-lipgloss.Width(bare)))
	for i, l := range fold(Safe(clip(text, maxValue)), t.width-label) {
		if i > 0 {
			painted, pad = "", strings.Repeat(" ", label)
		}
		t.line("%s", strings.TrimRight(painted+pad+l, " "))
	}
}

// item writes a name with a value, if there is one.
func (t *sheet) item(name, value string) {
	if value != "" {
		name = cut(Safe(clip(name, maxName)), 12)
		t.cols("  "+name, "  "+t.dim(name), 16, value)
	}
}

// sub is item below a heading of its own.
func (t *sheet) sub(name, value string) {
	if value != "" {
		t.cols("    "+name, "    "+t.dim(name), 12, value)
	}
}

// fold is wrap that also breaks words that are wider than the width.
func fold(s string, width int) []string {
	if width <= 0 {
		return []string{s}
	}
	width = max(width, 2*least)
	var out []string
	for _, l := range wrap(s, width) {
		for lipgloss.Width(l) > width {
			n, columns := 0, 0
			for i, c := range l {
				if columns += max(1, lipgloss.Width(string(c))); columns > width {
					break
				}
				n = i + utf8.RuneLen(c)
			}
			out, l = append(out, l[:n]), l[n:]
		}
		out = append(out, l)
	}
	return out
}

func (t *sheet) head(r *triage.Report) {
	verdict := capital(words(cut(Safe(clip(r.Verdict, maxName)), 16)))
	t.line("%s  score %d of 100, confidence %s", t.paint(verdictColor(r.Verdict), verdict), r.Score, sure(r))
	t.item("rule", join(" · ", r.Rule.Name, r.Rule.Severity, words(r.Rule.Type), r.Rule.ID))
	t.item("event", join(" · ", clock(r.Time, timeFormat)+" UTC", r.EventID))
	t.item("alert", r.AlertID)
	t.item("report", fmt.Sprintf("version %d, of what was stored until %s UTC", r.Version, clock(r.AsOf, timeFormat)))
	if r.Cold {
		t.item("cold", triageCold)
	}
	t.line("")
	for _, l := range fold(Safe(clip(r.Summary, 2*maxValue)), t.width) {
		t.line("%s", l)
	}
}

func verdictColor(v string) string {
	if c := verdictClass(v); c != "good" {
		return severityColor(c)
	}
	return "32"
}

// sum writes the score as a sum that a reader can check.
func (t *sheet) sum(r *triage.Report) {
	t.title("Score")
	list, total := terms(r)
	list, left := shorter(list, maxFindings)
	for _, l := range list {
		text := l.Text
		if len(l.Events) > 0 {
			text += " (event " + briefly(l.Events) + ")"
		}
		t.points(l.Points, l.Step, l.Key, text)
	}
	t.item("", more(left))
	t.line("  %s", t.dim("----"))
	t.cols("", "", 2, fmt.Sprintf("%4d  %s", total, comesTo(r, total)))
	lost, left := shorter(losses(r), maxFindings)
	if len(lost) > 0 {
		t.line("\n  %s", t.dim("Found, but not counted:"))
	}
	for _, l := range lost {
		t.points("("+l.Points+")", l.Step, l.Key, l.Text+": "+l.Why)
	}
	t.item("", more(left))
}

// points writes a line that is worth something.
func (t *sheet) points(points, step, key, text string) {
	bare := fmt.Sprintf("  %4s  %-3s ", points, cut(Safe(clip(step, maxName)), 3))
	color := ""
	switch points[0] {
	case '+':
		color = "31"
	case '-':
		color = "32"
	}
	painted := strings.Replace(bare, points, t.paint(color, points), 1)
	t.cols(bare, painted, lipgloss.Width(bare), join("  ", clip(key, maxName), clip(text, maxValue)))
}

func (t *sheet) steps(r *triage.Report) {
	t.title("Questions")
	list, left := shorter(r.Steps, maxParts)
	for i := range list {
		a := &list[i]
		id := cut(Safe(clip(a.ID, maxName)), 4)
		question := clip(a.Question, maxMessage)
		if a.Points != 0 {
			question += " " + signed(a.Points)
		}
		t.cols("  "+id, "  "+t.bold(id), 7, question)
		answer := clip(a.Answer, maxValue)
		if a.Status != triage.Answered {
			answer = join(": ", words(clip(a.Status, maxName)), answer)
		}
		t.under(answer)
		if a.Answer == "" {
			for _, f := range first(a.Findings, maxFindings) {
				t.under("- " + f.Text)
			}
		}
		for _, c := range first(a.Caveats, maxParts) {
			t.under("! " + c)
		}
		if s := sources(a); s != "" {
			t.line("       %s", t.dim("from "+s))
		}
	}
	t.item("", more(left))
}

// under writes a text below a question.
func (t *sheet) under(text string) {
	if text != "" {
		t.cols("", "", 7, text)
	}
}

func first[T any](list []T, most int) []T { return list[:min(len(list), most)] }

func (t *sheet) claims(r *triage.Report) {
	if len(r.Claims) == 0 {
		return
	}
	t.title("Harmless explanations")
	for _, c := range first(r.Claims, maxParts) {
		t.line("  %s: %s", t.bold(cut(Safe(clip(c.Name, maxName)), 30)), cut(Safe(words(clip(c.Status, maxName))), 16))
		t.sub("proof", strings.Join(few(c.Proof, maxMessage), "; "))
		t.sub("wanted", strings.Join(few(c.Wanted, maxMessage), "; "))
	}
}

func (t *sheet) chain(r *triage.Report) {
	if len(r.Chain) == 0 {
		return
	}
	t.title("Who, by which roles")
	list, left := shorter(hops(r), maxParts)
	for _, h := range list {
		if h.Broken != "" {
			t.cols("", "", 4, "… "+h.Broken)
		}
		t.cols("", "", 2, join(" · ", append([]string{clip(h.Principal, maxMessage)}, few(h.Facts, maxMessage)...)...))
		if h.On != "" {
			t.cols("", "", 4, "→ "+join(", event ", h.On, briefly([]string{h.Event})))
		}
	}
	t.item("", more(left))
}

func (t *sheet) timeline(r *triage.Report) {
	list, omitted := momentsOf(r, maxMoments)
	if len(list) == 0 {
		return
	}
	if len(list) > terminalMoments {
		all := len(list)
		list = nearest(slices.DeleteFunc(list, func(m moment) bool { return !m.This && !m.Cited }), 2*terminalMoments)
		omitted += all - len(list)
	}
	t.title("Timeline (UTC)")
	for i := range list {
		t.moment(&list[i])
	}
	if omitted > 0 {
		t.cols("", "", 2, omittedMoments(omitted))
	}
}

// nearest keeps the lines around the alert.
func nearest(list []moment, most int) []moment {
	alert := max(0, slices.IndexFunc(list, func(m moment) bool { return m.This }))
	begin := min(max(0, alert-most/2), max(0, len(list)-most))
	return list[begin:min(len(list), begin+most)]
}

func (t *sheet) moment(m *moment) {
	bare := fmt.Sprintf("  %-19s  %-8s  ", m.Time, cut(m.Off, 8))
	painted := t.dim(bare)
	if m.This {
		painted = t.bold(bare)
	}
	how := m.How
	if !m.Failed {
		how = ""
	}
	t.cols(bare, painted, 33, join(" · ", join(" ", m.Action, clip(m.What, maxMessage)), clip(m.Who, maxName), m.Tie, clip(how, maxName)))
}

func (t *sheet) entities(r *triage.Report) {
	list := kinds(&r.Entities)
	if len(list) == 0 {
		return
	}
	t.title("Entities")
	for _, k := range list {
		t.item(strings.ToLower(k.Name), strings.Join(few(k.Values, maxName), "  "))
	}
}

// next is what to find out and to do.
func (t *sheet) next(r *triage.Report) {
	if len(r.Unknowns) > 0 {
		t.title("Unknown")
	}
	for _, u := range first(r.Unknowns, maxParts) {
		t.points("?", u.Step, "", join(". To know: ", clip(u.What, maxValue), clip(u.Remedy, maxValue)))
	}
	if len(r.NextQuestions) > 0 {
		t.title("Next questions")
	}
	for _, q := range first(r.NextQuestions, maxParts) {
		t.cols("  - ", "  - ", 4, q)
	}
	if len(r.ProposedActions) > 0 {
		t.title("Proposed, never done by itself")
	}
	actions := first(r.ProposedActions, maxParts)
	for i := range actions {
		a := &actions[i]
		t.line("  %s  %s", t.bold(cut(Safe(clip(a.Playbook, maxName)), 30)), t.dim(undo(a)))
		t.sub("with", strings.Join(params(a), ", "))
		t.sub("why", a.Why)
		t.sub("impact", a.Impact)
	}
}

func (t *sheet) looks(r *triage.Report) {
	if len(r.Live) > 0 {
		t.title("Asked of AWS")
	}
	for _, l := range first(r.Live, maxParts) {
		t.cols("", "", 2, lookWords(&l))
	}
}

// lookWords says what was asked of AWS, and why there is no answer.
func lookWords(l *triage.Look) string {
	s := join(" · ", clip(l.Call, maxName), clip(l.Region, maxName), clock(l.Time, timeFormat)+" UTC")
	if l.Error != "" {
		s += ": " + clip(l.Error, maxMessage)
	}
	if l.Policy != "" {
		s += "; this statement would allow it: " + clip(l.Policy, maxMessage)
	}
	return s
}

func (t *sheet) exception(r *triage.Report) {
	e := r.Exception
	if e == nil {
		return
	}
	t.title("An exception that you could add")
	t.item("hides", e.Query)
	t.item("keys", strings.Join(few(e.Keys, maxName), ", "))
	t.item("reason", e.Reason)
	t.item("expires", clock(e.Expires, timeFormat)+" UTC")
	t.item("history", tested(e))
	t.item("evidence", strings.Join(few(e.Evidence, maxName), ", "))
}

func (t *sheet) versions(r *triage.Report) {
	if len(r.Versions) == 0 {
		return
	}
	t.title("Versions before this one")
	for _, v := range first(r.Versions, maxParts) {
		t.item(fmt.Sprintf("version %d", v.Version), versionWords(&v))
	}
}

func versionWords(v *triage.Version) string {
	return fmt.Sprintf("%s UTC, %s: %s, score %d, confidence %.2f", clock(v.AsOf, timeFormat), clip(v.Trigger, maxName),
		words(clip(v.Verdict, maxName)), v.Score, v.Confidence)
}
