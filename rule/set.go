package rule

import (
	"cmp"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/query"
)

// A Set is a collection of rules with what belongs to them.
type Set struct {
	Rules       []*Rule // sound ones, each id and name once, in order of path and place
	Deprecated  []*Rule // not active
	Lists       []ExceptionList
	ValueLists  []ValueList
	Connectors  []string
	Diagnostics query.Diagnostics
	Files       int      // that were read
	Skipped     []string // files of a folder that are neither rules nor exceptions
}

// A Source is a place in a file system to load rules from.
type Source struct {
	FS   fs.FS
	Path string // a file, a folder (with all below it) or a glob pattern
	Name string // what messages call Path; Path itself if empty
}

// Load reads the rules at paths of fsys: files, folders with everything below
// them, and glob patterns. It is [LoadSources] for one file system.
func Load(fsys fs.FS, paths ...string) (*Set, error) {
	sources := make([]Source, len(paths))
	for i, p := range paths {
		sources[i] = Source{FS: fsys, Path: p}
	}
	return LoadSources(sources...)
}

// LoadSources reads the rules at the sources and combines them as [NewSet] does.
// In a folder the names decide what is tried (.toml, .json, .ndjson, .jsonl;
// .txt and .csv for value lists that an exception names); a file given by itself
// is always read. What is wrong inside files is in the Diagnostics of the Set;
// the error is for paths that cannot be opened.
func LoadSources(sources ...Source) (*Set, error) {
	files, skipped, err := LoadFiles(sources...)
	if err != nil {
		return nil, err
	}
	s := NewSet(files...)
	s.Skipped = skipped
	return s, nil
}

// LoadFiles reads the files at the sources as [LoadSources] does, for a caller who
// combines them. The files are the caller's; skipped is as in a Set.
func LoadFiles(sources ...Source) (files []*File, skipped []string, err error) {
	l := loader{seen: make(map[string]bool)}
	for _, s := range sources {
		if s.Name == "" {
			s.Name = s.Path
		}
		if err := l.source(s); err != nil {
			return nil, nil, err
		}
	}
	l.valueLists()
	return l.files, l.skipped, nil
}

type loader struct {
	files   []*File
	texts   []textFile
	skipped []string
	seen    map[string]bool // clean names, so that overlapping paths count once
}

// A textFile may be a value list.
type textFile struct {
	name  string
	data  []byte
	asked bool // given by itself
}

func (l *loader) source(s Source) error {
	info, err := fs.Stat(s.FS, s.Path)
	if err != nil {
		if matches, globErr := fs.Glob(s.FS, s.Path); globErr == nil && len(matches) > 0 {
			for _, m := range matches {
				name := m
				if dir, _ := path.Split(s.Path); !strings.ContainsAny(dir, `*?[\`) {
					name = strings.TrimSuffix(s.Name, strings.TrimPrefix(s.Path, dir)) + strings.TrimPrefix(m, dir)
				}
				if err := l.source(Source{FS: s.FS, Path: m, Name: name}); err != nil {
					return err
				}
			}
			return nil
		}
		return fmt.Errorf("load rules from %s: %w", s.Name, err)
	}
	if !info.IsDir() {
		return l.file(s.FS, s.Path, s.Name, true)
	}
	return fs.WalkDir(s.FS, s.Path, func(p string, d fs.DirEntry, err error) error {
		name := s.Name
		if rel := strings.TrimPrefix(strings.TrimPrefix(p, s.Path), "/"); s.Path == "." && p != "." {
			name = path.Join(s.Name, p)
		} else if rel != "" && s.Path != "." {
			name = strings.TrimSuffix(s.Name, "/") + "/" + rel
		}
		hidden := p != s.Path && strings.HasPrefix(path.Base(p), ".")
		switch {
		case err != nil:
			return fmt.Errorf("load rules from %s: %w", name, err)
		case d.IsDir() && hidden:
			return fs.SkipDir
		case d.IsDir():
			return nil
		case hidden:
			l.skipped = append(l.skipped, name)
			return nil
		}
		return l.file(s.FS, p, name, false)
	})
}

// maxFile is the size of the largest file that is read. All rules that Elastic ships
// make an export of some 30 MB.
const maxFile = 256 << 20

// file reads one file. In a folder a file that holds nothing of ours is only
// worth a warning; asked for by name it is an error.
func (l *loader) file(fsys fs.FS, p, name string, asked bool) error {
	if l.seen[path.Clean(name)] {
		return nil
	}
	l.seen[path.Clean(name)] = true
	text := false
	switch path.Ext(p) {
	case ".toml", ".json", ".ndjson", ".jsonl":
	case ".txt", ".csv":
		text = true
	default:
		if !asked {
			l.skipped = append(l.skipped, name)
			return nil
		}
	}
	info, err := fs.Stat(fsys, p)
	if err == nil && !asked && !info.Mode().IsRegular() { // a pipe or a device: reading may never end
		l.files = append(l.files, &File{Name: name, Diagnostics: query.Diagnostics{{
			Severity: query.Error, Code: "unreadable-file", File: name,
			Message: "it is no regular file", Hint: "remove it from the folder, or name it by itself",
		}}})
		return nil
	}
	if err == nil && info.Size() > maxFile {
		l.files = append(l.files, &File{Name: name, Diagnostics: query.Diagnostics{{
			Severity: query.Error, Code: "file-too-large", File: name,
			Message: fmt.Sprintf("the file has %d bytes; files of rules and value lists have %d at most", info.Size(), maxFile), Hint: "split it",
		}}})
		return nil
	}
	data, err := fs.ReadFile(fsys, p)
	if err != nil {
		f := &File{Name: name, Diagnostics: query.Diagnostics{{
			Severity: query.Error, Code: "unreadable-file", File: name, Message: "the file cannot be read: " + err.Error(),
		}}}
		if asked {
			return fmt.Errorf("load rules from %s: %w", name, err)
		}
		l.files = append(l.files, f)
		return nil
	}
	if text && !isJSON(data) {
		l.texts = append(l.texts, textFile{name, data, asked})
		return nil
	}
	f := Parse(name, data)
	if !asked && f.foreign() {
		for i := range f.Diagnostics {
			f.Diagnostics[i].Severity = query.Warning
		}
	}
	l.files = append(l.files, f)
	return nil
}

// valueLists makes value lists of the text files whose names exceptions use, with
// or without their extension.
func (l *loader) valueLists() {
	types := make(map[string]string)
	for _, f := range l.files {
		listEntries(f.Lists, func(_ *ExceptionItem, e Entry) { types[e.ListID] = e.ListType })
	}
	for _, t := range l.texts {
		id := path.Base(strings.ReplaceAll(t.name, `\`, "/"))
		if _, ok := types[id]; !ok {
			id = strings.TrimSuffix(id, path.Ext(id))
		}
		typ, used := types[id]
		if !used && !t.asked {
			l.skipped = append(l.skipped, t.name)
			continue
		}
		f := &File{Name: t.name, ValueLists: []ValueList{ParseValueList(id, typ, t.data)}}
		if !used {
			f.Diagnostics = query.Diagnostics{{
				Severity: query.Warning, Code: "unused-value-list", File: t.name,
				Message: fmt.Sprintf("no exception uses the value list %q", id),
			}}
		}
		l.files = append(l.files, f)
	}
}

// listEntries calls yield for every entry that refers to a value list.
func listEntries(lists []ExceptionList, yield func(*ExceptionItem, Entry)) {
	for _, l := range lists {
		for i := range l.Items {
			for _, e := range l.Items[i].Entries {
				if e.Type == "list" {
					yield(&l.Items[i], e)
				}
			}
		}
	}
}

// foreign reports whether the file is sound but holds nothing of ours.
func (f *File) foreign() bool {
	return len(f.Rules)+len(f.Deprecated)+len(f.Lists)+len(f.ValueLists) == 0 &&
		!slices.ContainsFunc(f.Diagnostics, func(d query.Diagnostic) bool {
			return d.Code != "unrecognised-file" && d.Code != "unrecognised-object" && d.Code != "empty-file"
		})
}

// NewSet combines files, in order of their names. Of rules with one id, or one
// name, the first stays and the others are errors that name both places.
// References between rules, exceptions and value lists that lead nowhere are
// warnings.
func NewSet(files ...*File) *Set {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b *File) int { return cmp.Compare(a.Name, b.Name) })
	s := &Set{Files: len(files)}
	ids, names := make(map[string]*Rule), make(map[string]*Rule)
	for _, f := range files {
		s.Diagnostics = append(s.Diagnostics, f.Diagnostics...)
		s.Deprecated = append(s.Deprecated, f.Deprecated...)
		s.Connectors = append(s.Connectors, f.Connectors...)
		for _, r := range f.Rules {
			if s.duplicate(r, ids[r.ID], "id", r.ID) || s.duplicate(r, names[r.Name], "name", fmt.Sprintf("%q", r.Name)) {
				continue
			}
			ids[r.ID], names[r.Name] = r, r
			s.Rules = append(s.Rules, r)
		}
		for _, l := range f.Lists {
			s.addList(l)
		}
		for _, v := range f.ValueLists {
			s.addValueList(v)
		}
	}
	s.link()
	return s
}

func (s *Set) duplicate(r, first *Rule, what, value string) bool {
	if first == nil {
		return false
	}
	s.Diagnostics = append(s.Diagnostics, query.Diagnostic{
		Severity: query.Error, Code: "duplicate-rule-" + what, File: r.File, RuleID: r.ID, Line: r.Line,
		Message: fmt.Sprintf("the rule %s %s is taken by the rule at %s:%d; that one is used, this one is not", what, value, first.File, first.Line),
		Hint:    "remove one of them, or give it another " + what,
	})
	return true
}

// addList adds a list, or its items to the list of the same id and namespace.
func (s *Set) addList(l ExceptionList) {
	for i := range s.Lists {
		have := &s.Lists[i]
		if l.ListID == "" || have.ListID != l.ListID || have.NamespaceType != l.NamespaceType {
			continue
		}
		items := slices.Concat(have.Items, l.Items)
		ids := slices.Compact(slices.Sorted(slices.Values(slices.Concat(have.RuleIDs, l.RuleIDs))))
		if have.File == "" {
			*have = l
		}
		have.Items, have.RuleIDs = items, ids
		return
	}
	s.Lists = append(s.Lists, l)
}

func (s *Set) addValueList(v ValueList) {
	for i := range s.ValueLists {
		if s.ValueLists[i].ID == v.ID {
			s.ValueLists[i].Values = slices.Concat(s.ValueLists[i].Values, v.Values)
			return
		}
	}
	s.ValueLists = append(s.ValueLists, v)
}

// ParseValueList makes a value list of plain text with one value per line.
func ParseValueList(id, typ string, data []byte) ValueList {
	v := ValueList{ID: id, Type: cmp.Or(typ, "keyword")}
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" {
			v.Values = append(v.Values, line)
		}
	}
	return v
}

// link reports the references between rules, lists and value lists that lead
// nowhere.
func (s *Set) link() {
	known := make(map[string]bool)
	for _, r := range s.Rules {
		known[r.ID] = true
		for _, ref := range r.ExceptionsList {
			if l := s.list(ref); l == nil || len(l.Items) == 0 {
				s.warn("empty-exception-list", r.File, r.Line, r.ID,
					fmt.Sprintf("the exception list %s is attached to the rule but no items of it were loaded", ref.ListID),
					"export the rules together with their exceptions, or pass the file with --exceptions")
			}
		}
	}
	for _, l := range s.Lists {
		for _, id := range l.RuleIDs {
			if !known[id] {
				s.warn("unknown-rule", l.File, l.Line, id, fmt.Sprintf("the exception list %q is for the rule %s, which is not loaded", l.Name, id), "")
			}
		}
		s.unattached(l)
		for i := range l.Items {
			warnMixed(&l.Items[i], &s.Diagnostics)
		}
	}
	listEntries(s.Lists, func(item *ExceptionItem, e Entry) {
		if !slices.ContainsFunc(s.ValueLists, func(v ValueList) bool { return v.ID == e.ListID }) {
			item.report(&s.Diagnostics, e, "missing-value-list",
				fmt.Sprintf("exception %q uses the value list %q, which was not loaded; the item is not applied", item.Name, e.ListID),
				"Kibana exports no value lists: save its values, one per line, as "+e.ListID+" or "+e.ListID+".txt beside the rules")
		}
	})
	sortDiagnostics(s.Diagnostics)
}

// unattached warns of a list that belongs to no rule.
func (s *Set) unattached(l ExceptionList) {
	if len(l.RuleIDs) > 0 {
		return
	}
	hint := "name the list in exceptions_list of a rule, or, in a TOML file, the rules in rule_ids of [metadata]"
	for _, r := range s.Rules {
		if l.attached(r) {
			return
		}
		for _, ref := range r.ExceptionsList {
			if ref.ListID == l.ListID {
				hint = fmt.Sprintf("rule %s refers to it with namespace_type %s, but the list has %s: make them equal", r.ID, ref.NamespaceType, l.NamespaceType)
			}
		}
	}
	file, line := l.File, l.Line
	if file == "" && len(l.Items) > 0 { // items without their container
		file, line = l.Items[0].File, l.Items[0].Line
	}
	s.warn("unattached-exception-list", file, line, "",
		fmt.Sprintf("no loaded rule refers to the exception list %s: it excludes nothing", cmp.Or(l.ListID, strconv.Quote(l.Name))), hint)
}

func (s *Set) warn(code, file string, line int, ruleID, message, hint string) {
	s.Diagnostics = append(s.Diagnostics, query.Diagnostic{
		Severity: query.Warning, Code: code, File: file, Line: line, RuleID: ruleID, Message: message, Hint: hint,
	})
}

// list returns the list that a rule refers to, or nil.
func (s *Set) list(ref ListRef) *ExceptionList {
	for i := range s.Lists {
		if l := &s.Lists[i]; l.ListID == ref.ListID && l.NamespaceType == ref.NamespaceType {
			return l
		}
	}
	return nil
}

// ExceptionsFor returns the items that apply to r: those of the lists that it
// refers to, by id and namespace, and of the lists that name its rule_id.
func (s *Set) ExceptionsFor(r *Rule) []ExceptionItem {
	var out []ExceptionItem
	for l := range s.listsFor(r) {
		out = append(out, l.Items...)
	}
	return out
}

// listsFor yields the lists that apply to r, each once.
func (s *Set) listsFor(r *Rule) iter.Seq[*ExceptionList] {
	return func(yield func(*ExceptionList) bool) {
		for i := range s.Lists {
			l := &s.Lists[i]
			if (l.attached(r) || slices.Contains(l.RuleIDs, r.ID)) && !yield(l) {
				return
			}
		}
	}
}

// attached reports whether r refers to the list.
func (l *ExceptionList) attached(r *Rule) bool {
	return l.ListID != "" && slices.ContainsFunc(r.ExceptionsList, func(ref ListRef) bool {
		return ref.ListID == l.ListID && ref.NamespaceType == l.NamespaceType
	})
}
