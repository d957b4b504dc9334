package server_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// document is openapi.json as far as the tests read it.
type document struct {
	Paths map[string]map[string]struct {
		Role        string `json:"x-role"`
		OperationID string `json:"operationId"`
		Security    *[]any `json:"security"`
		Parameters  []struct {
			Name   string         `json:"name"`
			In     string         `json:"in"`
			Schema map[string]any `json:"schema"`
		} `json:"parameters"`
		RequestBody *struct {
			Content map[string]media `json:"content"`
		} `json:"requestBody"`
		Responses map[string]struct {
			Ref     string           `json:"$ref"`
			Content map[string]media `json:"content"`
		} `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]map[string]any `json:"schemas"`
	} `json:"components"`
}

type media struct {
	Schema map[string]any `json:"schema"`
}

func loadDocument(tb testing.TB) *document {
	tb.Helper()
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		tb.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		tb.Fatal(err)
	}
	return &d
}

// check validates a value against a schema, in the part of JSON Schema that the
// document uses; any other keyword is an error, so that none is ignored.
func (d *document) check(schema map[string]any, v any, at string) []string {
	var out []string
	bad := func(format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) }
	for key := range schema {
		if !slices.Contains([]string{
			"$ref", "type", "required", "properties", "additionalProperties", "items", "enum", "format", "description", "minimum", "maximum", "default",
			"minItems", "maxItems", "minLength", "maxLength", "minProperties", "pattern", // of requests
		}, key) {
			bad("the schema has the keyword %s, which the test does not know", key)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		target, ok := d.Components.Schemas[name]
		if !ok {
			return append(out, at+": no schema "+ref)
		}
		return append(out, d.check(target, v, at)...)
	}
	if typ, ok := schema["type"].(string); ok && !hasType(typ, v) {
		bad("%T is no %s", v, typ)
		return out
	}
	if list, ok := schema["enum"].([]any); ok && !slices.Contains(list, v) {
		bad("%v is none of %v", v, list)
	}
	if schema["format"] == "date-time" {
		if t, err := time.Parse(time.RFC3339Nano, v.(string)); err != nil || t.Location() != time.UTC {
			bad("%v is no time in UTC: %v", v, err)
		}
	}
	switch v := v.(type) {
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok {
			bad("a list without items")
			break
		}
		for i, e := range v {
			out = append(out, d.check(items, e, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		out = append(out, d.checkObject(schema, v, at)...)
	}
	return out
}

func (d *document) checkObject(schema, v map[string]any, at string) (out []string) {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			out = append(out, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range v {
		if p, ok := properties[name].(map[string]any); ok {
			out = append(out, d.check(p, value, at+"."+name)...)
			continue
		}
		switch more := schema["additionalProperties"].(type) {
		case bool:
			if !more {
				out = append(out, fmt.Sprintf("%s: %s is not in the document", at, name))
			}
		case map[string]any:
			out = append(out, d.check(more, value, at+"."+name)...)
		}
	}
	return out
}

func hasType(typ string, v any) bool {
	switch v := v.(type) {
	case string:
		return typ == "string"
	case bool:
		return typ == "boolean"
	case float64:
		return typ == "number" || typ == "integer" && v == float64(int64(v))
	case []any:
		return typ == "array"
	case map[string]any:
		return typ == "object"
	}
	return false
}

// The validator itself says no.
func TestValidator(t *testing.T) {
	t.Parallel()
	d := loadDocument(t)
	good := map[string]any{"id": "a", "name": "b", "role": "read", "created": "2026-01-15T12:00:00Z"}
	schema := map[string]any{"$ref": "#/components/schemas/Token"}
	if bad := d.check(schema, good, "token"); len(bad) > 0 {
		t.Fatal(bad)
	}
	for name, value := range map[string]any{
		"id": 7.0, "role": "king", "created": "yesterday", "expire": "2026-01-15T12:00:00+01:00", "secret": "s", "used": nil,
	} {
		v := map[string]any{}
		maps.Copy(v, good)
		v[name] = value
		if bad := d.check(schema, v, "token"); len(bad) != 1 {
			t.Errorf("%s = %v: %v", name, value, bad)
		}
	}
	delete(good, "id")
	if bad := d.check(schema, good, "token"); len(bad) != 1 {
		t.Errorf("without id: %v", bad)
	}
}
