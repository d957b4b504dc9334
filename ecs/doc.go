// Package ecs holds the event: an Elastic Common Schema view of a record, field
// name → values, always a list.
//
// Start with a [Catalogue]: it knows the fields that CloudTrail's mapping produces,
// and their types, and resolves the names in rules to fields once, so that an [Event]
// is asked for them without looking at names again. An event gives its values one by
// one, or all at once as a [Document]. Package cloudtrail makes events of records;
// [ParseJSON] makes one of a document that is ECS already, from Filebeat, Elastic
// Agent or a cluster. Both give the same answers for the same event.
//
//	cat := ecs.NewCatalogue()
//	ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"action":"SendCommand"}}`))
//	ev.Values(cat.Resolve("event.action")) // [SendCommand]
//
// A value is text here, whatever its type: how values compare is the business of
// package query. Absent, null and the empty list are one thing, no value; the empty
// string is a value. The names and types are those of the CloudTrail data stream of
// Elastic's AWS integration and of ECS itself, and Debut's own debut.principal.
package ecs
