package daemon_test

import (
	"bytes"
	"cmp"
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
	"github.com/debutsec/debut/kql"
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
new_terms = { value = ["user.name"], field = "new_terms_fields", history_window_start = [{ value = "now-7d", field = "history_window_start" }] }
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
	d.until("ready", func() bool {
		status, b := d.request(http.MethodGet, x.URL()+"/readyz", "")
		d.last = string(b)
		return status == http.StatusOK
	})
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

func record(id, user, action string) string { return recordAt(time.Now(), id, user, action) }

func recordAt(at time.Time, id, user, action string) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/%[1]s","userName":%[1]q,"accountId":"111122223333"},"eventTime":%[2]q,`+
		`"eventSource":"ssm.amazonaws.com","eventName":%[3]q,"awsRegion":"eu-west-1","eventID":%[4]q,"recipientAccountId":"111122223333"}`,
		user, at.UTC().Format(time.RFC3339), action, id)
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
	// What bo does is dated before the rules change, to the second.
	d.drop("one.json", record("1", "ana", "SendCommand"), recordAt(time.Now().Add(-time.Minute), "2", "bo", "StartSession"))
	d.run(func(base string) {
		d.until("the first alert", func() bool { return slices.Equal(d.who(base), []string{"a rule: ana"}) })
		if status, b := d.request(http.MethodPost, base+"/v1/records", record("3", "cy", "SendCommand")); status != http.StatusOK {
			t.Errorf("push: %d %s", status, b)
		}
		if got := d.who(base); !slices.Equal(got, []string{"a rule: ana", "a rule: cy"}) {
			t.Errorf("pushed and acknowledged, and the alerts are %v", got)
		}
		d.until("segments in the status", func() bool {
			var st struct {
				Log struct{ End, Compacted, Segments, Events int64 }
			}
			_, b := d.request(http.MethodGet, base+"/api/v1/status", "")
			d.last = string(b)
			return json.Unmarshal(b, &st) == nil && st.Log.Compacted == st.Log.End && st.Log.Segments > 0 && st.Log.Events == 3
		})
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
		// Where nothing can be read, nothing changes but the log.
		if err := os.Rename(d.rules, d.rules+".away"); err != nil {
			t.Fatal(err)
		}
		d.reload <- struct{}{}
		d.until("a complaint", func() bool { return strings.Contains(d.log.String(), "rules not reloaded") })
		if err := os.Rename(d.rules+".away", d.rules); err != nil {
			t.Fatal(err)
		}
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

// report is what POST /rules/reload answers, and what the status says of rules.
type report struct {
	Running, Idle          int
	Kept, Changed, Removed []string
	Diagnostics, Errors    []struct {
		File, Code, Message, Hint string
		Line                      int
	}
}

func (d *desk) reloaded(base string) (r report) {
	d.Helper()
	status, b := d.request(http.MethodPost, base+"/api/v1/rules/reload", "")
	if status != http.StatusOK {
		d.Fatalf("reload: %d %s", status, b)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		d.Fatal(err)
	}
	return r
}

// A rule that gets broken goes on as it was, and so does what it knows; the files beside
// it are read again. A file that is deleted is no rule any more.
func TestBrokenRuleGoesOn(t *testing.T) {
	t.Parallel()
	const id, second = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"
	for name, text := range map[string]string{
		"no TOML":        "[rule\n",
		"no query":       fmt.Sprintf(ruleFile, "a rule", "event.action: ("),
		"no type":        strings.Replace(fmt.Sprintf(ruleFile, "a rule", "event.action: SendCommand"), `"new_terms"`, `"old_terms"`, 1),
		"empty":          "",
		"not before now": strings.Replace(fmt.Sprintf(ruleFile, "a rule", "event.action: SendCommand"), "now-7d", "now+7d", 1),
		"too much":       fmt.Sprintf(ruleFile, "a rule", "event.action: SendCommand"+strings.Repeat(" or *: x", kql.MaxPatterns+1)),
		"half":           ruleFile[:40],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			path, beside := filepath.Join(d.rules, "rule.toml"), filepath.Join(d.rules, "second.toml")
			put := func(path, text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			other := func(name string) string {
				return strings.Replace(fmt.Sprintf(ruleFile, name, "event.action: StartSession"), id, second, 1)
			}
			push := func(base, id, user, action string) {
				if status, b := d.request(http.MethodPost, base+"/v1/records", record(id, user, action)); status != http.StatusOK {
					t.Fatalf("push: %d %s", status, b)
				}
			}
			put(beside, other("second"))
			d.run(func(base string) {
				push(base, "1", "ana", "SendCommand")
				put(path, text)
				put(beside, other("second, renamed"))
				for range 2 { // it stays so, however often
					r := d.reloaded(base)
					if r.Running != 2 || !slices.Equal(r.Kept, []string{id}) || len(r.Changed)+len(r.Removed) > 0 {
						t.Errorf("the reload says %+v", r)
					}
					if len(r.Diagnostics) == 0 || r.Diagnostics[0].File != filepath.ToSlash(path) || r.Diagnostics[0].Message == "" {
						t.Errorf("the reload says %+v", r.Diagnostics)
					}
				}
				status, b := d.request(http.MethodGet, base+"/api/v1/status", "")
				var st struct{ Rules report }
				if status != http.StatusOK || json.Unmarshal(b, &st) != nil && st.Rules.Running == 0 || !strings.Contains(string(b), `"kept":1`) ||
					!strings.Contains(string(b), filepath.ToSlash(path)) {
					t.Errorf("the status says %d %s", status, b)
				}
				if log := d.log.String(); !strings.Contains(log, "a rule goes on as it was") {
					t.Errorf("the log says\n%s", log)
				}
				push(base, "2", "bo", "SendCommand")  // it still alerts
				push(base, "3", "cy", "StartSession") // and what is beside it is read again
				d.rule("repaired", "event.action: SendCommand")
				if r := d.reloaded(base); r.Running != 2 || len(r.Kept)+len(r.Changed) > 0 {
					t.Errorf("the reload says %+v", r)
				}
				push(base, "4", "ana", "SendCommand") // known
				push(base, "5", "bo", "SendCommand")  // since it was broken
				push(base, "6", "dan", "SendCommand")
				want := []string{"a rule: ana", "a rule: bo", "repaired: dan", "second, renamed: cy"}
				if got := d.who(base); !slices.Equal(got, want) {
					t.Errorf("alerts are %v, not %v", got, want)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if r := d.reloaded(base); r.Running != 1 || !slices.Equal(r.Removed, []string{id}) {
					t.Errorf("the reload says %+v", r)
				}
			})
		})
	}
}

// A file that gets another name and an error at once is still the file of its rule.
func TestBrokenAndRenamedRuleGoesOn(t *testing.T) {
	t.Parallel()
	const id, second = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"
	text := fmt.Sprintf(ruleFile, "a rule", "event.action: SendCommand")
	other := strings.Replace(fmt.Sprintf(ruleFile, "second", "event.action: StartSession"), id, second, 1)
	for name, tc := range map[string]struct {
		files  map[string]string // that are there instead
		kept   []string
		change []string // of the files afterwards: name, text
		then   []string // kept
	}{
		"no TOML":     {map[string]string{"new.toml": "[rule\n", "second.toml": other}, []string{id}, []string{"new.toml", text}, nil},
		"no query":    {map[string]string{"new.toml": fmt.Sprintf(ruleFile, "a rule", "event.action: ("), "second.toml": other}, []string{id}, []string{"new.toml", text}, nil},
		"empty":       {map[string]string{"new.toml": "", "second.toml": other}, []string{id}, []string{"new.toml", text}, nil},
		"never right": {map[string]string{"new.toml": "[rule\n", "second.toml": other}, []string{id}, []string{"new.toml", "[rul"}, []string{id}},
		"gone":        {map[string]string{"new.toml": "[rule\n", "second.toml": other}, []string{id}, []string{"new.toml", ""}, []string{id}},
		"a folder": {
			map[string]string{"moved/rule.toml": "[rule\n", "moved/second.toml": "[rul"},
			[]string{id, second},
			[]string{"moved/rule.toml", text},
			[]string{second},
		},
		"named by the errors": {
			map[string]string{"a.toml": "[rule\n", "b.toml": strings.Replace(text, "now-7d", "now+7d", 1)},
			[]string{id, second},
			[]string{"a.toml", other},
			[]string{id},
		},
		"sound":             {map[string]string{"new.toml": text, "second.toml": other}, nil, []string{"new.toml", text}, nil},
		"gone and no other": {map[string]string{"second.toml": other}, nil, []string{"second.toml", other}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			put := func(name, text string) {
				path := filepath.Join(d.rules, name)
				if err := cmp.Or(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			put("second.toml", other)
			d.run(func(base string) {
				for _, name := range []string{"rule.toml", "second.toml"} {
					if err := os.Remove(filepath.Join(d.rules, name)); err != nil {
						t.Fatal(err)
					}
				}
				for name, text := range tc.files {
					put(name, text)
				}
				for range 2 { // it stays so, however often
					if r := d.reloaded(base); !slices.Equal(r.Kept, tc.kept) || len(tc.kept) > 0 && (r.Running != 2 || len(r.Removed) > 0) {
						t.Errorf("the reload says %+v", r)
					}
				}
				put(tc.change[0], tc.change[1])
				if r := d.reloaded(base); !slices.Equal(r.Kept, tc.then) {
					t.Errorf("the reload afterwards says %+v", r)
				}
				if log := d.log.String(); len(tc.kept) > 0 != strings.Contains(log, "a rule goes on as it was") {
					t.Errorf("the log says\n%s", log)
				}
			})
		})
	}
}

// Exceptions and value lists of a file that gets broken go on excluding what they do.
func TestBrokenExceptionsGoOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	path := filepath.Join(d.rules, "exceptions.toml")
	put := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sound := `[metadata]
rule_ids = ["11111111-2222-3333-4444-555555555555"]
[[exceptions]]
[exceptions.container]
name = "Deployments"
[[exceptions.items]]
name = "people who deploy"
entries = [{field = "user.name", operator = "included", type = "list", list = {id = "deployers", type = "keyword"}}]
`
	put(path, sound)
	put(filepath.Join(d.rules, "deployers.txt"), "ana\n")
	d.run(func(base string) {
		for name, text := range map[string]string{"no TOML": "[[exc", "no entry": strings.Replace(sound, `"included"`, `"maybe"`, 1), "empty": ""} {
			put(path, text)
			if r := d.reloaded(base); len(r.Changed) > 0 || len(r.Diagnostics) == 0 {
				t.Errorf("%s: the reload says %+v", name, r)
			}
			push := record(name, "ana", "SendCommand")
			if status, b := d.request(http.MethodPost, base+"/v1/records", push); status != http.StatusOK {
				t.Errorf("push: %d %s", status, b)
			}
		}
		if got := d.who(base); len(got) > 0 {
			t.Errorf("alerts are %v", got)
		}
		if log := d.log.String(); !strings.Contains(log, "exceptions and value lists go on as they were") {
			t.Errorf("the log says\n%s", log)
		}
		put(path, strings.Replace(sound, "included", "excluded", 1)) // sound again, and other
		if r := d.reloaded(base); len(r.Changed) != 1 {
			t.Errorf("the reload says %+v", r)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if r := d.reloaded(base); len(r.Changed) != 1 {
			t.Errorf("the reload says %+v", r)
		}
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
