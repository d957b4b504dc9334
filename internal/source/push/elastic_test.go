package push_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/internal/source/push"
)

var update = flag.Bool("update", false, "rewrite what is expected in testdata")

// testdata/clients has what a client asks, in its order. The name of a file is the
// request line; the file is the request's body, a line "=> STATUS", and the answer.
func TestClients(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/clients/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			script, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, push.Options{Now: fixed, MaxItems: 50}, newSink())
			for i := range script.Files {
				f := &script.Files[i]
				method, target, _ := strings.Cut(f.Name, " ")
				body, want := string(f.Data), ""
				if i := strings.LastIndex("\n"+body, "\n=> "); i >= 0 {
					body, want = body[:i], body[i:]
				}
				w := do(s, method, target, body, "Host: debut.example:8080")
				if got := w.Header().Get("X-Elastic-Product"); got != "Elasticsearch" {
					t.Errorf("%s: X-Elastic-Product is %q", f.Name, got)
				}
				got := fmt.Sprintf("=> %d\n%s", w.Code, w.Body)
				if !strings.HasSuffix(got, "\n") {
					got += "\n" // HEAD has no body
				}
				if *update {
					f.Data = []byte(body + got)
				} else if got != want {
					t.Errorf("%s: got\n%swant\n%s", f.Name, got, want)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(script), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
