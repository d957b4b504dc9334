package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
)

const hookSecret = "0123456789abcdef-secret"

// A hookServer takes webhooks, and answers as it is told.
type hookServer struct {
	*httptest.Server

	mu     sync.Mutex
	got    []*http.Request
	bodies []string
	answer func(w http.ResponseWriter)
}

func newHookServer(t testing.TB) *hookServer {
	s := &hookServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, r)
		s.bodies = append(s.bodies, string(body))
		if s.answer != nil {
			s.answer(w)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func openHook(t testing.TB, w *Webhook, o *Options) transport {
	t.Helper()
	to, err := openWebhook(w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.close)
	return to
}

func alertMessage() *store.Message {
	a := snapshot("3f2a91c0ffee3f2a91c0ffee")
	a.Link = "https://debut.example.com/alerts/3f2a91c0ffee"
	return &store.Message{
		Sequence: 7, Channel: "hook", Kind: store.MessageNew, Key: "9f86d081884c7d659a2feaa0c55ad015",
		State: store.MessageWaiting, Created: start, Due: start, Alert: &a,
	}
}

func TestWebhookIsSigned(t *testing.T) {
	t.Parallel()
	s := newHookServer(t)
	s.answer = func(w http.ResponseWriter) { _, _ = io.WriteString(w, "thanks\n") }
	to := openHook(t, &Webhook{URL: Secret(s.URL + "/in?token=abcdefgh"), Secret: hookSecret}, &Options{UserAgent: "debut/1.2.3"})
	answer, err := to.send(t.Context(), alertMessage(), start)
	if err != nil || answer != "200 OK: thanks" {
		t.Fatalf("%q, %v", answer, err)
	}
	r, body := s.got[0], s.bodies[0]
	if err := verify([]byte(hookSecret), r.Header.Get("Debut-Signature"), body, start); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "debut/1.2.3", "Idempotency-Key": "9f86d081884c7d659a2feaa0c55ad015",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if verify([]byte(hookSecret), r.Header.Get("Debut-Signature"), body+" ", start) == nil ||
		verify([]byte("another"), r.Header.Get("Debut-Signature"), body, start) == nil {
		t.Error("a body that was changed, or another key, is verified")
	}
	compareGolden(t, "webhook.golden.json", body)
}

// verify is what a receiver does, written once more.
func verify(key []byte, header, body string, now time.Time) error {
	var t, v1 string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			t = value
		case "v1":
			v1 = value
		}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(t + "." + body))
	if want := hex.EncodeToString(mac.Sum(nil)); want != v1 {
		return errors.New("the signature is wrong")
	}
	if t != fmt.Sprint(now.Unix()) {
		return errors.New("the time is wrong: " + t)
	}
	return nil
}

// The receiver that the manual shows takes what is sent, and nothing else.
func TestManualVerifiesTheSignature(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here")
	}
	page, err := os.ReadFile("../../docs/notify.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(page)
	if code == nil {
		t.Fatal("the manual shows no receiver")
	}
	body := `{"version":"alert.v1","title":"ü"}`
	header := sign([]byte(hookSecret), start, []byte(body))
	script := string(code[1]) + `
import sys
key, header, now = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])
body = sys.stdin.buffer.read()
assert verify(key, header, body, now)
assert verify(key, header, body, now + 299)
assert not verify(key, header, body, now + 301)
assert not verify(key, header, body + b" ", now)
assert not verify(b"another", header, body, now)
for bad in ["", "t=1", "v1=", "t=x,v1=y", header + "0", header.replace("t=1", "t=2")]:
    assert not verify(key, bad, body, now), bad
`
	cmd := exec.CommandContext(t.Context(), python, "-c", script, hookSecret, header, fmt.Sprint(start.Unix()))
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	s := newHookServer(t)
	to := openHook(t, &Webhook{URL: Secret(s.URL), Secret: hookSecret}, nil)
	for _, tt := range []struct {
		status int
		body   string
		after  string
		want   *sendError
	}{
		{204, "", "", nil},
		{429, "slow down", "120", &sendError{fault: channelDown, text: "429 Too Many Requests: slow down", after: 2 * time.Minute}},
		{503, "", start.Add(time.Hour).Format(http.TimeFormat), &sendError{fault: channelDown, text: "503 Service Unavailable", after: time.Hour}},
		{503, "", "-1", &sendError{fault: channelDown, text: "503 Service Unavailable"}},
		{500, "\x1b[31mred\r\nlines " + hookSecret, "", &sendError{fault: unclear, text: `500 Internal Server Error: \x1b[31mred lines (secret)`}},
		{400, strings.Repeat("x", 1<<20), "", &sendError{fault: refused, text: "400 Bad Request: " + strings.Repeat("x", maxAnswer-3) + "…"}},
		{404, "", "", &sendError{fault: channelWrong, text: "404 Not Found"}},
		{401, "", "", &sendError{fault: channelWrong, text: "401 Unauthorized"}},
	} {
		s.answer = func(w http.ResponseWriter) {
			if tt.after != "" {
				w.Header().Set("Retry-After", tt.after)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}
		_, err := to.send(t.Context(), alertMessage(), start)
		if tt.want == nil {
			if err != nil {
				t.Errorf("%d: %v", tt.status, err)
			}
			continue
		}
		var got *sendError
		if !errors.As(err, &got) || *got != *tt.want {
			t.Errorf("%d: got %+v, want %+v", tt.status, got, tt.want)
		}
	}
}

func TestWebhookFollowsNoRedirectToOtherHosts(t *testing.T) {
	t.Parallel()
	other := newHookServer(t)
	s := newHookServer(t)
	where, status := other.URL, http.StatusTemporaryRedirect
	s.answer = func(w http.ResponseWriter) {
		if len(s.got) > 1 {
			return
		}
		w.Header().Set("Location", where)
		w.WriteHeader(status)
	}
	to := openHook(t, &Webhook{URL: Secret(s.URL + "/a"), Secret: hookSecret}, nil)
	var failed *sendError
	if _, err := to.send(t.Context(), alertMessage(), start); !errors.As(err, &failed) || failed.fault != channelWrong || !strings.Contains(failed.text, "redirects elsewhere") {
		t.Errorf("got %v", err)
	}
	if len(other.got) > 0 {
		t.Error("the alert went to another host")
	}
	s.got, s.bodies, where, status = nil, nil, "/b", http.StatusFound // a POST becomes a GET
	if _, err := to.send(t.Context(), alertMessage(), start); err == nil || len(s.got) != 1 {
		t.Errorf("%v after %d requests", err, len(s.got))
	}
	s.got, s.bodies, status = nil, nil, http.StatusPermanentRedirect
	if _, err := to.send(t.Context(), alertMessage(), start); err != nil || len(s.got) != 2 || s.bodies[0] != s.bodies[1] {
		t.Errorf("%v after %d requests", err, len(s.got))
	}
}

func TestWebhookErrorsTellNoSecrets(t *testing.T) {
	t.Parallel()
	s := newHookServer(t)
	address := s.URL
	s.Close()
	to := openHook(t, &Webhook{URL: Secret(address + "/T0KEN-in-path?key=T0KEN-in-query"), Secret: hookSecret}, nil)
	_, err := to.send(t.Context(), alertMessage(), start)
	if err == nil || strings.Contains(err.Error(), "T0KEN") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	to = openHook(t, &Webhook{URL: Secret(tls.URL), Secret: hookSecret}, nil)
	if _, err := to.send(t.Context(), alertMessage(), start); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody is taken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := to.send(ctx, alertMessage(), start); err == nil {
		t.Error("sent after it was told to stop")
	}
}

func TestWebhookWithDocument(t *testing.T) {
	t.Parallel()
	s := newHookServer(t)
	for _, tt := range []struct {
		doc  string
		err  error
		want string
	}{
		{`{"kibana.alert.uuid":"x"}`, nil, `"document":{"kibana.alert.uuid":"x"}}`},
		{`{"broken`, nil, `"document_missing":"what is stored is no JSON"}`},
		{`"` + strings.Repeat("x", maxDocument) + `"`, nil, `"document_missing":"it has 1048578 bytes; 1048576 is the most"}`},
		{"", fmt.Errorf("alert x: %w", store.ErrNotFound), `"document_missing":"it is not stored any more"}`},
	} {
		to := openHook(t, &Webhook{URL: Secret(s.URL), Secret: hookSecret, Document: true}, &Options{
			Document: func(context.Context, string) ([]byte, error) { return []byte(tt.doc), tt.err },
		})
		if _, err := to.send(t.Context(), alertMessage(), start); err != nil {
			t.Fatal(err)
		}
		body := s.bodies[len(s.bodies)-1]
		if !strings.HasSuffix(body, tt.want) || !json.Valid([]byte(body)) {
			t.Errorf("got …%s", body[max(0, len(body)-200):])
		}
	}
	to := openHook(t, &Webhook{URL: Secret(s.URL), Secret: hookSecret, Document: true}, &Options{
		Document: func(context.Context, string) ([]byte, error) { return nil, errors.New("disk") },
	})
	var failed *sendError
	if _, err := to.send(t.Context(), alertMessage(), start); !errors.As(err, &failed) || failed.fault != channelDown {
		t.Errorf("got %v", err)
	}
}

// A test goes the way of every message.
func TestTestMessage(t *testing.T) {
	t.Parallel()
	s := newHookServer(t)
	c := Channel{Name: "hook", Webhook: &Webhook{URL: Secret(s.URL), Secret: hookSecret}}
	answer, err := Test(t.Context(), &c, start, "debut/1")
	if err != nil || answer != "200 OK" {
		t.Fatalf("%q, %v", answer, err)
	}
	if !strings.Contains(s.bodies[0], `"kind":"test"`) || !strings.Contains(s.bodies[0], `"title":"[test] Debut can reach this channel"`) {
		t.Error(s.bodies[0])
	}
	s.answer = func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	if _, err := Test(t.Context(), &c, start, ""); err == nil || err.Error() != "429 Too Many Requests; it asks to be left alone for 1m0s" {
		t.Errorf("got %v", err)
	}
	c.Webhook.Secret = "short"
	if _, err := Test(t.Context(), &c, start, ""); err == nil {
		t.Error("a channel that is not valid was tried")
	}
}

// compareGolden compares with a file of testdata, or writes it.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}
