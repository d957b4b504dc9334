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

// decide adds the rows that x may match.
func (f *File) decide(group int, x query.Expr, times []int64, first, last int, s *Selection) error {
	want := f.searched(x)
	cols := make([]*coded, len(want))
	var inexact []int32
	var err error
	for i, c := range want {
		if cols[i], err = f.coded(group, c.column); err != nil {
			return err
		}
	}
	if len(want) > 0 && !f.constant(group, f.own.inexact, 0) {
		if inexact, err = f.int32s(group, f.own.inexact); err != nil {
			return err
		}
	}
	row := 0
	mask := int32(0)
	known := func(fld *ecs.Field) ([]string, bool) {
		for i := range want {
			if want[i].field != fld {
				continue
			}
			if mask>>want[i].bit&1 == 1 {
				return nil, false
			}
			if code := cols[i].codes[row]; code >= 0 {
				return cols[i].values[code], true
			}
			return nil, true
		}
		return nil, false
	}
	memo := map[uint64]query.Truth{}
	fits := keysFit(cols)
	for row = first; row < last; row++ {
		if inexact != nil {
			mask = inexact[row]
		}
		var truth query.Truth
		if !fits || mask != 0 {
			truth = x.Decide(known)
		} else {
			key := uint64(0)
			for _, c := range cols {
				key = key*uint64(len(c.values)+1) + uint64(c.codes[row]+1)
			}
			var have bool
			if truth, have = memo[key]; !have {
				truth = x.Decide(known)
				if len(memo) < memoSize {
					memo[key] = truth
				}
			}
		}
		if truth != query.False {
			s.add(row, times[row], truth == query.True)
		}
	}
	return nil
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
