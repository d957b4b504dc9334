package report

import (
	"io"
	"strings"

	"github.com/debutsec/debut/query"
)

// Markdown writes a report to hand to somebody: a summary, the alerts as a table,
// then each with its evidence and its rule's guide, and what the logs covered.
// Withheld alerts are only counted.
func Markdown(w io.Writer, s *Scan) error {
	p := &printer{w: w}
	alerts, err := s.worst(maxCards)
	if err != nil {
		return err
	}
	shown := s.cards(alerts)
	p.line("# Debut scan report\n")
	p.line("%s UTC, Debut %s, of %s\n", clock(s.Now, timeFormat), text(s.Version), codes(few(s.Paths, maxName)))
	mdList(p, "Read", inputLines(s))
	mdList(p, "Alerts", mdAlerts(s))
	mdList(p, "Note", noteLines(s))

	p.line("## Alerts\n")
	mdTable(p, s, shown)
	for _, t := range []string{omitted(s.sums.notified, len(shown)), heldLine(s), triageNote(s)} {
		if t != "" {
			p.line("%s\n", text(t))
		}
	}
	for i := range shown {
		mdCard(p, &shown[i])
	}
	mdCoverage(p, s)
	mdProblems(p, s)
	mdRules(p, s)
	return p.err
}

func heldLine(s *Scan) string {
	if s.sums.withheld > 0 {
		return heldBack(s)
	}
	return ""
}

func mdAlerts(s *Scan) []string {
	lines := []string{severityLine(s)}
	if s.sums.notified > 0 {
		lines = append(lines, "by rule: "+names(s.sums.byRule.tallies(), maxTop), "by principal: "+names(s.sums.byPrincipal.tallies(), maxTop))
	}
	return lines
}

func mdList(p *printer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("**%s**\n", title)
	for _, l := range lines {
		p.line("- %s", text(l))
	}
	p.line("")
}

func mdTable(p *printer, s *Scan, list []card) {
	if len(list) == 0 {
		p.line("%s\n", text(nothing(s)))
		return
	}
	mdRow(p, "#", "Time (UTC)", "Severity", "Rule", "Who", "What", "From", "Last seen")
	mdRow(p, "--:", "---", "---", "---", "---", "---", "---", "---")
	for i := range list {
		c := &list[i]
		mdRow(p, count(int64(c.N)), c.Time, text(c.Severity), text(c.Name), tableCode(c.Who), tableCode(c.What), tableCode(c.Where), text(c.Seen))
	}
	p.line("")
}

func mdRow(p *printer, cells ...string) { p.line("| %s |", strings.Join(cells, " | ")) }

func mdCard(p *printer, c *card) {
	p.line("### %d. %s\n", c.N, text(c.Name))
	item := func(name, value string) {
		if value != "" {
			p.line("- **%s:** %s", name, value)
		}
	}
	item("Severity", text(c.Severity)+", risk score "+text(c.Risk))
	item("Investigated", text(c.Found))
	item("Who", code(c.Principal))
	item("What", code(c.What))
	item("On", codes(c.Targets))
	item("Error", code(c.Errors))
	item("Where from", code(c.Where))
	item("When", text(c.When))
	item("History", text(c.History))
	item("Counted", text(c.Counted))
	for _, t := range c.Terms {
		item("Term", code(t.Field)+" = "+orEmpty(code(t.Value)))
	}
	item("Rule", text(c.RuleName)+" ("+code(c.RuleID)+", "+text(string(c.Rule.Type))+")")
	for _, t := range c.Threats {
		item("ATT&CK", text(t))
	}
	item("Event", code(c.EventID))
	item("Alert", code(c.UUID))
	p.line("")
	if len(c.Evidence) > 0 {
		p.line("Evidence:\n")
		for _, e := range c.Evidence {
			p.line("- %s: %s", code(e.Name), orEmpty(codes(e.Values)))
		}
		p.line("")
	}
	mdGuide(p, c)
}

func orEmpty(s string) string {
	if s == "" {
		return "(empty)"
	}
	return s
}

// mdGuide writes the guide once for a rule. It is shown as it was written: rendered,
// the Markdown of a stranger's rule could do anything to the report.
func mdGuide(p *printer, c *card) {
	switch {
	case strings.TrimSpace(c.Rule.Note) == "":
	case c.Guide != c.N:
		p.line("The rule's guide is under alert %d.\n", c.Guide)
	default:
		lines := safeLines(c.Rule.Note)
		fence := strings.Repeat("`", max(3, longestRun(c.Rule.Note)+1))
		p.line("<details><summary>The rule's guide</summary>\n\n%stext\n%s\n%s\n\n</details>\n", fence, strings.Join(lines, "\n"), fence)
	}
}

func mdCoverage(p *printer, s *Scan) {
	if len(s.Stats.Zones) == 0 {
		return
	}
	p.line("## Coverage\n")
	mdRow(p, "Account", "Region", "Records", "First (UTC)", "Last (UTC)", "Hours with records", "Hours without", "Files not readable whole")
	mdRow(p, "---", "---", "--:", "---", "---", "--:", "--:", "--:")
	for _, z := range s.Stats.Zones {
		v := zoneOf(z)
		mdRow(p, tableCode(v.Account), tableCode(v.Region), v.Records, v.First, v.Last, v.Hours, v.Quiet, v.Unreadable)
	}
	p.line("")
}

func mdProblems(p *printer, s *Scan) {
	lines := problemLines(s.Stats.Problems)
	for _, d := range s.NotLoaded {
		if d.Severity == query.Error {
			lines = append(lines, clip(d.Error(), maxMessage))
		}
	}
	if len(lines) == 0 {
		return
	}
	p.line("## Problems\n")
	for _, l := range lines {
		p.line("- %s", code(l))
	}
	p.line("")
}

func mdRules(p *printer, s *Scan) {
	if len(s.Rules) == 0 {
		return
	}
	p.line("## Rules\n")
	mdRow(p, "Rule", "Type", "Severity", "Alerts", "Withheld", "Suppressed", "Learned", "Cold", "Not run because")
	mdRow(p, "---", "---", "---", "--:", "--:", "--:", "--:", "--:", "---")
	for i := range s.Rules {
		r := &s.Rules[i]
		st := r.Stats
		mdRow(p, text(r.title()), text(r.Type), text(r.Severity), count(st.Alerts), count(st.Withheld),
			count(st.Suppressed), count(st.Learned), count(st.Cold), text(r.why()))
	}
}

// text makes s plain text in Markdown: one line, no markup, no HTML, no links, and
// nothing at its beginning that would open a list.
func text(s string) string {
	s = Safe(s)
	var b strings.Builder
	digits := true // only digits so far
	for i, r := range s {
		switch {
		case strings.ContainsRune("\\`*_{}[]<>#|~&$@!", r),
			r == ':' && linked(s[i+1:]),
			i == 0 && strings.ContainsRune("-+=", r),
			i > 0 && digits && strings.ContainsRune(".)", r) && (i+1 == len(s) || s[i+1] == ' '):
			b.WriteByte('\\')
		}
		digits = digits && r >= '0' && r <= '9'
		b.WriteRune(r)
	}
	return strings.ReplaceAll(b.String(), "www.", `www\.`)
}

// linked reports whether a colon before s could make a link or an emoji: not one in
// a time or at the end of a word.
func linked(s string) bool { return s != "" && s[0] != ' ' && (s[0] < '0' || s[0] > '9') }

// code makes s a code span, in which Markdown leaves everything alone.
func code(s string) string {
	s = Safe(s)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(s)+1)
	if len(fence) > 1 || strings.HasPrefix(s, " ") {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

// tableCode is code for a cell. A bar ends a cell even in a code span unless a
// backslash is before it, and readers differ on a backslash before that one.
func tableCode(s string) string {
	return strings.NewReplacer(`\|`, `\\x7c`, `|`, `\|`).Replace(code(s))
}

func codes(list []string) string {
	var parts []string
	for _, s := range list {
		if c := code(s); c != "" {
			parts = append(parts, c)
		}
	}
	return strings.Join(parts, ", ")
}

// longestRun returns the length of the longest row of backticks in s.
func longestRun(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
