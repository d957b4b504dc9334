package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
)

// model is a store as one would explain it: maps that are sorted when somebody looks.
type model map[store.Table]map[string]string

func (m model) clone() model {
	out := make(model, len(m))
	for t, pairs := range m {
		out[t] = maps.Clone(pairs)
	}
	return out
}

func (m model) put(t store.Table, k, v string) {
	if m[t] == nil {
		m[t] = make(map[string]string)
	}
	m[t][k] = v
}

type pair struct{ key, value string }

// pairs returns those with from ≤ key < to in order; a nil to is the end.
func (m model) pairs(t store.Table, from, to []byte, reverse bool) []pair {
	var out []pair
	for k, v := range m[t] {
		if k >= string(from) && (to == nil || k < string(to)) {
			out = append(out, pair{k, v})
		}
	}
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	if reverse {
		slices.Reverse(out)
	}
	return out
}

// tables are those that the random transactions use: two, so that they are mixed up if
// they can be.
var tables = []store.Table{store.Findings, store.Outbox} //nolint:gochecknoglobals // a constant

// A machine is a store under test, and what it should be.
type machine struct {
	t     *testing.T
	open  Open
	dir   string
	db    store.DB
	model model
}

func runModel(t *testing.T, open Open, durable bool) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "store") //nolint:usetesting // one for every try
		if err != nil {
			r.Fatal(err)
		}
		m := &machine{t: t, open: open, dir: dir, db: open(t, dir), model: model{}}
		defer func() {
			if err := m.db.Close(); err != nil {
				r.Errorf("close: %v", err)
			}
		}()
		actions := map[string]func(*rapid.T){
			"update": m.update,
			"view":   m.view,
			"":       func(*rapid.T) {},
		}
		if durable {
			actions["reopen"] = m.reopen
		}
		r.Repeat(actions)
		m.view(r)
	})
}

func (m *machine) reopen(r *rapid.T) {
	if rapid.IntRange(0, 4).Draw(r, "reopen") > 0 {
		return // it takes longer than everything else
	}
	if err := m.db.Close(); err != nil {
		r.Fatalf("close: %v", err)
	}
	m.db = m.open(m.t, m.dir)
	m.view(r)
}

func (m *machine) view(r *rapid.T) {
	err := m.db.View(m.t.Context(), func(tx store.Tx) error {
		for _, t := range tables {
			compare(r, tx.Range(t, nil, nil), m.model.pairs(t, nil, nil, false))
		}
		look(r, tx, m.model)
		return nil
	})
	if err != nil {
		r.Fatalf("view: %v", err)
	}
}

var errRollback = errors.New("roll back")

func (m *machine) update(r *rapid.T) {
	next := m.model.clone()
	how := rapid.SampledFrom([]string{"commit", "commit", "commit", "error", "panic", "cancel"}).Draw(r, "end")
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	err := func() (err error) {
		defer func() {
			if v := recover(); v == errRollback { //nolint:errorlint // it is this very value
				err = errRollback
			} else if v != nil {
				panic(v)
			}
		}()
		return m.db.Update(ctx, func(tx store.Tx) error {
			for range rapid.IntRange(0, 8).Draw(r, "steps") {
				step(r, tx, next)
			}
			switch how {
			case "error":
				return errRollback
			case "panic":
				panic(errRollback)
			case "cancel":
				cancel()
			}
			return nil
		})
	}()
	want := map[string]error{"error": errRollback, "panic": errRollback, "cancel": context.Canceled}[how]
	if !errors.Is(err, want) {
		r.Fatalf("update that should %s: %v", how, err)
	}
	if want == nil {
		m.model = next
	}
}

// step does something in an Update, and the same in the model.
func step(r *rapid.T, tx store.Tx, m model) {
	t := rapid.SampledFrom(tables).Draw(r, "table")
	switch rapid.SampledFrom([]string{"put", "put", "delete", "look", "fill", "range"}).Draw(r, "step") {
	case "put":
		change(r, tx, m, t, keys.Draw(r, "key"), values.Draw(r, "value"))
	case "delete":
		k := keys.Draw(r, "key")
		if err := tx.Delete(t, k); err != nil {
			r.Fatalf("delete: %v", err)
		}
		delete(m[t], string(k))
	case "look":
		look(r, tx, m)
	case "fill": // more than a store reads at once
		prefix := keys.Draw(r, "prefix")[:1]
		for i := range rapid.IntRange(1, 80).Draw(r, "pairs") {
			change(r, tx, m, t, append(slices.Clip(prefix), byte(i*37), byte(i)), []byte{byte(i)})
		}
	case "range":
		rangeAndChange(r, tx, m, t)
	}
}

func change(r *rapid.T, tx store.Tx, m model, t store.Table, k, v []byte) {
	m.put(t, string(k), string(v))
	if err := tx.Put(t, k, v); err != nil {
		r.Fatalf("put: %v", err)
	}
	clear(k) // the store must have copied them
	clear(v)
}

// rangeAndChange changes the table while ranging over it.
func rangeAndChange(r *rapid.T, tx store.Tx, m model, t store.Table) {
	from, to, reverse := bounds(r)
	want := m.pairs(t, from, to, reverse)
	seq := tx.Range
	if reverse {
		seq = tx.Reverse
	}
	stop := rapid.IntRange(0, 100).Draw(r, "stop after")
	var got []pair
	for p, err := range seq(t, from, to) {
		if err != nil {
			r.Fatalf("range: %v", err)
		}
		got = append(got, pair{string(p.Key), string(p.Value)})
		if len(got) == stop {
			break
		}
		if rapid.Bool().Draw(r, "change") {
			other := rapid.SampledFrom(m.pairs(t, nil, nil, false)).Draw(r, "other")
			switch rapid.SampledFrom([]string{"delete", "put", "new", "this"}).Draw(r, "how") {
			case "delete":
				if err := tx.Delete(t, []byte(other.key)); err != nil {
					r.Fatalf("delete: %v", err)
				}
				delete(m[t], other.key)
			case "put":
				change(r, tx, m, t, []byte(other.key), values.Draw(r, "value"))
			case "new":
				change(r, tx, m, t, append(keys.Draw(r, "key")[:1], 'n'), values.Draw(r, "value"))
			case "this":
				if err := tx.Delete(t, p.Key); err != nil {
					r.Fatalf("delete: %v", err)
				}
				delete(m[t], string(p.Key))
			}
			if len(m[t]) == 0 {
				change(r, tx, m, t, []byte("z"), nil)
			}
		}
		clear(p.Key) // the pairs are the caller's
		clear(p.Value)
	}
	if len(got) == stop {
		want = want[:min(stop, len(want))]
	}
	if !slices.Equal(got, want) {
		r.Fatalf("a range from %x to %x (reverse: %v) while the table changes yields\n%v, want\n%v", from, to, reverse, got, want)
	}
}

// look reads something both ways.
func look(r *rapid.T, tx store.Tx, m model) {
	t := rapid.SampledFrom(tables).Draw(r, "table")
	k := keys.Draw(r, "key")
	if present := m.pairs(t, nil, nil, false); len(present) > 0 && rapid.Bool().Draw(r, "present") {
		k = []byte(rapid.SampledFrom(present).Draw(r, "pair").key)
	}
	got, err := tx.Get(t, k)
	if err != nil {
		r.Fatalf("get: %v", err)
	}
	want, ok := m[t][string(k)]
	if ok != (got != nil) || string(got) != want {
		r.Fatalf("get %x: %x (nil: %v), want %x, there: %v", k, got, got == nil, want, ok)
	}
	clear(got)
	from, to, reverse := bounds(r)
	if reverse {
		compare(r, tx.Reverse(t, from, to), m.pairs(t, from, to, true))
	} else {
		compare(r, tx.Range(t, from, to), m.pairs(t, from, to, false))
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func compare(t fataler, seq iter.Seq2[store.Pair, error], want []pair) {
	t.Helper()
	got, err := collect(seq)
	if err != nil {
		t.Fatalf("range: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("a range yields\n%v, want\n%v", short(got), short(want))
	}
}

func collect(seq iter.Seq2[store.Pair, error]) ([]pair, error) {
	var out []pair
	for p, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, pair{string(p.Key), string(p.Value)})
	}
	return out, nil
}

// short prints pairs with long keys and values cut.
func short(pairs []pair) string {
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "%.20x=%.20x(%d) ", p.key, p.value, len(p.value))
	}
	return b.String()
}

func bounds(r *rapid.T) (from, to []byte, reverse bool) {
	bound := rapid.OneOf(rapid.Just(text(nil)), keys, rapid.Just(text{}))
	return bound.Draw(r, "from"), bound.Draw(r, "to"), rapid.Bool().Draw(r, "reverse")
}

// text prints short in the report of a failure.
type text []byte

// GoString implements fmt.GoStringer.
func (x text) GoString() string {
	if len(x) <= 20 {
		return fmt.Sprintf("%q", string(x))
	}
	return fmt.Sprintf("%q… (%d)", string(x[:20]), len(x))
}

// keys meet often, begin with each other, have the bytes that go wrong, and are rarely
// as long as may be.
var keys = rapid.Custom(func(r *rapid.T) text { //nolint:gochecknoglobals // a generator
	k := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0x7F, 0x80, 0xFF}), 1, 4).Draw(r, "bytes")
	if rapid.IntRange(0, 20).Draw(r, "long") == 20 {
		k = append(k, bytes.Repeat(k[len(k)-1:], store.MaxKey-len(k))...)
	}
	return k
})

var values = rapid.Custom(func(r *rapid.T) text { //nolint:gochecknoglobals // a generator
	v := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(r, "bytes")
	if rapid.IntRange(0, 20).Draw(r, "big") == 20 {
		v = append(v, make([]byte, 100_000)...)
	}
	return v
})
