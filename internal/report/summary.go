package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/query"
)

const (
	maxZones = 12
	maxTop   = 10
)

// Summary writes what was read, what was not and why, which rules ran, and which
// alerts need care. Where all is well it is short.
func Summary(w io.Writer, s *Scan, o Options) error {
	p := &printer{w: w, color: o.Color}
	for _, b := range []block{
		{"read", inputLines(s)},
		{"problems", problemLines(s.Stats.Problems)},
		{"coverage", coverageLines(s.Stats)},
		{"rules", ruleLines(s)},
		{"alerts", alertLines(s)},
		{"note", noteLines(s)},
	} {
		p.block(b, o.Width)
	}
	return p.err
}

// A block is a heading with lines; lines may hold anything.
type block struct {
	name  string
	lines []string
}

func (p *printer) block(b block, width int) {
	const label = len("coverage") + len(gap)
	lines := make([]string, 0, len(b.lines))
	for _, l := range b.lines {
		lines = append(lines, wrap(Safe(l), width-label)...)
	}
	for i, l := range lines {
		name := ""
		if i == 0 {
			name = b.name
		}
		p.line("%s%s", p.bold(fmt.Sprintf("%-*s", label, name)), l)
	}
}

// wrap breaks s between words into lines of at most width columns, but not for a
// width that has no room for words.
func wrap(s string, width int) []string {
	if width < 4*least || lipgloss.Width(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	for word := range strings.SplitSeq(s, " ") {
		next := line + " " + word
		switch {
		case line == "" && len(lines) == 0 && word == "": // indented
			line = " "
			continue
		case strings.TrimSpace(line) == "":
			next = line + word
		}
		if strings.TrimSpace(line) != "" && lipgloss.Width(next) > width {
			lines = append(lines, line)
			next = "  " + word
		}
		line = next
	}
	return append(lines, line)
}

func inputLines(s *Scan) []string {
	st := s.Stats
	what := plural(st.Records, "record")
	if st.Documents > 0 {
		what += " and " + plural(st.Documents, "ECS document")
	}
	what += " in " + plural(st.Objects, "file")
	if !st.First.IsZero() {
		what += ", " + clock(st.First, minuteFormat) + " to " + clock(st.Last, minuteFormat) + " UTC"
	}
	lines := []string{what, speed(s)}
	if st.Duplicates > 0 {
		text := plural(st.Duplicates, "duplicate")
		if !st.DuplicatesExact {
			text = "about " + plural(about(st.Duplicates), "duplicate")
		}
		lines = append(lines, text+" left out")
	}
	if st.Outside > 0 {
		lines = append(lines, plural(st.Outside, "record")+" after the end of the time looked at")
	}
	if !st.Start.IsZero() {
		lines = append(lines, "alerts from "+clock(st.Start, minuteFormat)+" UTC on; what came before was only learned")
	}
	if n := st.Digests + st.Control; n > 0 {
		lines = append(lines, plural(n, "digest or control message")+" passed over, as they should be")
	}
	if len(s.Skipped) > 0 {
		lines = append(lines, "not read: "+names(skipped(s), maxTop))
	}
	return lines
}

func speed(s *Scan) string {
	text := bytesize(s.Stats.InBytes)
	if s.Stats.Bytes > s.Stats.InBytes {
		text += " (" + bytesize(s.Stats.Bytes) + " unpacked)"
	}
	seconds := s.Elapsed.Seconds()
	if seconds <= 0 {
		return text
	}
	text += fmt.Sprintf(" in %.1f s", seconds)
	if read := s.Stats.Records + s.Stats.Documents; read > 0 && seconds >= 1 { // a rate of less is noise
		text += ", " + count(int64(float64(read)/seconds)) + " records/s"
	}
	return text
}

func skipped(s *Scan) []tally {
	return counts(s.Skipped).tallies()
}

// problemLines lists the rejected before the merely noted.
func problemLines(problems []pipeline.ProblemCount) []string {
	list := slices.Clone(problems)
	slices.SortStableFunc(list, func(a, b pipeline.ProblemCount) int {
		if a.Rejected != b.Rejected {
			if a.Rejected {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Count, a.Count)
	})
	lines := make([]string, 0, len(list))
	for _, c := range list {
		text := verdict(c) + " " + count(c.Count) + " × " + c.Code
		if len(c.Examples) > 0 {
			text += ": " + place(c.Examples[0]) + ": " + clip(c.Examples[0].Message, maxMessage)
		}
		lines = append(lines, text)
	}
	return lines
}

func verdict(c pipeline.ProblemCount) string {
	if c.Rejected {
		return "rejected"
	}
	return "noted"
}

func place(p cloudtrail.Problem) string {
	p.Input = clip(p.Input, maxMessage)
	switch {
	case p.Record > 0:
		return fmt.Sprintf("%s, record %s, byte %s", p.Input, count(p.Record), count(p.Offset))
	case p.Offset > 0:
		return fmt.Sprintf("%s, byte %s", p.Input, count(p.Offset))
	}
	return p.Input
}

// coverageLines shows the zones with trouble first, then the largest.
func coverageLines(st *pipeline.Stats) []string {
	list := slices.Clone(st.Zones)
	slices.SortStableFunc(list, func(a, b pipeline.Zone) int {
		return cmp.Or(cmp.Compare(b.Unreadable, a.Unreadable), cmp.Compare(b.Records, a.Records))
	})
	var lines []string
	for i, z := range list {
		if i == maxZones {
			lines = append(lines, "and "+count(int64(len(list)-maxZones))+" more accounts and regions")
			break
		}
		text := fmt.Sprintf("%s %s: %s", clip(cmp.Or(z.Account, "no account"), maxName), clip(cmp.Or(z.Region, "no region"), maxName), plural(z.Records, "record"))
		if z.Records > 0 {
			text += fmt.Sprintf(", %s to %s", clock(z.First, minuteFormat), clock(z.Last, minuteFormat))
		}
		if z.Quiet > 0 {
			text += ", " + plural(int64(z.Quiet), "hour") + " without a record"
		}
		if z.Unreadable > 0 {
			text += ", " + plural(z.Unreadable, "file") + " not readable whole"
		}
		lines = append(lines, text)
	}
	if st.MoreZones > 0 {
		lines = append(lines, plural(st.MoreZones, "record")+" of accounts and regions that are too many to list")
	}
	return lines
}

func ruleLines(s *Scan) []string {
	ran := 0
	for i := range s.Rules {
		if s.Rules[i].Ran {
			ran++
		}
	}
	lines := []string{fmt.Sprintf("%s loaded, %s run", count(int64(len(s.Rules))), count(int64(ran)))}
	reasons := tallies(s.Rules, func(r RuleLine) (string, int64) {
		if r.Ran {
			return "", 0
		}
		return r.why(), 1
	})
	for _, t := range reasons {
		lines = append(lines, count(t.Count)+" not run: "+t.Name)
	}
	failed := tallies(s.NotLoaded, func(d query.Diagnostic) (string, int64) {
		if d.Severity != query.Error {
			return "", 0
		}
		return d.Code, 1
	})
	if len(failed) > 0 {
		lines = append(lines, plural(sum(failed), "error")+" in rule files: "+names(failed, maxTop)+"; `debut rules check` shows where")
	}
	return lines
}

func alertLines(s *Scan) []string {
	lines := []string{severityLine(s)}
	if s.sums.notified == 0 {
		return lines
	}
	lines = append(lines, top("by rule", s.sums.byRule.tallies())...)
	return append(lines, top("by principal", s.sums.byPrincipal.tallies())...)
}

func severityLine(s *Scan) string {
	if s.sums.notified == 0 {
		return "none"
	}
	var parts []string
	for _, t := range s.sums.severities() {
		parts = append(parts, count(t.Count)+" "+t.Name)
	}
	return plural(s.sums.notified, "alert") + ": " + strings.Join(parts, ", ")
}

// top lists the first ten of a tally below a heading.
func top(title string, list []tally) []string {
	lines := []string{title}
	for i, t := range list {
		if i == maxTop {
			lines = append(lines, "    and "+count(int64(len(list)-maxTop))+" more")
			break
		}
		lines = append(lines, fmt.Sprintf("%6s  %s", count(t.Count), clip(t.Name, maxName)))
	}
	return lines
}

// noteLines are the things about the alerts that somebody must know to judge them.
func noteLines(s *Scan) []string {
	var lines []string
	if cold := s.sums.cold.sum(); cold > 0 {
		lines = append(lines, plural(cold, "alert")+" with a cold baseline, of "+names(s.sums.cold.tallies(), 3), coldMeans)
	}
	if list := ruleTallies(s, func(r pipeline.RuleStats) int64 { return r.Conflicts }); len(list) > 0 {
		lines = append(lines, plural(sum(list), "finding")+" on events of which copies differ, so that some log is not as it was written: "+names(list, 3))
	}
	if list := ruleTallies(s, func(r pipeline.RuleStats) int64 { return r.Learned }); len(list) > 0 {
		lines = append(lines, plural(sum(list), "finding")+" only learned (before the start): "+names(list, 3))
	}
	if list := ruleTallies(s, func(r pipeline.RuleStats) int64 { return r.Suppressed }); len(list) > 0 {
		lines = append(lines, plural(sum(list), "finding")+" suppressed, behind an alert of their group: "+names(list, 3))
	}
	if n := s.sums.blocks; n > 0 {
		lines = append(lines, plural(n, "alert")+" of building-block rules, which are made to be joined and not shown; NDJSON and CSV have them all")
	}
	lines = append(lines, cappedLines(s)...)
	if list := ruleTallies(s, func(r pipeline.RuleStats) int64 { return r.Excess }); len(list) > 0 {
		lines = append(lines, plural(sum(list), "combination")+" over 10,000 of one event not looked at: "+names(list, 3))
	}
	return lines
}

// cappedLines tells of max_signals: by rule, with whom it hit.
func cappedLines(s *Scan) []string {
	var lines []string
	capped := 0
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Stats.Capped == 0 {
			continue
		}
		if capped++; capped > maxTop {
			continue
		}
		text := fmt.Sprintf("%s: %s withheld over max_signals in %s", r.title(),
			plural(r.Stats.Withheld+r.Stats.Dropped, "alert"), plural(r.Stats.Capped, "interval"))
		if mine := s.sums.heldOf[r.title()]; len(mine) > 0 {
			text += ", of " + names(mine.tallies(), 3)
		}
		if r.Stats.Untold > 0 {
			text += "; " + plural(r.Stats.Untold, "principal") + " with withheld ones only"
		}
		lines = append(lines, text)
	}
	if capped > maxTop {
		lines = append(lines, "and "+plural(int64(capped-maxTop), "more rule")+" over max_signals")
	}
	if list := ruleTallies(s, func(r pipeline.RuleStats) int64 { return r.Dropped }); len(list) > 0 {
		lines = append(lines, plural(sum(list), "withheld finding")+" only counted, too many to keep: "+names(list, 3))
	}
	return lines
}

func ruleTallies(s *Scan, of func(pipeline.RuleStats) int64) []tally {
	return tallies(s.Rules, func(r RuleLine) (string, int64) { return r.title(), of(r.Stats) })
}
