package kql_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

var update = flag.Bool("update", false, "rewrite the .diagnostics of testdata/*.txtar")

// TestLanguage runs testdata/*.txtar; testdata/README.md describes them.
func TestLanguage(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testFile(t, path)
		})
	}
}

func testFile(t *testing.T, path string) {
	t.Helper()
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cat := ecs.NewCatalogue()
	var events []ecs.Event
	sections := make(map[string]string)
	var cases []string
	for _, f := range ar.Files {
		if _, twice := sections[f.Name]; twice {
			t.Fatalf("%s: two sections %s", path, f.Name)
		}
		sections[f.Name] = string(f.Data)
		name, kind := f.Name, filepath.Ext(f.Name)
		switch name = strings.TrimSuffix(name, kind); kind {
		case ".ndjson":
			events = append(events, readEvents(t, cat, string(f.Data))...)
		case ".kql":
			cases = append(cases, name)
		case ".want", ".diagnostics":
			if _, ok := sections[name+".kql"]; !ok {
				t.Errorf("%s: %s stands before the query %s.kql, or without it", path, f.Name, name)
			}
		default:
			t.Fatalf("%s: section %s is neither .ndjson, .kql, .want nor .diagnostics", path, f.Name)
		}
	}
	for _, name := range cases {
		ids, ds := evaluate(t, cat, strings.TrimSuffix(sections[name+".kql"], "\n"), events)
		if diff := cmp.Diff(sections[name+".diagnostics"], ds); diff != "" && !*update {
			t.Errorf("%s: diagnostics (-want +got):\n%s", name, diff)
		}
		want, ok := sections[name+".want"]
		if !ok && ids != nil {
			t.Errorf("%s: no %s.want for a query that runs; it matches %s", name, name, strings.Join(ids, " "))
		} else if diff := cmp.Diff(strings.Fields(want), ids); ok && diff != "" {
			t.Errorf("%s: events that match (-want +got):\n%s", name, diff)
		}
		sections[name+".diagnostics"] = ds
	}
	if *update {
		rewrite(t, path, ar, sections)
	}
}

// readEvents reads ECS documents, one a line. Without a time they are of one.
func readEvents(t *testing.T, cat *ecs.Catalogue, data string) []ecs.Event {
	t.Helper()
	var out []ecs.Event
	for line := range strings.Lines(data) {
		doc, err := ecs.ParseDocument([]byte(line))
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if doc.Values("@timestamp") == nil {
			doc.Set("@timestamp", "2026-01-31T08:00:00.000Z")
		}
		if len(doc.Values("event.id")) != 1 {
			t.Fatalf("an event needs one event.id: %s", line)
		}
		ev, err := ecs.ParseJSON(cat, doc.AppendJSON(nil))
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, ev)
	}
	return out
}

// evaluate returns the ids of the events that match, and the diagnostics as a person
// sees them. ids is nil if the query does not run.
func evaluate(t *testing.T, cat *ecs.Catalogue, src string, events []ecs.Event) (ids []string, diagnostics string) {
	t.Helper()
	var b strings.Builder
	n, err := kql.Parse(src)
	var ds query.Diagnostics
	if err != nil {
		ds, _ = err.(query.Diagnostics) //nolint:errorlint // the contract is this type itself
	}
	var x query.Expr
	if n != nil {
		x, ds = kql.Compile(n, cat)
	}
	for _, d := range ds {
		b.WriteString(d.Render())
	}
	if x == nil {
		return nil, b.String()
	}
	ids = []string{}
	for _, ev := range events {
		if x.Match(ev) {
			ids = append(ids, ev.Document().Values("event.id")...)
		}
		checkQuery(t, cat, n, ev, func(name string) bool { return strings.HasPrefix(name, "event.") })
	}
	return ids, b.String()
}

// rewrite puts the diagnostics behind their queries.
func rewrite(t *testing.T, path string, ar *txtar.Archive, sections map[string]string) {
	t.Helper()
	files := slices.DeleteFunc(slices.Clone(ar.Files), func(f txtar.File) bool { return strings.HasSuffix(f.Name, ".diagnostics") })
	ar.Files = nil
	for i, f := range files {
		ar.Files = append(ar.Files, f)
		name := strings.TrimSuffix(strings.TrimSuffix(f.Name, ".want"), ".kql")
		last := strings.HasSuffix(f.Name, ".want") || strings.HasSuffix(f.Name, ".kql") && (i+1 == len(files) || files[i+1].Name != name+".want")
		if ds := sections[name+".diagnostics"]; last && ds != "" {
			ar.Files = append(ar.Files, txtar.File{Name: name + ".diagnostics", Data: []byte(ds)})
		}
	}
	if err := os.WriteFile(path, txtar.Format(ar), 0o600); err != nil {
		t.Fatal(err)
	}
}
