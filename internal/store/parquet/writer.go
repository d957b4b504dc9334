package parquet

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

const (
	// When a row group is full: it is what a search reads at least, and what a writer
	// holds in memory, compressed.
	groupRows = 64 << 10
	groupRaw  = 128 << 20
	// pageBytes is what is unpacked for a record that stands alone. A page ends with a
	// batch of rows.
	pageBytes = 128 << 10
	batchRows = 128
	// batchRaw bytes of records end a batch too, and rawRows are written to their column
	// at once: a page is not looked at in between.
	batchRaw = 1 << 20
	rawRows  = 16
)

// A Row is one event to write.
type Row struct {
	store.Record

	Ingested int64     // nanoseconds; 0: not known
	Event    ecs.Event // the view of the record, for the columns
}

// Info says what a file holds.
type Info struct {
	Rows     int64
	Min, Max int64 // times, nanoseconds
	Raw      int64 // bytes of the records
	Bytes    int64 // of the file
	Sums     Sums
}

// A Writer writes one segment, row by row, sorted by (time, ID).
type Writer struct {
	cols *Columns
	out  *summer
	w    *parquet.GenericWriter[any]
	by   []*parquet.ColumnWriter // by index in the schema
	own  struct{ time, nanos, id, kind, inexact, ingested, raw, bytes int }
	at   []int // index in the schema of each of columns

	usual []parquet.Value // of each column; a batch that is short of rows ends in it
	most  int             // rows of a group
	// A batch is written to the columns on a goroutine of its own while the next one is
	// filled; done says how that went. Nothing else touches the columns meanwhile.
	batch, writing *batch
	done           chan error // nil: nothing is written
	// unplaced says that records have no places: nobody looked.
	unplaced bool
	group    struct {
		rows int
		raw  int64
	}
	info Info
	last *Row // time and ID of the last
	err  error
}

// A batch is some rows, column by column.
type batch struct {
	rows   int
	values [][]parquet.Value // by index in the schema; without the usual ones at the end
	text   []byte            // of the values
	// The records themselves, one behind the other, and where each ends.
	records []byte
	ends    []int
}

// NewWriter returns a writer to w. places names the databases that the records' places
// come from; empty: nothing was looked up, and they are not stored.
func NewWriter(w io.Writer, cols *Columns, places string) *Writer {
	s := schema()
	out := &summer{w: w}
	options := []parquet.WriterOption{
		s,
		parquet.Compression(codec{}),
		parquet.PageBufferSize(pageBytes),
		parquet.DictionaryMaxBytes(4 << 20),
		parquet.DataPageStatistics(false),
		parquet.SkipPageBounds(colRaw),
		parquet.SkipPageBounds(colBytes),
		parquet.SkipPageBounds(colID),
		parquet.SkipPageBounds("event.id"),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(colTime))),
		parquet.CreatedBy("Debut", formatVersion, ""),
		parquet.KeyValueMetadata(metaFormat, formatVersion),
		parquet.KeyValueMetadata(metaMapping, mappingVersion),
	}
	if places != "" {
		options = append(options, parquet.KeyValueMetadata(metaPlaces, places))
	}
	var blooms []parquet.BloomFilterColumn
	for i := range columns {
		if columns[i].bloom {
			blooms = append(blooms, parquet.SplitBlockFilter(10, columns[i].name))
		}
	}
	options = append(options, parquet.BloomFilters(blooms...))
	pw := &Writer{cols: cols, out: out, w: parquet.NewGenericWriter[any](out, options...), most: groupRows, unplaced: places == "", last: &Row{}}
	pw.by = pw.w.ColumnWriters()
	pw.batch, pw.writing = &batch{values: make([][]parquet.Value, len(pw.by))}, &batch{values: make([][]parquet.Value, len(pw.by))}
	pw.usual = make([]parquet.Value, len(pw.by))
	index := func(name string) int {
		leaf, ok := s.Lookup(name)
		if !ok {
			panic("parquet: no column " + name)
		}
		return leaf.ColumnIndex
	}
	o := &pw.own
	o.time, o.nanos, o.id, o.kind = index(colTime), index(colNanos), index(colID), index(colKind)
	o.inexact, o.ingested, o.raw, o.bytes = index(colInexact), index(colIngested), index(colRaw), index(colBytes)
	for i := range columns {
		pw.at = append(pw.at, index(columns[i].name))
	}
	for i := range pw.usual {
		pw.usual[i] = parquet.NullValue().Level(0, 0, i)
	}
	for _, i := range []int{o.nanos, o.inexact} {
		pw.usual[i] = parquet.Int32Value(0).Level(0, 0, i)
	}
	pw.usual[o.kind] = parquet.ByteArrayValue([]byte(kindRecord)).Level(0, 0, o.kind)
	return pw
}

// Write adds a row. Nothing of it is kept. Rows come in order of (time, ID).
func (w *Writer) Write(r *Row) (err error) {
	if w.err != nil {
		return w.err
	}
	defer func() { w.err = err }()
	defer guard(&err)
	if w.info.Rows > 0 && (r.Time < w.last.Time || r.Time == w.last.Time && string(r.ID[:]) < string(w.last.ID[:])) {
		return errors.New("write a segment: the rows are not sorted")
	}
	w.last.Time, w.last.ID = r.Time, r.ID
	if w.info.Rows == 0 {
		w.info.Min = r.Time
	}
	w.info.Max = r.Time
	w.info.Rows++
	w.info.Raw += int64(len(r.Raw))
	w.raw(r)
	w.fields(r)
	w.batch.rows++ // columns without a value of this row have their usual one
	w.group.rows++
	w.group.raw += int64(len(r.Raw))
	full := w.group.rows >= w.most || w.group.raw >= groupRaw
	if full || w.batch.rows == batchRows || len(w.batch.records) >= batchRaw {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if full {
		if err := w.written(); err != nil {
			return err
		}
		w.group.rows, w.group.raw = 0, 0
		if err := w.w.Flush(); err != nil {
			return fmt.Errorf("write a row group: %w", err)
		}
	}
	return nil
}

// raw adds the record itself to the batch.
func (w *Writer) raw(r *Row) {
	text := r.Raw
	if !utf8.Valid(r.Raw) { // what is no text cannot stand in a column of text
		text = nil
		w.put(w.own.bytes, parquet.ByteArrayValue(w.keep(string(r.Raw))).Level(0, 1, w.own.bytes))
	}
	w.batch.records = append(w.batch.records, text...)
	w.batch.ends = append(w.batch.ends, len(w.batch.records))
}

func (w *Writer) fields(r *Row) {
	micros, nanos := floorDiv(r.Time, 1000)
	w.put(w.own.time, parquet.Int64Value(micros).Level(0, 0, w.own.time))
	if nanos != 0 {
		w.put(w.own.nanos, parquet.Int32Value(int32(nanos)).Level(0, 0, w.own.nanos))
	}
	w.put(w.own.id, parquet.FixedLenByteArrayValue(w.keep(string(r.ID[:]))).Level(0, 0, w.own.id))
	if r.Kind == store.KindDocument {
		w.put(w.own.kind, parquet.ByteArrayValue([]byte(kindDocument)).Level(0, 0, w.own.kind))
	}
	if r.Ingested != 0 {
		micros, _ := floorDiv(r.Ingested, 1000)
		w.put(w.own.ingested, parquet.Int64Value(micros).Level(0, 1, w.own.ingested))
	}
	inexact := int32(0)
	unplaced := w.unplaced && r.Kind == store.KindRecord
	for i, f := range w.cols.fields {
		if unplaced && columns[i].place {
			continue
		}
		values := r.Event.Values(f)
		if len(values) == 0 {
			continue
		}
		v, exact := w.value(columns[i].shape, values)
		if !exact {
			inexact |= 1 << i
		}
		if !v.IsNull() {
			w.put(w.at[i], v.Level(0, 1, w.at[i]))
		}
	}
	if inexact != 0 {
		w.put(w.own.inexact, parquet.Int32Value(inexact).Level(0, 0, w.own.inexact))
	}
}

// value returns what stands in a column for the values of its field, and whether that
// is all of them, exactly.
func (w *Writer) value(s shape, values []string) (v parquet.Value, exact bool) {
	exact = len(values) == 1
	text := values[0]
	switch s {
	case integer:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != text {
			return parquet.NullValue(), false
		}
		return parquet.Int64Value(n), exact
	case degrees:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return parquet.NullValue(), false
		}
		return parquet.DoubleValue(n), exact
	case words, unique:
	}
	if len(text) > maxValue || !utf8.ValidString(text) {
		text, exact = strings.ToValidUTF8(text[:min(len(text), maxValue)], "�"), false
	}
	return parquet.ByteArrayValue(w.keep(text)), exact
}

// keep copies a text that the batch needs until it is written.
func (w *Writer) keep(s string) []byte {
	b := w.batch
	if cap(b.text)-len(b.text) < len(s) {
		b.text = make([]byte, 0, max(256<<10, len(s))) // what is in use stays where it is
	}
	start := len(b.text)
	b.text = append(b.text, s...)
	return b.text[start:len(b.text):len(b.text)]
}

// put sets the value of the row that is written. The rows before without one get the
// usual value.
func (w *Writer) put(column int, v parquet.Value) {
	b := w.batch.values[column]
	for len(b) < w.batch.rows {
		b = append(b, w.usual[column])
	}
	w.batch.values[column] = append(b, v)
}

// flush begins to write the batch.
func (w *Writer) flush() error {
	if err := w.written(); err != nil {
		return err
	}
	b, next := w.batch, w.writing
	w.batch, w.writing = next, b
	next.rows, next.text, next.records, next.ends = 0, next.text[:0], next.records[:0], next.ends[:0]
	if cap(next.records)+cap(next.text) > 4*batchRaw {
		next.records, next.text = nil, nil // one giant must not keep its room
	}
	for i := range next.values {
		next.values[i] = next.values[i][:0]
	}
	done := make(chan error, 1) // nobody may wait for it
	w.done = done
	go func() { done <- w.write(b) }()
	return nil
}

// written waits until what was begun to be written is written.
func (w *Writer) written() error {
	if w.done == nil {
		return nil
	}
	err := <-w.done
	w.done = nil
	return err
}

// write writes a batch to the columns.
func (w *Writer) write(b *batch) (err error) {
	defer guard(&err)
	for i, values := range b.values {
		if i == w.own.raw {
			continue
		}
		for len(values) < b.rows {
			values = append(values, w.usual[i])
		}
		if _, err := w.by[i].WriteRowValues(values); err != nil {
			return fmt.Errorf("write a column: %w", err)
		}
		b.values[i] = values // its room
	}
	var rows [rawRows]parquet.Value
	start := 0
	for part := range slices.Chunk(b.ends, rawRows) {
		for i, end := range part {
			rows[i] = parquet.ByteArrayValue(b.records[start:end]).Level(0, 0, w.own.raw)
			start = end
		}
		if _, err := w.by[w.own.raw].WriteRowValues(rows[:len(part)]); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
	}
	return nil
}

// Bytes is how many bytes of records were written so far.
func (w *Writer) Bytes() int64 { return w.info.Raw }

// Rows is how many rows were written so far.
func (w *Writer) Rows() int64 { return w.info.Rows }

// Close ends the file and says what is in it. It does not close what it writes to.
func (w *Writer) Close() (info Info, err error) {
	if w.err != nil {
		return Info{}, w.err
	}
	defer guard(&err)
	if err := errors.Join(w.flush(), w.written()); err != nil {
		return Info{}, err
	}
	if err := w.w.Close(); err != nil {
		return Info{}, fmt.Errorf("end a segment: %w", err)
	}
	w.info.Bytes, w.info.Sums = w.out.n, w.out.all()
	return w.info, nil
}

// floorDiv divides so that the rest is not negative.
func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return q, r
}
