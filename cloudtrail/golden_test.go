package cloudtrail_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// Each testdata/ecs/NAME.json is a list of records, NAME.ecs.json their documents.
// UPDATE=1 writes the documents: read what changed.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/ecs/*.json")
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".ecs.json") {
			continue
		}
		pairs++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(data) {
				t.Fatal("not JSON")
			}
			agreement := newAgreement()
			ev := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
			var docs []json.RawMessage
			for c := rawjson.Walk(data); c.Next(); {
				agreement.check(t, c.Value())
				var rec cloudtrail.Record
				if _, err := rec.Parse(c.Value()); err != nil {
					t.Fatal(err)
				}
				ev.Reset(&rec)
				docs = append(docs, ev.Document().AppendJSON(nil))
			}
			got := pretty(t, docs)
			golden := strings.TrimSuffix(file, ".json") + ".ecs.json"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
	if pairs < 25 {
		t.Errorf("only %d golden pairs", pairs)
	}
}

// pretty prints documents with short lists on one line.
func pretty(t *testing.T, docs []json.RawMessage) []byte {
	t.Helper()
	all, err := json.Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, all, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}
