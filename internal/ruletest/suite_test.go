package ruletest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/ruletest"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

const template = `About this file.

-- record --
{"eventTime": "2026-03-10T12:00:00Z", "eventSource": "ssm.amazonaws.com", "eventName": "SendCommand",
 "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ana", "userName": "ana"}}
-- record bo --
{"userIdentity": {"userName": "bo", "arn": null}}
`

func TestParse(t *testing.T) {
	t.Parallel()
	suite, diags := ruletest.Parse("x", []byte(template+`-- fires: two users --
> {"eventID": "e-1"}
  {
    "record": "bo"
  } >>{"record": "bo", "userIdentity": {"arn": "b"}, "eventName": null}
-- silent:   nothing happens   --
{}
`))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	type record struct {
		ID, JSON, Source string
		Alerts, Line     int
	}
	var got []record
	for _, c := range suite.Cases {
		for _, r := range c.Records {
			got = append(got, record{r.ID, string(r.JSON), r.Source, r.Alerts, r.Line})
		}
	}
	const rest = `"eventSource":"ssm.amazonaws.com","eventTime":"2026-03-10T12:00:00Z",`
	want := []record{
		{"e-1", `{"eventID":"e-1","eventName":"SendCommand",` + rest + `"userIdentity":{"arn":"arn:aws:iam::111122223333:user/ana","type":"IAMUser","userName":"ana"}}`, `{"eventID": "e-1"}`, 1, 9},
		{"00000000-0000-4000-8000-000000000001", `{"eventID":"00000000-0000-4000-8000-000000000001","eventName":"SendCommand",` + rest + `"userIdentity":{"type":"IAMUser","userName":"bo"}}`, `{`, 0, 10},
		{"00000000-0000-4000-8000-000000000002", `{"eventID":"00000000-0000-4000-8000-000000000002",` + rest + `"userIdentity":{"arn":"b","type":"IAMUser","userName":"bo"}}`, `{"record": "bo", "userIdentity": {"arn": "b"}, "eventName": null}`, 2, 12},
		{"00000000-0000-4000-8000-000000000003", `{"eventID":"00000000-0000-4000-8000-000000000003","eventName":"SendCommand",` + rest + `"userIdentity":{"arn":"arn:aws:iam::111122223333:user/ana","type":"IAMUser","userName":"ana"}}`, `{}`, 0, 14},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if suite.About != "About this file." || suite.Cases[0].Name != "two users" || !suite.Cases[0].Fires || suite.Cases[1].Name != "nothing happens" || suite.Cases[1].Line != 13 {
		t.Errorf("%+v", suite)
	}
	if name := ruletest.FileFor("aws/x.toml"); name != "aws/x.events.txtar" {
		t.Error(name)
	}
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"", `x:1: error: the file has no case [no-cases]`},
		{template, `x:1: error: the file has no case [no-cases]`},
		{"-- fire: a --\n{}\n", `x:1: error: the section "fire: a" is neither a case nor a template [unknown-section]`},
		{"-- silent: --\n{}\n", `x:1: error: the case does not say why [no-reason]`},
		{"-- silent: a --\n", `x:1: error: the case has no record [no-records]`},
		{"-- silent: a --\n> {}\n", `x:1: error: the case must be silent, but a record is marked [bad-mark]`},
		{"-- fires: a --\n{}\n", `x:1: error: the case must fire, but no record is marked [no-mark]`},
		{"-- fires: a --\n> {}\n>\n", `x:1: error: a > stands before nothing [bad-mark]`},
		{"-- fires: a --\n> {}\n\n\n{\"a\": 1\n", `x:5:1: error: this is not a JSON object: unexpected EOF [bad-json]`},
		{"-- fires: a --\n> [1]\n", `x:2:1: error: this is not a JSON object: json: cannot unmarshal array into Go value of type map[string]interface {} [bad-json]`},
		{"-- fires: a --\n> {\"record\": \"bo\"}\n", `x:2:1: error: there is no template "bo" above [unknown-template]`},
		{"-- record --\n{} {}\n-- silent: a --\n{}\n", `x:1: error: the template is not one JSON object: text follows it [bad-json]`},
		{"-- record --\n{}\n-- record --\n{}\n-- silent: a --\n{}\n", `x:3: error: the template "" is already there [twice]`},
	} {
		suite, diags := ruletest.Parse("x", []byte(tc.text))
		if len(diags) == 0 || diags[0].Error() != tc.want {
			t.Errorf("%q: %v, want %s", tc.text, diags, tc.want)
		}
		if suite == nil {
			t.Errorf("%q: no suite", tc.text)
		}
	}
}

// Run says for each record what came out otherwise.
func TestRunTells(t *testing.T) {
	t.Parallel()
	file := rule.Parse("r.json", []byte(`{"rule_id": "r", "type": "query", "name": "R", "description": "d", "risk_score": 5, "severity": "low", "query": "event.action: SendCommand"}`))
	cat := ecs.NewCatalogue()
	compiled, diags := rule.NewSet(file).Compile(cat)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	suite, diags := ruletest.Parse("x", []byte(template+`-- fires: as expected --
> {}
-- fires: expects too much --
> {"eventName": "StartSession"}
>> {}
-- silent: expects too little --
  {}
-- silent: a broken record --
  {"eventTime": "yesterday"}
`))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	runner := ruletest.Runner{Catalogue: cat}
	results, err := runner.Run(t.Context(), compiled[0], suite)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	passed := 0
	for _, r := range results {
		if r.Passed() {
			passed++
		}
		for _, d := range r.Diagnostics {
			got = append(got, d.Error())
			if d.Severity != query.Error || d.RuleID != "r" || d.Source == "" {
				t.Errorf("%+v", d)
			}
		}
	}
	want := []string{
		"x:11:1: error: expects too much: 0 alerts with this record, expected 1 alert [no-alert]",
		"x:12:1: error: expects too much: 1 alert with this record, expected 2 alerts [no-alert]",
		"x:14:1: error: expects too little: 1 alert with this record, expected 0 alerts [unexpected-alert]",
	}
	if diff := cmp.Diff(want, got[:min(3, len(got))]); diff != "" || len(got) != 4 || !strings.HasPrefix(got[3], "x:16:1: error: a broken record: ") {
		t.Errorf("(-want +got):\n%s\nlast: %v", diff, got[min(3, len(got)):])
	}
	if passed != 1 {
		t.Errorf("%d cases passed", passed)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(template + "-- fires: a --\n> {}\n{\"record\": \"bo\"}\n")
	f.Add("-- silent: a --\n{\"a\":{\"b\":null}} >")
	f.Fuzz(func(t *testing.T, text string) {
		suite, diags := ruletest.Parse("x", []byte(text))
		if len(suite.Cases) == 0 && !diags.Failed() {
			t.Error("no case, and no reason")
		}
		for _, c := range suite.Cases {
			alerts := 0
			for _, r := range c.Records {
				alerts += r.Alerts
				if len(r.JSON) == 0 || r.ID == "" || r.Line <= c.Line {
					t.Errorf("bad record %+v", r)
				}
			}
			if c.Fires != (alerts > 0) {
				t.Errorf("fires: %v, alerts: %d", c.Fires, alerts)
			}
		}
	})
}
