package store

import (
	"fmt"
	"iter"

	"github.com/go-json-experiment/json"
)

// putJSON stores a record as JSON, so that somebody with a SQL shell can read it.
func putJSON(tx Tx, t Table, key []byte, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode a record of %s: %w", t, err)
	}
	return tx.Put(t, key, b)
}

// getJSON reads a record; ok is false if there is none.
func getJSON(tx Tx, t Table, key []byte, v any) (ok bool, err error) {
	b, err := tx.Get(t, key)
	if err != nil || b == nil {
		return false, err
	}
	return true, decodeJSON(t, b, v)
}

func decodeJSON(t Table, b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("a value of table %s: %w: %w", t, ErrDamaged, err)
	}
	return nil
}

// listJSON yields the records of a table between two keys.
func listJSON[T any](pairs iter.Seq2[Pair, error], t Table) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for p, err := range pairs {
			var v T
			if err == nil {
				err = decodeJSON(t, p.Value, &v)
			}
			if !yield(&v, err) || err != nil {
				return
			}
		}
	}
}
