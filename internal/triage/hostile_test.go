package triage

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHostileRequests reports on commands around which requests have what the steps
// read, but never in the form in which they expect it: no step fails, and what it says
// rests on evidence.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	var actions []string
	for _, d := range slices.Concat(
		(&Case{Event: &Event{}}).commandDeeds(nil), bucketDeeds(&Case{}), rightsDeeds(), credentialDeeds(), computeDeeds(), tamperDeeds(logStore{}),
	) {
		service := "s3"
		if len(d.services) > 0 {
			service = d.services[0]
		}
		for _, a := range d.actions {
			actions = append(actions, service+":"+strings.TrimSuffix(a, "*"))
		}
	}
	actions = unique(append(actions, "ssm:GetParameters", "s3:GetObject", "s3:DeleteObject", "ssm:GetCommandInvocation", "sts:AssumeRole", "secretsmanager:GetSecretValue"))
	names := strings.Fields(`name names path bucketName bucketPolicy Statement Effect Principal Action Resource policyDocument policyArn
		accountIdsToAdd documentName parameters AutomationAssumeRole commandId instanceId instanceIds LifecycleConfiguration Rule Expiration Days
		ReplicationConfiguration Destination Account Bucket PublicAccessBlockConfiguration BlockPublicAcls AccessControlPolicy
		ipPermissions items ipRanges cidrIp fromPort toPort ipProtocol createVolumePermission add userId group valuesToAdd instanceType
		instancesSet maxCount userData eventSelectors readWriteType includeManagementEvents advancedEventSelectors fieldSelectors field
		s3BucketName kmsKeyId keyId roleArn secretId withDecryption setAsDefault principal ModifyInstanceMetadataOptionsRequest HttpTokens`)
	leaf := rapid.OneOf(
		rapid.SampledFrom([]any{
			"", "*", "all", "false", "true", true, false, nil, -1, 0, 22, 1e300, "999988887777", "arn:aws:iam::999988887777:root", "arn:", "::::::",
			"0.0.0.0/0", "::/0", "%7B%22Statement%22", `{"Statement":[[{}],{"Effect":"Allow","Principal":"*"}]}`, "\x1b]0;x\x07", "=1+1", "%s%n", "<b>",
			"i-0123456789abcdef0", strings.Repeat("é", 5000), "\xff\xfe",
		}),
		rapid.Map(rapid.String(), func(s string) any { return s }),
	)
	var tree func(depth int) *rapid.Generator[any]
	tree = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(
			leaf,
			rapid.Map(rapid.SliceOfN(tree(depth-1), 0, 3), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(rapid.SampledFrom(names), tree(depth-1), 0, 4), func(m map[string]any) any { return m }),
		)
	}
	request := rapid.MapOfN(rapid.SampledFrom(names), tree(4), 0, 8)
	rapid.Check(t, func(rt *rapid.T) {
		f := &fixture{}
		for i := range rapid.IntRange(1, 12).Draw(rt, "events") {
			e := map[string]any{
				"do": rapid.SampledFrom(actions).Draw(rt, "action"), "at": fmt.Sprintf("%ds", rapid.IntRange(-4000, 3000).Draw(rt, "at")),
				"request": request.Draw(rt, "request"), "response": request.Draw(rt, "response"),
				"id": fmt.Sprintf("event-%d", i),
			}
			if rapid.Bool().Draw(rt, "other") {
				e["who"], e["session"] = "role/App", "i-0123456789abcdef0"
			}
			f.Events = append(f.Events, e)
		}
		r, err := Run(t.Context(), f.input(t, f.records(t)))
		if err != nil {
			rt.Fatal(err)
		}
		checkSum(t, r)
		for i := range r.Steps {
			if r.Steps[i].Status == Failed {
				rt.Fatalf("%s failed: %v", r.Steps[i].ID, r.Steps[i].Caveats)
			}
		}
	})
}

// TestAnyAlert makes an alert of one event of each action that the real trails have:
// every step says something, or why it does not apply.
func TestAnyAlert(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob(filepath.Join(realData, "stratus", "*.json"))
	if len(files) == 0 {
		t.Skipf("skipped: %s is not there", realData)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, readTrail(t, file), nil)
			actions := map[string]string{} // to the id of an event
			for _, s := range m.all {
				e := m.reader.read(s)
				actions[e.Provider+"/"+e.Action] = e.ID
			}
			for _, action := range slices.Sorted(maps.Keys(actions)) {
				r := triageReal(t, m, func(e *Event) bool { return e.ID == actions[action] })
				for i := range r.Steps {
					if s := &r.Steps[i]; s.Status == Failed || s.Answer == "" && len(s.Unknowns) == 0 {
						t.Errorf("%s: %s is %s and says nothing: %v", action, s.ID, s.Status, s.Caveats)
					}
				}
			}
		})
	}
}
