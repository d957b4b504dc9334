package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A certificate is read from files, and again when they have changed. It needs no
// goroutine: a handshake looks, at most once a second.
type certificate struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	version [2]time.Time // modification times
	current *tls.Certificate
}

func loadCertificate(cert, key string, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, now: now, log: log}
	version, err := c.stat()
	if err != nil {
		return nil, err
	}
	if err := c.load(version); err != nil {
		return nil, err
	}
	c.looked = now()
	return c, nil
}

func (c *certificate) stat() (v [2]time.Time, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return v, fmt.Errorf("the TLS certificate or key cannot be read: %w", err)
		}
		v[i] = info.ModTime()
	}
	return v, nil
}

func (c *certificate) load(version [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("load the TLS certificate %s with the key %s: %w", c.cert, c.key, err)
	}
	if pair.Leaf != nil && c.now().After(pair.Leaf.NotAfter) {
		c.log.Warn("the TLS certificate has expired", "file", c.cert, "expired", pair.Leaf.NotAfter)
	}
	c.current, c.version = &pair, version
	return nil
}

// get returns the certificate of now. If new files cannot be used, the old one stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if d := now.Sub(c.looked); d >= 0 && d < time.Second {
		return c.current, nil
	}
	c.looked = now
	version, err := c.stat()
	if err == nil && version != c.version {
		if err = c.load(version); err == nil {
			c.log.Info("the TLS certificate was read again", "file", c.cert)
		}
	}
	if err != nil {
		c.log.Error("the TLS certificate has changed and cannot be used; the old one stays", "error", err)
		c.version = version // tell it once for each change
	}
	return c.current, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}
}
