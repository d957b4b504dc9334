package ecs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
)

func TestValuesOfDottedNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		doc, name string
		want      []string
	}{
		{`{"a":{"b":1,"c":2}}`, "a", []string{"1", "2"}},
		{`{"a.c":2,"a.b":1}`, "a", []string{"1", "2"}},
		{`{"a":{"b.c":1},"a.b":{"c":2},"a.b.c":3}`, "a.b.c", []string{"1", "2", "3"}},
		{`{"a":{"b.c":1},"a.b":{"c":2},"a.b.c":3}`, "a.b", []string{"1", "2", "3"}},
		{`{"ab":1,"a":{"bc":2}}`, "a.b", nil},
	} {
		doc, err := ecs.ParseDocument([]byte(tc.doc))
		if err != nil {
			t.Fatal(err)
		}
		got := doc.Values(tc.name)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", tc.name, tc.doc, diff)
		}
	}
}
