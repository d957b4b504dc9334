package rule_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// corpus is a clone of the AWS rules of elastic/detection-rules, if there is one.
const corpus = "../../shared/data/elastic-rules/aws"

func TestCorpus(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("the rule corpus is not there: %v", err)
	}
	set, err := rule.LoadSources(rule.Source{FS: os.DirFS(corpus), Path: ".", Name: corpus})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range set.Diagnostics {
		if d.Severity == query.Error {
			t.Errorf("%s:%d: %s", d.File, d.Line, d.Message)
		}
		t.Logf("%s:%d:%d %s %s", d.File, d.Line, d.Column, d.Code, d.Message)
	}
	compiled, diags := set.Compile(ecs.NewCatalogue())
	if len(compiled) != 139 || diags.Failed() {
		t.Errorf("compiled %d rules: %v", len(compiled), diags)
	}
	for _, d := range diags {
		t.Log(d.Render())
	}
	// All of it has been looked at: rules that key on the ARN or id of a role session.
	warned := make(map[string]int)
	for _, d := range rule.Lint(set, ecs.NewCatalogue()) {
		if d.Severity != query.Info {
			warned[d.Code]++
		}
	}
	if diff := cmp.Diff(map[string]int{"session-name-key": 9}, warned); diff != "" {
		t.Errorf("lint (-want +got):\n%s", diff)
	}
	count := make(map[rule.Type]int)
	runnable := 0
	for _, r := range set.Rules {
		roundTrip(t, r)
		if ok, reason := r.Runnable(); ok {
			runnable++
		} else {
			count[r.Type]++
			if reason == "" {
				t.Errorf("%s does not run and does not say why", r.Name)
			}
		}
	}
	if len(set.Rules) != 194 || runnable != 139 || count[rule.EQL] != 27 || count[rule.ESQL] != 23 || count[rule.MachineLearning] != 5 {
		t.Errorf("loaded %d, runnable %d, others %v", len(set.Rules), runnable, count)
	}
}
