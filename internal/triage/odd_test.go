package triage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestOddAlerts: whatever an alert is about, T7, T8 and F say something or that they
// cannot, prove nothing, and propose nothing.
func TestOddAlerts(t *testing.T) {
	t.Parallel()
	odd := "\x00\x1b[31m\u202e<b>\"*\\ or user.name: * {}():"
	for name, alert := range map[string]map[string]any{
		"login":          {"do": "signin:ConsoleLogin", "who": "user/ana", "agent": "Mozilla/5.0 (X11; Linux x86_64)", "response": map[string]any{"ConsoleLogin": "Success"}},
		"root":           {"do": "iam:CreateAccessKey", "who": "root", "key": ""},
		"service":        {"do": "kms:RotateKey", "who": "service/kms.amazonaws.com", "ip": "kms.amazonaws.com", "agent": "kms.amazonaws.com"},
		"nothing":        {"do": "ssm:SendCommand", "ip": "", "agent": "", "record": map[string]any{"userIdentity": nil, "requestParameters": nil, "sourceIPAddress": nil, "userAgent": nil}},
		"texts":          {"do": "ssm:SendCommand", "ip": odd, "agent": odd, "endpoint": odd, "session": odd, "request": map[string]any{"documentName": odd, "comment": odd, "targets": odd}},
		"lists":          {"do": "ssm:SendCommand", "request": map[string]any{"documentName": []any{"a", map[string]any{"b": 1}}, "instanceIds": map[string]any{"x": []any{}}, "targets": []any{nil, "x", []any{map[string]any{"key": 7, "values": "i-1"}}}}},
		"deep":           {"do": "ssm:SendCommand", "request": map[string]any{"targets": deepList(50)}},
		"internal":       {"do": "s3:GetObject", "ip": "AWS Internal", "agent": "AWS Internal"},
		"leading zero":   {"do": "ssm:SendCommand", "ip": "010.1.2.3"},
		"zone":           {"do": "ssm:SendCommand", "ip": "fe80::1%eth0", "endpoint": "vpce-1"},
		"long":           {"do": "ssm:SendCommand", "agent": strings.Repeat("kali ", 5000), "session": strings.Repeat("x", 5000), "request": map[string]any{"documentName": strings.Repeat("AWS-", 5000), "comment": strings.Repeat("CHG-1 ", 5000)}},
		"principal":      {"do": "ssm:SendCommand", "who": "role/" + odd, "key": odd},
		"many names":     {"do": odd + ":" + odd, "who": "user/" + odd, "region": odd},
		"insight":        {"do": "ec2:RunInstances", "record": map[string]any{"eventType": "AwsCloudTrailInsight", "eventCategory": "Insight", "userIdentity": nil, "sourceIPAddress": nil, "userAgent": nil, "requestParameters": nil, "insightDetails": map[string]any{"state": "Start", "insightType": "ApiCallRateInsight"}}},
		"service event":  {"do": "kms:RotateKey", "record": map[string]any{"eventType": "AwsServiceEvent", "userIdentity": map[string]any{"accountId": "111122223333", "invokedBy": "AWS Internal"}, "requestParameters": nil, "serviceEventDetails": map[string]any{"keyId": odd}}},
		"no id":          {"do": "ssm:SendCommand", "record": map[string]any{"eventID": nil}},
		"numbers":        {"do": "ssm:SendCommand", "record": map[string]any{"requestParameters": map[string]any{"documentName": 7, "instanceIds": 1.5, "parameters": []any{1}, "targets": map[string]any{"key": []any{}}}, "responseElements": map[string]any{"command": []any{"x"}}}},
		"megabyte":       {"do": "ssm:SendCommand", "request": map[string]any{"documentName": strings.Repeat("\u202e\"(", 100_000), "comment": strings.Repeat("a-1 ", 100_000), "instanceIds": []any{strings.Repeat("i-", 100_000)}}},
		"another region": {"do": "ssm:SendCommand", "region": "", "account": "999988887777"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{Alert: alert}
			in := f.input(t, f.records(t))
			in.Settings.Agents, in.Settings.Subjects = []string{""}, []string{""}
			in.Settings.Exercises, in.Settings.Rota, in.Settings.Changes = []Exercise{{}}, []Duty{{}}, []Change{{}}
			r, err := Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.Steps {
				s := &r.Steps[i]
				if s.Status == Failed {
					t.Errorf("%s: %s %q", s.ID, s.Status, s.Caveats)
				}
				if !slices.Contains([]string{"T7", "T8", "F"}, s.ID) {
					continue
				}
				if s.Answer == "" && len(s.Unknowns) == 0 {
					t.Errorf("%s says nothing", s.ID)
				}
				if len(s.Answer) > 3000 {
					t.Errorf("%s says %d bytes", s.ID, len(s.Answer))
				}
			}
			if len(r.Claims) != len(allClaims()) {
				t.Errorf("%d claims", len(r.Claims))
			}
			for _, c := range r.Claims {
				if c.Status == Proven {
					t.Errorf("proven: %s: %q", c.Name, c.Proof)
				}
				if c.Status == NotProven && len(c.Wanted) == 0 {
					t.Errorf("%s wants nothing", c.Name)
				}
				if c.Status == Contradicted && len(c.Proof) == 0 {
					t.Errorf("%s is ruled out by nothing", c.Name)
				}
				if n := len(fmt.Sprint(c)); n > 2000 {
					t.Errorf("%s has %d bytes", c.Name, n)
				}
			}
			if r.Exception != nil {
				t.Errorf("proposed: %s", r.Exception.Query)
			}
		})
	}
}

func deepList(n int) any {
	if n == 0 {
		return map[string]any{"key": "InstanceIds", "values": []any{"*"}}
	}
	return []any{deepList(n - 1)}
}
