package kql_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

func compile(t testing.TB, cat *ecs.Catalogue, src string) query.Expr {
	t.Helper()
	x, ds := kql.Compile(parse(t, src), cat)
	if x == nil {
		t.Fatalf("%s: %v", src, ds)
	}
	return x
}

// TestDecide asks about all events of which only some fields are known, as the index
// of rules does.
func TestDecide(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for _, tc := range []struct {
		src  string
		want query.Truth
	}{
		{"event.provider: ssm", query.True},
		{"event.provider: s3", query.False},
		{"event.provider: (s3 or ssm)", query.True},
		{"event.provider: (s3 or ec2)", query.False},
		{"event.provider: s* and not event.provider: s3", query.True},
		{"event.provider: (not s3)", query.True},
		{"not event.provider: ssm", query.False},
		{"event.provider: *", query.True},
		{"event.action: *", query.False}, // known to have no value
		{"not event.action: a", query.True},
		{"event.provider < t", query.True},
		{"user.name: ana", query.Maybe},
		{"not user.name: ana", query.Maybe},
		{"event.provider: ssm and user.name: ana", query.Maybe},
		{"event.provider: s3 and user.name: ana", query.False},
		{"event.provider: ssm or user.name: ana", query.True},
		{"event.provider: s3 or user.name: ana", query.Maybe},
		{"not (event.provider: s3 and user.name: ana)", query.True},
		{"*: ssm", query.True},
		{"*: s3", query.Maybe},
		{"event.*: ssm", query.True},
		{"user.*: ssm", query.Maybe},
		{"ssm", query.True},
		{"event: { provider: ssm }", query.Maybe},
		{"event: { action: a }", query.False},
		{"event: { action: a and provider: ssm }", query.False},
		{"source.ip: nowhere", query.False},
		{"not source.ip: nowhere", query.True},
		{"@timestamp < now", query.Maybe},
		{"", query.True},
	} {
		got := compile(t, cat, tc.src).Decide(func(f *ecs.Field) ([]string, bool) {
			switch f.Name {
			case "event.provider":
				return []string{"ssm"}, true
			case "event.action":
				return nil, true
			}
			return nil, false
		})
		if got != tc.want {
			t.Errorf("%s is decided as %d, want %d", tc.src, got, tc.want)
		}
	}
}

// TestFields says which fields a query reads, for lint and for what to extract.
func TestFields(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for src, want := range map[string]string{
		"":                               "",
		"event.action: (a or b) or c: d": "event.action c",
		"not a > 1 and a: *":             "a a",
		"source.ip: nowhere":             "source.ip",
		"source.geo.location*: *":        "source.geo.location source.geo.location.lat source.geo.location.lon",
		"a: { b: c and d: { e: f } }":    "a.b a.d.e",
	} {
		var names []string
		compile(t, cat, src).Fields(func(f *ecs.Field) { names = append(names, f.Name) })
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s reads %s, want %s", src, got, want)
		}
	}
}

// TestHostileQueries are very large. They must compile in bounded memory, and
// with a bounded number of diagnostics.
func TestHostileQueries(t *testing.T) {
	t.Parallel()
	many := func(format, between string) string {
		var b strings.Builder
		for i := 0; b.Len() < kql.MaxSize/4; i++ {
			if i > 0 {
				b.WriteString(between)
			}
			b.WriteString(strings.ReplaceAll(format, "%d", strconv.Itoa(i)))
		}
		return b.String()
	}
	for name, tc := range map[string]struct{ src, code string }{
		"values of one field":        {"event.action: (" + many("v%d", " or ") + ")", ""},
		"unknown fields":             {many("field%d: a", " and "), "unknown-field"},
		"values of the wrong type":   {"source.ip: (" + many("v%d", " or ") + ")", "value-type"},
		"fields that are open":       {many("f%d*: a", " or "), "too-many-patterns"},
		"objects":                    {many("aws: *", " or "), "too-many-patterns"},
		"values without a field":     {many("v%d", " or "), "too-many-patterns"},
		"wildcards":                  {"event.action: " + strings.Repeat("*a", kql.MaxSize/2-10), ""},
		"white space":                {"a: b" + strings.Repeat(" ", kql.MaxSize-10), "unknown-field"},
		"white space between values": {"event.action: (" + many("v%d                              ", " or ") + ")", ""},
		"deep lists":                 {"event.action: " + strings.Repeat("(a or ", kql.MaxDepth) + "b" + strings.Repeat(")", kql.MaxDepth), ""},
		"deep groups":                {strings.Repeat("a: {", kql.MaxDepth) + "b: c" + strings.Repeat("}", kql.MaxDepth), "nested-group"},
	} {
		cat := ecs.NewCatalogue()
		n := parse(t, tc.src)
		x, ds := kql.Compile(n, cat)
		if (x == nil) != ds.Failed() || len(ds) > 101 {
			t.Errorf("%s: expression %v with %d diagnostics", name, x != nil, len(ds))
		}
		found := tc.code == ""
		for _, d := range ds {
			found = found || d.Code == tc.code
			if len(d.Message) > 300 {
				t.Errorf("%s: a message of %d bytes", name, len(d.Message))
			}
		}
		if !found {
			t.Errorf("%s: no %s in %v", name, tc.code, ds)
		}
		if len(tc.src) < 10_000 {
			if again := parse(t, n.String()); !kql.Equal(n, again) {
				t.Errorf("%s prints as another query", name)
			}
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	cat := ecs.NewCatalogue()
	x := compile(t, cat, typical)
	ev := typicalEvent(t, cat)
	if !x.Match(ev) {
		t.Fatal("the event does not match")
	}
	if n := testing.AllocsPerRun(100, func() { x.Match(ev) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// typical is a query as rules have it.
const typical = `event.action: ("SendCommand" or "StartSession" or "CreateAssociation") and
  not aws.cloudtrail.user_identity.arn: *AWSServiceRoleForAmazonSSM/StateManagerService* and event.outcome: "success" and
  event.provider: "ssm.amazonaws.com" and event.dataset: "aws.cloudtrail" and
  not source.ip: (10.0.0.0/8 or 192.168.0.0/16)`

func typicalEvent(t testing.TB, cat *ecs.Catalogue) ecs.Event {
	t.Helper()
	ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"dataset":"aws.cloudtrail",
		"provider":"ssm.amazonaws.com","action":"SendCommand","outcome":"success"},"source":{"ip":"203.0.113.7"},
		"aws":{"cloudtrail":{"user_identity":{"arn":"arn:aws:sts::111122223333:assumed-role/ops/ana@example.com"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func BenchmarkMatch(b *testing.B) {
	for name, src := range map[string]string{
		"rule":    typical,
		"equal":   `event.action: "SendCommand"`,
		"list":    `event.action: ("CreateAssociation" or "StartSession" or "ResumeSession" or "SendCommand")`,
		"pattern": `aws.cloudtrail.user_identity.arn: *AWSServiceRoleForAmazonSSM/StateManagerService*`,
		"block":   `source.ip: (10.0.0.0/8 or 192.168.0.0/16)`,
		"any":     `user.*: ana`,
		"nested":  `aws.cloudtrail: { user_identity.arn: x }`,
	} {
		b.Run(name, func(b *testing.B) {
			cat := ecs.NewCatalogue()
			x, ev := compile(b, cat, src), typicalEvent(b, cat)
			x.Match(ev) // reads the values
			b.ReportAllocs()
			for b.Loop() {
				x.Match(ev)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kql.Parse(typical); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	cat, n := ecs.NewCatalogue(), parse(b, typical)
	b.ReportAllocs()
	for b.Loop() {
		if x, _ := kql.Compile(n, cat); x == nil {
			b.Fatal("no expression")
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	cat := ecs.NewCatalogue()
	x := compile(b, cat, typical)
	provider, action := cat.Resolve("event.provider"), cat.Resolve("event.action")
	values := []string{"s3.amazonaws.com"}
	known := func(f *ecs.Field) ([]string, bool) { return values, f == provider || f == action }
	b.ReportAllocs()
	for b.Loop() {
		x.Decide(known)
	}
}
