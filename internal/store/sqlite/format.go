package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/debutsec/debut/internal/store"
)

// applicationID marks a SQLite file as a store of Debut: "Debu", which file(1) finds
// at offset 68.
const applicationID = 0x44656275

// A migration makes a store of format i+1 one of format i+2, where i is its place in
// the list: it runs in one transaction with the new number.
type migration func(*conn) error

// migrations returns them all. A migration that has been released never changes: so it
// names tables and nothing that may change with the program.
func migrations() []migration {
	return []migration{
		func(c *conn) error { // 1: the first
			return makeTables(c, "meta", "rule_keys", "findings", "instances", "hits", "alerts", "alert_names", "alert_times",
				"alert_rules", "documents", "objects", "hours", "positions", "outbox", "exceptions", "silences", "runs", "audit",
				"tokens", "segments")
		},
		func(c *conn) error { // 2: investigations
			return makeTables(c, "reports", "alerts_due", "alert_scores")
		},
	}
}

func makeTables(c *conn, names ...string) error {
	for _, name := range names {
		if err := c.exec(fmt.Sprintf("CREATE TABLE %s (k BLOB PRIMARY KEY, v BLOB NOT NULL) STRICT, WITHOUT ROWID", name)); err != nil {
			return err
		}
	}
	return nil
}

// version reads the format's number: 0 for an empty file.
func (db *DB) version(c *conn) (int64, error) {
	id, err := c.number("PRAGMA application_id")
	if err != nil {
		return 0, db.explain("open", err)
	}
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return 0, db.explain("open", err)
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return 0, db.explain("open", err)
	}
	switch known := int64(len(db.opts.migrations)); {
	case id == 0 && version == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("open %s: it is the SQLite file of another program (application id %#x): choose another data_dir: %w",
			db.path, uint32(id), store.ErrFormat)
	case version > known:
		by, err := c.writtenBy(version)
		if err != nil {
			return 0, db.explain("open", err)
		}
		return 0, fmt.Errorf("open %s: it has format %d, and this program (%s) reads formats up to %d: use %s or a later one: %w",
			db.path, version, orUnknown(db.opts.Program), known, by, store.ErrFormat)
	default:
		return version, nil
	}
}

func orUnknown(program string) string {
	if program == "" {
		return "a debut of unknown version"
	}
	return program
}

// writtenBy says which program made the format. The table formats is the same in all
// of them.
func (c *conn) writtenBy(version int64) (program string, err error) {
	err = c.query(fmt.Sprintf("SELECT program FROM formats WHERE version = %d", version), func(s *stmt) error {
		program = string(s.bytes(0))
		return nil
	})
	return orUnknown(program), err
}

// migrate brings the store to the newest format.
func (db *DB) migrate(ctx context.Context, c *conn) error {
	version, err := db.version(c)
	if err != nil {
		return err
	}
	for i, m := range db.opts.migrations[version:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := db.migrateTo(c, version+int64(i)+1, m); err != nil {
			return db.explain("migrate", err)
		}
	}
	return nil
}

func (db *DB) migrateTo(c *conn, version int64, m migration) (err error) {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if c.inTransaction() {
			c.rollback.run() //nolint:errcheck // what is not committed is rolled back at the latest when the file is next opened
		}
	}()
	if version == 1 {
		if err := c.exec("CREATE TABLE formats (version INTEGER PRIMARY KEY, program TEXT NOT NULL) STRICT"); err != nil {
			return err
		}
	}
	if err := m(c); err != nil {
		return fmt.Errorf("to format %d: %w", version, err)
	}
	return c.exec(
		fmt.Sprintf("INSERT INTO formats VALUES (%d, '%s')", version, strings.ReplaceAll(db.opts.Program, "'", "''")),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", version),
		"COMMIT",
	)
}

// checkFormat refuses to read a store that has another format than this program's.
func (db *DB) checkFormat(_ context.Context, c *conn) error {
	version, err := db.version(c)
	if err != nil {
		return err
	}
	if known := int64(len(db.opts.migrations)); version < known {
		return fmt.Errorf("open %s: it has format %d, and this program reads format %d: 'debut serve' of this program migrates it: %w",
			db.path, version, known, store.ErrFormat)
	}
	return nil
}
