package query_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// event is an event of a few values.
type event map[string][]string

func (e event) Values(f *ecs.Field) []string { return e[f.Name] }
func (e event) Time() time.Time              { return now }
func (e event) ID() ecs.ID                   { return ecs.ID{} }
func (e event) Document() ecs.Document {
	d := ecs.Document{}
	for name, values := range e {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		d[name] = list
	}
	return d
}

// known tells all values of the event.
func (e event) known(f *ecs.Field) ([]string, bool) { return e[f.Name], true }

func unknown(*ecs.Field) ([]string, bool) { return nil, false }

// Fields of every type.
const (
	keyword = "event.action"
	text    = "error.message"
	address = "source.ip"
	long    = "source.as.number"
	double  = "source.geo.location.lat"
	boolean = "aws.cloudtrail.read_only"
	date    = "event.created"
	subKey  = "aws.cloudtrail.flattened.request_parameters.key"
	place   = "source.geo.location"
)

func TestEqual(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, tc := range []struct {
		field, literal string
		yes, no        []string
	}{
		{keyword, "GetObject", []string{"GetObject"}, []string{"getobject", "GetObject ", ""}},
		{keyword, "", []string{""}, []string{" "}},
		{keyword, "10.0.0.0/8", []string{"10.0.0.0/8"}, []string{"10.1.1.1"}},
		{"some.unknown.field", "1", []string{"1"}, []string{"1.0"}},
		{"event.dataset", "aws.cloudtrail", []string{"aws.cloudtrail"}, []string{"aws"}},
		{subKey, "22", []string{"22"}, []string{"22.0", "022"}},
		{subKey, "10.0.0.0/8", []string{"10.0.0.0/8"}, []string{"10.1.1.1"}},
		{text, "denied", []string{"Access DENIED.", "denied"}, []string{"accessdenied", ""}},
		{text, "not authorized", []string{"You are not it", "authorized"}, []string{"unauthorized"}},
		{text, "...", nil, []string{"...", ""}},
		{address, "10.1.2.3", []string{"10.1.2.3", "::ffff:10.1.2.3"}, []string{"10.1.2.4", "10.1.2.3x", "", "AWS Internal"}},
		{address, "::ffff:10.1.2.3", []string{"10.1.2.3"}, nil},
		{address, "2001:DB8::1", []string{"2001:db8:0:0::1"}, []string{"2001:db8::2"}},
		{address, "10.0.0.0/8", []string{"10.1.2.3", "10.255.255.255", "::ffff:10.0.0.1"}, []string{"11.0.0.0", "9.255.255.255", "::1"}},
		{address, "10.9.9.9/8", []string{"10.1.2.3"}, []string{"11.0.0.0"}},
		{address, "0.0.0.0/0", []string{"1.2.3.4", "::ffff:1.2.3.4"}, []string{"::1", "2001:db8::1"}},
		{address, "::/0", []string{"1.2.3.4", "::1"}, nil},
		{address, "::ffff:10.0.0.0/104", []string{"10.1.2.3"}, []string{"11.1.2.3"}},
		{address, "2001:db8::/32", []string{"2001:db8:ffff::1"}, []string{"2001:db9::"}},
		{long, "16509", []string{"16509", "16509.0", "1.6509e4"}, []string{"1650", "", "x"}},
		{long, "16509.0", []string{"16509"}, nil},
		{long, "1.5", nil, []string{"1", "2"}},
		{long, "-3", []string{"-3"}, []string{"3"}},
		{long, "9007199254740993", []string{"9007199254740993"}, []string{"9007199254740992"}},
		{long, "123456789012345678901", []string{"123456789012345678901"}, []string{"123456789012345678902"}},
		{double, "52.50", []string{"52.5"}, []string{"52.51"}},
		{boolean, "true", []string{"true"}, []string{"false", "True", ""}},
		{date, "2026-01-31", []string{"2026-01-31T00:00:00.000Z", "2026-01-31T23:59:59.9999Z"}, []string{"2026-01-30T23:59:59.999Z", "2026-02-01T00:00:00.000Z", "x"}},
		{date, "2026-01-31T08:09:10.123Z", []string{"2026-01-31T09:09:10.123+01:00", "1769846950123"}, []string{"2026-01-31T08:09:10.124Z"}},
		{date, "2026-01-31T08:09:10", []string{"2026-01-31T08:09:10.999Z"}, []string{"2026-01-31T08:09:11.000Z"}},
		{date, "now-1d/d", []string{"2026-03-03T12:00:00.000Z"}, []string{"2026-03-04T00:00:00.000Z"}},
	} {
		f := cat.Resolve(tc.field)
		x, err := query.Equal(f, tc.literal)
		if err != nil {
			t.Error(err)
			continue
		}
		check(t, fmt.Sprintf("%s: %s", tc.field, tc.literal), f, x, tc.yes, tc.no)
	}
}

// check holds x against single values, several values, and none; and Decide
// against Match.
func check(t *testing.T, name string, f *ecs.Field, x query.Expr, yes, no []string) {
	t.Helper()
	if x.Match(event{}) {
		t.Errorf("%s matches an event without the field", name)
	}
	if got := x.Decide(unknown); got == query.True {
		t.Errorf("%s is true whatever the value", name)
	}
	if got := x.Decide(event{}.known); got != query.False {
		t.Errorf("%s is %v where the field is known to have no value", name, got)
	}
	try := func(want bool, values ...string) {
		t.Helper()
		ev := event{f.Name: values}
		if got := x.Match(ev); got != want {
			t.Errorf("%s on %q is %v, want %v", name, values, got, want)
		}
		if got := x.Decide(ev.known); got == query.True && !want || got == query.False && want {
			t.Errorf("%s on %q is decided as %v, but is %v", name, values, got, want)
		}
	}
	for _, v := range yes {
		try(true, v)
		try(true, append(slices.Clip(no), v)...)
	}
	for _, v := range no {
		try(false, v)
	}
	if len(no) > 0 {
		try(false, no...)
	}
	var read []string
	x.Fields(func(f *ecs.Field) { read = append(read, f.Name) })
	if len(read) == 0 || read[0] != f.Name {
		t.Errorf("%s says that it reads %q", name, read)
	}
}

func TestEqualRejects(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, tc := range []struct{ field, literal, message string }{
		{address, "AWS Internal", `source.ip: "AWS Internal" is neither an address nor a CIDR block`},
		{address, "10.0.0.0/33", `source.ip: "10.0.0.0/33" is not a CIDR block`},
		{address, "", `source.ip: "" is neither an address nor a CIDR block`},
		{long, "AS16509", `source.as.number: "AS16509" is not a number`},
		{long, "", `source.as.number: "" is not a number`},
		{long, "0x10", `source.as.number: "0x10" is not a number`},
		{long, "1/2", `source.as.number: "1/2" is not a number`},
		{long, "1e999999999", `source.as.number: "1e999999999" is not a number`},
		{long, "Inf", `source.as.number: "Inf" is not a number`},
		{boolean, "True", `aws.cloudtrail.read_only: "True" is neither true nor false`},
		{date, "yesterday", `event.created: "yesterday" is not a time: it begins neither with now nor with a date such as 2026-01-31T08:00:00Z`},
		{place, "52,13", `source.geo.location: a place can only be tested for existence`},
	} {
		for name, err := range map[string]error{
			"Equal": second(query.Equal(cat.Resolve(tc.field), tc.literal)),
			"AnyOf": second(query.AnyOf(cat.Resolve(tc.field), []string{tc.literal, tc.literal})),
		} {
			if err == nil || err.Error() != tc.message {
				t.Errorf("%s: error %v, want %s", name, err, tc.message)
			}
		}
	}
	_, err := query.Equal(cat.Resolve(long), strings.Repeat("x", 1<<20))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("a long literal makes a long message: %d bytes", len(err.Error()))
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnyOf(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, tc := range []struct {
		field    string
		literals []string
		yes, no  []string
	}{
		{keyword, []string{"a", "b", "c"}, []string{"a", "c"}, []string{"d", ""}},
		{keyword, []string{"a"}, []string{"a"}, []string{"b"}},
		{address, []string{"10.0.0.0/8", "192.168.1.1", "fc00::/7"}, []string{"10.1.1.1", "192.168.1.1", "fd00::1"}, []string{"192.168.1.2", "x"}},
		{long, []string{"1", "2.0"}, []string{"1", "2"}, []string{"3"}},
		{text, []string{"denied", "failed"}, []string{"it failed"}, []string{"ok"}},
	} {
		f := cat.Resolve(tc.field)
		x, err := query.AnyOf(f, tc.literals)
		if err != nil {
			t.Error(err)
			continue
		}
		check(t, fmt.Sprintf("%s: %q", tc.field, tc.literals), f, x, tc.yes, tc.no)
	}
	if x, err := query.AnyOf(cat.Resolve(keyword), nil); err != nil || x.Match(event{keyword: {""}}) {
		t.Errorf("one of no values holds (%v)", err)
	}
}

func TestPhraseLikeAndFold(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	phrase := func(field, literal string) query.Expr {
		x, err := query.Phrase(cat.Resolve(field), literal)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	like := func(field, pattern string) query.Expr {
		x, ok := query.Like(cat.Resolve(field), query.ParsePattern(pattern, false, false))
		if !ok {
			t.Fatalf("no patterns on %s", field)
		}
		return x
	}
	for _, tc := range []struct {
		name, field string
		x           query.Expr
		yes, no     []string
	}{
		{"phrase on text", text, phrase(text, "not authorized"), []string{"User is NOT authorized to do it", "not, authorized"}, []string{"authorized not", "not so authorized", "not", ""}},
		{"phrase that begins twice", text, phrase(text, "1 1 2"), []string{"1 1 1 2"}, []string{"1 1", "1 2"}},
		{"phrase without words", text, phrase(text, "--"), nil, []string{"--", "a"}},
		{"phrase on keyword", keyword, phrase(keyword, "a b"), []string{"a b"}, []string{"x a b"}},
		{"pattern on keyword", keyword, like(keyword, "Get*"), []string{"GetObject"}, []string{"getObject", "ForGet"}},
		{"pattern on a sub-key", subKey, like(subKey, "*ransom*"), []string{"a ransom b"}, []string{"Ransom"}},
		{"pattern on a word of a text", text, like(text, "Deni*"), []string{"Access denied."}, []string{"undenied"}},
		{"pattern on a whole text", text, like(text, "*is not*"), []string{"This IS not it"}, []string{"is-not"}},
		{"folded", keyword, query.EqualFold(cat.Resolve(keyword), "getObject"), []string{"GETOBJECT"}, []string{"getObjects"}},
		{"exists", keyword, query.Exists(cat.Resolve(keyword)), []string{"", "a"}, nil},
		{"never", keyword, query.Never(cat.Resolve(keyword)), nil, []string{"", "a"}},
	} {
		check(t, tc.name, cat.Resolve(tc.field), tc.x, tc.yes, tc.no)
	}
	for _, field := range []string{address, long, double, boolean, date, place} {
		x, ok := query.Like(cat.Resolve(field), query.NewPattern("", ""))
		if ok || x.Match(event{field: {"1"}}) {
			t.Errorf("a pattern can match %s", field)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, tc := range []struct {
		field, literal       string
		less, equal, greater []string
		noValues             []string
	}{
		{field: keyword, literal: "m", less: []string{"", "Z", "a", "lzzz"}, equal: []string{"m"}, greater: []string{"m ", "z", "é"}},
		{field: subKey, literal: "10", less: []string{"1", "09"}, equal: []string{"10"}, greater: []string{"2", "100"}},
		{field: long, literal: "10", less: []string{"-1", "9", "9.99"}, equal: []string{"10", "1e1"}, greater: []string{"11", "99999999999999999999"}, noValues: []string{"x", ""}},
		{field: double, literal: "0.1", less: []string{"0.09", "-1"}, equal: []string{"0.10"}, greater: []string{"0.2"}, noValues: []string{"x"}},
		{field: address, literal: "10.0.0.5", less: []string{"9.255.0.0", "::1"}, equal: []string{"10.0.0.5", "::ffff:10.0.0.5"}, greater: []string{"10.0.0.6", "2001:db8::1"}, noValues: []string{"x"}},
		{
			field: date, literal: "2026-01-31", less: []string{"2026-01-30T23:59:59.999Z"},
			equal: []string{"2026-01-31T00:00:00.000Z", "2026-01-31T23:59:59.999Z"}, greater: []string{"2026-02-01T00:00:00.000Z"}, noValues: []string{"x"},
		},
		{field: date, literal: "now-1h", less: []string{"2026-03-04T09:20:30.455Z"}, equal: []string{"2026-03-04T09:20:30.456Z"}, greater: []string{"2026-03-04T09:20:30.457Z"}},
	} {
		f := cat.Resolve(tc.field)
		for op, list := range map[query.Op][3][]string{
			query.Less:           {tc.less, tc.equal, tc.greater},
			query.LessOrEqual:    {append(slices.Clip(tc.less), tc.equal...), tc.greater, nil},
			query.Greater:        {tc.greater, tc.equal, tc.less},
			query.GreaterOrEqual: {append(slices.Clip(tc.greater), tc.equal...), tc.less, nil},
		} {
			x, err := query.Compare(f, op, tc.literal)
			if err != nil {
				t.Error(err)
				continue
			}
			no := append(append(slices.Clip(list[1]), list[2]...), tc.noValues...)
			check(t, fmt.Sprintf("%s %s %s", tc.field, op, tc.literal), f, x, list[0], no)
		}
	}
	for field, literal := range map[string]string{address: "10.0.0.0/8", long: "x", boolean: "true", place: "1,2", date: "soon"} {
		if _, err := query.Compare(cat.Resolve(field), query.Less, literal); err == nil {
			t.Errorf("%s < %s is accepted", field, literal)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	cat := ecs.NewCatalogue()
	must := func(x query.Expr, err error) query.Expr {
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	like, _ := query.Like(cat.Resolve(keyword), query.ParsePattern("*et*bj*", false, true))
	ev := event{
		keyword: {"GetObject"}, text: {"Access denied."}, address: {"10.1.2.3"}, long: {"16509"}, boolean: {"true"},
		date: {"2026-01-31T08:09:10.123Z"},
	}
	for name, x := range map[string]query.Expr{
		"equal":   must(query.Equal(cat.Resolve(keyword), "x")),
		"any of":  must(query.AnyOf(cat.Resolve(keyword), []string{"x", "y"})),
		"pattern": like,
		"fold":    query.EqualFold(cat.Resolve(keyword), "x"),
		"exists":  query.Exists(cat.Resolve("user.name")),
		"address": must(query.AnyOf(cat.Resolve(address), []string{"192.168.0.0/16", "1.2.3.4"})),
		"long":    must(query.Equal(cat.Resolve(long), "1")),
		"boolean": must(query.Equal(cat.Resolve(boolean), "false")),
		"date":    must(query.Compare(cat.Resolve(date), query.Less, "2025-01-01")),
		"now":     must(query.Compare(cat.Resolve(date), query.Greater, "now-1d")),
		"words":   must(query.Equal(cat.Resolve(text), "failed")),
		"phrase":  must(query.Phrase(cat.Resolve(text), "access failed")),
	} {
		x = query.And(query.Not(x), query.Or(query.Const(false), query.Const(true)))
		if n := testing.AllocsPerRun(100, func() { x.Match(ev) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
