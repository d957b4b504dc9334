package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// generateIn runs the command with an environment of its own.
func generateIn(ctx context.Context, c *GenerateCmd) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = c.Run(&Env{Context: ctx, Stdout: &out, Stderr: &errs, StderrTTY: true, Width: 80})
	return out.String(), errs.String(), err
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "trail")
	stdout, stderr, err := generateIn(context.Background(), &GenerateCmd{Records: 500, Seed: 3, Dir: dir, Window: "8h", RecordsPerObject: 100})
	if err != nil {
		t.Fatal(err)
	}
	if stdout != "" {
		t.Errorf("standard output is for results, got %q", stdout)
	}
	want := regexp.MustCompile(`(?s)records +\d+, \d+ of them duplicates
objects +\d+, \d+ bytes \(\d+ before compression\)
trail +1 account, 1 day from 2025-01-06
truth +` + regexp.QuoteMeta(filepath.Join(dir, ".truth", "truth.ndjson")) + `: \d+ verdicts, \d+ of them alerts
$`)
	if !want.MatchString(stderr) {
		t.Errorf("got %q", stderr)
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "note"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ctx  context.Context //nolint:containedctx // of a test's case
		cmd  GenerateCmd
		code int
		want string
	}{
		"records":     {nil, GenerateCmd{Records: -5}, ExitUsage, "-5 records: give a number between 1 and 100000000000"},
		"days":        {nil, GenerateCmd{Records: 5, Days: -1}, ExitUsage, "-1 days"},
		"window":      {nil, GenerateCmd{Records: 5, Window: "soon"}, ExitUsage, "--window"},
		"workers":     {nil, GenerateCmd{Records: 5, Workers: -1}, ExitUsage, "--workers -1"},
		"not empty":   {nil, GenerateCmd{Records: 5, Dir: full}, ExitUsage, "the folder is not empty: choose another one"},
		"interrupted": {cancelled, GenerateCmd{Records: 5}, ExitFailed, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := test.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			if test.cmd.Dir == "" {
				test.cmd.Dir = filepath.Join(t.TempDir(), "trail")
			}
			_, _, err := generateIn(ctx, &test.cmd)
			var e *ExitError
			if !errors.As(err, &e) || e.Code != test.code || !regexp.MustCompile(regexp.QuoteMeta(test.want)).MatchString(e.Error()) {
				t.Errorf("got %v, want %q with code %d", err, test.want, test.code)
			}
			if test.code == ExitFailed && e.Hint == "" {
				t.Error("no hint to remove what is not whole")
			}
		})
	}
}
