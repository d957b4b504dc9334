package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
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
	s.files("rules.paths", c.Rules.Paths)
	s.files("rules.exceptions", c.Rules.Exceptions)
	s.files("rules.geoip", c.Rules.GeoIP)
	oneOf("engine.cold_start", c.Engine.ColdStart, ColdHistory, ColdLearn, ColdAlert)
	if c.Engine.Workers < 0 {
		s.key("engine.workers", "bad-value", "must not be negative", "0 is one for each core")
	}
	if c.Engine.ColdStart == ColdLearn {
		atLeast("engine.learn", c.Engine.Learn, Duration(time.Minute))
	}
	if c.Store.RetentionAge > 0 {
		atLeast("store.retention_age", c.Store.RetentionAge, Duration(time.Hour))
	}
	atLeast("coverage.gap_after", c.Coverage.GapAfter, Duration(time.Minute))
	atLeast("store.compact_interval", c.Store.CompactInterval, Duration(time.Second))
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "text", "json")
	s.sources(c, getenv)
	s.server(c)
	s.channels(c, getenv)
	s.triage(&c.Triage, getenv)
}

func (s *source) sources(c *Config, getenv func(string) string) {
	names := map[string]bool{"push": true}
	for i := range c.Sources {
		src := &c.Sources[i]
		key := func(name string) string { return fmt.Sprintf("sources.%d.%s", i, name) }
		if src.Name == "" {
			src.Name = src.Type
		}
		if names[src.Name] {
			s.key(key("name"), "duplicate-name", fmt.Sprintf("two sources are called %q", src.Name), "give each a name of its own")
		}
		names[src.Name] = true
		switch src.Type {
		case SourceS3:
			s.s3(src, key, getenv)
			s.unused(SourceS3, key, "path", "rescan_interval", "settle")
		case SourceFiles:
			if src.Path == "" {
				s.key(key("path"), "missing-value", "the files source "+src.Name+" names no folder", "")
			}
			s.unused(SourceFiles, key, "bucket", "prefixes", "region", "role_arn", "external_id", "endpoint", "path_style", "queue_url",
				"list_interval", "visibility_timeout", "start", "digests", "verify", "public_keys")
		case "":
			s.key(key("type"), "missing-value", "a source needs a type", "s3 or files; records that are pushed come through the server")
		default:
			s.key(key("type"), "bad-value", fmt.Sprintf("is %q, not s3 or files", src.Type), "records that are pushed come through the server: [server.push]")
		}
	}
}

// unused tells of keys that stand in the file and mean nothing to the kind of source.
func (s *source) unused(kind string, key func(string) string, names ...string) {
	for _, name := range names {
		if _, ok := s.places[key(name)]; ok {
			s.key(key(name), "unused-key", fmt.Sprintf("means nothing to a source of type %s", kind), "")
		}
	}
}

// maxVisibility is SQS's own.
const maxVisibility = Duration(12 * time.Hour)

func (s *source) s3(src *Source, key, getenv func(string) string) {
	if src.Bucket == "" {
		s.key(key("bucket"), "missing-value", "the s3 source "+src.Name+" names no bucket", "")
	} else if strings.ContainsAny(src.Bucket, "/:") {
		s.key(key("bucket"), "bad-value", fmt.Sprintf("%q is no name of a bucket", src.Bucket), `write bucket = "acme-trail" and prefixes = ["logs/"]`)
	}
	if src.Start != "" {
		if _, err := query.ParseDateMath(src.Start); err != nil {
			s.key(key("start"), "bad-value", err.Error(), "write 2026-01-31 or now-7d")
		}
	}
	if src.RoleARN != "" && (!strings.HasPrefix(src.RoleARN, "arn:") || !strings.Contains(src.RoleARN, ":role/")) {
		s.key(key("role_arn"), "bad-value", fmt.Sprintf("%q is no ARN of a role", src.RoleARN), "write arn:aws:iam::111122223333:role/debut")
	}
	if src.ExternalID != "" && src.RoleARN == "" {
		s.key(key("external_id"), "unused-key", "means nothing without role_arn", "")
	}
	s.secret(key("external_id"), src.ExternalID, getenv)
	s.url(key("endpoint"), src.Endpoint)
	s.url(key("queue_url"), src.QueueURL)
	if src.VisibilityTimeout > maxVisibility {
		s.key(key("visibility_timeout"), "bad-value", "is more than SQS allows, 12h", "")
	}
	if src.Verify && !src.Digests {
		s.key(key("verify"), "bad-value", "compares objects with digests, which are not read", "set digests = true")
	}
	s.files(key("public_keys"), src.PublicKeys)
}

func (s *source) url(key, text string) {
	if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		s.key(key, "bad-value", fmt.Sprintf("%q is no URL", text), "it begins with https://")
	}
}

// secret returns what a secret is, or tells why it cannot.
func (s *source) secret(key string, secret Secret, getenv func(string) string) (text string, ok bool) {
	text, err := secret.Resolve(getenv)
	switch {
	case err != nil:
		s.key(key, "bad-secret", err.Error(), "")
	case text == mask:
		s.key(key, "bad-secret", "is what 'debut config show' prints in place of a secret", "write the secret, or env:NAME or file:/path")
		return "", false
	}
	return text, err == nil && text != ""
}

// files tells of files that are not there. A glob may have none yet.
func (s *source) files(key string, paths []string) {
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil && p != "shipped" && !strings.ContainsAny(p, "*?[") {
			s.key(key, "no-file", fmt.Sprintf("%s: %v", p, errText(err)), "paths are relative to where the program is started")
		}
	}
}

func (s *source) server(c *Config) {
	host, port, err := net.SplitHostPort(c.Server.Listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		s.key("server.listen", "bad-value", fmt.Sprintf("%q is no address", c.Server.Listen), "write 127.0.0.1:7780")
	}
	switch cert, key := c.Server.TLSCert, c.Server.TLSKey; {
	case cert == "" && key == "":
		if err == nil && !loopback(host) && !c.Server.AllowInsecure {
			s.key("server.listen", "insecure", fmt.Sprintf("others can reach %s, and there is no TLS: tokens would pass in the clear", c.Server.Listen),
				"set tls_cert and tls_key, or listen on 127.0.0.1 behind a proxy; allow_insecure = true permits it all the same")
		}
	case cert == "" || key == "":
		s.key("server.tls_cert", "missing-value", "a certificate and its key belong together: one of tls_cert and tls_key is missing", "")
	default:
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			s.key("server.tls_cert", "bad-certificate", err.Error(), "both files are PEM, and the key is that of the certificate")
		}
	}
}

// loopback reports whether only this machine can reach an address.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// minSecret is how long the key of a signature must be, in bytes.
const minSecret = 16

func (s *source) channels(c *Config, getenv func(string) string) {
	names := map[string]bool{}
	for i := range c.Notify.Channels {
		ch := &c.Notify.Channels[i]
		key := func(name string) string { return fmt.Sprintf("notify.channels.%d.%s", i, name) }
		switch {
		case ch.Name == "":
			s.key(key("name"), "missing-value", "a channel needs a name", "")
		case names[ch.Name]:
			s.key(key("name"), "duplicate-name", fmt.Sprintf("two channels are called %q", ch.Name), "")
		}
		names[ch.Name] = true
		if (ch.URL == "") == (ch.Webhook == "") {
			s.key(key("url"), "missing-value", fmt.Sprintf("the channel %q needs a url or a webhook, and not both", ch.Name), "")
		}
		if ch.Webhook != "" && ch.Secret == "" {
			s.key(key("secret"), "missing-value", fmt.Sprintf("the webhook %q has no secret to sign with", ch.Name), "at least 16 bytes; env:NAME and file:/path work too")
		}
		s.secret(key("url"), ch.URL, getenv)
		s.secret(key("webhook"), ch.Webhook, getenv)
		if text, ok := s.secret(key("secret"), ch.Secret, getenv); ok && len(text) < minSecret {
			s.key(key("secret"), "bad-secret", fmt.Sprintf("has %d bytes, and must have at least %d", len(text), minSecret), "'openssl rand -hex 32' makes one")
		}
		if ch.Secret != "" && ch.Webhook == "" {
			s.key(key("secret"), "unused-key", "means nothing without a webhook", "")
		}
		if ch.Severity != "" && !slices.Contains([]string{"low", "medium", "high", "critical"}, ch.Severity) {
			s.key(key("severity"), "bad-value", fmt.Sprintf("is %q, not low, medium, high or critical", ch.Severity), "")
		}
	}
}

func errText(err error) string {
	if os.IsNotExist(err) {
		return "there is no such file or folder"
	}
	return err.Error()
}
