package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/triage"
)

// TriageDiffSchema names the format of a [TriageDiff] as JSON.
const TriageDiffSchema = "triage.diff.v1"

// A TriageDiff is what changed between two reports of one alert. Lists are in the
// order of the reports; none is nil.
type TriageDiff struct {
	Schema  string         `json:"schema"` // "triage.diff.v1"
	AlertID string         `json:"alert_id"`
	Rule    triage.Rule    `json:"rule"` // of the newer one
	Time    time.Time      `json:"time"` // of the event
	Old     triage.Version `json:"old"`  // without a trigger, if the newer one does not tell it
	New     triage.Version `json:"new"`  // without a trigger
	// Cold and WasCold say whether the baseline is, and was.
	WasCold bool `json:"was_cold"`
	Cold    bool `json:"cold"`

	FindingsAdded   []StepFinding   `json:"findings_added"`
	FindingsRemoved []StepFinding   `json:"findings_removed"`
	FindingsChanged []FindingChange `json:"findings_changed"`
	// AnswersChanged are the steps that end otherwise, or say something else.
	AnswersChanged  []AnswerChange   `json:"answers_changed"`
	UnknownsSolved  []triage.Unknown `json:"unknowns_solved"` // no longer unknown
	UnknownsAdded   []triage.Unknown `json:"unknowns_added"`
	ClaimsChanged   []ClaimChange    `json:"claims_changed"`
	EventsAdded     []triage.Moment  `json:"events_added"` // of the timeline
	EventsRemoved   []triage.Moment  `json:"events_removed"`
	EntitiesAdded   triage.Entities  `json:"entities_added"`
	ActionsProposed []triage.Action  `json:"actions_proposed"` // that were not
	ActionsDropped  []triage.Action  `json:"actions_dropped"`
}

// A StepFinding is a finding with its step.
type StepFinding struct {
	Step string `json:"step"`
	triage.Finding
}

// A FindingChange is a finding of both reports that says or counts something else.
type FindingChange struct {
	Step string         `json:"step"`
	Key  string         `json:"key"`
	Old  triage.Finding `json:"old"`
	New  triage.Finding `json:"new"`
}

// An AnswerChange is a step of which the status or the answer is another. The status is
// empty for a step that a report does not have.
type AnswerChange struct {
	Step      string `json:"step"`
	Question  string `json:"question"`
	OldStatus string `json:"old_status"`
	NewStatus string `json:"new_status"`
	OldAnswer string `json:"old_answer"`
	NewAnswer string `json:"new_answer"`
}

// A ClaimChange is a harmless explanation of which the status is another; empty for one
// that a report does not have.
type ClaimChange struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// DiffTriage compares two reports of one alert. It is an error if they are of
// different alerts.
func DiffTriage(older, newer *triage.Report) (*TriageDiff, error) {
	if older.AlertID != newer.AlertID {
		return nil, fmt.Errorf("triage diff: the reports are of different alerts, %s and %s: name two versions of one",
			Safe(clip(older.AlertID, maxName)), Safe(clip(newer.AlertID, maxName)))
	}
	d := &TriageDiff{
		Schema: TriageDiffSchema, AlertID: newer.AlertID, Rule: newer.Rule, Time: newer.Time,
		Old: versionOf(older), New: versionOf(newer), WasCold: older.Cold, Cold: newer.Cold,
	}
	for i := range newer.Versions {
		if newer.Versions[i].Version == d.Old.Version {
			d.Old.Trigger = newer.Versions[i].Trigger
		}
	}
	d.findings(older, newer)
	d.answers(older, newer)
	unknown := func(u triage.Unknown) [2]string { return [2]string{u.Step, u.What} }
	d.UnknownsAdded, d.UnknownsSolved = sides(older.Unknowns, newer.Unknowns, unknown)
	d.EventsAdded, d.EventsRemoved = sides(older.Timeline, newer.Timeline, func(m triage.Moment) [3]string {
		return [3]string{m.EventID, instant(m.Time), m.Action}
	})
	d.ActionsProposed, d.ActionsDropped = sides(older.ProposedActions, newer.ProposedActions, func(a triage.Action) string {
		return strconv.Quote(a.Playbook) + fmt.Sprintf("%q", params(&a))
	})
	d.claims(older, newer)
	d.entities(older, newer)
	return d, nil
}

func versionOf(r *triage.Report) triage.Version {
	return triage.Version{Version: r.Version, AsOf: r.AsOf, Verdict: r.Verdict, Score: r.Score, Confidence: r.Confidence}
}

// sides returns what only the newer and what only the older list has.
func sides[T any, K comparable](older, newer []T, key func(T) K) (added, removed []T) {
	return without(newer, older, key), without(older, newer, key)
}

func without[T any, K comparable](list, others []T, key func(T) K) []T {
	known := make(map[K]bool, len(others))
	for _, e := range others {
		known[key(e)] = true
	}
	out := []T{}
	for _, e := range list {
		if !known[key(e)] {
			out = append(out, e)
		}
	}
	return out
}

func findingsOf(r *triage.Report) (list []StepFinding) {
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			list = append(list, StepFinding{r.Steps[i].ID, f})
		}
	}
	return list
}

func (d *TriageDiff) findings(older, newer *triage.Report) {
	key := func(f StepFinding) [2]string { return [2]string{f.Step, f.Key} }
	was, is := findingsOf(older), findingsOf(newer)
	d.FindingsAdded, d.FindingsRemoved = sides(was, is, key)
	before := make(map[[2]string]triage.Finding, len(was))
	for _, f := range was {
		before[key(f)] = f.Finding
	}
	d.FindingsChanged = []FindingChange{}
	for _, f := range is {
		old, both := before[key(f)]
		if both && (old.Points != f.Points || old.Weight != f.Weight || old.Text != f.Text || old.Dropped != f.Dropped || old.Critical != f.Critical) {
			d.FindingsChanged = append(d.FindingsChanged, FindingChange{f.Step, f.Key, old, f.Finding})
		}
	}
}

func (d *TriageDiff) answers(older, newer *triage.Report) {
	d.AnswersChanged = []AnswerChange{}
	before := make(map[string]*triage.Answer, len(older.Steps))
	for i := range older.Steps {
		before[older.Steps[i].ID] = &older.Steps[i]
	}
	for i := range newer.Steps {
		a := &newer.Steps[i]
		c := AnswerChange{Step: a.ID, Question: a.Question, NewStatus: a.Status, NewAnswer: a.Answer}
		if old := before[a.ID]; old != nil {
			c.OldStatus, c.OldAnswer = old.Status, old.Answer
		}
		if c.OldStatus != c.NewStatus || c.OldAnswer != c.NewAnswer {
			d.AnswersChanged = append(d.AnswersChanged, c)
		}
	}
	for _, a := range without(older.Steps, newer.Steps, func(a triage.Answer) string { return a.ID }) {
		d.AnswersChanged = append(d.AnswersChanged, AnswerChange{Step: a.ID, Question: a.Question, OldStatus: a.Status, OldAnswer: a.Answer})
	}
}

func (d *TriageDiff) claims(older, newer *triage.Report) {
	d.ClaimsChanged = []ClaimChange{}
	before := make(map[string]string, len(older.Claims))
	for _, c := range older.Claims {
		before[c.Name] = c.Status
	}
	for _, c := range newer.Claims {
		if before[c.Name] != c.Status {
			d.ClaimsChanged = append(d.ClaimsChanged, ClaimChange{c.Name, before[c.Name], c.Status})
		}
	}
	for _, c := range without(older.Claims, newer.Claims, func(c triage.Claim) string { return c.Name }) {
		d.ClaimsChanged = append(d.ClaimsChanged, ClaimChange{c.Name, c.Status, ""})
	}
}

func (d *TriageDiff) entities(older, newer *triage.Report) {
	only := func(older, newer []string) []string {
		return without(newer, older, func(s string) string { return s })
	}
	o, n := &older.Entities, &newer.Entities
	d.EntitiesAdded = triage.Entities{
		Principals: only(o.Principals, n.Principals), Credentials: only(o.Credentials, n.Credentials), IPs: only(o.IPs, n.IPs),
		Instances: only(o.Instances, n.Instances), Documents: only(o.Documents, n.Documents), Commands: only(o.Commands, n.Commands),
		Buckets: only(o.Buckets, n.Buckets),
	}
}

// Empty reports whether the two reports say the same.
func (d *TriageDiff) Empty() bool {
	return d.Old.Verdict == d.New.Verdict && d.Old.Score == d.New.Score && d.Old.Confidence == d.New.Confidence && d.WasCold == d.Cold &&
		len(d.FindingsAdded)+len(d.FindingsRemoved)+len(d.FindingsChanged)+len(d.AnswersChanged)+len(d.UnknownsSolved)+
			len(d.UnknownsAdded)+len(d.ClaimsChanged)+len(d.EventsAdded)+len(d.EventsRemoved)+len(d.ActionsProposed)+len(d.ActionsDropped)+
			len(kinds(&d.EntitiesAdded)) == 0
}

// TriageDiffJSON writes what changed as JSON of the format triage.diff.v1.
func TriageDiffJSON(w io.Writer, d *TriageDiff) error { return writeJSON(w, d) }

// A change is a line of a diff in words: what is gone, new, or other.
type change struct {
	Sign  string // "+", "-", "~"
	Step  string
	Text  string
	Worse bool // raises the score
	Cited []string
}

// A changeList is the changes of one kind.
type changeList struct {
	Title string
	List  []change
}

// changes lists everything that changed, in words.
func (d *TriageDiff) changes() []changeList {
	unknown := func(u *triage.Unknown) change { return change{Step: u.Step, Text: clip(u.What, maxMessage)} }
	moment := func(m *triage.Moment) change { return change{Text: momentWords(m, d.Time), Cited: []string{m.EventID}} }
	action := func(a *triage.Action) change {
		return change{Text: join(" ", clip(a.Playbook, maxName), strings.Join(params(a), ", "))}
	}
	all := []changeList{
		{"Findings", d.findingChanges()},
		{"No longer unknown", marked("-", d.UnknownsSolved, unknown)},
		{"Unknown now", marked("+", d.UnknownsAdded, unknown)},
		{"Answers", marked("~", d.AnswersChanged, func(a *AnswerChange) change {
			text := clip(a.NewAnswer, maxValue)
			if a.OldStatus != a.NewStatus {
				text = join(": ", statusWords(a.OldStatus)+" → "+statusWords(a.NewStatus), text)
			}
			return change{Step: a.Step, Text: text}
		})},
		{"Harmless explanations", marked("~", d.ClaimsChanged, func(c *ClaimChange) change {
			return change{Text: clip(c.Name, maxName) + ": " + statusWords(c.Old) + " → " + statusWords(c.New)}
		})},
		{"Timeline", append(marked("+", d.EventsAdded, moment), marked("-", d.EventsRemoved, moment)...)},
		{"Entities", d.entityChanges()},
		{"Proposed actions", append(marked("+", d.ActionsProposed, action), marked("-", d.ActionsDropped, action)...)},
	}
	return slices.DeleteFunc(all, func(c changeList) bool { return len(c.List) == 0 })
}

// marked writes each of a list with that sign.
func marked[T any](sign string, list []T, words func(*T) change) []change {
	out := make([]change, len(list))
	for i := range list {
		out[i] = words(&list[i])
		out[i].Sign = sign
	}
	return out
}

func (d *TriageDiff) entityChanges() (list []change) {
	for _, k := range kinds(&d.EntitiesAdded) {
		for _, v := range k.Values {
			list = append(list, change{Sign: "+", Text: strings.ToLower(k.Name) + ": " + clip(v, maxMessage)})
		}
	}
	return list
}

func statusWords(s string) string {
	if s == "" {
		return "not there"
	}
	return words(clip(s, maxName))
}

func (d *TriageDiff) findingChanges() (list []change) {
	for _, f := range d.FindingsAdded {
		list = append(list, change{"+", f.Step, findingWords(&f.Finding), f.Points > 0, f.Events})
	}
	for _, f := range d.FindingsRemoved {
		list = append(list, change{"-", f.Step, findingWords(&f.Finding), f.Points < 0, f.Events})
	}
	for _, f := range d.FindingsChanged {
		list = append(list, change{"~", f.Step, findingWords(&f.New) + " (was: " + worthOf(&f.Old) + ", " + clip(f.Old.Text, maxMessage) + ")", f.New.Points > f.Old.Points, f.New.Events})
	}
	return list
}

// findingWords says what a finding is worth and what it is.
func findingWords(f *triage.Finding) string {
	return join("  ", worthOf(f), clip(f.Key, maxName), clip(f.Text, maxMessage))
}

func worthOf(f *triage.Finding) string {
	if f.Dropped != "" {
		return "not counted (" + signed(f.Weight) + ")"
	}
	return signed(f.Points)
}

// momentWords writes a line of the timeline of an alert of that time.
func momentWords(one *triage.Moment, alert time.Time) string {
	m := momentOf(one, 0, alert)
	if !m.Failed {
		m.How = ""
	}
	what := join("  ", m.Time, m.Off, join(" ", m.Action, clip(m.What, maxMessage)))
	return join(" · ", what, clip(m.Who, maxName), m.Tie, clip(m.How, maxName))
}

// from says how a number changed.
func from(old, now string) string {
	if old == now {
		return now
	}
	return old + " → " + now
}

// head says in one line what became of the verdict.
func (d *TriageDiff) head() string {
	s := fmt.Sprintf("%s, score %s, confidence %s", from(words(clip(d.Old.Verdict, maxName)), words(clip(d.New.Verdict, maxName))),
		from(strconv.Itoa(d.Old.Score), strconv.Itoa(d.New.Score)),
		from(strconv.FormatFloat(d.Old.Confidence, 'f', 2, 64), strconv.FormatFloat(d.New.Confidence, 'f', 2, 64)))
	switch {
	case d.Cold && !d.WasCold:
		s += ", the baseline is cold now"
	case d.WasCold && !d.Cold:
		s += ", the baseline is no longer cold"
	}
	return s
}

// spanned says which versions are compared.
func (d *TriageDiff) spanned() string {
	return fmt.Sprintf("version %d of %s UTC and version %d of %s UTC", d.Old.Version, clock(d.Old.AsOf, timeFormat), d.New.Version, clock(d.New.AsOf, timeFormat))
}

const nothingChanged = "Nothing changed."

// TriageDiffText writes what changed for a terminal.
func TriageDiffText(w io.Writer, d *TriageDiff, o Options) error {
	t := &sheet{printer: printer{w: w, color: o.Color}, width: o.Width}
	for i, l := range fold(Safe(capital(d.head())), t.width) {
		if i == 0 {
			l = t.paint(verdictColor(d.New.Verdict), l)
		}
		t.line("%s", l)
	}
	t.item("rule", d.Rule.Name)
	t.item("alert", d.AlertID)
	t.item("compared", d.spanned())
	if d.Empty() {
		t.line("\n%s", nothingChanged)
	}
	for _, c := range d.changes() {
		t.title(c.Title)
		list, left := shorter(c.List, maxMoments)
		for _, l := range list {
			bare := "  " + l.Sign + " "
			painted := bare
			switch {
			case l.Worse:
				painted = t.paint("31", bare)
			case l.Sign == "-":
				painted = t.paint("32", bare)
			}
			t.cols(bare, painted, 4, join("  ", clip(l.Step, maxName), l.Text))
		}
		if left > 0 {
			t.cols("", "", 4, more(left))
		}
	}
	return t.err
}

// TriageDiffMarkdown writes what changed for a ticket.
func TriageDiffMarkdown(w io.Writer, d *TriageDiff) error {
	p := &triageMarkdown{printer{w: w}}
	p.line("# What changed: %s\n", called(d.Rule.Name))
	p.line("**%s**\n", said(capital(d.head())))
	p.line("Alert %s, %s.", orEmpty(quoted(d.AlertID)), d.spanned())
	if d.Empty() {
		p.line("\n%s", nothingChanged)
	}
	signs := map[string]string{"+": "added", "-": "removed", "~": "changed"}
	for _, c := range d.changes() {
		p.line("\n## %s\n", c.Title)
		list, left := shorter(c.List, maxMoments)
		for _, l := range list {
			line := "**" + signs[l.Sign] + "** " + join(" ", called(l.Step), said(l.Text))
			if e := codes(few(l.Cited, maxName)); e != "" {
				line += " (" + e + ")"
			}
			p.line("- %s", line)
		}
		p.left(left)
	}
	return p.err
}
