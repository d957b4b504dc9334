// Package kql parses and compiles the Kibana Query Language, as Kibana itself reads
// it.
//
// Start with [Parse], which gives a tree that prints itself back ([Node]), then
// [Compile] it against a field catalogue; the resulting [query.Expr] is immutable
// and may be shared by any number of goroutines. Everything that is wrong or
// questionable comes as [query.Diagnostics] with line, column, source and a hint.
//
//	n, err := kql.Parse(`event.action: (StartSession or Send*) and not user.name: "ops"`)
//	if err != nil {
//		return err // a query.Diagnostics
//	}
//	cond, diags := kql.Compile(n, ecs.NewCatalogue())
//	cond.Match(event)
//
// Conditions are two-valued: one on a field without a value is false, its negation
// true. Of several values any may satisfy a condition, and two conditions need not
// be satisfied by the same. Comparison goes by the type of the field; see package
// query.
//
// docs/kql.md describes the language and lists each difference from Kibana.
// testdata/ holds queries, events and what is expected of them, as files that can
// be added to without writing Go; testdata/README.md says how.
//
// The package is pure: it has no clock, no disk and no network. Queries are bounded
// in size ([MaxSize]) and depth ([MaxDepth]), and what takes memory or time is in
// proportion to the size of the query.
package kql
