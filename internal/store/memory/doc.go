// Package memory is a store.DB and a store.Events that forget: for tests, and for work
// that needs a store and keeps nothing. It is also the plain statement of what a store
// is, beside which the others are tested.
//
//	db := memory.New()
//	err := db.Update(ctx, func(tx store.Tx) error {
//		return tx.Put(store.Meta, []byte("name"), []byte("value"))
//	})
//
// Events are in one sorted list, and each question goes through all of it.
//
// A table is a tree that never changes: a change makes a new root and shares the rest.
// So a transaction is a copy of the roots, committing is keeping them, rolling back is
// dropping them, and a range goes on over the tree that it began with.
package memory
