package rule

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/debutsec/debut/query"
)

// longestSource is the longest line that a diagnostic repeats. A line of an
// NDJSON export can be a hundred kilobytes.
const longestSource = 400

// source is the text of one file, with the places of its lines.
type source struct {
	name  string
	data  []byte
	lines []int // offset of the first byte of each line
}

func newSource(name string, data []byte) *source {
	s := &source{name: name, data: data, lines: make([]int, 1, bytes.Count(data, []byte{'\n'})+1)}
	for i, c := range data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// position returns the line and column of the byte at off, and the line's text
// (empty if it is too long to be shown). Line and column count from 1, the
// column in runes. A negative offset has no position.
func (s *source) position(off int) (line, column int, text string) {
	if off < 0 || off > len(s.data) {
		return 0, 0, ""
	}
	line = sort.SearchInts(s.lines, off+1)
	start := s.lines[line-1]
	end := len(s.data)
	if line < len(s.lines) {
		end = s.lines[line] - 1
	}
	if end-start <= longestSource {
		text = strings.TrimSuffix(string(s.data[start:end]), "\r")
	}
	return line, utf8.RuneCount(s.data[start:off]) + 1, text
}

// line returns the line of the byte at off.
func (s *source) line(off int) int {
	n, _, _ := s.position(off)
	return n
}

// A reporter collects what is wrong with one object of a file.
type reporter struct {
	src    *source
	ruleID string
	out    *query.Diagnostics
	failed bool // an error was reported
}

// at adds a diagnostic at the byte range [off, end).
func (r *reporter) at(severity query.Severity, code string, off, end int, message, hint string) {
	d := query.Diagnostic{
		Severity: severity, Code: code, File: r.src.name, RuleID: r.ruleID,
		Message: message, Hint: hint,
	}
	d.Line, d.Column, d.Source = r.src.position(off)
	if d.Column > 0 {
		d.Width = 1
		if end > off && end <= len(r.src.data) {
			first, _, _ := bytes.Cut(r.src.data[off:end], []byte{'\n'})
			d.Width = max(1, utf8.RuneCount(first))
		}
	}
	r.add(d)
}

func (r *reporter) add(d query.Diagnostic) {
	if d.Severity == query.Error {
		r.failed = true
	}
	*r.out = append(*r.out, d)
}
