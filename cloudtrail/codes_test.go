package cloudtrail_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The manual has every code that the test data brings up.
func TestCodesAreInTheManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../docs/input.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{
		"bad-checksum": true, "bad-compression": true, "trailing-data": true, "decompression-bomb": true, "unreadable": true,
	}
	paths, err := filepath.Glob("testdata/decode/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^(?:rejected|noted) ([a-z0-9-]+) @`)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllSubmatch(b, -1) {
			codes[string(m[1])] = true
		}
	}
	if len(codes) < 20 {
		t.Errorf("only %d codes", len(codes))
	}
	for code := range codes {
		if !strings.Contains(string(manual), "`"+code+"`") {
			t.Errorf("docs/input.md does not explain %s", code)
		}
	}
}
