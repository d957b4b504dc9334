// Package alert makes the alert that a person sees out of a finding: its id, its
// overrides, its document in the form in which Kibana stores alerts, and the few
// words that a table has room for.
//
//	for f, err := range result.Found() {
//		a := alert.New(f.Rule, &f.Signal, f.Event, f.Coverage, f.Cold)
//		line := a.Summary()             // who, what, where from
//		doc := a.Document(now)          // kibana.alert.* and the event's fields
//	}
//
// The fields of alert documents are those of
// https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema.
// What is Debut's own is under debut.*.
package alert
