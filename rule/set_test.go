package rule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/rule"
)

// TestLoad loads the trees of testdata/set: each file is a txtar archive whose
// comment names the paths to load, and whose file "want" says what comes of it.
func TestLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/set/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fsys := make(fstest.MapFS)
			for _, f := range ar.Files {
				fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o600}
			}
			paths := strings.Fields(lastLine(string(ar.Comment)))
			set, err := rule.Load(fsys, paths...)
			got := describeSet(set)
			if err != nil {
				got = "error: " + err.Error() + "\n"
			}
			goldenMember(t, path, ar, "want", got)
		})
	}
}

// lastLine returns the last line of a comment: the lines before it explain.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// goldenMember compares got with a file of an archive, or writes it with -update.
func goldenMember(t *testing.T, path string, ar *txtar.Archive, name, got string) {
	t.Helper()
	for i := range ar.Files {
		f := &ar.Files[i]
		if f.Name != name {
			continue
		}
		if *update {
			f.Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(ar), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		return
	}
	t.Fatalf("%s has no file %q", path, name)
}

func describeSet(s *rule.Set) string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(describe(s.Diagnostics))
	fmt.Fprintf(&b, "%d files, skipped %v\n", s.Files, s.Skipped)
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "rule %s %q %s:%d\n", r.ID, r.Name, r.File, r.Line)
		for _, i := range s.ExceptionsFor(r) {
			fmt.Fprintf(&b, "  except %s %q\n", i.ItemID, i.Name)
		}
	}
	for _, r := range s.Deprecated {
		fmt.Fprintf(&b, "deprecated %s\n", r.ID)
	}
	for _, v := range s.ValueLists {
		fmt.Fprintf(&b, "value list %s %s %q\n", v.ID, v.Type, v.Values)
	}
	return b.String()
}

func TestLoadNames(t *testing.T) {
	t.Parallel()
	fsys := os.DirFS("testdata")
	for _, c := range []struct{ path, name, want string }{
		{"load/asset.good.json", "", "load/asset.good.json"},
		{"load/asset.good.json", "../x/asset.good.json", "../x/asset.good.json"},
		{"load/asset*.json", "../x/load/asset*.json", "../x/load/asset.good.json"},
		{"load", "../x/load/", "../x/load/asset.good.json"},
		{".", "/etc/rules", "/etc/rules/load/asset.good.json"},
		{".", ".", "load/asset.good.json"},
	} {
		set, err := rule.LoadSources(rule.Source{FS: fsys, Path: c.path, Name: c.name})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		found := false
		for _, r := range set.Rules {
			found = found || r.ID == "packaged-1" && r.File == c.want
		}
		if !found {
			t.Errorf("%+v: the rule is not at %s", c, c.want)
		}
	}
}

// What is no regular file is not opened: a pipe or a device may never end.
func TestLoadIrregular(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{os.ModeNamedPipe, os.ModeDevice | os.ModeCharDevice, os.ModeSocket} {
		fsys := fstest.MapFS{
			"rules/pipe.toml": {Data: []byte("[rule]"), Mode: mode | 0o600},
			"rules/pipe.txt":  {Mode: mode | 0o600},
		}
		files, _, err := rule.LoadFiles(rule.Source{FS: fsys, Path: "rules"})
		if err != nil || len(files) != 2 {
			t.Fatalf("%v: %d files, error %v", mode, len(files), err)
		}
		for _, f := range files {
			if d := f.Diagnostics; len(d) != 1 || d[0].Code != "unreadable-file" || !strings.Contains(d[0].Error(), "no regular file") {
				t.Errorf("%v: %s: %v", mode, f.Name, d)
			}
		}
	}
}
