package query

import (
	"cmp"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/debutsec/debut/ecs"
)

// A Test asks about one value of a field. now is the time of the event, from which
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

func (e *equal) Match(ev ecs.Event) bool {
	for _, v := range ev.Values(e.field) {
		if v == e.text {
			return true
		}
	}
	return false
}

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
// holds its members), numbers and dates by value, analysed text by its words. The
// error says why the literal cannot be a value of f.
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
func AnyOf(f *ecs.Field, literals []string) (Expr, error) {
	if plain(f.Type) && len(literals) > 1 {
		o := &oneOf{field: f, texts: make(map[string]struct{}, len(literals))}
		for _, l := range literals {
			o.texts[l] = struct{}{}
		}
		return o, nil
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
	want := words(literal)
	return &leaf{field: f, test: func(v string, _ time.Time) bool {
		have := words(v)
		for i := 0; i+len(want) <= len(have); i++ {
			if slices.Equal(have[i:i+len(want)], want) {
				return len(want) > 0
			}
		}
		return false
	}}, nil
}

// Like returns the condition that a value of f matches p as a whole. Fields that
// are not text, where Elasticsearch refuses patterns, are compared by their text
// too if they are flattened (query-languages §2.6); ok is false for others, and
// the condition is then never true.
func Like(f *ecs.Field, p *Pattern) (x Expr, ok bool) {
	if !plain(f.Type) && f.Type != ecs.Text {
		return Const(false), false
	}
	return &leaf{field: f, test: func(v string, _ time.Time) bool { return p.Match(v) }}, true
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

func fieldError(f *ecs.Field, err error) error { return fmt.Errorf("field %s: %w", f.Name, err) }

func equalTest(typ ecs.Type, literal string) (t test, timed bool, err error) {
	switch typ {
	case ecs.IP:
		t, err = addressTest(literal)
		return t, false, err
	case ecs.Long, ecs.Double:
		want, err := parseNumber(literal)
		if err != nil {
			return nil, false, err
		}
		return func(v string, _ time.Time) bool {
			have, err := parseNumber(v)
			return err == nil && have.Cmp(want) == 0
		}, false, nil
	case ecs.Boolean:
		if literal != "true" && literal != "false" {
			return nil, false, fmt.Errorf("%q is neither true nor false", literal)
		}
		return func(v string, _ time.Time) bool { return v == literal }, false, nil
	case ecs.Date:
		m, err := ParseDateMath(literal)
		if err != nil {
			return nil, false, err
		}
		return func(v string, now time.Time) bool {
			have, ok := parseInstant(v)
			return ok && !have.Before(m.At(now)) && !have.After(m.End(now))
		}, m.Relative(), nil
	case ecs.Text:
		want := words(literal)
		return func(v string, _ time.Time) bool {
			return slices.ContainsFunc(words(v), func(w string) bool { return slices.Contains(want, w) })
		}, false, nil
	case ecs.GeoPoint:
		return nil, false, fmt.Errorf("a place cannot be compared with %q", literal)
	default:
		return func(v string, _ time.Time) bool { return v == literal }, false, nil
	}
}

func rangeTest(typ ecs.Type, op Op, literal string) (t test, timed bool, err error) {
	switch typ {
	case ecs.IP:
		want, err := netip.ParseAddr(literal)
		if err != nil {
			return nil, false, fmt.Errorf("%q is not an address", literal)
		}
		want = wide(want)
		return func(v string, _ time.Time) bool {
			have, err := netip.ParseAddr(v)
			return err == nil && op.holds(wide(have).Compare(want))
		}, false, nil
	case ecs.Long, ecs.Double:
		want, err := parseNumber(literal)
		if err != nil {
			return nil, false, err
		}
		return func(v string, _ time.Time) bool {
			have, err := parseNumber(v)
			return err == nil && op.holds(have.Cmp(want))
		}, false, nil
	case ecs.Date:
		m, err := ParseDateMath(literal)
		if err != nil {
			return nil, false, err
		}
		return func(v string, now time.Time) bool {
			have, ok := parseInstant(v)
			// A bound that names a day takes all of it or nothing.
			want := m.At(now)
			if op == LessOrEqual || op == Greater {
				want = m.End(now)
			}
			return ok && op.holds(have.Compare(want))
		}, m.Relative(), nil
	case ecs.Boolean, ecs.GeoPoint:
		return nil, false, fmt.Errorf("its values have no order")
	default:
		return func(v string, _ time.Time) bool { return op.holds(cmp.Compare(v, literal)) }, false, nil
	}
}

func addressTest(literal string) (test, error) {
	if strings.Contains(literal, "/") {
		p, err := netip.ParsePrefix(literal)
		if err != nil {
			return nil, fmt.Errorf("%q is not a CIDR block", literal)
		}
		p = p.Masked()
		return func(v string, _ time.Time) bool {
			a, err := netip.ParseAddr(v)
			if err != nil {
				return false
			}
			a = a.WithZone("")
			return p.Contains(a) || p.Contains(a.Unmap()) || p.Addr().Is6() && a.Is4() && p.Contains(wide(a))
		}, nil
	}
	want, err := netip.ParseAddr(literal)
	if err != nil {
		return nil, fmt.Errorf("%q is neither an address nor a CIDR block", literal)
	}
	want = wide(want)
	return func(v string, _ time.Time) bool {
		have, err := netip.ParseAddr(v)
		return err == nil && wide(have) == want
	}, nil
}

// wide gives IPv4 and IPv6 addresses one order: an IPv4 address equals its
// v4-mapped form.
func wide(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.WithZone("").As16()) }

// parseNumber reads a decimal number exactly: account numbers and offsets are
// larger than a float holds.
func parseNumber(s string) (*big.Rat, error) {
	if len(s) > 64 || s == "" || strings.ContainsAny(s, "/_xXpPoObB") {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 { // 1e999999 would be costly
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > 400 || e < -400 {
			return nil, fmt.Errorf("%q is not a number", s)
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	return r, nil
}

// words splits analysed text as a standard analyser does for what logs hold: runs
// of letters and digits in lower case.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
}
