package rule

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/debutsec/debut/internal/rawjson"
	"github.com/debutsec/debut/query"
)

// A File is what one file holds.
type File struct {
	Name       string
	Rules      []*Rule         // that are sound, in file order
	Deprecated []*Rule         // maturity "deprecated": read, named, not active
	Lists      []ExceptionList // containers with their items
	ValueLists []ValueList
	Connectors []string // names of the action connectors in an export; they are not used
	// Diagnostics holds every error and warning of the file, in order of place.
	Diagnostics query.Diagnostics
}

// Parse reads one file of any supported format, which its content decides: a
// TOML rule or exceptions file in the layout of Elastic's detection-rules
// repository, or JSON: a rule, an array of rules, a Kibana export (NDJSON) or a
// Fleet package asset. The name is used in messages only.
//
// Parse always returns a File. What could not be read is in its Diagnostics; one
// bad rule never stops the others.
func Parse(name string, data []byte) *File {
	f := &File{Name: name}
	// A private copy: positions are computed from the capacity of slices of it.
	data = slices.Clip(bytes.Clone(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r := &reporter{src: newSource(name, data), out: &f.Diagnostics}
	switch off := invalidUTF8(data); {
	case off >= 0:
		r.at(query.Error, "not-utf8", off, off+1, "the file is not UTF-8 text", "save it as UTF-8")
	case len(bytes.TrimSpace(data)) == 0:
		r.at(query.Error, "unrecognised-file", -1, -1, "the file is empty", "")
	case isJSON(data):
		f.readJSON(r)
	default:
		f.readTOML(r)
	}
	slices.SortStableFunc(f.Diagnostics, func(a, b query.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// isJSON tells JSON from TOML, which can begin with a bracket too: [rule].
func isJSON(data []byte) bool {
	i := rawjson.Space(data, 0)
	if i < len(data) && data[i] == '[' {
		i = rawjson.Space(data, i+1)
		return i < len(data) && (data[i] == '{' || data[i] == ']')
	}
	return i < len(data) && data[i] == '{'
}

func (f *File) readTOML(r *reporter) {
	root := readTOML(r)
	if root == nil {
		return
	}
	top := newObject(r, root, "")
	metadata, ok := top.child("metadata")
	if ok {
		checkMetadata(metadata)
	}
	body, transform := top.get("rule"), top.get("transform")
	list := top.get("exceptions")
	switch {
	case body == nil && list == nil:
		r.at(query.Error, "unrecognised-file", 0, 0, "neither a [rule] table nor [[exceptions]]: not a rule file", "")
		return
	case body != nil && body.kind != kindObject:
		top.errorAt("rule", "wrong-type", fmt.Sprintf("is %s, not a table", body.kind), "")
	case body != nil:
		f.addRule(r, body, metadata.n, transform)
	}
	if list != nil {
		for _, e := range top.children("exceptions") {
			f.tomlException(e, metadata)
		}
	}
	top.unknown()
}

// checkMetadata warns of metadata that is not what the repository's schema has. None
// of it is of effect but maturity and, for exceptions, rule_ids.
func checkMetadata(o object) {
	warn := func(name, message, hint string) { o.reportAt(query.Warning, name, "bad-metadata", message, hint) }
	for _, name := range []string{"creation_date", "updated_date", "deprecation_date"} {
		v := o.get(name)
		if v == nil {
			continue
		}
		if _, err := time.Parse("2006/01/02", v.text); err != nil {
			warn(name, fmt.Sprintf("is %q, not a date such as 2026/01/31", v.text), "")
		}
	}
	maturities := []string{"", "development", "experimental", "beta", "production", "deprecated"}
	if v := o.get("maturity"); v != nil && !slices.Contains(maturities, v.text) {
		warn("maturity", fmt.Sprintf("is %q, not one of %s", v.text, strings.Join(maturities[1:], ", ")), "only deprecated has an effect: such a rule is not active")
	}
	o.ignore("integration", "min_stack_version", "min_stack_comments", "comments", "os_type_list", "query_schema_validation",
		"bypass_bbr_timing", "promotion", "related_endpoint_rules", "extended", "list_name", "rule_ids", "rule_names")
	o.unknown()
}

// addRule decodes one rule and puts it where it belongs.
func (f *File) addRule(r *reporter, body, metadata, transform *node) {
	var found query.Diagnostics
	one := &reporter{src: r.src, out: &found}
	deprecated := metadata != nil && metadata.str("maturity") == "deprecated"
	rule := decodeRule(one, body, metadata, transform)
	switch {
	case deprecated:
		// Such rules are kept as they once were; nobody will repair them.
		f.Deprecated = append(f.Deprecated, rule)
		r.ruleID = rule.ID
		r.at(query.Info, "deprecated", body.off, body.end, fmt.Sprintf("rule %q is deprecated and not active", rule.Name), "")
		r.ruleID = ""
		return
	case !one.failed:
		f.Rules = append(f.Rules, rule)
	}
	*r.out = append(*r.out, found...)
}

// exported is what the last line of a Kibana export says it contains.
type exported struct {
	summary                       *node
	rules, lists, items, connects int // as read
}

func (f *File) readJSON(r *reporter) {
	var objects []*node
	for _, n := range readJSON(r) {
		if n.kind == kindList {
			objects = append(objects, n.list...)
		} else {
			objects = append(objects, n)
		}
	}
	if len(objects) == 0 && !r.failed {
		r.at(query.Warning, "empty-file", 0, 0, "the file holds no rule", "")
	}
	var count exported
	for _, n := range objects {
		f.addObject(r, n, &count)
	}
	count.check(r)
}

// addObject tells by its content what an object is.
func (f *File) addObject(r *reporter, n *node, count *exported) {
	attributes := n.get("attributes")
	switch {
	case n.kind != kindObject:
		r.at(query.Error, "unrecognised-object", n.off, n.end, fmt.Sprintf("%s where a rule is expected", n.kind), "")
	case ruleTypes[Type(n.str("type"))]:
		count.rules++
		f.addRule(r, n, nil, nil)
	case n.has("exported_count"):
		count.summary = n
	case n.str("type") == "security-rule" && attributes != nil && attributes.kind == kindObject:
		f.addRule(r, attributes, nil, nil)
	case n.str("type") == "action" || attributes != nil && attributes.has("actionTypeId"):
		count.connects++
		f.Connectors = append(f.Connectors, cmp.Or(attributes.str("name"), n.str("id"), "unnamed"))
	case n.has("list_id") && n.has("value") && !n.has("entries"):
		f.addListValue(newObject(r, n, ""))
	case n.has("list_id") && (n.has("item_id") || n.has("entries")):
		count.items++
		f.addItem(newObject(r, n, ""))
	case n.has("list_id"):
		count.lists++
		f.addContainer(newObject(r, n, ""))
	case n.has("rule_id") || n.has("name") && n.has("risk_score"): // the type is missing or wrong
		count.rules++
		f.addRule(r, n, nil, nil)
	default:
		names := make([]string, 0, 5)
		for _, m := range n.members[:min(len(n.members), 5)] {
			names = append(names, m.name)
		}
		r.at(query.Error, "unrecognised-object", n.off, n.off+1,
			fmt.Sprintf("an object with the names %s is neither a rule, an exception nor a connector", strings.Join(names, ", ")), "")
	}
}

// check compares the counts of the summary line with what was read.
func (e *exported) check(r *reporter) {
	if e.summary == nil {
		return
	}
	o := newObject(r, e.summary, "")
	rules := "exported_rules_count"
	if !o.n.has(rules) { // before exports held anything else
		rules = "exported_count"
	}
	for _, c := range []struct {
		name, what string
		read       int
	}{
		{rules, "rules", e.rules},
		{"exported_exception_list_count", "exception lists", e.lists},
		{"exported_exception_list_item_count", "exception items", e.items},
		{"exported_action_connector_count", "connectors", e.connects},
	} {
		if !o.n.has(c.name) {
			continue
		}
		if want := o.integer(c.name, 0, 0, maxCount); int(want) != c.read {
			o.reportAt(query.Warning, c.name, "export-count",
				fmt.Sprintf("says %d %s, but the file holds %d", want, c.what, c.read), "export the rules again, whole")
		}
	}
	for _, name := range []string{"missing_rules", "missing_exception_lists", "missing_exception_list_items", "missing_action_connections"} {
		if v := o.n.get(name); v != nil && len(v.list) > 0 {
			o.reportAt(query.Warning, name, "export-missing", fmt.Sprintf("is not empty: Kibana could not export %d of them", len(v.list)), "")
		}
	}
}
