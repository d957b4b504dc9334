package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/notify"
	"github.com/debutsec/debut/internal/store"
)

type fakeNotifying struct {
	channels []notify.Channel
	messages []store.Message
	err      error
}

func (f *fakeNotifying) Channels(string) ([]notify.Channel, error) { return f.channels, f.err }

func (f *fakeNotifying) Messages(_ context.Context, _ string, states []store.MessageState, channels []string, limit int) (out []store.Message, err error) {
	for _, m := range f.messages {
		if slices.Contains(states, m.State) && len(out) < limit && (len(channels) == 0 || slices.Contains(channels, m.Channel)) {
			out = append(out, m)
		}
	}
	return out, f.err
}

func notifyEnv(t *testing.T) (env *Env, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return &Env{
		Context: t.Context(), Stdout: stdout, Stderr: stderr, Getenv: func(string) string { return "" },
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	}, stdout, stderr
}

func TestNotifyTest(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, "hello\x1b[2J")
	}))
	defer srv.Close()
	hook := func(name, path string) notify.Channel {
		return notify.Channel{Name: name, Webhook: &notify.Webhook{URL: notify.Secret(srv.URL + path), Secret: "0123456789abcdef"}}
	}
	n := &fakeNotifying{channels: []notify.Channel{hook("ops", "/good"), hook("soc", "/bad")}}

	env, stdout, _ := notifyEnv(t)
	if err := (&NotifyTestCmd{Channel: []string{"ops"}}).Run(env, n); err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); strings.Contains(got, "soc") || !strings.Contains(got, `200 OK: hello`) || strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
	env, stdout, _ = notifyEnv(t)
	err := (&NotifyTestCmd{}).Run(env, n)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != ExitFailed || !strings.Contains(err.Error(), "1 channel did not") {
		t.Errorf("got %v", err)
	}
	if got := stdout.String(); !strings.Contains(got, "403 Forbidden") || !strings.Contains(got, "ok") || strings.Contains(got, "/bad") {
		t.Errorf("got %q", got)
	}
	for want, c := range map[string]*NotifyTestCmd{`no channel "x"; there is ops, soc`: {Channel: []string{"x"}}} {
		if err := c.Run(env, n); !errors.As(err, &exit) || exit.Code != ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	if err := (&NotifyTestCmd{}).Run(env, &fakeNotifying{}); !errors.As(err, &exit) || exit.Code != ExitUsage {
		t.Errorf("got %v", err)
	}
}

func TestNotifyList(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	n := &fakeNotifying{
		channels: []notify.Channel{{Name: "ops"}},
		messages: []store.Message{
			{
				Channel: "ops", Kind: store.MessageNew, State: store.MessageWaiting, Created: at, Attempts: 3, Next: at.Add(time.Hour), LastError: "500 down\x1b[31m",
				Alert: &store.Snapshot{Handle: "3f2a91c0ffee3f2a91c0ffee", Rule: "SSM command"},
			},
			{Channel: "gone", Kind: store.MessageHealth, State: store.MessageWaiting, Created: at, Notice: &store.Notice{Title: "disk"}},
			{Channel: "ops", Kind: store.MessageDigest, State: store.MessageDead, Created: at, LastError: "given up", Digest: &store.Digest{Count: 2}},
			{Channel: "ops", Kind: store.MessageNew, State: store.MessageSent, Created: at, Alert: &store.Snapshot{Handle: "x"}},
		},
	}
	env, stdout, _ := notifyEnv(t)
	if err := (&NotifyListCmd{Limit: 10, Format: "table"}).Run(env, n); err != nil {
		t.Fatal(err)
	}
	got := stdout.String()
	for _, want := range []string{"3f2a91c0ffee SSM command", "2026-03-01 12:00:00", `500 down\x1b[31m`, "no channel of this name is configured\n", "2 messages", "dead"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "sent") {
		t.Error(got)
	}
	env, stdout, stderr := notifyEnv(t)
	if err := (&NotifyListCmd{All: true, Limit: 2, Format: "json", Channel: []string{"ops"}}).Run(env, n); err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); strings.Count(got, `"channel": "ops"`) != 2 || !strings.Contains(stderr.String(), "more than 2") {
		t.Errorf("%s%s", got, stderr)
	}
	env, _, stderr = notifyEnv(t)
	if err := (&NotifyListCmd{Limit: 3, Format: "table"}).Run(env, &fakeNotifying{}); err != nil || !strings.Contains(stderr.String(), "no message waits") {
		t.Errorf("%v, %s", err, stderr)
	}
	if err := (&NotifyListCmd{}).Run(env, n); err == nil {
		t.Error("--limit 0")
	}
}
