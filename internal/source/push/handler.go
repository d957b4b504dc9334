package push

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// A call is one request being served.
type call struct {
	s    *Source
	w    http.ResponseWriter
	r    *http.Request
	kind endpoint
	read int64 // bytes of the body

	requestID string // of Firehose
}

// Handler returns what serves the requests. Mount it as the fallback of a mux, or below
// a prefix with [http.StripPrefix].
func (s *Source) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Source) serve(w http.ResponseWriter, r *http.Request) {
	path := segments(r.URL)
	c := &call{s: s, w: w, r: r, kind: endpointOf(path)}
	count := &s.counts[c.kind]
	count.requests.Add(1)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if c.kind == bulk || c.kind == handshake {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
	}
	err := c.authenticate(r.Context())
	if err == nil {
		err = c.route(r.Context(), path)
	}
	count.bytes.Add(c.read)
	if err != nil {
		f := asFailure(err)
		count.fail(f.status)
		c.fail(f)
	}
}

// segments parts a path, each part unescaped.
func segments(u *url.URL) []string {
	path := strings.Trim(u.EscapedPath(), "/")
	if path == "" {
		return nil
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if text, err := url.PathUnescape(p); err == nil {
			parts[i] = text
		}
	}
	return parts
}

func endpointOf(path []string) endpoint {
	n := len(path)
	switch {
	case n == 2 && path[0] == "v1" && path[1] == "records":
		return records
	case n == 2 && path[0] == "v1" && path[1] == "firehose":
		return firehose
	case n == 2 && path[0] == "v1" && path[1] == "eventbridge":
		return eventBridge
	case n > 0 && n <= 3 && path[n-1] == "_bulk":
		return bulk
	}
	return handshake
}

func (c *call) route(ctx context.Context, path []string) error {
	switch c.kind {
	case records:
		return c.records(ctx)
	case firehose:
		return c.firehose(ctx)
	case eventBridge:
		return c.eventBridge(ctx)
	case bulk:
		index := ""
		if len(path) > 1 {
			index = path[0]
		}
		return c.bulk(ctx, index)
	default:
		return c.handshake(path)
	}
}

// method refuses a request by any other method.
func (c *call) method(allowed ...string) error {
	if slices.Contains(allowed, c.r.Method) {
		return nil
	}
	c.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &failure{http.StatusMethodNotAllowed, "method-not-allowed", "only " + strings.Join(allowed, " and ") + " can be used here", 0}
}

// authenticate checks the token, if that is the handler's matter.
func (c *call) authenticate(ctx context.Context) error {
	if c.s.opt.Token == nil {
		return nil
	}
	token, ok := TokenOf(c.r)
	if ok {
		err := c.s.opt.Token(ctx, token)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrForbidden) {
			return &failure{http.StatusForbidden, "forbidden", "this token may not push: use one with that right", 0}
		}
	}
	for _, scheme := range [...]string{`Bearer realm="debut"`, `ApiKey`, `Basic realm="debut", charset="UTF-8"`} {
		c.w.Header().Add("WWW-Authenticate", scheme)
	}
	return &failure{http.StatusUnauthorized, "unauthorized", "a valid token is needed: as Bearer, as the password of Basic, as the key of ApiKey, or in the sender's own header", 0}
}

// TokenOf returns the token of a request, however its sender can say it:
//
//	Authorization: Bearer TOKEN
//	Authorization: Basic base64(anything:TOKEN)
//	Authorization: ApiKey base64(anything:TOKEN), or ApiKey TOKEN
//	X-Amz-Firehose-Access-Key: TOKEN
//	Api-Key: TOKEN, or X-Api-Key: TOKEN
//
// A request that says it in more than one way has the first of them.
func TokenOf(r *http.Request) (token string, ok bool) {
	if scheme, value, found := strings.Cut(r.Header.Get("Authorization"), " "); found {
		value = strings.TrimSpace(value)
		switch strings.ToLower(scheme) {
		case "bearer":
			return value, value != ""
		case "basic":
			_, token, ok = r.BasicAuth()
			return token, ok && token != ""
		case "apikey":
			if text, err := base64.StdEncoding.DecodeString(value); err == nil {
				if _, key, pair := strings.Cut(string(text), ":"); pair {
					return key, key != ""
				}
			}
			return value, value != ""
		}
		return "", false
	}
	for _, name := range [...]string{"X-Amz-Firehose-Access-Key", "Api-Key", "X-Api-Key"} {
		if token = r.Header.Get(name); token != "" {
			return token, true
		}
	}
	return "", false
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n *int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err //nolint:wrapcheck // passed on
}

// raw reads the body as it comes. Decoded reads it decompressed.
func (c *call) raw() (*body, error) { return c.body(false) }

func (c *call) decoded() (*body, error) { return c.body(true) }

func (c *call) body(decode bool) (*body, error) {
	s := c.s
	if !s.Running() {
		return nil, errClosing
	}
	if wait := s.rate.wait(); wait > 0 {
		return nil, &failure{http.StatusTooManyRequests, "rate", "more bytes arrive than are allowed per second: send it again later", wait}
	}
	if c.r.ContentLength > s.opt.MaxBody {
		return nil, errTooLarge
	}
	if err := c.encoding(); err != nil {
		return nil, err
	}
	control := http.NewResponseController(c.w)
	deadline := control.SetReadDeadline(s.opt.Now().Add(s.opt.BodyTimeout)) == nil
	var in io.Reader = counter{http.MaxBytesReader(c.w, c.r.Body, s.opt.MaxBody), &c.read}
	if decode {
		in = inflated(in)
	}
	b, err := s.budget.read(in, s.opt.MaxBody)
	if closer, ok := in.(io.Closer); ok {
		_ = closer.Close() // of a decompressor: nothing can fail
	}
	s.rate.spend(c.read)
	if err != nil {
		return nil, err
	}
	if deadline { // else it would end the wait for the sink
		_ = control.SetReadDeadline(noDeadline)
	}
	return b, nil
}

// encoding refuses what cannot be decompressed. Whether the rest is compressed is told
// by content.
func (c *call) encoding() error {
	switch e := strings.ToLower(strings.TrimSpace(c.r.Header.Get("Content-Encoding"))); e {
	case "", "identity", "gzip", "x-gzip", "zstd":
		return nil
	}
	c.w.Header().Set("Accept-Encoding", "gzip, zstd")
	return &failure{http.StatusUnsupportedMediaType, "unsupported-encoding", "this Content-Encoding cannot be read: use gzip, zstd or none", 0}
}

func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return &failure{http.StatusInternalServerError, "internal", "the request could not be served", 0}
}

// fail answers a failure in the form that the endpoint's clients read.
func (c *call) fail(f *failure) {
	if c.kind == bulk && f.retry > 0 && c.r.UserAgent() == "" && c.hangUp() {
		return
	}
	f.setRetry(c.w.Header())
	switch c.kind {
	case firehose:
		c.firehoseAnswer(f.status, f.message)
	case bulk, handshake:
		c.elasticError(f)
	default:
		c.answer(f.status, problemAnswer{Error: problemBody{f.code, f.message}})
	}
}

// hangUp closes the connection without an answer, if that can be done. rsyslog, alone
// among the shippers in naming itself nowhere, drops a batch that is answered with any error,
// and sends one again that is not answered.
func (c *call) hangUp() bool {
	conn, _, err := http.NewResponseController(c.w).Hijack()
	return err == nil && conn.Close() == nil
}

type problemAnswer struct {
	Error problemBody `json:"error"`
}

type problemBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// answer writes v as JSON, whole, with its length.
func (c *call) answer(status int, v any) {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil { // of a type of ours: cannot be
		status, text = http.StatusInternalServerError, []byte("{}")
	}
	c.text(status, append(text, '\n'))
}

func (c *call) text(status int, text []byte) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(text) // the client has gone
	}
}
