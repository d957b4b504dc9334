package rule_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// theRule is attached to the list "list"; TOML files name it as "rule".
const theRule = `{"rule_id": "rule", "type": "query", "name": "Rule", "description": "d", "risk_score": 5, "severity": "low",
"exceptions_list": [{"list_id": "list", "namespace_type": "single"}]}`

// TestExceptions reads the archives of testdata/except: exceptions and value lists
// for one rule, events in ECS form, and in "want" what is said about the
// exceptions and which of them each event meets.
func TestExceptions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/except/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{"rule.json": {Data: []byte(theRule)}}
			var events []byte
			for _, f := range ar.Files {
				switch f.Name {
				case "events.ndjson":
					events = f.Data
				case "want":
				default:
					fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o600}
				}
			}
			set, err := rule.Load(fsys, ".")
			if err != nil {
				t.Fatal(err)
			}
			goldenMember(t, path, ar, "want", describeExceptions(t, set, events))
		})
	}
}

func describeExceptions(t *testing.T, set *rule.Set, events []byte) string {
	t.Helper()
	cat := ecs.NewCatalogue()
	exceptions, diags := set.CompileExceptions(set.Rules[0], cat)
	var b strings.Builder
	b.WriteString(describe(append(set.Diagnostics, diags...)))
	for _, x := range exceptions {
		if !x.Expire.IsZero() {
			fmt.Fprintf(&b, "%s: expires %s\n", x.Name, x.Expire)
		}
	}
	for i, line := range bytes.Split(bytes.TrimSpace(events), []byte("\n")) {
		ev, err := ecs.ParseJSON(cat, line)
		if err != nil {
			t.Fatalf("event %d: %v", i+1, err)
		}
		fmt.Fprintf(&b, "event %d:", i+1)
		for _, x := range exceptions {
			if x.Expr.Match(ev) {
				fmt.Fprintf(&b, " [%s]", x.Name)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
