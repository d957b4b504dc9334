// Package desk brings an alert of a store to its investigation and puts the report
// back: what package triage asks for it reads from the stored events, the coverage
// ledger and the alerts; every version of a report is kept; what is due is worked off
// in the background. Start with [New].
//
//	d := desk.New(desk.Options{DB: db, Events: events, Catalogue: cat, Weights: weights, Now: now})
//	result, err := d.Investigate(ctx, handle, desk.Request{Trigger: store.TriageByHand, By: "ana"})
//	if err != nil {
//		return err
//	}
//	fmt.Println(result.Report.Summary)
package desk
