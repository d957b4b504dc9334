package s3

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Each file of testdata/notice is the body of a message and what is read from it: one
// object a line (bucket, key, ETag, time; - for what is not told), the number of events
// that announce nothing, or the error.
func TestNotices(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/notice/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil || len(a.Files) != 2 {
				t.Fatalf("%d parts, %v", len(a.Files), err)
			}
			got := describe(parseNotice(string(a.Files[0].Data)))
			if diff := cmp.Diff(strings.TrimSpace(string(a.Files[1].Data)), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func describe(n notice, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var lines []string
	for _, r := range n.refs {
		etag, at := r.etag, r.at.Format(time.RFC3339)
		if etag == "" {
			etag = "-"
		}
		if r.at.IsZero() {
			at = "-"
		}
		lines = append(lines, strings.Join([]string{r.bucket, r.key, etag, at}, " "))
	}
	if n.other > 0 {
		lines = append(lines, fmt.Sprintf("other: %d", n.other))
	}
	return strings.Join(lines, "\n")
}

func FuzzNotice(f *testing.F) {
	names, _ := filepath.Glob("testdata/notice/*.txtar")
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(a.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, body string) {
		n, err := parseNotice(body)
		if err != nil {
			return
		}
		for _, r := range n.refs {
			if r.bucket == "" || r.key == "" {
				t.Errorf("an object without bucket or key: %+v", r)
			}
		}
		if _, err := parseNotice("\n" + body + " "); err != nil {
			t.Errorf("white space around it is not read: %v", err)
		}
	})
}
