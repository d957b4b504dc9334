package notify

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/debutsec/debut/internal/store"
)

// tableDB is the smallest store that does what a DB promises: sorted rows in memory,
// and what was there before to go back to.
type tableDB struct {
	mu     sync.RWMutex
	tables [store.NumTables][]row
}

type row struct {
	key   string
	value []byte
}

func (db *tableDB) View(_ context.Context, f func(store.Tx) error) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return f(&tableTx{db: db})
}

func (db *tableDB) Update(_ context.Context, f func(store.Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	var before [store.NumTables][]row
	for i := range db.tables {
		before[i] = slices.Clone(db.tables[i])
	}
	err := f(&tableTx{db: db, writes: true})
	if err != nil {
		db.tables = before
	}
	return err
}

func (*tableDB) Close() error { return nil }

type tableTx struct {
	db     *tableDB
	writes bool
}

func (tx *tableTx) find(t store.Table, key []byte) (int, bool) {
	return slices.BinarySearchFunc(tx.db.tables[t], string(key), func(r row, k string) int { return strings.Compare(r.key, k) })
}

func (tx *tableTx) Get(t store.Table, key []byte) ([]byte, error) {
	if i, ok := tx.find(t, key); ok {
		return slices.Clone(tx.db.tables[t][i].value), nil
	}
	return nil, nil
}

func (tx *tableTx) Put(t store.Table, key, value []byte) error {
	if !tx.writes {
		return store.ErrReadOnly
	}
	i, ok := tx.find(t, key)
	r := row{string(key), slices.Clone(value)}
	if ok {
		tx.db.tables[t][i] = r
	} else {
		tx.db.tables[t] = slices.Insert(tx.db.tables[t], i, r)
	}
	return nil
}

func (tx *tableTx) Delete(t store.Table, key []byte) error {
	if !tx.writes {
		return store.ErrReadOnly
	}
	if i, ok := tx.find(t, key); ok {
		tx.db.tables[t] = slices.Delete(tx.db.tables[t], i, i+1)
	}
	return nil
}

func (tx *tableTx) rows(t store.Table, from, to []byte) []row {
	i, _ := tx.find(t, from)
	end := len(tx.db.tables[t])
	if to != nil {
		end, _ = tx.find(t, to)
	}
	return slices.Clone(tx.db.tables[t][i:max(i, end)])
}

func (tx *tableTx) Range(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	return pairs(tx.rows(t, from, to))
}

func (tx *tableTx) Reverse(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	rows := tx.rows(t, from, to)
	slices.Reverse(rows)
	return pairs(rows)
}

func pairs(rows []row) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		for _, r := range rows {
			if !yield(store.Pair{Key: []byte(r.key), Value: slices.Clone(r.value)}, nil) {
				return
			}
		}
	}
}
