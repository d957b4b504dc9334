package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/store"
)

// WebhookVersion is the version of the body of a webhook. Members may be added to a
// version; nothing else about it changes.
const WebhookVersion = "alert.v1"

// Bounds of the exchange with a webhook.
const (
	maxAnswerRead = 64 << 10
	maxDocument   = 1 << 20
	maxRedirects  = 3
)

// webhookBody is what is posted. docs/notify.md describes it.
type webhookBody struct {
	Version  string            `json:"version"`
	ID       string            `json:"id"` // the idempotency key
	Kind     store.MessageKind `json:"kind"`
	Created  time.Time         `json:"created"`
	Title    string            `json:"title"`
	Text     string            `json:"text"`
	Link     string            `json:"link,omitempty"`
	Alert    *store.Snapshot   `json:"alert,omitzero"`
	Notice   *store.Notice     `json:"notice,omitzero"`
	Digest   *store.Digest     `json:"digest,omitzero"`
	Document jsontext.Value    `json:"document,omitzero"`
	// Missing says why there is no document, where one was asked for.
	Missing string `json:"document_missing,omitempty"`
}

type webhookTransport struct {
	url      string
	key      []byte
	agent    string
	document func(ctx context.Context, handle string) ([]byte, error) // nil: not sent
	client   *http.Client
	mask     masker
}

func openWebhook(w *Webhook, o *Options) (transport, error) {
	u, err := url.Parse(string(w.URL))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("webhook: its url is not one of http or https")
	case u.User != nil:
		return nil, errors.New("webhook: a url with a password is sent in every request; the signature is enough")
	case u.Scheme == "http" && !w.Plaintext && !loopback(u.Hostname()):
		return nil, errors.New("webhook: over http everybody on the way reads the alerts; use https, or set plaintext if the way is yours")
	case len(w.Secret) < minSecret:
		return nil, fmt.Errorf("webhook: its secret has less than %d bytes; make one with: openssl rand -hex 32", minSecret)
	case w.Timeout < 0 || w.Timeout > maxTimeout:
		return nil, fmt.Errorf("webhook: its timeout is not between 0 and %s", maxTimeout)
	}
	t := &webhookTransport{
		url: string(w.URL), key: []byte(w.Secret), agent: "debut",
		mask: newMasker(string(w.URL), true, string(w.Secret)),
		client: &http.Client{
			Timeout:       cmp.Or(w.Timeout, defaultTimeout),
			CheckRedirect: sameHost,
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSHandshakeTimeout:    10 * time.Second,
				ForceAttemptHTTP2:      true,
				MaxIdleConnsPerHost:    1,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: 64 << 10,
			},
		},
	}
	if o != nil {
		t.agent = cmp.Or(o.UserAgent, t.agent)
		if w.Document {
			t.document = o.Document
		}
	}
	return t, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var errRedirect = errors.New("the server redirects elsewhere; configure the url that it names, if it is yours")

// sameHost follows a redirect only if the same body goes to the same host by the same
// or a better way.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return errors.New("the server redirects in circles")
	case req.Method != first.Method, req.URL.Host != first.URL.Host, first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return errRedirect
	}
	return nil
}

func (t *webhookTransport) send(ctx context.Context, m *store.Message, now time.Time) (string, error) {
	body, err := t.body(ctx, m)
	if err != nil {
		return "", &sendError{text: t.mask.clean(err.Error())}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return "", &sendError{text: t.mask.clean(err.Error())}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", t.agent)
	req.Header.Set("Idempotency-Key", m.Key)
	req.Header.Set("Debut-Signature", sign(t.key, now, body))
	res, err := t.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok { // whose text has the URL
			err = wrapped.Err
		}
		failed := &sendError{text: t.mask.clean(err.Error())}
		if errors.Is(err, errRedirect) {
			failed.fault = channelWrong
		}
		return "", failed
	}
	defer func() { _ = res.Body.Close() }() // what it said counts, not how it hung up
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswerRead))
	said := http.StatusText(res.StatusCode)
	if text := t.mask.clean(string(answer)); text != "" {
		said += ": " + text
	}
	said = strconv.Itoa(res.StatusCode) + " " + said
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return said, nil
	}
	return "", &sendError{fault: faultOf(res.StatusCode), text: said, after: retryAfter(res.Header.Get("Retry-After"), now)}
}

func (t *webhookTransport) close() { t.client.CloseIdleConnections() }

// faultOf says whose fault an HTTP status is. A wrong address or token is the
// channel's; so is being busy.
func faultOf(status int) fault {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusGone:
		return channelWrong
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return channelDown
	}
	switch {
	case status >= 500:
		return unclear
	case status >= 400:
		return refused
	}
	return channelWrong // a redirect, or no answer at all to what was asked
}

// retryAfter reads seconds or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func (t *webhookTransport) body(ctx context.Context, m *store.Message) ([]byte, error) {
	r := render(m, plainText, maxText)
	b := webhookBody{
		Version: WebhookVersion, ID: m.Key, Kind: m.Kind, Created: m.Created, Title: r.title, Text: r.text,
		Alert: m.Alert, Notice: m.Notice, Digest: m.Digest,
	}
	switch {
	case m.Alert != nil:
		b.Link = m.Alert.Link
	case m.Notice != nil:
		b.Link = m.Notice.Link
	}
	if t.document != nil && m.Alert != nil {
		doc, err := t.document(ctx, m.Alert.Handle)
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, fmt.Errorf("read the alert's document: %w", err)
		case err != nil:
			b.Missing = "it is not stored any more"
		case len(doc) > maxDocument:
			b.Missing = fmt.Sprintf("it has %d bytes; %d is the most", len(doc), maxDocument)
		case !jsontext.Value(doc).IsValid():
			b.Missing = "what is stored is no JSON"
		default:
			b.Document = doc
		}
	}
	out, err := json.Marshal(&b, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("write the body: %w", err)
	}
	return out, nil
}

// sign returns the value of the header Debut-Signature: the time of sending and the
// HMAC of time and body.
func sign(key []byte, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, t+".") // a hash takes everything
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
