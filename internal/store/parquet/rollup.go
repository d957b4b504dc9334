package parquet

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/debutsec/debut/internal/store"
)

// rollupRows is how many rows a row group of rollups has: a reader that looks for one
// principal reads one or two of them.
const rollupRows = 8 << 10

// A Rollup is one row of a file of rollups.
type Rollup struct {
	store.Rollup

	// Elsewhere are the segments, rising, that have the row's events too and were there
	// before: the row counts only while none of them is.
	Elsewhere []uint64
}

// rollupRow is a Rollup as it is stored.
type rollupRow struct {
	Principal string `parquet:"debut.principal,dict"`
	Hour      int64  `parquet:"hour,timestamp(microsecond),delta"`
	Provider  string `parquet:"event.provider,dict"`
	Action    string `parquet:"event.action,dict"`
	Outcome   string `parquet:"event.outcome,dict"`
	Account   string `parquet:"cloud.account.id,dict"`
	Region    string `parquet:"cloud.region,dict"`
	Network   string `parquet:"source.network,dict"`
	Agent     string `parquet:"user_agent.class,dict"`
	Elsewhere string `parquet:"debut.elsewhere,dict"`
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
		out, parquet.Compression(codec{}), parquet.MaxRowsPerRowGroup(rollupRows), parquet.DataPageStatistics(false),
		parquet.SkipPageBounds("debut.elsewhere"),
		parquet.CreatedBy("Debut", formatVersion, ""),
		parquet.KeyValueMetadata(metaFormat, rollupVersion), parquet.KeyValueMetadata(metaMapping, mappingVersion),
	)}
}

// Write adds rollups. Nothing of list is kept. Readers are fast if they come by
// principal.
func (w *RollupWriter) Write(list []Rollup) (err error) {
	defer guard(&err)
	var rows [256]rollupRow
	for part := range slices.Chunk(list, len(rows)) {
		for i := range part {
			r := &part[i]
			rows[i] = rollupRow{
				r.Principal, r.Hour.UnixMicro(), r.Provider, r.Action, r.Outcome, r.Account, r.Region, r.Network, r.Agent,
				joinIDs(r.Elsewhere), r.First.UnixMicro(), r.Last.UnixMicro(), r.Count,
			}
		}
		if _, err := w.w.Write(rows[:len(part)]); err != nil {
			return fmt.Errorf("write rollups: %w", err)
		}
		w.info.Rows += int64(len(part))
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

// joinIDs is how Elsewhere stands in its column.
func joinIDs(ids []uint64) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, id, 10)
	}
	return string(b)
}

func splitIDs(s string) (ids []uint64, err error) {
	for f := range strings.FieldsSeq(s) {
		id, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is no list of segments", store.ErrDamaged, s)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// A rollupFile is one that is read.
type rollupFile struct {
	f        *parquet.File
	query    *store.RollupQuery
	from, to int64 // hours that are wanted, microseconds
	columns  [numRollupColumns]int
	wanted   [numTexts]string // of the texts; empty: any
	want     []int            // which are not empty

	texts   [numTexts]*coded
	numbers [numRollupColumns - numTexts][]int64
}

// The columns of a file of rollups: texts, then numbers.
const (
	textPrincipal = iota
	textProvider
	textAction
	textOutcome
	textAccount
	textRegion
	textNetwork
	textAgent
	textElsewhere
	numTexts
	numHour = iota - 1
	numFirst
	numLast
	numCount
	numRollupColumns
)

var rollupColumns = [numRollupColumns]string{ //nolint:gochecknoglobals // a constant table
	textPrincipal: "debut.principal", textProvider: "event.provider", textAction: "event.action", textOutcome: "event.outcome",
	textAccount: "cloud.account.id", textRegion: "cloud.region", textNetwork: "source.network", textAgent: "user_agent.class",
	textElsewhere: "debut.elsewhere", numHour: "hour", numFirst: "first", numLast: "last", numCount: "count",
}

// ReadRollups calls do for the rollups of a file that q wants, until it returns false,
// which ReadRollups then does too. The whole file is compared with its sums before. A
// rollup is valid until the next, its texts are do's to keep. If the columns are those of
// another mapping it returns [store.ErrFormat].
func ReadRollups(file []byte, sums Sums, q *store.RollupQuery, do func(*Rollup) bool) (more bool, err error) {
	defer guard(&err)
	size := int64(len(file))
	if err := CheckSums(bytes.NewReader(file), size, sums); err != nil {
		return false, err
	}
	p, err := parquet.OpenFile(bytes.NewReader(file), size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return false, damaged(err)
	}
	for _, m := range [][2]string{{metaFormat, rollupVersion}, {metaMapping, mappingVersion}} {
		if v, _ := p.Lookup(m[0]); v != m[1] {
			return false, fmt.Errorf("%w: rollups of %s %q, this program knows %s", store.ErrFormat, m[0], v, m[1])
		}
	}
	f := &rollupFile{f: p, query: q, from: math.MinInt64, to: math.MaxInt64, wanted: [numTexts]string{
		textPrincipal: q.Principal, textProvider: q.Provider, textAction: q.Action,
		textAccount: q.Account, textRegion: q.Region, textNetwork: q.Network,
	}}
	for i, text := range f.wanted {
		if text != "" {
			f.want = append(f.want, i)
		}
	}
	if !q.From.IsZero() {
		f.from = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		f.to = q.To.UnixMicro()
	}
	for i, name := range rollupColumns {
		leaf, ok := p.Schema().Lookup(name)
		if !ok {
			return false, fmt.Errorf("%w: no column %s", store.ErrDamaged, name)
		}
		f.columns[i] = leaf.ColumnIndex
	}
	for _, g := range p.RowGroups() {
		if more, err = f.read(g, do); err != nil || !more {
			return more, damaged(err)
		}
	}
	return true, nil
}

// read reads one row group.
func (f *rollupFile) read(g parquet.RowGroup, do func(*Rollup) bool) (more bool, err error) {
	if f.excluded(g) {
		return true, nil
	}
	rows := int(g.NumRows())
	var code [numTexts]int32 // that is wanted
	for _, i := range f.want {
		if err := f.readTexts(g, i); err != nil {
			return false, err
		}
		code[i] = int32(slices.IndexFunc(f.texts[i].values, func(v []string) bool { return v[0] == f.wanted[i] }))
		if code[i] < 0 {
			return true, nil
		}
	}
	// What is wanted is read, and the rest only if a row has it.
	first, last := rows, 0
	for row := range rows {
		if f.has(row, &code) {
			first, last = min(first, row), row+1
		}
	}
	if first >= last {
		return true, nil
	}
	for i := range numTexts {
		if f.wanted[i] != "" || f.query.Totals && (i == textOutcome || i == textAgent) {
			continue
		}
		if err := f.readTexts(g, i); err != nil {
			return false, err
		}
	}
	for i := range f.numbers {
		if f.numbers[i], err = int64s(f.chunk(g, numTexts+i), rows, f.numbers[i][:0]); err != nil {
			return false, err
		}
	}
	elsewhere := make([][]uint64, len(f.texts[textElsewhere].values))
	for i, v := range f.texts[textElsewhere].values {
		if elsewhere[i], err = splitIDs(v[0]); err != nil {
			return false, err
		}
	}
	var out Rollup
	for row := first; row < last; {
		if !f.has(row, &code) || !f.inTime(row) {
			row++
			continue
		}
		like, sum := row, f.tally(row)
		for row++; f.query.Totals && row < last && f.alike(like, row) && f.inTime(row); row++ {
			sum.add(f.tally(row))
		}
		f.row(like, &out)
		out.Elsewhere = elsewhere[f.texts[textElsewhere].codes[like]]
		out.Count, out.First, out.Last = sum.count, micros(sum.first), micros(sum.last)
		if !do(&out) {
			return false, nil
		}
	}
	return true, nil
}

// A tally is how many events rows count, and when they were, in microseconds.
type tally struct{ count, first, last int64 }

func (f *rollupFile) tally(row int) tally {
	return tally{f.numbers[numCount-numTexts][row], f.numbers[numFirst-numTexts][row], f.numbers[numLast-numTexts][row]}
}

func (t *tally) add(o tally) {
	t.count += o.count
	t.first, t.last = min(t.first, o.first), max(t.last, o.last)
}

// inTime reports whether the hour of a row is wanted.
func (f *rollupFile) inTime(row int) bool {
	hour := f.numbers[numHour-numTexts][row]
	return hour >= f.from && hour < f.to
}

// alike reports whether two rows belong to one total. Those that do stand together for
// the most part.
func (f *rollupFile) alike(a, b int) bool {
	for _, t := range f.texts {
		if t != nil && t.codes[a] != t.codes[b] {
			return false
		}
	}
	return true
}

// excluded reports whether the bounds of a row group say that it has nothing.
func (f *rollupFile) excluded(g parquet.RowGroup) bool {
	lo, hi, ok := f.chunk(g, numHour).Bounds()
	if ok && (lo.Int64() >= f.to || hi.Int64() < f.from) {
		return true
	}
	for _, i := range f.want {
		lo, hi, ok := f.chunk(g, i).Bounds()
		if ok && (f.wanted[i] < string(lo.ByteArray()) || f.wanted[i] > string(hi.ByteArray())) {
			return true
		}
	}
	return false
}

func (f *rollupFile) chunk(g parquet.RowGroup, column int) *parquet.FileColumnChunk {
	c, _ := g.ColumnChunks()[f.columns[column]].(*parquet.FileColumnChunk)
	return c
}

func (f *rollupFile) readTexts(g parquet.RowGroup, i int) (err error) {
	f.texts[i], err = codedOf(f.chunk(g, i), int(g.NumRows()))
	return err
}

// has reports whether the texts of a row are those that are wanted.
func (f *rollupFile) has(row int, code *[numTexts]int32) bool {
	for _, i := range f.want {
		if f.texts[i].codes[row] != code[i] {
			return false
		}
	}
	return true
}

func (f *rollupFile) row(row int, r *Rollup) {
	text := func(i int) string {
		if f.texts[i] == nil {
			return ""
		}
		return f.texts[i].values[f.texts[i].codes[row]][0]
	}
	r.RollupKey = store.RollupKey{
		Hour:    micros(f.numbers[numHour-numTexts][row]),
		Account: text(textAccount), Region: text(textRegion), Principal: text(textPrincipal), Provider: text(textProvider),
		Action: text(textAction), Outcome: text(textOutcome), Network: text(textNetwork), Agent: text(textAgent),
	}
}

func micros(n int64) time.Time { return time.UnixMicro(n).UTC() }
