// Package query holds what the query languages share: the compiled condition over
// an event ([Expr]) and the conditions that every language is built of, comparison
// by field type, wildcard patterns, date math, and diagnostics that point at the
// text. It has no language of its own; see package kql.
//
// Conditions are two-valued, as in KQL and in Elasticsearch's filters: a condition
// on a field without a value is false, and its negation is true. Of a field with
// several values any may satisfy a condition. How a literal compares with a value
// goes by the type of the field:
//
//   - keyword, flattened sub-keys: exact text; ranges byte by byte;
//   - ip: as addresses; IPv4 equals its v4-mapped form, a CIDR block holds its members;
//   - long, double: by decimal value, exactly;
//   - boolean: true or false;
//   - date: by instant, to the millisecond. A date that leaves something open (a day,
//     a second) is the whole of it. now in date math is the time of the event, so a
//     replay gives the answer of the day;
//   - text: by words without regard to case.
//
// An [Expr] can be asked two ways: [Expr.Match] about an event, and [Expr.Decide]
// about all events of which only some fields are known.
//
//	cat := ecs.NewCatalogue()
//	send, err := query.Equal(cat.Resolve("event.action"), "SendCommand")
//	failed := query.Exists(cat.Resolve("aws.cloudtrail.error_code"))
//	cond := query.And(send, query.Not(failed))
//	cond.Match(event)
//
// Everything here is pure: no clock, no disk, no network. Conditions, patterns and
// times are immutable and safe for concurrent use.
package query
