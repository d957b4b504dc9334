// Package serve is the engine that never ends: it takes deliveries from sources,
// makes their records durable, tests them against every rule, and commits what they
// mean: memory, alerts, positions, notifications and the offset of the log that they
// account for, in one transaction.
//
//	deliveries ─decode, match─▶ chunks ─append, sync─▶ event log ─reduce─▶ commit ─▶ done
//	             parallel                 in order                  one transaction
//
// It is the engine of a scan, fed for ever: the same decoder, matcher and detectors,
// and findings that do not depend on the order in which records come. A late record
// makes a detector look at its group again, and the difference is applied to the
// alerts: new, moved, grown, joined, withdrawn. What a crash leaves is the log, and a
// database that says how far it has folded it; the rest is folded again when the
// engine opens, and folding twice is folding once.
//
//	e, err := serve.Open(ctx, serve.Options{DB: db, Events: events, Rules: inputs, …})
//	defer e.Close()
//	go source.Run(ctx, e) // an Engine is a source.Sink
//	err = e.Run(ctx)
//
// What is decided is in docs/design/0004-serve.md.
package serve
