package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/notify"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/store"
)

// Channels makes the channels of a configuration. Errors hold no secrets.
func Channels(c *config.Config, getenv func(string) string) ([]notify.Channel, error) {
	var out []notify.Channel
	for i := range c.Notify.Channels {
		n := &c.Notify.Channels[i]
		ch := notify.Channel{
			Name: n.Name, Severity: n.Severity, Rules: n.Rules, Limit: notify.Limit{Burst: n.Burst, Every: time.Duration(n.Every)},
		}
		for _, k := range n.Kinds {
			ch.Kinds = append(ch.Kinds, store.MessageKind(k))
		}
		text := func(s config.Secret) (notify.Secret, error) {
			v, err := s.Resolve(getenv)
			return notify.Secret(v), err
		}
		var err error
		if ch.URL, err = text(n.URL); err != nil {
			return nil, fmt.Errorf("channel %s: url: %w", n.Name, err)
		}
		if n.Webhook != "" {
			ch.Webhook = &notify.Webhook{Document: n.Document}
			if ch.Webhook.URL, err = text(n.Webhook); err != nil {
				return nil, fmt.Errorf("channel %s: webhook: %w", n.Name, err)
			}
			if ch.Webhook.Secret, err = text(n.Secret); err != nil {
				return nil, fmt.Errorf("channel %s: secret: %w", n.Name, err)
			}
		}
		if err := ch.Validate(); err != nil {
			return nil, fmt.Errorf("channel %s: %w", n.Name, err)
		}
		out = append(out, ch)
	}
	return out, nil
}

func (d *Daemon) notifications() error {
	channels, err := Channels(d.opt.Config, d.opt.Getenv)
	if err != nil {
		return err
	}
	d.router = notify.NewRouter(channels)
	d.sender, err = notify.NewSender(notify.Options{
		DB: d.db, Channels: channels, Now: d.opt.Now, Log: d.opt.Log, UserAgent: "debut/" + d.opt.Version,
		MaxAge: time.Duration(d.opt.Config.Notify.MaxAge), Document: d.document, Verdict: d.verdict,
	})
	if err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return d.silences.load(d.ctx, d.db)
}

func (d *Daemon) document(ctx context.Context, handle string) (doc []byte, err error) {
	err = d.db.View(ctx, func(tx store.Tx) error {
		a, err := store.GetAlertDocument(tx, handle)
		if err == nil {
			doc = a.Document
		}
		return err
	})
	return doc, err
}

// silences are the maintenance windows and snoozes in force. They are read again when
// the store's have changed.
type silences struct {
	mu       sync.RWMutex
	compiled *notify.Silences
}

func (s *silences) load(ctx context.Context, db store.DB) error {
	return db.View(ctx, func(tx store.Tx) error { return s.read(tx) })
}

func (s *silences) read(tx store.Tx) error {
	var list []store.Silence
	for x, err := range store.AllSilences(tx) {
		if err != nil {
			return err
		}
		list = append(list, *x)
	}
	compiled, err := notify.CompileSilences(list)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compiled = compiled
	return err //nolint:wrapcheck // it names the silence
}

// route queues what is to be told, in the transaction that holds the alert.
func (d *Daemon) route(tx store.Tx, n serve.Notice) error {
	now := d.opt.Now().UTC()
	if n.Capped != nil {
		c := n.Capped
		lines := append(make([]string, 0, 1+len(c.Principals)), fmt.Sprintf("%d alerts were told and %d are withheld; 'debut alerts list --withheld --from %s' lists them",
			c.Signals, c.Withheld, c.Start.Format(time.RFC3339)))
		for _, p := range c.Principals {
			lines = append(lines, "withheld: "+p)
		}
		_, err := d.router.Notice(tx, store.MessageCapped, store.Notice{
			Title: "more alerts than max_signals: " + c.RuleName, Lines: lines, RuleID: c.RuleID, Rule: c.RuleName,
		}, c.RuleID+" "+c.Start.Format(time.RFC3339), now)
		return err //nolint:wrapcheck // of the store
	}
	a := n.Alert
	// Silences may have changed since they were read, by a command or a request: the
	// transaction sees what is in force.
	if err := d.silences.read(tx); err != nil {
		d.opt.Log.Warn("a silence is not in force", "error", err)
	}
	d.silences.mu.RLock()
	compiled := d.silences.compiled
	d.silences.mu.RUnlock()
	if compiled != nil {
		active := compiled.Active(now, a.RuleID, func() ecs.Document {
			doc, err := ecs.ParseDocument(n.Document)
			if err != nil {
				return ecs.Document{}
			}
			return doc
		})
		a.Windows = active.Windows
		if active.Silenced() && n.Kind != "withdrawn" {
			return nil
		}
	}
	_, err := d.router.Alert(tx, store.MessageKind(n.Kind), store.Snapshot{
		Handle: a.Handle, UUID: a.UUID, RuleID: a.RuleID, Rule: a.RuleName, Severity: a.Severity, RiskScore: a.RiskScore,
		Time: a.Time, Last: a.Last, Principal: a.Principal, Who: a.Who, What: a.What, Where: a.Where, Count: a.Count, Cold: a.Cold,
	}, fmt.Sprintf("%s %d %d", a.UUID, a.Count, a.Suppressed), now)
	return err //nolint:wrapcheck // of the store
}
