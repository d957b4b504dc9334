package rule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// FilterOp says what a [Filter] asks.
type FilterOp string

// The operations. All, Any and None combine Filters; the others ask for Field.
const (
	FilterAll      FilterOp = "all"      // every one of Filters; true if there is none
	FilterAny      FilterOp = "any"      // at least one of Filters
	FilterNone     FilterOp = "none"     // not one of Filters
	FilterIs       FilterOp = "is"       // Field has one of Values
	FilterExists   FilterOp = "exists"   // Field has a value
	FilterWildcard FilterOp = "wildcard" // a value matches Values[0]: * any run, ? one character
	FilterPrefix   FilterOp = "prefix"   // a value begins with Values[0]
	FilterRange    FilterOp = "range"    // a value lies within the bounds
)

// A Filter is a Kibana filter of a rule, in typed form.
type Filter struct {
	Op       FilterOp
	Field    string
	Values   []string
	FoldCase bool              // FilterIs, FilterWildcard and FilterPrefix ignore case
	Bounds   map[string]string // FilterRange: gt, gte, lt, lte
	Filters  []Filter
}

// Conditions returns the filters of the rule in typed form: an event must meet
// every one of them beside the query. The error names a filter that this version
// cannot honour; a rule that has one does not run.
//
// Understood are the filters that Kibana's filter bar makes (is, is one of,
// exists, between, their negations and combinations) and the query DSL bool,
// term, terms, match, match_phrase, prefix, wildcard, range, exists, match_all and
// match_none. Disabled filters have no effect.
func (r *Rule) Conditions() ([]Filter, error) {
	var out []Filter
	for i, f := range r.Filters {
		c, err := kibanaFilter(f)
		if err != nil {
			return nil, fmt.Errorf("filter %d: %w", i+1, err)
		}
		if c != nil {
			out = append(out, *c)
		}
	}
	return out, nil
}

// kibanaFilter reads one filter object; nil if it is disabled.
func kibanaFilter(v any) (*Filter, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is not an object")
	}
	meta, _ := m["meta"].(map[string]any)
	if meta["disabled"] == true {
		return nil, nil
	}
	c, err := filterBody(m, meta)
	if err != nil {
		return nil, err
	}
	if meta["negate"] == true {
		c = Filter{Op: FilterNone, Filters: []Filter{c}}
	}
	return &c, nil
}

func filterBody(m, meta map[string]any) (Filter, error) {
	if params, ok := meta["params"].([]any); ok && meta["type"] == "combined" {
		c := Filter{Op: FilterAll}
		if meta["relation"] == "OR" {
			c.Op = FilterAny
		}
		for _, p := range params {
			sub, err := kibanaFilter(p)
			if err != nil {
				return c, err
			}
			if sub != nil {
				c.Filters = append(c.Filters, *sub)
			}
		}
		return c, nil
	}
	if q, ok := m["query"]; ok {
		return dsl(q)
	}
	// Old filters carry the query beside meta.
	rest := maps.Clone(m)
	delete(rest, "meta")
	delete(rest, "$state")
	return dsl(rest)
}

// dsl reads an object of Elasticsearch's query DSL, which has one member.
func dsl(v any) (Filter, error) {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return Filter{}, errors.New("expected a query with one clause")
	}
	var name string
	var body map[string]any
	for k, b := range m {
		name = k
		body, ok = b.(map[string]any)
	}
	if !ok {
		return Filter{}, fmt.Errorf("the clause %q is not an object", name)
	}
	switch name {
	case "match_all":
		return Filter{Op: FilterAll}, nil
	case "match_none":
		return Filter{Op: FilterAny}, nil
	case "bool":
		return dslBool(body)
	case "exists":
		field, _ := body["field"].(string)
		if field == "" {
			return Filter{}, errors.New("exists names no field")
		}
		return Filter{Op: FilterExists, Field: field}, nil
	case "term", "terms", "match", "match_phrase", "prefix", "wildcard", "range":
		return dslField(name, body)
	}
	return Filter{}, fmt.Errorf("the clause %q is not supported", name)
}

// dslField reads a clause about one field: {"term": {"event.action": …}}.
func dslField(name string, body map[string]any) (Filter, error) {
	fields := slices.DeleteFunc(slices.Sorted(maps.Keys(body)), func(s string) bool { return s == "boost" || s == "_name" })
	if len(fields) != 1 {
		return Filter{}, fmt.Errorf("%s names %d fields, not one", name, len(fields))
	}
	f := Filter{Field: fields[0]}
	v := body[f.Field]
	options, _ := v.(map[string]any)
	f.FoldCase = options["case_insensitive"] == true
	switch name {
	case "range":
		return dslRange(f, options)
	case "terms":
		list, ok := v.([]any)
		if !ok {
			return f, fmt.Errorf("terms of %s is not a list", f.Field)
		}
		f.Op = FilterIs
		for _, e := range list {
			s, ok := scalarText(e)
			if !ok {
				return f, fmt.Errorf("terms of %s holds a value that is not a scalar", f.Field)
			}
			f.Values = append(f.Values, s)
		}
		return f, nil
	}
	if options != nil {
		for _, key := range []string{"value", "query", "wildcard"} {
			if o, ok := options[key]; ok {
				v = o
				break
			}
		}
	}
	s, ok := scalarText(v)
	if !ok {
		return f, fmt.Errorf("%s of %s has no value", name, f.Field)
	}
	f.Values = []string{s}
	switch name {
	case "prefix":
		f.Op = FilterPrefix
	case "wildcard":
		f.Op = FilterWildcard
	default: // on a keyword a match is a term
		f.Op = FilterIs
	}
	return f, nil
}

func dslRange(f Filter, options map[string]any) (Filter, error) {
	f.Op, f.Bounds = FilterRange, make(map[string]string)
	for key, v := range options {
		switch key {
		case "gt", "gte", "lt", "lte":
			s, ok := scalarText(v)
			if v == nil {
				continue
			}
			if !ok {
				return f, fmt.Errorf("range of %s has a bound that is not a scalar", f.Field)
			}
			f.Bounds[key] = s
		case "boost", "_name":
		case "format":
			if v != "strict_date_optional_time" {
				return f, fmt.Errorf("range of %s has a date format, which is not supported", f.Field)
			}
		default:
			return f, fmt.Errorf("range of %s has the option %q, which is not supported", f.Field, key)
		}
	}
	if len(f.Bounds) == 0 {
		return Filter{Op: FilterExists, Field: f.Field}, nil
	}
	return f, nil
}

// dslBool reads {"bool": {"must": …, "filter": …, "should": …, "must_not": …}}.
func dslBool(body map[string]any) (Filter, error) {
	all := Filter{Op: FilterAll}
	var should []Filter
	for _, key := range slices.Sorted(maps.Keys(body)) {
		if key == "minimum_should_match" || key == "boost" || key == "_name" || key == "adjust_pure_negative" {
			continue
		}
		clauses, err := dslList(key, body[key])
		if err != nil {
			return all, err
		}
		switch key {
		case "must", "filter":
			all.Filters = append(all.Filters, clauses...)
		case "must_not":
			if len(clauses) > 0 {
				all.Filters = append(all.Filters, Filter{Op: FilterNone, Filters: clauses})
			}
		case "should":
			should = clauses
		default:
			return all, fmt.Errorf("bool has the member %q, which is not supported", key)
		}
	}
	_, must := body["must"]
	_, filter := body["filter"]
	minimum := 1
	if must || filter {
		minimum = 0 // then should only raises the score
	}
	if v, ok := body["minimum_should_match"]; ok {
		s, _ := scalarText(v)
		n, err := strconv.Atoi(s)
		if err != nil {
			return all, fmt.Errorf("minimum_should_match %v is not supported", v)
		}
		minimum = n
	}
	switch {
	case len(should) == 0 || minimum == 0:
	case minimum == 1:
		all.Filters = append(all.Filters, Filter{Op: FilterAny, Filters: should})
	case minimum == len(should):
		all.Filters = append(all.Filters, should...)
	default:
		return all, fmt.Errorf("minimum_should_match %d of %d is not supported", minimum, len(should))
	}
	return all, nil
}

// dslList reads one clause or a list of them.
func dslList(name string, v any) ([]Filter, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]Filter, 0, len(list))
	for _, e := range list {
		f, err := dsl(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// scalarText returns a string, number or boolean as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

// String writes the filter the way KQL would, for people to read.
func (f Filter) String() string {
	parts := make([]string, 0, len(f.Filters))
	for _, c := range f.Filters {
		parts = append(parts, c.String())
	}
	switch f.Op {
	case FilterAll:
		if len(parts) == 0 {
			return "*"
		}
		return "(" + strings.Join(parts, " and ") + ")"
	case FilterAny:
		return "(" + strings.Join(parts, " or ") + ")"
	case FilterNone:
		return "not (" + strings.Join(parts, " or ") + ")"
	case FilterExists:
		return f.Field + ": *"
	case FilterIs:
		for _, v := range f.Values {
			parts = append(parts, strconv.Quote(v))
		}
		return f.Field + ": (" + strings.Join(parts, " or ") + ")"
	case FilterWildcard:
		return f.Field + ": " + f.Values[0]
	case FilterPrefix:
		return f.Field + ": " + f.Values[0] + "*"
	case FilterRange:
		signs := map[string]string{"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
		for _, k := range slices.Sorted(maps.Keys(f.Bounds)) {
			parts = append(parts, f.Field+" "+signs[k]+" "+f.Bounds[k])
		}
		return strings.Join(parts, " and ")
	}
	return string(f.Op)
}
