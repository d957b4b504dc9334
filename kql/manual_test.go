package kql_test

import (
	"os"
	"strings"
	"testing"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
)

// TestManual runs the queries of docs/kql.md.
func TestManual(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/kql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(data), "## In one example\n\n```\n")
	example, _, _ = strings.Cut(example, "```")
	queries := []string{example}
	_, table, _ := strings.Cut(string(data), "## Conditions")
	table, _, _ = strings.Cut(table, "## Values")
	for line := range strings.Lines(table) {
		if row, ok := strings.CutPrefix(line, "| `"); ok {
			query, _, _ := strings.Cut(row, "`")
			queries = append(queries, query)
		}
	}
	if len(queries) < 12 {
		t.Errorf("only %d queries found", len(queries))
	}
	cat := ecs.NewCatalogue()
	for _, src := range queries {
		_, ds := kql.Compile(parse(t, src), cat)
		for _, d := range ds {
			if d.Code != "bare-value" && d.Code != "nested-group" {
				t.Error(d.Render())
			}
		}
	}
}
