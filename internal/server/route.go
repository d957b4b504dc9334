package server

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
)

//go:embed openapi.json
var openAPI []byte

// A route is one method of one path. Handlers return errors; what they mean to the
// client is decided in one place.
type route struct {
	method, path string
	role         string // that is needed; empty: anybody
	handle       func(w http.ResponseWriter, r *http.Request) error
}

// table lists every route. openapi.json has the same ones.
func (s *Server) table() []route {
	const v1 = api.Prefix
	return []route{
		{"GET", "/healthz", "", s.health},
		{"GET", "/readyz", "", s.ready},
		{"GET", "/openapi.json", "", s.document},
		{"GET", "/metrics", RoleRead, s.serveMetrics},

		{"GET", v1 + "/status", RoleRead, s.status},
		{"GET", v1 + "/alerts", RoleRead, s.listAlerts},
		{"POST", v1 + "/alerts/bulk", RoleTriage, s.changeAlerts},
		{"GET", v1 + "/alerts/{id}", RoleRead, s.showAlert},
		{"PATCH", v1 + "/alerts/{id}", RoleTriage, s.changeAlert},
		{"GET", v1 + "/alerts/{id}/triage", RoleRead, s.showTriage},
		{"POST", v1 + "/alerts/{id}/triage", RoleTriage, s.runTriage},
		{"GET", v1 + "/alerts/{id}/triage/versions", RoleRead, s.listTriage},

		{"GET", v1 + "/exceptions", RoleRead, s.listExceptions},
		{"POST", v1 + "/exceptions", RoleTriage, s.addException},
		{"POST", v1 + "/exceptions/test", RoleRead, s.testException},
		{"GET", v1 + "/exceptions/{id}", RoleRead, s.showException},
		{"PUT", v1 + "/exceptions/{id}", RoleTriage, s.putException},
		{"DELETE", v1 + "/exceptions/{id}", RoleTriage, s.deleteException},

		{"GET", v1 + "/silences", RoleRead, s.listSilences},
		{"POST", v1 + "/silences", RoleTriage, s.addSilence},
		{"DELETE", v1 + "/silences/{id}", RoleTriage, s.deleteSilence},
		{"GET", v1 + "/messages", RoleRead, s.listMessages},

		{"GET", v1 + "/rules", RoleRead, s.listRules},
		{"POST", v1 + "/rules/reload", RoleAdmin, s.reload},
		{"GET", v1 + "/runs", RoleRead, s.listRuns},
		{"GET", v1 + "/runs/{id}", RoleRead, s.showRun},
		{"POST", v1 + "/backfills", RoleAdmin, s.backfill},

		{"GET", v1 + "/coverage", RoleRead, s.coverage},
		{"GET", v1 + "/objects", RoleRead, s.listObjects},
		{"GET", v1 + "/parked", RoleRead, s.listParked},
		{"POST", v1 + "/parked/retry", RoleAdmin, s.retryParked},
		{"GET", v1 + "/search", RoleRead, s.search},

		{"GET", v1 + "/tokens", RoleAdmin, s.listTokens},
		{"POST", v1 + "/tokens", RoleAdmin, s.addToken},
		{"DELETE", v1 + "/tokens/{id}", RoleAdmin, s.deleteToken},
		{"GET", v1 + "/audit", RoleAdmin, s.listAudit},
	}
}

// newMux returns the routes for somebody whose identity is in the context.
func (s *Server) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	paths := map[string]map[string]*route{}
	for i := range s.routes {
		rt := &s.routes[i]
		if paths[rt.path] == nil {
			paths[rt.path] = map[string]*route{}
		}
		paths[rt.path][rt.method] = rt
	}
	for path, methods := range paths {
		allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			method := r.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			rt := methods[method]
			if rt == nil {
				w.Header().Set("Allow", allow)
				s.fail(w, r, &api.Error{Code: api.BadMethod, Message: fmt.Sprintf("%q is not for this path: %s", r.Method, allow)})
				return
			}
			s.run(rt, w, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &api.Error{Code: api.NotFound, Message: "there is no such path", Hint: "/openapi.json lists them"})
	})
	return mux
}

// run answers a request if whoever sends it may.
func (s *Server) run(rt *route, w http.ResponseWriter, r *http.Request) {
	who := identity(r.Context())
	if rt.role != "" && !allows(who.Role, rt.role) {
		s.fail(w, r, &api.Error{
			Code: api.Forbidden, Message: fmt.Sprintf("this needs a token of role %s; this one has role %s", rt.role, cmp.Or(who.Role, "none")),
		})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := rt.handle(w, r); err != nil {
		s.fail(w, r, err)
	}
}

// outer returns what the network sees: it says who asks, and hands records on.
func (s *Server) outer() http.Handler {
	return s.metrics.count(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctl := http.NewResponseController(w)
		s.deadlines(ctl, bodyTimeout)
		switch r.URL.Path {
		case "/healthz", "/readyz", "/openapi.json":
			s.mux.ServeHTTP(w, r)
			return
		}
		if !s.hostAllowed(r.Host) {
			s.fail(w, r, &api.Error{
				Code: api.Forbidden, Message: fmt.Sprintf("this server is not addressed as %q", r.Host),
				Hint: "use its address, or add the name to the names of the server in the configuration",
			})
			return
		}
		who, ok := s.known(w, r)
		if !ok {
			return
		}
		r = r.WithContext(withIdentity(r.Context(), who))
		isAPI := r.URL.Path == "/metrics" || r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/")
		switch {
		case isAPI || s.o.Push == nil:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			s.mux.ServeHTTP(w, r)
		case !allows(who.Role, RolePush):
			s.fail(w, r, &api.Error{Code: api.Forbidden, Message: "sending records needs a token of role push; this one has role " + who.Role})
		default:
			s.deadlines(ctl, pushTimeout)
			s.o.Push.ServeHTTP(w, r)
		}
	}))
}

// deadlines bounds how long a client may take to send its request and to read the
// answer. A connection without deadlines is one of a test.
func (s *Server) deadlines(ctl *http.ResponseController, body time.Duration) {
	err := cmp.Or(ctl.SetReadDeadline(deadline(body)), ctl.SetWriteDeadline(deadline(body+writeTimeout)))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.log.Debug("set the deadlines of a request", "error", err)
	}
}

// deadline returns the time after d, by the clock that connections go by, whatever the
// server's own says.
func deadline(d time.Duration) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	t, _ := ctx.Deadline()
	return t
}

// known returns who sends the request, or answers that this is not known.
func (s *Server) known(w http.ResponseWriter, r *http.Request) (Identity, bool) {
	if r.URL.Path == "/metrics" && s.o.OpenMetrics && isLoopback(remote(r)) {
		return Identity{By: "metrics", From: remote(r), Role: RoleRead}, true
	}
	who, err := s.authenticate(r)
	if err == nil {
		return who, true
	}
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.Unauthorized {
		from := remote(r)
		if wait := s.failed.fail(from); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			s.fail(w, r, &api.Error{Code: api.Busy, Message: "too many requests without a valid token came from this address"})
			return who, false
		}
		s.log.Warn("a request without a valid token", "from", from, "path", r.URL.Path, "error", e.Message)
		w.Header().Set("WWW-Authenticate", `Bearer realm="debut"`)
	}
	s.fail(w, r, err)
	return who, false
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, http.ErrAbortHandler) { // a part of the answer is out already
		panic(http.ErrAbortHandler)
	}
	if r.Context().Err() != nil && !s.stopping() {
		return // nobody reads it
	}
	e := s.errorOf(err)
	if e.Code == api.Internal {
		s.log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if e.Code == api.Busy && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Cache-Control", "no-store")
	if err := reply(w, e.Code.Status(), api.Failure{Error: e}); err != nil {
		s.log.Debug("write an answer", "error", err)
	}
}

// errorOf is the one table of what errors mean to a client.
func (s *Server) errorOf(err error) *api.Error {
	var e *api.Error
	var large *http.MaxBytesError
	var diags query.Diagnostics
	var one query.Diagnostic
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &large):
		return &api.Error{Code: api.TooLarge, Message: fmt.Sprintf("the body has more than %d bytes", large.Limit)}
	case errors.As(err, &diags):
		return &api.Error{Code: api.Invalid, Message: diags.Error(), Diagnostics: api.Diagnostics(diags)}
	case errors.As(err, &one):
		return &api.Error{Code: api.Invalid, Message: one.Error(), Diagnostics: api.Diagnostics(query.Diagnostics{one})}
	case errors.Is(err, store.ErrInvalid):
		return &api.Error{Code: api.Invalid, Message: strings.TrimPrefix(err.Error(), store.ErrInvalid.Error()+": ")}
	case errors.Is(err, store.ErrNotFound):
		return &api.Error{Code: api.NotFound, Message: err.Error()}
	case errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrInUse), errors.Is(err, store.ErrClosed),
		errors.Is(err, syscall.ENOSPC), errors.Is(err, fs.ErrPermission):
		s.log.Error("the store cannot be written", "error", err)
		return &api.Error{Code: api.Unavailable, Message: "the store cannot be written at the moment"}
	case s.stopping():
		return &api.Error{Code: api.Unavailable, Message: "the server is stopping"}
	}
	return &api.Error{Code: api.Internal, Message: "the request failed; the server's log says why"}
}

func (s *Server) stopping() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func invalid(format string, args ...any) error {
	return &api.Error{Code: api.Invalid, Message: fmt.Sprintf(format, args...)}
}

func unavailable(what string) error {
	return &api.Error{
		Code: api.Unavailable, Message: what + " needs the running server",
		Hint: "start 'debut serve', or say with --server where it runs",
	}
}

// reply writes a JSON answer. It is encoded whole before anything is written.
func reply(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) //nolint:gosec // JSON, and said to be JSON; an error means that the client is gone
	return nil
}

// readJSON reads the body strictly: what is not understood is an error, not ignored.
func readJSON(r *http.Request, v any) error {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != "application/json" {
			return invalid("the body is of type %q, not application/json", ct)
		}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		return invalid("the body could not be read: %v", err)
	}
	if len(b) == 0 {
		return invalid("the body is empty; it must be a JSON object")
	}
	err = json.Unmarshal(b, v, json.RejectUnknownMembers(true))
	if err == nil {
		err = noNull(b)
	}
	var sem *json.SemanticError
	var syn *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case isAPIError(err):
		return err
	case errors.As(err, &sem) && errors.Is(sem.Err, json.ErrUnknownName):
		return invalid("the body has the unknown member %q (at %s)", sem.JSONPointer.LastToken(), sem.JSONPointer)
	case errors.As(err, &sem):
		at := cmp.Or(string(sem.JSONPointer), "the top")
		if sem.Err != nil {
			return invalid("the body is wrong at %s: %v", at, sem.Err)
		}
		return invalid("the body is wrong at %s: %s does not belong there", at, sem.JSONKind)
	case errors.As(err, &syn):
		return invalid("the body is not JSON: %v at byte %d", syn.Err, syn.ByteOffset)
	}
	return invalid("the body is not JSON: %v", err)
}

func isAPIError(err error) bool {
	_, ok := errors.AsType[*api.Error](err)
	return ok
}

// noNull refuses null, which would be taken for a member that is absent.
func noNull(b []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	for {
		t, err := dec.ReadToken()
		if err != nil {
			return nil //nolint:nilerr // the end: the body was read before
		}
		if t.Kind() == 'n' {
			return invalid("the body has null at %s; leave it out or give a value", cmp.Or(string(dec.StackPointer()), "the top"))
		}
	}
}

// params reads the parameters of a query strictly. The first error stays.
type params struct {
	values map[string][]string
	now    time.Time
	used   []string
	err    error
}

func (s *Server) params(r *http.Request) *params {
	p := &params{now: s.o.Now()}
	values, err := queryOf(r)
	p.values, p.err = values, err
	return p
}

func queryOf(r *http.Request) (map[string][]string, error) {
	if len(r.URL.RawQuery) > 64<<10 {
		return nil, invalid("the query has more than 64 KiB")
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query of the URL cannot be read: %v", err)
	}
	return values, nil
}

func (p *params) list(name string) []string {
	p.used = append(p.used, name)
	list := p.values[name]
	switch {
	case p.err != nil:
	case len(list) > 1000:
		p.err = invalid("%s is given %d times; 1,000 at most", name, len(list))
	case slices.Contains(list, ""): // a filter that a script left empty would choose everything
		p.err = invalid("%s is empty; leave it out or give a value", name)
	}
	return list
}

func (p *params) text(name string) string {
	list := p.list(name)
	switch {
	case len(list) == 0:
		return ""
	case len(list) > 1 && p.err == nil:
		p.err = invalid("%s is given %d times", name, len(list))
	}
	return list[0]
}

// choice is a text that is one of some values; the first is the default.
func (p *params) choice(name string, values ...string) string {
	v := cmp.Or(p.text(name), values[0])
	if !slices.Contains(values, v) && p.err == nil {
		p.err = invalid("%s is %q, not %s", name, v, strings.Join(values, ", "))
	}
	return v
}

func (p *params) time(name string) time.Time {
	v := p.text(name)
	if v == "" {
		return time.Time{}
	}
	m, err := query.ParseDateMath(v)
	if err != nil {
		if p.err == nil {
			p.err = &api.Error{Code: api.Invalid, Message: fmt.Sprintf("%s: %v", name, err), Hint: "write 2026-01-31, 2026-01-31T08:00:00Z or now-7d"}
		}
		return time.Time{}
	}
	return m.At(p.now)
}

// number is a whole number from least to most; without one it is least.
func (p *params) number(name string, least, most int) int {
	v := p.text(name)
	if v == "" {
		return least
	}
	n, err := strconv.Atoi(v)
	if (err != nil || n < least || n > most) && p.err == nil {
		p.err = invalid("%s is %q, not a number from %d to %d", name, v, least, most)
	}
	return n
}

// limit is a number from 1 to most; without one it is the default.
func (p *params) limit(def, most int) int {
	const name = "limit"
	v := p.text(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if (err != nil || n < 1 || n > most) && p.err == nil {
		p.err = invalid("%s is %q, not a number from 1 to %d", name, v, most)
	}
	return n
}

func (p *params) bool(name string) bool {
	v := p.text(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil && p.err == nil {
		p.err = invalid("%s is %q, not true or false", name, v)
	}
	return b
}

// done returns the first error; a parameter that nobody asked for is one.
func (p *params) done() error {
	if p.err != nil {
		return p.err
	}
	for name := range p.values {
		if !slices.Contains(p.used, name) {
			return &api.Error{
				Code: api.Invalid, Message: fmt.Sprintf("there is no parameter %q", name),
				Hint: "there are " + strings.Join(slices.Sorted(slices.Values(p.used)), ", "),
			}
		}
	}
	return nil
}

func (s *Server) document(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(openAPI); err != nil {
		s.log.Debug("write an answer", "error", err)
	}
	return nil
}
