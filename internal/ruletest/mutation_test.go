package ruletest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/debutsec/debut/internal/ruletest"
	"github.com/debutsec/debut/kql"
)

// mutants returns the tree with one term less, for every term of a conjunction and
// every alternative in it.
func mutants(n kql.Node) []kql.Node {
	var out []kql.Node
	without := func(terms []kql.Node, build func([]kql.Node) kql.Node) {
		for i := range terms {
			rest := append(append([]kql.Node{}, terms[:i]...), terms[i+1:]...)
			if len(rest) == 1 {
				out = append(out, rest[0])
			} else {
				out = append(out, build(rest))
			}
			for _, m := range mutants(terms[i]) {
				changed := append([]kql.Node{}, terms...)
				changed[i] = m
				out = append(out, build(changed))
			}
		}
	}
	switch n := n.(type) {
	case *kql.And:
		without(n.Terms, func(t []kql.Node) kql.Node { return &kql.And{Terms: t} })
	case *kql.Or:
		without(n.Terms, func(t []kql.Node) kql.Node { return &kql.Or{Terms: t} })
	case *kql.Not:
		for _, m := range mutants(n.Term) {
			out = append(out, &kql.Not{Term: m})
		}
	case *kql.Match:
		for _, m := range mutants(n.Value) {
			out = append(out, &kql.Match{Field: n.Field, Value: m})
		}
	}
	return out
}

// indifferent reports whether the mutant lacks the condition that no record of
// CloudTrail can tell: every one is of that data set.
func indifferent(query, mutant string) bool {
	const part = `event.dataset: "aws.cloudtrail"`
	return strings.Contains(query, part) && !strings.Contains(mutant, part)
}

// Every condition of a shipped rule matters to a case: without it one of them goes
// wrong. So the cases hold the rule, and the rule has no condition in vain.
func TestCasesHoldEveryCondition(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs every case once for each condition")
	}
	rules, cat := loadShipped(t)
	runner := ruletest.Runner{Catalogue: cat}
	for file, c := range rules {
		t.Run(strings.TrimSuffix(file, ".toml"), func(t *testing.T) {
			t.Parallel()
			name := ruletest.FileFor(file)
			data, err := os.ReadFile(filepath.Join(shippedDir, name))
			if err != nil {
				t.Fatal(err)
			}
			suite, _ := ruletest.Parse(name, data)
			whole, err := kql.Parse(c.Rule.Query)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, m := range mutants(whole) {
				if indifferent(whole.String(), m.String()) {
					continue
				}
				seen++
				changed := c
				changed.Query, _ = kql.Compile(m, cat)
				results, err := runner.Run(t.Context(), changed, suite)
				if err != nil {
					t.Fatal(err)
				}
				caught := false
				for i := range results {
					caught = caught || !results[i].Passed()
				}
				if !caught {
					t.Errorf("no case tells this from the rule's query:\n%s", m)
				}
			}
			if seen < 3 {
				t.Errorf("only %d changes were tried", seen)
			}
		})
	}
}
