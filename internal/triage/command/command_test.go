package command

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

func read(t testing.TB, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := toml.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

type family struct {
	Text, Excerpt, Hidden, Bucket string
	Want                          []Family
}

func families(a *Analysis) []Family {
	out := []Family{}
	for _, f := range Families() {
		if len(a.Has(f)) > 0 {
			out = append(out, f)
		}
	}
	return out
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	var all map[string]map[string]family
	read(t, "testdata/families.toml", &all)
	for group, cases := range all {
		for name, f := range cases {
			t.Run(group+"/"+name, func(t *testing.T) {
				t.Parallel()
				a := Analyse(f.Text)
				// Loops are encryption besides.
				got := families(&a)
				if len(a.Has(EncryptionLoop)) > 0 {
					got = cut(got, Encryption)
				}
				if diff := cmp.Diff(f.Want, got); diff != "" {
					t.Fatalf("-want +got:\n%s\n%+v", diff, a.Matches)
				}
				if len(a.Matches) == 0 {
					return
				}
				m := a.Matches[0]
				if f.Excerpt != "" && m.Excerpt != f.Excerpt {
					t.Errorf("excerpt %q, want %q", m.Excerpt, f.Excerpt)
				}
				if f.Hidden != "" && m.Hidden != f.Hidden {
					t.Errorf("hidden %q, want %q", m.Hidden, f.Hidden)
				}
				if m.Bucket != f.Bucket {
					t.Errorf("bucket %q, want %q", m.Bucket, f.Bucket)
				}
			})
		}
	}
}

func cut(list []Family, f Family) []Family {
	out := []Family{}
	for _, x := range list {
		if x != f {
			out = append(out, x)
		}
	}
	return out
}

// What hides a text must not hide it from reading, one layer in another; beyond the
// bound it is said that something was not read.
func TestDepth(t *testing.T) {
	t.Parallel()
	text := "cat /etc/shadow"
	for depth := 1; depth <= MaxDepth+1; depth++ {
		text = "echo " + encode(text) + " | base64 -d"
		a := Analyse(text)
		found := len(a.Has(Credentials)) > 0
		if found != (depth <= MaxDepth) || a.Cut != (depth > MaxDepth) {
			t.Errorf("depth %d: found %v, cut %v", depth, found, a.Cut)
		}
	}
}

func TestLong(t *testing.T) {
	t.Parallel()
	if a := Analyse(strings.Repeat("id\n", MaxText)); !a.Cut || len(a.Has(Recon)) != 1 {
		t.Errorf("%+v", a)
	}
	for _, text := range []string{
		strings.Repeat("for f in /*; do ", 4000), strings.Repeat("curl -o a ", 6000), strings.Repeat("$(", 30000), strings.Repeat("a=$a$a;", 9000),
		strings.Repeat("password=", 7000), strings.Repeat("iex ", 16000), strings.Repeat("YWFhYWFhYWFhYWFh ", 3800), strings.Repeat("'\"", 30000),
	} {
		a := Analyse(text)
		for _, m := range a.Matches {
			if len(m.Excerpt) > maxExcerpt+8 {
				t.Errorf("%d bytes of excerpt", len(m.Excerpt))
			}
		}
	}
}

func FuzzAnalyse(f *testing.F) {
	var all map[string]map[string]family
	read(f, "testdata/families.toml", &all)
	for _, cases := range all {
		for _, c := range cases {
			f.Add(c.Text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			t.Skip("long texts have a test of their own; here they only take time")
		}
		a := Analyse(text)
		if diff := cmp.Diff(a, Analyse(text)); diff != "" {
			t.Fatalf("not the same twice:\n%s", diff)
		}
		size := 0
		for _, l := range a.Layers {
			size += len(l.Text)
		}
		if len(a.Layers) > MaxLayers || size > 16*maxTotal {
			t.Fatalf("%d layers of %d bytes", len(a.Layers), size)
		}
		for _, m := range a.Matches {
			if m.What == "" || len(m.Excerpt) > maxExcerpt+8 || strings.ContainsAny(m.Excerpt, "\n\r\t") {
				t.Fatalf("%+v", m)
			}
			if utf8.ValidString(text) && !utf8.ValidString(m.Excerpt) {
				t.Fatalf("excerpt is not UTF-8: %q", m.Excerpt)
			}
		}
		if n := Normalise(text); Normalise(n) != n || Hash(n) != Hash(text) {
			t.Fatalf("normalised twice differs: %q", n)
		}
	})
}

func sum(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

func TestHash(t *testing.T) {
	t.Parallel()
	one := Hash("yum update -y\nreboot\n")
	if want := hex.EncodeToString(sum("yum update -y\nreboot\n")); one != want { // that of the file
		t.Errorf("%s, want %s", one, want)
	}
	for _, same := range []string{"yum update -y\nreboot", "\nyum update -y  \r\nreboot\r\n\r\n", "yum update -y\t\rreboot"} {
		if Hash(same) != one {
			t.Errorf("%q has another hash", same)
		}
	}
	for _, other := range []string{"yum update -y\n\nreboot", "yum  update -y\nreboot", " yum update -y\nreboot", "yum update -y;reboot", "YUM update -y\nreboot"} {
		if Hash(other) == one {
			t.Errorf("%q has the same hash", other)
		}
	}
	if Hash(" \n\t\n") != "" {
		t.Error("a text without content has a hash")
	}
}
