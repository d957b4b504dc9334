package generate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/generate"
)

// TestGolden holds the format: one record of each kind of caller and outcome, and the
// first lines of the truth. UPDATE=1 writes the files: read what changed.
func TestGolden(t *testing.T) {
	t.Parallel()
	cfg := generate.Default(2000, 1)
	cfg.DataShare = 0.1
	dir, sum := trail(t, cfg)
	var records bytes.Buffer
	seen := map[string]bool{}
	readObjects(t, dir, func(o object) {
		for i := range o.records {
			r := &o.records[i]
			shape := r.UserIdentity.Type + r.ErrorCode
			switch r.EventName {
			case "SendCommand", "StartSession", "DescribeInstanceInformation", "GetObject", "GetBucketAcl", "Decrypt":
				shape += r.EventName
			}
			if !seen[shape] && len(r.raw) < 3000 {
				seen[shape] = true
				records.Write(r.raw)
				records.WriteByte('\n')
			}
		}
	})
	golden(t, "records.golden.ndjson", records.Bytes())
	truth, err := os.ReadFile(sum.Truth)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "truth.golden.ndjson", bytes.Join(bytes.SplitAfterN(truth, []byte("\n"), 21)[:20], nil))
	params, err := os.ReadFile(filepath.Join(dir, generate.SideDir, generate.ParamsFile))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "params.golden.json", params)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-), got (+):\n%s", path, diff)
	}
}
