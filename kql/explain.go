package kql

import (
	"fmt"
	"strings"
)

// missing says that what is not there, and what stands in its place.
func (p *parser) missing(what string) {
	value := what == "a value"
	end := p.pos + 1
	var message, hint string
	switch c := p.peek(); {
	case c == 0:
		// The caret belongs behind the last word.
		p.pos = len(strings.TrimRight(p.src, space))
		end = p.pos
		message = what + " is missing at the end"
		if value {
			hint = `write FIELD: * for "has any value"`
		}
	case strings.IndexByte("<>:", c) >= 0 && value:
		message, hint = fmt.Sprintf("%s is missing before %c", what, c), "write FIELD: VALUE or FIELD > VALUE, with one operator"
	case p.operator() != "" && value:
		word := p.operator()
		end = p.pos + len(word)
		message, hint = fmt.Sprintf("%s is missing before %s", what, word), "write not FIELD: VALUE, or FIELD: (not VALUE)"
	case p.operator() != "":
		end = p.pos + len(p.operator())
		message = fmt.Sprintf("%s is missing before %s", what, p.operator())
	case strings.IndexByte("<>:", c) >= 0:
		message = fmt.Sprintf("the name of a field is missing before %c", c)
	default:
		message = fmt.Sprintf("%s is missing before %c", what, c)
		if c == '{' || c == '(' {
			hint = fmt.Sprintf(`write \%c for a %c in a value, or put the value in quotes`, c, c)
		}
	}
	p.fail(p.pos, end, "missing-operand", message, hint)
}

// operator returns the operator that stands next, or "".
func (p *parser) operator() string {
	for _, word := range operators {
		if _, ok := keyword(p.rest(), word); ok {
			return p.src[p.pos : p.pos+len(word)]
		}
	}
	return ""
}

// unexpected says that what stands here cannot follow what was read.
func (p *parser) unexpected() Node {
	var hint string
	word := p.src[p.pos : p.pos+1]
	switch c := word[0]; c {
	case ')', '}':
		return p.fail(p.pos, p.pos+1, "unbalanced", fmt.Sprintf("there is nothing that this %c closes", c), fmt.Sprintf(`write \%c for a %c in a value`, c, c))
	case ':', '<', '>', '{', '(', '"', '\\':
		hint = fmt.Sprintf(`join conditions with and, or; write \%c for a %c in a value, or put the value in quotes`, c, c)
		if glued := p.glued(); glued != "" {
			hint = fmt.Sprintf("write white space between %s and %c", glued, c)
		} else if c != '(' && p.lists > 0 {
			hint = "the list of values is not closed: write ) before the next condition"
		}
	default:
		operator := p.operator()
		if word = operator; word == "" {
			word = p.word()
		}
		switch {
		case strings.EqualFold(operator, "not"):
			hint = "before white space not is an operator, at the end of a word too: join conditions with and, or; put the value in quotes; in a pattern write \\u006eot"
		case operator != "":
			hint = "and, or need white space on both sides"
		default:
			hint = "join conditions with and, or; put a value into quotes as a whole"
		}
	}
	return p.fail(p.pos, p.pos+len(word), "unexpected-text", fmt.Sprintf("%s cannot follow %s", quote(word), p.behind()), hint)
}

// word returns the text up to the next white space or special character.
func (p *parser) word() string {
	rest := p.rest()
	for i := range rest {
		if i > 0 && (spaceAt(rest[i:]) > 0 || special(rest[i])) {
			return rest[:i]
		}
	}
	return rest
}

// behind names what was read last.
func (p *parser) behind() string {
	if p.last == nil || p.last.span.end < len(strings.TrimRight(p.src[:p.pos], space)) {
		return "a complete condition"
	}
	if p.last.Quoted {
		return quote(p.last.Text())
	}
	return quote(p.last.span.Text())
}

// quote puts the text in quotes, and no more of it than is needed.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return `"` + s + `"`
}

// glued returns the operator that the literal read last ends with, which was taken
// for a part of it.
func (p *parser) glued() string {
	if p.last == nil || p.last.span.end != p.pos || p.last.Quoted {
		return ""
	}
	text := p.last.span.Text()
	for _, word := range operators {
		head, ok := strings.CutSuffix(strings.ToLower(text), word)
		if ok && (head == "" || strings.TrimRight(head, space) != head) {
			return word
		}
	}
	return ""
}
