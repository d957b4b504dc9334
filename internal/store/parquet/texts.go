package parquet

import (
	"fmt"
	"sort"

	"github.com/parquet-go/parquet-go"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/store"
)

// A Text is what a row holds beside its key.
type Text struct {
	Kind     byte
	Ingested int64 // nanoseconds; 0: not known
	Raw      []byte
	// Place is where the event's address was when the segment was written. Placed says
	// that it was looked up.
	Place  cloudtrail.Place
	Placed bool
}

// Texts reads the text of a group's rows. It holds one page of it.
type Texts struct {
	f     *File
	group int

	documents []bool  // by row; nil: all are records
	ingested  []int64 // by row
	bytes     *coded  // of what is no text; nil: all is
	places    []placeColumn

	pages parquet.Pages
	first []int64 // row at which each page begins
	page  parquet.Page
	index int // of page
	data  []byte
	ends  []uint32
}

// Texts returns a reader of a group's text. It must be closed.
func (f *File) Texts(group int) (t *Texts, err error) {
	defer guard(&err)
	t = &Texts{f: f, group: group, index: -1}
	if t.documents, err = f.documents(group); err != nil {
		return nil, err
	}
	if t.ingested, err = f.optionalInt64s(group, f.own.ingested); err != nil {
		return nil, err
	}
	if c := f.chunk(group, f.own.bytes); c.NullCount() < c.NumValues() {
		if t.bytes, err = f.coded(group, f.own.bytes); err != nil {
			return nil, err
		}
	}
	if t.places, err = f.placeColumns(group); err != nil {
		return nil, err
	}
	index, err := f.chunk(group, f.own.raw).OffsetIndex()
	if err != nil {
		return nil, damaged(err)
	}
	for i := range index.NumPages() {
		t.first = append(t.first, index.FirstRowIndex(i))
	}
	if len(t.first) == 0 || t.first[0] != 0 {
		return nil, fmt.Errorf("%w: a column without pages", store.ErrDamaged)
	}
	t.pages = f.chunk(group, f.own.raw).Pages()
	return t, nil
}

// documents says which rows of a group are documents; nil: none is.
func (f *File) documents(group int) (rows []bool, err error) {
	lo, hi, ok := f.chunk(group, f.own.kind).Bounds()
	if ok && string(lo.ByteArray()) == kindRecord && string(hi.ByteArray()) == kindRecord {
		return nil, nil
	}
	kinds, err := f.coded(group, f.own.kind)
	if err != nil {
		return nil, err
	}
	for row, code := range kinds.codes {
		switch kinds.values[code][0] {
		case kindRecord:
		case kindDocument:
			if rows == nil {
				rows = make([]bool, len(kinds.codes))
			}
			rows[row] = true
		default:
			return nil, fmt.Errorf("%w: a row of kind %q", store.ErrDamaged, kinds.values[code][0])
		}
	}
	return rows, nil
}

// At returns the text of a row. It is valid until the next call.
func (t *Texts) At(row int32) (text Text, err error) {
	defer guard(&err)
	text = Text{Kind: store.KindRecord, Ingested: 1000 * t.ingested[row]}
	if t.documents != nil && t.documents[row] {
		text.Kind = store.KindDocument
	}
	if t.places != nil {
		text.Placed = true
		for i := range t.places {
			t.places[i].set(&text.Place, row)
		}
	}
	if t.bytes != nil {
		if code := t.bytes.codes[row]; code >= 0 {
			text.Raw = []byte(t.bytes.values[code][0])
			return text, nil
		}
	}
	page := sort.Search(len(t.first), func(i int) bool { return t.first[i] > int64(row) }) - 1
	if page != t.index {
		if err := t.load(page); err != nil {
			return text, err
		}
	}
	i := int64(row) - t.first[page]
	text.Raw = t.data[t.ends[i]:t.ends[i+1]:t.ends[i+1]]
	return text, nil
}

func (t *Texts) load(page int) error {
	parquet.Release(t.page)
	t.page, t.index = nil, -1
	if err := t.pages.SeekToRow(t.first[page]); err != nil {
		return damaged(err)
	}
	p, err := t.pages.ReadPage()
	if err != nil {
		return damaged(err)
	}
	t.page, t.index = p, page
	d := p.Data()
	t.data, t.ends = d.ByteArray()
	return nil
}

// Close gives back what the reader holds.
func (t *Texts) Close() {
	parquet.Release(t.page)
	t.page = nil
	if t.pages != nil {
		_ = t.pages.Close() // only read from
	}
}

// A placeColumn is one member of the places of a group's rows.
type placeColumn struct {
	put    func(p *cloudtrail.Place, c *placeColumn, row int32)
	text   *coded
	number []int64
	degree []float64
	has    []bool // degree is there
}

func (c *placeColumn) set(p *cloudtrail.Place, row int32) { c.put(p, c, row) }

// word returns the text of a row.
func (c *placeColumn) word(row int32) string {
	if code := c.text.codes[row]; code >= 0 {
		return c.text.values[code][0]
	}
	return ""
}

// placeColumns reads the columns of places that have any value; nil: the file has no
// places.
func (f *File) placeColumns(group int) ([]placeColumn, error) {
	if f.places == nil {
		return nil, nil
	}
	out := []placeColumn{}
	for i, n := 0, 0; i < len(columns); i++ {
		if !columns[i].place {
			continue
		}
		column := f.places[n]
		n++
		if column < 0 {
			continue
		}
		if c := f.chunk(group, column); c.NullCount() == c.NumValues() {
			continue
		}
		c := placeColumn{put: placeSetters[columns[i].name]}
		var err error
		switch columns[i].shape {
		case integer:
			c.number, err = f.optionalInt64s(group, column)
		case degrees:
			c.degree, c.has, err = f.optionalDoubles(group, column)
		case words, unique:
			c.text, err = f.coded(group, column)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

var placeSetters = map[string]func(*cloudtrail.Place, *placeColumn, int32){ //nolint:gochecknoglobals // a constant table
	"source.geo.city_name":        func(p *cloudtrail.Place, c *placeColumn, row int32) { p.City = c.word(row) },
	"source.geo.continent_name":   func(p *cloudtrail.Place, c *placeColumn, row int32) { p.Continent = c.word(row) },
	"source.geo.country_iso_code": func(p *cloudtrail.Place, c *placeColumn, row int32) { p.CountryISO = c.word(row) },
	"source.geo.country_name":     func(p *cloudtrail.Place, c *placeColumn, row int32) { p.Country = c.word(row) },
	"source.geo.region_iso_code":  func(p *cloudtrail.Place, c *placeColumn, row int32) { p.RegionISO = c.word(row) },
	"source.geo.region_name":      func(p *cloudtrail.Place, c *placeColumn, row int32) { p.Region = c.word(row) },
	"source.geo.location.lat": func(p *cloudtrail.Place, c *placeColumn, row int32) {
		if c.has[row] {
			p.Lat, p.HasLocation = c.degree[row], true
		}
	},
	"source.geo.location.lon": func(p *cloudtrail.Place, c *placeColumn, row int32) {
		if c.has[row] {
			p.Lon, p.HasLocation = c.degree[row], true
		}
	},
	"source.as.number":            func(p *cloudtrail.Place, c *placeColumn, row int32) { p.ASN = uint32(c.number[row]) },
	"source.as.organization.name": func(p *cloudtrail.Place, c *placeColumn, row int32) { p.ASOrg = c.word(row) },
}

// optionalDoubles reads a column of DOUBLE, and which rows have a value.
func (f *File) optionalDoubles(group, column int) (out []float64, has []bool, err error) {
	err = f.pages(group, column, func(p parquet.Page) error {
		d, dict := p.Data(), p.Dictionary()
		next := 0
		for _, level := range p.DefinitionLevels() {
			v := 0.0
			if level > 0 {
				if dict != nil {
					v = dict.Index(d.Int32()[next]).Double()
				} else {
					v = d.Double()[next]
				}
				next++
			}
			out, has = append(out, v), append(has, level > 0)
		}
		return nil
	})
	return out, has, err
}
