package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"debut": main})
}

// TestScripts runs the program as it is typed. Each script in testdata/script is one
// behaviour; `go test ./cmd/debut -update` rewrites the expected output.
func TestScripts(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		UpdateScripts:      os.Getenv("UPDATE") != "",
		Cmds:               map[string]func(*testscript.TestScript, bool, []string){"eventually": eventually},
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("NOW", "2026-01-15T12:00:00Z")
			return nil
		},
	})
}

// eventually runs a command again and again until what it prints matches: what the
// daemon does by itself takes its time. Usage: eventually PATTERN COMMAND ARG.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN COMMAND ARG")
	}
	want := regexp.MustCompile(args[0])
	out := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := ts.Exec(args[1], args[2:]...); err == nil {
			if out = ts.ReadFile("stdout"); want.MatchString(out) {
				return
			}
		}
	}
	ts.Fatalf("%s does not match within 30 s:\n%s%s", args[0], out, ts.ReadFile("stderr"))
}
