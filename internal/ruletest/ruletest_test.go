package ruletest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/ruletest"
	"github.com/debutsec/debut/rule"
	"github.com/debutsec/debut/rules"
)

func shipped(t *testing.T) *rule.Set {
	t.Helper()
	set, err := rule.LoadSources(rule.Source{FS: rules.FS, Path: "aws"})
	if err != nil {
		t.Fatal(err)
	}
	if set.Diagnostics.Failed() {
		t.Fatal(set.Diagnostics)
	}
	return set
}

func engine(t *testing.T, cat *ecs.Catalogue, r *rule.Rule) *detect.Engine {
	t.Helper()
	q, diags := r.Compile(cat)
	if q == nil {
		t.Fatal(diags)
	}
	e, err := detect.Compile(cat, []detect.Input{{Rule: r, Query: q}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Every shipped rule has events, and they hold.
func TestShippedRules(t *testing.T) {
	t.Parallel()
	for _, r := range shipped(t).Rules {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			name := "../../rules/" + strings.TrimSuffix(r.File, ".toml") + ".events.txtar"
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			cases, err := ruletest.Load(name, data)
			if err != nil {
				t.Fatal(err)
			}
			fires, silent := 0, 0
			for _, c := range cases {
				if c.Fires {
					fires++
				} else {
					silent++
				}
			}
			if fires < 2 || silent < 3 {
				t.Errorf("%d cases that fire and %d that do not: too few to tell", fires, silent)
			}
			cat := ecs.NewCatalogue()
			failures, err := ruletest.Run(t.Context(), engine(t, cat, r), cat, cases)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range failures {
				t.Error(f)
			}
		})
	}
}

// A case that does not hold is told, and an archive that says nothing is refused.
func TestFailures(t *testing.T) {
	t.Parallel()
	const record = `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/a"},` +
		`"eventTime":"2026-01-10T08:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"$NAME","eventID":"$ID","recipientAccountId":"111122223333"}`
	cat := ecs.NewCatalogue()
	var first *rule.Rule
	for _, r := range shipped(t).Rules {
		if strings.HasSuffix(r.File, "ssm_sendcommand_first_seen_arn.toml") {
			first = r
		}
	}
	for name, wrong := range map[string]string{
		"-- fires: it does not --\n" + strings.NewReplacer("$NAME", "ListCommands", "$ID", "alert-1").Replace(record): "alerts on nothing, not on alert-1",
		"-- silent: it is not --\n" + strings.NewReplacer("$NAME", "SendCommand", "$ID", "e-1").Replace(record):       "alerts on e-1, not on nothing",
	} {
		cases, err := ruletest.Load("x", []byte(name))
		if err != nil {
			t.Fatal(err)
		}
		failures, err := ruletest.Run(t.Context(), engine(t, cat, first), cat, cases)
		if err != nil || len(failures) != 1 || !strings.Contains(failures[0].String(), wrong) {
			t.Errorf("%q: %v, %v", wrong, failures, err)
		}
	}
	if _, err := ruletest.Run(t.Context(), engine(t, cat, first), cat, []ruletest.Case{{Why: "broken", Records: `{"eventVersion":`}}); err == nil {
		t.Error("broken records are no error")
	}
	for _, bad := range []string{"", "-- perhaps: why --\n{}", "-- fires: --\n{}", "-- fires: without an id --\n{}", "-- silent: with one --\n" + `{"eventID":"alert-1"}`} {
		if _, err := ruletest.Load("x", []byte(bad)); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
