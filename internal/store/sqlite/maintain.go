package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	lib "modernc.org/sqlite/lib"

	"github.com/debutsec/debut/internal/store"
)

// Stats is what a store holds.
type Stats struct {
	// Tables are all of them, in the order of their numbers.
	Tables []TableStats
	// Bytes is the size of the files, FreeBytes the part of it that is empty and will
	// be used before the file grows: Compact gives it back.
	Bytes, FreeBytes int64
}

// TableStats is what a table holds; bytes are those of its pages.
type TableStats struct {
	Name        string
	Rows, Bytes int64
}

// Size returns the size of the files in bytes. It costs nothing.
func (db *DB) Size() int64 {
	var n int64
	for _, name := range []string{db.path, db.path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Stats counts the rows and bytes of every table. It looks at every page, about half a
// second for each GB that is cached, beside whatever else runs.
func (db *DB) Stats(ctx context.Context) (s Stats, err error) {
	s.Bytes = db.Size()
	err = db.aside(ctx, func(c *conn) error {
		pages, err := c.number("PRAGMA freelist_count")
		if err != nil {
			return err
		}
		size, err := c.number("PRAGMA page_size")
		if err != nil {
			return err
		}
		s.FreeBytes = pages * size
		found := make(map[string]TableStats)
		err = c.query("SELECT name, ncell, pgsize FROM dbstat WHERE aggregate = TRUE", func(row *stmt) error {
			name := string(row.bytes(0))
			found[name] = TableStats{Name: name, Rows: row.int(1), Bytes: row.int(2)}
			return nil
		})
		for t := range store.NumTables {
			s.Tables = append(s.Tables, found[t.String()])
			s.Tables[t].Name = t.String()
		}
		return err
	})
	return s, err
}

// maxProblems is how many problems Check names.
const maxProblems = 20

// Check reads everything and returns an error that wraps store.ErrDamaged and names
// what is wrong, if anything is. It runs beside whatever else does.
func (db *DB) Check(ctx context.Context) error {
	var problems []string
	err := db.aside(ctx, func(c *conn) error {
		return c.query(fmt.Sprintf("PRAGMA integrity_check(%d)", maxProblems), func(row *stmt) error {
			if p := string(row.bytes(0)); p != "ok" {
				problems = append(problems, strings.ReplaceAll(p, "\n", " "))
			}
			return nil
		})
	})
	if err == nil && len(problems) > 0 {
		err = db.explain("check", &code{lib.SQLITE_CORRUPT, strings.Join(problems, "; ")})
	}
	return err
}

// Compact writes the file anew without its empty pages. Updates wait meanwhile, and
// the disk must have room for a copy.
func (db *DB) Compact(ctx context.Context) error {
	if db.readOnly {
		return fmt.Errorf("the store in %s is open for reading only: %w", db.dir, store.ErrReadOnly)
	}
	c, err := db.take(ctx, db.writer)
	if err != nil {
		return err
	}
	defer func() { db.writer <- c }()
	return db.interruptible(ctx, "compact", c, func() error { return c.exec("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)") })
}

// aside runs f on a connection for Views.
func (db *DB) aside(ctx context.Context, f func(*conn) error) error {
	c, err := db.takeReader(ctx)
	if err != nil {
		return err
	}
	defer func() { db.readers <- c }()
	return db.interruptible(ctx, "read", c, func() error { return f(c) })
}

// interruptible runs f, whose statements may take long, and interrupts it when the
// context ends.
func (db *DB) interruptible(ctx context.Context, verb string, c *conn, f func() error) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.interrupt()
		close(interrupted)
	})
	err := f()
	if !stop() {
		<-interrupted // it touches the connection
	}
	var rc *code
	if errors.As(err, &rc) && rc.rc == lib.SQLITE_INTERRUPT && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return db.explain(verb, err)
	}
	return nil
}
