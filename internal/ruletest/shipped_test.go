package ruletest_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/ruletest"
	"github.com/debutsec/debut/rule"
)

// shippedDir is package rules as it stands on the disk, with the test events that
// are not embedded.
const shippedDir = "../../rules"

func loadShipped(t *testing.T) (map[string]rule.Compiled, *ecs.Catalogue) {
	t.Helper()
	set, err := rule.Load(os.DirFS(shippedDir), "aws/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	cat := ecs.NewCatalogue()
	compiled, diags := set.Compile(cat)
	for _, d := range append(set.Diagnostics, diags...) {
		t.Errorf("%s", d.Render())
	}
	byFile := make(map[string]rule.Compiled, len(compiled))
	for _, c := range compiled {
		byFile[c.Rule.File] = c
	}
	return byFile, cat
}

// TestShippedRules runs the test events of every shipped rule. Each rule has cases
// of both kinds.
func TestShippedRules(t *testing.T) {
	t.Parallel()
	rules, cat := loadShipped(t)
	if len(rules) < 12 {
		t.Errorf("only %d rules run", len(rules))
	}
	runner := ruletest.Runner{Catalogue: cat}
	for file, c := range rules {
		t.Run(strings.TrimSuffix(file, ".toml"), func(t *testing.T) {
			t.Parallel()
			name := ruletest.FileFor(file)
			data, err := fs.ReadFile(os.DirFS(shippedDir), name)
			if err != nil {
				t.Fatal(err)
			}
			suite, diags := ruletest.Parse(name, data)
			for _, d := range diags {
				t.Error(d.Render())
			}
			results, err := runner.Run(t.Context(), c, suite)
			if err != nil {
				t.Fatal(err)
			}
			fires, silent := 0, 0
			for _, r := range results {
				for _, d := range r.Diagnostics {
					t.Error(d.Render())
				}
				if r.Case.Fires {
					fires++
				} else {
					silent++
				}
			}
			if fires == 0 || silent < 2 {
				t.Errorf("%d cases that fire and %d near-misses are too few", fires, silent)
			}
		})
	}
}

// The files of test events all belong to a rule.
func TestNoEventsWithoutRule(t *testing.T) {
	t.Parallel()
	rules, _ := loadShipped(t)
	files, err := fs.Glob(os.DirFS(shippedDir), "aws/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := rules[strings.TrimSuffix(f, ".events.txtar")+".toml"]; !ok {
			t.Errorf("%s belongs to no rule", f)
		}
	}
	if len(files) != len(rules) {
		t.Errorf("%d files of events for %d rules", len(files), len(rules))
	}
}

// TestTheFirstRule holds the first rule to the form in which it was asked for.
func TestTheFirstRule(t *testing.T) {
	t.Parallel()
	rules, _ := loadShipped(t)
	first := rules["aws/ssm_sendcommand_first_seen_arn.toml"].Rule
	type form struct {
		Query, From, To, History, Severity string
		Interval                           string
		Risk, MaxSignals                   int
		Keys, Index                        []string
		Enabled                            bool
		Tactic, Technique                  string
	}
	got := form{
		Query: strings.TrimSpace(first.Query), From: first.From, To: first.To, History: first.HistoryWindowStart, Severity: first.Severity,
		Interval: first.Interval.String(), Risk: first.RiskScore, MaxSignals: first.MaxSignals, Keys: first.NewTermsFields, Index: first.Index,
		Enabled: first.Enabled, Tactic: first.Threat[0].Tactic.ID, Technique: first.Threat[0].Technique[0].ID,
	}
	want := form{
		Query: `event.action: "SendCommand" and not aws.cloudtrail.user_identity.arn: *AWSServiceRoleForAmazonSSM/StateManagerService*` +
			` and event.outcome: "success" and event.provider: "ssm.amazonaws.com" and event.dataset: "aws.cloudtrail"`,
		From: "now-9m", To: "now", History: "now-7d", Severity: "low", Interval: "5m0s", Risk: 21, MaxSignals: 100,
		Keys: []string{"aws.cloudtrail.user_identity.arn"}, Index: []string{"filebeat-*", "logs-aws.cloudtrail-*"}, Enabled: true,
		Tactic: "TA0002", Technique: "T1651",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-asked for +shipped):\n%s", diff)
	}
	guide := strings.ToLower(first.Note)
	for _, topic := range []string{
		"targets", "document", "identity", "access pattern", "content", "timing", "agent and address", "recurrence", "permissions",
		"systems manager", "s3", "iam", "ec2", "harmless", "routine automation", "maintenance", "what to do",
	} {
		if !strings.Contains(guide, topic) {
			t.Errorf("the guide says nothing of %s", topic)
		}
	}
	sibling := rules["aws/ssm_sendcommand_first_seen_role.toml"].Rule
	if sibling.Enabled || !sibling.EnabledSet || !slices.Equal(sibling.NewTermsFields, []string{"cloud.account.id", "user.name"}) {
		t.Errorf("the sibling is enabled, or keyed on %v", sibling.NewTermsFields)
	}
	if text := strings.Join(strings.Fields(sibling.Description), " "); !strings.Contains(text, "each session of a role has a new ARN") {
		t.Errorf("the sibling does not say why it is there: %s", text)
	}
}
