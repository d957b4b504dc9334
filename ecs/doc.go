// Package ecs holds the event: an Elastic Common Schema view of a record, field
// name → values, always a list.
//
// A [Catalogue] knows the fields that CloudTrail's mapping produces and their types;
// an [Event] gives their values, one by one when asked, or all at once as a
// [Document].
//
//	cat := ecs.NewCatalogue()
//	ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"action":"SendCommand"}}`))
//	ev.Values(cat.Resolve("event.action")) // [SendCommand]
package ecs
