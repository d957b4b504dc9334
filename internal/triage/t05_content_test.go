package triage

import (
	"encoding/json"
	"path"
	"strings"
	"testing"
)

// A report shows nothing that is secret in a command: all of the fixtures' secrets begin
// alike.
func TestContentMasked(t *testing.T) {
	t.Parallel()
	secrets := 0
	for name, f := range load(t, "testdata/weights/T5.toml") {
		records := f.records(t)
		for _, r := range records {
			secrets += strings.Count(string(r), "hunter22")
		}
		r, err := Run(t.Context(), f.input(t, records))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(text), "hunter22"); i >= 0 {
			t.Errorf("%s: the report shows a secret: %s", name, text[max(0, i-60):i+20])
		}
	}
	if secrets == 0 {
		t.Error("the fixtures have no secrets: nothing was tested")
	}
}

// A name is on one list, every pattern is one, and what is listed as AWS's own has a
// reserved name.
func TestDocumentLists(t *testing.T) {
	t.Parallel()
	l := knownDocuments()
	seen := map[string]bool{}
	for _, list := range [][]string{l.Fixed, l.Code, l.Fetch} {
		if len(list) == 0 {
			t.Error("a list is empty")
		}
		for _, name := range list {
			if _, err := path.Match(name, "x"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if seen[name] {
				t.Errorf("%s is listed twice", name)
			}
			seen[name] = true
			if !oneOf(l.Reserved, strings.ToLower(name)) {
				t.Errorf("%s is not a reserved name: anybody may take it", name)
			}
		}
	}
	for _, name := range append(l.Code, l.Fetch...) {
		if oneOf(l.Fixed, name) {
			t.Errorf("%s is said to have one fixed purpose", name)
		}
	}
}

func TestTellingWord(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"shop-EncryptFiles": "encrypt", "encryptor": "encryptor", "run_xmrig": "xmrig", "Shop.Backdoor.1": "backdoor", "c2": "c2",
		"examiner": "", "seashells": "", "deploy-shop": "", "": "", "-": "", "äöü-ß": "", "rc2-release": "", "\xff\xfe-shell": "shell",
	} {
		if got := tellingWord(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
