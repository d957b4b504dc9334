package files_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/source/files"
)

// tree makes a folder with files: "name" or "name -> target" for a link, "name/" for
// an empty folder.
func tree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, n := range names {
		name, target, link := strings.Cut(n, " -> ")
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(strings.ReplaceAll(target, "ROOT", root), path)
		default:
			err = os.WriteFile(path, []byte(name), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// list walks paths, given relative to root, and prints what came in order: names, and
// failures as "code: name".
func list(t testing.TB, root string, w *files.Walk, paths ...string) []string {
	t.Helper()
	abs := make([]string, len(paths))
	for i, p := range paths {
		abs[i] = p
		if p != "-" && !strings.Contains(p, "://") {
			abs[i] = root + "/" + p
		}
	}
	relative := func(p string) string {
		if r, err := filepath.Rel(root, p); err == nil {
			return filepath.ToSlash(r)
		}
		return p
	}
	var out []string
	for o, err := range w.Objects(t.Context(), abs) {
		var f *pipeline.Failure
		switch {
		case errors.As(err, &f):
			if strings.Contains(f.Message, "\n") || !strings.Contains(f.Message, " ") {
				t.Errorf("the message %q does not explain", f.Message)
			}
			out = append(out, f.Code+": "+relative(f.Path))
		case err != nil:
			t.Fatal(err)
		default:
			out = append(out, relative(o.Name))
		}
	}
	return out
}

func TestObjects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tree    []string
		paths   []string
		want    []string
		skipped map[string]int64
	}{
		"file of any name":     {tree: []string{"x.pdf"}, paths: []string{"x.pdf"}, want: []string{"x.pdf"}},
		"not there":            {paths: []string{"x"}, want: []string{"not-found: x"}},
		"below a file":         {tree: []string{"x"}, paths: []string{"x/y"}, want: []string{"unreadable: x/y"}},
		"bucket":               {paths: []string{"s3://logs/AWSLogs"}, want: []string{"s3-not-supported: s3://logs/AWSLogs"}},
		"address":              {paths: []string{"https://example.org/x.json"}, want: []string{"not-a-path: https://example.org/x.json"}},
		"failures do not stop": {tree: []string{"a.json"}, paths: []string{"x", "a.json"}, want: []string{"not-found: x", "a.json"}},
		"folder in order": {
			tree:  []string{"logs/b.json", "logs/a/2.json", "logs/a/1.json", "logs/c.json"},
			paths: []string{"logs"},
			want:  []string{"logs/a/1.json", "logs/a/2.json", "logs/b.json", "logs/c.json"},
		},
		"names in a folder": {
			tree: []string{
				"l/a.json", "l/b.JSON.GZ", "l/c.zst", "l/d.ndjson", "l/e.jsonl", "l/f.log", "l/g.txt", "l/h.csv", "l/i", "l/j.log.1",
				"l/k.2024-01-01", "l/firehose-1-2024-01-01-00-00-00-abc", "l/x.md", "l/LICENSE", "l/NOTICE", "l/x.tar.gz", "l/x.parquet",
				"l/x.json.tmp", "l/aws-logs-write-test", "l/.DS_Store", "l/.git/config.json",
			},
			paths: []string{"l"},
			want: []string{
				"l/a.json", "l/b.JSON.GZ", "l/c.zst", "l/d.ndjson", "l/e.jsonl", "l/f.log", "l/firehose-1-2024-01-01-00-00-00-abc",
				"l/g.txt", "l/h.csv", "l/i", "l/j.log.1", "l/k.2024-01-01",
			},
			skipped: map[string]int64{files.OtherName: 7, files.Hidden: 2},
		},
		"empty folder":             {tree: []string{"e/"}, paths: []string{"e"}, want: []string{"nothing-to-read: e"}},
		"folder without logs":      {tree: []string{"e/x.md"}, paths: []string{"e"}, want: []string{"nothing-to-read: e"}, skipped: map[string]int64{files.OtherName: 1}},
		"empty folder in a folder": {tree: []string{"e/f/", "e/a.json"}, paths: []string{"e"}, want: []string{"e/a.json"}},
		"file twice":               {tree: []string{"a.json"}, paths: []string{"a.json", "./a.json"}, want: []string{"a.json"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"folder twice":             {tree: []string{"l/a.json"}, paths: []string{"l", "l/../l/"}, want: []string{"l/a.json"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"folder, then a file of it": {
			tree: []string{"l/a.json"}, paths: []string{"l", "l/a.json"}, want: []string{"l/a.json"}, skipped: map[string]int64{files.NamedTwice: 1},
		},
		"file, then its folder": {
			tree: []string{"l/a.json", "l/b.json"}, paths: []string{"l/a.json", "l"}, want: []string{"l/a.json", "l/b.json"}, skipped: map[string]int64{files.NamedTwice: 1},
		},
		"folder, then what was left out of it": {
			tree: []string{"l/a.json", "l/x.md", "l/.h/b.json"}, paths: []string{"l", "l/x.md", "l/.h"},
			want: []string{"l/a.json", "l/x.md", "l/.h/b.json"}, skipped: map[string]int64{files.Hidden: 1, files.OtherName: 1},
		},
		"inner folder, then the outer": {
			tree: []string{"l/in/a.json", "l/b.json"}, paths: []string{"l/in", "l"}, want: []string{"l/in/a.json", "l/b.json"}, skipped: map[string]int64{files.NamedTwice: 1},
		},
		"outer folder, then the inner": {
			tree: []string{"l/in/a.json", "l/b.json"}, paths: []string{"l", "l/in"}, want: []string{"l/b.json", "l/in/a.json"}, skipped: map[string]int64{files.NamedTwice: 1},
		},
		"standard input": {paths: []string{"-", "-"}, want: []string{files.StdinName}, skipped: map[string]int64{files.NamedTwice: 1}},

		"link to a file":         {tree: []string{"x/a.json", "l/b.json -> ../x/a.json"}, paths: []string{"l"}, want: []string{"l/b.json"}},
		"link to a file beside":  {tree: []string{"l/a.json", "l/b.json -> a.json"}, paths: []string{"l"}, want: []string{"l/a.json"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"two links to one file":  {tree: []string{"x/a.json", "l/1 -> ../x/a.json", "l/2 -> ../x/a.json"}, paths: []string{"l"}, want: []string{"l/1"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"link to a folder":       {tree: []string{"x/a.json", "l/d -> ../x"}, paths: []string{"l"}, want: []string{"l/d/a.json"}},
		"link to itself":         {tree: []string{"l/a.json", "l/loop -> loop"}, paths: []string{"l"}, want: []string{"l/a.json", "broken-link: l/loop"}},
		"link to nowhere":        {tree: []string{"l/a.json", "l/b.json -> gone"}, paths: []string{"l"}, want: []string{"l/a.json", "broken-link: l/b.json"}},
		"link to its own folder": {tree: []string{"l/a.json", "l/here -> ."}, paths: []string{"l"}, want: []string{"l/a.json"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"link to the folder above": {
			tree: []string{"x/l/a.json", "x/b.json", "x/l/up -> .."}, paths: []string{"x/l"},
			want: []string{"x/l/a.json", "x/l/up/b.json"}, skipped: map[string]int64{files.NamedTwice: 1},
		},
		"links in a circle": {
			tree: []string{"a/to -> ../b", "b/to -> ../a", "a/1.json", "b/2.json"}, paths: []string{"a"},
			want: []string{"a/1.json", "a/to/2.json"}, skipped: map[string]int64{files.NamedTwice: 1},
		},

		"digests": {
			tree: []string{
				"AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2024/01/02/111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20240102T030405Z.json.gz",
				"AWSLogs/111122223333/CloudTrail-Insight/us-east-1/2024/01/02/x.json.gz",
				"AWSLogs/111122223333/CloudTrail/us-east-1/2024/01/02/y.json.gz",
				"flat/111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20240102T030405Z.json.gz",
			},
			paths: []string{"AWSLogs", "flat"},
			want: []string{
				"AWSLogs/111122223333/CloudTrail/us-east-1/2024/01/02/y.json.gz",
				"AWSLogs/111122223333/CloudTrail-Insight/us-east-1/2024/01/02/x.json.gz",
			},
			skipped: map[string]int64{files.Digest: 2},
		},
		"other services": {
			tree: []string{
				"AWSLogs/o-abc/111122223333/Config/us-east-1/2024/1/2/ConfigHistory/x.json.gz",
				"AWSLogs/111122223333/elasticloadbalancing/us-east-1/2024/01/02/x.log.gz",
				"AWSLogs/111122223333/x.json",
			},
			paths: []string{"AWSLogs"}, want: []string{"AWSLogs/111122223333/x.json"}, skipped: map[string]int64{files.OtherLog: 2},
		},

		"pattern":                          {tree: []string{"a/1.json", "a/2.gz", "b/3.json"}, paths: []string{"*/*.json"}, want: []string{"a/1.json", "b/3.json"}},
		"pattern, any type":                {tree: []string{"a/1.md", "a/2.json"}, paths: []string{"a/*"}, want: []string{"a/1.md", "a/2.json"}},
		"pattern for folders":              {tree: []string{"a1/x/1.json", "a1/y.md", "a2/2.json", "b/3.json"}, paths: []string{"a?"}, want: []string{"a1/x/1.json", "a2/2.json"}, skipped: map[string]int64{files.OtherName: 1}},
		"pattern, any depth":               {tree: []string{"l/1.json", "l/a/2.json", "l/a/b/3.json", "l/a/b/4.txt"}, paths: []string{"l/**/*.json"}, want: []string{"l/1.json", "l/a/2.json", "l/a/b/3.json"}},
		"pattern, everything":              {tree: []string{"l/1.json", "l/a/2.json"}, paths: []string{"l/**"}, want: []string{"l/1.json", "l/a/2.json"}},
		"pattern, two depths":              {tree: []string{"l/a/x/a/1.json", "l/a/2.json"}, paths: []string{"l/**/a/**/*.json"}, want: []string{"l/a/2.json", "l/a/x/a/1.json"}},
		"pattern, class":                   {tree: []string{"1.json", "2.json", "3.json"}, paths: []string{"[12].json"}, want: []string{"1.json", "2.json"}},
		"pattern, hidden":                  {tree: []string{".a/1.json", "b/.2.json", "b/3.json"}, paths: []string{"**/*.json"}, want: []string{"b/3.json"}},
		"pattern, its own dot":             {tree: []string{".a/1.json"}, paths: []string{".?/*"}, want: []string{".a/1.json"}},
		"pattern without a match":          {tree: []string{"a.json"}, paths: []string{"*.gz"}, want: []string{"no-match: *.gz"}},
		"pattern in no folder":             {paths: []string{"x/*.gz"}, want: []string{"not-found: x/*.gz"}},
		"bad pattern":                      {paths: []string{"[a"}, want: []string{"bad-pattern: [a"}},
		"deep pattern":                     {paths: []string{strings.Repeat("*/", 70)}, want: []string{"bad-pattern: " + strings.TrimSuffix(strings.Repeat("*/", 70), "/")}},
		"a name that looks like a pattern": {tree: []string{"[a]*.json", "a.json"}, paths: []string{"[a]*.json"}, want: []string{"[a]*.json"}},
		"pattern and a file of it":         {tree: []string{"a.json", "b.json"}, paths: []string{"*.json", "a.json"}, want: []string{"a.json", "b.json"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"pattern and its folder":           {tree: []string{"l/a.json", "l/b.txt"}, paths: []string{"l/*.json", "l"}, want: []string{"l/a.json", "l/b.txt"}, skipped: map[string]int64{files.NamedTwice: 1}},
		"two patterns":                     {tree: []string{"a.json", "b.json"}, paths: []string{"*.json", "?.json"}, want: []string{"a.json", "b.json"}, skipped: map[string]int64{files.NamedTwice: 2}},
		"pattern through a link":           {tree: []string{"x/d/a.json", "l/d -> ../x/d"}, paths: []string{"l/*/*.json"}, want: []string{"l/d/a.json"}},
		"pattern, ** stops at links":       {tree: []string{"l/a.json", "l/up -> ..", "l/gone -> nowhere"}, paths: []string{"l/**/*.json"}, want: []string{"l/a.json"}},
		"pattern for a broken link":        {tree: []string{"l/a.json -> nowhere"}, paths: []string{"l/*.json"}, want: []string{"broken-link: l/a.json", "no-match: l/*.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := files.New(files.Options{Stdin: strings.NewReader("")})
			got := list(t, tree(t, test.tree...), w, test.paths...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if test.skipped == nil {
				test.skipped = map[string]int64{}
			}
			if diff := cmp.Diff(test.skipped, w.Skipped()); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	day := func(d int) string {
		return fmt.Sprintf("AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/%02d/x.json.gz", d)
	}
	names := make([]string, 0, 11)
	for d := 10; d <= 20; d++ {
		names = append(names, day(d))
	}
	root := tree(t, names...)
	bounds := files.Options{
		From: time.Date(2024, 5, 14, 12, 0, 0, 0, time.UTC),
		To:   time.Date(2024, 5, 16, 12, 0, 0, 0, time.UTC),
	}
	want := []string{day(13), day(14), day(15), day(16), day(17)}
	skipped := map[string]int64{files.BeforeFrom: 3, files.AfterTo: 3}
	for _, path := range []string{"AWSLogs", "**/*.gz"} {
		w := files.New(bounds)
		if diff := cmp.Diff(want, list(t, root, w, path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if diff := cmp.Diff(skipped, w.Skipped()); diff != "" {
			t.Errorf("%s skipped (-want +got):\n%s", path, diff)
		}
	}
	// A folder in which everything is too old is no mistake of the user's.
	w := files.New(bounds)
	if got := list(t, root, w, "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/10"); got != nil {
		t.Errorf("an old folder: got %v", got)
	}
	// What is named by itself is read whenever it was delivered.
	w = files.New(bounds)
	if diff := cmp.Diff([]string{day(10)}, list(t, root, w, day(10))); diff != "" {
		t.Errorf("an old file (-want +got):\n%s", diff)
	}
}

func TestKeyFromTheRealPath(t *testing.T) {
	t.Parallel()
	root := tree(t, "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/02/x.json.gz", "here -> AWSLogs/111122223333/CloudTrail/eu-west-1/2024")
	for o, err := range files.New(files.Options{}).Objects(t.Context(), []string{filepath.Join(root, "here")}) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Key == nil || o.Key.Account != "111122223333" || o.Key.Region != "eu-west-1" {
			t.Errorf("got %+v", o)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	root := tree(t, "a.json")
	for o, err := range files.New(files.Options{Stdin: strings.NewReader("from stdin")}).Objects(t.Context(), []string{filepath.Join(root, "a.json"), "-"}) {
		if err != nil {
			t.Fatal(err)
		}
		rc, err := o.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		want := "a.json"
		if o.Name == files.StdinName {
			want = "from stdin"
		}
		if string(got) != want {
			t.Errorf("%s: got %q", o.Name, got)
		}
		if err := rc.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	root := tree(t, "l/a.json")
	if err := syscall.Mkfifo(filepath.Join(root, "l/pipe"), 0o600); err != nil {
		t.Skip("no pipes here: ", err)
	}
	w := files.New(files.Options{})
	if diff := cmp.Diff([]string{"l/a.json"}, list(t, root, w, "l")); diff != "" {
		t.Errorf("in a folder (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{files.SpecialFile: 1}, w.Skipped()); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	// Named by itself, as a shell's <(command) is.
	if diff := cmp.Diff([]string{"l/pipe"}, list(t, root, files.New(files.Options{}), "l/pipe")); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	root := tree(t, "l/a/1.json", "l/b/2.json")
	if err := os.Chmod(filepath.Join(root, "l/a"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, "l/a"), 0o700) })
	got := list(t, root, files.New(files.Options{}), "l")
	if diff := cmp.Diff([]string{"unreadable-folder: l/a", "l/b/2.json"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStopsWhereTheLoopStops(t *testing.T) {
	t.Parallel()
	root := tree(t, "l/a/1.json", "l/a/2.json", "l/b/3.json", "gone -> nowhere")
	for _, path := range []string{"l", "**/*.json", "nowhere"} {
		for n := range 4 {
			seen := 0
			for _, err := range files.New(files.Options{}).Objects(t.Context(), []string{filepath.Join(root, path), root}) {
				if _, ok := errors.AsType[*pipeline.Failure](err); err != nil && !ok {
					t.Error(err)
				}
				if seen++; seen > n {
					break
				}
			}
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	root := tree(t, "l/a/1.json", "l/a/2.json", "l/b/3.json")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []error
	for _, err := range files.New(files.Options{}).Objects(ctx, []string{root, root}) {
		cancel()
		got = append(got, err)
	}
	if len(got) != 2 || got[0] != nil || !errors.Is(got[1], context.Canceled) {
		t.Errorf("got %v, want one object and the end of the context", got)
	}
}
