package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/query"
)

// tomlException reads one [[exceptions]] element: a container with its items.
func (f *File) tomlException(o, metadata object) {
	container, ok := o.child("container")
	if !ok {
		if !o.n.has("container") {
			o.errorAt("container", "missing-field", "is required", "")
		}
		return
	}
	list, ok := decodeContainer(container)
	list.Items = slices.DeleteFunc(decodeItems(o, "items"), func(i ExceptionItem) bool { return i.ItemID == badItem })
	if metadata.n != nil {
		list.RuleIDs = metadata.strs("rule_ids")
		list.Name = cmp.Or(list.Name, metadata.str("list_name"))
	}
	o.unknown()
	if len(list.RuleIDs) == 0 && list.ListID == "" {
		o.errorAt("container", "missing-field", "has no list_id and metadata names no rule_ids: the list belongs to no rule",
			"give the container the list_id that rules name in exceptions_list, or name the rules in rule_ids of [metadata]")
		return
	}
	for i := range list.Items {
		if list.Items[i].ItemID == "" {
			list.Items[i].ItemID = derivedID(list.ListID + "\x00" + list.Items[i].Name)
		}
	}
	if ok {
		f.Lists = append(f.Lists, list)
	}
}

// badItem marks an item that has errors until it is taken out.
const badItem = "\x00bad"

func decodeItems(o object, name string) []ExceptionItem {
	children := o.children(name)
	out := make([]ExceptionItem, 0, len(children))
	for _, e := range children {
		item, _, _ := decodeItem(e)
		out = append(out, item)
	}
	return out
}

// decodeContainer reads a container; ok is false if it has errors.
func decodeContainer(o object) (l ExceptionList, ok bool) {
	before := o.r.failed
	o.r.failed = false
	l = ExceptionList{
		ListID: o.str("list_id"), Name: o.str("name"), Description: o.str("description"),
		Type:          o.strOr("type", "detection"),
		NamespaceType: o.oneOf("namespace_type", "single", "single", "agnostic"),
		File:          o.r.src.name, Line: o.r.src.line(o.n.off),
	}
	if t := l.Type; t != "detection" && t != "rule_default" && !strings.HasPrefix(t, "endpoint") {
		o.errorAt("type", "bad-value", fmt.Sprintf("is %q, not detection, rule_default or endpoint", t), "")
	}
	o.ignore(bookkeeping...)
	o.unknown()
	ok = !o.r.failed
	o.r.failed = o.r.failed || before
	return l, ok
}

// bookkeeping are keys of exported objects that have no effect here.
var bookkeeping = []string{ //nolint:gochecknoglobals // a constant table
	"id", "_version", "version", "meta", "tags", "os_types", "immutable", "tie_breaker_id",
	"created_at", "created_by", "updated_at", "updated_by",
}

// addContainer takes a container from an export. Its items may have come before.
func (f *File) addContainer(o object) {
	l, ok := decodeContainer(o)
	if !ok {
		return
	}
	if have := f.list(l.ListID, l.NamespaceType); have.File == "" {
		l.Items = have.Items
		*have = l
	} else {
		o.errorAt("list_id", "duplicate-list", fmt.Sprintf("%s is already defined on line %d", l.ListID, have.Line), "the first is used")
	}
}

// addItem takes an item from an export.
func (f *File) addItem(o object) {
	item, listID, namespace := decodeItem(o)
	if item.ItemID != badItem {
		l := f.list(listID, namespace)
		l.Items = append(l.Items, item)
	}
}

// list returns the list of that name, which is made if it is not there: an item
// can come before its container, or without it.
func (f *File) list(id, namespace string) *ExceptionList {
	for i := range f.Lists {
		if l := &f.Lists[i]; l.ListID == id && l.NamespaceType == namespace {
			return l
		}
	}
	f.Lists = append(f.Lists, ExceptionList{ListID: id, NamespaceType: namespace})
	return &f.Lists[len(f.Lists)-1]
}

// addListValue takes one value of a value list.
func (f *File) addListValue(o object) {
	id, typ, value := o.str("list_id"), o.strOr("type", "keyword"), o.scalar("value")
	for i := range f.ValueLists {
		if l := &f.ValueLists[i]; l.ID == id {
			l.Values = append(l.Values, value)
			return
		}
	}
	f.ValueLists = append(f.ValueLists, ValueList{ID: id, Type: typ, Values: []string{value}})
}

// decodeItem reads an exception item. An item with an error has the id badItem.
func decodeItem(o object) (item ExceptionItem, listID, namespace string) {
	before := o.r.failed
	o.r.failed = false
	item = ExceptionItem{
		ItemID: o.str("item_id"), Name: o.required("name"), Description: o.str("description"),
		OSTypes: o.strs("os_types"), File: o.r.src.name, Line: o.r.src.line(o.n.off), src: o.r.src,
	}
	listID, namespace = o.str("list_id"), o.oneOf("namespace_type", "single", "single", "agnostic")
	o.oneOf("type", "simple", "simple")
	for _, s := range item.OSTypes {
		if s != "windows" && s != "linux" && s != "macos" {
			o.errorAt("os_types", "bad-value", fmt.Sprintf("holds %q, not windows, linux or macos", s), "")
		}
	}
	if s := o.str("expire_time"); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			o.errorAt("expire_time", "bad-time", fmt.Sprintf("%q is not a time such as 2026-01-31T00:00:00Z", s), "")
		}
		item.ExpireTime = t.UTC()
	}
	item.Entries = decodeEntries(o, false)
	if v := o.n.get("entries"); v == nil || v.kind == kindList && len(v.list) == 0 {
		o.errorAt("entries", "missing-field", "is required and must not be empty", "an item without entries would exclude every event")
	}
	if c := o.get("comments"); c != nil && c.kind == kindList {
		for _, e := range c.list {
			if s := cmp.Or(e.str("comment"), e.text); s != "" {
				item.Comments = append(item.Comments, s)
			}
		}
	}
	o.ignore(bookkeeping...)
	o.unknown()
	if o.r.failed {
		item.ItemID = badItem
	}
	o.r.failed = o.r.failed || before
	return item, listID, namespace
}

// decodeEntries reads the conditions of an item, or those inside a nested one.
func decodeEntries(o object, nested bool) []Entry {
	children := o.children("entries")
	out := make([]Entry, 0, len(children))
	for _, c := range children {
		out = append(out, decodeEntry(c, nested))
	}
	return out
}

func decodeEntry(o object, nested bool) Entry {
	e := Entry{
		Field: o.required("field"),
		Type:  o.required("type"),
		at:    place{o.n.off, o.n.end},
	}
	types := []string{"match", "match_any", "exists", "wildcard", "list", "nested"}
	if nested {
		types = types[:4]
	}
	if e.Type != "" && !slices.Contains(types, e.Type) {
		o.errorAt("type", "bad-value", fmt.Sprintf("is %q, not one of %s", e.Type, strings.Join(types, ", ")), "")
	}
	if e.Type != "nested" {
		e.Operator = o.oneOf("operator", "included", "included", "excluded")
	}
	value := o.get("value")
	switch e.Type {
	case "match", "wildcard":
		switch {
		case value == nil:
			o.errorAt("value", "missing-field", "is required", "")
		case value.kind != kindString:
			o.errorAt("value", "wrong-type", fmt.Sprintf("is %s; an entry of type %s takes a string", value.kind, e.Type), "")
		default:
			e.Values = []string{value.text}
		}
	case "match_any":
		switch {
		case value == nil:
			o.errorAt("value", "missing-field", "is required", "")
		case value.kind != kindList:
			o.errorAt("value", "wrong-type", fmt.Sprintf("is %s; an entry of type match_any takes a list", value.kind), "")
		case len(value.list) == 0:
			o.errorAt("value", "missing-field", "is empty", "")
		default:
			e.Values = o.strs("value")
		}
	case "exists", "list", "nested":
		if value != nil {
			o.errorAt("value", "bad-value", "has no place in an entry of type "+e.Type, "")
		}
	}
	if e.Type == "list" {
		if list, ok := o.child("list"); ok {
			e.ListID, e.ListType = list.required("id"), list.strOr("type", "keyword")
			list.unknown()
		} else if !o.n.has("list") {
			o.errorAt("list", "missing-field", "is required", "name the value list: list = {id = …, type = …}")
		}
	}
	if e.Type == "nested" {
		e.Entries = decodeEntries(o, true)
		if len(e.Entries) == 0 {
			o.errorAt("entries", "missing-field", "is required and must not be empty", "")
		}
	}
	o.unknown()
	return e
}

// warnMixed reports an item that mixes value lists with other entries, which
// Kibana does not allow to be made.
func warnMixed(item *ExceptionItem, out *query.Diagnostics) {
	lists := 0
	for _, e := range item.Entries {
		if e.Type == "list" {
			lists++
		}
	}
	if lists > 0 && lists < len(item.Entries) {
		*out = append(*out, query.Diagnostic{
			Severity: query.Info, Code: "mixed-value-list", File: item.File, Line: item.Line,
			Message: fmt.Sprintf("exception %q mixes a value list with other entries", item.Name),
			Hint:    "Kibana does not accept such an item; here it holds where all entries do",
		})
	}
}
