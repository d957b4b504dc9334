package rule

import (
	"strings"
	"unicode/utf8"

	"github.com/debutsec/debut/query"
)

// inFile moves the diagnostics of the rule's query from their line in the query to
// their line in the rule's file. Strings hide it: a query is one line of an export
// however many lines it has itself.
func (r *Rule) inFile(ds query.Diagnostics) query.Diagnostics {
	literal := r.tree.get("query")
	for i := range ds {
		d := &ds[i]
		d.RuleID, d.File = r.ID, r.File
		if d.Line == 0 {
			d.Line = r.QueryLine
			continue
		}
		if r.src == nil || literal == nil {
			continue
		}
		// A place just behind the text is behind its last byte, not behind the quotes.
		off := literal.off + textOffset(r.src.data[literal.off:literal.end], offsetIn(r.Query, d.Line, d.Column))
		line, column, text := r.src.position(off)
		if text == "" && d.Source != "" { // a line too long to be shown
			d.Message += ", in " + strings.TrimSpace(d.Source)
			d.Width = min(d.Width, 1)
		}
		d.Line, d.Column, d.Source = line, column, text
	}
	return ds
}

// offsetIn returns the offset of a line and column, in runes, within s.
func offsetIn(s string, line, column int) int {
	off := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(s[off:], '\n')
		if i < 0 {
			return len(s)
		}
		off += i + 1
	}
	for ; column > 1 && off < len(s); column-- {
		_, n := utf8.DecodeRuneInString(s[off:])
		off += n
	}
	return off
}
