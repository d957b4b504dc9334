package memory

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/debutsec/debut/internal/store"
)

// DB is a store.DB in memory.
type DB struct {
	writing chan struct{} // holds a token while nobody updates
	mu      sync.Mutex    // guards what follows
	tables  tables
	closed  bool
}

var _ store.DB = (*DB)(nil)

type tables [store.NumTables]*node

// New returns an empty store.
func New() *DB {
	db := &DB{writing: make(chan struct{}, 1)}
	db.writing <- struct{}{}
	return db
}

func (db *DB) current() (tables, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return tables{}, store.ErrClosed
	}
	return db.tables, nil
}

// View implements store.DB.
func (db *DB) View(ctx context.Context, f func(store.Tx) error) error {
	now, err := db.current()
	if err != nil {
		return err
	}
	x := &tx{ctx: ctx, tables: now}
	defer func() { x.ended = true }()
	if err := x.check(); err != nil {
		return err
	}
	return f(x)
}

// Update implements store.DB.
func (db *DB) Update(ctx context.Context, f func(store.Tx) error) error {
	select {
	case <-db.writing:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { db.writing <- struct{}{} }()
	now, err := db.current()
	if err != nil {
		return err
	}
	x := &tx{ctx: ctx, tables: now, write: true}
	defer func() { x.ended = true }()
	if err := x.check(); err != nil {
		return err
	}
	if err := f(x); err != nil {
		return err
	}
	if err := x.check(); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.tables = x.tables
	return nil
}

// Close waits for the Update that runs and forgets everything.
func (db *DB) Close() error {
	<-db.writing
	defer func() { db.writing <- struct{}{} }()
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed, db.tables = true, tables{}
	return nil
}

type tx struct {
	ctx    context.Context //nolint:containedctx // a transaction lives within one call
	tables tables
	write  bool
	ended  bool
}

var errEnded = errors.New("the transaction has ended")

func (x *tx) check() error {
	if x.ended {
		return errEnded
	}
	return x.ctx.Err()
}

// Get implements store.Tx.
func (x *tx) Get(t store.Table, key []byte) ([]byte, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	for p := range x.tables[t].rising(key, nil) {
		if bytes.Equal(p.Key, key) {
			return clone(p.Value), nil
		}
		break
	}
	return nil, nil
}

// Put implements store.Tx.
func (x *tx) Put(t store.Table, key, value []byte) error {
	if err := x.checkWrite(key); err != nil {
		return err
	}
	x.tables[t] = x.tables[t].put(store.Pair{Key: clone(key), Value: clone(value)})
	return nil
}

// Delete implements store.Tx.
func (x *tx) Delete(t store.Table, key []byte) error {
	if err := x.checkWrite(key); err != nil {
		return err
	}
	x.tables[t] = x.tables[t].remove(key)
	return nil
}

func (x *tx) checkWrite(key []byte) error {
	if err := x.check(); err != nil {
		return err
	}
	if !x.write {
		return store.ErrReadOnly
	}
	return store.CheckKey(key)
}

// Range implements store.Tx.
func (x *tx) Range(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	return x.pairs(func() iter.Seq[store.Pair] { return x.tables[t].rising(clone(from), bytes.Clone(to)) })
}

// Reverse implements store.Tx.
func (x *tx) Reverse(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	return x.pairs(func() iter.Seq[store.Pair] { return x.tables[t].falling(clone(from), bytes.Clone(to)) })
}

func (x *tx) pairs(begin func() iter.Seq[store.Pair]) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		if err := x.check(); err != nil {
			yield(store.Pair{}, err)
			return
		}
		for p := range begin() {
			if err := x.check(); err != nil {
				yield(store.Pair{}, err)
				return
			}
			if !yield(store.Pair{Key: clone(p.Key), Value: clone(p.Value)}, nil) {
				return
			}
		}
	}
}

// clone is a copy that is never nil.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
