package parquet

import (
	"cmp"
	"sort"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// A Selection is the rows of a group that may match, rising.
type Selection struct {
	Rows  []int32
	Times []int64
	IDs   []ecs.ID
	// Sure says of each that it does match.
	Sure []bool
}

// Select returns the rows of a group with from ≤ time < to that may match x; nil: all
// do. It reads as little as it can: bloom filters, then dictionaries, then columns.
func (f *File) Select(group int, from, to int64, x query.Expr) (s *Selection, err error) {
	defer guard(&err)
	s = &Selection{}
	g := f.groups[group]
	if g.Max < from || g.Min >= to {
		return s, nil
	}
	if x != nil {
		if no, err := f.excluded(group, x); err != nil || no {
			return s, err
		}
	}
	times, err := f.times(group)
	if err != nil {
		return nil, err
	}
	first := sort.Search(len(times), func(i int) bool { return times[i] >= from })
	last := sort.Search(len(times), func(i int) bool { return times[i] >= to })
	if first >= last {
		return s, nil
	}
	if x == nil {
		for i := first; i < last; i++ {
			s.add(i, times[i], true)
		}
	} else if err := f.decide(group, x, times, first, last, s); err != nil {
		return nil, err
	}
	if len(s.Rows) == 0 {
		return s, nil
	}
	ids, err := f.ids(group)
	if err != nil {
		return nil, err
	}
	s.IDs = make([]ecs.ID, len(s.Rows))
	for i, row := range s.Rows {
		s.IDs[i] = ids[row]
	}
	return s, nil
}

func (s *Selection) add(row int, t int64, sure bool) {
	s.Rows = append(s.Rows, int32(row))
	s.Times = append(s.Times, t)
	s.Sure = append(s.Sure, sure)
}

// A searched column is one that an expression asks for.
type searched struct {
	field  *ecs.Field
	column int // index in the schema
	bit    int // in debut.inexact
}

// searched returns the columns that x asks for.
func (f *File) searched(x query.Expr) []searched {
	var out []searched
	seen := map[*ecs.Field]bool{}
	x.Fields(func(fld *ecs.Field) {
		name := cmp.Or(fld.Of, fld.Name)
		if column, ok := f.byName[name]; ok && !seen[fld] {
			seen[fld] = true
			out = append(out, searched{fld, column, f.bits[name]})
		}
	})
	return out
}

// excluded reports whether no row of a group can match x, by what is quick to read.
func (f *File) excluded(group int, x query.Expr) (bool, error) {
	inexact, err := f.inexactColumns(group)
	if err != nil {
		return false, err
	}
	for _, c := range f.searched(x) {
		if inexact>>c.bit&1 == 1 {
			continue
		}
		chunk := f.chunk(group, c.column)
		texts, ok := query.Required(x, c.field)
		if ok && c.field.Of == "" {
			some, err := mayHold(chunk, texts)
			if err != nil || !some {
				return true, err
			}
		}
		if !f.onlyDictionary(group, c.column) {
			continue
		}
		no, err := f.dictionaryExcludes(chunk, c.field, x)
		if err != nil || no {
			return no, err
		}
	}
	return false, nil
}

// inexactColumns returns the bits of the columns that have a row in a group whose value
// is not the whole one: such a row may match although its value does not.
func (f *File) inexactColumns(group int) (bits int32, err error) {
	if f.constant(group, f.own.inexact, 0) {
		return 0, nil
	}
	pages := f.chunk(group, f.own.inexact).PagesFrom(f.f)
	defer func() { _ = pages.Close() }() // only read from
	dict, err := pages.ReadDictionary()
	if err != nil {
		return 0, damaged(err)
	}
	if dict == nil || !f.onlyDictionary(group, f.own.inexact) {
		return -1, nil
	}
	for i := range dict.Len() {
		bits |= dict.Index(int32(i)).Int32()
	}
	return bits, nil
}

// mayHold reports whether a column may have one of the texts, by its bloom filter.
func mayHold(chunk *parquet.FileColumnChunk, texts []string) (bool, error) {
	filter := chunk.BloomFilter()
	if filter == nil {
		return true, nil
	}
	for _, text := range texts {
		if has, err := filter.Check(parquet.ByteArrayValue([]byte(text))); err != nil || has {
			return true, damaged(err)
		}
	}
	return false, nil
}

// dictionaryExcludes reports whether x is false for every value that a column has.
func (f *File) dictionaryExcludes(chunk *parquet.FileColumnChunk, field *ecs.Field, x query.Expr) (bool, error) {
	var one [1]string
	values := one[:0]
	known := func(g *ecs.Field) ([]string, bool) { return values, g == field }
	if chunk.NullCount() > 0 && x.Decide(known) != query.False {
		return false, nil
	}
	pages := chunk.PagesFrom(f.f)
	defer func() { _ = pages.Close() }() // only read from
	dict, err := pages.ReadDictionary()
	if err != nil {
		return false, damaged(err)
	}
	if dict == nil {
		return chunk.NullCount() == chunk.NumValues(), nil
	}
	values = one[:1]
	for i := range dict.Len() {
		one[0] = string(dict.Index(int32(i)).ByteArray())
		if x.Decide(known) != query.False {
			return false, nil
		}
	}
	return true, nil
}

// onlyDictionary reports whether every value of a column is in its dictionary.
func (f *File) onlyDictionary(group, column int) bool {
	for _, s := range f.f.Metadata().RowGroups[group].Columns[column].MetaData.EncodingStats {
		if s.PageType != format.DictionaryPage && s.Encoding != format.RLEDictionary {
			return false
		}
	}
	return true
}

// memoSize bounds the outcomes that are kept while deciding about a group.
const memoSize = 1 << 20

// A decision is about the rows of a group, one column after the other.
type decision struct {
	x       query.Expr
	want    []searched
	cols    []*coded
	inexact []int32 // by row; nil: all is exact
	rows    []int32 // that x may still match
	row     int32   // that known is about
}

// decide adds the rows that x may match.
func (f *File) decide(group int, x query.Expr, times []int64, first, last int, s *Selection) error {
	d := &decision{x: x, want: f.searched(x), rows: make([]int32, 0, last-first)}
	for row := first; row < last; row++ {
		d.rows = append(d.rows, int32(row))
	}
	if len(d.want) > 0 && !f.constant(group, f.own.inexact, 0) {
		var err error
		if d.inexact, err = f.int32s(group, f.own.inexact); err != nil {
			return err
		}
	}
	for _, c := range d.want {
		col, err := f.coded(group, c.column)
		if err != nil {
			return err
		}
		d.cols = append(d.cols, col)
		if d.drop(len(d.cols) - 1); len(d.rows) == 0 {
			return nil // the other columns need not be read
		}
	}
	d.rest(times, s)
	return nil
}

// drop drops the rows that x does not match because of what one column has, whatever
// the others have.
func (d *decision) drop(column int) {
	c := d.cols[column]
	if len(c.values) >= len(d.rows) {
		return // as many questions as there are rows
	}
	no, some := make([]bool, len(c.values)+1), false // by code, and one more
	for code := range no {
		var values []string
		if code > 0 {
			values = c.values[code-1]
		}
		no[code] = d.x.Decide(func(g *ecs.Field) ([]string, bool) { return values, g == d.want[column].field }) == query.False
		some = some || no[code]
	}
	if !some {
		return
	}
	left := d.rows[:0]
	for _, row := range d.rows {
		if !no[c.codes[row]+1] || d.inexact != nil && d.inexact[row]>>d.want[column].bit&1 == 1 {
			left = append(left, row)
		}
	}
	d.rows = left
}

// known are the values of a field in a row, as far as they stand in the columns.
func (d *decision) known(fld *ecs.Field) ([]string, bool) {
	for i := range d.want {
		if d.want[i].field != fld {
			continue
		}
		if d.inexact != nil && d.inexact[d.row]>>d.want[i].bit&1 == 1 {
			return nil, false
		}
		if code := d.cols[i].codes[d.row]; code >= 0 {
			return d.cols[i].values[code], true
		}
		return nil, true
	}
	return nil, false
}

// rest decides about the rows that are left, by all columns together: once for each
// combination of values.
func (d *decision) rest(times []int64, s *Selection) {
	memo := map[uint64]query.Truth{}
	fits := keysFit(d.cols)
	for _, d.row = range d.rows {
		var truth query.Truth
		if !fits || d.inexact != nil && d.inexact[d.row] != 0 {
			truth = d.x.Decide(d.known)
		} else {
			key := uint64(0)
			for _, c := range d.cols {
				key = key*uint64(len(c.values)+1) + uint64(c.codes[d.row]+1)
			}
			var have bool
			if truth, have = memo[key]; !have {
				truth = d.x.Decide(d.known)
				if len(memo) < memoSize {
					memo[key] = truth
				}
			}
		}
		if truth != query.False {
			s.add(int(d.row), times[d.row], truth == query.True)
		}
	}
}

// keysFit reports whether a combination of the columns' codes is one number.
func keysFit(cols []*coded) bool {
	size := uint64(1)
	for _, c := range cols {
		n := uint64(len(c.values) + 1)
		if size > (1<<63)/n {
			return false
		}
		size *= n
	}
	return true
}
