package ecs

import (
	"iter"
	"slices"
	"strings"
	"sync"
)

// Type is the mapping type of a field, in Elasticsearch's terms.
type Type uint8

// The types that CloudTrail and ECS fields have.
const (
	Keyword Type = iota
	ConstantKeyword
	Text // match_only_text: analysed words
	IP
	Long
	Double
	Boolean
	Date
	Flattened // root of a flattened object, or one of its sub-keys
	GeoPoint
	Object // a name that only holds other fields
)

// A Field is a resolved field name. Fields are made by a [Catalogue], compared
// by pointer and read-only.
type Field struct {
	// Name is the full dotted name, as in a rule.
	Name string
	// Type decides how values compare.
	Type Type
	// Known says that the mapping can produce the field. Rules may name any
	// field; one that is not known never has a value in a CloudTrail event.
	Known bool
	// Array says that the field is normally multi-valued.
	Array bool
	// Root and Path are set for a sub-key of a flattened field: the name of
	// the flattened field, and the rest of the name below it.
	Root, Path string
	// Of is set for a multi-field, the same values mapped once more as analysed
	// text: the name of the field whose values they are. user_agent.original.text
	// is one; documents do not hold it.
	Of string
	// Index is dense from 0 within the catalogue, for side tables.
	Index int
}

// A Catalogue resolves names to fields. It knows every field that the mapping
// of CloudTrail produces and makes fields of other names on request.
// It is safe for concurrent use.
type Catalogue struct {
	mu     sync.RWMutex
	byName map[string]*Field
	fields []*Field
}

// NewCatalogue returns a catalogue of the fields that the newest mapping of
// CloudTrail produces, and of Debut's own virtual fields.
func NewCatalogue() *Catalogue {
	c := &Catalogue{byName: make(map[string]*Field, 2*len(mapping))}
	for _, f := range mapping {
		f.Known = true
		f.Index = len(c.fields)
		c.byName[f.Name] = &f
		c.fields = append(c.fields, &f)
	}
	return c
}

// Resolve returns the field of that name, always the same one. A name below a
// flattened field is a sub-key of it; a name that the mapping does not have
// becomes a keyword field that is not Known.
func (c *Catalogue) Resolve(name string) *Field {
	c.mu.RLock()
	f := c.byName[name]
	c.mu.RUnlock()
	if f != nil {
		return f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.byName[name]; f != nil {
		return f
	}
	f = &Field{Name: name, Index: len(c.fields)}
	for root := name; ; {
		i := strings.LastIndexByte(root, '.')
		if i < 0 {
			break
		}
		root = root[:i]
		if r := c.byName[root]; r != nil && r.Type == Flattened && r.Root == "" {
			f.Type, f.Known, f.Array = Flattened, true, true
			f.Root, f.Path = root, name[i+1:]
			break
		}
	}
	c.byName[name] = f
	c.fields = append(c.fields, f)
	return f
}

// Known yields the fields that the mapping can produce, in order of name.
// Sub-keys of flattened fields are not among them: there is no end to them.
func (c *Catalogue) Known() iter.Seq[*Field] {
	return func(yield func(*Field) bool) {
		for i := range mapping {
			c.mu.RLock()
			f := c.fields[i]
			c.mu.RUnlock()
			if !yield(f) {
				return
			}
		}
	}
}

// Suggest returns the known field whose name is most like name, or "" if none is
// close: for messages about misspelt fields.
func (c *Catalogue) Suggest(name string) string {
	best, least := "", max(2, len(name)/5)+1
	for f := range c.Known() {
		d := distance(name, f.Name, least)
		if strings.HasSuffix(f.Name, "."+name) { // a prefix was left out
			d = 1
		}
		if d < least {
			best, least = f.Name, d
		}
	}
	return best
}

// distance is Levenshtein's, given up at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
		if slices.Min(row) >= limit {
			return limit
		}
	}
	return row[len(b)]
}

// Len returns the number of fields made so far: one more than the greatest Index.
func (c *Catalogue) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.fields)
}

// Define gives a name that the mapping does not have a type, so that its values
// compare as such: the fields of alerts, for one. A name that is there already is left
// as it is. It returns the field.
func (c *Catalogue) Define(name string, t Type) *Field {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.byName[name]; f != nil {
		return f
	}
	f := &Field{Name: name, Type: t, Known: true, Index: len(c.fields)}
	c.byName[name] = f
	c.fields = append(c.fields, f)
	return f
}
