package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// Options are what a [Sender] needs. DB and Now are required.
type Options struct {
	DB       store.DB
	Channels []Channel
	Now      func() time.Time
	Log      *slog.Logger // nil: none
	// UserAgent is what webhooks see; empty: debut.
	UserAgent string
	// MaxAge is when a message that cannot be sent is given up; 0: 7 days.
	MaxAge time.Duration
	// Keep is for how long messages that were sent or given up are kept, and with
	// them who was told of what; 0: 90 days.
	Keep time.Duration
	// Document reads an alert's document as JSON, for webhooks that want it. It
	// returns store.ErrNotFound if there is none.
	Document func(ctx context.Context, handle string) ([]byte, error)

	// Verdict returns what an alert's investigation has come to; nil: nothing yet.
	Verdict func(ctx context.Context, handle string) (*store.Triage, error)

	random func() float64
	open   func(*Channel) (transport, error)
}

// Times of a sender.
const (
	defaultMaxAge = 7 * 24 * time.Hour
	defaultKeep   = 90 * 24 * time.Hour
	lookAgain     = 15 * time.Second // without being woken
	housekeeping  = time.Hour
	grace         = 5 * time.Second // that a message on its way gets when the sender stops
	storeDelay    = 5 * time.Second // after the store failed
	pruneBatch    = 1000
)

// A Sender takes messages from the outbox to the channels, each in the order of its
// own line, one at a time. A line that is held up holds up no other. Its methods are
// safe for concurrent use.
type Sender struct {
	o Options

	mu    sync.Mutex
	lines []*line
	next  []*line // configured, to take over from lines
	again chan struct{}
}

// NewSender checks the channels and makes a sender for them.
func NewSender(o Options) (*Sender, error) {
	o.MaxAge = cmp.Or(o.MaxAge, defaultMaxAge)
	o.Keep = cmp.Or(o.Keep, defaultKeep)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.random == nil {
		o.random = rand.Float64
	}
	s := &Sender{o: o, again: make(chan struct{}, 1)}
	if s.o.open == nil {
		s.o.open = func(c *Channel) (transport, error) { return c.open(&s.o) }
	}
	lines, err := s.newLines(o.Channels)
	if err != nil {
		return nil, err
	}
	s.lines = lines
	return s, nil
}

// Configure replaces the channels. Messages on their way are finished first; what
// waits for a channel that is gone goes on waiting, until it is back or the message is
// too old.
func (s *Sender) Configure(channels []Channel) error {
	lines, err := s.newLines(channels)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.next = lines
	s.mu.Unlock()
	select {
	case s.again <- struct{}{}:
	default:
	}
	return nil
}

func (s *Sender) newLines(channels []Channel) ([]*line, error) {
	if len(channels) > MaxChannels {
		return nil, fmt.Errorf("%d channels are more than %d", len(channels), MaxChannels)
	}
	var out []*line
	for _, c := range channels {
		if slices.ContainsFunc(out, func(l *line) bool { return l.channel.Name == c.Name }) {
			return nil, fmt.Errorf("there are two channels named %q", c.Name)
		}
		if err := c.Validate(); err != nil {
			return nil, err
		}
		t, err := s.o.open(&c)
		if err != nil {
			return nil, fmt.Errorf("channel %q: %w", c.Name, err)
		}
		out = append(out, &line{s: s, channel: c, to: t, bucket: newBucket(c.limit(), s.o.Now()), wake: make(chan struct{}, 1)})
	}
	return out, nil
}

// Wake tells the sender that there is something in the outbox. It does not wait.
func (s *Sender) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Run sends until ctx is done. A message that is on its way then gets a few seconds;
// one that is not known to have arrived by then is sent again next time. What the store
// refuses to do is logged and tried again: Run does not end because of it.
func (s *Sender) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		if s.next != nil {
			s.lines, s.next = s.next, nil
		}
		lines := s.lines
		s.mu.Unlock()
		s.runLines(ctx, lines)
	}
}

// runLines runs until ctx is done or other channels are configured.
func (s *Sender) runLines(ctx context.Context, lines []*line) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for _, l := range lines {
		wg.Go(func() { l.run(ctx, quit) })
	}
	wg.Go(func() { s.keepHouse(ctx, quit, lines) })
	select {
	case <-ctx.Done():
	case <-s.again:
	}
	close(quit)
	wg.Wait()
	for _, l := range lines {
		l.to.close()
	}
}

// keepHouse gives up what is too old, forgets what is done long ago, and tells of
// messages for channels that nobody configured.
func (s *Sender) keepHouse(ctx context.Context, quit <-chan struct{}, lines []*line) {
	for {
		if err := s.tidy(ctx, lines); err != nil && ctx.Err() == nil {
			s.o.Log.Error("the outbox cannot be tidied", "error", err)
		}
		if !sleep(ctx, quit, nil, housekeeping) {
			return
		}
	}
}

func (s *Sender) tidy(ctx context.Context, lines []*line) error {
	now := s.o.Now()
	var old []store.Message
	var names []string
	err := s.o.DB.View(ctx, func(tx store.Tx) (err error) {
		if names, err = store.OutboxChannels(tx); err != nil {
			return err
		}
		// Each line looks after its own; these are nobody's.
		names = slices.DeleteFunc(names, func(name string) bool {
			return slices.ContainsFunc(lines, func(l *line) bool { return l.channel.Name == name })
		})
		for _, name := range names {
			list, err := store.DueMessages(tx, name, now, pruneBatch)
			if err != nil {
				return err
			}
			old = append(old, slices.DeleteFunc(list, func(m store.Message) bool { return now.Sub(m.Created) <= s.o.MaxAge })...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the outbox: %w", err)
	}
	for _, name := range names {
		s.o.Log.Warn("messages wait for a channel that is not configured; they are given up when they are too old",
			"channel", name, "max_age", s.o.MaxAge)
	}
	for i := range old {
		if err := s.giveUp(ctx, &old[i], now); err != nil {
			return err
		}
	}
	for n := pruneBatch; n == pruneBatch; {
		err := s.o.DB.Update(ctx, func(tx store.Tx) (err error) {
			n, err = store.PruneMessages(tx, now.Add(-s.o.Keep), pruneBatch)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget old messages: %w", err)
		}
	}
	return nil
}

// giveUp marks a message dead. That is told as loudly as a log can, and by the list of
// the outbox: the channel that should tell it is the one that does not work.
func (s *Sender) giveUp(ctx context.Context, m *store.Message, now time.Time) error {
	reason := fmt.Sprintf("given up after %s; the last error: %s", s.o.MaxAge, cmp.Or(m.LastError, "it was never tried"))
	if err := s.o.DB.Update(ctx, func(tx store.Tx) error { return store.MarkDead(tx, m, reason, now) }); err != nil {
		return fmt.Errorf("give message %d up: %w", m.Sequence, err)
	}
	args := []any{"channel", m.Channel, "kind", string(m.Kind), "message", m.Sequence, "reason", reason}
	if m.Alert != nil {
		args = append(args, "alert", m.Alert.Handle)
	}
	s.o.Log.Error("a notification was given up", args...)
	s.count(m.Channel, func(st *ChannelStats) { st.Dead += told(m) })
	return nil
}

// told is how many messages m speaks for.
func told(m *store.Message) int64 {
	if m.Digest != nil {
		return m.Digest.Count
	}
	return 1
}

// ChannelStats is what happened on a channel since it was configured.
type ChannelStats struct {
	Channel  string
	Sent     int64 // messages told, by themselves or in a digest
	Digests  int64
	Failures int64 // failed attempts
	Dead     int64 // given up
	// Down is how many attempts have failed in a row; 0: the channel works, as far as
	// is known. LastError is why.
	Down      int64
	LastError string
	// PausedUntil is when it is tried again.
	PausedUntil time.Time
}

// Stats returns what happened on each channel.
func (s *Sender) Stats() []ChannelStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]ChannelStats, len(s.lines))
	for i, l := range s.lines {
		out[i] = l.stats
		out[i].Channel = l.channel.Name
	}
	return out
}

func (s *Sender) count(channel string, add func(*ChannelStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if l.channel.Name == channel {
			add(&l.stats)
		}
	}
}

// Test sends a message that says that it is a test, by the way that all messages go
// but past the outbox, and returns what the channel answered.
func Test(ctx context.Context, c *Channel, now time.Time, userAgent string) (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	t, err := c.open(&Options{UserAgent: userAgent})
	if err != nil {
		return "", fmt.Errorf("channel %q: %w", c.Name, err)
	}
	defer t.close()
	m := testMessage(c.Name, now)
	answer, err := t.send(ctx, m, now)
	if err != nil {
		var se *sendError
		if errors.As(err, &se) && se.after > 0 {
			err = fmt.Errorf("%w; it asks to be left alone for %s", err, se.after)
		}
		return "", err
	}
	return answer, nil
}

func testMessage(channel string, now time.Time) *store.Message {
	return &store.Message{
		Channel: channel, Kind: store.MessageTest, Created: now.UTC(),
		Key: "test-" + strings.ToLower(now.UTC().Format("20060102T150405.000000000Z")),
		Notice: &store.Notice{
			Title: "Debut can reach this channel",
			Lines: []string{"Somebody tried channel " + channel + ". Nothing happened, and nothing is to be done."},
			Hint:  "debut notify list",
		},
	}
}

// sleep waits and reports whether to go on: false when it is time to end.
func sleep(ctx context.Context, quit, wake <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-quit:
		return false
	case <-wake:
	case <-timer.C:
	}
	return true
}
