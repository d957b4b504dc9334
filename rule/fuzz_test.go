package rule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// FuzzParse holds Parse to three things for any input: it does not panic, its
// diagnostics point into the file, and a rule that loads is wholly in its
// Parameters: written as JSON they load again as the same rule.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/load/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		if filepath.Ext(path) == ".want" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := rule.Parse("f", data)
		for _, d := range file.Diagnostics {
			if d.Message == "" || d.Code == "" || d.File != "f" || d.Column > 0 && d.Line == 0 {
				t.Errorf("bad diagnostic %+v", d)
			}
		}
		for _, r := range file.Rules {
			roundTrip(t, r)
			_, _ = r.Runnable()
		}
		set := rule.NewSet(file)
		for _, d := range append(rule.Lint(set, ecs.NewCatalogue()), set.Diagnostics...) {
			if d.Message == "" || d.Code == "" || d.Column > 0 && d.Width < 1 {
				t.Errorf("bad diagnostic %+v", d)
			}
		}
		if check := set.Check(); check.Loaded != len(set.Rules) || check.Runnable+len(check.Unsupported) != check.Loaded {
			t.Errorf("%d rules, check says %+v", len(set.Rules), check)
		}
		for _, r := range set.Rules {
			set.ExceptionsFor(r)
		}
	})
}

func roundTrip(t *testing.T, r *rule.Rule) {
	t.Helper()
	data, err := json.Marshal(r.Parameters)
	if err != nil {
		t.Fatalf("rule %s: %v", r.ID, err)
	}
	again := rule.Parse("again", data)
	for _, d := range again.Diagnostics {
		if d.Severity == query.Error {
			t.Fatalf("rule %s does not load again: %+v\n%s", r.ID, d, data)
		}
	}
	if len(again.Rules) != 1 {
		t.Fatalf("rule %s comes back as %d rules\n%s", r.ID, len(again.Rules), data)
	}
	ignore := []cmp.Option{
		cmpopts.IgnoreUnexported(rule.Rule{}), cmpopts.EquateEmpty(),
		// Places, what is not part of the rule itself, and whether a default was written.
		cmpopts.IgnoreFields(rule.Rule{}, "File", "Line", "QueryLine", "QueryCol", "Metadata", "Transform", "EnabledSet"),
	}
	if diff := cmp.Diff(r, again.Rules[0], ignore...); diff != "" {
		t.Fatalf("rule %s changed on its way through JSON (-before +after):\n%s", r.ID, diff)
	}
}
