package alert_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

var update = flag.Bool("update", false, "rewrite the expected documents under testdata")

var (
	now  = time.Date(2026, 3, 2, 8, 30, 0, 0, time.UTC)
	base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// found is a rule that matched an event.
type found struct {
	rule  *detect.Rule
	event ecs.Event
	hits  []detect.Hit
}

// match runs one rule over one event.
func match(t testing.TB, r *rule.Rule, raw []byte) found {
	t.Helper()
	cat := ecs.NewCatalogue()
	e, err := detect.Compile(cat, []detect.Input{{Rule: r, Query: query.Const(true)}})
	if err != nil {
		t.Fatal(err)
	}
	ev, err := ecs.ParseJSON(cat, raw)
	if err != nil {
		t.Fatal(err)
	}
	f := found{rule: e.Rules[0], event: ev}
	if err := e.NewMatcher().Match(ev, func(h *detect.Hit) error {
		f.hits = append(f.hits, *h)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s := e.NewSuppression(0, cat); s != nil {
		for i := range f.hits {
			f.hits[i] = s.Signal(&f.hits[i], ev).Hit
		}
	}
	return f
}

func readRule(t testing.TB, name string) *rule.Rule {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".rule.toml")
	if err != nil {
		t.Fatal(err)
	}
	f := rule.Parse(name+".toml", data)
	if len(f.Rules) != 1 {
		t.Fatal(f.Diagnostics)
	}
	return f.Rules[0]
}

// TestDocuments makes an alert of each rule and event of testdata and compares its
// document with the .alert.json file of that name.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*detect.Signal)
		cold   bool
	}{
		{"first-command", func(s *detect.Signal) {
			s.Last = base.Add(36 * time.Hour).UnixNano()
			s.Recurs, s.Previous = true, base.Add(-240*time.Hour).UnixNano()
			s.Conflict = true
		}, true},
		{"failed-logins", func(s *detect.Signal) {
			s.Last = base.Add(9 * time.Minute).UnixNano()
			s.Count, s.Distinct = 12, 3
			s.Principal = ecs.ID{} // several
			s.Instance, s.Suppressed, s.SuppressedEnd = s.Group, 2, base.Add(40*time.Minute).UnixNano()
		}, false},
		{"dotted", func(s *detect.Signal) {
			s.Instance, s.SuppressedEnd = s.Group, s.Time
			s.Withheld = true
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile("testdata/" + tc.name + ".event.json")
			if err != nil {
				t.Fatal(err)
			}
			f := match(t, readRule(t, tc.name), raw)
			s := detect.Signal{Hit: f.hits[0]}
			tc.change(&s)
			a := alert.New(f.rule, &s, f.event, 0.4, tc.cold)
			event := string(a.Event.AppendJSON(nil))
			var got bytes.Buffer
			doc := a.Document(now).AppendJSON(nil)
			if err := json.Indent(&got, doc, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			if again := a.Document(now).AppendJSON(nil); !bytes.Equal(doc, again) {
				t.Errorf("made twice, the document differs:\n%s", gocmp.Diff(string(doc), string(again)))
			}
			if string(a.Event.AppendJSON(nil)) != event {
				t.Error("making the document changes the event")
			}
			golden(t, "testdata/"+tc.name+".alert.json", got.String())
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update and review what it writes)", err)
	}
	if diff := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// made makes the alert of a rule and event written in a test.
func made(t testing.TB, r *rule.Rule, raw string, change func(*detect.Signal)) *alert.Alert {
	t.Helper()
	f := match(t, r, []byte(raw))
	if len(f.hits) == 0 {
		t.Fatal("the event is in no group of the rule")
	}
	s := detect.Signal{Hit: f.hits[0]}
	if change != nil {
		change(&s)
	}
	return alert.New(f.rule, &s, f.event, 1, false)
}

func queryRule() *rule.Rule {
	return &rule.Rule{ID: "r1", Name: "A rule", Type: rule.Query, Severity: "medium", RiskScore: 47, From: "now-6m", To: "now"}
}

func newTermsRule(fields ...string) *rule.Rule {
	r := queryRule()
	r.Type, r.NewTermsFields, r.HistoryWindowStart = rule.NewTerms, fields, "now-7d"
	return r
}

func thresholdRule(fields ...string) *rule.Rule {
	r := queryRule()
	r.Type, r.ThresholdFields, r.ThresholdValue = rule.Threshold, fields, 2
	return r
}

// An id never changes: what hangs on it would be lost. It depends on the rule's
// signature id, the combination and the event, and on nothing else.
func TestUUID(t *testing.T) {
	t.Parallel()
	const event = `{"@timestamp":"2026-03-01T12:00:00Z","event":{"id":"e1"},"cloud":{"account":{"id":"1"}},"user":{"name":"ab","id":"c"}}`
	id := func(r *rule.Rule, raw string) string { return made(t, r, raw, nil).UUID }
	first := id(newTermsRule("user.name", "user.id"), event)
	if want := "afe597aa7872ed2fb084b4b2ac0d55264ec851823c0a51b48cff77515b9d83e8"; first != want {
		t.Errorf("uuid %s, want %s", first, want)
	}
	same := newTermsRule("user.name", "user.id")
	same.ObjectID, same.Name, same.Version, same.Severity = "imported again", "Another name", 7, "high"
	if got := id(same, strings.Replace(event, `"user"`, `"message":"another field","user"`, 1)); got != first {
		t.Error("importing the rule again, or a field of the event, changes the id")
	}
	other := newTermsRule("user.name", "user.id")
	other.ID = "r2"
	for what, got := range map[string]string{
		"the rule":           id(other, event),
		"the event":          id(newTermsRule("user.name", "user.id"), strings.Replace(event, "e1", "e2", 1)),
		"the account":        id(newTermsRule("user.name", "user.id"), strings.Replace(event, `"id":"1"`, `"id":"2"`, 1)),
		"the values":         id(newTermsRule("user.name", "user.id"), strings.Replace(event, `"ab","id":"c"`, `"a","id":"bc"`, 1)),
		"the order":          id(newTermsRule("user.id", "user.name"), event),
		"the number of them": id(newTermsRule("user.name"), event),
	} {
		if got == first {
			t.Errorf("%s does not change the id", what)
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	const event = `{"@timestamp":"2026-03-01T12:00:00Z","event":{"id":"e1","severity":%s},"user":{"name":%s},"labels":{"score":%s}}`
	severity := func(field, value, severity string) rule.SeverityMapping {
		return rule.SeverityMapping{Field: field, Operator: "equals", Value: value, Severity: severity}
	}
	for _, tc := range []struct {
		name                string
		severity            []rule.SeverityMapping
		risk, override      string
		event, user, labels string // as JSON
		want                string
	}{
		{name: "none", want: "medium 47 A rule"},
		{
			name: "the highest that matches", user: `["ana","root"]`,
			severity: []rule.SeverityMapping{severity("user.name", "root", "high"), severity("user.name", "ana", "low"), severity("user.name", "bo", "critical")},
			want:     "high 47 A rule",
		},
		{name: "also a lower one than the rule's", user: `"ana"`, severity: []rule.SeverityMapping{severity("user.name", "ana", "low")}, want: "low 47 A rule"},
		{name: "exactly", user: `"Root"`, severity: []rule.SeverityMapping{severity("user.name", "root", "high")}, want: "medium 47 A rule"},
		{name: "event.severity is a number", event: "7.0", severity: []rule.SeverityMapping{severity("event.severity", "7", "high")}, want: "high 47 A rule"},
		{name: "other numbers are text", labels: "7.0", severity: []rule.SeverityMapping{severity("labels.score", "7", "high")}, want: "medium 47 A rule"},
		{name: "integers as text", labels: "7", severity: []rule.SeverityMapping{severity("labels.score", "7", "high")}, want: "high 47 A rule"},
		{name: "an unknown severity", user: `"root"`, severity: []rule.SeverityMapping{severity("user.name", "root", "apocalyptic")}, want: "medium 47 A rule"},
		{name: "the largest risk of an array", risk: "labels.score", labels: `[3, "80.5", "high", 12]`, want: "medium 80.5 A rule"},
		{name: "a risk out of range", risk: "labels.score", labels: `[3, 101]`, want: "medium 47 A rule"},
		{name: "a negative risk", risk: "labels.score", labels: `-1`, want: "medium 47 A rule"},
		{name: "a risk without end", risk: "labels.score", labels: `"Infinity"`, want: "medium 47 A rule"},
		{name: "a risk that is none", risk: "labels.score", labels: `["NaN", "x"]`, want: "medium 47 A rule"},
		{name: "no risk at all", risk: "labels.none", want: "medium 47 A rule"},
		{name: "a risk of zero", risk: "labels.score", labels: `0`, want: "medium 0 A rule"},
		{name: "a name", override: "user.name", user: `"ana did it"`, want: "medium 47 ana did it"},
		{name: "not of a list", override: "user.name", user: `["ana"]`, want: "medium 47 A rule"},
		{name: "not of a number", override: "labels.score", labels: "7", want: "medium 47 A rule"},
		{name: "not an empty one", override: "user.name", user: `""`, want: "medium 47 A rule"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := queryRule()
			r.SeverityMapping, r.RuleNameOverride = tc.severity, tc.override
			if tc.risk != "" {
				r.RiskScoreMapping = []rule.RiskScoreMapping{{Field: tc.risk, Operator: "equals"}, {Field: "event.severity"}}
			}
			a := made(t, r, fmt.Sprintf(event, cmp.Or(tc.event, "null"), cmp.Or(tc.user, "null"), cmp.Or(tc.labels, "null")), nil)
			if got := fmt.Sprintf("%s %v %s", a.Severity, a.RiskScore, a.Name); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// A threshold's alert is overridden only by the fields of its group.
func TestOverridesOfThreshold(t *testing.T) {
	t.Parallel()
	r := thresholdRule("user.name")
	r.RuleNameOverride = "user.name"
	r.RiskScoreMapping = []rule.RiskScoreMapping{{Field: "event.severity"}}
	r.SeverityMapping = []rule.SeverityMapping{{Field: "event.id", Value: "e1", Severity: "critical"}, {Field: "user.name", Value: "ana", Severity: "high"}}
	a := made(t, r, `{"@timestamp":"2026-03-01T12:00:00Z","event":{"id":"e1","severity":99},"user":{"name":"ana"}}`, nil)
	if a.Name != "ana" || a.RiskScore != 47 || a.Severity != "high" {
		t.Errorf("%s %v %s", a.Severity, a.RiskScore, a.Name)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{}`: "event created medium alert A rule.",
		`{"event":{"category":["iam","configuration"]},"user":{"name":"ana"}}`:                                                            "iam, configuration event by ana created medium alert A rule.",
		`{"event":{"category":"network"},"source":{"ip":"192.0.2.7","port":443},"destination":{"ip":"198.51.100.1"},"host":{"name":"h"}}`: "network event with source 192.0.2.7:443, destination 198.51.100.1 on h created medium alert A rule.",
		`{"process":{"name":"sh","parent":{"name":"sshd"}},"file":{"name":"passwd"},"user":{"name":"-"},"host":{"name":"-"}}`:             "event with process sh, parent process sshd, file passwd created medium alert A rule.",
		`{"source":{"address":"ssm.amazonaws.com","port":1},"user":{"name":"a\nb\tc"}}`:                                                   "event with source ssm.amazonaws.com:1 by a b c created medium alert A rule.",
		`{"source":{"port":1}}`: "event created medium alert A rule.",
	} {
		raw := strings.Replace(event, "{", `{"@timestamp":"2026-03-01T12:00:00Z",`, 1)
		raw = strings.Replace(raw, ",}", "}", 1)
		if got := made(t, queryRule(), raw, nil).Reason(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", event, got, want)
		}
	}
}

// A summary is short, and says of a threshold nothing that is true only of its
// first event.
func TestSummary(t *testing.T) {
	t.Parallel()
	event := `{"@timestamp":"2026-03-01T12:00:00Z","event":{"id":"e1","action":"SendCommand"},"user":{"name":"deploy"},` +
		`"aws":{"cloudtrail":{"recipient_account_id":"111122223333","error_code":"AccessDenied","user_identity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/team/ana"},` +
		`"flattened":{"request_parameters":{"documentName":"doc-1"}}}},` +
		`"source":{"address":"192.0.2.7","ip":"192.0.2.7","geo":{"country_iso_code":"NL"},"as":{"organization":{"name":"Example Net"}}},` +
		`"target":{"entity":{"id":["i-1","i-2","i-3","doc-1","i-4","i-5"]}}}`
	long := strings.Replace(event, "SendCommand", strings.Repeat("ä", 5000), 1)
	count := func(n int64) func(*detect.Signal) { return func(s *detect.Signal) { s.Count = n } }
	several := func(s *detect.Signal) { s.Count, s.Principal = 3, ecs.ID{} }
	for _, tc := range []struct {
		name   string
		rule   *rule.Rule
		event  string
		change func(*detect.Signal)
		want   alert.Summary
	}{
		{"query", queryRule(), event, nil, alert.Summary{
			Who: "user/team/ana (111122223333)", What: "SendCommand doc-1 on i-1, i-2, i-3 and 2 more (AccessDenied)", Where: "192.0.2.7 NL Example Net",
		}},
		{"nothing known", queryRule(), `{"@timestamp":"2026-03-01T12:00:00Z"}`, nil, alert.Summary{What: "A rule"}},
		{"long", queryRule(), long, nil, alert.Summary{
			Who: "user/team/ana (111122223333)", What: strings.Repeat("ä", 60) + "… doc-1 on i-1, i-2, i-3 and 2 more (AccessDenied)", Where: "192.0.2.7 NL Example Net",
		}},
		{"threshold of one principal", thresholdRule("source.ip"), event, count(3), alert.Summary{
			Who: "user/team/ana (111122223333)", What: "3 events, the first SendCommand", Where: "192.0.2.7",
		}},
		{"threshold of several", thresholdRule("source.ip"), event, several, alert.Summary{Who: "several principals", What: "3 events, the first SendCommand", Where: "192.0.2.7"}},
		{"threshold by user and action", thresholdRule("user.name", "event.action", "cloud.region"), strings.Replace(event, `"user"`, `"cloud":{"region":"eu-west-1"},"user"`, 1), several, alert.Summary{
			Who: "deploy", What: "3 × SendCommand, of cloud.region eu-west-1",
		}},
		{"threshold by principal", thresholdRule("debut.principal"), event, count(3), alert.Summary{
			Who: "user/team/ana (111122223333)", What: "3 events, the first SendCommand",
		}},
		{"threshold of everything", thresholdRule(), `{"@timestamp":"2026-03-01T12:00:00Z"}`, count(9), alert.Summary{What: "9 events"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := gocmp.Diff(tc.want, made(t, tc.rule, tc.event, tc.change).Summary()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestShortPrincipal(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]string{
		"arn:aws:iam::111122223333:role/path/deploy": "role/path/deploy (111122223333)",
		"arn:aws:iam::111122223333:root":             "root (111122223333)",
		"arn:aws:s3:::bucket":                        "bucket",
		"arn:aws:sts::1:federated-user/a:b":          "federated-user/a:b (1)",
		"arn:aws:iam::1:":                            "arn:aws:iam::1:",
		"arn:aws:iam":                                "arn:aws:iam",
		"ssm.amazonaws.com":                          "ssm.amazonaws.com",
		"":                                           "",
	} {
		if got := alert.ShortPrincipal(p); got != want {
			t.Errorf("%q: %q, want %q", p, got, want)
		}
	}
}
