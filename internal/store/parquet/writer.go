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

	batch [][]parquet.Value // by index in the schema; rows not yet handed on
	usual []parquet.Value   // of each column; a batch that is short of rows ends in it
	rows  int               // in batch
	text  []byte            // of the batch's values
	most  int               // rows of a group
	// The records themselves are most of the work, and are written on another goroutine:
	// records is the batch's, writing the one before, and done says how that went.
	records, writing records
	done             chan error // nil: nothing is written
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
	pw.batch = make([][]parquet.Value, len(pw.by))
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
	w.rows++ // columns without a value of this row have their usual one
	w.group.rows++
	w.group.raw += int64(len(r.Raw))
	full := w.group.rows >= w.most || w.group.raw >= groupRaw
	if full || w.rows == batchRows || len(w.records.text) >= batchRaw {
		if err := w.flushBatch(); err != nil {
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
	w.records.text = append(w.records.text, text...)
	w.records.ends = append(w.records.ends, len(w.records.text))
}

// records are texts, one behind the other.
type records struct {
	text []byte
	ends []int
}

// write writes records to their column.
func (r *records) write(to *parquet.ColumnWriter, column int) (err error) {
	defer guard(&err)
	var rows [rawRows]parquet.Value
	start := 0
	for part := range slices.Chunk(r.ends, rawRows) {
		for i, end := range part {
			rows[i] = parquet.ByteArrayValue(r.text[start:end]).Level(0, 0, column)
			start = end
		}
		if _, err := to.WriteRowValues(rows[:len(part)]); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
	}
	return nil
}

// writeRecords begins to write the batch's records. It takes as long as the next batch
// does, and touches nothing that other columns do.
func (w *Writer) writeRecords() error {
	if err := w.written(); err != nil {
		return err
	}
	w.records, w.writing = w.writing, w.records
	w.records.ends = w.records.ends[:0]
	if w.records.text = w.records.text[:0]; cap(w.records.text) > 4*batchRaw {
		w.records.text = nil // one giant must not keep its room
	}
	done := make(chan error, 1) // nobody may wait for it
	w.done = done
	r, to, column := w.writing, w.by[w.own.raw], w.own.raw
	go func() { done <- r.write(to, column) }()
	return nil
}

// written waits until the records are written that were begun to be.
func (w *Writer) written() error {
	if w.done == nil {
		return nil
	}
	err := <-w.done
	w.done = nil
	return err
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
	if cap(w.text)-len(w.text) < len(s) {
		w.text = make([]byte, 0, max(256<<10, len(s))) // what is in use stays where it is
	}
	start := len(w.text)
	w.text = append(w.text, s...)
	return w.text[start:len(w.text):len(w.text)]
}

// put sets the value of the row that is written. The rows before without one get the
// usual value.
func (w *Writer) put(column int, v parquet.Value) {
	b := w.batch[column]
	for len(b) < w.rows {
		b = append(b, w.usual[column])
	}
	w.batch[column] = append(b, v)
}

func (w *Writer) flushBatch() error {
	if err := w.writeRecords(); err != nil {
		return err
	}
	for i, values := range w.batch {
		if i == w.own.raw {
			continue
		}
		for len(values) < w.rows {
			values = append(values, w.usual[i])
		}
		if _, err := w.by[i].WriteRowValues(values); err != nil {
			return fmt.Errorf("write a column: %w", err)
		}
		w.batch[i] = values[:0]
	}
	w.rows, w.text = 0, w.text[:0]
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
	if err := errors.Join(w.flushBatch(), w.written()); err != nil {
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
