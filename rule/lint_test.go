package rule_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// ruleBase is a rule that lint has nothing to say about.
var ruleBase = []string{
	`rule_id = "7d0c4d21-0000-4000-8000-000000000001"`,
	`name = "Base"`,
	`description = "A rule."`,
	`type = "query"`,
	`query = 'event.action: "SendCommand" and event.provider: "ssm.amazonaws.com" and event.dataset: "aws.cloudtrail"'`,
	`severity = "low"`,
	`risk_score = 21`,
	`from = "now-9m"`,
	`timestamp_override = "event.ingested"`,
	`note = "Look at it."`,
	`threat = [{framework = "MITRE ATT&CK", tactic = {id = "TA0002", name = "Execution", reference = "https://attack.mitre.org/tactics/TA0002/"}}]`,
}

// onBase completes a rule of a test with those lines of ruleBase whose key it does
// not give. A line "-key" leaves the key out.
func onBase(text string) string {
	var b strings.Builder
	head, rest, _ := strings.Cut("\n"+text, "\n[")
	head = strings.TrimPrefix(head, "\n")
	b.WriteString("[rule]\n")
	for line := range strings.Lines(head) {
		if !strings.HasPrefix(line, "-") {
			b.WriteString(line)
		}
	}
	b.WriteByte('\n')
	for _, line := range ruleBase {
		key, _, _ := strings.Cut(line, " ")
		if !regexp.MustCompile(`(?m)^-?` + key + `\b`).MatchString(head) {
			b.WriteString(line + "\n")
		}
	}
	if rest != "" {
		b.WriteString("\n[" + rest)
	}
	return b.String()
}

// TestLint reads the archives of testdata/lint, one for each code. Members that
// begin with bad must be told the code, members that begin with good must not; the
// rules in them are completed by onBase. The member "want" is all that is said
// about the bad ones.
func TestLint(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, path := range files {
		code := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for _, f := range ar.Files {
				if f.Name == "want" {
					continue
				}
				diags := lintText(t, f.Name, f.Data)
				has := slices.ContainsFunc(diags, func(d query.Diagnostic) bool { return d.Code == code })
				if want := strings.HasPrefix(f.Name, "bad"); has != want {
					t.Errorf("%s: is %s reported: %v, want %v\n%s", f.Name, code, has, want, describe(diags))
				}
				if strings.HasPrefix(f.Name, "bad") {
					said.WriteString(describe(diags))
				}
			}
			goldenMember(t, path, ar, "want", said.String())
		})
	}
}

func lintText(t *testing.T, name string, data []byte) query.Diagnostics {
	t.Helper()
	if filepath.Ext(name) == ".toml" {
		data = []byte(onBase(string(data)))
	}
	set, err := rule.Load(fstest.MapFS{name: {Data: data}}, ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Rules) == 0 {
		t.Fatalf("%s: no rule: %v\n%s", name, set.Diagnostics, data)
	}
	return rule.Lint(set, ecs.NewCatalogue())
}

func TestLintBase(t *testing.T) {
	t.Parallel()
	if diags := lintText(t, "base.toml", nil); len(diags) > 0 {
		t.Error(describe(diags))
	}
}

// codesOf returns the codes that appear in what is expected of the files.
func codesOf(t *testing.T, pattern string) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:error|warning|info)\[([a-z0-9-]+)\]`).FindAllSubmatch(data, -1) {
			out[string(m[1])] = true
		}
	}
	return out
}

// Every code that the package can report is in the manual, has a data file, and
// the manual has no other. The codes of queries are in docs/kql.md.
func TestCodesAreDocumentedAndTested(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	_, messages, _ := bytes.Cut(manual, []byte("\n## Messages\n"))
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllSubmatch(messages, -1) {
		documented[string(m[1])] = true
	}
	tested := codesOf(t, "testdata/*/*")
	tested["unreadable-file"] = true // TestUnreadableFile
	tested["file-too-large"] = true  // TestLargeFile
	tested["not-runnable"] = true    // TestCompileWhatDoesNotRun
	for code := range reported(t) {
		if !documented[code] {
			t.Errorf("%s is not in docs/rules.md", code)
		}
		if !tested[code] {
			t.Errorf("%s is in no file of testdata", code)
		}
		delete(documented, code)
	}
	for code := range documented {
		t.Errorf("docs/rules.md has %s, which nothing reports", code)
	}
}

// reported returns the codes in the source: the texts that are passed as codes.
func reported(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{"duplicate-rule-id": true, "duplicate-rule-name": true} // put together
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`(?:` + strings.Join([]string{
		`Code: `, `errorAt\([^,]+, `, `reportAt\(query\.\w+, `, `reportAt\(query\.\w+, (?:\w+(?:\.\w+)?|"[^"]*"), `, `\.at\(query\.\w+, `,
		`\.(?:warn|info)\(`, `report\(c\.out, e, `, `report\(&s\.Diagnostics, e, `, `c\.report\(`,
	}, "|") + `)"([a-z]+(?:-[a-z0-9]+)*)"`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`\s+`).ReplaceAllString(string(data), " ")
		for _, m := range calls.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "-") || m[1] == "syntax" || m[1] == "deprecated" || m[1] == "disabled" {
				out[m[1]] = true
			}
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d codes are found in the source: %v", len(out), fmt.Sprint(out))
	}
	return out
}

func TestCompileWhatDoesNotRun(t *testing.T) {
	t.Parallel()
	r := &rule.Rule{ID: "eql-1", Type: rule.EQL, Language: "eql", Query: "any where true"}
	x, diags := r.Compile(ecs.NewCatalogue())
	if x != nil || len(diags) != 1 || diags[0].Code != "not-runnable" || !diags.Failed() {
		t.Errorf("compiled %v: %v", x, diags)
	}
	r = &rule.Rule{ID: "bad", Type: rule.Query, Language: "kuery", Query: "a: ("}
	if x, diags = r.Compile(ecs.NewCatalogue()); x != nil || !diags.Failed() || diags[0].RuleID != "bad" {
		t.Errorf("compiled %v: %v", x, diags)
	}
}

// unreadable is a file system in which one file cannot be opened.
type unreadable struct{ fstest.MapFS }

func (u unreadable) ReadFile(name string) ([]byte, error) {
	if name == "b.toml" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return u.MapFS.ReadFile(name)
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	good := &fstest.MapFile{Data: []byte(onBase(""))}
	fsys := unreadable{fstest.MapFS{"a.toml": good, "b.toml": good}}
	set, err := rule.Load(fsys, ".")
	if err != nil || len(set.Rules) != 1 || len(set.Diagnostics) != 1 || set.Diagnostics[0].Code != "unreadable-file" {
		t.Errorf("%v: %v", err, set)
	}
	if _, err := rule.Load(fsys, "b.toml"); err == nil {
		t.Error("a file that was asked for and cannot be read is no error")
	}
}

// large is a file system whose files say that they are large.
type large struct{ fstest.MapFS }

type largeInfo struct{ fs.FileInfo }

func (largeInfo) Size() int64 { return 1 << 40 }

func (l large) Stat(name string) (fs.FileInfo, error) {
	info, err := l.MapFS.Stat(name)
	if err != nil || info.IsDir() {
		return info, err
	}
	return largeInfo{info}, nil
}

func TestLargeFile(t *testing.T) {
	t.Parallel()
	set, err := rule.Load(large{fstest.MapFS{"a.toml": {Data: []byte(onBase(""))}}}, ".")
	if err != nil || len(set.Rules) != 0 || len(set.Diagnostics) != 1 || set.Diagnostics[0].Code != "file-too-large" {
		t.Errorf("%v: %v", err, set)
	}
}

// Nesting does not exhaust the stack, whatever the format.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	const n = 200_000
	for name, text := range map[string]string{
		"lists in JSON":     `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}",
		"objects in JSON":   strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n),
		"lists in TOML":     "a = " + strings.Repeat("[", n) + strings.Repeat("]", n),
		"tables in TOML":    "a = " + strings.Repeat("{a=", n) + "1" + strings.Repeat("}", n),
		"a key in TOML":     strings.Repeat("a.", n) + "a = 1",
		"a header in TOML":  "[" + strings.Repeat("a.", n) + "a]",
		"groups in a query": onBase(`query = "` + strings.Repeat("(", n/2) + `"`),
	} {
		if f := rule.Parse(name, []byte(text)); !f.Diagnostics.Failed() || len(f.Diagnostics) > 1 {
			t.Errorf("%s: %d rules, %d diagnostics", name, len(f.Rules), len(f.Diagnostics))
		}
	}
}
