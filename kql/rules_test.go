package kql_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
)

// TestElasticRules reads, prints and compiles the query of every published rule for
// AWS that is written in KQL.
func TestElasticRules(t *testing.T) {
	t.Parallel()
	queries := elasticQueries(t)
	if len(queries) != 139 {
		t.Errorf("%d rules in KQL, want 139", len(queries))
	}
	cat := ecs.NewCatalogue()
	empty, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range queries {
		n, err := kql.Parse(src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkQuery(t, cat, n, empty, func(name string) bool { return name == "event.provider" || name == "event.action" })
		x, ds := kql.Compile(n, cat)
		for _, d := range ds {
			if d.Code != "unknown-field" {
				t.Errorf("%s: %s", name, d.Render())
			}
			t.Logf("%s: %s", name, d.Message)
		}
		if x.Match(empty) {
			t.Errorf("%s matches an event that has nothing", name)
		}
	}
}

// TestElasticRulesOnElasticDocuments compares all of these queries with the
// reference on documents of the AWS integration.
func TestElasticRulesOnElasticDocuments(t *testing.T) {
	t.Parallel()
	queries := elasticQueries(t)
	paths, err := filepath.Glob("../../shared/data/ecs-tests/*-expected.json")
	if err != nil || len(paths) == 0 {
		t.Skip("skipped: ../shared/data/ecs-tests is not there")
	}
	cat := ecs.NewCatalogue()
	events := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := ecs.ParseDocument(data)
		if err != nil {
			t.Fatal(err)
		}
		list, _ := file["expected"].([]any)
		for _, e := range list {
			doc, _ := e.(map[string]any)
			ev, err := ecs.ParseJSON(cat, ecs.Document(doc).AppendJSON(nil))
			if err != nil {
				continue // a stub for an empty line
			}
			events++
			for _, src := range queries {
				checkQuery(t, cat, parse(t, src), ev, func(name string) bool { return name == "event.provider" || name == "event.action" })
			}
		}
	}
	if events < len(paths) {
		t.Errorf("only %d documents in %d files", events, len(paths))
	}
}

// elasticQueries returns the queries of the rules in KQL by file name.
func elasticQueries(t testing.TB) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../shared/data/elastic-rules/aws/*.toml")
	if err != nil || len(paths) == 0 {
		t.Skip("skipped: ../shared/data/elastic-rules is not there")
	}
	out := make(map[string]string)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Rule struct{ Language, Query string }
		}
		if err := toml.Unmarshal(data, &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if file.Rule.Language == "kuery" {
			out[filepath.Base(path)] = file.Rule.Query
		}
	}
	return out
}
