package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rules are read again whatever way their files change.
func TestWatch(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d := newDesk(t)
	file := filepath.Join(d.rules, "rule.toml")
	mounted := filepath.Join(d.rules, "..data") // as Kubernetes mounts files: links to a folder of which the name changes
	write := func(path, id, name string) {
		t.Helper()
		text := strings.Replace(fmt.Sprintf(ruleFile, name, "event.action: "+strings.ReplaceAll(name, " ", "")), "11111111", id, 1)
		must(os.MkdirAll(filepath.Dir(path), 0o700))
		must(os.WriteFile(path, []byte(text), 0o600))
	}
	version := func(n int, name string) {
		t.Helper()
		dir := fmt.Sprintf("..%d", n)
		write(filepath.Join(d.rules, dir, "mounted.toml"), "33333333", name)
		must(os.Symlink(dir, mounted+"_tmp"))
		must(os.Rename(mounted+"_tmp", mounted))
	}
	version(1, "mounted one")
	must(os.Symlink("..data/mounted.toml", filepath.Join(d.rules, "mounted.toml")))
	d.run(func(base string) {
		has := func(name string) {
			t.Helper()
			d.until(name, func() bool {
				_, b := d.request(http.MethodGet, base+"/api/v1/rules", "")
				d.last = string(b)
				return strings.Contains(d.last, `"`+name+`"`)
			})
		}
		has("mounted one")
		write(filepath.Join(d.rules, "new", "rule.toml"), "22222222", "in a new folder")
		has("in a new folder")
		write(filepath.Join(d.rules, "new", "rule.toml"), "22222222", "edited there")
		has("edited there")
		version(2, "mounted two")
		has("mounted two")
		must(os.Rename(d.rules, d.rules+".old"))
		write(file, "11111111", "in another folder")
		has("in another folder")
		write(file, "11111111", "edited in the other folder")
		has("edited in the other folder")
	})
}
