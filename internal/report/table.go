package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

const (
	// narrow is the width under which a line has no room for who, what and where:
	// they get lines of their own.
	narrow = 150
	// maxLines is how many, which is enough for all but absurd values.
	maxLines = 3
	gap      = "  "
	// least is how far a column is cut at most.
	least = 6
)

// block of alerts that a table lays out together: more would take memory.
const tableBlock = 1000

// Table writes a line per alert, by time; on a terminal under headings by day.
// Withheld alerts are only counted. Columns are as wide as a thousand alerts need.
func Table(w io.Writer, s *Scan, o Options) error {
	p := &printer{w: w, color: o.Color}
	if s.sums.notified == 0 {
		p.note(nothing(s), o.Width)
	}
	var day string
	var block []tableLine
	first := true
	flush := func() {
		if o.Width == 0 {
			wide(p, block, first, s.Triage != nil)
		} else {
			day = byDay(p, block, o.Width, day, s.Triage != nil)
		}
		first, block = false, block[:0]
	}
	for a, err := range s.notified() {
		if err != nil {
			return err
		}
		l := lineOf(a)
		l.Verdict = s.verdictCell(a)
		if block = append(block, tableLine{l, a.Time.UTC()}); len(block) == tableBlock {
			flush()
		}
	}
	if len(block) > 0 {
		flush()
	}
	if s.sums.withheld > 0 {
		p.note(heldBack(s), o.Width)
	}
	return p.err
}

// A tableLine is a line with the time that it is sorted by.
type tableLine struct {
	line

	at time.Time
}

// nothing says that there is no alert, and what to do next.
func nothing(s *Scan) string {
	st := s.Stats
	ran, learned := int64(0), int64(0)
	for i := range s.Rules {
		learned += s.Rules[i].Stats.Learned
		if s.Rules[i].Ran {
			ran++
		}
	}
	read := st.Records + st.Documents
	text := fmt.Sprintf("No alerts: %s, %s run.", plural(read, "record"), plural(ran, "rule"))
	switch {
	case s.sums.withheld > 0:
		text = "No alerts but withheld ones."
	case s.sums.blocks > 0:
		text = "No alerts but those of building-block rules."
	case read == 0:
		text += " Nothing was read: check the paths, and that they hold CloudTrail logs."
	case ran == 0:
		text += " No rule ran: name rules with --rules, or see `debut rules list`."
	case learned > 0:
		text += fmt.Sprintf(" %s began while learning; a shorter --learn or an earlier --from would show them.", plural(learned, "finding"))
	default:
		text += " Check below that every account and region is there; `debut rules list` shows what was looked for."
	}
	return text
}

// heldBack tells of the alerts over max_signals and whose they are.
func heldBack(s *Scan) string {
	return plural(s.sums.withheld, "more alert") + " withheld (over max_signals), of " + names(s.sums.held.tallies(), 3) +
		"; NDJSON and CSV have them all."
}

// names lists the first few of a tally.
func names(list []tally, limit int) string {
	var parts []string
	for i, t := range list {
		if i == limit {
			parts = append(parts, "and "+count(int64(len(list)-limit))+" more")
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", clip(t.Name, maxName), count(t.Count)))
	}
	return strings.Join(parts, ", ")
}

// wide writes full lines, made to be read and to be searched, the first below a
// header.
func wide(p *printer, lines []tableLine, header, triaged bool) {
	g := make(grid, 0, 1+len(lines))
	g = append(g, row{"TIME (UTC)", "SEVERITY", "RULE", "WHO", "WHAT", "FROM", "LAST SEEN"})
	for _, l := range lines {
		g = append(g, safeRow(l.Time, l.Severity, l.Name, l.Who, l.What, l.Where, l.Seen))
	}
	if triaged {
		for i := range g {
			verdict := "TRIAGE"
			if i > 0 {
				verdict = lines[i-1].Verdict
			}
			g[i] = slices.Insert(g[i], 2, verdict)
		}
	}
	widths := g.fit(0, 0)
	if header {
		p.line("%s", p.dim(g[0].text(widths)))
	}
	for i, l := range lines {
		p.line("%s", p.alert(g[i+1], widths, l.Severity))
	}
}

// byDay writes lines that fit, under a heading for each day but the one that has had
// its heading. It returns the last day.
func byDay(p *printer, lines []tableLine, width int, day string, triaged bool) string {
	const indent = "          " // what follows begins under the severity
	var g grid
	for _, l := range lines {
		at := l.at.Format(clockFormat)
		if width >= narrow {
			g = append(g, safeRow(at, l.Severity, l.Name, l.Who, l.What, l.Where, l.Seen))
		} else {
			g = append(g, safeRow(at, l.Severity, l.Name, l.Seen))
		}
		if triaged {
			g[len(g)-1] = slices.Insert(g[len(g)-1], 2, l.Verdict)
		}
	}
	widths := g.fit(width, 1)
	for i, l := range lines {
		if d := l.at.Format("Monday 2006-01-02") + " (UTC)"; d != day {
			day = d
			p.line("%s", p.bold(day))
		}
		p.line("%s", p.alert(g[i], widths, l.Severity))
		if width < narrow {
			for _, text := range l.sentence(width - len(indent)) {
				p.line("%s%s", indent, text)
			}
		}
	}
	return day
}

// sentence says who, what and where from in lines of that width.
func (l *line) sentence(width int) []string {
	// The dots stay with what is before them. Safe leaves no such space to a log.
	const stay = "\u00a0"
	lines := wrap(join(stay+"· ", Safe(l.Who), Safe(l.What), Safe(l.Where)), width)
	if len(lines) > maxLines {
		lines = lines[:maxLines]
		lines[maxLines-1] += " …"
	}
	for i := range lines {
		lines[i] = cut(strings.ReplaceAll(lines[i], stay, " "), width)
	}
	return lines
}

type row []string

func safeRow(cells ...string) row {
	for i, c := range cells {
		cells[i] = Safe(c)
	}
	return cells
}

// text lays the cells out; the last one is not padded.
func (r row) text(widths []int) string {
	return strings.TrimRight(strings.Join(r.cells(widths), gap), " ")
}

func (r row) cells(widths []int) []string {
	out := make([]string, len(r))
	for i, c := range r {
		c = cut(c, widths[i])
		if i < len(r)-1 {
			c += strings.Repeat(" ", widths[i]-lipgloss.Width(c))
		}
		out[i] = c
	}
	return out
}

type grid []row

// fit returns the widths of the columns. Over width, the widest are cut first and
// the first fixed ones never. Width 0 cuts nothing.
func (g grid) fit(width, fixed int) []int {
	if len(g) == 0 {
		return nil
	}
	widths := make([]int, len(g[0]))
	total := len(gap) * (len(widths) - 1)
	for i := range widths {
		for _, r := range g {
			widths[i] = max(widths[i], lipgloss.Width(r[i]))
		}
		total += widths[i]
	}
	for ; width > 0 && total > width; total-- {
		i := fixed + widest(widths[fixed:])
		if widths[i] <= least {
			break
		}
		widths[i]--
	}
	return widths
}

func widest(widths []int) int { return slices.Index(widths, slices.Max(widths)) }

// cut shortens s to a number of columns, with an ellipsis for the rest.
func cut(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	// A column can hold many combining characters, but not for ever.
	runes = runes[:min(len(runes), 4*width)]
	for len(runes) > 0 && lipgloss.Width(string(runes)) >= width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// A printer writes lines until an error, in colour if wanted.
type printer struct {
	w     io.Writer
	color bool
	err   error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// note writes a sentence about the table, dimmed and wrapped.
func (p *printer) note(text string, width int) {
	for _, l := range wrap(Safe(text), width) {
		if width > 0 {
			l = cut(l, width)
		}
		p.line("%s", p.dim(l))
	}
}

func (p *printer) paint(code, s string) string {
	if !p.color || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) bold(s string) string { return p.paint("1", s) }
func (p *printer) dim(s string) string  { return p.paint("2", s) }

// alert lays a row out with its second cell, the severity, in colour.
func (p *printer) alert(r row, widths []int, severity string) string {
	cells := r.cells(widths)
	cells[1] = p.paint(severityColor(severity), cells[1])
	return strings.TrimRight(strings.Join(cells, gap), " ")
}

func severityColor(name string) string {
	switch name {
	case "critical":
		return "1;97;41"
	case "high":
		return "1;31"
	case "medium":
		return "33"
	case "low":
		return "36"
	}
	return ""
}
