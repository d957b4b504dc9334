package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/triage"
)

// What a document for people shows of a triage at most; JSON has everything.
const (
	maxMoments  = 1000 // of the timeline
	maxFindings = 200  // of a step, and terms of the sum
	maxParts    = 100  // of any other list
)

// words turns a name of the format into words: likely_malicious, not_applicable.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// capital begins with a large letter, which is enough for our own words.
func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// verdictClass is the severity in whose colour a verdict is shown.
func verdictClass(v string) string {
	switch v {
	case triage.Malicious:
		return "critical"
	case triage.LikelyMalicious:
		return "high"
	case triage.Suspicious:
		return "medium"
	case triage.Review:
		return "low"
	case triage.LikelyBenign:
		return "good"
	}
	return "none"
}

// signed writes points with their sign, so that they read as terms of a sum.
func signed(n int) string {
	if n > 0 {
		return "+" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// sure says what a confidence is.
func sure(r *triage.Report) string {
	s := strconv.FormatFloat(r.Confidence, 'f', 2, 64)
	if r.Confidence < triage.LowConfidence {
		return s + " (low)"
	}
	return s
}

// A term is a line of the sum.
type term struct {
	Points, Step, Key, Text string
	So                      int // the sum so far
	Events                  []string
}

// terms lists the sum with the events that each line rests on, and what it comes to.
func terms(r *triage.Report) (list []term, total int) {
	events := map[[2]string][]string{}
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			if key := [2]string{r.Steps[i].ID, f.Key}; events[key] == nil {
				events[key] = f.Events
			}
		}
	}
	for _, l := range r.Sum {
		total += l.Points
		list = append(list, term{
			Points: signed(l.Points), Step: l.Step, Key: l.Key, Text: l.Text, So: total, Events: events[[2]string{l.Step, l.Key}],
		})
	}
	return list, total
}

// comesTo says how the sum becomes the score.
func comesTo(r *triage.Report, total int) string {
	switch {
	case total == r.Score:
		return "the score"
	case r.Score == min(max(total, 0), 100):
		return "a score is 0 to 100, so it is " + strconv.Itoa(r.Score)
	}
	return "the report says " + strconv.Itoa(r.Score) + ": the lines do not add up, so it was changed after it was made"
}

// A loss is a finding that does not count.
type loss struct{ Points, Step, Key, Text, Why string }

func losses(r *triage.Report) (list []loss) {
	for i := range r.Steps {
		for _, f := range r.Steps[i].Findings {
			if f.Dropped != "" {
				list = append(list, loss{signed(f.Weight), r.Steps[i].ID, f.Key, f.Text, f.Dropped})
			}
		}
	}
	return list
}

// capped says what a category found and what of it counts.
func capped(c triage.Category) string {
	if c.Raw == c.Points {
		return fmt.Sprintf("%s, at most %s", signed(c.Points), signed(c.Cap))
	}
	return fmt.Sprintf("%s found, %s counts", signed(c.Raw), signed(c.Points))
}

// answered says how many of the questions that apply have an answer, and which have
// not.
func answered(r *triage.Report) string {
	var open []string
	apply := 0
	for i := range r.Steps {
		switch r.Steps[i].Status {
		case triage.NotApplicable:
			continue
		case triage.Answered:
		default:
			open = append(open, r.Steps[i].ID)
		}
		apply++
	}
	s := fmt.Sprintf("%d of %s that apply answered", apply-len(open), plural(int64(apply), "question"))
	if len(open) > 0 {
		s += "; open: " + strings.Join(few(open, maxName), ", ")
	}
	return s
}

// what the cold mark means for a triage.
const triageCold = "Cold baseline: the stored history does not cover the rule's history window. " +
	"What rests on “never seen” counts nothing, and the verdict cannot be “likely benign”."

// ties are the kinds of ties between an event and the alert's, nearest first, as
// the picture and the table name them.
var ties = []struct{ tie, label string }{ //nolint:gochecknoglobals // a constant table
	{triage.TieThis, "the alert"},
	{triage.TieSession, "same session"},
	{triage.TieKey, "same key"},
	{triage.TiePrincipal, "same principal"},
	{triage.TieAddress, "same address"},
	{triage.TieOther, "other"},
}

// tieRank is the lane of a tie; a tie that is not known is the last.
func tieRank(tie string) int {
	for i := range ties {
		if ties[i].tie == tie {
			return i
		}
	}
	return len(ties) - 1
}

func tieWords(tie string) string {
	if i := tieRank(tie); ties[i].tie == tie {
		return ties[i].label
	}
	return tie
}

// off writes how long before or after the alert something was, as +12m 3s.
func off(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign = "-"
	}
	if d = d.Abs(); d < time.Second {
		return "0"
	}
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		if d < unit {
			continue
		}
		if rest := d % unit; rest >= time.Second {
			return sign + span(d) + " " + span(rest)
		}
		break
	}
	return sign + span(d)
}

// A moment is a line of the timeline in words.
type moment struct {
	N                                             int
	Time, Off, Action, What, Who, Tie, Event, How string
	Steps                                         []string
	This, Failed, Cited                           bool
}

// momentsOf lists the timeline, at most so many lines, and says how many are left out
// here or were when the report was made.
func momentsOf(r *triage.Report, most int) (list []moment, omitted int) {
	for i := range r.Timeline {
		if i == most {
			break
		}
		list = append(list, momentOf(&r.Timeline[i], i+1, r.Time))
	}
	return list, len(r.Timeline) - len(list) + max(0, r.TimelineOmitted)
}

// momentOf writes the nth line of a timeline, whose alert is of that time.
func momentOf(m *triage.Moment, n int, alert time.Time) moment {
	action := clip(m.Action, maxName)
	if m.Count > 1 {
		action += " ×" + count(int64(m.Count))
	}
	v := moment{
		N: n, Time: clock(m.Time, timeFormat), Action: action, What: m.What, Who: m.Who, Tie: tieWords(m.Tie), Event: m.EventID,
		How: m.Outcome, Steps: m.Steps, This: m.Tie == triage.TieThis, Cited: len(m.Steps) > 0,
		Failed: m.Outcome != "" && m.Outcome != "success",
	}
	if !m.Time.IsZero() {
		v.Off = off(m.Time.Sub(alert))
	}
	return v
}

// omittedMoments says that there were more events; empty if not.
func omittedMoments(n int) string {
	if n <= 0 {
		return ""
	}
	return plural(int64(n), "more line") + " left out here."
}

// A hop is a link of the role chain in words, with the action that leads on from it.
type hop struct {
	Principal string
	Facts     []string // type, session, credential, account, address, attributes
	Broken    string   // nothing is known of what was before
	On        string   // how it led to the next one; empty for the last
	Event     string
}

// hops lists the role chain from where it began to the alert.
func hops(r *triage.Report) []hop {
	list := make([]hop, 0, len(r.Chain))
	for i := range r.Chain {
		l := &r.Chain[i]
		h := hop{Principal: l.Principal, Broken: l.Broken, Event: l.EventID}
		add := func(name, value string) {
			if value != "" {
				h.Facts = append(h.Facts, join(" ", name, value))
			}
		}
		add("", l.Type)
		add("session", l.Session)
		add("credential", l.Credential)
		add("account", l.Account)
		add("from", l.Address)
		for _, a := range few(l.Attributes, maxValue) {
			add("", a)
		}
		if i > 0 {
			h.On = join(" ", cmp.Or(l.Action, "led on"), clock(l.Time, timeFormat))
		}
		list = append(list, h)
	}
	slices.Reverse(list)
	return list
}

// A kind is one kind of entities.
type kind struct {
	Name   string
	Values []string
	More   int
}

func kinds(e *triage.Entities) (list []kind) {
	for _, k := range []kind{
		{Name: "Principals", Values: e.Principals},
		{Name: "Credentials", Values: e.Credentials},
		{Name: "Addresses", Values: e.IPs},
		{Name: "Instances", Values: e.Instances},
		{Name: "Documents", Values: e.Documents},
		{Name: "Commands", Values: e.Commands},
		{Name: "Buckets", Values: e.Buckets},
	} {
		if n := len(k.Values) - maxFindings; n > 0 {
			k.Values, k.More = k.Values[:maxFindings], n
		}
		if len(k.Values) > 0 {
			list = append(list, k)
		}
	}
	return list
}

// sources says on how many events and queries an answer rests.
func sources(a *triage.Answer) string {
	var parts []string
	if n := len(a.Evidence); n > 0 {
		parts = append(parts, plural(int64(n), "event"))
	}
	if n := len(a.Queries); n > 0 {
		parts = append(parts, plural(int64(n), "query"))
	}
	return strings.Join(parts, ", ")
}

// params lists the parameters of a playbook by name.
func params(a *triage.Action) (list []string) {
	for _, k := range slices.Sorted(maps.Keys(a.Params)) {
		list = append(list, k+"="+a.Params[k])
	}
	return few(list, maxValue)
}

// undo says whether an action can be taken back.
func undo(a *triage.Action) string {
	if a.Reversible {
		return "can be undone"
	}
	return "cannot be undone"
}

// window writes the time that a query covers.
func window(s triage.Span) string {
	return join(" to ", clock(s.From, timeFormat), clock(s.To, timeFormat))
}

// rows says what a query returned.
func rows(q *triage.Query) string {
	s := plural(int64(q.Rows), "row")
	if q.Truncated {
		s += ", more were not read"
	}
	return s
}

// tested says what an exception would have done in the past.
func tested(e *triage.Exception) string {
	if !e.Tested {
		return "not tested against history"
	}
	s := "would have hidden " + plural(int64(e.WouldHide), "alert") + " of the rule so far"
	switch {
	case e.WouldHide == 0:
	case e.Bad == 0:
		s += ", none of them judged bad"
	default:
		s += ", " + count(int64(e.Bad)) + " of them judged bad"
	}
	return s
}

// shorter returns the beginning of a list, and how many are left out.
func shorter[T any](list []T, most int) ([]T, int) {
	if len(list) <= most {
		return list, 0
	}
	return list[:most], len(list) - most
}

// more says that a list goes on; empty if it does not.
func more(n int) string {
	if n <= 0 {
		return ""
	}
	return "and " + count(int64(n)) + " more"
}

// briefly shortens ids of events, for places where they only help to find one; they are
// Safe already.
func briefly(ids []string) string {
	var parts []string
	for i, id := range ids {
		if i == 2 {
			parts = append(parts, more(len(ids)-2))
			break
		}
		parts = append(parts, cut(Safe(clip(id, maxName)), 13))
	}
	return strings.Join(parts, ", ")
}

// clockUTC writes a time for people, empty for none.
func clockUTC(t time.Time) string { return clock(t, timeFormat) }
