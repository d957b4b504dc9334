package config

import (
	"slices"
	"time"
)

// Config is everything that can be configured.
type Config struct {
	DataDir  string   `toml:"data_dir"`
	Rules    Rules    `toml:"rules"`
	Engine   Engine   `toml:"engine"`
	Store    Store    `toml:"store"`
	Sources  []Source `toml:"sources"`
	Server   Server   `toml:"server"`
	Notify   Notify   `toml:"notify"`
	Triage   Triage   `toml:"triage"`
	Coverage Coverage `toml:"coverage"`
	Log      Log      `toml:"log"`

	file string // as it was loaded from
}

// Rules say what runs.
type Rules struct {
	Paths      []string `toml:"paths"` // "shipped", files and folders
	Disabled   bool     `toml:"disabled"`
	Exceptions []string `toml:"exceptions"`
	GeoIP      []string `toml:"geoip"`
	Watch      bool     `toml:"watch"` // reload when a file changes
}

// Ways to begin.
const (
	ColdHistory = "history" // read the history that the rules need, then alert
	ColdLearn   = "learn"   // only learn for a while
	ColdAlert   = "alert"   // everything is new at first
)

// Engine says how records become alerts.
type Engine struct {
	Workers   int      `toml:"workers"`
	ColdStart string   `toml:"cold_start"`
	Learn     Duration `toml:"learn"`
	MaxFuture Duration `toml:"max_future"`
}

// Store says what is kept, and for how long.
type Store struct {
	RetentionAge    Duration `toml:"retention_age"`
	RetentionBytes  Bytes    `toml:"retention_bytes"`
	CompactInterval Duration `toml:"compact_interval"`
	MemoryAge       Duration `toml:"memory_age"`
}

// Kinds of sources.
const (
	SourceS3    = "s3"
	SourceFiles = "files"
)

// Source is where records come from.
type Source struct {
	Type string `toml:"type"`
	Name string `toml:"name"`

	// s3
	Bucket            string   `toml:"bucket,omitempty"`
	Prefixes          []string `toml:"prefixes,omitempty"`
	Region            string   `toml:"region,omitempty"`
	RoleARN           string   `toml:"role_arn,omitempty"`
	ExternalID        Secret   `toml:"external_id,omitempty"`
	Endpoint          string   `toml:"endpoint,omitempty"`
	PathStyle         bool     `toml:"path_style,omitempty"`
	QueueURL          string   `toml:"queue_url,omitempty"`
	ListInterval      Duration `toml:"list_interval,omitempty"`
	VisibilityTimeout Duration `toml:"visibility_timeout,omitempty"`
	Start             string   `toml:"start,omitempty"` // date math
	Digests           bool     `toml:"digests,omitempty"`
	Verify            bool     `toml:"verify,omitempty"`
	PublicKeys        []string `toml:"public_keys,omitempty"`

	// files
	Path           string   `toml:"path,omitempty"`
	RescanInterval Duration `toml:"rescan_interval,omitempty"`
	Settle         Duration `toml:"settle,omitempty"`
}

// Server is the HTTP API, with the push source.
type Server struct {
	Listen        string   `toml:"listen"`
	TLSCert       string   `toml:"tls_cert"`
	TLSKey        string   `toml:"tls_key"`
	Names         []string `toml:"names"`
	AllowInsecure bool     `toml:"allow_insecure"`
	OpenMetrics   bool     `toml:"open_metrics"`
	Push          Push     `toml:"push"`
}

// Push is the source whose records are sent to the server.
type Push struct {
	Enabled    bool  `toml:"enabled"`
	MaxBody    Bytes `toml:"max_body"`
	MaxPending Bytes `toml:"max_pending"`
	Rate       Bytes `toml:"rate"` // bytes a second
}

// Notify says who is told.
type Notify struct {
	MaxAge   Duration  `toml:"max_age"`
	Channels []Channel `toml:"channels"`
}

// Channel is one way to tell people: a URL for shoutrrr, or a webhook of our own.
type Channel struct {
	Name     string   `toml:"name"`
	URL      Secret   `toml:"url,omitempty"`
	Webhook  Secret   `toml:"webhook,omitempty"`
	Secret   Secret   `toml:"secret,omitempty"` // of the webhook's signature
	Document bool     `toml:"document,omitempty"`
	Severity string   `toml:"severity,omitempty"` // the lowest
	Rules    []string `toml:"rules,omitempty"`
	Kinds    []string `toml:"kinds,omitempty"`
	Burst    int      `toml:"burst,omitempty"`
	Every    Duration `toml:"every,omitempty"`
}

// Coverage says when the ledger raises an alert.
type Coverage struct {
	GapAfter Duration `toml:"gap_after"`
	Alerts   bool     `toml:"alerts"`
}

// Log is what the daemon says of itself.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn, error
	Format string `toml:"format"` // text, json
}

// Default is the configuration without a file.
func Default() *Config {
	return &Config{
		DataDir:  "debut-data",
		Rules:    Rules{Paths: []string{"shipped"}, Watch: true},
		Engine:   Engine{ColdStart: ColdHistory, Learn: Duration(7 * 24 * time.Hour), MaxFuture: Duration(15 * time.Minute)},
		Store:    Store{RetentionAge: Duration(400 * 24 * time.Hour), CompactInterval: Duration(time.Minute)},
		Server:   Server{Listen: "127.0.0.1:7780", Push: Push{Enabled: true, MaxBody: 100 << 20, MaxPending: 256 << 20}},
		Notify:   Notify{MaxAge: Duration(7 * 24 * time.Hour)},
		Triage:   Triage{Enabled: true, Again: []Duration{Duration(15 * time.Minute), Duration(time.Hour)}},
		Coverage: Coverage{GapAfter: Duration(3 * time.Hour), Alerts: true},
		Log:      Log{Level: "info", Format: "text"},
	}
}

// File is where the configuration was loaded from, "" for the defaults.
func (c *Config) File() string { return c.file }

// Masked is the configuration to show: secrets are masked, references to them are not.
func (c *Config) Masked() *Config {
	out := *c
	out.Sources = slices.Clone(c.Sources)
	for i := range out.Sources {
		s := &out.Sources[i]
		s.ExternalID = Secret(s.ExternalID.Masked())
	}
	out.Notify.Channels = slices.Clone(c.Notify.Channels)
	for i := range out.Notify.Channels {
		ch := &out.Notify.Channels[i]
		ch.URL, ch.Webhook, ch.Secret = Secret(ch.URL.Masked()), Secret(ch.Webhook.Masked()), Secret(ch.Secret.Masked())
	}
	out.Triage.LiveExternalID = Secret(c.Triage.LiveExternalID.Masked())
	return &out
}
