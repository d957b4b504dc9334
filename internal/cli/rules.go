package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// RulesCmd holds the commands about rules.
type RulesCmd struct {
	List  RulesListCmd  `cmd:"" help:"List rules, and whether each can run."`
	Check RulesCheckCmd `cmd:"" help:"Load and compile rules; say everything that is wrong."`
	Show  RulesShowCmd  `cmd:"" help:"Show every field of rules."`
	Lint  RulesLintCmd  `cmd:"" help:"Say what is questionable in sound rules."`
}

// rulesFlags are what the commands about rules have in common.
type rulesFlags struct {
	formatFlag

	Paths []string `arg:"" optional:"" name:"path" help:"Rule file, folder or glob; 'shipped' for the rules in the program (default)."`
	Rule  []string `placeholder:"ID|NAME" help:"Only this rule. Repeatable."`
}

// load loads the rules and leaves those that are asked for.
func (f *rulesFlags) load() (*rule.Set, error) {
	set, err := loadSet(f.Paths, nil)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(set.Rules, f.Rule)
	if err != nil {
		return nil, err
	}
	if len(f.Rule) > 0 {
		set.Rules = slices.DeleteFunc(set.Rules, func(r *rule.Rule) bool { return !chosen[r] })
	}
	return set, nil
}

// RulesListCmd lists rules.
type RulesListCmd struct {
	rulesFlags
}

// Help is shown below the flags.
func (*RulesListCmd) Help() string {
	return `Examples:
  debut rules list
  debut rules list --format json ./detection-rules/rules/integrations/aws`
}

type ruleEntry struct {
	RuleID    string   `json:"rule_id"`
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Language  string   `json:"language"`
	Severity  string   `json:"severity"`
	RiskScore int      `json:"risk_score"`
	Enabled   bool     `json:"enabled"`
	Runnable  bool     `json:"runnable"`
	Reason    string   `json:"reason,omitzero"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Tags      []string `json:"tags"`
}

// Run implements the command.
func (c *RulesListCmd) Run(env *Env) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	entries := make([]ruleEntry, 0, len(set.Rules))
	rows := [][]string{{"SEVERITY", "TYPE", "RUNS", "ID", "NAME"}}
	for _, r := range set.Rules {
		ok, reason := r.Runnable()
		e := ruleEntry{
			RuleID: r.ID, Name: r.Name, Type: string(r.Type), Language: r.Language, Severity: r.Severity, RiskScore: r.RiskScore,
			Enabled: r.Enabled || !r.EnabledSet, Runnable: ok, Reason: reason, File: r.File, Line: r.Line, Tags: r.Tags,
		}
		runs := "yes"
		switch {
		case !ok:
			runs = "no: " + reason
		case !e.Enabled:
			runs = "disabled"
		}
		entries = append(entries, e)
		rows = append(rows, []string{r.Severity, string(r.Type), runs, r.ID, r.Name})
	}
	if c.Format == "json" {
		return writeJSON(env, entries)
	}
	if err := report.Columns(env.Stdout, rows, tableOptions(env)); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return leftOut(env, set)
}

// leftOut says on standard error that files had errors.
func leftOut(env *Env, set *rule.Set) error {
	if n := len(onlyErrors(set.Diagnostics)); n > 0 {
		env.say("%s left rules out; 'debut rules check' shows where\n", plural(int64(n), "error", "errors"))
	}
	return nil
}

// RulesCheckCmd loads and compiles rules.
type RulesCheckCmd struct {
	rulesFlags
}

// Help is shown below the flags.
func (*RulesCheckCmd) Help() string {
	return `Examples:
  debut rules check ./rules
  debut rules check --format json ./detection-rules/rules/integrations/aws

Exit codes: 0 every rule is sound, 1 there are errors, 2 wrong usage. A sound rule of a type or
language that does not run yet is no error: it is named.`
}

// Run implements the command.
func (c *RulesCheckCmd) Run(env *Env) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	_, diags := set.Compile(ecs.NewCatalogue())
	diags = slices.Concat(set.Diagnostics, diags)
	byPlace(diags)
	res := set.Check()
	if c.Format == "json" {
		err = writeJSON(env, res)
	} else {
		err = c.table(env, &res, diags)
	}
	if err != nil {
		return err
	}
	if len(res.Errors) > 0 {
		return &ExitError{Code: ExitFailed, Err: fmt.Errorf("%s in rule files", plural(int64(len(res.Errors)), "error", "errors"))}
	}
	return nil
}

func (c *RulesCheckCmd) table(env *Env, res *rule.Check, diags query.Diagnostics) error {
	var b bytes.Buffer
	for _, d := range diags {
		if d.Severity != query.Info {
			b.WriteString(d.Render())
		}
	}
	if len(res.Unsupported) > 0 {
		rows := append(make([][]string, 0, 1+len(res.Unsupported)), []string{"NOT RUNNABLE", "REASON", "ID"})
		for _, u := range res.Unsupported {
			rows = append(rows, []string{u.Name, u.Reason, u.RuleID})
		}
		slices.SortStableFunc(rows[1:], func(a, b []string) int { return cmp.Compare(a[1], b[1]) })
		if err := report.Columns(&b, rows, tableOptions(env)); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
	}
	fmt.Fprintf(&b, "%s loaded, %d runnable, %d not runnable, %s\n",
		plural(int64(res.Loaded), "rule", "rules"), res.Runnable, len(res.Unsupported), plural(int64(len(res.Errors)), "error", "errors"))
	return write(env, b.Bytes())
}

// RulesShowCmd shows rules whole.
type RulesShowCmd struct {
	rulesFlags
}

// Help is shown below the flags.
func (*RulesShowCmd) Help() string {
	return `Examples:
  debut rules show --rule 2ff64f61-0331-441d-80a8-000941cac929
  debut rules show --format json ./rules/my_rule.toml`
}

// shownRule is the JSON of rules show: the rule as the API has it, and where it is from.
type shownRule struct {
	File      string         `json:"file"`
	Line      int            `json:"line"`
	Runnable  bool           `json:"runnable"`
	Reason    string         `json:"reason,omitzero"`
	Metadata  map[string]any `json:"metadata,omitzero"`
	Transform map[string]any `json:"transform,omitzero"`
	Rule      map[string]any `json:"rule"`
}

// Run implements the command.
func (c *RulesShowCmd) Run(env *Env) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	if c.Format == "json" {
		out := make([]shownRule, 0, len(set.Rules))
		for _, r := range set.Rules {
			ok, reason := r.Runnable()
			out = append(out, shownRule{r.File, r.Line, ok, reason, r.Metadata, r.Transform, r.Parameters})
		}
		return writeJSON(env, out)
	}
	var b bytes.Buffer
	for i, r := range set.Rules {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := report.Rule(&b, r, tableOptions(env)); err != nil {
			return fmt.Errorf("write the rule: %w", err)
		}
	}
	return cmp.Or(write(env, b.Bytes()), leftOut(env, set))
}

// RulesLintCmd lints rules.
type RulesLintCmd struct {
	rulesFlags

	Strict bool `help:"Exit with 1 for warnings too."`
}

// Help is shown below the flags.
func (*RulesLintCmd) Help() string {
	return `Examples:
  debut rules lint ./rules
  debut rules lint --format json --strict ./rules

Exit codes: 0 nothing that matters, 1 errors (with --strict also warnings), 2 wrong usage.`
}

// lintLine is one diagnostic in the JSON of rules lint.
type lintLine struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	RuleID   string `json:"rule_id"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitzero"`
}

// Run implements the command.
func (c *RulesLintCmd) Run(env *Env) error {
	set, err := c.load()
	if err != nil {
		return err
	}
	diags := slices.Concat(set.Diagnostics, rule.Lint(set, ecs.NewCatalogue()))
	byPlace(diags)
	counts := map[query.Severity]int64{}
	lines := make([]lintLine, 0, len(diags))
	for _, d := range diags {
		counts[d.Severity]++
		lines = append(lines, lintLine{d.Severity.String(), d.Code, d.File, d.Line, d.Column, d.RuleID, d.Message, d.Hint})
	}
	if c.Format == "json" {
		if err := writeJSON(env, lines); err != nil {
			return err
		}
	} else {
		var b bytes.Buffer
		for _, d := range diags {
			b.WriteString(d.Render())
		}
		fmt.Fprintf(&b, "%s: %s\n", plural(int64(len(set.Rules)), "rule", "rules"), strings.Join([]string{
			plural(counts[query.Error], "error", "errors"), plural(counts[query.Warning], "warning", "warnings"),
			plural(counts[query.Info], "remark", "remarks"),
		}, ", "))
		if err := write(env, b.Bytes()); err != nil {
			return err
		}
	}
	if counts[query.Error] > 0 || c.Strict && counts[query.Warning] > 0 {
		return &ExitError{Code: ExitFailed}
	}
	return nil
}

func onlyErrors(diags query.Diagnostics) query.Diagnostics {
	return slices.DeleteFunc(slices.Clone(diags), func(d query.Diagnostic) bool { return d.Severity != query.Error })
}
