package ruletest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/debutsec/debut/query"
)

// A Suite is the cases of one file.
type Suite struct {
	File  string
	About string // the text in front of the cases
	Cases []Case
}

// A Case is a few records, and whether the rule fires on any of them.
type Case struct {
	Name    string // why it does, or does not
	Fires   bool
	Line    int // of its header in the file
	Records []Record
}

// A Record is one CloudTrail record of a case.
type Record struct {
	JSON   []byte // whole, templates filled in
	ID     string // its eventID
	Alerts int    // how many alerts speak with this record
	Line   int    // in the file
	Source string // the first line of it, as written
}

// FileFor returns the name of the file with the cases of the rule in ruleFile:
// aws/x.events.txtar for aws/x.toml.
func FileFor(ruleFile string) string {
	return strings.TrimSuffix(ruleFile, path.Ext(ruleFile)) + ".events.txtar"
}

// Parse reads a file of cases. Every mistake is reported; the suite has the cases
// without one.
func Parse(file string, data []byte) (*Suite, query.Diagnostics) {
	about, sections := split(string(data))
	p := parser{
		suite:     &Suite{File: file, About: strings.TrimSpace(about)},
		templates: make(map[string]map[string]any),
	}
	for _, sec := range sections {
		p.line = sec.line
		p.section(sec)
	}
	if len(p.suite.Cases) == 0 && !p.diags.Failed() {
		p.fail("no-cases", 1, "", "the file has no case", "begin one with a line such as -- fires: a new user --")
	}
	return p.suite, p.diags
}

// A section is what stands under a line -- NAME --.
type section struct {
	name string
	line int // of the header
	data []byte
}

// split reads the txtar format. The parser that the tests of this module use panics
// on "-- --", and tells no lines.
func split(text string) (about string, sections []section) {
	line := 0
	for l := range strings.Lines(text) {
		line++
		name, begins := strings.CutPrefix(strings.TrimRight(l, "\r\n"), "-- ")
		name, ends := strings.CutSuffix(name, " --")
		switch {
		case begins && ends:
			sections = append(sections, section{name: strings.TrimSpace(name), line: line})
		case sections == nil:
			about += l
		default:
			last := &sections[len(sections)-1]
			last.data = append(last.data, l...)
		}
	}
	return about, sections
}

type parser struct {
	suite     *Suite
	templates map[string]map[string]any
	line      int // of the header of the section
	diags     query.Diagnostics
	ids       int // that were given to records without one
}

func (p *parser) fail(code string, line int, source, message, hint string) {
	d := query.Diagnostic{Severity: query.Error, Code: code, File: p.suite.File, Line: line, Source: source, Message: message, Hint: hint}
	if source != "" {
		d.Column, d.Width = 1, len([]rune(source))
	}
	p.diags = append(p.diags, d)
}

func (p *parser) section(f section) {
	kind, name, isCase := strings.Cut(f.name, ":")
	name = strings.TrimSpace(name)
	switch {
	case isCase && (kind == "fires" || kind == "silent"):
		if name == "" {
			p.fail("no-reason", p.line, "", "the case does not say why", "-- "+kind+": WHY --")
		}
		p.add(kind == "fires", name, f.data)
	case !isCase && (f.name == "record" || strings.HasPrefix(f.name, "record ")):
		p.template(strings.TrimSpace(strings.TrimPrefix(f.name, "record")), f.data)
	default:
		p.fail("unknown-section", p.line, "", fmt.Sprintf("the section %q is neither a case nor a template", f.name),
			"-- fires: WHY --, -- silent: WHY --, -- record -- or -- record NAME --")
	}
}

// template takes what records begin with. One with a name changes the nameless one.
func (p *parser) template(name string, data []byte) {
	if p.templates[name] != nil {
		p.fail("twice", p.line, "", fmt.Sprintf("the template %q is already there", name), "")
		return
	}
	var m map[string]any
	if err := decode(data, &m); err != nil {
		p.fail("bad-json", p.line, "", "the template is not one JSON object: "+err.Error(), "")
		return
	}
	if name != "" {
		m = merge(p.templates[""], m)
	}
	p.templates[name] = m
}

// add reads a case: JSON objects one after the other, each with a > in front for
// every alert that must speak with it.
func (p *parser) add(fires bool, name string, data []byte) {
	c := Case{Name: name, Fires: fires, Line: p.line}
	before := len(p.diags)
	alerts, marks := 0, 0
	for rest := data; ; {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		if len(rest) == 0 {
			break
		}
		line := p.line + 1 + bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		source, _, _ := bytes.Cut(rest, []byte("\n"))
		if rest[0] == '>' {
			marks++
			rest = rest[1:]
			continue
		}
		raw, n, err := next(rest)
		if err != nil {
			p.fail("bad-json", line, string(source), "this is not a JSON object: "+err.Error(), "a record is one object; > before it says that it alerts")
			break
		}
		rec := Record{Alerts: marks, Line: line, Source: string(source)}
		if p.fill(&rec, raw) {
			c.Records = append(c.Records, rec)
		}
		alerts, marks = alerts+marks, 0
		rest = rest[n:]
	}
	switch {
	case marks > 0:
		p.fail("bad-mark", p.line, "", "a > stands before nothing", "")
	case len(c.Records) == 0 && len(p.diags) == before:
		p.fail("no-records", p.line, "", "the case has no record", "")
	case fires && alerts == 0 && len(p.diags) == before:
		p.fail("no-mark", p.line, "", "the case must fire, but no record is marked", "put > before each record that an alert speaks with")
	case !fires && alerts > 0:
		p.fail("bad-mark", p.line, "", "the case must be silent, but a record is marked", "")
	}
	if len(p.diags) == before {
		p.suite.Cases = append(p.suite.Cases, c)
	}
}

// next returns the JSON object at the beginning of data, and its length.
func next(data []byte) (m map[string]any, n int, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		return nil, 0, fmt.Errorf("%w", err)
	}
	return m, int(dec.InputOffset()), nil
}

func decode(data []byte, m *map[string]any) error {
	v, n, err := next(data)
	if err == nil && len(bytes.TrimSpace(data[n:])) > 0 {
		err = errors.New("text follows it")
	}
	*m = v
	return err
}

// fill completes a record: its template, an eventID, and nothing else.
func (p *parser) fill(rec *Record, m map[string]any) bool {
	name, _ := m["record"].(string)
	base, ok := p.templates[name]
	if !ok && name != "" {
		names := slices.Sorted(maps.Keys(p.templates))
		p.fail("unknown-template", rec.Line, rec.Source, fmt.Sprintf("there is no template %q above", name), "there are: "+strings.Join(names, ", "))
		return false
	}
	delete(m, "record")
	m = merge(base, m)
	rec.ID, _ = m["eventID"].(string)
	if rec.ID == "" {
		p.ids++
		rec.ID = fmt.Sprintf("00000000-0000-4000-8000-%012d", p.ids)
		m["eventID"] = rec.ID
	}
	var err error
	if rec.JSON, err = json.Marshal(m); err != nil {
		p.fail("bad-json", rec.Line, rec.Source, err.Error(), "")
	}
	return err == nil
}

// merge returns base changed by patch, as RFC 7396 has it: objects are merged member
// by member, null takes a member out, anything else replaces. Neither is changed.
func merge(base, patch map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = make(map[string]any, len(patch))
	}
	for name, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			inner, _ := out[name].(map[string]any)
			out[name] = merge(inner, v)
		default:
			out[name] = v
		}
	}
	return out
}
