// Package live asks AWS what a log does not say about a command of Systems Manager: the
// text that CloudTrail hides, what became of it on each node, whose document it was, what
// the nodes are, and whether an association or a maintenance window explains it. It only
// reads. Start with [New].
//
//	asker, err := live.New(ctx, live.Options{Region: "eu-west-1"})
//	if err != nil {
//		return err
//	}
//	answers := asker.Ask(ctx, live.Question{CommandID: id, Document: "AWS-RunShellScript", Instances: nodes})
//
// Every answer is stamped with the call and the time. What may not be read is an answer
// too: it says why, and which statement of a policy would allow it. [Policy] is all of
// them.
package live
