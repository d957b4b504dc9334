// Package alert makes the alert that a person sees out of a finding: its id, its
// overrides, its document in the form in which Kibana stores alerts, and the few
// words that a table has room for.
//
//	a := alert.New(finding, event)
//	line := a.Summary()             // who, what, where from
//	doc := a.Document(now)          // kibana.alert.* and the event's fields
package alert
