//go:build unix

package sqlite

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/debutsec/debut/internal/store"
)

// BenchmarkUpdate is the bar for the decision on new terms: one Update with 1,000
// look-ups by prefix and some writes, in tables of 10,000 rows, a million, and as many
// as DEBUT_BENCH_ROWS says (the bar: ten million, at most 1.5 times the time of the
// first). DEBUT_BENCH_DIR keeps the tables for the next run, DEBUT_BENCH_PRAGMAS are
// settings to try, with a semicolon between.
func BenchmarkUpdate(b *testing.B) {
	sizes := []int{10_000, 1_000_000}
	if s := os.Getenv("DEBUT_BENCH_ROWS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	for _, rows := range sizes {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			db := filled(b, rows)
			r := rand.New(rand.NewPCG(1, 2))
			benchmarkUpdates(b, db, r, rows, 1000) // warm
			b.ResetTimer()
			before := cpuTime(b)
			benchmarkUpdates(b, db, r, rows, b.N)
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)*lookups/b.Elapsed().Seconds(), "lookups/s")
		})
	}
}

// cpuTime is what this process has used, in nanoseconds: less moved by neighbours and
// by the disk than the time that passes.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

const (
	lookups = 1000
	writes  = 10
)

// finding is the key of row i of n: rule, group, time, id, in rising order of i.
func finding(i, n int, id uint64) []byte {
	k := make([]byte, 0, 44)
	k = binary.BigEndian.AppendUint32(k, 7)
	k = binary.BigEndian.AppendUint64(k, uint64(i)*(math.MaxUint64/uint64(n)))
	k = binary.BigEndian.AppendUint64(k, uint64(i)*0x9E3779B97F4A7C15)
	k = binary.BigEndian.AppendUint64(k, 1_790_000_000_000_000_000+uint64(i))
	k = binary.BigEndian.AppendUint64(k, id)
	return binary.BigEndian.AppendUint64(k, id)
}

func filled(b *testing.B, rows int) *DB {
	b.Helper()
	dir := os.Getenv("DEBUT_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	o := Options{}
	if s := os.Getenv("DEBUT_BENCH_PRAGMAS"); s != "" {
		o.pragmas = strings.Split(s, ";")
	}
	db := open(b, filepath.Join(dir, strconv.Itoa(rows)), o)
	b.Cleanup(func() { _ = db.Close() })
	for done := false; !done; {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			next := 0
			for p, err := range tx.Reverse(store.Meta, nil, nil) {
				if err != nil {
					return err
				}
				next = int(binary.BigEndian.Uint64(p.Value))
			}
			for range min(100_000, rows-next) {
				if err := tx.Put(store.Findings, finding(next, rows, 1), make([]byte, 60)); err != nil {
					return err
				}
				next++
			}
			done = next == rows
			return tx.Put(store.Meta, []byte("next"), binary.BigEndian.AppendUint64(nil, uint64(next)))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return db
}

func benchmarkUpdates(b *testing.B, db *DB, r *rand.Rand, rows, times int) {
	b.Helper()
	value := make([]byte, 60)
	for range times {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for range lookups {
				k := finding(r.IntN(rows), rows, 1)
				from := k[:20:20]
				to := slices.Concat(from, afterAll[:9])
				n := 0
				for _, err := range tx.Range(store.Findings, from, to) {
					if err != nil {
						return err
					}
					n++
				}
				if n == 0 {
					return fmt.Errorf("nothing at %x", from)
				}
			}
			for range writes {
				if err := tx.Put(store.Findings, finding(r.IntN(rows), rows, 1), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut is an Update that adds and replaces 1,000 pairs.
func BenchmarkPut(b *testing.B) {
	db := filled(b, 1_000_000)
	r := rand.New(rand.NewPCG(3, 4))
	value := make([]byte, 60)
	before := cpuTime(b)
	for b.Loop() {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for i := range 1000 {
				if err := tx.Put(store.Findings, finding(r.IntN(1_000_000), 1_000_000, 1+uint64(i%2)), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}
