package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// A Daemon is the process that reads sources and runs rules. It is safe for concurrent
// use.
type Daemon interface {
	// Status says how it is. It returns at once; Version, Started, Uptime and Alerts
	// are filled in by the server.
	Status() api.Status
	// Rules returns every rule that is loaded, and whether it runs.
	Rules() []api.RuleStatus
	// Reload loads rules and exceptions anew. If rules cannot be loaded, what ran
	// goes on running and the error says why.
	Reload(ctx context.Context, by string) (api.ReloadReport, error)
	// Retry tries messages again that a source has parked. What takes longer than ctx
	// lasts goes on, and is not in the answer; the others are, by id: nil, so the
	// message is gone, or why it stays. An error that wraps store.ErrInvalid is the
	// caller's.
	Retry(ctx context.Context, source string, ids []string) (map[string]error, error)
}

// A Backfiller runs rules over history.
type Backfiller interface {
	// Backfill begins a run and returns its ID. Errors that wrap store.ErrInvalid are
	// the caller's.
	Backfill(ctx context.Context, r api.BackfillRequest) (run string, err error)
}

// A Searcher finds stored events.
type Searcher interface {
	// Search yields the ECS documents of events as JSON; one is valid until the next.
	// An error that is query.Diagnostics is about the query.
	Search(ctx context.Context, q api.EventQuery) iter.Seq2[[]byte, error]
}

// A Trier says what an exception would have done. Without one, the server looks at
// the events of stored alerts.
type Trier interface {
	TryException(ctx context.Context, e *store.Exception) (api.Trial, error)
}

// Options of a server. DB and Now are needed; nil interfaces make what needs them
// unavailable.
type Options struct {
	DB       store.DB
	Now      func() time.Time
	Log      *slog.Logger // nil: silent
	Version  string
	Daemon   Daemon
	Backfill Backfiller
	Events   Searcher
	Trier    Trier
	Triage   Triager
	// Catalogue is that of the rules; exceptions are checked against it.
	Catalogue *ecs.Catalogue
	// Push takes records: every path that is not the API's is handed to it, once the
	// request has shown a token of role push.
	Push http.Handler
	// Collectors are registered beside the server's own metrics.
	Collectors []prometheus.Collector

	// Address is host:port to listen on; empty: 127.0.0.1:7780.
	Address string
	// DataDir is where api.token and api.addr are written, for commands on the same
	// machine; empty: nowhere.
	DataDir string
	// Cert and Key are PEM files. Both are read again when they change.
	Cert, Key string
	// AllowInsecure permits an address that others can reach without TLS, because a
	// proxy in front has it.
	AllowInsecure bool
	// Names are host names under which the server is addressed, beside localhost and
	// addresses.
	Names []string
	// OpenMetrics lets processes of this machine read /metrics without a token.
	OpenMetrics bool
	// Shutdown is how long requests may take to end when the server is stopped;
	// zero: 10 s.
	Shutdown time.Duration
}

// DefaultAddress is where a server listens if nothing else is said.
const DefaultAddress = "127.0.0.1:7780"

// Files in the data folder that tell commands on the same machine how to reach the
// server. The first has a token that is good as long as the server runs; the second a
// URL on its first line, and on the second, with TLS, the certificate file.
const (
	TokenFile   = "api.token"
	AddressFile = "api.addr"
)

// ErrConfig says that the server refuses to run as it is configured. The message has the remedy.
var ErrConfig = errors.New("refused")

// A Server answers requests. Make one with [New].
type Server struct {
	o       Options
	log     *slog.Logger
	started time.Time
	handler http.Handler // with authentication
	routes  []route
	mux     *http.ServeMux // the API, for somebody who is known
	local   local
	failed  limiter
	slots   chan struct{} // for requests that stream
	counts  alertCounts
	metrics *metrics
	cert    *certificate
	lis     net.Listener
	closing chan struct{} // closed when the server is asked to stop
	once    sync.Once
}

// Bounds of the server.
const (
	maxBody      = 1 << 20
	maxHeader    = 64 << 10
	maxConns     = 1024
	maxStreams   = 16
	headTimeout  = 10 * time.Second
	idleTimeout  = 2 * time.Minute
	bodyTimeout  = 30 * time.Second
	pushTimeout  = 5 * time.Minute
	writeTimeout = 30 * time.Second // of one piece of an answer
)

// New returns a server. It touches nothing until it is asked.
func New(o Options) *Server {
	s := &Server{
		o: o, log: o.Log, started: o.Now(), closing: make(chan struct{}),
		slots: make(chan struct{}, maxStreams),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.o.Catalogue == nil {
		s.o.Catalogue = ecs.NewCatalogue()
	}
	s.o.Address = cmp.Or(o.Address, DefaultAddress)
	s.o.Shutdown = cmp.Or(o.Shutdown, 10*time.Second)
	s.failed.now = o.Now
	s.routes = s.table()
	s.mux = s.newMux()
	s.metrics = newMetrics(s)
	s.handler = s.outer()
	return s
}

// ServeHTTP answers a request from the network.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// As returns the API for somebody who has the store open and needs no token.
func (s *Server) As(who Identity) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mux.ServeHTTP(w, r.WithContext(withIdentity(r.Context(), who)))
	})
}

// Run listens and serves until ctx ends, and then lets requests end for a while. It
// returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(ctx); err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Listen binds the address, so that what is wrong with it is known before anything
// else begins. Errors about the configuration wrap ErrConfig.
func (s *Server) Listen(ctx context.Context) error {
	if err := s.permitted(ctx); err != nil {
		return err
	}
	if s.o.Cert != "" || s.o.Key != "" {
		cert, err := loadCertificate(s.o.Cert, s.o.Key, s.o.Now, s.log)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		s.cert = cert
	}
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", s.o.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.o.Address, err)
	}
	s.lis = limitListener(lis, maxConns)
	if err := s.announce(); err != nil {
		_ = lis.Close() // nobody has connected yet
		return err
	}
	return nil
}

// Addr is the address that Listen bound.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// URL is how this machine reaches the server.
func (s *Server) URL() string {
	scheme := "http"
	if s.cert != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.lis.Addr().String())
	if err != nil {
		return scheme + "://" + s.lis.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Serve serves on what Listen bound, until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	defer s.withdraw()
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	if s.cert != nil {
		hs.TLSConfig = s.cert.config()
	}
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if s.cert != nil {
			ended <- hs.ServeTLS(s.lis, "", "")
		} else {
			ended <- hs.Serve(s.lis)
		}
	})
	defer wg.Wait()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", s.lis.Addr(), err)
	case <-ctx.Done():
	}
	s.once.Do(func() { close(s.closing) })
	grace, stop := context.WithTimeout(base, s.o.Shutdown)
	defer stop()
	if err := hs.Shutdown(grace); err != nil {
		cancel() // what still runs sees its context end
		if err := hs.Close(); err != nil {
			s.log.Warn("close connections", "error", err)
		}
	}
	return nil
}

// permitted refuses an address that others can reach, unless they must show a token
// and nobody can listen in.
func (s *Server) permitted(ctx context.Context) error {
	host, _, err := net.SplitHostPort(s.o.Address)
	if err != nil {
		return fmt.Errorf("%w: the address %q is not host:port: %w", ErrConfig, s.o.Address, err)
	}
	if (s.o.Cert == "") != (s.o.Key == "") {
		return fmt.Errorf("%w: TLS needs both a certificate and a key; one of them is not set", ErrConfig)
	}
	if isLoopback(host) {
		return nil
	}
	if s.o.Cert == "" && !s.o.AllowInsecure {
		return fmt.Errorf("%w: others can reach %s, and without TLS they could read tokens and alerts on the way: "+
			"set a certificate and a key, or listen on 127.0.0.1, or set allow_insecure if a proxy in front has TLS", ErrConfig, s.o.Address)
	}
	found := false
	err = s.o.DB.View(ctx, func(tx store.Tx) error {
		for _, err := range store.AllTokens(tx) {
			found = err == nil
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for tokens: %w", err)
	}
	if !found {
		return fmt.Errorf("%w: others can reach %s, and no token is defined, so nobody could use it: "+
			"make one with 'debut tokens create --role admin NAME', or listen on 127.0.0.1", ErrConfig, s.o.Address)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// announce writes how commands on this machine reach the server.
func (s *Server) announce() error {
	if s.o.DataDir == "" {
		return nil
	}
	token := s.local.make()
	address := s.URL() + "\n"
	if s.cert != nil {
		path, err := filepath.Abs(s.o.Cert)
		if err != nil {
			return fmt.Errorf("name the certificate: %w", err)
		}
		address += path + "\n"
	}
	return cmp.Or(
		writeFile(filepath.Join(s.o.DataDir, TokenFile), token+"\n"),
		writeFile(filepath.Join(s.o.DataDir, AddressFile), address),
	)
}

// withdraw removes what announce wrote.
func (s *Server) withdraw() {
	if s.o.DataDir == "" {
		return
	}
	for _, name := range []string{AddressFile, TokenFile} {
		if err := os.Remove(filepath.Join(s.o.DataDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("remove a file for commands", "file", name, "error", err)
		}
	}
}

// writeFile writes a file that only its owner can read, whole or not at all.
func writeFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.WriteString(text)
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it may not be there
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// limitListener accepts at most n connections at a time; others wait.
func limitListener(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener

	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err //nolint:wrapcheck // net/http looks at it
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn

	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
