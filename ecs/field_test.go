package ecs_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/debutsec/debut/ecs"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	const requests = "aws.cloudtrail.flattened.request_parameters"
	for _, tc := range []struct {
		name       string
		typ        ecs.Type
		known      bool
		root, path string
		of         string
	}{
		{name: "@timestamp", typ: ecs.Date, known: true},
		{name: "event.action", typ: ecs.Keyword, known: true},
		{name: "data_stream.dataset", typ: ecs.ConstantKeyword, known: true},
		{name: "source.ip", typ: ecs.IP, known: true},
		{name: "source.as.number", typ: ecs.Long, known: true},
		{name: "source.geo.location", typ: ecs.GeoPoint, known: true},
		{name: "aws.cloudtrail.read_only", typ: ecs.Boolean, known: true},
		{name: "aws.cloudtrail.management_event", typ: ecs.Keyword, known: true},
		{name: "error.message", typ: ecs.Text, known: true},
		{name: "user_agent.original.text", typ: ecs.Text, known: true, of: "user_agent.original"},
		{name: "debut.principal", typ: ecs.Keyword, known: true},
		{name: requests, typ: ecs.Flattened, known: true},
		{name: requests + ".a", typ: ecs.Flattened, known: true, root: requests, path: "a"},
		{name: requests + ".a.b.c", typ: ecs.Flattened, known: true, root: requests, path: "a.b.c"},
		{name: requests + ".", typ: ecs.Flattened, known: true, root: requests},
		{name: requests + "x", typ: ecs.Keyword},
		{name: "event.action.x", typ: ecs.Keyword},
		{name: "process.name", typ: ecs.Keyword},
		{name: "event", typ: ecs.Keyword},
		{name: "", typ: ecs.Keyword},
	} {
		f := cat.Resolve(tc.name)
		if f.Name != tc.name || f.Type != tc.typ || f.Known != tc.known || f.Root != tc.root || f.Path != tc.path || f.Of != tc.of {
			t.Errorf("Resolve(%q) = %+v", tc.name, *f)
		}
		if again := cat.Resolve(tc.name); again != f {
			t.Errorf("Resolve(%q) made a second field", tc.name)
		}
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	var names []string
	for f := range cat.Known() {
		if f.Index != len(names) {
			t.Errorf("%s has index %d, want %d", f.Name, f.Index, len(names))
		}
		if f.Of != "" && !cat.Resolve(f.Of).Known {
			t.Errorf("%s is of %s, which is not known", f.Name, f.Of)
		}
		names = append(names, f.Name)
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("the mapping is not in order of name, or has a name twice")
	}
	if cat.Len() != len(names) {
		t.Errorf("Len = %d, want %d", cat.Len(), len(names))
	}
	for range cat.Known() {
		break
	}
}

// Every goroutine gets the same field for a name, and indexes stay dense.
func TestResolveConcurrently(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	known := cat.Len()
	const names, workers = 300, 8
	got := make([][names]*ecs.Field, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range names {
				n := (i*7 + w*31) % names
				got[w][n] = cat.Resolve(fmt.Sprintf("field.%d", n))
				if n%50 == 0 {
					cat.Suggest("event.actoin")
				}
			}
		})
	}
	wg.Wait()
	indexes := make(map[int]bool)
	for n := range names {
		for w := range workers {
			if got[w][n] != got[0][n] {
				t.Fatalf("field.%d is two fields", n)
			}
		}
		indexes[got[0][n].Index] = true
	}
	if len(indexes) != names || cat.Len() != known+names {
		t.Errorf("%d indexes, Len %d, want %d and %d", len(indexes), cat.Len(), names, known+names)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	for name, want := range map[string]string{
		"event.actoin":                      "event.action",
		"event.actions":                     "event.action",
		"user_identity.arn":                 "aws.cloudtrail.user_identity.arn",
		"aws.cloudtrail.user_identity.arns": "aws.cloudtrail.user_identity.arn",
		"source.adress":                     "source.address",
		"cloud.acount.id":                   "cloud.account.id",
		"process.command_line":              "",
		"x":                                 "",
		"":                                  "",
	} {
		if got := cat.Suggest(name); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", name, got, want)
		}
	}
}
