package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/debutsec/debut/internal/triage/live/livetest"
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually": eventually, "envline": envline, "aws": aws, "s3sqs": s3sqs,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("NOW", "2026-01-15T12:00:00Z")
			return nil
		},
	})
}

// envline sets a variable to the first line of a file. Usage: envline NAME FILE.
func envline(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envline NAME FILE")
	}
	line, _, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	ts.Setenv(args[0], line)
}

// aws makes programs ask an endpoint on this machine in place of AWS. It answers what
// the files of a folder say, which are named after the action, and refuses the rest.
// Usage: aws FOLDER.
func aws(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: aws FOLDER")
	}
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	answers := map[string]string{}
	for _, f := range files {
		answers[filepath.Base(f)] = ts.ReadFile(f)
	}
	s := httptest.NewServer(livetest.New(answers))
	ts.Defer(s.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		ts.Setenv(name, value)
	}
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
