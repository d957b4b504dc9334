package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/cli"
)

// shared is real material of others: trails, rules and documents to check against.
// It is beside the repository where somebody put it there, and never part of it.
const shared = "../../../shared/data"

func needData(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(shared); err != nil {
		t.Skip("real trails and rules are not beside the repository: nothing to check against")
	}
}

type result struct {
	code           int
	stdout, stderr string
}

func debut(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Main(&cli.Env{
		Context: context.Background(), Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC) },
	})
	return result{code, stdout.String(), stderr.String()}
}

// alerts runs a scan and returns its alerts.
func alerts(t *testing.T, args ...string) []map[string]any {
	t.Helper()
	r := debut(t, append([]string{"scan", "--format", "ndjson"}, args...)...)
	if r.code != cli.ExitOK {
		t.Fatalf("debut scan %v ended with %d:\n%s", args, r.code, r.stderr)
	}
	list := []map[string]any{}
	for line := range strings.Lines(r.stdout) {
		var a map[string]any
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("a line is not JSON: %v\n%s", err, line)
		}
		list = append(list, a)
	}
	return list
}

func of(list []map[string]any, ruleID string) []map[string]any {
	return slices.DeleteFunc(slices.Clone(list), func(a map[string]any) bool { return a["kibana.alert.rule.rule_id"] != ruleID })
}

func path(v any, names ...string) any {
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	return v
}

const (
	elasticFirst = "37b211e8-4e2f-440f-86d8-06cc8f158cfa"
	shippedFirst = "2ff64f61-0331-441d-80a8-000941cac929"
	stratusCase  = shared + "/cloudtrail/stratus/aws.execution.ssm-send-command.json"
)

func TestAcceptanceElasticRule(t *testing.T) {
	t.Parallel()
	needData(t)
	list := of(alerts(t, "--rules", shared+"/elastic-rules/aws", stratusCase), elasticFirst)
	if len(list) != 1 {
		t.Fatalf("%d alerts of the rule, not one", len(list))
	}
	if id := path(list[0], "event", "id"); id != "5288bfb8-e3fa-4c41-be02-6853521afe8b" {
		t.Errorf("the alert is about event %v", id)
	}
}

func TestAcceptanceShippedRules(t *testing.T) {
	t.Parallel()
	needData(t)
	list := of(alerts(t, stratusCase), shippedFirst)
	if len(list) != 1 {
		t.Fatalf("%d alerts of the first rule on the stratus case, not one", len(list))
	}
	request := path(list[0], "aws", "cloudtrail", "flattened", "request_parameters")
	if document := path(request, "documentName"); document != "AWS-RunShellScript" {
		t.Errorf("the document is %v", document)
	}
	if targets, _ := path(request, "instanceIds").([]any); len(targets) != 3 {
		t.Errorf("the targets are %v", targets)
	}
	table := debut(t, "scan", stratusCase).stdout
	for _, want := range []string{"AWS-RunShellScript", "i-00456A8D163f546Ff", "i-cfE23b1a7ceba6f86", "i-9D40CCFc0aE91CFa5"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not name %s:\n%s", want, table)
		}
	}
	if list := of(alerts(t, shared+"/cloudtrail/invictus"), shippedFirst); len(list) != 1 {
		t.Errorf("%d alerts of the first rule on the invictus trail, not one", len(list))
	}
}

func TestAcceptanceRulesCheck(t *testing.T) {
	t.Parallel()
	needData(t)
	r := debut(t, "rules", "check", "--format", "json", shared+"/elastic-rules/aws")
	if r.code != cli.ExitOK {
		t.Fatalf("rules check ended with %d:\n%s", r.code, r.stderr)
	}
	var got struct {
		Loaded, Runnable int
		Unsupported      []struct{ Type, Reason string }
		Errors           []any
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{"loaded": got.Loaded, "runnable": got.Runnable, "errors": len(got.Errors)}
	for _, u := range got.Unsupported {
		counts[u.Type]++
		if u.Reason == "" {
			t.Error("a rule does not run and no reason is given")
		}
	}
	want := map[string]int{"loaded": 194, "runnable": 139, "errors": 0, "eql": 27, "esql": 23, "machine_learning": 5}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("rules check (-want +got):\n%s", d)
	}
}

// All runnable rules over all trails: no error, and the same alerts for any number
// of workers, in any order of paths, and with every object fed twice.
func TestAcceptanceSameAnswer(t *testing.T) {
	t.Parallel()
	needData(t)
	trails, err := filepath.Glob(shared + "/cloudtrail/stratus/*.json")
	if err != nil {
		t.Fatal(err)
	}
	trails = append(trails, shared+"/cloudtrail/invictus")
	doubled := t.TempDir()
	if err := os.CopyFS(doubled, os.DirFS(shared+"/cloudtrail")); err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(trails)
	slices.Reverse(reversed)

	scan := func(workers int, paths ...string) string {
		r := debut(t, append([]string{
			"scan", "--format", "ndjson", "--rules", shared + "/elastic-rules/aws", "--rules", "shipped",
			"--workers", fmt.Sprint(workers), "--now", "2026-01-15",
		}, paths...)...)
		if r.code != cli.ExitOK || strings.Contains(r.stderr, "rejected") {
			t.Errorf("the scan ended with %d:\n%s", r.code, r.stderr)
		}
		return r.stdout
	}
	want := scan(1, trails...)
	if n := strings.Count(want, "\n"); n < 50 {
		t.Errorf("only %d alerts: the rules do not run", n)
	}
	for name, got := range map[string]string{
		"four workers":                   scan(4, trails...),
		"paths in the other order":       scan(2, reversed...),
		"every object twice":             scan(3, append(slices.Clone(trails), doubled)...),
		"the folder, as it is":           scan(2, shared+"/cloudtrail"),
		"twice, reversed, seven workers": scan(7, append([]string{doubled}, reversed...)...),
	} {
		if got != want {
			t.Errorf("%s: other alerts (-one worker +this):\n%s", name, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
		}
	}
}
