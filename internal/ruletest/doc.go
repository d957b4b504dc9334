// Package ruletest runs a rule's events: CloudTrail records that must make it fire,
// and near-misses that must not.
//
// The events of rules/aws/NAME.toml stand in rules/aws/NAME.events.txtar. Each section
// of the archive is a case: "fires: WHY" or "silent: WHY", with records in any
// container. A case runs alone, through the same pipeline as a scan. In a case that
// fires, exactly the records whose eventID begins with "alert" must be alerted.
//
//	cases, err := ruletest.Load("my_rule.events.txtar", data)
//	failures, err := ruletest.Run(ctx, engine, cat, cases)
package ruletest
