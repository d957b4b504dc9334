package rule_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

var update = flag.Bool("update", false, "rewrite the expected results under testdata")

// TestParseFiles reads every file of testdata/load and compares all that is to be
// said about it with the file of the same name and .want. A good file has no error.
func TestParseFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/load/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if filepath.Ext(path) == ".want" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f := rule.Parse(filepath.Base(path), data)
			bad := slices.ContainsFunc(f.Diagnostics, func(d query.Diagnostic) bool { return d.Severity == query.Error })
			if want := strings.Contains(path, ".bad."); bad != want {
				t.Errorf("has errors: %v, want %v", bad, want)
			}
			golden(t, path+".want", describeFile(f))
		})
	}
}

// golden compares got with the file at path, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update and review what it writes)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func describe(ds query.Diagnostics) string {
	var b strings.Builder
	for _, d := range ds {
		severity := [...]string{"error", "warning", "info"}[d.Severity]
		fmt.Fprintf(&b, "%s:%d:%d: %s[%s]", d.File, d.Line, d.Column, severity, d.Code)
		if d.RuleID != "" {
			fmt.Fprintf(&b, " %s", d.RuleID)
		}
		fmt.Fprintf(&b, ": %s\n", d.Message)
		if d.Source != "" {
			fmt.Fprintf(&b, "    %s\n    %s%s\n", d.Source, strings.Repeat(" ", d.Column-1), strings.Repeat("^", d.Width))
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", d.Hint)
		}
	}
	return b.String()
}

func describeFile(f *rule.File) string {
	var b strings.Builder
	b.WriteString(describe(f.Diagnostics))
	least := rule.Parse("", []byte(`{"rule_id": "r", "type": "query", "name": "n", "description": "d", "risk_score": 1, "severity": "low"}`))
	defaults := least.Rules[0].Parameters
	for _, r := range f.Rules {
		fmt.Fprintf(&b, "rule %s %q line %d, query at %d:%d\n", r.ID, r.Name, r.Line, r.QueryLine, r.QueryCol)
		if ok, reason := r.Runnable(); !ok {
			fmt.Fprintf(&b, "  does not run: %s\n", reason)
		}
		conditions, _ := r.Conditions()
		for _, c := range conditions {
			fmt.Fprintf(&b, "  filter %s\n", c)
		}
		for _, k := range slices.Sorted(maps.Keys(r.Parameters)) {
			if v := r.Parameters[k]; !cmp.Equal(v, defaults[k]) {
				fmt.Fprintf(&b, "  %s = %#v\n", k, v)
			}
		}
	}
	for _, r := range f.Deprecated {
		fmt.Fprintf(&b, "deprecated %s %q\n", r.ID, r.Name)
	}
	for _, l := range f.Lists {
		fmt.Fprintf(&b, "list %s %q %s %s rules %v, line %d\n", l.ListID, l.Name, l.Type, l.NamespaceType, l.RuleIDs, l.Line)
		for _, i := range l.Items {
			fmt.Fprintf(&b, "  item %s %q expires %s os %v comments %q line %d\n", i.ItemID, i.Name, i.ExpireTime, i.OSTypes, i.Comments, i.Line)
			for _, e := range i.Entries {
				fmt.Fprintf(&b, "    %s\n", describeEntry(e))
			}
		}
	}
	for _, c := range f.Connectors {
		fmt.Fprintf(&b, "connector %s\n", c)
	}
	return b.String()
}

func describeEntry(e rule.Entry) string {
	s := fmt.Sprintf("%s %s %s %q", e.Field, e.Type, e.Operator, e.Values)
	if e.ListID != "" {
		s += " list " + e.ListID + " " + e.ListType
	}
	for _, sub := range e.Entries {
		s += "\n      " + describeEntry(sub)
	}
	return s
}
