package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/debutsec/debut/internal/store"
)

// Open opens the store in a folder, or makes it there. It fails the test if it cannot.
type Open func(tb testing.TB, dir string) store.DB

// Run tests a store.
func Run(t *testing.T, open Open) {
	t.Helper()
	run(t, open, false)
}

// RunDurable tests a store that is still there when it is opened again.
func RunDurable(t *testing.T, open Open) {
	t.Helper()
	run(t, open, true)
}

func run(t *testing.T, open Open, durable bool) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, store.DB){
		"tables are apart":                    testTables,
		"keys are in order of bytes":          testOrder,
		"empty values are there":              testEmpty,
		"keys have limits":                    testKeys,
		"values are big":                      testBig,
		"bytes belong to whom they should":    testOwnership,
		"an error rolls back":                 testError,
		"a panic rolls back":                  testPanic,
		"a view cannot write":                 testReadOnly,
		"a view stays as it began":            testIsolation,
		"updates wait for each other":         testSerial,
		"ranges nest and end early":           testNested,
		"a long range survives changes":       testChanges,
		"a context ends a transaction":        testContext,
		"a transaction ends with its call":    testEnded,
		"transactions beside each other":      testConcurrent,
		"a closed store refuses transactions": testClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, t.TempDir())
			t.Cleanup(func() { _ = db.Close() })
			test(t, db)
		})
	}
	t.Run("random transactions", func(t *testing.T) {
		t.Parallel()
		runModel(t, open, durable)
	})
	if durable {
		t.Run("what is committed is there again", func(t *testing.T) {
			t.Parallel()
			testReopen(t, open)
		})
	}
}

func update(t *testing.T, db store.DB, f func(tx store.Tx)) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx store.Tx) error { f(tx); return nil }); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, db store.DB, f func(tx store.Tx)) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) error { f(tx); return nil }); err != nil {
		t.Fatalf("view: %v", err)
	}
}

func put(t *testing.T, tx store.Tx, table store.Table, key, value string) {
	t.Helper()
	if err := tx.Put(table, []byte(key), []byte(value)); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func get(t *testing.T, tx store.Tx, table store.Table, key string) (string, bool) {
	t.Helper()
	v, err := tx.Get(table, []byte(key))
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return string(v), v != nil
}

func want(t *testing.T, tx store.Tx, table store.Table, key, value string) {
	t.Helper()
	if got, ok := get(t, tx, table, key); !ok || got != value {
		t.Errorf("%q is %q (there: %v), want %q", key, got, ok, value)
	}
}

func wantNone(t *testing.T, tx store.Tx, key string) {
	t.Helper()
	if got, ok := get(t, tx, store.Meta, key); ok {
		t.Errorf("%q is %q, want none", key, got)
	}
}

func testTables(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) {
		for table := range store.NumTables {
			put(t, tx, table, "key", table.String())
		}
	})
	update(t, db, func(tx store.Tx) {
		if err := tx.Delete(store.Hits, []byte("key")); err != nil {
			t.Error(err)
		}
	})
	view(t, db, func(tx store.Tx) {
		for table := range store.NumTables {
			if table == store.Hits {
				compare(t, tx.Range(table, nil, nil), nil)
			} else {
				compare(t, tx.Range(table, nil, nil), []pair{{"key", table.String()}})
			}
		}
	})
}

func testOrder(t *testing.T, db store.DB) {
	rising := []pair{{"\x00", "1"}, {"\x00\x00", "2"}, {"\x01", "3"}, {"A", "4"}, {"a", "5"}, {"a\x00", "6"}, {"a\xff", "7"}, {"b", "8"}, {"é", "9"}, {"\xff", "10"}, {"\xff\xff", "11"}}
	update(t, db, func(tx store.Tx) {
		for i := range rising { // not in order
			p := rising[i*7%len(rising)]
			put(t, tx, store.Alerts, p.key, p.value)
		}
	})
	falling := model{store.Alerts: {}}
	for _, p := range rising {
		falling[store.Alerts][p.key] = p.value
	}
	view(t, db, func(tx store.Tx) {
		compare(t, tx.Range(store.Alerts, nil, nil), rising)
		compare(t, tx.Range(store.Alerts, []byte("a"), nil), rising[4:])
		compare(t, tx.Range(store.Alerts, []byte("a"), []byte("b")), rising[4:7])
		compare(t, tx.Range(store.Alerts, []byte("a\x01"), []byte("b\x00")), rising[6:8])
		compare(t, tx.Range(store.Alerts, nil, []byte("\x00")), nil)
		compare(t, tx.Range(store.Alerts, []byte("b"), []byte("a")), nil)
		compare(t, tx.Range(store.Alerts, []byte("a"), []byte("a")), nil)
		compare(t, tx.Range(store.Alerts, nil, []byte{}), nil)
		compare(t, tx.Range(store.Alerts, []byte{}, nil), rising)
		compare(t, tx.Reverse(store.Alerts, nil, nil), falling.pairs(store.Alerts, nil, nil, true))
		compare(t, tx.Reverse(store.Alerts, []byte("a"), []byte("b")), []pair{{"a\xff", "7"}, {"a\x00", "6"}, {"a", "5"}})
		compare(t, tx.Reverse(store.Alerts, []byte("z"), nil), []pair{{"\xff\xff", "11"}, {"\xff", "10"}, {"é", "9"}})
		compare(t, tx.Range(store.Hits, nil, nil), nil)
	})
}

func testEmpty(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) {
		if err := tx.Put(store.Meta, []byte("nil"), nil); err != nil {
			t.Error(err)
		}
		put(t, tx, store.Meta, "empty", "")
		want(t, tx, store.Meta, "nil", "")
		want(t, tx, store.Meta, "empty", "")
		wantNone(t, tx, "none")
		if err := tx.Delete(store.Meta, []byte("none")); err != nil {
			t.Errorf("delete what is not there: %v", err)
		}
	})
	view(t, db, func(tx store.Tx) {
		compare(t, tx.Range(store.Meta, nil, nil), []pair{{"empty", ""}, {"nil", ""}})
	})
}

func testKeys(t *testing.T, db store.DB) {
	longest := bytes.Repeat([]byte{0xFF}, store.MaxKey)
	update(t, db, func(tx store.Tx) {
		for _, key := range [][]byte{nil, {}, make([]byte, store.MaxKey+1)} {
			if err := tx.Put(store.Meta, key, []byte("v")); !errors.Is(err, store.ErrKey) {
				t.Errorf("put with a key of %d bytes: %v", len(key), err)
			}
			if err := tx.Delete(store.Meta, key); !errors.Is(err, store.ErrKey) {
				t.Errorf("delete with a key of %d bytes: %v", len(key), err)
			}
			if v, err := tx.Get(store.Meta, key); v != nil || err != nil {
				t.Errorf("get with a key of %d bytes: %q, %v", len(key), v, err)
			}
		}
		put(t, tx, store.Meta, string(longest), "longest")
	})
	view(t, db, func(tx store.Tx) {
		want(t, tx, store.Meta, string(longest), "longest")
		compare(t, tx.Range(store.Meta, nil, nil), []pair{{string(longest), "longest"}})
		compare(t, tx.Range(store.Meta, longest, nil), []pair{{string(longest), "longest"}})
		compare(t, tx.Reverse(store.Meta, nil, append(longest, 0)), []pair{{string(longest), "longest"}})
		compare(t, tx.Range(store.Meta, nil, longest), nil)
	})
}

func testBig(t *testing.T, db store.DB) {
	big := make([]byte, 20<<20)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	update(t, db, func(tx store.Tx) {
		put(t, tx, store.Documents, "big", string(big))
		put(t, tx, store.Documents, "small", "s")
		want(t, tx, store.Documents, "big", string(big))
	})
	view(t, db, func(tx store.Tx) {
		compare(t, tx.Range(store.Documents, nil, nil), []pair{{"big", string(big)}, {"small", "s"}})
	})
}

func testOwnership(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) {
		k, v := []byte("key"), []byte("value")
		if err := tx.Put(store.Meta, k, v); err != nil {
			t.Error(err)
		}
		copy(k, "xxx")
		copy(v, "xxxxx")
		got, err := tx.Get(store.Meta, []byte("key"))
		if err != nil || string(got) != "value" {
			t.Errorf("after the bytes of Put were reused: %q, %v", got, err)
		}
		copy(got, "yyyyy")
		for p, err := range tx.Range(store.Meta, nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			_ = append(p.Key, "grown"...)
			copy(p.Key, "zzz")
			if string(p.Value) != "value" {
				t.Errorf("after the bytes of a key were changed: %q", p.Value)
			}
			copy(p.Value, "zzzzz")
		}
		compare(t, tx.Range(store.Meta, nil, nil), []pair{{"key", "value"}})
	})
	var kept []store.Pair
	var got []byte
	view(t, db, func(tx store.Tx) {
		for p, err := range tx.Range(store.Meta, nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, p)
		}
		got, _ = tx.Get(store.Meta, []byte("key"))
	})
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "key", "other") })
	if len(kept) != 1 || string(kept[0].Key) != "key" || string(kept[0].Value) != "value" || string(got) != "value" {
		t.Errorf("after the transaction: %q and %q", kept, got)
	}
}

func testError(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "a", "1"); put(t, tx, store.Meta, "b", "1") })
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(tx store.Tx) error {
		put(t, tx, store.Meta, "a", "2")
		put(t, tx, store.Meta, "c", "2")
		if err := tx.Delete(store.Meta, []byte("b")); err != nil {
			t.Error(err)
		}
		want(t, tx, store.Meta, "a", "2")
		wantNone(t, tx, "b")
		return fmt.Errorf("wrapped: %w", boom)
	})
	if !errors.Is(err, boom) {
		t.Errorf("update returned %v", err)
	}
	view(t, db, func(tx store.Tx) { compare(t, tx.Range(store.Meta, nil, nil), []pair{{"a", "1"}, {"b", "1"}}) })
	if err := db.View(t.Context(), func(store.Tx) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("view returned %v", err)
	}
}

func testPanic(t *testing.T, db store.DB) {
	for _, do := range []func(context.Context, func(store.Tx) error) error{db.Update, db.View} {
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("the panic is %v, want boom", v)
				}
			}()
			err := do(t.Context(), func(tx store.Tx) error {
				_ = tx.Put(store.Meta, []byte("a"), []byte("1")) // refused in a view
				for _, err := range tx.Range(store.Meta, nil, nil) {
					if err != nil {
						t.Error(err)
					}
					break
				}
				panic("boom")
			})
			t.Errorf("it returned %v", err)
		}()
	}
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "b", "1") }) // nothing is locked
	view(t, db, func(tx store.Tx) { compare(t, tx.Range(store.Meta, nil, nil), []pair{{"b", "1"}}) })
}

func testReadOnly(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "a", "1") })
	view(t, db, func(tx store.Tx) {
		if err := tx.Put(store.Meta, []byte("a"), []byte("2")); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("put in a view: %v", err)
		}
		if err := tx.Delete(store.Meta, []byte("a")); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("delete in a view: %v", err)
		}
		want(t, tx, store.Meta, "a", "1")
	})
}

// A view sees what was committed when it began, even if it reads later, and not what an
// update has written so far.
func testIsolation(t *testing.T, db store.DB) {
	before := []pair{{"a", "1"}, {"b", "1"}}
	after := []pair{{"a", "2"}, {"c", "2"}}
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "a", "1"); put(t, tx, store.Meta, "b", "1") })
	view(t, db, func(old store.Tx) {
		update(t, db, func(tx store.Tx) {
			put(t, tx, store.Meta, "a", "2")
			put(t, tx, store.Meta, "c", "2")
			if err := tx.Delete(store.Meta, []byte("b")); err != nil {
				t.Error(err)
			}
			compare(t, old.Range(store.Meta, nil, nil), before)
			view(t, db, func(beside store.Tx) { compare(t, beside.Range(store.Meta, nil, nil), before) })
			compare(t, tx.Range(store.Meta, nil, nil), after)
		})
		compare(t, old.Range(store.Meta, nil, nil), before)
		want(t, old, store.Meta, "b", "1")
		wantNone(t, old, "c")
		view(t, db, func(now store.Tx) { compare(t, now.Range(store.Meta, nil, nil), after) })
	})
	view(t, db, func(first store.Tx) { // its first read is later than the commit
		update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "a", "3") })
		want(t, first, store.Meta, "a", "2")
	})
}

func testSerial(t *testing.T, db store.DB) {
	const goroutines, times = 8, 25
	done := make(chan error)
	for range goroutines {
		go func() {
			for range times {
				err := db.Update(t.Context(), func(tx store.Tx) error {
					v, err := tx.Get(store.Meta, []byte("n"))
					if err != nil {
						return err
					}
					n := uint64(0)
					if v != nil {
						n = binary.BigEndian.Uint64(v)
					}
					return tx.Put(store.Meta, []byte("n"), binary.BigEndian.AppendUint64(nil, n+1))
				})
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range goroutines {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	view(t, db, func(tx store.Tx) {
		want(t, tx, store.Meta, "n", string(binary.BigEndian.AppendUint64(nil, goroutines*times)))
	})
}

func testNested(t *testing.T, db store.DB) {
	var all []pair
	update(t, db, func(tx store.Tx) {
		for i := range 100 {
			p := pair{fmt.Sprintf("%03d", i), "v"}
			all = append(all, p)
			put(t, tx, store.Hits, p.key, p.value)
		}
	})
	nested := func(tx store.Tx) {
		outer := 0
		for p, err := range tx.Range(store.Hits, nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if string(p.Key) != all[outer].key {
				t.Fatalf("outer range: %q, want %q", p.Key, all[outer].key)
			}
			outer++
			inner := 0
			for p, err := range tx.Reverse(store.Hits, nil, p.Key) {
				if err != nil || string(p.Key) >= all[outer-1].key {
					t.Fatalf("inner range: %q, %v", p.Key, err)
				}
				if inner++; inner == 40 {
					break
				}
			}
			if inner != min(40, outer-1) {
				t.Fatalf("the inner range yields %d pairs, want %d", inner, min(40, outer-1))
			}
			compare(t, tx.Range(store.Hits, p.Key, nil), all[outer-1:])
		}
		if outer != len(all) {
			t.Fatalf("the outer range yields %d pairs", outer)
		}
		seq := tx.Range(store.Hits, []byte("050"), nil)
		compare(t, seq, all[50:])
		compare(t, seq, all[50:]) // again
	}
	view(t, db, nested)
	update(t, db, nested)
}

// A range longer than anything that a store reads at once yields what was there when it
// began, whatever is done ahead of it and behind.
func testChanges(t *testing.T, db store.DB) {
	const n = 5000
	key := func(i int) string { return fmt.Sprintf("%06d", i) }
	var all []pair
	update(t, db, func(tx store.Tx) {
		for i := range n {
			p := pair{key(2 * i), strconv.Itoa(i)}
			all = append(all, p)
			put(t, tx, store.Hits, p.key, p.value)
		}
	})
	for _, reverse := range []bool{false, true} {
		update(t, db, func(tx store.Tx) {
			seq, at := tx.Range, func(i int) pair { return all[i] }
			if reverse {
				seq, at = tx.Reverse, func(i int) pair { return all[n-1-i] }
			}
			from, to := []byte(key(0)), []byte(key(2*n))
			i := 0
			for p, err := range seq(store.Hits, from, to) {
				if err != nil {
					t.Fatal(err)
				}
				if got := (pair{string(p.Key), string(p.Value)}); got != at(i) {
					t.Fatalf("pair %d is %v, want %v", i, got, at(i))
				}
				clear(from) // the bounds are the caller's again
				clear(to)
				other := i * 7919 % n
				put(t, tx, store.Hits, key(2*other+1), "new") // never seen by this range
				put(t, tx, store.Hits, key(2*((other+n/2)%n)), "changed")
				if err := tx.Delete(store.Hits, []byte(key(2*other))); err != nil {
					t.Fatal(err)
				}
				if err := tx.Delete(store.Hits, p.Key); err != nil {
					t.Fatal(err)
				}
				i++
			}
			if i != n {
				t.Fatalf("the range yields %d pairs, want %d", i, n)
			}
			// As it was, for the other direction.
			for p, err := range tx.Range(store.Hits, nil, nil) {
				if err != nil {
					t.Fatal(err)
				}
				if err := tx.Delete(store.Hits, p.Key); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, tx.Range(store.Hits, nil, nil), nil)
			for _, p := range all {
				put(t, tx, store.Hits, p.key, p.value)
			}
		})
	}
}

func testContext(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) {
		for i := range 100 {
			put(t, tx, store.Hits, fmt.Sprintf("%03d", i), "v")
		}
	})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(store.Tx) error { return errors.New("called with a context that has ended") }
	if err := db.View(canceled, never); !errors.Is(err, context.Canceled) {
		t.Errorf("view: %v", err)
	}
	if err := db.Update(canceled, never); !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v", err)
	}

	for name, do := range map[string]func(context.Context, func(store.Tx) error) error{"view": db.View, "update": db.Update} {
		ctx, cancel := context.WithCancel(t.Context())
		err := do(ctx, func(tx store.Tx) error {
			_ = tx.Put(store.Meta, []byte("a"), []byte("1")) // refused in a view
			n := 0
			var last error
			for _, err := range tx.Range(store.Hits, nil, nil) {
				if last = err; err == nil {
					n++
				}
				cancel()
			}
			if n != 1 || !errors.Is(last, context.Canceled) {
				t.Errorf("%s: a range yields %d pairs and %v after its context ended", name, n, last)
			}
			if _, err := tx.Get(store.Hits, []byte("000")); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: get: %v", name, err)
			}
			if err := tx.Put(store.Hits, []byte("000"), nil); !errors.Is(err, context.Canceled) && name == "update" {
				t.Errorf("%s: put: %v", name, err)
			}
			return nil
		})
		if name == "update" && !errors.Is(err, context.Canceled) {
			t.Errorf("update returned %v", err)
		}
	}
	view(t, db, func(tx store.Tx) { wantNone(t, tx, "a") })

	// An update that waits for another gives up.
	update(t, db, func(store.Tx) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- db.Update(ctx, never) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("an update that waited: %v", err)
		}
	})
}

func testEnded(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "a", "1") })
	for _, do := range []func(context.Context, func(store.Tx) error) error{db.View, db.Update} {
		var tx store.Tx
		if err := do(t.Context(), func(x store.Tx) error { tx = x; return nil }); err != nil {
			t.Fatal(err)
		}
		if v, err := tx.Get(store.Meta, []byte("a")); err == nil {
			t.Errorf("get after the end: %q", v)
		}
		if err := tx.Put(store.Meta, []byte("a"), nil); err == nil {
			t.Error("put after the end")
		}
		if err := tx.Delete(store.Meta, []byte("a")); err == nil {
			t.Error("delete after the end")
		}
		if pairs, err := collect(tx.Range(store.Meta, nil, nil)); err == nil {
			t.Errorf("range after the end: %v", pairs)
		}
	}
	view(t, db, func(tx store.Tx) { want(t, tx, store.Meta, "a", "1") })
}

// Views beside updates that keep a sum see the sum.
func testConcurrent(t *testing.T, db store.DB) {
	const accounts, total = 10, 1000
	amount := func(v []byte) int { return int(binary.BigEndian.Uint64(v)) }
	text := func(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	update(t, db, func(tx store.Tx) {
		for i := range accounts {
			if err := tx.Put(store.Meta, []byte{byte(i)}, text(total/accounts)); err != nil {
				t.Error(err)
			}
		}
	})
	stop := make(chan struct{})
	done := make(chan error)
	const viewers = 4
	for range viewers {
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				err := db.View(t.Context(), func(tx store.Tx) error {
					sum := 0
					for p, err := range tx.Range(store.Meta, nil, nil) {
						if err != nil {
							return err
						}
						sum += amount(p.Value)
					}
					if sum != total {
						return fmt.Errorf("the sum is %d, want %d", sum, total)
					}
					return nil
				})
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for i := range 100 {
		a, b := []byte{byte(i % accounts)}, []byte{byte((i*7 + 3) % accounts)}
		if bytes.Equal(a, b) {
			continue
		}
		update(t, db, func(tx store.Tx) {
			va, _ := tx.Get(store.Meta, a)
			vb, _ := tx.Get(store.Meta, b)
			put(t, tx, store.Meta, string(a), string(text(amount(va)-1)))
			put(t, tx, store.Meta, string(b), string(text(amount(vb)+1)))
		})
	}
	close(stop)
	for range viewers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func testClosed(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) { put(t, tx, store.Meta, "a", "1") })
	if err := db.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	never := func(store.Tx) error { return errors.New("called on a closed store") }
	if err := db.View(t.Context(), never); !errors.Is(err, store.ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if err := db.Update(t.Context(), never); !errors.Is(err, store.ErrClosed) {
		t.Errorf("update: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func testReopen(t *testing.T, open Open) {
	dir := t.TempDir()
	boom := errors.New("boom")
	for i := range 5 {
		db := open(t, dir)
		update(t, db, func(tx store.Tx) {
			for j := range i {
				want(t, tx, store.Meta, strconv.Itoa(j), strconv.Itoa(j))
			}
			wantNone(t, tx, strconv.Itoa(i))
			put(t, tx, store.Meta, strconv.Itoa(i), strconv.Itoa(i))
			put(t, tx, store.Documents, strconv.Itoa(i), string(make([]byte, 1<<20)))
		})
		err := db.Update(t.Context(), func(tx store.Tx) error {
			put(t, tx, store.Meta, strconv.Itoa(i+1), "never")
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("update: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
