package store

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// The TOML that package rule reads; docs/rules.md has the format.
type exceptionFile struct {
	Metadata   exceptionMetadata  `toml:"metadata"`
	Exceptions []exceptionElement `toml:"exceptions"`
}

type exceptionMetadata struct {
	RuleIDs []string `toml:"rule_ids"`
}

type exceptionElement struct {
	Container exceptionContainer `toml:"container"`
	Items     []exceptionItem    `toml:"items"`
}

type exceptionContainer struct {
	ListID string `toml:"list_id"`
	Name   string `toml:"name"`
}

type exceptionItem struct {
	ItemID     string           `toml:"item_id"`
	Name       string           `toml:"name"`
	ExpireTime string           `toml:"expire_time,omitempty"`
	Entries    []exceptionEntry `toml:"entries"`
}

type exceptionEntry struct {
	Field    string `toml:"field"`
	Type     string `toml:"type"`
	Operator string `toml:"operator,omitempty"`
	Value    any    `toml:"value,omitempty"` // a text, or a list of them
}

// ExceptionFile writes an exception in the TOML form of rule files. What is wrong
// with it stays wrong: [CheckException] says so.
func ExceptionFile(e *Exception) ([]byte, error) {
	item := exceptionItem{ItemID: e.ID, Name: e.Name, Entries: make([]exceptionEntry, len(e.Entries))}
	if !e.Expire.IsZero() {
		item.ExpireTime = e.Expire.UTC().Format(time.RFC3339Nano)
	}
	for i, c := range e.Entries {
		item.Entries[i] = exceptionEntry{Field: c.Field, Type: c.Type, Operator: c.Operator}
		switch {
		case c.Type == "match_any":
			item.Entries[i].Value = append([]string{}, c.Values...)
		case len(c.Values) == 1:
			item.Entries[i].Value = c.Values[0]
		case len(c.Values) > 1:
			item.Entries[i].Value = c.Values
		}
	}
	var b bytes.Buffer
	err := toml.NewEncoder(&b).Encode(exceptionFile{
		Metadata: exceptionMetadata{e.RuleIDs},
		Exceptions: []exceptionElement{{
			Container: exceptionContainer{"debut-" + e.ID, e.Name}, Items: []exceptionItem{item},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("write exception %s as TOML: %w", e.ID, err)
	}
	return b.Bytes(), nil
}

// ExceptionSources makes of stored exceptions what [rule.LoadSources] loads beside
// rules, one source each. Messages name them "exception ID".
func ExceptionSources(list []*Exception) ([]rule.Source, error) {
	out := make([]rule.Source, len(list))
	for i, e := range list {
		b, err := ExceptionFile(e)
		if err != nil {
			return nil, err
		}
		f := oneFile{e.ID + ".toml", b}
		out[i] = rule.Source{FS: f, Path: f.name, Name: "exception " + e.ID}
	}
	return out, nil
}

// Bounds of an exception.
const (
	maxExceptionName    = 256
	maxExceptionComment = 4 << 10
	maxExceptionRules   = 1000
	maxExceptionEntries = 100
	maxExceptionValues  = 10_000 // of all entries
	maxExceptionValue   = 4 << 10
)

// CheckException compiles an exception as it would act, and returns the condition with
// everything that is questionable. The condition is nil if it cannot be honoured; then
// there is an error, of ErrInvalid, or there are diagnostics.
func CheckException(e *Exception, cat *ecs.Catalogue) (query.Expr, query.Diagnostics, error) {
	if err := e.bounds(); err != nil {
		return nil, nil, err
	}
	b, err := ExceptionFile(e)
	if err != nil {
		return nil, nil, err
	}
	set := rule.NewSet(rule.Parse("exception "+e.ID, b))
	list, diags := set.CompileExceptions(&rule.Rule{ID: e.RuleIDs[0]}, cat)
	// That the rules are not loaded here means nothing.
	loading := slices.DeleteFunc(set.Diagnostics, func(d query.Diagnostic) bool { return d.Code == "unknown-rule" })
	diags = append(slices.Clone(loading), diags...)
	for i := range diags { // nobody has seen the file that a place would be in
		diags[i].File, diags[i].RuleID, diags[i].Line, diags[i].Column, diags[i].Source = "", "", 0, 0, ""
	}
	if len(list) != 1 || diags.Failed() {
		if len(diags) == 0 {
			return nil, nil, fmt.Errorf("%w: the exception cannot be honoured", ErrInvalid)
		}
		return nil, diags, nil
	}
	return list[0].Expr, diags, nil
}

func (e *Exception) bounds() error {
	switch {
	case strings.TrimSpace(e.Name) == "" || len(e.Name) > maxExceptionName:
		return fmt.Errorf("%w: name has %d bytes; 1 to %d", ErrInvalid, len(e.Name), maxExceptionName)
	case len(e.Comment) > maxExceptionComment:
		return fmt.Errorf("%w: comment has %d bytes; %d at most", ErrInvalid, len(e.Comment), maxExceptionComment)
	case len(e.RuleIDs) == 0 || len(e.RuleIDs) > maxExceptionRules:
		return fmt.Errorf("%w: rule_ids names %d rules; 1 to %d", ErrInvalid, len(e.RuleIDs), maxExceptionRules)
	case len(e.Entries) == 0 || len(e.Entries) > maxExceptionEntries:
		return fmt.Errorf("%w: entries has %d conditions; 1 to %d", ErrInvalid, len(e.Entries), maxExceptionEntries)
	}
	for _, id := range e.RuleIDs {
		if id == "" || len(id) > maxExceptionName {
			return fmt.Errorf("%w: one of rule_ids has %d bytes; 1 to %d", ErrInvalid, len(id), maxExceptionName)
		}
	}
	values := 0
	for i, c := range e.Entries {
		switch {
		case !slices.Contains([]string{"match", "match_any", "exists", "wildcard"}, c.Type):
			return fmt.Errorf("%w: entries[%d].type is %q, not match, match_any, exists or wildcard; value lists and nested entries go into a file for exceptions",
				ErrInvalid, i, c.Type)
		case c.Type == "exists" && len(c.Values) > 0:
			return fmt.Errorf("%w: entries[%d]: exists takes no values", ErrInvalid, i)
		case (c.Type == "match" || c.Type == "wildcard") && len(c.Values) != 1:
			return fmt.Errorf("%w: entries[%d]: %s takes one value, not %d", ErrInvalid, i, c.Type, len(c.Values))
		}
		for _, v := range c.Values {
			if len(v) > maxExceptionValue {
				return fmt.Errorf("%w: entries[%d]: a value has %d bytes; %d at most", ErrInvalid, i, len(v), maxExceptionValue)
			}
		}
		if values += len(c.Values); values > maxExceptionValues {
			return fmt.Errorf("%w: entries have more than %d values; use a value list in a file", ErrInvalid, maxExceptionValues)
		}
	}
	return nil
}

// oneFile is a file system with one file.
type oneFile struct {
	name string
	data []byte
}

var _ fs.FS = oneFile{}

// Open implements fs.FS.
func (f oneFile) Open(name string) (fs.File, error) {
	if name != f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openedFile{oneFile: f, r: bytes.NewReader(f.data)}, nil
}

type openedFile struct {
	oneFile

	r *bytes.Reader
}

func (f *openedFile) Read(b []byte) (int, error) { return f.r.Read(b) }
func (f *openedFile) Close() error               { return nil }
func (f *openedFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *openedFile) Name() string               { return f.name }
func (f *openedFile) Size() int64                { return int64(len(f.data)) }
func (f *openedFile) Mode() fs.FileMode          { return 0o400 }
func (f *openedFile) ModTime() time.Time         { return time.Time{} }
func (f *openedFile) IsDir() bool                { return false }
func (f *openedFile) Sys() any                   { return nil }
