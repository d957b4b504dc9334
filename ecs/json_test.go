package ecs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
)

func TestParseJSON(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	const raw = `{"@timestamp":"2026-01-31T09:00:00.123456+01:00",
		"event":{"action":"SendCommand","id":"e1","ingested":"2026-01-31T08:05:00Z"},
		"aws.cloudtrail":{"recipient_account_id":"111122223333","user_identity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/deploy/x"},
			"flattened":{"request_parameters":{"instanceIds":["i-1","i-2"]}}},
		"user_agent":{"original":"aws-cli/2"},"cloud":{"account":{"id":"444455556666"}}}`
	ev, err := ecs.ParseJSON(cat, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"@timestamp":                       {"2026-01-31T08:00:00.123Z"},
		"event.ingested":                   {"2026-01-31T08:05:00.000Z"},
		"event.action":                     {"SendCommand"},
		"user_agent.original.text":         {"aws-cli/2"},
		"aws.cloudtrail.user_identity.arn": {"arn:aws:sts::111122223333:assumed-role/deploy/x"},
		"aws.cloudtrail.flattened.request_parameters.instanceIds": {"i-1", "i-2"},
		"debut.principal": {"arn:aws:iam::111122223333:role/deploy"},
		"event.outcome":   nil,
	} {
		for range 2 { // the second time from what was kept
			if got := ev.Values(cat.Resolve(name)); !slices.Equal(got, want) {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
	if want := time.Date(2026, 1, 31, 8, 0, 0, 123456000, time.UTC); !ev.Time().Equal(want) || ev.Time().Location() != time.UTC {
		t.Errorf("the time is %s, want %s", ev.Time(), want)
	}
	if want := ecs.HashID("111122223333", "e1"); ev.ID() != want {
		t.Errorf("the ID is %s, want %s", ev.ID(), want)
	}
	doc := ev.Document()
	doc.Set("event.action", "changed")
	if got := ev.Values(cat.Resolve("event.action")); got[0] != "SendCommand" {
		t.Error("the document is not the caller's own")
	}
	if diff := cmp.Diff(ev.Document(), ev.Document()); diff != "" {
		t.Error(diff)
	}
}

func TestParseJSONErrors(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for raw, want := range map[string]string{
		`{}`:                                    "the document has no @timestamp",
		`{"@timestamp":null}`:                   "the document has no @timestamp",
		`{"@timestamp":["a","b"]}`:              "the document has no @timestamp",
		`{"@timestamp":"yesterday"}`:            `its @timestamp "yesterday" is not a time`,
		`{"@timestamp":"2026-01-31"}`:           `its @timestamp "2026-01-31" is not a time`,
		`{"@timestamp":"9999-01-31T00:00:00Z"}`: `its @timestamp "9999-01-31T00:00:00Z" is out of range`,
		`{"@timestamp":`:                        "parse a document: unexpected end of JSON",
		`[]`:                                    "parse a document: it is not an object",
	} {
		if _, err := ecs.ParseJSON(cat, []byte(raw)); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %q", raw, err, want)
		}
	}
}

// An event is named by the account that received it and its id; without an id by
// its content.
func TestIDs(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	id := func(members string) ecs.ID {
		ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z"`+members+`}`))
		if err != nil {
			t.Fatal(err)
		}
		return ev.ID()
	}
	named := id(`,"event":{"id":"e"},"aws":{"cloudtrail":{"recipient_account_id":"1"}},"cloud":{"account":{"id":"2"}}`)
	if want := ecs.HashID("1", "e"); named != want {
		t.Errorf("%s, want %s", named, want)
	}
	if got, want := id(`,"event.id":"e","cloud.account.id":"2"`), ecs.HashID("2", "e"); got != want {
		t.Errorf("without a recipient %s, want the caller's account %s", got, want)
	}
	if got, want := id(`,"event.id":"e"`), ecs.HashID("", "e"); got != want {
		t.Errorf("without an account %s, want %s", got, want)
	}
	if id(`,"event.id":""`) == id(`,"event.id":"" `) {
		t.Error("without an id two texts have one ID")
	}
	if ecs.HashID("1", "2e") == ecs.HashID("12", "e") {
		t.Error("the account and the id run into each other")
	}
	if s := named.String(); len(s) != 32 || strings.ToLower(s) != s {
		t.Errorf("printed %q", s)
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	const (
		session = "arn:aws-cn:sts::111122223333:assumed-role/deploy/run-7"
		role    = "arn:aws-cn:iam::111122223333:role/deploy"
	)
	for _, tc := range []struct {
		want string
		id   ecs.Identity
	}{
		{"arn:aws:iam::1:user/u", ecs.Identity{Type: "IAMUser", ARN: "arn:aws:iam::1:user/u", PrincipalID: "AIDA"}},
		{"arn:aws-cn:iam::111122223333:role/path/deploy", ecs.Identity{Type: "AssumedRole", ARN: session, IssuerARN: "arn:aws-cn:iam::111122223333:role/path/deploy"}},
		{role, ecs.Identity{Type: "AssumedRole", ARN: session}},
		{"arn:aws:sts::1:assumed-root", ecs.Identity{Type: "AssumedRole", ARN: "arn:aws:sts::1:assumed-root"}},
		{"arn:aws:iam::1:user/broker", ecs.Identity{Type: "FederatedUser", ARN: "arn:aws:sts::1:federated-user/v", IssuerARN: "arn:aws:iam::1:user/broker"}},
		{"arn:aws:sts::1:federated-user/v", ecs.Identity{Type: "FederatedUser", ARN: "arn:aws:sts::1:federated-user/v"}},
		{"arn:aws:iam::1:root", ecs.Identity{Type: "Root", Account: "1"}},
		{"arn:aws-us-gov:iam::1:root", ecs.Identity{Type: "Root", ARN: "arn:aws-us-gov:iam::1:root", Account: "1"}},
		{"u-1", ecs.Identity{Type: "IdentityCenterUser", OnBehalfOf: "u-1", PrincipalID: "p", Account: "1"}},
		{"p", ecs.Identity{Type: "IdentityCenterUser", PrincipalID: "p", Account: "1"}},
		{"idp/idp:subject", ecs.Identity{Type: "SAMLUser", Provider: "idp", PrincipalID: "idp:subject"}},
		{"subject", ecs.Identity{Type: "WebIdentityUser", PrincipalID: "subject"}},
		{"2/p", ecs.Identity{Type: "AWSAccount", Account: "2", PrincipalID: "p"}},
		{"anonymous", ecs.Identity{Type: "AWSAccount", Account: "anonymous"}},
		{"ssm.amazonaws.com", ecs.Identity{Type: "AWSService", InvokedBy: "ssm.amazonaws.com", Account: "1"}},
		{"AWS Internal", ecs.Identity{InvokedBy: "AWS Internal", Account: "1"}},
		{"1", ecs.Identity{Account: "1"}},
		{"", ecs.Identity{Type: "Unknown"}},
	} {
		if got := ecs.Principal(tc.id); got != tc.want {
			t.Errorf("Principal(%+v) = %q, want %q", tc.id, got, tc.want)
		}
	}
}
