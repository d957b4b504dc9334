package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/query"
)

// validate adds all that is wrong. What only a server elsewhere knows (a bucket, a
// queue) is not asked.
func (s *source) validate(c *Config, getenv func(string) string) {
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			s.key(key, "bad-value", fmt.Sprintf("is %q, not one of %s", value, strings.Join(allowed, ", ")), "")
		}
	}
	atLeast := func(key string, v, least Duration) {
		if v < least {
			text, _ := least.MarshalText()
			s.key(key, "bad-value", fmt.Sprintf("must be at least %s", text), "")
		}
	}
	if c.DataDir == "" {
		s.key("data_dir", "missing-value", "must name a folder", "")
	}
	if len(c.Rules.Paths) == 0 {
		s.key("rules.paths", "missing-value", "names no rules", `"shipped" are those in the program`)
	}
	for _, list := range []struct {
		key   string
		paths []string
	}{{"rules.paths", c.Rules.Paths}, {"rules.exceptions", c.Rules.Exceptions}, {"rules.geoip", c.Rules.GeoIP}} {
		for _, p := range list.paths {
			if _, err := os.Stat(p); err != nil && p != "shipped" && !strings.ContainsAny(p, "*?[") {
				s.key(list.key, "no-file", fmt.Sprintf("%s: %v", p, errText(err)), "paths are relative to where the program is started")
			}
		}
	}
	oneOf("engine.cold_start", c.Engine.ColdStart, ColdHistory, ColdLearn, ColdAlert)
	if c.Engine.Workers < 0 {
		s.key("engine.workers", "bad-value", "must not be negative", "0 is one for each core")
	}
	if c.Engine.ColdStart == ColdLearn {
		atLeast("engine.learn", c.Engine.Learn, Duration(time.Minute))
	}
	atLeast("store.compact_interval", c.Store.CompactInterval, Duration(time.Second))
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "text", "json")
	s.sources(c)
	s.server(c)
	s.channels(c, getenv)
}

func (s *source) sources(c *Config) {
	names := map[string]bool{"push": true}
	for i := range c.Sources {
		src := &c.Sources[i]
		key := func(name string) string { return fmt.Sprintf("sources.%s", name) }
		if src.Name == "" {
			src.Name = src.Type
		}
		if names[src.Name] {
			s.key(key("name"), "duplicate-name", fmt.Sprintf("two sources are called %q", src.Name), "give each a name of its own")
		}
		names[src.Name] = true
		switch src.Type {
		case SourceS3:
			if src.Bucket == "" {
				s.key(key("bucket"), "missing-value", "the s3 source "+src.Name+" names no bucket", "")
			}
			if src.Start != "" {
				if _, err := query.ParseDateMath(src.Start); err != nil {
					s.key(key("start"), "bad-value", err.Error(), "write 2026-01-31 or now-7d")
				}
			}
			if src.Path != "" {
				s.key(key("path"), "unused-key", "means nothing to an s3 source", "")
			}
		case SourceFiles:
			if src.Path == "" {
				s.key(key("path"), "missing-value", "the files source "+src.Name+" names no folder", "")
			}
			if src.Bucket != "" || src.QueueURL != "" {
				s.key(key("bucket"), "unused-key", "means nothing to a files source", "")
			}
		case "":
			s.key(key("type"), "missing-value", "a source needs a type", "s3 or files; records that are pushed come through the server")
		default:
			s.key(key("type"), "bad-value", fmt.Sprintf("is %q, not s3 or files", src.Type), "records that are pushed come through the server: [server.push]")
		}
	}
}

func (s *source) server(c *Config) {
	if _, _, err := net.SplitHostPort(c.Server.Listen); err != nil {
		s.key("server.listen", "bad-value", fmt.Sprintf("%q is no address", c.Server.Listen), "write 127.0.0.1:7780")
	}
	switch cert, key := c.Server.TLSCert, c.Server.TLSKey; {
	case cert == "" && key == "":
	case cert == "" || key == "":
		s.key("server.tls_cert", "missing-value", "a certificate and its key belong together: one of tls_cert and tls_key is missing", "")
	default:
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			s.key("server.tls_cert", "bad-certificate", err.Error(), "both files are PEM, and the key is that of the certificate")
		}
	}
}

func (s *source) channels(c *Config, getenv func(string) string) {
	names := map[string]bool{}
	for i := range c.Notify.Channels {
		ch := &c.Notify.Channels[i]
		switch {
		case ch.Name == "":
			s.key("notify.channels.name", "missing-value", "a channel needs a name", "")
		case names[ch.Name]:
			s.key("notify.channels.name", "duplicate-name", fmt.Sprintf("two channels are called %q", ch.Name), "")
		}
		names[ch.Name] = true
		if (ch.URL == "") == (ch.Webhook == "") {
			s.key("notify.channels.url", "missing-value", fmt.Sprintf("the channel %q needs a url or a webhook, and not both", ch.Name), "")
		}
		if ch.Webhook != "" && ch.Secret == "" {
			s.key("notify.channels.secret", "missing-value", fmt.Sprintf("the webhook %q has no secret to sign with", ch.Name), "at least 16 bytes; env:NAME and file:/path work too")
		}
		for _, secret := range []Secret{ch.URL, ch.Webhook, ch.Secret} {
			if _, err := secret.Resolve(getenv); err != nil {
				s.key("notify.channels.url", "bad-secret", fmt.Sprintf("of the channel %q: %v", ch.Name, err), "")
			}
		}
		if ch.Severity != "" && !slices.Contains([]string{"low", "medium", "high", "critical"}, ch.Severity) {
			s.key("notify.channels.severity", "bad-value", fmt.Sprintf("is %q, not low, medium, high or critical", ch.Severity), "")
		}
	}
}

func errText(err error) string {
	if os.IsNotExist(err) {
		return "there is no such file or folder"
	}
	return err.Error()
}
