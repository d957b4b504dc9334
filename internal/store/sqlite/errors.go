package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	lib "modernc.org/sqlite/lib"

	"github.com/debutsec/debut/internal/store"
)

// explain says what an error of SQLite means for this store, and what to do. Verb is
// what was being done: open, read, write.
func (db *DB) explain(verb string, err error) error {
	var c *code
	if !errors.As(err, &c) {
		return err
	}
	const damaged = "run 'debut store check' and restore a back-up; without one, set the file aside: what detectors remember is folded from the stored events again"
	switch c.rc & 0xFF {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%s %s: the file is damaged: %s: %w: %w", verb, db.path, damaged, store.ErrDamaged, err)
	case lib.SQLITE_FULL:
		return fmt.Errorf("%s %s: no space is left on the disk: free some, or lower [store] retention_bytes: %w: %w", verb, db.path, syscall.ENOSPC, err)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		return fmt.Errorf("%s %s: the folder or the file cannot be written: is it this user's, and the file system not read-only?: %w: %w",
			verb, db.path, fs.ErrPermission, err)
	case lib.SQLITE_IOERR:
		return fmt.Errorf("%s %s: the disk returned an error: see the system's log: %w", verb, db.path, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		return fmt.Errorf("%s %s: another program has the file locked (a sqlite3 shell, a back-up?): end it: %w: %w", verb, db.path, store.ErrInUse, err)
	default:
		return fmt.Errorf("%s %s: %w", verb, db.path, err)
	}
}
