// Package sqlite is the store.DB of a data folder: one SQLite file, state.db, which
// docs/format/state.md specifies. Begin with [Open].
//
//	db, err := sqlite.Open(ctx, cfg.DataDir, sqlite.Options{Program: "debut 0.1.0"})
//	if err != nil {
//		return err // in use, of another format, damaged: it says what to do
//	}
//	defer db.Close()
//	err = db.Update(ctx, func(tx store.Tx) error {
//		return tx.Put(store.Meta, []byte("folded"), offset)
//	})
//
// One process has the folder open for writing, with one connection that writes and
// others for Views; the file LOCK says which. Commands open it read-only beside it.
// Update returns when the transaction is on the disk (WAL, synchronous = FULL).
//
// It is no SQL layer: all it knows is keys in order and values.
package sqlite
