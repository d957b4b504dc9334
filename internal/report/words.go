package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/rule"
)

const (
	dayFormat    = "2006-01-02"
	clockFormat  = "15:04:05"
	timeFormat   = dayFormat + " " + clockFormat
	minuteFormat = dayFormat + " 15:04"
)

// what cold means, in the line that every report has for it.
const coldMeans = "cold: the logs cover under 95 % of the time that the rule looks back on, so “never before” may only mean " +
	"“not in these logs”. Scan older logs along with these, or judge these alerts by hand."

// count writes a number with commas between thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes a count with its noun.
func plural(n int64, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ay"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return count(n) + " " + noun
}

// about rounds a number to what an estimate is good for.
func about(n int64) int64 {
	unit := int64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// span writes a duration in its largest unit: 9d, 3h, 12m, 40s.
func span(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	case d >= time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d >= time.Minute:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// bytesize writes a number of bytes for people.
func bytesize(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return count(n) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[i]
}

func percent(f float64) string {
	// Rounding must not make a whole out of what is not.
	return strconv.Itoa(int(f*100)) + " %"
}

func clock(t time.Time, format string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(format)
}

// A line is an alert in the words that all people's reports share; nothing in it is
// escaped yet.
type line struct {
	Time, Severity, Name, Who, What, Where, Seen string
	// Verdict is what an investigation found; empty: there was none.
	Verdict string
}

func lineOf(a *alert.Alert) line {
	s := a.Summary()
	return line{
		Time: clock(a.Time, timeFormat), Severity: a.Severity, Name: clip(cmp.Or(a.Name, a.Rule.ID), maxName),
		Who: s.Who, What: s.What, Where: join(" · ", s.Where, agent(a)), Seen: seen(a),
	}
}

// agent names the caller's program in a few words; not that of the first of many
// events.
func agent(a *alert.Alert) string {
	if a.Threshold != nil {
		return ""
	}
	if name := firstOf(a, "user_agent.name"); name != "" && name != "Other" {
		return clip(name, maxName)
	}
	original := firstOf(a, "user_agent.original")
	if head, _, ok := strings.Cut(original, " "); ok && head != "" {
		original = head
	}
	return clip(original, maxName)
}

// seen tells why it is news: how long since the last time, or how many at once.
func seen(a *alert.Alert) string {
	var parts []string
	switch {
	case a.Rule.Type == rule.NewTerms && a.Previous.IsZero():
		parts = append(parts, "never before")
	case a.Rule.Type == rule.NewTerms:
		parts = append(parts, span(a.Time.Sub(a.Previous))+" ago")
	case a.Threshold != nil && a.Last.After(a.Time):
		parts = append(parts, "within "+span(a.Last.Sub(a.Time)))
	}
	if a.Cold {
		parts = append(parts, "cold")
	}
	if a.Suppression != nil && a.Suppression.Count > 0 {
		parts = append(parts, "+"+count(a.Suppression.Count)+" alike")
	}
	return strings.Join(parts, ", ")
}

func firstOf(a *alert.Alert, field string) string {
	if v := a.Event.Values(field); len(v) > 0 {
		return v[0]
	}
	return ""
}

func join(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), sep)
}

// A pair is a name with its values.
type pair struct {
	Name   string
	Values []string
}

// evidence returns the fields that the rule's author wants looked at, and for a
// rule that names none those that every investigation begins with.
func evidence(a *alert.Alert) []pair {
	fields := a.Rule.InvestigationFields
	if len(fields) == 0 {
		fields = []string{
			"event.provider", "event.action", "event.outcome", "aws.cloudtrail.error_code",
			"user.name", "user_agent.original", "source.address", "cloud.account.id", "cloud.region",
			"aws.cloudtrail.request_parameters",
		}
	}
	var out []pair
	for _, f := range fields {
		if v := a.Event.Values(f); len(v) > 0 {
			out = append(out, pair{f, v})
		}
	}
	return out
}

// when says in one sentence when it happened and what came with it.
func when(a *alert.Alert) string {
	s := clock(a.Time, timeFormat) + " UTC"
	if a.Last.After(a.Time) {
		s += " to " + clock(a.Last, timeFormat) + " UTC"
	}
	return s
}

// history says in one sentence how new it is; empty for rules without a memory.
func history(a *alert.Alert) string {
	if a.Rule.Type != rule.NewTerms {
		return ""
	}
	s := "never seen before"
	switch {
	case !a.Previous.IsZero():
		s = "last seen " + clock(a.Previous, timeFormat) + " UTC, " + span(a.Time.Sub(a.Previous)) + " earlier"
	case a.Cold:
		s = "not seen before in these logs"
	}
	s += "; the logs cover " + percent(a.Coverage) + " of the time that the rule looks back on"
	if a.Cold {
		s += ": cold"
	}
	return s
}

// counted says what a threshold or a suppression stands for; empty without.
func counted(a *alert.Alert) string {
	var parts []string
	if t := a.Threshold; t != nil {
		parts = append(parts, plural(t.Count, "event"))
		for _, c := range t.Cardinality {
			parts = append(parts, count(c.Value)+" different "+clip(c.Field, maxName))
		}
	}
	if a.Conflict {
		parts = append(parts, "copies that differ were read, the one with the smallest hash is shown")
	}
	if s := a.Suppression; s != nil && s.Count > 0 {
		parts = append(parts, "stands for "+plural(s.Count, "more alert")+" until "+clock(s.End, timeFormat)+" UTC")
	}
	return strings.Join(parts, "; ")
}
