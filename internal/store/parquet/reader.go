package parquet

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// A File is a segment that is read. Its methods may be called by one goroutine at a
// time. Errors wrap [store.ErrDamaged] if the file is not what was written.
type File struct {
	f      *parquet.File
	groups []Group
	byName map[string]int // index in the schema of the columns that can be searched
	bits   map[string]int // of them in debut.inexact
	own    struct{ time, nanos, id, kind, inexact, ingested, raw, bytes int }
	places []int // index in the schema of the columns of places; nil if they were not filled
}

// A Group is a row group: rows sorted by (time, ID).
type Group struct {
	Rows     int
	Min, Max int64 // times, nanoseconds, at most a microsecond too wide
}

// readAhead is how much is read at once beyond what is asked for: of records, the most of
// a page, since the next one that is wanted is mostly far away.
const readAhead = 32 << 10

// Open reads the footer of a segment of size bytes. Everything is read through sums.
func Open(r io.ReaderAt, size int64, sums Sums) (f *File, err error) {
	defer guard(&err)
	in, err := newChecked(r, size, sums)
	if err != nil {
		return nil, err
	}
	p, err := parquet.OpenFile(in, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true), parquet.ReadBufferSize(readAhead))
	if err != nil {
		return nil, damaged(err)
	}
	if v, _ := p.Lookup(metaFormat); v != formatVersion {
		return nil, fmt.Errorf("%w: segment of version %q, this program knows %s", store.ErrFormat, v, formatVersion)
	}
	f = &File{f: p, byName: map[string]int{}, bits: map[string]int{}}
	s := p.Schema()
	index := func(name string) int {
		leaf, ok := s.Lookup(name)
		if !ok {
			err = fmt.Errorf("%w: no column %s", store.ErrDamaged, name)
		}
		return leaf.ColumnIndex
	}
	o := &f.own
	o.time, o.nanos, o.id, o.kind = index(colTime), index(colNanos), index(colID), index(colKind)
	o.inexact, o.ingested, o.raw, o.bytes = index(colInexact), index(colIngested), index(colRaw), index(colBytes)
	if err != nil {
		return nil, err
	}
	f.findColumns(s)
	for _, g := range p.RowGroups() {
		lo, hi, ok := g.ColumnChunks()[o.time].(*parquet.FileColumnChunk).Bounds()
		if !ok || g.NumRows() < 1 || g.NumRows() > 1<<24 {
			return nil, fmt.Errorf("%w: a row group without bounds", store.ErrDamaged)
		}
		f.groups = append(f.groups, Group{int(g.NumRows()), lo.Int64() * 1000, hi.Int64()*1000 + 999})
	}
	return f, nil
}

// findColumns notes which columns may be searched: those that hold what this program
// would have put there.
func (f *File) findColumns(s *parquet.Schema) {
	mapping, _ := f.f.Lookup(metaMapping)
	_, placed := f.f.Lookup(metaPlaces)
	for bit, c := range columns {
		leaf, ok := s.Lookup(c.name)
		if ok && mapping == mappingVersion && c.shape != degrees && c.shape != integer && (placed || !c.place) {
			f.byName[c.name], f.bits[c.name] = leaf.ColumnIndex, bit
		}
		if c.place && placed {
			i := -1
			if ok {
				i = leaf.ColumnIndex
			}
			f.places = append(f.places, i)
		}
	}
}

// damaged makes an error of a library one of ours, unless the disk could not be read.
func damaged(err error) error {
	if err == nil || errors.Is(err, store.ErrDamaged) {
		return err
	}
	if errors.Is(err, errDisk) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrDamaged, err)
}

// errDisk marks errors of the disk, which are not damage.
var errDisk = errors.New("the disk cannot be read")

// Groups returns the row groups, in order of time.
func (f *File) Groups() []Group { return f.groups }

// Places names the databases that the places of the rows come from; empty: nothing was
// looked up.
func (f *File) Places() string {
	places, _ := f.f.Lookup(metaPlaces)
	return places
}

// Rows returns the number of rows.
func (f *File) Rows() int64 { return f.f.NumRows() }

// chunk returns a column of a group.
func (f *File) chunk(group, column int) *parquet.FileColumnChunk {
	c, _ := f.f.RowGroups()[group].ColumnChunks()[column].(*parquet.FileColumnChunk)
	return c
}

// pages calls do for every page of a column in a group. The page is valid until do
// returns.
func (f *File) pages(group, column int, do func(parquet.Page) error) error {
	return pagesOf(f.chunk(group, column), f.groups[group].Rows, do)
}

func pagesOf(chunk *parquet.FileColumnChunk, want int, do func(parquet.Page) error) error {
	pages := chunk.Pages()
	defer func() { _ = pages.Close() }() // only read from
	rows := int64(0)
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged(err)
		}
		rows += p.NumRows()
		err = do(p)
		parquet.Release(p)
		if err != nil {
			return err
		}
	}
	if rows != int64(want) {
		return fmt.Errorf("%w: a column of %d rows in a group of %d", store.ErrDamaged, rows, want)
	}
	return nil
}

// times reads the times of a group's rows, in nanoseconds.
func (f *File) times(group int) ([]int64, error) {
	out := make([]int64, 0, f.groups[group].Rows)
	err := f.pages(group, f.own.time, func(p parquet.Page) error {
		d := p.Data()
		out = append(out, d.Int64()...)
		return nil
	})
	for i := range out {
		out[i] *= 1000
	}
	if err != nil || f.constant(group, f.own.nanos, 0) {
		return out, err
	}
	rest, err := f.int32s(group, f.own.nanos)
	for i := range rest {
		out[i] += int64(rest[i])
	}
	return out, err
}

// constant reports whether all values of an INT32 column are v.
func (f *File) constant(group, column int, v int32) bool {
	lo, hi, ok := f.chunk(group, column).Bounds()
	return ok && lo.Int32() == v && hi.Int32() == v
}

// int32s reads a column of INT32 that has a dictionary.
func (f *File) int32s(group, column int) ([]int32, error) {
	out := make([]int32, 0, f.groups[group].Rows)
	err := f.pages(group, column, func(p parquet.Page) error {
		d := p.Data()
		values := d.Int32()
		dict := p.Dictionary()
		if dict == nil {
			out = append(out, values...)
			return nil
		}
		for _, code := range values {
			out = append(out, dict.Index(code).Int32())
		}
		return nil
	})
	return out, err
}

// ids reads the IDs of a group's rows.
func (f *File) ids(group int) ([]ecs.ID, error) {
	out := make([]ecs.ID, 0, f.groups[group].Rows)
	err := f.pages(group, f.own.id, func(p parquet.Page) error {
		d := p.Data()
		b, size := d.FixedLenByteArray()
		if size != len(ecs.ID{}) {
			return fmt.Errorf("%w: ids of %d bytes", store.ErrDamaged, size)
		}
		for c := range slices.Chunk(b, size) {
			out = append(out, ecs.ID(c))
		}
		return nil
	})
	return out, err
}

// int64s reads a column of INT64 without a dictionary, and appends it to dst.
func int64s(chunk *parquet.FileColumnChunk, rows int, dst []int64) ([]int64, error) {
	err := pagesOf(chunk, rows, func(p parquet.Page) error {
		d := p.Data()
		dst = append(dst, d.Int64()...)
		return nil
	})
	return dst, err
}

// optionalInt64s reads a column of INT64; absent values are 0.
func (f *File) optionalInt64s(group, column int) ([]int64, error) {
	out := make([]int64, 0, f.groups[group].Rows)
	err := f.pages(group, column, func(p parquet.Page) error {
		d := p.Data()
		dict := p.Dictionary()
		next := 0
		for _, level := range p.DefinitionLevels() {
			v := int64(0)
			switch {
			case level == 0:
			case dict != nil:
				v = dict.Index(d.Int32()[next]).Int64()
				next++
			default:
				v = d.Int64()[next]
				next++
			}
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

// A texts column: a code for each row, and what the codes stand for.
type coded struct {
	codes  []int32    // by row; -1: no value
	values [][]string // by code
}

// coded reads a column of text.
func (f *File) coded(group, column int) (*coded, error) {
	return codedOf(f.chunk(group, column), f.groups[group].Rows)
}

func codedOf(chunk *parquet.FileColumnChunk, rows int) (*coded, error) {
	c := &coded{codes: make([]int32, 0, rows)}
	taken := false // the dictionary, whose codes are ours
	err := pagesOf(chunk, rows, func(p parquet.Page) error {
		d, dict, levels := p.Data(), p.Dictionary(), p.DefinitionLevels()
		if dict == nil {
			data, offsets := d.ByteArray()
			c.plain(data, offsets, levels)
			return nil
		}
		if !taken {
			if len(c.values) > 0 {
				return fmt.Errorf("%w: a dictionary behind pages without one", store.ErrDamaged)
			}
			c.dictionary(dict)
			taken = true
		}
		codes := d.Int32()
		if levels == nil {
			c.codes = append(c.codes, codes...)
			return nil
		}
		for _, level := range levels {
			if level == 0 {
				c.codes = append(c.codes, -1)
				continue
			}
			c.codes, codes = append(c.codes, codes[0]), codes[1:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(c.codes) > 0 && int(slices.Max(c.codes)) >= len(c.values) {
		return nil, fmt.Errorf("%w: a code beyond the dictionary", store.ErrDamaged)
	}
	return c, nil
}

// dictionary takes the values of a dictionary, which are parts of one text.
func (c *coded) dictionary(dict parquet.Dictionary) {
	d := dict.Page().Data()
	data, offsets := d.ByteArray()
	text := string(data)
	all := make([]string, max(0, len(offsets)-1))
	c.values = make([][]string, len(all))
	for i := range all {
		all[i] = text[offsets[i]-offsets[0] : offsets[i+1]-offsets[0]]
		c.values[i] = all[i : i+1 : i+1]
	}
}

// plain adds a page without a dictionary.
func (c *coded) plain(data []byte, offsets []uint32, levels []byte) {
	n := 0
	next := func() int32 {
		n++
		return c.value(string(data[offsets[n-1]:offsets[n]]))
	}
	if levels == nil {
		for range len(offsets) - 1 {
			c.codes = append(c.codes, next())
		}
		return
	}
	for _, level := range levels {
		if level == 0 {
			c.codes = append(c.codes, -1)
			continue
		}
		c.codes = append(c.codes, next())
	}
}

// value adds a value and returns its code.
func (c *coded) value(text string) int32 {
	c.values = append(c.values, []string{text})
	return int32(len(c.values) - 1)
}
