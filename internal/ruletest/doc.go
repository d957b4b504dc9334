// Package ruletest runs the test events of rules: CloudTrail records that must make
// a rule fire, and near-misses that must not, through everything that a scan does.
//
// [Parse] reads the cases of a rule from a file, whose format rules/README.md
// describes; [Runner.Run] runs them and says in [query.Diagnostics] what came out
// otherwise, line by line.
//
//	suite, diags := ruletest.Parse("my_rule.events.txtar", data)
//	results, err := runner.Run(ctx, compiled, suite)
//	for _, r := range results {
//		fmt.Println(r.Case.Name, r.Passed())
//	}
//
// The package reads no files itself; running writes temporary ones only where a
// case is larger than memory allows.
package ruletest
