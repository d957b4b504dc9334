package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/cli"
)

// TestManual runs the examples of the README and of everything under docs: in a
// fenced block marked console, a line that starts with "$ debut " is run, and the
// lines below it are its standard output. A line "..." stands for any number of
// lines. With UPDATE set the output is rewritten, unless it has such a line.
func TestManual(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	examples := 0
	for _, page := range pages {
		examples += testPage(t, page)
	}
	if examples == 0 {
		t.Fatal("no example found: the test looks at the wrong place")
	}
}

func testPage(t *testing.T, page string) (examples int) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	updated := fence.ReplaceAllStringFunc(string(text), func(block string) string {
		body := fence.FindStringSubmatch(block)[1]
		var out strings.Builder
		for _, ex := range splitExamples(body) {
			examples++
			got := runExample(t, page, ex.command)
			if !matchLines(ex.want, got) {
				if os.Getenv("UPDATE") == "" || strings.Contains(ex.want, "...\n") {
					t.Errorf("%s: $ %s\n(-manual +program)\n%s", page, ex.command, cmp.Diff(ex.want, got))
				}
				ex.want = got
			}
			out.WriteString("$ " + ex.command + "\n" + ex.want)
		}
		return "```console\n" + out.String() + "```"
	})
	if os.Getenv("UPDATE") != "" && updated != string(text) {
		if err := os.WriteFile(page, []byte(updated), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return examples
}

type example struct{ command, want string }

func splitExamples(body string) (list []example) {
	for line := range strings.Lines(body) {
		if cmd, ok := strings.CutPrefix(line, "$ "); ok {
			list = append(list, example{command: strings.TrimSuffix(cmd, "\n")})
		} else if len(list) > 0 {
			list[len(list)-1].want += line
		}
	}
	return list
}

// runExample runs a command in the root of the repository and returns its output.
func runExample(t *testing.T, page, command string) string {
	t.Helper()
	words := strings.Fields(command)
	for i, w := range words {
		words[i] = strings.Trim(w, "'")
	}
	if len(words) == 0 || words[0] != "debut" {
		t.Errorf("%s: an example must start with debut: %s", page, command)
		return ""
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	words = words[1:]
	for i, w := range words { // paths in the manual are relative to the root
		if i == 0 { // the command, which may be called as a folder is
			continue
		}
		if _, err := os.Stat(filepath.Join(root, w)); err == nil {
			words[i] = filepath.Join(root, w)
		}
	}
	var stdout, stderr bytes.Buffer
	cli.Main(&cli.Env{
		Context: context.Background(), Args: words, Stdin: strings.NewReader(""),
		Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
		Now: func() time.Time { return time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC) },
	})
	return strings.ReplaceAll(stdout.String(), root+string(filepath.Separator), "")
}

// matchLines compares line by line; "..." in want stands for any lines.
func matchLines(want, got string) bool {
	parts := strings.Split(want, "...\n")
	if !strings.HasPrefix(got, parts[0]) {
		return false
	}
	rest := got[len(parts[0]):]
	for _, p := range parts[1:] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return rest == "" || strings.HasSuffix(want, "...\n")
}
