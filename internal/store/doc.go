// Package store is what Debut keeps between two instants: what a store promises, the
// records in it and their keys. The stores themselves are its subpackages.
//
// A [DB] is a set of ordered tables that change in transactions: detectors' memory,
// alerts and their workflow, the notification outbox, objects read, coverage,
// exceptions, runs, audit. Records have a Go type here each, with functions that read
// and write it in a [Tx]; a store only sees bytes, and so a new one has five methods
// to write and one conformance suite (storetest) to pass.
//
//	err := db.Update(ctx, func(tx store.Tx) error {
//		a, err := store.FindAlert(tx, "3f2a91")
//		if err != nil {
//			return err
//		}
//		a.Acknowledge("ana", now)
//		return store.PutAlert(tx, a)
//	})
//
// Events do not live in a DB: they are in the event log and its Parquet segments
// (internal/store/events). The log is the truth; a DB is a fold of it, and knows up
// to which offset ([Folded]). Formats are specified in docs/format.
package store
