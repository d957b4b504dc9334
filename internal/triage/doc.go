// Package triage carries out the investigation of an alert: seventeen questions, T0 to
// T16, each answered from stored events, with the evidence, what it is worth, and what
// is not known. Start with [Run].
//
//	report, err := triage.Run(ctx, triage.Input{
//		Alert: alert, Events: events, Coverage: coverage,
//		Catalogue: cat, Weights: weights, AsOf: now,
//	})
//	if err != nil {
//		return err
//	}
//	fmt.Println(report.Summary)
//
// A step is a file: t05_content.go answers T5. It is a declared [Step], reads the
// [Case], and says what it found to its [Asking]; the table weights.toml says what
// findings are worth. Who adds a step adds a file, its rows in the table, and its name
// in triage.go.
package triage
