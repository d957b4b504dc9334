package main

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/debutsec/debut"

// ladder is the order of the packages: one imports only what stands on a lower
// rung. The reason is on the rung.
var ladder = []struct {
	reason   string
	packages []string
}{
	{"small leaves know nothing of the rest", []string{"internal/rawjson", "internal/inflate", "internal/triage/command", "rules"}},
	{"an event knows how JSON is read, and nothing else", []string{"ecs"}},
	{"what the languages share, and the record, know only events", []string{"query", "cloudtrail"}},
	{"a query language knows no rules", []string{"kql"}},
	{"a rule file knows no engine", []string{"rule"}},
	{"the engine knows no disk, clock or network", []string{"detect"}},
	{"plumbing around the engine; neighbours do not know each other", []string{"internal/alert", "internal/pipeline", "internal/generate", "internal/source"}},
	{"what a store promises, and the records in it", []string{"internal/store"}},
	{"what stores must pass, and what sources and questions to AWS are tested with", []string{"internal/store/storetest", "internal/source/s3/s3test", "internal/triage/live/livetest"}},
	{"adapters to the outside", []string{"internal/source/files", "internal/source/s3", "internal/source/push", "internal/source/watch", "internal/store/memory", "internal/store/sqlite", "internal/store/parquet", "internal/enrich", "internal/ruletest"}},
	{"the event store is made of segments", []string{"internal/store/events"}},
	{"what runs for ever knows stores and sources by what they promise", []string{"internal/serve", "internal/config", "internal/server/api", "internal/triage"}},
	{"what people see, and what AWS is asked", []string{"internal/report", "internal/triage/live"}},
	{"an alert, its store and its investigation", []string{"internal/triage/desk"}},
	{"what people are told", []string{"internal/notify"}},
	{"what programs see", []string{"internal/server"}},
	{"the parts put together", []string{"internal/daemon"}},
	{"wiring, and what measures the program", []string{"internal/cli", "internal/bench"}},
	{"the program", []string{"cmd/debut"}},
}

type listed struct {
	ImportPath, Doc, Dir string
	Imports              []string
	GoFiles              []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Dir,Imports,GoFiles", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	rung := map[string]int{}
	for i, r := range ladder {
		for _, p := range r.packages {
			rung[p] = i
		}
	}
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(name, "examples/") {
			continue
		}
		mine, ok := rung[name]
		if !ok {
			t.Errorf("package %s stands on no rung of the ladder: add it", name)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, module+"/")
			if theirs := rung[dep]; ours && theirs >= mine {
				t.Errorf("%s imports %s, which is not below it: %s", name, dep, ladder[mine].reason)
			}
		}
	}
}

// Public packages are useful on their own: they touch no disk, clock or network.
func TestPublicPackagesArePure(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		switch name {
		case "ecs", "cloudtrail", "query", "kql", "rule", "detect":
		default:
			continue
		}
		for _, imp := range p.Imports {
			switch imp {
			case "os", "net", "net/http", "os/exec", "log", "log/slog":
				t.Errorf("%s imports %s: public packages are pure", name, imp)
			}
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if len(p.Doc) < 40 {
			t.Errorf("package %s has no documentation to speak of", name)
		}
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "examples/") {
			continue
		}
		found := false
		for _, f := range p.GoFiles {
			found = found || f == "doc.go"
		}
		if !found {
			t.Errorf("package %s has no doc.go", name)
		}
	}
}

func TestDesignNotesAreNumbered(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	err := filepath.WalkDir("../../docs/design", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		number, _, ok := strings.Cut(d.Name(), "-")
		if !ok || len(number) != 4 {
			t.Errorf("%s: design notes are named NNNN-title.md", path)
		}
		if other, dup := seen[number]; dup {
			t.Errorf("%s and %s have the same number", path, other)
		}
		seen[number] = path
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
