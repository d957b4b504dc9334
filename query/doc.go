// Package query holds what the query languages share: the compiled condition over
// an event ([Expr]) and the conditions that every language is built of, comparison
// by field type, wildcard patterns, date math, and diagnostics that point at the
// text.
//
// Conditions are two-valued, as in KQL and in Elasticsearch's filters: a condition
// on a field without a value is false, and its negation is true. Of a field with
// several values any may satisfy a condition.
//
//	cat := ecs.NewCatalogue()
//	send, err := query.Equal(cat.Resolve("event.action"), "SendCommand")
//	failed := query.Exists(cat.Resolve("aws.cloudtrail.error_code"))
//	cond := query.And(send, query.Not(failed))
//	cond.Match(event)
package query
