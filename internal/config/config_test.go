package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/debutsec/debut/internal/config"
)

func none(string) string { return "" }

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	if _, err := config.Load("", none); err != nil {
		t.Fatal(err)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":    {"[server]\nlisten = \"127.0.0.1:1\"\nlisten_on = 3\n", `debut.toml:3:1: error: server.listen_on is no key of the configuration [unknown-key]`},
		"near miss":      {"[rules]\npath = [\"shipped\"]\n", `did you mean "paths"?`},
		"wrong type":     {"data_dir = 5\n", `debut.toml:1:12: error: data_dir:`},
		"broken":         {"data_dir = \n", `debut.toml:1:`},
		"bad duration":   {"[engine]\nlearn = \"soon\"\n", `debut.toml:2:9: error: engine.learn:`},
		"bad mode":       {"[engine]\ncold_start = \"warm\"\n", `debut.toml:2:1: error: engine.cold_start: is "warm", not one of history, learn, alert [bad-value]`},
		"no bucket":      {"[[sources]]\ntype = \"s3\"\n", `sources.bucket: the s3 source s3 names no bucket [missing-value]`},
		"no such type":   {"[[sources]]\ntype = \"kafka\"\n", `sources.type: is "kafka", not s3 or files [bad-value]`},
		"twice":          {"[[sources]]\ntype = \"files\"\npath = \"a\"\n[[sources]]\ntype = \"files\"\npath = \"b\"\n", `two sources are called "files" [duplicate-name]`},
		"no rules there": {"[rules]\npaths = [\"nowhere\"]\n", `debut.toml:2:1: error: rules.paths: nowhere: there is no such file or folder [no-file]`},
		"bad address":    {"[server]\nlisten = \"here\"\n", `"here" is no address [bad-value]`},
		"half of TLS":    {"[server]\ntls_cert = \"a.pem\"\n", `one of tls_cert and tls_key is missing [missing-value]`},
		"no certificate": {"[server]\ntls_cert = \"a.pem\"\ntls_key = \"a.key\"\n", `a.pem: no such file or directory [bad-certificate]`},
		"unsigned":       {"[[notify.channels]]\nname = \"a\"\nwebhook = \"https://example.com\"\n", `the webhook "a" has no secret to sign with [missing-value]`},
		"unset secret":   {"[[notify.channels]]\nname = \"a\"\nurl = \"env:NOTHING\"\n", `the environment variable NOTHING is not set [bad-secret]`},
		"bytes":          {"[store]\nretention_bytes = \"many\"\n", `"many" is no amount of bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("debut.toml", []byte(tc.text), none)
			if err == nil {
				t.Fatal("it was accepted")
			}
			text := err.Error()
			if d, ok := err.(interface{ Render() string }); ok {
				text = d.Render()
			}
			if !strings.Contains(text+rendered(err), tc.want) {
				t.Errorf("it says\n%s\nwant\n%s", rendered(err), tc.want)
			}
		})
	}
}

func TestEnvironmentOverridesTheFile(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("debut.toml", []byte("[server]\nlisten = \"127.0.0.1:1\"\n[store]\nretention_bytes = \"2GB\"\n"), func(name string) string {
		return map[string]string{"DEBUT_SERVER_LISTEN": "127.0.0.1:2", "DEBUT_ENGINE_LEARN": "2d", "DEBUT_SERVER_PUSH_ENABLED": "false"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.Listen != "127.0.0.1:2" || c.Server.Push.Enabled || c.Store.RetentionBytes != 2e9 {
		t.Errorf("%+v", c)
	}
	_, err = config.Parse("debut.toml", nil, func(name string) string {
		return map[string]string{"DEBUT_ENGINE_WORKERS": "many"}[name]
	})
	if err == nil || !strings.Contains(err.Error(), `DEBUT_ENGINE_WORKERS: "many" is no whole number`) {
		t.Errorf("it says %v", err)
	}
}

// What is shown is the configuration again, but for its secrets.
func TestShownConfigurationIsOne(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("debut.toml", []byte("[[notify.channels]]\nname = \"a\"\nwebhook = \"https://example.com/T0PSECRET\"\nsecret = \"0123456789abcdef\"\n"), none)
	if err != nil {
		t.Fatal(err)
	}
	b, err := toml.Marshal(c.Masked())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "T0PSECRET") || strings.Contains(string(b), "0123456789abcdef") {
		t.Errorf("it tells a secret:\n%s", b)
	}
	if _, err := config.Parse("shown.toml", b, none); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
}

func TestManualHasEveryKey(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		name := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(string(b), "`"+name+"`") {
			t.Errorf("docs/config.md does not describe %s", key)
		}
	}
}

func TestExampleIsValid(t *testing.T) {
	t.Parallel()
	if _, err := config.Load(filepath.Join("..", "..", "examples", "debut.toml"), none); err != nil {
		t.Fatal(err)
	}
}
