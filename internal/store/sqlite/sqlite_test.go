package sqlite

import (
	"testing"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/storetest"
)

// fast leaves out waiting for the disk, where nothing crashes.
var fast = Options{Program: "debut test", pragmas: []string{"PRAGMA synchronous = OFF"}}

func open(tb testing.TB, dir string, o Options) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.RunDurable(t, func(tb testing.TB, dir string) store.DB { return open(tb, dir, fast) })
}
