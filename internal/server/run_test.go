package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store/memory"
)

// certificateFiles writes a certificate with a number.
func certificateFiles(tb testing.TB, dir string, number int64) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: b}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
		// Written twice within the clock of the file system, it still is another one.
		at := time.Now().Add(time.Duration(number) * time.Minute)
		if err := os.Chtimes(path, at, at); err != nil {
			tb.Fatal(err)
		}
	}
	return cert, key
}

// run starts a server and returns how to stop it.
func run(tb testing.TB, s *server.Server) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Listen(ctx); err != nil {
		cancel()
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := server.New(server.Options{DB: memory.New(), Now: time.Now, Address: "127.0.0.1:0", DataDir: dir})
	stop := run(t, s)
	token, err := os.ReadFile(filepath.Join(dir, server.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, server.TokenFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token has mode %v, %v", info.Mode(), err)
	}
	address, err := os.ReadFile(filepath.Join(dir, server.AddressFile))
	if err != nil || strings.TrimSpace(string(address)) != s.URL() {
		t.Errorf("the address is %q, not %s: %v", address, s.URL(), err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+api.Prefix+"/tokens", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode
	}
	if code := get(strings.TrimSpace(string(token))); code != http.StatusOK {
		t.Errorf("with the local token: %d", code)
	}
	if code := get("local.wrong"); code != http.StatusUnauthorized {
		t.Errorf("with a wrong one: %d", code)
	}
	stop()
	for _, name := range []string{server.TokenFile, server.AddressFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
}

func TestRefusedAddress(t *testing.T) {
	t.Parallel()
	cert, key := certificateFiles(t, t.TempDir(), 1)
	with := memory.New()
	putToken(t, with, server.RoleRead)
	for name, test := range map[string]struct {
		o    server.Options
		want string // empty: it runs
	}{
		"loopback":           {server.Options{Address: "127.0.0.1:0"}, ""},
		"localhost":          {server.Options{Address: "localhost:0"}, ""},
		"public":             {server.Options{Address: "0.0.0.0:0", DB: with}, "set a certificate and a key"},
		"all":                {server.Options{Address: ":0", DB: with}, "set a certificate and a key"},
		"public, no token":   {server.Options{Address: "0.0.0.0:0", Cert: cert, Key: key}, "debut tokens create"},
		"public, insecure":   {server.Options{Address: "0.0.0.0:0", AllowInsecure: true}, "debut tokens create"},
		"public, all good":   {server.Options{Address: "0.0.0.0:0", Cert: cert, Key: key, DB: with}, ""},
		"behind a proxy":     {server.Options{Address: "[::]:0", AllowInsecure: true, DB: with}, ""},
		"half a certificate": {server.Options{Address: "127.0.0.1:0", Cert: cert}, "both a certificate and a key"},
		"no certificate":     {server.Options{Address: "127.0.0.1:0", Cert: cert + "x", Key: key}, "cert.pemx"},
		"wrong key":          {server.Options{Address: "127.0.0.1:0", Cert: cert, Key: cert}, "load the TLS certificate"},
		"no port":            {server.Options{Address: "127.0.0.1"}, "not host:port"},
	} {
		if test.o.DB == nil {
			test.o.DB = memory.New()
		}
		test.o.Now = time.Now
		s := server.New(test.o)
		if test.want == "" {
			run(t, s)()
			continue
		}
		if err := s.Run(t.Context()); !errors.Is(err, server.ErrConfig) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate that was replaced is used from the next connection on; one that cannot
// be used leaves the old one.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificateFiles(t, dir, 1)
	clock := time.Now()
	s := server.New(server.Options{
		DB: memory.New(), Address: "127.0.0.1:0", Cert: cert, Key: key,
		Now: func() time.Time { clock = clock.Add(time.Second); return clock }, // used by one handshake after the other
	})
	stop := run(t, s)
	defer stop()
	serial := func() int64 {
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Errorf("certificate %d, not 1", n)
	}
	certificateFiles(t, dir, 2)
	if n := serial(); n != 2 {
		t.Errorf("certificate %d, not 2", n)
	}
	if err := os.WriteFile(cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("certificate %d, not 2", n)
	}
	certificateFiles(t, dir, 3)
	if n := serial(); n != 3 {
		t.Errorf("certificate %d, not 3", n)
	}
}

// A server that stops breaks off what would go on for ever, and says why to others.
func TestStop(t *testing.T) {
	t.Parallel()
	db := memory.New()
	token := putToken(t, db, server.RoleRead)
	reached, released := make(chan struct{}), make(chan struct{})
	s := server.New(server.Options{
		DB: db, Now: time.Now, Address: "127.0.0.1:0", Shutdown: time.Minute,
		Events: &daemon{wait: func() { close(reached); <-released }, pad: 70 << 10},
	})
	stop := run(t, s)
	body := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL()+api.Prefix+"/search", http.NoBody)
		if err != nil {
			body <- err
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(r)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		body <- err
	}()
	<-reached
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	for { // until it knows that it stops
		if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err != nil {
			break
		}
	}
	close(released)
	if err := <-body; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the search ended with %v", err)
	}
	<-ended
}
