package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/sqlite"
)

// serverFlags say where alerts and the rest are kept: in a server, here or elsewhere,
// or in a data folder that no server has open.
type serverFlags struct {
	configFlag

	Data string `placeholder:"DIR" help:"Data folder, in place of the configuration's. The server that has it open is asked, else the folder is opened."`
	remoteFlags
}

// remoteFlags name a server, here or elsewhere.
type remoteFlags struct {
	Server string `placeholder:"URL" help:"Ask the server there; also $$DEBUT_SERVER."`
	Token  string `placeholder:"TOKEN" help:"Token for --server. Better in $$DEBUT_TOKEN, where other users cannot see it."`
	CA     string `name:"ca" placeholder:"FILE" help:"Trust these certificates (PEM) for --server."`
}

// A client talks to the API: of a server over the network, or of this process over a
// store that it opened. Both answer with the same code.
type client struct {
	env   *Env
	http  *http.Client
	base  string
	token string
	user  string
	close func() error
}

// open opens the store in a data folder.
func open(ctx context.Context, dir string, readOnly bool) (store.DB, error) {
	return sqlite.Open(ctx, dir, sqlite.Options{ReadOnly: readOnly, Program: "debut " + version})
}

// connect finds who can answer. With writes the store is opened for writing, if it must
// be opened. It makes none: a folder that was mistyped would look like an empty store.
func (f *serverFlags) connect(env *Env, writes bool) (*client, error) {
	return f.connectOr(env, writes, false)
}

// connectOr is connect that makes a store if there is none and create is set.
func (f *serverFlags) connectOr(env *Env, writes, create bool) (*client, error) {
	return f.connectWith(env, writes, create, nil)
}

// An opener opens more of a data folder for a server in this process, and returns how
// to close it.
type opener func(db store.DB, dir string, o *server.Options) (closeIt func() error, err error)

// connectWith is connectOr; if the store is opened here, more opens what else is needed.
func (f *serverFlags) connectWith(env *Env, writes, create bool, more opener) (*client, error) {
	c := &client{env: env, user: userName(env), close: func() error { return nil }}
	base, err := f.base(env, f.Data, f.Config)
	if err != nil {
		return nil, err
	}
	if base != "" {
		return c, c.remote(&f.remoteFlags, base)
	}
	dir := f.Data
	if dir == "" {
		cfg, err := f.load(env)
		if err != nil {
			return nil, err
		}
		dir = cfg.DataDir
	}
	if found, err := c.running(dir); found || err != nil {
		return c, err
	}
	if isAbsent(filepath.Join(dir, sqlite.File)) && !create {
		return nil, noStore(dir, "name the data folder with --data, or a server with --server; 'debut serve' makes a store")
	}
	db, err := open(env.Context, dir, !writes)
	switch {
	case errors.Is(err, store.ErrInUse):
		return nil, &ExitError{
			Code: ExitFailed, Err: err,
			Hint: "a server may be starting or stopping: try again; or name it with --server",
		}
	case err != nil:
		return nil, err
	}
	o := server.Options{DB: db, Now: env.Now, Version: version}
	c.base, c.close = "http://localhost", db.Close
	if more != nil {
		closeMore, err := more(db, dir, &o)
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		c.close = func() error { return errors.Join(closeMore(), db.Close()) }
	}
	s := server.New(o)
	c.http = &http.Client{Transport: inProcess{s.As(server.Identity{By: c.user, From: "command", Role: server.RoleAdmin})}}
	return c, nil
}

// isAbsent reports whether there is no such file, nor folder that it could be in.
func isAbsent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func noStore(dir, hint string) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf("there is no store in %s", dir), Hint: hint}
}

// userName is who runs the command, as the audit log names them.
func userName(env *Env) string {
	return cmp.Or(env.Getenv("USER"), env.Getenv("LOGNAME"), env.Getenv("USERNAME"), "local")
}

// base is the address of the server that is named; empty: none is. A folder or a
// configuration that flags name comes before the environment, and not with --server.
func (f *remoteFlags) base(env *Env, data, config string) (string, error) {
	local := data != "" || config != ""
	switch {
	case f.Server != "" && local:
		return "", usagef("--server asks a server for what it has: it does not go with --data and --config")
	case f.Server != "":
		return f.Server, nil
	case !local && env.Getenv("DEBUT_SERVER") != "":
		return env.Getenv("DEBUT_SERVER"), nil
	case f.Token != "" || f.CA != "":
		return "", usagef("--token and --ca are for a server: name it with --server")
	}
	return "", nil
}

func (c *client) remote(f *remoteFlags, base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("--server %q is not a URL such as https://debut.example.com:7780", base)
	}
	if c.token = cmp.Or(f.Token, c.env.Getenv("DEBUT_TOKEN")); c.token == "" {
		return &ExitError{
			Code: ExitUsage, Err: errors.New("--server needs a token"),
			Hint: "set DEBUT_TOKEN; 'debut tokens create' on the server makes one",
		}
	}
	transport := newTransport()
	if f.CA != "" {
		pool := x509.NewCertPool()
		b, err := os.ReadFile(f.CA)
		if err != nil || !pool.AppendCertsFromPEM(b) {
			return &ExitError{Code: ExitUsage, Err: fmt.Errorf("--ca %s: no certificates can be read from it: %w", f.CA, cmp.Or(err, errors.New("it has none")))}
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	c.base = strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/")
	c.http = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	return nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, ResponseHeaderTimeout: 5 * time.Minute,
		ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
}

// noRedirect keeps the token from being sent elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// running looks for a server of this machine that has the data folder open. A file
// that it left behind when it was killed leads to nobody.
func (c *client) running(dir string) (bool, error) {
	path := filepath.Join(dir, server.AddressFile)
	if isAbsent(path) {
		return false, nil
	}
	address, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var token []byte
	if err == nil {
		token, err = os.ReadFile(filepath.Join(dir, server.TokenFile))
	}
	if err != nil {
		return false, &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("find the server of %s: %w", dir, err),
			Hint: "run this as the user of the server, or use --server and a token",
		}
	}
	base, cert, _ := strings.Cut(strings.TrimSpace(string(address)), "\n")
	c.base, c.token = base, strings.TrimSpace(string(token))
	transport := newTransport()
	transport.Proxy = nil
	if cert != "" {
		transport.TLSClientConfig = pinned(cert)
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	ctx, cancel := context.WithTimeout(c.env.Context, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", http.NoBody)
	if err != nil {
		return false, fmt.Errorf("%s in %s has no URL: %w", server.AddressFile, dir, err)
	}
	res, err := c.http.Do(r)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return false, nil
	case err != nil:
		return false, &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("the server of %s does not answer: %w", dir, err),
			Hint: "if it does not run, remove " + filepath.Join(dir, server.AddressFile),
		}
	}
	return true, res.Body.Close()
}

// pinned trusts the certificate in that file and no other: it is the server's own, for
// names that this machine may not have.
func pinned(path string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate itself
		VerifyConnection: func(cs tls.ConnectionState) error {
			b, err := os.ReadFile(path) //nolint:gosec // the path is from a file that only this user can write
			if err != nil {
				return fmt.Errorf("read the server's certificate: %w", err)
			}
			block, _ := pem.Decode(b)
			if block == nil || len(cs.PeerCertificates) == 0 || !bytes.Equal(block.Bytes, cs.PeerCertificates[0].Raw) {
				return fmt.Errorf("the certificate is not the one in %s", path)
			}
			return nil
		},
	}
}

// do sends a request. An answer with an error becomes one.
func (c *client) do(method, path string, query url.Values, body any) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(c.env.Context, method, target, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if body == nil {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set(server.UserHeader, c.user)
	}
	res, err := c.http.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // it would say again whom and what was asked
		}
		e := &ExitError{Code: ExitFailed, Err: fmt.Errorf("ask %s: %w", c.base, err)}
		if errors.Is(err, syscall.ECONNREFUSED) {
			e.Hint = "no server listens there: does 'debut serve' run, and is the port right?"
		}
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			e.Hint = "name the certificate of the server, or of who signed it, with --ca"
		}
		return nil, e
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, failure(c.base, res)
}

// maxFailure bounds the answer of whoever is asked, who may be no Debut.
const maxFailure = 1 << 20

func failure(base string, res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, maxFailure))
	var f api.Failure
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil || f.Error == nil {
		return &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("%s answers %s", base, res.Status), Hint: "is this the address of a Debut server?",
		}
	}
	e := &ExitError{Code: ExitFailed, Err: errors.New(safeText(f.Error.Message)), Hint: safeText(f.Error.Hint)}
	if f.Error.Code == api.Invalid {
		e.Code = ExitUsage
	}
	for i, d := range f.Error.Diagnostics {
		if e.Hint == "" && d.Hint != "" && i == 0 {
			e.Hint = safeText(d.Hint)
		}
	}
	return e
}

// call sends a request and reads a JSON answer into out, if there is one.
func (c *client) call(method, path string, query url.Values, body, out any) error {
	res, err := c.do(method, api.Prefix+path, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
	} else {
		err = json.UnmarshalRead(res.Body, out)
	}
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	return nil
}

// maxLine bounds a line of a stream: a document.
const maxLine = 256 << 20

// lines calls f with every line of an answer. One that breaks off is an error.
func (c *client) lines(path string, query url.Values, f func(line []byte) error) error {
	res, err := c.do(http.MethodGet, api.Prefix+path, query, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	for sc.Scan() {
		if err := f(sc.Bytes()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("the answer of %s broke off: %w", c.base, err),
			Hint: "what was written is not whole; the server's log says why",
		}
	}
	if names := res.Trailer.Get(server.DamagedTrailer); names != "" {
		return &ExitError{
			Code: ExitFailed, Err: partlyError{safeText(names)},
			Hint: "run 'debut store check'",
		}
	}
	return nil
}

// partlyError is that an answer is whole but for parts of the store that cannot be read.
type partlyError struct{ names string }

func (e partlyError) Error() string {
	return "parts of the store could not be read, and are missing: " + e.names
}

// inProcess answers requests with a handler of this process.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. The handler has ended when the body of the
// answer is closed.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, pw: pw, begun: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			w.WriteHeader(http.StatusOK)
			if v := recover(); v != nil {
				if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				_ = pw.CloseWithError(io.ErrUnexpectedEOF) // never fails
				return
			}
			_ = pw.Close() // never fails
		}()
		t.handler.ServeHTTP(w, r)
	})
	<-w.begun
	return &http.Response{
		Status: http.StatusText(w.code), StatusCode: w.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Trailer: w.header, Body: &pipeBody{pr, &wg}, ContentLength: -1, Request: r,
	}, nil
}

type pipeWriter struct {
	header, sent http.Header
	code         int
	pw           *io.PipeWriter
	begun        chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code, w.sent = code, w.header.Clone()
		close(w.begun)
	}
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pw.Write(b)
}

type pipeBody struct {
	*io.PipeReader

	wg *sync.WaitGroup
}

func (b *pipeBody) Close() error {
	err := b.PipeReader.Close()
	b.wg.Wait()
	return err
}
