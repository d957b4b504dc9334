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
		"unknown table":  {"[sorces]\nx = 1\n", `debut.toml:1:2: error: sorces is no key of the configuration [unknown-key]`},
		"near table":     {"[sorces]\nx = 1\n", `did you mean "sources"?`},
		"other table":    {"listen = \"127.0.0.1:1\"\n", `it is a key of [server]`},
		"plain number":   {"[engine]\nlearn = 7\n", `debut.toml:2:9: error: engine.learn: must be a length of time in quotes, such as "7d" [bad-value]`},
		"not a list":     {"[rules]\npaths = \"shipped\"\n", `rules.paths: must be a list of texts, in [ and ] [bad-value]`},
		"in a list":      {"[rules]\npaths = [\"shipped\", 5]\n", `debut.toml:2:21: error: rules.paths: must be a text in quotes`},
		"not a table":    {"server = 1\n", `server: must be a table`},
		"not tables":     {"[sources]\ntype = \"s3\"\n", `write [[sources]]`},
		"one table":      {"[[server]]\nlisten = \"127.0.0.1:1\"\n", `server must be a table`},
		"below a value":  {"[log.level]\nx = 1\n", `log.level must be a text in quotes`},
		"inline":         {"server = {listn = \"127.0.0.1:1\"}\n", `debut.toml:1:11: error: server.listn is no key`},
		"inline list":    {"[notify]\nchannels = [{name = \"a\", foo = 1}]\n", `notify.channels.foo is no key`},
		"in order":       {"[log]\nlevel = \"loud\"\n[engine]\ncold_start = \"warm\"\n", "debut.toml:2:1: error: log.level: is \"loud\", not one of debug, info, warn, error [bad-value]\n    level = \"loud\"\n    ^^^^^\ndebut.toml:4:1:"},
		"the right one":  {"[[sources]]\ntype = \"files\"\npath = \"a\"\n[[sources]]\ntype = \"s3\"\n", `debut.toml:4:3: error: sources.bucket: the s3 source s3 names no bucket`},
		"public":         {"[server]\nlisten = \"0.0.0.0:80\"\n", `debut.toml:2:1: error: server.listen: others can reach 0.0.0.0:80, and there is no TLS`},
		"no port":        {"[server]\nlisten = \"127.0.0.1:99999\"\n", `"127.0.0.1:99999" is no address`},
		"other kind":     {"[[sources]]\ntype = \"s3\"\nbucket = \"a\"\nsettle = \"1s\"\n", `debut.toml:4:1: error: sources.settle: means nothing to a source of type s3 [unused-key]`},
		"queue":          {"[[sources]]\ntype = \"s3\"\nbucket = \"a\"\nqueue_url = \"q\"\n", `sources.queue_url: "q" is no URL`},
		"role":           {"[[sources]]\ntype = \"s3\"\nbucket = \"a\"\nrole_arn = \"debut\"\n", `"debut" is no ARN of a role`},
		"bucket":         {"[[sources]]\ntype = \"s3\"\nbucket = \"s3://a/b\"\n", `"s3://a/b" is no name of a bucket`},
		"short secret":   {"[[notify.channels]]\nname = \"a\"\nwebhook = \"https://example.com\"\nsecret = \"short\"\n", `notify.channels.secret: has 5 bytes`},
		"defined twice":  {"data_dir = \"a\"\ndata_dir = \"b\"\n", `debut.toml:2:1: error: broken TOML:`},
		"triage file":    {"[triage]\nweights = \"nowhere.toml\"\n", `triage.weights: nowhere.toml: there is no such file`},
		"triage again":   {"[triage]\nagain = [\"15m\", \"10s\"]\n", `debut.toml:2:1: error: triage.again: must be from 1m to 30d`},
		"triage length":  {"[triage]\nagain = [\"soon\"]\n", `triage.again`},
		"triage list":    {"[triage]\nagain = \"15m\"\n", `triage.again: must be a list of lengths of time`},
		"account":        {"[triage]\naccounts = [\"1111\"]\n", `"1111" is no account`},
		"network":        {"[triage]\nnetworks = [\"203.0.113.0/24\", \"10.0.0\"]\n", `"10.0.0" is no network`},
		"endpoint":       {"[triage]\nendpoints = [\"vpc-1\"]\n", `"vpc-1" is no VPC endpoint`},
		"script":         {"[triage]\nscripts = [\"abc\"]\n", `"abc" is no SHA-256`},
		"everything":     {"[triage]\nsubjects = [\"*\"]\n", `it would take every alert for harmless`},
		"no list file":   {"[triage]\ntor = [\"nowhere.txt\"]\n", `triage.tor: nowhere.txt: there is no such file`},
		"time zone":      {"[triage]\ntime_zone = \"Mars\"\n", `"Mars" is no time zone`},
		"hours of work":  {"[triage]\nwork_from = 18\nwork_to = 8\n", `18 is not before work_to, 8`},
		"freeze":         {"[[triage.freezes]]\nname = \"a\"\nfrom = \"2026-12-20\"\nto = \"2026-12-01\"\n", `debut.toml:3:1: error: triage.freezes.from: 2026-12-20 is not before to`},
		"freeze's time":  {"[[triage.freezes]]\nname = \"a\"\nfrom = \"soon\"\nto = \"2026-12-01\"\n", `"soon" is no time: write 2026-12-20`},
		"exercise":       {"[[triage.exercises]]\nname = \"a\"\nfrom = \"2026-12-01\"\nto = \"2026-12-20\"\n", `an exercise needs accounts or marks`},
		"nobody":         {"[[triage.rota]]\nfrom = \"2026-12-01\"\nto = \"2026-12-20\"\n", `triage.rota.who: must not be empty`},
		"change":         {"[[triage.changes]]\nfrom = \"2026-12-01\"\nto = \"2026-12-20\"\n", `triage.changes.id: must not be empty`},
		"live role":      {"[triage]\nlive_role = \"reader\"\n", `"reader" is no ARN of a role`},
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
	_, err = config.Parse("debut.toml", []byte("[log]\nlevel = \"info\"\n"), func(name string) string {
		return map[string]string{"DEBUT_LOG_LEVEL": "loud"}[name]
	})
	if got, want := rendered(err), "error: DEBUT_LOG_LEVEL: log.level: is \"loud\", not one of debug, info, warn, error [bad-value]\n"; got != want {
		t.Errorf("it says %s, want %s", got, want)
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
	_, err = config.Parse("shown.toml", b, none)
	if got := rendered(err); strings.Count(got, "error:") != 2 || strings.Count(got, "in place of a secret") != 2 {
		t.Errorf("copied, it says\n%s", got)
	}
}

func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("debut.toml", []byte("\uFEFFdata_dir = \"x\"\r\n"), none)
	if err != nil || c.DataDir != "x" {
		t.Errorf("%v, %v", c, err)
	}
	if _, err = config.Parse("debut.toml", []byte(strings.Repeat("# \n", 1<<19)), none); err == nil {
		t.Error("a file without end was read")
	}
}

// A message never tells a secret, and every problem has one that can be printed.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "debut.toml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("[[notify.channels]]\nurl = 'x'\n[sources]\n[[a.b]]\nserver.push = {enabled = 1}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("debut.toml", []byte(text), none)
		if err == nil {
			b, err := toml.Marshal(c.Masked())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := config.Parse("shown.toml", b, none); err != nil && !strings.Contains(rendered(err), "in place of a secret") {
				t.Errorf("what is shown is refused: %s\n%s", rendered(err), b)
			}
			return
		}
		if rendered(err) == "" || !strings.Contains(rendered(err), "error: ") {
			t.Errorf("it says %q", rendered(err))
		}
	})
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
