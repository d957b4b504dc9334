package sqlite

import (
	"fmt"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// A conn is a connection to a database. SQLite's own functions are called, without
// database/sql and its driver between: a look-up costs 3.2 µs in place of 5.9, and a
// transaction makes thousands. It belongs to one goroutine at a time.
type conn struct {
	tls *libc.TLS
	db  uintptr // sqlite3*
	// args is C memory that arguments are bound from, for one statement at a time:
	// a statement is reset before another is bound.
	args [maxArgs]memory
	// table holds the statements of Tx, prepared when first used.
	table [][numOps]*stmt

	begin, snapshot, commit, rollback *stmt
}

const maxArgs = 2

// memory is C memory.
type memory struct {
	p    uintptr
	size int
}

// maxKept is how much memory for an argument is kept for the next.
const maxKept = 1 << 20

// A code is an error of SQLite: its extended result code.
type code struct {
	rc  int32
	msg string
}

func (c *code) Error() string { return fmt.Sprintf("sqlite: %s (%d)", c.msg, c.rc) }

// connect opens the file of an URI that SQLite understands.
func connect(uri string, flags int32) (*conn, error) {
	c := &conn{tls: libc.NewTLS()}
	name, err := libc.CString(uri)
	if err != nil {
		c.tls.Close()
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	out := c.tls.Alloc(pointerSize)
	defer c.tls.Free(pointerSize)
	rc := lib.Xsqlite3_open_v2(c.tls, name, out, flags|lib.SQLITE_OPEN_URI|lib.SQLITE_OPEN_NOMUTEX, 0)
	c.db = pointer(out)
	if rc != lib.SQLITE_OK {
		err := c.error(rc)
		c.discard()
		return nil, err
	}
	lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	return c, nil
}

// discard closes a connection that was of no use.
func (c *conn) discard() { _ = c.close() }

// close finalizes all statements and closes the connection.
func (c *conn) close() error {
	for c.db != 0 {
		p := lib.Xsqlite3_next_stmt(c.tls, c.db, 0)
		if p == 0 {
			break
		}
		lib.Xsqlite3_finalize(c.tls, p)
	}
	var err error
	if rc := lib.Xsqlite3_close_v2(c.tls, c.db); rc != lib.SQLITE_OK {
		err = &code{rc, libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))}
	}
	for i := range c.args {
		lib.Xsqlite3_free(c.tls, c.args[i].p)
	}
	c.tls.Close()
	return err
}

func (c *conn) error(rc int32) error {
	msg := libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 && lib.Xsqlite3_extended_errcode(c.tls, c.db) == rc {
		msg = libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db))
	}
	return &code{rc, msg}
}

// A stmt is a prepared statement.
type stmt struct {
	c *conn
	p uintptr // sqlite3_stmt*
}

func (c *conn) prepare(sql string) (*stmt, error) {
	text, err := libc.CString(sql)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	out := c.tls.Alloc(pointerSize)
	defer c.tls.Free(pointerSize)
	if rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, lib.SQLITE_PREPARE_PERSISTENT, out, 0); rc != lib.SQLITE_OK {
		return nil, c.error(rc)
	}
	return &stmt{c, pointer(out)}, nil
}

// bind sets argument i, from 0, until the next bind of i in any statement of the
// connection.
func (s *stmt) bind(i int, b []byte) error {
	m := &s.c.args[i]
	if m.p == 0 || len(b) > m.size || m.size > maxKept {
		lib.Xsqlite3_free(s.c.tls, m.p)
		m.size = max(len(b), 1<<12)
		if m.p = lib.Xsqlite3_malloc64(s.c.tls, lib.Tsqlite3_uint64(m.size)); m.p == 0 {
			m.size = 0
			return s.c.error(lib.SQLITE_NOMEM)
		}
	}
	copy(libc.GoBytes(m.p, m.size), b)
	if rc := lib.Xsqlite3_bind_blob64(s.c.tls, s.p, int32(i+1), m.p, lib.Tsqlite3_uint64(len(b)), static); rc != lib.SQLITE_OK {
		return s.c.error(rc)
	}
	return nil
}

// static says that bound memory stays as it is while the statement needs it.
const static = 0

// step goes to the next row, if there is one.
func (s *stmt) step() (row bool, err error) {
	switch rc := lib.Xsqlite3_step(s.c.tls, s.p); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.error(rc)
	}
}

// reset makes the statement ready to run again. The error of the last step, which it
// would return, is known already.
func (s *stmt) reset() { lib.Xsqlite3_reset(s.c.tls, s.p) }

// run steps to the end.
func (s *stmt) run() error {
	defer s.reset()
	for {
		if row, err := s.step(); err != nil || !row {
			return err
		}
	}
}

// bytes is a column of the row, valid until the next step or reset.
func (s *stmt) bytes(column int32) []byte {
	p := lib.Xsqlite3_column_blob(s.c.tls, s.p, column)
	if p == 0 {
		return nil // also of length 0
	}
	return libc.GoBytes(p, int(lib.Xsqlite3_column_bytes(s.c.tls, s.p, column)))
}

func (s *stmt) int(column int32) int64 { return lib.Xsqlite3_column_int64(s.c.tls, s.p, column) }

func (s *stmt) finalize() { lib.Xsqlite3_finalize(s.c.tls, s.p) }

// query runs a statement that is not worth keeping, and calls row, if not nil, on
// every row.
func (c *conn) query(sql string, row func(*stmt) error) error {
	s, err := c.prepare(sql)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer s.finalize()
	for {
		more, err := s.step()
		if err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		if !more {
			return nil
		}
		if row == nil {
			continue
		}
		if err := row(s); err != nil {
			return err
		}
	}
}

// exec runs statements one after the other.
func (c *conn) exec(statements ...string) error {
	for _, sql := range statements {
		if err := c.query(sql, nil); err != nil {
			return err
		}
	}
	return nil
}

// number runs a statement that returns one number.
func (c *conn) number(sql string) (n int64, err error) {
	err = c.query(sql, func(s *stmt) error { n = s.int(0); return nil })
	return n, err
}

// inTransaction says whether a transaction is open: SQLite ends one by itself after
// some errors.
func (c *conn) inTransaction() bool { return lib.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// interrupt ends the statement that runs, from another goroutine.
func (c *conn) interrupt() { lib.Xsqlite3_interrupt(c.tls, c.db) }

// pointerSize holds a pointer on every platform.
const pointerSize = 8

// pointer reads the pointer in the C memory at p.
func pointer(p uintptr) uintptr {
	return *(*uintptr)(unsafe.Pointer(unsafe.SliceData(libc.GoBytes(p, pointerSize)))) //nolint:gosec // p has been allocated for a pointer
}
