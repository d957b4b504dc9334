package report_test

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

var base = time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)

// each yields alerts as a scan does.
func each(alerts []*alert.Alert) iter.Seq2[*alert.Alert, error] {
	return func(yield func(*alert.Alert, error) bool) {
		for _, a := range alerts {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func scanOf(t testing.TB, s report.Scan, alerts []*alert.Alert) *report.Scan {
	t.Helper()
	s.Alerts = each(alerts)
	scan, err := report.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return scan
}

// document makes an event's document of names and values.
func document(pairs ...any) ecs.Document {
	doc := ecs.Document{}
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case []string:
			list := make([]any, len(v))
			for i, s := range v {
				list[i] = s
			}
			doc.Set(name, list)
		default:
			doc.Set(name, v)
		}
	}
	return doc
}

var (
	firstCommand = &rule.Rule{
		ID: "first-command", Name: "SSM SendCommand by a new principal", Type: rule.NewTerms, Severity: "low", RiskScore: 21,
		NewTermsFields: []string{"aws.cloudtrail.user_identity.arn"}, HistoryWindowStart: "now-7d",
		Interval: 5 * time.Minute, From: "now-9m", To: "now", MaxSignals: 100,
		Note: "## Triage\n\n- Is the *document* one of ours?\n- Who else uses this role?\n\n```\naws ssm list-commands\n```",
		Threat: []rule.Threat{{
			Framework: "MITRE ATT&CK", Tactic: rule.Technique{ID: "TA0002", Name: "Execution"},
			Technique: []rule.Technique{{ID: "T1651", Name: "Cloud Administration Command"}},
		}},
	}
	signIns = &rule.Rule{
		ID: "sign-ins", Name: "Many failed sign-ins", Type: rule.Threshold, Severity: "medium", RiskScore: 47,
		ThresholdFields: []string{"source.ip"}, ThresholdValue: 10,
		Cardinality: []rule.Cardinality{{Field: "user.name", Value: 3}},
		Interval:    5 * time.Minute, From: "now-10m", To: "now", MaxSignals: 100,
	}
	stopped = &rule.Rule{
		ID: "trail-stopped", Name: "CloudTrail logging stopped", Type: rule.Query, Severity: "critical", RiskScore: 99,
		Interval: 5 * time.Minute, From: "now-6m", To: "now", MaxSignals: 100,
		InvestigationFields: []string{"user.name", "source.address", "aws.cloudtrail.request_parameters"},
		Note:                "Turn it on again first.",
	}
	keys = &rule.Rule{
		ID: "key-created", Name: "Access key created for another user", Type: rule.Query, Severity: "high", RiskScore: 73,
		Interval: 5 * time.Minute, From: "now-6m", To: "now", MaxSignals: 2,
		Suppression: &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour},
	}
)

func command(at time.Duration, role, document0 string, targets ...string) *alert.Alert {
	return &alert.Alert{
		UUID: "3bb887f7e4c2b478ddb246d84ac41985e6d78ecf097099a3a559d011ee385192", Rule: firstCommand,
		Name: firstCommand.Name, Severity: "low", RiskScore: 21, Time: base.Add(at), Last: base.Add(at), Coverage: 1,
		Principal: "arn:aws:iam::111122223333:role/" + role, EventID: "6e1a2b9e-0000-4000-8000-000000000001",
		Terms: []alert.Term{{Field: "aws.cloudtrail.user_identity.arn", Value: "arn:aws:sts::111122223333:assumed-role/" + role + "/i-0abc"}},
		Event: document("event.action", "SendCommand", "event.provider", "ssm.amazonaws.com", "event.outcome", "success",
			"user.name", role, "source.address", "192.0.2.7", "source.geo.country_iso_code", "NL", "source.as.organization.name", "Example Net",
			"user_agent.original", "aws-cli/2.15.0 Python/3.11.6 Linux/6.1 exe/x86_64", "user_agent.name", "aws-cli",
			"cloud.account.id", "111122223333", "cloud.region", "eu-west-1", "target.entity.id", targets,
			"aws.cloudtrail.flattened.request_parameters.documentName", document0,
			"aws.cloudtrail.request_parameters", `{documentName=`+document0+`, instanceIds=[i-0aa, i-0bb]}`),
	}
}

// sampleAlerts is what a scan of two days may find.
func sampleAlerts() []*alert.Alert {
	cold := command(0, "deploy", "AWS-RunShellScript", "i-0aa", "i-0bb", "i-0cc", "i-0dd", "i-0ee")
	cold.Coverage, cold.Cold = 0.38, true
	again := command(27*time.Hour, "team/night-shift-automation", "AWS-RunPatchBaseline", "i-0aa")
	again.Previous, again.Last = base.Add(-9*24*time.Hour), base.Add(30*time.Hour)
	again.Conflict = true
	burst := &alert.Alert{
		UUID: "b77c3a823c03e1cb06c87e45dbcd56957b19e8e3a54069ac2c3a5adfd747982c", Rule: signIns,
		Name: signIns.Name, Severity: "medium", RiskScore: 47, Time: base.Add(2 * time.Hour), Last: base.Add(2*time.Hour + 7*time.Minute), Coverage: 1,
		EventID: "signin-1", Terms: []alert.Term{{Field: "source.ip", Value: "198.51.100.9"}},
		Threshold: &alert.ThresholdResult{Count: 1240, From: base.Add(2 * time.Hour), Cardinality: []alert.Cardinality{{Field: "user.name", Value: 17}}},
		Event: document("event.action", "ConsoleLogin", "event.provider", "signin.amazonaws.com", "event.outcome", "failure", "user.name", "ana",
			"debut.principal", "arn:aws:iam::111122223333:user/ana",
			"source.address", "198.51.100.9", "user_agent.original", "Mozilla/5.0 (X11)", "user_agent.name", "Firefox", "cloud.account.id", "111122223333", "cloud.region", "us-east-1"),
	}
	off := &alert.Alert{
		UUID: "f576d1ba4b9c570ce3fc642526c6f63e0f28f477e58996d67e96e5918625877e", Rule: stopped,
		Name: stopped.Name, Severity: "critical", RiskScore: 99, Time: base.Add(3 * time.Hour), Last: base.Add(3 * time.Hour), Coverage: 1,
		Principal: "arn:aws:iam::444455556666:root", EventID: "stop-1",
		Event: document("event.action", "StopLogging", "event.provider", "cloudtrail.amazonaws.com", "event.outcome", "success",
			"source.address", "203.0.113.77", "user_agent.original", "[S3Console/0.4]", "cloud.account.id", "444455556666", "cloud.region", "us-east-1",
			"target.entity.id", []string{"arn:aws:cloudtrail:us-east-1:444455556666:trail/organisation"},
			"aws.cloudtrail.request_parameters", "{name=organisation}"),
	}
	list := []*alert.Alert{cold, burst, off}
	for i := range 4 {
		k := &alert.Alert{
			UUID: strings.Repeat("0", 63) + string(rune('1'+i)), Rule: keys, Name: keys.Name, Severity: "high", RiskScore: 73,
			Time: base.Add(4*time.Hour + time.Duration(i)*time.Minute), Last: base.Add(4*time.Hour + time.Duration(i)*time.Minute), Coverage: 1,
			Principal: "arn:aws:iam::444455556666:user/mallory", EventID: "key-1", Withheld: i > 1,
			Suppression: &alert.Suppression{
				Terms: []alert.SuppressionTerm{{Field: "user.name", Values: []string{"mallory"}}}, Start: base.Add(4 * time.Hour), End: base.Add(5 * time.Hour), Count: int64(12 * i),
			},
			Event: document("event.action", "CreateAccessKey", "event.provider", "iam.amazonaws.com", "event.outcome", "failure",
				"aws.cloudtrail.error_code", "AccessDenied", "aws.cloudtrail.error_message", "User is not authorized to perform: iam:CreateAccessKey",
				"user.name", "mallory", "source.address", "AWS Internal", "cloud.account.id", "444455556666", "cloud.region", "us-east-1",
				"target.entity.id", []string{"admin"}),
		}
		list = append(list, k)
	}
	return append(list, again)
}

// sample is a scan in which there is something of everything.
func sample(t testing.TB) *report.Scan {
	zone := func(account, region string, records int64, first, last time.Duration, hours, quiet int) pipeline.Zone {
		return pipeline.Zone{Account: account, Region: region, Records: records, First: base.Add(first), Last: base.Add(last), Hours: hours, Quiet: quiet}
	}
	torn := zone("444455556666", "us-east-1", 8_210, -20*time.Hour, 31*time.Hour, 47, 3)
	torn.Unreadable, torn.Failed = 2, 3
	return scanOf(t, report.Scan{
		Stats: &pipeline.Stats{
			Summary: cloudtrail.Summary{
				Records: 1_284_902, Documents: 12, Rejected: 5, Noted: 3, Digests: 48, Control: 1, Bytes: 1_684_000_000, InBytes: 201_000_000,
			},
			Objects: 2_411, First: base.Add(-48 * time.Hour), Last: base.Add(31 * time.Hour), Start: base.Add(-24 * time.Hour),
			Outside: 17, Duplicates: 1_130_113, Zones: []pipeline.Zone{
				zone("111122223333", "eu-west-1", 1_200_000, -48*time.Hour, 31*time.Hour, 80, 0),
				zone("111122223333", "us-east-1", 76_692, -48*time.Hour, 30*time.Hour, 62, 18), torn,
				{Account: "444455556666", Region: "eu-west-1", Unreadable: 1, Failed: 2},
			},
			Problems: []pipeline.ProblemCount{
				{Code: "bad-json", Rejected: true, Count: 2, Examples: []cloudtrail.Problem{{
					Input:  "logs/AWSLogs/444455556666/CloudTrail/us-east-1/2026/03/02/444455556666_CloudTrail_us-east-1_20260302T1205Z_abc.json.gz",
					Offset: 18_112, Record: 14, Rejected: true, Code: "bad-json", Message: "expected ',' or the end of the record, 311 bytes into the record",
				}}},
				{Code: "large-record", Count: 3, Examples: []cloudtrail.Problem{{Input: "logs/b.json", Offset: 7, Code: "large-record", Message: "a record of 300,112 bytes"}}},
				{Code: "truncated", Rejected: true, Count: 3, Examples: []cloudtrail.Problem{{Input: "logs/c.json.gz", Offset: 90, Rejected: true, Code: "truncated", Message: "the compressed data ends early: the file was cut off"}}},
			},
		},
		Rules: []report.RuleLine{
			{ID: firstCommand.ID, Name: firstCommand.Name, Type: "new_terms", Severity: "low", Runnable: true, Ran: true, Stats: pipeline.RuleStats{Findings: 9, Learned: 7, Alerts: 2, Cold: 1, Conflicts: 1}},
			{ID: signIns.ID, Name: signIns.Name, Type: "threshold", Severity: "medium", Runnable: true, Ran: true, Stats: pipeline.RuleStats{Findings: 1, Alerts: 1}},
			{ID: stopped.ID, Name: stopped.Name, Type: "query", Severity: "critical", Runnable: true, Ran: true, Stats: pipeline.RuleStats{Findings: 1, Alerts: 1}},
			{ID: keys.ID, Name: keys.Name, Type: "query", Severity: "high", Runnable: true, Ran: true, Stats: pipeline.RuleStats{Findings: 79, Suppressed: 72, Alerts: 4, Withheld: 2, Dropped: 3, Capped: 1, Untold: 1, Excess: 50}},
			{ID: "seq", Name: "Key created, then used elsewhere", Type: "eql", Severity: "high", Reason: "EQL is not supported yet"},
			{ID: "seq2", Name: "Role chain", Type: "eql", Severity: "low", Reason: "EQL is not supported yet"},
			{ID: "off", Name: "Noisy rule", Type: "query", Severity: "low", Runnable: true, Reason: "disabled in its file"},
		},
		NotLoaded: query.Diagnostics{{Severity: query.Error, Code: "no-query", File: "rules/broken.toml", Line: 12, Column: 1, Message: "the rule has no query"}},
		Skipped:   map[string]int64{"not a log (by its name)": 4, "outside the time": 120},
		Paths:     []string{"logs/AWSLogs", "more logs/*.gz"}, Now: base.Add(40 * time.Hour), Elapsed: 3200 * time.Millisecond, Version: "0.1.0",
	}, sampleAlerts())
}

// empty is a scan that found nothing.
func empty(t testing.TB) *report.Scan {
	return scanOf(t, report.Scan{
		Stats: &pipeline.Stats{
			Summary: cloudtrail.Summary{Records: 2900, Bytes: 4_000_000, InBytes: 4_000_000}, Objects: 55, First: base, Last: base.Add(55 * time.Minute), DuplicatesExact: true,
			Zones: []pipeline.Zone{{Account: "111122223333", Region: "eu-west-1", Records: 2900, First: base, Last: base.Add(55 * time.Minute), Hours: 2}},
		},
		Rules: []report.RuleLine{{ID: firstCommand.ID, Name: firstCommand.Name, Type: "new_terms", Severity: "low", Runnable: true, Ran: true}},
		Paths: []string{"logs"}, Now: base, Version: "0.1.0",
	}, nil)
}

// nasty is every way that we know of to get out of a text.
var nasty = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `{{.}} ${7*7} <!-- --> ]]> </style></title>`,
	"\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J", "\u009b31m", "a\rb\nc\td\x00\x7f", "\u202egnp.exe\u202c \u2066x\u2069 \u200b\ufeff\u00ad\u2028\u2029",
	"=HYPERLINK(\"http://evil.example\",\"x\")", "+1+1|cmd", "-2+3", "@SUM(1)", "\t=1", "\r=1", "＝1",
	"a|b `c` ``d`` ```\ne\n``` \\| \\` *f* _g_ [h](http://evil.example) ![i](http://evil.example/x.png) <http://evil.example> www.evil.example # j",
	"1. a\n- b\n> c\n# d\n---", "a\n```\n<script>alert(1)</script>\n~~~\n````\n<b>", "\xff\xfe not UTF-8 \xc3", strings.Repeat("x", 10_000), strings.Repeat("é̂", 300),
	"javascript:alert(1)", "&lt;b&gt; &amp; &#60;", "'; DROP TABLE alerts; --", "日本語 👩‍👩‍👧 e\u0301",
}

// hostile is a scan in which every text comes from somebody who means ill: each of
// nasty stands in every place once.
func hostile(t testing.TB) *report.Scan {
	var alerts []*alert.Alert
	rules := []report.RuleLine{}
	stats := &pipeline.Stats{Summary: cloudtrail.Summary{Records: 5, Rejected: 1}, First: base, Last: base.Add(time.Hour)}
	var notLoaded query.Diagnostics
	skippedInputs := map[string]int64{}
	for i, bad := range nasty {
		r := &rule.Rule{
			ID: bad, Name: bad, Type: []rule.Type{rule.Query, rule.NewTerms, rule.Threshold}[i%3], Severity: "high", Note: bad + "\n" + bad,
			InvestigationFields: []string{bad, "user.name"}, Tags: []string{bad},
			Threat: []rule.Threat{{Tactic: rule.Technique{ID: bad, Name: bad}, Technique: []rule.Technique{{ID: bad, Name: bad, Reference: "javascript:alert(1)"}}}},
		}
		if i%2 == 0 {
			r.InvestigationFields = nil
		}
		doc := document("event.id", bad, "event.action", bad, "event.provider", bad, "event.outcome", bad, "user.name", bad, "source.address", bad,
			"source.geo.country_iso_code", bad, "source.as.organization.name", bad, "user_agent.original", bad, "user_agent.name", bad,
			"cloud.account.id", bad, "cloud.region", bad, "target.entity.id", slices.Repeat([]string{bad}, 25),
			"aws.cloudtrail.error_code", bad, "aws.cloudtrail.error_message", bad, "aws.cloudtrail.request_parameters", bad,
			"aws.cloudtrail.flattened.request_parameters.documentName", bad)
		doc[bad] = bad
		a := &alert.Alert{
			UUID: "00", Rule: r, Name: bad, Severity: []string{"high", bad}[i%2], RiskScore: 1, Time: base.Add(time.Duration(i) * time.Minute), Last: base.Add(time.Hour),
			Principal: bad, EventID: bad, Terms: []alert.Term{{Field: bad, Value: bad}}, Event: doc, Cold: true,
			Suppression: &alert.Suppression{Terms: []alert.SuppressionTerm{{Field: bad, Values: []string{bad}}}, Count: 3, End: base}, Withheld: i%7 == 6,
		}
		if r.Type == rule.Threshold {
			a.Threshold = &alert.ThresholdResult{Count: 3, From: base, Cardinality: []alert.Cardinality{{Field: bad, Value: 2}}}
		}
		alerts = append(alerts, a)
		rules = append(rules, report.RuleLine{ID: bad, Name: bad, Type: bad, Severity: bad, Reason: bad, Ran: i%2 == 0, Stats: pipeline.RuleStats{
			Findings: 1, Learned: 1, Suppressed: 1, Alerts: 1, Withheld: 1, Dropped: 1, Capped: 1, Untold: 1, Cold: 1, Excess: 1, Conflicts: 1,
		}})
		stats.Zones = append(stats.Zones, pipeline.Zone{Account: bad, Region: bad, Records: 1, First: base, Last: base, Hours: 1, Unreadable: 1})
		stats.Problems = append(stats.Problems, pipeline.ProblemCount{Code: bad, Rejected: i%2 == 0, Count: 1, Examples: []cloudtrail.Problem{{Input: bad, Message: bad, Code: bad}}})
		notLoaded = append(notLoaded, query.Diagnostic{Severity: query.Error, Code: bad, File: bad, Message: bad, RuleID: bad, Hint: bad})
		skippedInputs[bad] = 1
	}
	return scanOf(t, report.Scan{
		Stats: stats, Rules: rules, NotLoaded: notLoaded, Skipped: skippedInputs, Paths: nasty, Now: base, Elapsed: time.Second, Version: nasty[0],
	}, alerts)
}

// flood is more alerts than a page holds.
func flood(t testing.TB, n int) *report.Scan {
	list := make([]*alert.Alert, n)
	for i := range list {
		list[i] = command(time.Duration(i)*time.Second, "deploy", "AWS-RunShellScript", "i-0aa")
		if i%100 == 99 {
			list[i].Severity = "high"
		}
	}
	return scanOf(t, report.Scan{
		Stats: &pipeline.Stats{First: base, Last: base.Add(time.Duration(n) * time.Second)}, Now: base,
		Rules: []report.RuleLine{{ID: firstCommand.ID, Name: firstCommand.Name, Ran: true}},
	}, list)
}
