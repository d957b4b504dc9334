//go:build unix

package sqlite

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// TestHelper is no test: it is what the other process does.
func TestHelper(t *testing.T) {
	dir := os.Getenv("DEBUT_TEST_DIR")
	switch os.Getenv("DEBUT_TEST_HELPER") {
	case "open":
		_, err := Open(t.Context(), dir, Options{})
		fmt.Println(err)
	case "update":
		helpUpdate(t, dir, Options{})
	case "migrate":
		helpUpdate(t, dir, Options{migrations: withNext(func(*conn) error { return nil })})
	}
}

// helpUpdate counts up, in transactions of many tables, and tells of each when it is
// durable.
func helpUpdate(t *testing.T, dir string, o Options) {
	fmt.Println("begin")
	db := open(t, dir, o)
	n := 0
	if v := read(t, db, store.Meta, "n"); v != "" {
		n = int(binary.BigEndian.Uint64([]byte(v)))
	}
	for {
		n++
		err := db.Update(t.Context(), func(tx store.Tx) error {
			if err := tx.Put(store.Meta, []byte("n"), binary.BigEndian.AppendUint64(nil, uint64(n))); err != nil {
				return err
			}
			for i := range n%7 + 1 {
				for _, table := range crashTables {
					if err := tx.Put(table, crashKey(n, i), crashValue(n, i)); err != nil {
						return err
					}
				}
			}
			return tx.Delete(store.Findings, crashKey(n-crashKept, 0))
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("done %d\n", n)
	}
}

var crashTables = []store.Table{store.Findings, store.Outbox, store.Documents}

const crashKept = 20

func crashKey(n, i int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(n*2654435761)), uint32(n*8+i))
}

func crashValue(n, i int) []byte {
	return bytes.Repeat(crashKey(n, i), 1+(n*i*37)%700)
}

// A process that updates is killed again and again, at any moment. What it has told to
// be durable is there, whole, and of what it has not, all or nothing. DEBUT_CRASHES is
// how often (30), DEBUT_SEED where the random moments begin.
func TestCrash(t *testing.T) {
	t.Parallel()
	crashes := number(t, "DEBUT_CRASHES", 30)
	seed := number(t, "DEBUT_SEED", int(time.Now().UnixNano()&0xFFFFFF))
	t.Logf("DEBUT_SEED=%d", seed)
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	dir := t.TempDir()
	told := 0
	for i := range crashes {
		told = max(told, updateAndKill(t, dir, "update", i%4, time.Duration(r.Int64N(int64(30*time.Millisecond)))))
		db := open(t, dir, Options{})
		n := checkCrashed(t, db, "")
		if n < told || n > told+1 {
			t.Fatalf("after crash %d: %d updates are there, %d were told to be", i, n, told)
		}
		if i%10 == 0 {
			if err := db.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		told = n
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if told < crashes { // at least 0, 1, 2, 3, 0, … updates are told of
		t.Errorf("only %d updates in %d runs: the test kills too early to show anything", told, crashes)
	}
}

// A process is killed while it migrates: the store has the one format or the other.
func TestCrashInMigration(t *testing.T) {
	t.Parallel()
	seed := number(t, "DEBUT_SEED", int(time.Now().UnixNano()&0xFFFFFF))
	t.Logf("DEBUT_SEED=%d", seed)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	old, migrated := 0, 0
	for range max(8, number(t, "DEBUT_CRASHES", 30)/4) {
		dir := t.TempDir()
		db := open(t, dir, fast)
		err := db.Update(t.Context(), func(tx store.Tx) error {
			for i := range 5000 {
				if err := tx.Put(store.Hits, crashKey(i, 0), make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		updateAndKill(t, dir, "migrate", 0, time.Duration(r.Int64N(int64(60*time.Millisecond))))
		db, err = Open(t.Context(), dir, Options{})
		want := 100
		if errors.Is(err, store.ErrFormat) {
			db, err = Open(t.Context(), dir, Options{migrations: withNext(func(*conn) error { return nil })})
			want = 101
			migrated++
		} else {
			old++
		}
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(t.Context(), func(tx store.Tx) error {
			n := 0
			for p, err := range tx.Range(store.Hits, nil, nil) {
				if err != nil {
					return err
				}
				if len(p.Value) != want {
					return fmt.Errorf("a value of %d bytes, want %d", len(p.Value), want)
				}
				n++
			}
			if n != 5000 {
				return fmt.Errorf("%d pairs", n)
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("killed before the migration was done: %d, after: %d", old, migrated)
}

// updateAndKill lets another process update, kills it so long after it told of that
// many updates (of none: after it began, so also while it opens the store), and returns
// the last update that it told to be durable. Counted, not only timed: on a machine so
// slow that no update is done in the time, the test would show nothing.
func updateAndKill(t *testing.T, dir, what string, updates int, after time.Duration) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), "DEBUT_TEST_HELPER="+what, "DEBUT_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, told := 0, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, done := strings.CutPrefix(lines.Text(), "done ")
		if !done && lines.Text() != "begin" {
			t.Log(lines.Text())
			continue
		}
		if told == updates {
			defer time.AfterFunc(after, func() { _ = cmd.Process.Kill() }).Stop()
		}
		told++
		if !done {
			continue
		}
		if last, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // killed
	return last
}

// checkCrashed checks that the store holds updates 1 to n, all whole, and returns n.
func checkCrashed(t *testing.T, db store.DB, end string) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx store.Tx) error {
		v, err := tx.Get(store.Meta, []byte("n"))
		if err != nil || v == nil {
			return err
		}
		n = int(binary.BigEndian.Uint64(v))
		want := make(map[string]string)
		for m := 1; m <= n; m++ {
			for i := range m%7 + 1 {
				want[string(crashKey(m, i))] = string(crashValue(m, i)) + end
			}
		}
		for _, table := range crashTables {
			got := 0
			for p, err := range tx.Range(table, nil, nil) {
				if err != nil {
					return err
				}
				if want[string(p.Key)] != string(p.Value) {
					return fmt.Errorf("%s: %x is not what was written", table, p.Key)
				}
				got++
			}
			all := len(want)
			if table == store.Findings {
				all -= max(0, n-crashKept)
			}
			if got != all {
				return fmt.Errorf("%s has %d pairs after %d updates, want %d", table, got, n, all)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A folder that cannot be written is told apart from a store that is damaged.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere")
	}
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, dir, fast)
	write(t, db, store.Meta, "k", "v")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o700) }()
	if err := os.Chmod(filepath.Join(dir, LockFile), 0o400); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir, fast)
	wantError(t, err, os.ErrPermission, dir)
}
