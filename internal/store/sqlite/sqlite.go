package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/debutsec/debut/internal/store"

	lib "modernc.org/sqlite/lib"
)

// File is the name of the database in the data folder.
const File = "state.db"

// Options of Open. The zero value is good.
type Options struct {
	// ReadOnly opens a store for Views only, beside the process that has it open for
	// writing, if there is one.
	ReadOnly bool
	// Program names this program and its version, as it is written into a store that
	// it makes or migrates, for the message of a program that is too old for it.
	Program string

	migrations []migration // nil: all
	pragmas    []string    // on top of those of the package
}

// DB is a store.DB in one SQLite file.
type DB struct {
	dir, path string
	readOnly  bool
	lock      *lock
	writer    chan *conn // the one that writes; empty while an Update runs
	readers   chan *conn // free places for Views: nil where none is connected yet
	opts      Options

	closing sync.Once
	closed  chan struct{}
}

var _ store.DB = (*DB)(nil)

// maxViews is how many Views run at the same time; others wait.
const maxViews = 16

// Open opens the store in the folder dir, makes both if they are not there, and
// migrates a store of an older format. Unless ReadOnly, it holds the folder's lock
// until Close. Errors wrap store.ErrInUse, ErrFormat, ErrDamaged and ErrNotFound
// (ReadOnly, and there is none).
func Open(ctx context.Context, dir string, o Options) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the data folder %s: %w", dir, err)
	}
	db := &DB{
		dir: dir, path: filepath.Join(dir, File), readOnly: o.ReadOnly, opts: o,
		writer: make(chan *conn, 1), readers: make(chan *conn, maxViews), closed: make(chan struct{}),
	}
	if db.opts.migrations == nil {
		db.opts.migrations = migrations()
	}
	if o.ReadOnly {
		err = db.openReader(ctx)
	} else {
		err = db.openWriter(ctx)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (db *DB) openWriter(ctx context.Context) (err error) {
	if err := os.MkdirAll(db.dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if db.lock, err = lockDir(db.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			db.lock.release()
		}
	}()
	// Made here, and not by SQLite, so that nobody else can read it.
	f, err := os.OpenFile(db.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	_ = f.Close() // nothing was written
	c, err := db.connect(lib.SQLITE_OPEN_READWRITE, writerPragmas)
	if err != nil {
		return err
	}
	if err := db.migrate(ctx, c); err != nil {
		c.discard()
		return err
	}
	db.writer <- c
	for range maxViews {
		db.readers <- nil
	}
	return nil
}

func (db *DB) openReader(ctx context.Context) error {
	if _, err := os.Stat(db.path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no store in %s: 'debut serve' makes one; is data_dir right?: %w", db.dir, store.ErrNotFound)
	}
	c, err := db.connect(lib.SQLITE_OPEN_READONLY, readerPragmas)
	if err != nil {
		return err
	}
	if err := db.checkFormat(ctx, c); err != nil {
		c.discard()
		return err
	}
	db.readers <- c
	for range maxViews - 1 {
		db.readers <- nil
	}
	return nil
}

// Settings of connections, all measured with BenchmarkUpdate: see docs/format/state.md.
var (
	//nolint:gochecknoglobals // constant texts
	writerPragmas = []string{
		"PRAGMA busy_timeout = 5000", // only programs that are not ours can keep us waiting
		"PRAGMA page_size = 4096",
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",
		"PRAGMA fullfsync = ON", // where an fsync alone leaves the data in the drive
		"PRAGMA checkpoint_fullfsync = ON",
		"PRAGMA cache_size = -65536",
		"PRAGMA mmap_size = 2147418112",
		"PRAGMA wal_autocheckpoint = 4000",
		"PRAGMA journal_size_limit = 67108864",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA trusted_schema = OFF",
	}
	//nolint:gochecknoglobals // constant texts
	readerPragmas = []string{
		"PRAGMA busy_timeout = 5000",
		"PRAGMA query_only = ON",
		"PRAGMA cache_size = -8192",
		"PRAGMA mmap_size = 2147418112",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA trusted_schema = OFF",
	}
)

// connect opens a connection with its settings.
func (db *DB) connect(flags int32, pragmas []string) (*conn, error) {
	uri := &url.URL{Scheme: "file", Path: filepath.ToSlash(db.path)}
	c, err := connect(uri.String(), flags)
	if err != nil {
		return nil, db.explain("open", err)
	}
	c.table = make([][numOps]*stmt, store.NumTables)
	err = c.exec(pragmas...)
	if err == nil {
		err = c.exec(db.opts.pragmas...)
	}
	if err == nil {
		err = c.prepareTransactions()
	}
	if err != nil {
		c.discard()
		return nil, db.explain("open", err)
	}
	return c, nil
}

// prepareTransactions prepares the statements around a transaction.
func (c *conn) prepareTransactions() (err error) {
	for _, p := range []struct {
		s   **stmt
		sql string
	}{
		// Not IMMEDIATE, although it will write: until it does, pages are read where
		// they are mapped, without asking the cache first, which nearly halves the
		// time of a look-up among 10 M. Nobody else writes in between.
		{&c.begin, "BEGIN"},
		// The view of a transaction is that of its first read.
		{&c.snapshot, "SELECT 1 FROM sqlite_schema LIMIT 1"},
		{&c.commit, "COMMIT"},
		{&c.rollback, "ROLLBACK"},
	} {
		if *p.s, err = c.prepare(p.sql); err != nil {
			return err
		}
	}
	return nil
}

// View implements store.DB.
func (db *DB) View(ctx context.Context, f func(store.Tx) error) (err error) {
	c, err := db.takeReader(ctx)
	if err != nil {
		return err
	}
	defer func() { db.readers <- c }()
	if err := c.begin.run(); err != nil {
		return db.explain("read", err)
	}
	x := &tx{ctx: ctx, db: db, c: c}
	defer func() {
		x.ended = true
		if e := c.rollback.run(); e != nil && err == nil {
			err = db.explain("read", e)
		}
	}()
	if err := c.snapshot.run(); err != nil {
		return db.explain("read", err)
	}
	return f(x)
}

// Update implements store.DB. It reads faster before its first write than behind.
func (db *DB) Update(ctx context.Context, f func(store.Tx) error) error {
	if db.readOnly {
		return fmt.Errorf("the store in %s is open for reading only: %w", db.dir, store.ErrReadOnly)
	}
	c, err := db.take(ctx, db.writer)
	if err != nil {
		return err
	}
	defer func() { db.writer <- c }()
	if err := c.begin.run(); err != nil {
		return db.explain("write", err)
	}
	x := &tx{ctx: ctx, db: db, c: c, write: true}
	defer func() { // also after a panic
		x.ended = true
		if c.inTransaction() {
			c.rollback.run() //nolint:errcheck // what is not committed is rolled back at the latest when the file is next opened
		}
	}()
	if err := f(x); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.commit.run(); err != nil {
		return db.explain("write", err)
	}
	return nil
}

// take waits for a connection.
func (db *DB) take(ctx context.Context, from chan *conn) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-from:
		return c, nil
	case <-db.closed:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// takeReader waits for a connection to read with, and makes it if need be.
func (db *DB) takeReader(ctx context.Context) (*conn, error) {
	c, err := db.take(ctx, db.readers)
	if err != nil || c != nil {
		return c, err
	}
	if c, err = db.connect(lib.SQLITE_OPEN_READONLY, readerPragmas); err != nil {
		db.readers <- nil
		return nil, err
	}
	return c, nil
}

// Close waits for the transactions that run, and closes the store. What begins later
// returns store.ErrClosed.
func (db *DB) Close() (err error) {
	db.closing.Do(func() {
		close(db.closed)
		for range maxViews {
			if c := <-db.readers; c != nil {
				err = errors.Join(err, c.close())
			}
		}
		if !db.readOnly {
			err = errors.Join(err, (<-db.writer).close())
			db.lock.release()
		}
	})
	if err != nil {
		return db.explain("close", err)
	}
	return nil
}
