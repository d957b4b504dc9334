package triage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/kql"
)

// past is a history of alerts for tests.
type pastAlerts struct {
	hidden, bad int
	err         error
	query       string
	since       time.Time
}

func (p *pastAlerts) Hidden(_ context.Context, rule, query string, since time.Time) (hidden, bad int, err error) {
	if rule != "rare-command" {
		return 0, 0, errors.New("another rule: " + rule)
	}
	p.query, p.since = query, since
	return p.hidden, p.bad, p.err
}

func exceptionOf(t *testing.T, name string, past Alerts, change func(*fixture)) (*Report, Input) {
	t.Helper()
	f := load(t, "testdata/weights/F.toml")[name]
	if f == nil {
		t.Fatalf("no fixture %s", name)
	}
	if change != nil {
		change(f)
	}
	in := f.input(t, f.records(t))
	in.History = past
	r, err := Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r, in
}

func TestException(t *testing.T) {
	t.Parallel()
	past := &pastAlerts{hidden: 7, bad: 1}
	r, in := exceptionOf(t, "patch-manager-yes", past, nil)
	x := r.Exception
	if x == nil {
		t.Fatalf("nothing is proposed for %s", r.Summary)
	}
	want := []string{
		"debut.principal is arn:aws:iam::111122223333:role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM",
		"event.provider is ssm.amazonaws.com", "event.action is SendCommand",
		"aws.cloudtrail.flattened.request_parameters.documentName is AWS-RunPatchBaseline", "source.address is ssm.amazonaws.com",
	}
	if diff := cmp.Diff(want, x.Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if !x.Tested || x.WouldHide != 7 || x.Bad != 1 || past.query != x.Query || !past.since.Equal(alertTime.Add(-720*time.Hour)) {
		t.Errorf("tested as %+v with %+v", x, past)
	}
	if !x.Expires.Equal(in.AsOf.Add(30*24*time.Hour)) || !slices.Contains(x.Evidence, r.EventID) || !strings.Contains(x.Reason, "Patch Manager") {
		t.Errorf("%+v", x)
	}
	// The query hides the alert that it comes from, and no call from elsewhere.
	n, err := kql.Parse(x.Query)
	if err != nil {
		t.Fatal(err)
	}
	match, diags := kql.Compile(n, in.Catalogue)
	if match == nil {
		t.Fatal(diags)
	}
	hides := func(change map[string]any) bool {
		f := load(t, "testdata/weights/F.toml")["patch-manager-yes"]
		maps.Copy(f.Alert, change)
		m := newMemory(t, f.records(t)[:1], nil)
		match, _ := kql.Compile(n, m.cat)
		return match.Match(m.all[0].Event)
	}
	if !hides(nil) {
		t.Errorf("%s does not hide its own alert", x.Query)
	}
	for what, v := range map[string]string{"ip": "198.51.100.7", "who": "role/Deploy", "do": "ssm:StartAutomationExecution"} {
		if hides(map[string]any{what: v}) {
			t.Errorf("%s hides an alert with %s %s", x.Query, what, v)
		}
	}
}

func TestNoException(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"state-manager-no", "exercise-yes", "ci-no", "exercise-no-hostile"} {
		if r, _ := exceptionOf(t, name, nil, nil); r.Exception != nil {
			t.Errorf("%s (%s): %s is proposed", name, r.Verdict, r.Exception.Query)
		}
	}
	hostile := func(f *fixture) {
		f.Alert["request"].(map[string]any)["documentName"] = "not AWS-RunPatchBaseline\n"
	}
	if r, _ := exceptionOf(t, "agent-yes-listed", nil, hostile); r.Exception != nil {
		t.Errorf("%q is proposed", r.Exception.Keys)
	}
}

func TestExceptionNotTested(t *testing.T) {
	t.Parallel()
	r, _ := exceptionOf(t, "patch-manager-yes", &pastAlerts{err: errors.New("the store is away")}, nil)
	if r.Exception == nil || r.Exception.Tested || !slices.ContainsFunc(r.Unknowns, func(u Unknown) bool { return strings.Contains(u.What, "the store is away") }) {
		t.Errorf("%+v, %+v", r.Exception, r.Unknowns)
	}
	r, _ = exceptionOf(t, "patch-manager-yes", nil, nil)
	if r.Exception == nil || r.Exception.Tested {
		t.Errorf("%+v", r.Exception)
	}
}

func TestCondition(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"arn:aws:iam::1:role/x": true, "A B": true, "AWS-RunShellScript": true, "": false, " a": false, "not a": false, "not": false, "one of a, b": false,
		"a\nb": false, "a\x1b[31m": false, "a\u202e": false, "nothing": true, strings.Repeat("a", 301): false,
	} {
		if got := canBeCondition(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
