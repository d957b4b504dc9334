package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
)

// A test asks about one value of a field. now is the time of the event, from which
// relative dates count.
type test func(value string, now time.Time) bool

// leaf is a condition on one field: any value passes the test.
type leaf struct {
	field *ecs.Field
	test  test
	timed bool // the test reads now
}

func (l *leaf) Match(ev ecs.Event) bool {
	values := ev.Values(l.field)
	if len(values) == 0 {
		return false
	}
	var now time.Time
	if l.timed {
		now = ev.Time()
	}
	for _, v := range values {
		if l.test(v, now) {
			return true
		}
	}
	return false
}

func (l *leaf) Decide(k Known) Truth {
	values, ok := k(l.field)
	switch {
	case !ok:
		return Maybe
	case len(values) == 0:
		return False
	case l.timed:
		return Maybe
	}
	for _, v := range values {
		if l.test(v, time.Time{}) {
			return True
		}
	}
	return False
}

func (l *leaf) Fields(yield func(*ecs.Field)) { yield(l.field) }

// equal is the commonest condition: one exact text.
type equal struct {
	field *ecs.Field
	text  string
}

func (e *equal) Match(ev ecs.Event) bool { return slices.Contains(ev.Values(e.field), e.text) }

func (e *equal) Decide(k Known) Truth {
	values, ok := k(e.field)
	return decided(ok, slices.Contains(values, e.text))
}

func (e *equal) Fields(yield func(*ecs.Field)) { yield(e.field) }

func decided(known, holds bool) Truth {
	switch {
	case !known:
		return Maybe
	case holds:
		return True
	}
	return False
}

// oneOf is equality with any of many texts, at the cost of one look-up.
type oneOf struct {
	field *ecs.Field
	texts map[string]struct{}
}

func (o *oneOf) has(values []string) bool {
	for _, v := range values {
		if _, ok := o.texts[v]; ok {
			return true
		}
	}
	return false
}

func (o *oneOf) Match(ev ecs.Event) bool { return o.has(ev.Values(o.field)) }
func (o *oneOf) Decide(k Known) Truth {
	values, ok := k(o.field)
	return decided(ok, o.has(values))
}
func (o *oneOf) Fields(yield func(*ecs.Field)) { yield(o.field) }

// exists is the condition that a field has a value.
type exists struct{ field *ecs.Field }

func (e exists) Match(ev ecs.Event) bool { return len(ev.Values(e.field)) > 0 }
func (e exists) Decide(k Known) Truth {
	values, ok := k(e.field)
	return decided(ok, len(values) > 0)
}
func (e exists) Fields(yield func(*ecs.Field)) { yield(e.field) }

// Exists returns the condition that f has a value. The empty string is one.
func Exists(f *ecs.Field) Expr { return exists{f} }

// plain reports whether values of the type are compared as text.
func plain(t ecs.Type) bool {
	return t == ecs.Keyword || t == ecs.ConstantKeyword || t == ecs.Flattened || t == ecs.Object
}

// Equal returns the condition that f has the value that literal stands for,
// compared by the type of f: text exactly, addresses as addresses (a CIDR block
// holds its members), numbers and dates by value, analysed text by its words (any
// of them; see [Phrase]). The error says why the literal cannot be a value of f.
func Equal(f *ecs.Field, literal string) (Expr, error) {
	if plain(f.Type) {
		return &equal{f, literal}, nil
	}
	t, timed, err := equalTest(f.Type, literal)
	if err != nil {
		return nil, fieldError(f, err)
	}
	return &leaf{f, t, timed}, nil
}

// AnyOf returns the condition that f has one of the values, each as in [Equal].
// However many there are, texts cost one look-up, and so do addresses.
func AnyOf(f *ecs.Field, literals []string) (Expr, error) {
	switch {
	case plain(f.Type) && len(literals) > 1:
		o := &oneOf{field: f, texts: make(map[string]struct{}, len(literals))}
		for _, l := range literals {
			o.texts[l] = struct{}{}
		}
		return o, nil
	case f.Type == ecs.IP && len(literals) > 1:
		t, err := addressTest(literals)
		if err != nil {
			return nil, fieldError(f, err)
		}
		return &leaf{field: f, test: t}, nil
	}
	list := make([]Expr, len(literals))
	for i, l := range literals {
		var err error
		if list[i], err = Equal(f, l); err != nil {
			return nil, err
		}
	}
	return Or(list...), nil
}

// EqualFold is [Equal] for text without regard to letter case.
func EqualFold(f *ecs.Field, literal string) Expr {
	return &leaf{field: f, test: func(v string, _ time.Time) bool { return strings.EqualFold(v, literal) }}
}

// Phrase returns the condition that f holds the words of literal side by side and
// in order. On fields that are not analysed it is [Equal].
func Phrase(f *ecs.Field, literal string) (Expr, error) {
	if f.Type != ecs.Text {
		return Equal(f, literal)
	}
	return &leaf{field: f, test: phraseTest(literal)}, nil
}

// Like returns the condition that a value of f matches p as a whole. On analysed
// text p is compared with each word too, always without regard to letter case. ok is
// false for other types than text, where Elasticsearch refuses patterns; the
// condition is then never true. Sub-keys of flattened fields are text
// (query-languages §2.6).
func Like(f *ecs.Field, p *Pattern) (x Expr, ok bool) {
	switch {
	case f.Type == ecs.Text:
		return &leaf{field: f, test: wordPatternTest(p.folded())}, true
	case plain(f.Type):
		return &leaf{field: f, test: func(v string, _ time.Time) bool { return p.Match(v) }}, true
	}
	return Never(f), false
}

// An Op is an operator of a range.
type Op string

// The operators.
const (
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
)

func (op Op) holds(c int) bool {
	switch op {
	case Less:
		return c < 0
	case LessOrEqual:
		return c <= 0
	case Greater:
		return c > 0
	default:
		return c >= 0
	}
}

// Compare returns the condition that a value of f stands in the given order to
// literal: numbers by value, dates by instant, addresses as addresses, text byte
// by byte.
func Compare(f *ecs.Field, op Op, literal string) (Expr, error) {
	t, timed, err := rangeTest(f.Type, op, literal)
	if err != nil {
		return nil, fieldError(f, err)
	}
	return &leaf{f, t, timed}, nil
}

func fieldError(f *ecs.Field, err error) error {
	if f.Name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", f.Name, err)
}
