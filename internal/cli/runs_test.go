package cli

import (
	"testing"

	"github.com/debutsec/debut/internal/server/api"
)

// The status says what is wrong with the files of rules: where, what, and the remedy.
func TestRuleFacts(t *testing.T) {
	t.Parallel()
	c := api.RuleCounts{
		Running: 3, Idle: 1, Kept: 1, Wrong: 30, Errors: []api.Diagnostic{
			{File: "rules/a.toml", Line: 3, Message: "expected )", Hint: "close it"}, {File: "b.json", Message: "the file cannot be read"},
		},
	}
	const want = `3 running, 0 rebuilding, 1 idle; 1 as before, their files have errors
rules/a.toml:3: expected ) (close it)
b.json: the file cannot be read
and 28 more: see 'debut rules check'`
	if got := ruleFacts(&c); got != want {
		t.Errorf("it says\n%s", got)
	}
}
