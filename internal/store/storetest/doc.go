// Package storetest is the conformance suite of store.DB and store.Events: what store's
// comments promise, as tests. A new store calls it from one test of its own.
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		storetest.Run(t, func(tb testing.TB, dir string) store.DB {
//			db, err := sqlite.Open(tb.Context(), dir, sqlite.Options{})
//			if err != nil {
//				tb.Fatal(err)
//			}
//			return db
//		})
//	}
//
// [Run] is for every store, [RunDurable] for one that is on disk. Besides a test for
// each sentence of the contract, random transactions are held against plain maps.
// [RunEvents] is for every store of events, and [SameEvents] holds two of them against
// each other.
package storetest
