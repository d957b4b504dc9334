package notify

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
)

// A Secret is a text that is never printed: URLs of channels hold tokens.
type Secret string

const masked = "(secret)"

// String implements [fmt.Stringer] without telling.
func (Secret) String() string { return masked }

// GoString implements [fmt.GoStringer] without telling.
func (Secret) GoString() string { return masked }

// LogValue implements [slog.LogValuer] without telling.
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText implements [encoding.TextMarshaler] without telling.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// A Channel is one way to tell people. It has a URL for shoutrrr or a Webhook.
type Channel struct {
	Name    string
	URL     Secret // https://shoutrrr.nickfedor.com lists the services and their URLs
	Webhook *Webhook

	// Severity is the lowest that the channel is told of; empty: all.
	Severity string
	// Rules are ids or names of rules, with * for any text and ? for one character;
	// upper and lower case are the same. Empty: all rules.
	Rules []string
	// Kinds are what it is told; empty: everything.
	Kinds []store.MessageKind
	Limit Limit
}

// A Webhook is an address that takes signed JSON.
type Webhook struct {
	URL Secret // https, or http to this machine
	// Secret is the key of the signature, at least 16 bytes.
	Secret Secret
	// Document sends the alert's whole document with it.
	Document bool
	// Plaintext allows http to other machines.
	Plaintext bool
	Timeout   time.Duration // of one request; 0: 15 s
}

// A Limit is how many messages a channel may get: Burst at once, and one more after
// each Every. What is over it comes as one digest. The zero value is 10 and a minute,
// and no limit for webhooks; a negative Burst is no limit.
type Limit struct {
	Burst int
	Every time.Duration
}

// Bounds of the configuration.
const (
	MaxChannels     = 64
	maxName         = 64
	minSecret       = 16
	defaultBurst    = 10
	defaultEvery    = time.Minute
	defaultTimeout  = 15 * time.Second
	maxTimeout      = 5 * time.Minute
	maxChannelRules = 1000
)

// Validate says what is wrong with the channel, without telling its secrets.
func (c *Channel) Validate() error {
	err := c.validate()
	if err != nil {
		return fmt.Errorf("channel %q: %w", c.Name, err)
	}
	return nil
}

func (c *Channel) validate() error {
	switch {
	case !validName(c.Name):
		return fmt.Errorf("name: 1 to %d letters, digits, - and _", maxName)
	case (c.URL == "") == (c.Webhook == nil):
		return errors.New("it has either a url for shoutrrr or a webhook")
	case c.Severity != "" && alert.SeverityRank(c.Severity) < 0:
		return fmt.Errorf("severity: %q is none of low, medium, high, critical", c.Severity)
	case len(c.Rules) > maxChannelRules:
		return fmt.Errorf("rules: %d are more than %d; use *", len(c.Rules), maxChannelRules)
	case c.Limit.Burst > 0 && c.Limit.Every < time.Second:
		return errors.New("limit: it is at least one second between messages")
	case slices.Contains(c.Rules, ""):
		return errors.New("rules: one of them is empty")
	}
	for _, k := range c.Kinds {
		if !slices.Contains(store.MessageKinds(), k) {
			return fmt.Errorf("kinds: %q is none of %v", k, store.MessageKinds())
		}
	}
	_, err := c.open(nil)
	return err
}

func validName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// Target says where the channel leads, as far as that is no secret.
func (c *Channel) Target() string {
	if c.Webhook != nil {
		return "webhook " + publicURL(string(c.Webhook.URL))
	}
	scheme, _, _ := strings.Cut(string(c.URL), ":")
	return scheme
}

// Unlimited reports whether the channel gets every message by itself.
func (c *Channel) unlimited() bool {
	return c.Limit.Burst < 0 || c.Limit.Burst == 0 && c.Webhook != nil
}

func (c *Channel) limit() Limit {
	if c.Limit.Burst == 0 {
		return Limit{Burst: defaultBurst, Every: cmp.Or(c.Limit.Every, defaultEvery)}
	}
	return c.Limit
}

// open makes what sends to the channel.
func (c *Channel) open(o *Options) (transport, error) {
	if c.Webhook != nil {
		return openWebhook(c.Webhook, o)
	}
	return openShoutrrr(string(c.URL))
}

// A route is what a channel wants to be told.
type route struct {
	channel  string
	severity int
	rules    []*query.Pattern
	kinds    []store.MessageKind
}

func (r *route) wants(kind store.MessageKind, ruleID, rule, severity string) bool {
	switch {
	case len(r.kinds) > 0 && !slices.Contains(r.kinds, kind):
		return false
	case severity != "" && alert.SeverityRank(severity) < r.severity:
		return false
	case len(r.rules) == 0:
		return true
	case ruleID == "" && rule == "":
		// A channel for certain rules is told of nothing else, unless its kinds say so.
		return len(r.kinds) > 0
	}
	return slices.ContainsFunc(r.rules, func(p *query.Pattern) bool { return p.Match(ruleID) || p.Match(rule) })
}

// A Router decides which channels are told. It is immutable and safe for concurrent
// use.
type Router struct{ routes []route }

// NewRouter makes a router for channels that are valid.
func NewRouter(channels []Channel) *Router {
	r := &Router{}
	for _, c := range channels {
		to := route{channel: c.Name, severity: alert.SeverityRank(c.Severity), kinds: slices.Clone(c.Kinds)}
		for _, p := range c.Rules {
			to.rules = append(to.rules, query.ParseWildcard(p, true))
		}
		r.routes = append(r.routes, to)
	}
	return r
}

// Alert queues a message of that kind about an alert and returns on how many channels.
// The caller leaves out alerts that notify nobody: withheld, silenced, provisional,
// building blocks. That an alert is withdrawn is told to the channels that were told of
// it, and to no other. The occasion tells apart messages of one kind about one alert.
func (r *Router) Alert(tx store.Tx, kind store.MessageKind, s store.Snapshot, occasion string, now time.Time) (int, error) {
	to := r.Route(kind, s.RuleID, s.Rule, s.Severity)
	if kind == store.MessageWithdrawn {
		var err error
		if to, err = store.Told(tx, s.Handle); err != nil {
			return 0, fmt.Errorf("tell that alert %s is withdrawn: %w", short(s.Handle), err)
		}
	}
	return enqueue(tx, to, store.Message{Kind: kind, Occasion: occasion, Alert: &s}, now)
}

// Notice queues a message that is not about one alert. The occasion is what it is
// about and from when: the same occasion is told once.
func (r *Router) Notice(tx store.Tx, kind store.MessageKind, n store.Notice, occasion string, now time.Time) (int, error) {
	to := r.Route(kind, n.RuleID, n.Rule, n.Severity)
	return enqueue(tx, to, store.Message{Kind: kind, Occasion: occasion, Notice: &n}, now)
}

// Route returns the names of the channels that are told of a message of that kind,
// rule and severity. What is about no rule has none, and may have no severity: it is
// told whatever the floor is.
func (r *Router) Route(kind store.MessageKind, ruleID, rule, severity string) []string {
	var out []string
	for i := range r.routes {
		if r.routes[i].wants(kind, ruleID, rule, severity) {
			out = append(out, r.routes[i].channel)
		}
	}
	return out
}

func enqueue(tx store.Tx, channels []string, m store.Message, now time.Time) (int, error) {
	count := 0
	for _, name := range channels {
		m.Channel = name
		added, err := store.Enqueue(tx, m, now)
		if err != nil {
			return count, fmt.Errorf("queue a message for channel %q: %w", name, err)
		}
		if added {
			count++
		}
	}
	return count, nil
}

// short is what of a handle a line has room for; every command takes it.
func short(handle string) string { return handle[:min(len(handle), 12)] }
