package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/debutsec/debut/internal/store"
)

// Statements of a table.
const (
	opGet = iota
	opPut
	opDelete
	opRange
	opReverse
	numOps
)

var opSQL = [numOps]string{ //nolint:gochecknoglobals // constant texts
	opGet:     `SELECT v FROM %s WHERE k = ?1`,
	opPut:     `INSERT INTO %s (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v`,
	opDelete:  `DELETE FROM %s WHERE k = ?1`,
	opRange:   `SELECT k, v FROM %s WHERE k >= ?1 AND k < ?2 ORDER BY k`,
	opReverse: `SELECT k, v FROM %s WHERE k >= ?1 AND k < ?2 ORDER BY k DESC`,
}

// op returns a statement of a table.
func (c *conn) op(t store.Table, op int) (*stmt, error) {
	if s := c.table[t][op]; s != nil {
		return s, nil
	}
	s, err := c.prepare(fmt.Sprintf(opSQL[op], t))
	if err != nil {
		return nil, err
	}
	c.table[t][op] = s
	return s, nil
}

// afterAll is behind every key.
var afterAll = bytes.Repeat([]byte{0xFF}, store.MaxKey+1) //nolint:gochecknoglobals // a constant

var errEnded = errors.New("the transaction has ended")

// tx implements store.Tx on a connection with an open transaction.
type tx struct {
	ctx   context.Context //nolint:containedctx // a transaction lives within one call
	db    *DB
	c     *conn
	write bool
	ended bool
	open  []*cursor // the ranges that are not at their end, of an Update
}

var _ store.Tx = (*tx)(nil)

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
	v, err := x.get(t, key)
	if err != nil {
		return nil, x.db.explain("read", err)
	}
	return v, nil
}

func (x *tx) get(t store.Table, key []byte) ([]byte, error) {
	s, err := x.c.op(t, opGet)
	if err != nil {
		return nil, err
	}
	defer s.reset()
	if err := s.bind(0, key); err != nil {
		return nil, err
	}
	if row, err := s.step(); err != nil || !row {
		return nil, err
	}
	v := s.bytes(0)
	return append(make([]byte, 0, len(v)), v...), nil
}

// Put implements store.Tx.
func (x *tx) Put(t store.Table, key, value []byte) error {
	return x.change(t, opPut, key, value)
}

// Delete implements store.Tx.
func (x *tx) Delete(t store.Table, key []byte) error {
	return x.change(t, opDelete, key, nil)
}

func (x *tx) change(t store.Table, op int, key, value []byte) error {
	if err := x.check(); err != nil {
		return err
	}
	if !x.write {
		return store.ErrReadOnly
	}
	if err := store.CheckKey(key); err != nil {
		return err
	}
	for _, cur := range x.open {
		if err := x.keep(cur, t, key); err != nil {
			return x.db.explain("read", err)
		}
	}
	s, err := x.c.op(t, op)
	if err != nil {
		return x.db.explain("write", err)
	}
	err = s.bind(0, key)
	if err == nil && op == opPut {
		err = s.bind(1, value)
	}
	if err == nil {
		err = s.run()
	}
	if err != nil {
		return x.db.explain("write", err)
	}
	return nil
}

// Range implements store.Tx.
func (x *tx) Range(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	return x.pairs(t, opRange, from, to)
}

// Reverse implements store.Tx.
func (x *tx) Reverse(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	return x.pairs(t, opReverse, from, to)
}

// A cursor is a range that has begun. It reads ahead in chunks, so that no statement
// stays open while the caller works, and keeps what keys ahead of it held when the
// range began, if they are changed meanwhile.
type cursor struct {
	table    store.Table
	op       int
	from, to []byte // what is still to be read
	done     bool   // nothing is
	before   map[string][]byte
	chunk    []store.Pair
	few      [2]store.Pair // room for the chunk of most look-ups
}

// A chunk ends after so many pairs, twice as many as in the one before, and after so
// many bytes. Most ranges are look-ups of a handful.
const (
	firstChunk = 16
	maxChunk   = 1024
	maxBytes   = 1 << 20
)

func (x *tx) pairs(t store.Table, op int, from, to []byte) iter.Seq2[store.Pair, error] {
	return func(yield func(store.Pair, error) bool) {
		if to == nil {
			to = afterAll
		}
		cur := &cursor{table: t, op: op, from: from, to: to}
		cur.chunk = cur.few[:0]
		if x.write {
			x.open = append(x.open, cur)
			defer x.forget(cur)
		}
		for size := firstChunk; !cur.done; size = min(2*size, maxChunk) {
			if err := x.fill(cur, size); err != nil {
				yield(store.Pair{}, err)
				return
			}
			for _, p := range cur.chunk {
				if err := x.check(); err != nil {
					yield(store.Pair{}, err)
					return
				}
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

func (x *tx) forget(cur *cursor) {
	if i := slices.Index(x.open, cur); i >= 0 {
		x.open = slices.Delete(x.open, i, i+1)
	}
}

// fill reads the next chunk.
func (x *tx) fill(cur *cursor, size int) error {
	if err := x.check(); err != nil {
		return err
	}
	from, to := cur.from, cur.to
	cur.chunk = cur.chunk[:0]
	if err := x.read(cur, size); err != nil {
		return x.db.explain("read", err)
	}
	if n := len(cur.chunk); !cur.done {
		// The caller may change what it passed as bounds, and owns the pairs.
		last := cur.chunk[n-1].Key
		if cur.op == opRange {
			cur.from, cur.to = append(bytes.Clone(last), 0), bytes.Clone(cur.to)
			to = cur.from
		} else {
			cur.from, cur.to = bytes.Clone(cur.from), bytes.Clone(last)
			from = cur.to
		}
	} else {
		x.forget(cur)
	}
	if len(cur.before) > 0 {
		cur.restore(from, to)
	}
	return nil
}

// read reads pairs of the chunk as they are now.
func (x *tx) read(cur *cursor, size int) error {
	s, err := x.c.op(cur.table, cur.op)
	if err != nil {
		return err
	}
	defer s.reset()
	if err := s.bind(0, cur.from); err != nil {
		return err
	}
	if err := s.bind(1, cur.to); err != nil {
		return err
	}
	for total := 0; len(cur.chunk) < size && total < maxBytes; {
		row, err := s.step()
		if err != nil {
			return err
		}
		if !row {
			cur.done = true
			return nil
		}
		k, v := s.bytes(0), s.bytes(1)
		both := make([]byte, len(k)+len(v))
		n := copy(both, k)
		copy(both[n:], v)
		cur.chunk = append(cur.chunk, store.Pair{Key: both[:n:n], Value: both[n:]})
		total += len(both)
	}
	return nil
}

// keep remembers what key holds before it changes, if cur has yet to come to it.
func (x *tx) keep(cur *cursor, t store.Table, key []byte) error {
	if cur.table != t || bytes.Compare(key, cur.from) < 0 || bytes.Compare(key, cur.to) >= 0 {
		return nil
	}
	if _, ok := cur.before[string(key)]; ok {
		return nil
	}
	v, err := x.get(t, key)
	if err != nil {
		return err
	}
	if cur.before == nil {
		cur.before = make(map[string][]byte)
	}
	cur.before[string(key)] = v
	return nil
}

// restore makes the chunk, which covers from ≤ key < to, what it was when the range
// began.
func (cur *cursor) restore(from, to []byte) {
	cur.chunk = slices.DeleteFunc(cur.chunk, func(p store.Pair) bool { _, changed := cur.before[string(p.Key)]; return changed })
	for k, v := range cur.before {
		key := []byte(k)
		if bytes.Compare(key, from) < 0 || bytes.Compare(key, to) >= 0 {
			continue
		}
		if v != nil {
			cur.chunk = append(cur.chunk, store.Pair{Key: key, Value: v})
		}
		delete(cur.before, k)
	}
	slices.SortFunc(cur.chunk, func(a, b store.Pair) int {
		if cur.op == opReverse {
			a, b = b, a
		}
		return bytes.Compare(a.Key, b.Key)
	})
}
