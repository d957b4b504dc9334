// Package rule reads detection rules in Elastic's formats and says what is wrong
// with them.
//
// A [Rule] is one rule in the terms of Kibana's detections API, whatever file it
// came from: a TOML file in the layout of https://github.com/elastic/detection-rules,
// the API's JSON, an NDJSON export of Kibana, or a Fleet package asset. [Parse]
// reads one file and tells the formats apart by content; [Load] reads files and
// folders into a [Set], which also holds the exceptions and value lists that
// belong to the rules.
//
// Reading never stops at the first error. Every error has a stable code, the file
// and line, the rule's id, a reason and where possible a remedy; a rule with an
// error is left out, the others are loaded. A rule that is sound but cannot run in
// this version is loaded too, and [Rule.Runnable] says why it does not run.
// [Lint] looks at sound rules for what probably is not meant.
//
// [Set.Compile] turns the query, the filters and the exceptions of every rule that
// runs into conditions over events. What is done with the events that match is not
// here but in package detect.
//
//	set, err := rule.Load(os.DirFS("rules"), ".")
//	if err != nil {
//		return err
//	}
//	for _, d := range set.Diagnostics {
//		fmt.Print(d.Render())
//	}
//	rules, diags := set.Compile(ecs.NewCatalogue())
//	rules[0].Query.Match(event)
//
// The package is pure: it reads through [io/fs], has no clock and no network. What
// it returns is not changed afterwards and is safe for concurrent use.
//
// The fields of rules are documented at
// https://www.elastic.co/docs/api/doc/kibana/group/endpoint-security-detections-api
// and, with the formats, every code and each difference, in docs/rules.md.
package rule
