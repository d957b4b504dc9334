package store_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/rule"
)

const sampleRule = `
[rule]
rule_id = "r-1"
name = "A rule"
description = "For a test."
type = "query"
language = "kuery"
query = "event.action: SendCommand"
severity = "low"
risk_score = 21
author = ["Debut"]
from = "now-9m"
interval = "5m"
index = ["logs-aws.cloudtrail-*"]
[metadata]
creation_date = "2026/01/01"
updated_date = "2026/01/01"
maturity = "production"
`

func sampleException() *store.Exception {
	return &store.Exception{
		ID: "0123456789abcdef", Name: `The "build" network`, RuleIDs: []string{"r-1"},
		Expire: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC),
		Entries: []store.ExceptionEntry{
			{Field: "debut.principal", Type: "match", Operator: "included", Values: []string{"arn:aws:iam::111122223333:role/deploy"}},
			{Field: "source.ip", Type: "match_any", Values: []string{"192.0.2.1", "192.0.2.2"}},
			{Field: "user_agent.original", Type: "wildcard", Operator: "excluded", Values: []string{`*'''"\* curl*`}},
			{Field: "event.id", Type: "exists"},
		},
	}
}

// A stored exception attaches to its rule, and says what it said.
func TestExceptionSources(t *testing.T) {
	t.Parallel()
	e := sampleException()
	sources, err := store.ExceptionSources([]*store.Exception{e})
	if err != nil {
		t.Fatal(err)
	}
	rules := fstest.MapFS{"rule.toml": {Data: []byte(sampleRule)}}
	set, err := rule.LoadSources(append(sources, rule.Source{FS: rules, Path: "rule.toml"})...)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Diagnostics) > 0 {
		t.Fatal(set.Diagnostics)
	}
	compiled, diags := set.Compile(ecs.NewCatalogue())
	if len(diags) > 0 || len(compiled) != 1 || len(compiled[0].Exceptions) != 1 {
		t.Fatalf("compiled %+v, %v", compiled, diags)
	}
	if x := compiled[0].Exceptions[0]; x.Name != e.Name || !x.Expire.Equal(e.Expire) {
		t.Errorf("got %q until %s", x.Name, x.Expire)
	}
	items := set.ExceptionsFor(set.Rules[0])
	for i, c := range items[0].Entries {
		want := e.Entries[i]
		if want.Operator == "" {
			want.Operator = "included"
		}
		got := store.ExceptionEntry{Field: c.Field, Type: c.Type, Operator: c.Operator, Values: c.Values}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry %d (-want +got)\n%s", i, diff)
		}
	}
	if _, err := fs.Stat(sources[0].FS, "other"); err == nil {
		t.Error("a file that is not there was found")
	}
}

// Whatever text an exception holds, the file brings it back.
func TestExceptionFileKeepsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := sampleException()
		e.Name = "n" + rapid.String().Draw(t, "name")
		value := rapid.String().Draw(t, "value")
		e.Entries = []store.ExceptionEntry{{Field: "event.action", Type: "match", Operator: "included", Values: []string{value}}}
		sources, err := store.ExceptionSources([]*store.Exception{e})
		if err != nil {
			t.Fatal(err)
		}
		set, err := rule.LoadSources(sources...)
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Lists) != 1 || len(set.Lists[0].Items) != 1 {
			t.Fatalf("%q: %v", value, set.Diagnostics)
		}
		item := set.Lists[0].Items[0]
		if item.Name != strings.TrimSpace(e.Name) && item.Name != e.Name || item.Entries[0].Values[0] != value {
			t.Fatalf("%q became %q, %q became %q", e.Name, item.Name, value, item.Entries[0].Values[0])
		}
	})
}

func TestCheckException(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*store.Exception)
		want   string // in the error or a diagnostic; empty: it is sound
		sound  bool   // a warning only
	}{
		"sound":         {func(*store.Exception) {}, "", true},
		"no name":       {func(e *store.Exception) { e.Name = " " }, "name has 1 bytes", false},
		"no rules":      {func(e *store.Exception) { e.RuleIDs = nil }, "rule_ids names 0 rules", false},
		"no entries":    {func(e *store.Exception) { e.Entries = nil }, "entries has 0 conditions", false},
		"list":          {func(e *store.Exception) { e.Entries[0].Type = "list" }, "not match, match_any, exists or wildcard", false},
		"two values":    {func(e *store.Exception) { e.Entries[0].Values = []string{"a", "b"} }, "takes one value, not 2", false},
		"none":          {func(e *store.Exception) { e.Entries[1].Values = nil }, "is empty", false},
		"operator":      {func(e *store.Exception) { e.Entries[0].Operator = "is" }, "operator", false},
		"bad address":   {func(e *store.Exception) { e.Entries[1].Values = []string{"192.0.2.1", "nonsense"} }, "nonsense", false},
		"unknown field": {func(e *store.Exception) { e.Entries[0].Field = "event.acton" }, "did you mean event.action", true},
	} {
		e := sampleException()
		test.change(e)
		x, diags, err := store.CheckException(e, ecs.NewCatalogue())
		var said strings.Builder
		if err != nil {
			said.WriteString(err.Error())
		}
		for _, d := range diags {
			said.WriteString(d.Error() + d.Hint)
		}
		if (x != nil) != test.sound || !strings.Contains(said.String(), test.want) || test.want == "" && said.Len() > 0 {
			t.Errorf("%s: condition %v, said %q", name, x != nil, said.String())
		}
	}
}
