package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// desk is a folder with a configuration, and the daemon that runs on it.
type desk struct {
	*testing.T
	dir, data, inbox, rules string
	reload                  chan struct{}
	log                     lines
	http                    *http.Client
	last                    string // answer of the API
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const ruleFile = `[rule]
rule_id = "11111111-2222-3333-4444-555555555555"
name = "%s"
description = "a test"
type = "new_terms"
severity = "low"
risk_score = 21
language = "kuery"
query = '%s'
[rule.new_terms]
field = "new_terms_fields"
value = ["user.name"]
[[rule.new_terms.history_window_start]]
field = "history_window_start"
value = "now-7d"
`

func newDesk(t *testing.T) *desk {
	dir := t.TempDir()
	d := &desk{
		T: t, dir: dir, data: filepath.Join(dir, "data"), inbox: filepath.Join(dir, "inbox"), rules: filepath.Join(dir, "rules"),
		reload: make(chan struct{}), http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	for _, folder := range []string{d.inbox, d.rules} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d.rule("a rule", "event.action: SendCommand")
	return d
}

func (d *desk) rule(name, query string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.rules, "rule.toml"), fmt.Appendf(nil, ruleFile, name, query), 0o600); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) config(more string) *config.Config {
	d.Helper()
	c, err := config.Parse("debut.toml", fmt.Appendf(nil, `data_dir = %q
[rules]
paths = [%q]
[engine]
cold_start = "alert"
[store]
compact_interval = "1s"
[[sources]]
type = "files"
name = "inbox"
path = %q
settle = "50ms"
rescan_interval = "200ms"
[server]
listen = "127.0.0.1:0"
%s`, d.data, d.rules, d.inbox, more), func(string) string { return "" })
	if err != nil {
		d.Fatal(err)
	}
	return c
}

func (d *desk) open(ctx context.Context, c *config.Config) (*daemon.Daemon, error) {
	return daemon.Open(ctx, daemon.Options{
		Config: c, Getenv: func(string) string { return "" }, Now: time.Now, Version: "test", Reload: d.reload,
		Log: slog.New(slog.NewTextHandler(&d.log, nil)),
	})
}

// run runs the daemon while f does something with it.
func (d *desk) run(f func(base string)) {
	d.Helper()
	ctx, cancel := context.WithCancel(d.Context())
	defer cancel()
	x, err := d.open(ctx, d.config(""))
	if err != nil {
		d.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	f(x.URL())
	cancel()
	if err := errors.Join(<-done, x.Close()); err != nil {
		d.Errorf("%v\n%s", err, d.log.String())
	}
}

func (d *desk) drop(name string, records ...string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.inbox, name), []byte(`{"Records":[`+strings.Join(records, ",")+`]}`), 0o600); err != nil {
		d.Fatal(err)
	}
}

func record(id, user, action string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/%[1]s","userName":%[1]q,"accountId":"111122223333"},"eventTime":%[2]q,`+
		`"eventSource":"ssm.amazonaws.com","eventName":%[3]q,"awsRegion":"eu-west-1","eventID":%[4]q,"recipientAccountId":"111122223333"}`,
		user, time.Now().UTC().Format(time.RFC3339), action, id)
}

// until waits for something that the daemon does by itself.
func (d *desk) until(what string, ok func() bool) {
	d.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatalf("%s: not within 30 s\n%s\n%s", what, d.last, d.log.String())
		}
	}
}

func (d *desk) request(method, url, body string) (status int, answer []byte) {
	d.Helper()
	token, err := os.ReadFile(filepath.Join(d.data, server.TokenFile))
	if err != nil {
		d.Fatal(err)
	}
	r, err := http.NewRequestWithContext(d.Context(), method, url, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := d.http.Do(r)
	if err != nil {
		return 0, nil // not yet, or not any more
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		d.Fatal(err)
	}
	return res.StatusCode, b
}

// who lists the alerts' principals, sorted, with the name of the rule.
func (d *desk) who(base string) []string {
	d.Helper()
	status, b := d.request(http.MethodGet, base+"/api/v1/alerts", "")
	d.last = string(b)
	var page struct {
		Alerts []struct {
			RuleName string `json:"rule_name"`
			Who      string `json:"who"`
		}
	}
	if status != http.StatusOK || json.Unmarshal(b, &page) != nil {
		return nil
	}
	var out []string
	for _, a := range page.Alerts {
		out = append(out, a.RuleName+": "+strings.TrimPrefix(strings.Fields(a.Who)[0], "user/"))
	}
	slices.Sort(out)
	return out
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.drop("one.json", record("1", "ana", "SendCommand"), record("2", "bo", "StartSession"))
	d.run(func(base string) {
		d.until("the first alert", func() bool { return slices.Equal(d.who(base), []string{"a rule: ana"}) })
		if status, b := d.request(http.MethodPost, base+"/v1/records", record("3", "cy", "SendCommand")); status != http.StatusOK {
			t.Errorf("push: %d %s", status, b)
		}
		if got := d.who(base); !slices.Equal(got, []string{"a rule: ana", "a rule: cy"}) {
			t.Errorf("pushed and acknowledged, and the alerts are %v", got)
		}
		// Another name keeps the memory, another meaning rebuilds it.
		d.rule("renamed", "event.action: SendCommand")
		d.until("a reload", func() bool { return strings.Contains(d.log.String(), "rules reloaded") })
		d.rule("renamed", "event.action: (SendCommand or StartSession)")
		d.reload <- struct{}{}
		d.until("a rebuild", func() bool { return strings.Contains(d.log.String(), "rebuilt=1") })
		d.drop("two.json", record("4", "bo", "StartSession"), record("5", "dan", "StartSession"))
		d.until("the alert after the reload", func() bool {
			return slices.Equal(d.who(base), []string{"a rule: ana", "a rule: cy", "renamed: dan"})
		})
		// A broken rule changes nothing but the log.
		d.rule("broken", "event.action: (")
		d.reload <- struct{}{}
		d.until("a complaint", func() bool { return strings.Contains(d.log.String(), "rules not reloaded") })
		if status, b := d.request(http.MethodGet, base+"/readyz", ""); status != http.StatusOK {
			t.Errorf("not ready: %s", b)
		}
		if _, err := d.open(t.Context(), d.config("")); !errors.Is(err, store.ErrInUse) {
			t.Errorf("a second daemon on the folder: %v", err)
		}
	})
	d.rule("renamed", "event.action: (SendCommand or StartSession)")
	d.run(func(base string) {
		d.drop("three.json", record("6", "dan", "SendCommand"), record("7", "eve", "SendCommand"))
		d.until("the alert after a restart", func() bool {
			return slices.Equal(d.who(base), []string{"a rule: ana", "a rule: cy", "renamed: dan", "renamed: eve"})
		})
	})
}

func TestDaemonRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*desk, *config.Config)
		want   string
	}{
		"a public address":        {func(_ *desk, c *config.Config) { c.Server.Listen, c.Server.AllowInsecure = "0.0.0.0:0", true }, "token"},
		"no rule that runs":       {func(d *desk, _ *config.Config) { d.rule("broken", "(") }, "no rule runs"},
		"a folder that is a file": {func(d *desk, c *config.Config) { c.DataDir = filepath.Join(d.rules, "rule.toml") }, "data folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			c := d.config("")
			tc.change(d, c)
			x, err := d.open(t.Context(), c)
			if err == nil {
				_ = x.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
