package live

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/live/livetest"
)

var (
	at  = time.Date(2026, 3, 11, 10, 15, 30, 0, time.UTC)
	now = at.Add(time.Hour)
)

func ask(t *testing.T, answers map[string]string, q Question) (*triage.Live, *livetest.Endpoint) {
	t.Helper()
	f := livetest.New(answers)
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	a, err := New(t.Context(), Options{Region: "eu-west-1", Endpoint: s.URL, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return a.Ask(t.Context(), q), f
}

var question = Question{CommandID: "c1", Document: "Custom", Instances: []string{"i-1", "mi-2"}, Time: at}

func TestAnswers(t *testing.T) {
	got, f := ask(t, map[string]string{
		"ListCommands":                          `{"Commands":[{"CommandId":"c1","DocumentName":"AWS-RunShellScript","Parameters":{"commands":["id"]},"Status":"Success","TargetCount":2,"InstanceIds":["i-1"],"OutputS3BucketName":"b"}]}`,
		"ListCommandInvocations":                `{"CommandInvocations":[{"CommandId":"c1","InstanceId":"i-1","Status":"Success"}]}`,
		"GetCommandInvocation":                  `{"CommandId":"c1","InstanceId":"i-1","ResponseCode":0,"StandardOutputContent":"uid=0"}`,
		"DescribeDocument":                      `{"Document":{"Name":"Custom","Owner":"111122223333","Status":"Active","DefaultVersion":"1","LatestVersion":"2"}}`,
		"DescribeDocumentPermission":            `{"AccountIds":["all"]}`,
		"GetDocument":                           `{"Content":"{}"}`,
		"DescribeInstanceInformation":           `{"InstanceInformationList":[{"InstanceId":"i-1","PingStatus":"Online","IPAddress":"10.0.0.1"},{"InstanceId":"mi-2","PingStatus":"ConnectionLost"}]}`,
		"DescribeInstances":                     `<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><tagSet><item><key>env</key><value>prod</value></item></tagSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`,
		"DescribeEffectiveInstanceAssociations": `{"Associations":[{"AssociationId":"a1","InstanceId":"i-1"}]}`,
		"DescribeAssociation":                   `{"AssociationDescription":{"Name":"AWS-RunShellScript"}}`,
		"DescribeMaintenanceWindows":            `{"WindowIdentities":[{"WindowId":"mw-1","Name":"nightly"}]}`,
		"DescribeMaintenanceWindowExecutions": fmt.Sprintf(`{"WindowExecutions":[{"WindowExecutionId":"e1","WindowId":"mw-1","Status":"SUCCESS","StartTime":%d,"EndTime":%d},{"WindowExecutionId":"e0","StartTime":%d,"EndTime":%d}]}`,
			at.Add(-time.Minute).Unix(), at.Add(time.Minute).Unix(), at.Add(-3*time.Hour).Unix(), at.Add(-2*time.Hour).Unix()),
		"DescribeMaintenanceWindowExecutionTasks": `{"WindowExecutionTaskIdentities":[{"TaskArn":"AWS-RunPatchBaseline"}]}`,
	}, question)
	for name, ok := range map[string]bool{
		"commands": got.Commands.OK, "invocations": got.Invocations.OK, "document": got.Document.OK,
		"instances": got.Instances.OK, "associations": got.Associations.OK, "executions": got.Executions.OK,
	} {
		if !ok {
			t.Errorf("no answer: %s", name)
		}
	}
	if diff := cmp.Diff([]string{"id"}, got.Commands.Value[0].Parameters["commands"]); diff != "" {
		t.Error(diff)
	}
	if v := got.Invocations.Value[0]; v.Output != "uid=0" || v.Status != "Success" {
		t.Errorf("invocation %+v", v)
	}
	if v := got.Document.Value; v.Owner != "111122223333" || !slices.Equal(v.SharedWith, []string{"all"}) || v.Content != "{}" {
		t.Errorf("document %+v", v)
	}
	if v := got.Instances.Value; len(v) != 2 || v[0].Tags["env"] != "prod" || !v[0].Online || v[1].Online {
		t.Errorf("instances %+v", v)
	}
	if v := got.Associations.Value; len(v) != 2 || v[0].Document != "AWS-RunShellScript" {
		t.Errorf("associations %+v", v)
	}
	if v := got.Executions.Value; len(v) != 1 || v[0].ID != "e1" || v[0].Document != "AWS-RunPatchBaseline" {
		t.Errorf("executions %+v", v)
	}
	for _, l := range got.Looks() {
		if l.Error != "" || !l.Time.Equal(now) || l.Region != "eu-west-1" {
			t.Errorf("stamp %+v", l)
		}
	}
	for _, call := range f.Calls() {
		if !slices.ContainsFunc(Actions(), func(s string) bool { return strings.HasSuffix(s, ":"+call) }) {
			t.Errorf("%s is called but not in the policy", call)
		}
		if !reads(call) {
			t.Errorf("%s does not only read", call)
		}
	}
}

// Each refusal is an answer of its own, with the policy that would change it; nothing
// else is given up for it.
func TestRefusals(t *testing.T) {
	got, _ := ask(t, map[string]string{"ListCommands": `{"Commands":[]}`}, question)
	if got.Commands.OK || !strings.Contains(got.Commands.Looks[0].Error, "30 days") || got.Commands.Looks[0].Policy != "" {
		t.Errorf("a command that has aged out: %+v", got.Commands)
	}
	denied := 0
	for _, l := range got.Looks() {
		if l.Policy == "" {
			continue
		}
		denied++
		var p struct{ Statement []struct{ Action []string } }
		if err := json.Unmarshal([]byte(l.Policy), &p); err != nil || !slices.Equal(p.Statement[0].Action, []string{l.Call}) {
			t.Errorf("%s: the policy is %s (%v)", l.Call, l.Policy, err)
		}
	}
	if denied != 6 {
		t.Errorf("%d refusals, want 6: %+v", denied, got.Looks())
	}
}

func TestNothingToAsk(t *testing.T) {
	got, f := ask(t, nil, Question{})
	if len(f.Calls()) > 0 || len(got.Looks()) > 0 {
		t.Errorf("asked %v", f.Calls())
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	var d document
	if err := json.Unmarshal(Policy(), &d); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Statement[0].Action, Actions()) || d.Statement[1].Effect != "Deny" {
		t.Errorf("%+v", d)
	}
	for _, a := range Actions() {
		_, verb, _ := strings.Cut(a, ":")
		if strings.HasPrefix(verb, "GetParameter") || !reads(verb) {
			t.Errorf("%s is more than reading", a)
		}
	}
}

func reads(action string) bool {
	return strings.HasPrefix(action, "Describe") || strings.HasPrefix(action, "List") || strings.HasPrefix(action, "Get")
}
