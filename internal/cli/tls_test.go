package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
)

func selfSigned(tb testing.TB, dir, name string, ip net.IP) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{ip}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: b}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return cert, key
}

// The server of this machine is known by its certificate, for whatever names that is;
// one elsewhere by who signed it.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, certs := t.TempDir(), t.TempDir()
	cert, key := selfSigned(t, certs, "server", net.IPv4(192, 0, 2, 1)) // not for 127.0.0.1
	other, _ := selfSigned(t, certs, "other", net.IPv4(127, 0, 0, 1))
	db := memory.New()
	fillStore(t, db)
	secret := server.NewSecret()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		return store.PutToken(tx, &store.Token{ID: "t", Name: "t", Role: server.RoleRead, Hash: server.HashSecret(secret)})
	})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, server.Options{DB: db, DataDir: dir, Cert: cert, Key: key})
	d := &office{TB: t, env: map[string]string{"DEBUT_DATA_DIR": dir}}
	d.ok("alerts", "list")

	// Somebody else listens there.
	if err := os.WriteFile(filepath.Join(dir, server.AddressFile), []byte(s.URL()+"\n"+other+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.fails(ExitFailed, "the certificate is not the one in", "alerts", "list")

	good, goodKey := selfSigned(t, certs, "good", net.IPv4(127, 0, 0, 1))
	s = serve(t, server.Options{DB: db, Cert: good, Key: goodKey})
	d.env = map[string]string{"DEBUT_SERVER": s.URL(), "DEBUT_TOKEN": "t." + secret}
	d.fails(ExitFailed, "with --ca", "alerts", "list")
	d.fails(ExitFailed, "with --ca", "alerts", "list", "--ca", other)
	d.ok("alerts", "list", "--ca", good)
	d.fails(ExitFailed, "needs a token of role triage", "alerts", "ack", "--ca", good, "a0a0")
}
