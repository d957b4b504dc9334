package kql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// TestParse gives queries and their canonical form, which shows how they were read.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ src, want string }{
		{"", "*: *"},
		{" \t\r\n\u00a0", "*: *"},
		{"a:b", "a: b"},
		{" a : b ", "a: b"},
		{"a\n:\n\"b\"", `a: "b"`},
		{"a\u00a0:\u00a0b\u00a0and\u00a0c:d", "a: b and c: d"},
		{"b", "b"},
		{`"b c"`, `"b c"`},
		{"foo bar", "foo bar"},
		{"*", "*"},
		{"a:*", "a: *"},
		{"a:**", "a: **"},
		{"a: x*y * z", "a: x*y * z"},
		{"a:?", "a: ?"},
		{"a:true and b:FALSE", "a: true and b: FALSE"},
		{"a:-1.5e3", "a: -1.5e3"},

		// The table of query-languages §2.2.
		{"a: b c or d", "a: b c or d"},
		{"a:(b c or d)", "a: (b c or d)"},
		{`a: "b" or "c"`, `a: "b" or "c"`},
		{"a: [1 TO 5]", "a: [1 TO 5]"},
		{`"a b": c`, `"a b": c`},
		{`a: b \and c`, `a: b \and c`},
		{"a:or", `a: \or`},
		{"a: b and", `a: b \and`},

		// Precedence and grouping.
		{"a:1 or b:2 and c:3", "a: 1 or b: 2 and c: 3"},
		{"(a:1 or b:2) and c:3", "(a: 1 or b: 2) and c: 3"},
		{"a:1 and (b:2 and c:3)", "a: 1 and (b: 2 and c: 3)"},
		{"((a:1))", "a: 1"},
		{"not a:b and c:d", "not a: b and c: d"},
		{"not (a:b and c:d)", "not (a: b and c: d)"},
		{"not (not a:b)", "not (not a: b)"},
		{"NOT a:b AND c:d Or e:f", "not a: b and c: d or e: f"},
		{"a:1 and  \n b:2", "a: 1 and b: 2"},
		{"a:1 and b:2 and c:3", "a: 1 and b: 2 and c: 3"},

		// Lists.
		{"a:(b)", "a: b"},
		{"a:((b))", "a: b"},
		{"a:(b or c and d)", "a: (b or c and d)"},
		{"a:((b or c) and not d)", "a: ((b or c) and not d)"},
		{"a:(not b)", "a: (not b)"},
		{"a:(not (b or c))", "a: (not (b or c))"},
		{"a: ( \"b\"  OR  c* )", `a: ("b" or c*)`},
		{"not a:(b or c)", "not a: (b or c)"},

		// Ranges.
		{"a>1", "a > 1"},
		{"a >= 1 and a<=5 and b<2 and c > \"x\"", `a >= 1 and a <= 5 and b < 2 and c > "x"`},
		{"@timestamp < now-2w/d", "@timestamp < now-2w/d"},

		// Nested groups.
		{"a:{b:c}", "a: { b: c }"},
		{"a : { b : c or d : { e > 1 } }", "a: { b: c or d: { e > 1 } }"},
		{"not a.b:{c:d and e:f}", "not a.b: { c: d and e: f }"},

		// Escapes.
		{`a\:b: c\(d\)\<\>\{\}\"\*\\`, `a\:b: c\(d\)\<\>\{\}\"\*\\`},
		{`a: \t\r\n`, `a: \t\r\n`},
		{`a: \u0041\u00e9\ud83d\ude00`, "a: A\u00e9\U0001F600"},
		{`a: \ud83d`, "a: \uFFFD"},
		{`a: \u202e`, `a: \u202e`},
		{`a: \u0020b\u0020`, `a: \u0020b\u0020`},
		{`a: \or \AND \not`, `a: \or \AND \u006eot`},
		{`a: \not b`, `a: \u006eot b`},
		{`a: \nothing`, `a: \u000aothing`},
		{`a: \android`, `a: android`},
		{`"a": "x\qy"`, `"a": "x\\qy"`},
		{`a: "\t\r\n\u0041\"\\ * ( and"`, `a: "\t\r\nA\"\\ * ( and"`},
		{"a: \"b\nc\"", `a: "b\nc"`},
		{`a: ""`, `a: ""`},
		{"a: b\nc", `a: b\nc`},
		{"a: b\u00a0c", `a: b\u00a0c`},
		{`a: (or or and)`, `a: (\or or \and)`},
		{`or: and`, `\or: \and`},

		// Words that only look like operators.
		{"a: band or orb", "a: band or orb"},
		{"a: nothing", "a: nothing"},
		{"a: xor", "a: xor"},
		{"a: cannot", `a: can\u006eot`},
		{"(a: b and) or c:d", `a: b \and or c: d`},
		{"a: not*", "a: not*"},
		{"a: b*or c", "a: b*or c"},
		{"null: x", "null: x"},
		{`a: "null"`, `a: "null"`},
		{"a: null*", "a: null*"},
		{"aws.cloudtrail.*: x", "aws.cloudtrail.*: x"},
	} {
		n, err := kql.Parse(tc.src)
		if err != nil {
			t.Errorf("%q: %v", tc.src, err)
			continue
		}
		if got := n.String(); got != tc.want {
			t.Errorf("%q is read as\n %s, want\n %s", tc.src, got, tc.want)
		}
		again, err := kql.Parse(n.String())
		if err != nil || !kql.Equal(n, again) || again.String() != n.String() {
			t.Errorf("%q prints as %q, which is read as %v (%v)", tc.src, n, again, err)
		}
	}
}

func TestEqualTellsApart(t *testing.T) {
	t.Parallel()
	list := []string{
		"a", "*", "**", `"a"`, "a: b", `a: "b"`, `"a": b`, "a: *", `a: \*`, "a > b", "a < b", "a: { b }", "a: { c }", "a and b", "a or b", "b or a", "a or b or c",
		"a: (a or b)", "a: a or a: b", "not a", "not a: b", "a: (not b)", "a and (b and c)", "a and b and c",
	}
	for i, a := range list {
		for j, b := range list {
			if got := kql.Equal(parse(t, a), parse(t, b)); got != (i == j) {
				t.Errorf("%s and %s are equal: %v", a, b, got)
			}
		}
	}
}

func parse(t testing.TB, src string) kql.Node {
	t.Helper()
	n, err := kql.Parse(src)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return n
}

// TestSyntaxErrors gives the message, the hint and what the caret is under.
func TestSyntaxErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ src, under, message string }{
		{`a:`, ``, `a value is missing at the end`},
		{"a: \n ", ``, `a value is missing at the end`},
		{`a >`, ``, `a value is missing at the end`},
		{`a:b or `, ``, `a condition is missing at the end`},
		{`a:b and c:d and `, ``, `a condition is missing at the end`},
		{`a:()`, `()`, `there is nothing between ( and )`},
		{`( )`, `( )`, `there is nothing between ( and )`},
		{`a: { }`, `{ }`, `there is nothing between { and }`},
		{`a:(b or )`, `)`, `a value is missing before )`},
		{`a:>5`, `>`, `a value is missing before >`},
		{`a::b`, `:`, `a value is missing before :`},
		{`:b`, `:`, `the name of a field is missing before :`},
		{`a: not b`, `not`, `a value is missing before not`},
		{`NOT not a:b`, `not`, `not cannot follow not`},
		{`a:(not not b)`, `not`, `not cannot follow not`},
		{`not(a:b)`, `(`, `"(" cannot follow "not"`},
		{`a:b and(c:d)`, `(`, `"(" cannot follow "b and"`},
		{`a:"b"or c:d`, `or`, `"or" cannot follow "b"`},
		{`a: cannot find`, `not`, `"not" cannot follow "can"`},
		{`a: "x" y`, `y`, `"y" cannot follow "x"`},
		{`a: b c:d`, `:`, `":" cannot follow "b c"`},
		{`a: b"c"`, `"`, `""" cannot follow "b"`},
		{`(a:b) c:d`, `c`, `"c" cannot follow a complete condition`},
		{`a > (1)`, `(`, `> compares with one value, not with a list`},
		{`a >= 1*`, `1*`, `>= cannot compare with a pattern`},
		{`a > > 1`, `>`, `a value is missing before >`},
		{`a: {b`, `{`, `this { is not closed`},
		{`(a:b`, `(`, `this ( is not closed`},
		{`a:(b or (c)`, `(`, `this ( is not closed`},
		{`a:b)`, `)`, `there is nothing that this ) closes`},
		{`a:(b})`, `}`, `there is nothing that this } closes`},
		{`a:b{`, `{`, `"{" cannot follow "b"`},
		{`a:{{b}}`, `{`, `a condition is missing before {`},
		{`a: "b`, `"b`, `this quote is not closed`},
		{`a: "b\"`, `"b\"`, `this quote is not closed`},
		{"a: \"b\nc", `"b`, `this quote is not closed`},
		{`a: \x`, `\x`, `there is no escape \x`},
		{`a: C:\Windows`, `:`, `":" cannot follow "C"`},
		{`a: AWS\Windows`, `\W`, `there is no escape \W`},
		{`a: b\`, `\`, `there is no escape \`},
		{`a: \u12`, `\u`, `there is no escape \u`},
		{`a: null`, `null`, `null is not a value`},
		{`null`, `null`, `null is not a value`},
		{`a:(b or null)`, `null`, `null is not a value`},
		{`a > null`, `null`, `null is not a value`},
		{`"": a`, `""`, `a field needs a name`},
		{`"" > a`, `""`, `a field needs a name`},
		{`a*:{b:c}`, `a*`, `the path of a nested group cannot have a wildcard`},
		{"a: \xff", "\uFFFD", `the query is not valid UTF-8 here`},
		{strings.Repeat("(", 1<<20), `(`, `more than 100 levels of parentheses`},
		{strings.Repeat("a:{", 1<<18), `{`, `more than 100 levels of parentheses`},
		{"a:" + strings.Repeat("(", 1<<19), `(`, `more than 100 levels of parentheses`},
		{strings.Repeat("not (", 1<<17), `(`, `more than 100 levels of parentheses`},
		{strings.Repeat("a", 1<<20+1), ``, `the query is longer than 1048576 bytes`},
	} {
		n, err := kql.Parse(tc.src)
		shown := tc.src[:min(len(tc.src), 40)]
		if err == nil {
			t.Errorf("%q is read as %s", shown, n)
			continue
		}
		var ds query.Diagnostics
		if !errors.As(err, &ds) || len(ds) != 1 || !ds.Failed() {
			t.Errorf("%q: the error is %#v", shown, err)
			continue
		}
		if got := ds[0].Message; got != tc.message {
			t.Errorf("%q: %s, want %s", shown, got, tc.message)
		}
		if got := strings.TrimSpace(under(ds[0])); got != tc.under {
			t.Errorf("%q: the caret is under %q, want %q", shown, got, tc.under)
		}
	}
}

// under returns what a diagnostic points at.
func under(d query.Diagnostic) string {
	line := []rune(d.Source)
	if d.Column == 0 {
		return ""
	}
	from := min(d.Column-1, len(line))
	return string(line[from:min(from+d.Width, len(line))])
}

func TestDepthThatIsAllowed(t *testing.T) {
	t.Parallel()
	src := strings.Repeat("(", kql.MaxDepth) + "a:b" + strings.Repeat(")", kql.MaxDepth)
	if got := parse(t, src).String(); got != "a: b" {
		t.Errorf("read as %s", got)
	}
	// Beside each other they may be as many as one likes.
	parse(t, strings.Repeat("(a:b) or ", 10_000)+"(a:b)")
}

func TestSpans(t *testing.T) {
	t.Parallel()
	n := parse(t, "a: b\n  and (é: (x or \"y\")\n or not z > 1)")
	and := n.(*kql.And)
	or := and.Terms[1].(*kql.Or)
	match := or.Terms[0].(*kql.Match)
	for _, tc := range []struct {
		n            kql.Node
		text         string
		line, column int
	}{
		{and, "a: b\n  and (é: (x or \"y\")\n or not z > 1)", 1, 1},
		{and.Terms[0], "a: b", 1, 1},
		{or, "é: (x or \"y\")\n or not z > 1", 2, 8},
		{match, `é: (x or "y")`, 2, 8},
		{match.Field, "é", 2, 8},
		{match.Value, `x or "y"`, 2, 12},
		{match.Value.(*kql.Or).Terms[1], `"y"`, 2, 17},
		{or.Terms[1], "not z > 1", 3, 5},
		{or.Terms[1].(*kql.Not).Term.(*kql.Range).Value, "1", 3, 13},
	} {
		line, column := tc.n.Span().Position()
		if tc.n.Span().Text() != tc.text || line != tc.line || column != tc.column {
			t.Errorf("%s stands at %d:%d as %q, want %d:%d %q", tc.n, line, column, tc.n.Span().Text(), tc.line, tc.column, tc.text)
		}
	}
}
