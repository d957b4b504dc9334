package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	lib "modernc.org/sqlite/lib"

	"github.com/debutsec/debut/internal/store"
)

// withNext adds a format to come: a table, and every value of hits longer by one.
func withNext(then func(*conn) error) []migration {
	return append(migrations(), func(c *conn) error {
		if err := makeTables(c, "cases"); err != nil {
			return err
		}
		if err := c.exec("UPDATE hits SET v = CAST(v || x'21' AS BLOB)"); err != nil {
			return err
		}
		return then(c)
	})
}

func write(t *testing.T, db store.DB, table store.Table, key, value string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Put(table, []byte(key), []byte(value)) })
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, db store.DB, table store.Table, key string) string {
	t.Helper()
	var v []byte
	err := db.View(t.Context(), func(tx store.Tx) (err error) {
		v, err = tx.Get(table, []byte(key))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func closeDB(t *testing.T, db store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// wantError checks that an error can be told apart and says what it must.
func wantError(t *testing.T, err, is error, texts ...string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Fatalf("error %v, want one that is %q", err, is)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
}

// The tables of the newest format are those of the contract.
func TestFormatHasTheTables(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir(), fast)
	defer closeDB(t, db)
	s, err := db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = db.aside(t.Context(), func(c *conn) error {
		return c.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'formats'", func(row *stmt) error {
			names = append(names, string(row.bytes(0)))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range s.Tables {
		if i := slices.Index(names, table.Name); i < 0 {
			t.Errorf("no table %s: write a migration that makes it", table.Name)
		} else {
			names = slices.Delete(names, i, i+1)
		}
	}
	if len(names) > 0 {
		t.Errorf("tables that are not in the contract: %q", names)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	now := len(migrations())
	dir := t.TempDir()
	db := open(t, dir, Options{Program: "debut 1.0"})
	write(t, db, store.Hits, "k", "v")
	write(t, db, store.Alerts, "k", "v")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	// A migration that fails leaves all as it was.
	boom := errors.New("boom")
	_, err := Open(t.Context(), dir, Options{migrations: withNext(func(*conn) error { return boom })})
	wantError(t, err, boom, fmt.Sprintf("format %d", now+1))
	db = open(t, dir, Options{Program: "debut 1.0"})
	if got := read(t, db, store.Hits, "k"); got != "v" {
		t.Errorf("after a migration that failed: %q", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	// Reading only does not migrate.
	next := Options{Program: "debut 2.0", migrations: withNext(func(*conn) error { return nil })}
	_, err = Open(t.Context(), dir, Options{ReadOnly: true, migrations: next.migrations})
	wantError(t, err, store.ErrFormat, fmt.Sprintf("format %d", now), fmt.Sprintf("format %d", now+1), "debut serve")

	db = open(t, dir, next)
	if got := read(t, db, store.Hits, "k"); got != "v!" {
		t.Errorf("after the migration: %q", got)
	}
	if got := read(t, db, store.Alerts, "k"); got != "v" {
		t.Errorf("after the migration: %q", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, next) // once
	if got := read(t, db, store.Hits, "k"); got != "v!" {
		t.Errorf("opened again after the migration: %q", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	for _, o := range []Options{{Program: "debut 1.0"}, {Program: "debut 1.0", ReadOnly: true}} {
		_, err = Open(t.Context(), dir, o)
		wantError(t, err, store.ErrFormat, fmt.Sprintf("format %d", now+1), "debut 1.0", "use debut 2.0 or a later one", filepath.Join(dir, File))
	}
}

func TestForeignFiles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make  func(path string) error
		is    error
		texts []string
	}{
		"another program's": {func(path string) error {
			c, err := connect("file:"+path, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_CREATE)
			if err != nil {
				return err
			}
			return errors.Join(c.exec("CREATE TABLE t (x)", "PRAGMA application_id = 77"), c.close())
		}, store.ErrFormat, []string{"another program", "0x4d", "data_dir"}},
		"a text": {func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 500)), 0o600)
		}, store.ErrDamaged, []string{"damaged", "back-up"}},
		"a folder": {func(path string) error { return os.Mkdir(path, 0o700) }, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := tc.make(filepath.Join(dir, File)); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), dir, fast)
			if err == nil {
				closeDB(t, db)
				t.Fatal("it opened")
			}
			if tc.is != nil {
				wantError(t, err, tc.is, append(tc.texts, filepath.Join(dir, File))...)
			}
			if l, err := lockDir(dir); err != nil {
				t.Errorf("the lock is held after Open failed: %v", err)
			} else {
				l.release()
			}
		})
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, fast)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for i := range 20_000 {
			if err := tx.Put(store.Findings, fmt.Appendf(nil, "%06d", i), make([]byte, 60)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("check of a sound store: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(dir, File)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(whole)
	for i := 100; i < len(bad)/4096; i += 10 {
		clear(bad[i*4096 : i*4096+2000])
	}
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, fast)
	defer closeDB(t, db)
	wantError(t, db.Check(t.Context()), store.ErrDamaged, path, "debut store check")
	err = db.View(t.Context(), func(tx store.Tx) error {
		for _, err := range tx.Range(store.Findings, nil, nil) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	wantError(t, err, store.ErrDamaged, path)
	write(t, db, store.Meta, "the rest", "is served")
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, fast)
	write(t, db, store.Documents, "k", strings.Repeat("v", 100_000))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, File)
	if err := os.Truncate(path, 20_000); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir, fast)
	if err == nil {
		err = db.View(t.Context(), func(tx store.Tx) error {
			_, err := tx.Get(store.Documents, []byte("k"))
			return err
		})
		closeDB(t, db)
	}
	wantError(t, err, store.ErrDamaged, path)
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	o := fast
	o.pragmas = append(slices.Clone(o.pragmas), "PRAGMA max_page_count = 100") // what a full disk says
	db := open(t, t.TempDir(), o)
	defer closeDB(t, db)
	write(t, db, store.Meta, "k", "before")
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Put(store.Meta, []byte("k"), []byte("lost")); err != nil {
			return err
		}
		return tx.Put(store.Documents, []byte("k"), make([]byte, 1<<20))
	})
	wantError(t, err, syscall.ENOSPC, "no space", "retention_bytes")
	if got := read(t, db, store.Meta, "k"); got != "before" {
		t.Errorf("after the disk was full: %q", got)
	}
	write(t, db, store.Meta, "k", "after")
}

func TestStats(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir(), fast)
	defer closeDB(t, db)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for i := range 10_000 {
			if err := tx.Put(store.Findings, fmt.Appendf(nil, "%06d", i), make([]byte, 60)); err != nil {
				return err
			}
		}
		return tx.Put(store.Documents, []byte("k"), make([]byte, 1<<20))
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Tables[store.Findings]; f.Rows != 10_000 || f.Bytes < 660_000 || f.Bytes > 2_000_000 {
		t.Errorf("findings: %+v", f)
	}
	if d := s.Tables[store.Documents]; d.Rows != 1 || d.Bytes < 1<<20 || d.Bytes > 3<<19 {
		t.Errorf("documents: %+v", d)
	}
	if e := s.Tables[store.Hits]; e.Name != "hits" || e.Rows != 0 || e.Bytes != 4096 {
		t.Errorf("hits: %+v", e)
	}
	err = db.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(store.Documents, []byte("k")) })
	if err != nil {
		t.Fatal(err)
	}
	if s, err = db.Stats(t.Context()); err != nil || s.FreeBytes < 1<<20 {
		t.Errorf("after a deletion: %d bytes are free, %v", s.FreeBytes, err)
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := db.Stats(t.Context())
	if err != nil || after.FreeBytes != 0 || after.Bytes > s.Bytes-1<<20 {
		t.Errorf("after Compact: %+v, %v", after, err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Check(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("check with a context that has ended: %v", err)
	}
}

// One process writes, commands read beside it.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Open(t.Context(), dir, Options{ReadOnly: true})
	wantError(t, err, store.ErrNotFound, dir, "debut serve", "data_dir")
	db := open(t, dir, Options{})
	write(t, db, store.Meta, "k", "1")
	_, err = Open(t.Context(), dir, Options{})
	wantError(t, err, store.ErrInUse, dir, fmt.Sprintf("process %d, this one", os.Getpid()))

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), "DEBUT_TEST_HELPER=open", "DEBUT_TEST_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("in use by another process: process %d: end that", os.Getpid())) {
		t.Errorf("a second process: %v\n%s", err, out)
	}

	beside := open(t, dir, Options{ReadOnly: true})
	defer closeDB(t, beside)
	if got := read(t, beside, store.Meta, "k"); got != "1" {
		t.Errorf("read beside the writer: %q", got)
	}
	write(t, db, store.Meta, "k", "2")
	if got := read(t, beside, store.Meta, "k"); got != "2" {
		t.Errorf("read beside the writer: %q", got)
	}
	err = beside.Update(t.Context(), func(store.Tx) error { return nil })
	wantError(t, err, store.ErrReadOnly, dir)
	wantError(t, beside.Compact(t.Context()), store.ErrReadOnly, dir)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, beside, store.Meta, "k"); got != "2" {
		t.Errorf("read after the writer ended: %q", got)
	}
	alone := open(t, dir, Options{ReadOnly: true})
	defer closeDB(t, alone)
	if got := read(t, alone, store.Meta, "k"); got != "2" {
		t.Errorf("read without a writer: %q", got)
	}
	if db, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatalf("open again: %v", err)
	}
	defer closeDB(t, db)
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, dir, Options{})
	defer closeDB(t, db)
	write(t, db, store.Meta, "k", "v")
	for _, name := range []string{File, File + "-wal", File + "-shm", LockFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	db := &DB{path: "data/state.db"}
	for rc, want := range map[int32]error{
		lib.SQLITE_READONLY: fs.ErrPermission, lib.SQLITE_CANTOPEN: fs.ErrPermission, lib.SQLITE_FULL: syscall.ENOSPC,
		lib.SQLITE_CORRUPT: store.ErrDamaged, lib.SQLITE_NOTADB: store.ErrDamaged, lib.SQLITE_BUSY_SNAPSHOT: store.ErrInUse,
	} {
		wantError(t, db.explain("write", &code{rc, "text"}), want, "write data/state.db", "text")
	}
	wantError(t, db.explain("write", context.Canceled), context.Canceled)
	if err := db.explain("read", &code{lib.SQLITE_IOERR_FSYNC, "disk I/O error"}); !strings.Contains(err.Error(), "system's log") {
		t.Error(err)
	}
}
