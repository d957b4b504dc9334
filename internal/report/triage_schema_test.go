package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/triage"
)

// A schema is what docs/format/triage.v1.schema.json uses of JSON Schema.
type schema struct {
	Schema      string             `json:"$schema"`
	ID          string             `json:"$id"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Ref         string             `json:"$ref"`
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Const       string             `json:"const"`
	Enum        []string           `json:"enum"`
	Required    []string           `json:"required"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
	Additional  *schema            `json:"additionalProperties"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
	Defs        map[string]*schema `json:"$defs"`
}

func triageSchema(t *testing.T) *schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/format/triage.v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // a keyword that the tests do not know would not be tested
	s := &schema{}
	if err := d.Decode(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// follow returns the schema that s refers to, or s.
func (s *schema) follow(root *schema) *schema {
	if s.Ref == "" {
		return s
	}
	return root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
}

// The schema and the Go type have the same fields, both ways, and each is described.
func TestTriageSchemaIsOfTheType(t *testing.T) {
	t.Parallel()
	root := triageSchema(t)
	if root.Title != triage.Schema || root.Properties["schema"].Const != triage.Schema {
		t.Errorf("the schema is of %q", root.Title)
	}
	used := map[string]bool{}
	sameAsType(t, root, root, reflect.TypeFor[triage.Report](), "report", used)
	for name := range root.Defs {
		if !used["#/$defs/"+name] {
			t.Errorf("$defs/%s is used nowhere", name)
		}
	}
}

func sameAsType(t *testing.T, root, s *schema, typ reflect.Type, path string, used map[string]bool) {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if s.Ref != "" {
		if used[s.Ref] = true; s.follow(root) == nil {
			t.Errorf("%s: %s is not there", path, s.Ref)
			return
		}
		s = s.follow(root)
	}
	kinds := map[reflect.Kind]string{
		reflect.String: "string", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean", reflect.Slice: "array",
		reflect.Map: "object", reflect.Struct: "object",
	}
	want := kinds[typ.Kind()]
	if typ == reflect.TypeFor[time.Time]() {
		if s.Type != "string" || s.Format != "date-time" {
			t.Errorf("%s: %s %s, want a date-time", path, s.Type, s.Format)
		}
		return
	}
	if s.Type != want && s.Const == "" {
		t.Errorf("%s: type %q, want %q", path, s.Type, want)
		return
	}
	switch typ.Kind() {
	case reflect.Slice:
		sameAsType(t, root, s.Items, typ.Elem(), path+"[]", used)
	case reflect.Map:
		sameAsType(t, root, s.Additional, typ.Elem(), path+"{}", used)
	case reflect.Struct:
		sameFields(t, root, s, typ, path, used)
	default:
	}
}

func sameFields(t *testing.T, root, s *schema, typ reflect.Type, path string, used map[string]bool) {
	t.Helper()
	var names, required []string
	for field := range typ.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			t.Errorf("%s: %s has no name in JSON", path, field.Name)
			continue
		}
		names = append(names, name)
		if options == "" {
			required = append(required, name)
		}
		p := s.Properties[name]
		if p == nil {
			t.Errorf("%s.%s is not in the schema", path, name)
			continue
		}
		if p.Description == "" && p.follow(root).Description == "" {
			t.Errorf("%s.%s is not described", path, name)
		}
		sameAsType(t, root, p, field.Type, path+"."+name, used)
	}
	for name := range maps.Keys(s.Properties) {
		if !slices.Contains(names, name) {
			t.Errorf("%s.%s is in the schema only", path, name)
		}
	}
	if got := slices.Sorted(slices.Values(s.Required)); !slices.Equal(got, slices.Sorted(slices.Values(required))) {
		t.Errorf("%s: required %v, the type always has %v", path, got, required)
	}
}

// Reports are as the schema says: the samples here, and those that the tests of triage
// expect.
func TestTriageReportsAreOfTheSchema(t *testing.T) {
	t.Parallel()
	root := triageSchema(t)
	var files []string
	for _, pattern := range []string{"testdata/triage/*.json", "../triage/testdata/cases/*.json"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, list...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range root.problems(root, decoded(t, data), "report") {
			t.Errorf("%s: %s", file, problem)
		}
	}
	if len(files) < 5 {
		t.Errorf("%d reports", len(files))
	}
}

// What the schema forbids is found: the check above can fail.
func TestTriageSchemaForbids(t *testing.T) {
	t.Parallel()
	root := triageSchema(t)
	good, err := os.ReadFile("testdata/triage/cold.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"another verdict":  {`"verdict": "review"`, `"verdict": "fine"`},
		"a score too high": {`"score": 37`, `"score": 137`},
		"half a score":     {`"score": 37`, `"score": 37.5`},
		"a number for a text": {
			`"alert_id": "c01d"`, `"alert_id": 7`,
		},
		"no alert":      {`"alert_id"`, `"other_id"`},
		"no time":       {`"as_of": "2026-03-11T03:21:00Z"`, `"as_of": "yesterday"`},
		"another form":  {`"triage.v1"`, `"triage.v2"`},
		"null for list": {`"versions": []`, `"versions": null`},
	} {
		bad := strings.Replace(string(good), c[0], c[1], 1)
		if bad == string(good) {
			t.Errorf("%s: the sample does not have %s", name, c[0])
		}
		if len(root.problems(root, decoded(t, []byte(bad)), "report")) == 0 {
			t.Errorf("%s is allowed", name)
		}
	}
}

// What [report.TriageJSON] writes is as the schema says, whatever the texts are.
func TestTriageJSONIsOfTheSchema(t *testing.T) {
	t.Parallel()
	root := triageSchema(t)
	for name, r := range triageSamples(t) {
		data := renderTriage(t, triageFormat{"json", report.TriageJSON}, r)
		for _, problem := range root.problems(root, decoded(t, []byte(data)), name) {
			t.Error(problem)
		}
	}
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// problems says where v is not as s says. Properties that s does not name are problems
// too: a report of this version has none.
func (s *schema) problems(root *schema, v any, path string) (list []string) {
	if s = s.follow(root); s == nil {
		return []string{path + ": a reference to nothing"}
	}
	wrong := func(format string, args ...any) { list = append(list, path+": "+fmt.Sprintf(format, args...)) }
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			wrong("an object, want %s", s.Type)
			return list
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				wrong("no %s", name)
			}
		}
		for name, member := range v {
			p := s.Properties[name]
			if p == nil {
				p = s.Additional
			}
			if p == nil {
				wrong("%s is not in the schema", name)
				continue
			}
			list = append(list, p.problems(root, member, path+"."+name)...)
		}
	case []any:
		if s.Type != "array" {
			wrong("a list, want %s", s.Type)
			return list
		}
		for i, e := range v {
			list = append(list, s.Items.problems(root, e, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case string:
		_, err := time.Parse(time.RFC3339Nano, v)
		switch {
		case s.Const != "" && v != s.Const, s.Const == "" && s.Type != "string", len(s.Enum) > 0 && !slices.Contains(s.Enum, v):
			wrong("%.40q is not allowed", v)
		case s.Format == "date-time" && err != nil:
			wrong("%v", err)
		}
	case float64:
		whole := v == float64(int64(v))
		if s.Type != "number" && (s.Type != "integer" || !whole) || s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			wrong("%v is not allowed", v)
		}
	case bool:
		if s.Type != "boolean" {
			wrong("true or false, want %s", s.Type)
		}
	default:
		wrong("%v is not allowed", v)
	}
	return list
}
