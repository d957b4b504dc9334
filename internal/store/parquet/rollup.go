package parquet

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/debutsec/debut/internal/store"
)

// A Rollup is how often something was done within one hour: all events of one file
// that are equal in these fields. To know all of an hour, rows with equal fields are
// added up.
type Rollup struct {
	Hour                        time.Time
	Principal, Provider, Action string
	Account, Region             string
	Network                     string // of the source address: /24 or /48; of a service its name
	Agent                       string // the class of the user agent, or the user agent itself
	First, Last                 time.Time
	Count                       int64
}

// rollupRow is a Rollup as it is stored.
type rollupRow struct {
	Hour      int64  `parquet:"hour,timestamp(microsecond),delta"`
	Principal string `parquet:"debut.principal,dict"`
	Provider  string `parquet:"event.provider,dict"`
	Action    string `parquet:"event.action,dict"`
	Account   string `parquet:"cloud.account.id,dict"`
	Region    string `parquet:"cloud.region,dict"`
	Network   string `parquet:"source.network,dict"`
	Agent     string `parquet:"user_agent.class,dict"`
	First     int64  `parquet:"first,timestamp(microsecond),delta"`
	Last      int64  `parquet:"last,timestamp(microsecond),delta"`
	Count     int64  `parquet:"count,delta"`
}

// A RollupWriter writes a file of rollups.
type RollupWriter struct {
	out  *summer
	w    *parquet.GenericWriter[rollupRow]
	info Info
}

// NewRollupWriter returns a writer to w.
func NewRollupWriter(w io.Writer) *RollupWriter {
	out := &summer{w: w}
	return &RollupWriter{out: out, w: parquet.NewGenericWriter[rollupRow](
		out, parquet.Compression(codec{}), parquet.MaxRowsPerRowGroup(groupRows), parquet.DataPageStatistics(false),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending("hour"))),
		parquet.CreatedBy("Debut", formatVersion, ""),
		parquet.KeyValueMetadata(metaFormat, formatVersion), parquet.KeyValueMetadata(metaMapping, mappingVersion),
	)}
}

// Write adds rollups, of hours that are not before those written. Nothing of list is
// kept.
func (w *RollupWriter) Write(list []Rollup) (err error) {
	defer guard(&err)
	var rows [256]rollupRow
	for len(list) > 0 {
		n := min(len(list), len(rows))
		for i := range n {
			r := &list[i]
			rows[i] = rollupRow{
				r.Hour.UnixMicro(), r.Principal, r.Provider, r.Action, r.Account, r.Region, r.Network, r.Agent,
				r.First.UnixMicro(), r.Last.UnixMicro(), r.Count,
			}
		}
		if _, err := w.w.Write(rows[:n]); err != nil {
			return fmt.Errorf("write rollups: %w", err)
		}
		w.info.Rows += int64(n)
		list = list[n:]
	}
	return nil
}

// Close ends the file and says how many rows and bytes it has, and their sums.
func (w *RollupWriter) Close() (info Info, err error) {
	defer guard(&err)
	if err := w.w.Close(); err != nil {
		return Info{}, fmt.Errorf("write rollups: %w", err)
	}
	w.info.Bytes, w.info.Sums = w.out.n, w.out.all()
	return w.info, nil
}

// ReadRollups reads the rollups of a file with from ≤ hour < to. If the columns are
// those of another mapping it returns [store.ErrFormat].
func ReadRollups(r io.ReaderAt, size int64, sums Sums, from, to time.Time) (list []Rollup, err error) {
	defer guard(&err)
	in, err := newChecked(r, size, sums)
	if err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(in, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true), parquet.ReadBufferSize(blockSize))
	if err != nil {
		return nil, damaged(err)
	}
	for _, m := range [][2]string{{metaFormat, formatVersion}, {metaMapping, mappingVersion}} {
		if v, _ := f.Lookup(m[0]); v != m[1] {
			return nil, fmt.Errorf("%w: rollups of %s %q, this program knows %s", store.ErrFormat, m[0], v, m[1])
		}
	}
	hour, ok := f.Schema().Lookup("hour")
	if !ok {
		return nil, fmt.Errorf("%w: no column hour", store.ErrDamaged)
	}
	for _, g := range f.RowGroups() {
		lo, hi, ok := g.ColumnChunks()[hour.ColumnIndex].(*parquet.FileColumnChunk).Bounds()
		if ok && (lo.Int64() >= to.UnixMicro() || hi.Int64() < from.UnixMicro()) {
			continue
		}
		if list, err = readRollupGroup(list, g, from.UnixMicro(), to.UnixMicro()); err != nil {
			return nil, damaged(err)
		}
	}
	return list, nil
}

func readRollupGroup(list []Rollup, g parquet.RowGroup, from, to int64) (_ []Rollup, err error) {
	r := parquet.NewGenericRowGroupReader[rollupRow](g)
	defer func() { err = errors.Join(err, r.Close()) }()
	var rows [256]rollupRow
	for {
		n, err := r.Read(rows[:])
		for i := range n {
			if v := &rows[i]; v.Hour >= from && v.Hour < to {
				list = append(list, Rollup{
					micros(v.Hour), v.Principal, v.Provider, v.Action, v.Account, v.Region, v.Network, v.Agent,
					micros(v.First), micros(v.Last), v.Count,
				})
			}
		}
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller does
		}
	}
}

func micros(n int64) time.Time { return time.UnixMicro(n).UTC() }
