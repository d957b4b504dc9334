package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
)

// A List is rows of text under a header: what commands show of stored records.
// Everything in it is escaped when it is written.
type List struct {
	Header []string
	Rows   [][]string
	// Severity is the column that has a severity, which gets its colour; 0: none.
	Severity int
}

// Table writes columns. On a terminal the widest are cut until a row fits; elsewhere
// nothing is.
func (l *List) Table(w io.Writer, o Options) error {
	p := &printer{w: w, color: o.Color}
	g := make(grid, 0, 1+len(l.Rows))
	g = append(g, row(l.Header))
	for _, r := range l.Rows {
		g = append(g, safeRow(append([]string(nil), r...)...))
	}
	widths := g.fit(o.Width, 0)
	for i, r := range g {
		cells := r.cells(widths)
		if l.Severity > 0 && i > 0 {
			cells[l.Severity] = p.paint(severityColor(r[l.Severity]), cells[l.Severity])
		}
		line := strings.TrimRight(strings.Join(cells, gap), " ")
		if i == 0 {
			line = p.dim(line)
		}
		p.line("%s", line)
	}
	return p.err
}

// CSV writes rows under the header, if header is set. A cell that a spreadsheet would
// take for a formula begins with an apostrophe.
func (l *List) CSV(w io.Writer, header bool) error {
	out := csv.NewWriter(w)
	if header {
		if err := out.Write(l.Header); err != nil {
			return err
		}
	}
	cells := make([]string, len(l.Header))
	for _, r := range l.Rows {
		for i, c := range r {
			cells[i] = cell(c)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Markdown writes a table, under the header if header is set.
func (l *List) Markdown(w io.Writer, header bool) error {
	p := &printer{w: w}
	if header {
		mdRow(p, l.Header...)
		rules := make([]string, len(l.Header))
		for i := range rules {
			rules[i] = "---"
		}
		mdRow(p, rules...)
	}
	for _, r := range l.Rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = text(c)
		}
		mdRow(p, cells...)
	}
	return p.err
}

// Facts writes a title and lines of a name and a value under it. A fact without a
// value is left out; one of several lines has them one below the other.
func Facts(w io.Writer, title string, facts [][2]string, o Options) error {
	p := &printer{w: w, color: o.Color}
	p.line("%s", p.bold(Safe(title)))
	label := 0
	for _, f := range facts {
		if f[1] != "" {
			label = max(label, len(f[0])+len(gap))
		}
	}
	for _, f := range facts {
		if f[1] == "" {
			continue
		}
		name := f[0]
		for _, l := range safeLines(f[1]) {
			for _, part := range wrap(l, o.Width-label) {
				p.line("%s%s", p.bold(fmt.Sprintf("%-*s", label, name)), part)
				name = ""
			}
		}
	}
	return p.err
}

// A Strip is a line of a picture: a name, and a block for each cell.
type Strip struct {
	Name  string
	Cells []StripCell
	Note  string // behind it
}

// A StripCell is how full a block is, 0 to 1, and whether it is good.
type StripCell struct {
	Share float64
	Level StripLevel
}

// StripLevel says what a block means.
type StripLevel byte

// Levels of blocks.
const (
	StripGood    StripLevel = iota // all there
	StripQuiet                     // nothing was to be expected
	StripUnknown                   // nobody knows
	StripBad                       // something is missing
)

// Strips writes a picture under its title: a line for each strip, in which a block is
// as high as its share. Quiet is a dot, unknown a question mark. With colour good
// blocks are green and bad ones red.
func Strips(w io.Writer, title string, strips []Strip, o Options) error {
	p := &printer{w: w, color: o.Color}
	p.line("%s", p.dim(Safe(title)))
	g := make(grid, len(strips))
	for i, s := range strips {
		g[i] = safeRow(s.Name)
	}
	widths := g.fit(0, 0)
	for i, s := range strips {
		var b strings.Builder
		last := StripLevel(255)
		for j, c := range s.Cells {
			if c.Level != last {
				if j > 0 && p.color {
					b.WriteString("\x1b[0m")
				}
				if p.color {
					b.WriteString("\x1b[" + stripColor(c.Level) + "m")
				}
				last = c.Level
			}
			b.WriteString(stripBlock(c))
		}
		if p.color && len(s.Cells) > 0 {
			b.WriteString("\x1b[0m")
		}
		name := g[i].cells(widths)[0]
		name += strings.Repeat(" ", max(0, widths[0]-len([]rune(name))))
		p.line("%s%s%s%s%s", name, gap, b.String(), gap, Safe(s.Note))
	}
	return p.err
}

func stripColor(l StripLevel) string {
	switch l {
	case StripGood:
		return "32"
	case StripBad:
		return "1;31"
	case StripUnknown:
		return "33"
	case StripQuiet:
	}
	return "2"
}

func stripBlock(c StripCell) string {
	switch c.Level {
	case StripQuiet:
		return "·"
	case StripUnknown:
		return "?"
	case StripGood:
		return "█"
	case StripBad:
	}
	blocks := []rune("▁▂▃▄▅▆▇")
	return string(blocks[min(len(blocks)-1, int(c.Share*float64(len(blocks))))])
}

// Cell returns s as a cell of CSV that neither a terminal nor a spreadsheet acts on.
func Cell(s string) string { return cell(s) }
