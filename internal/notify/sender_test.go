package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
)

// A fakeChannel is the other side: it does what its fault says, and remembers.
type fakeChannel struct {
	mu    sync.Mutex
	fault func(now time.Time, m *store.Message) error // nil: it takes everything
	after func(m *store.Message)                      // when it has taken a message
	tries []attempt
	took  []*store.Message
}

type attempt struct {
	at  time.Time
	key string
	ok  bool
}

func (f *fakeChannel) send(_ context.Context, m *store.Message, now time.Time) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.fault != nil {
		err = f.fault(now, m)
	}
	f.tries = append(f.tries, attempt{now, m.Key, err == nil})
	if err != nil {
		return "", err
	}
	f.took = append(f.took, m)
	if f.after != nil {
		f.after(m)
	}
	return "ok", nil
}

func (*fakeChannel) close() {}

func (f *fakeChannel) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, m := range f.took {
		out = append(out, label(m))
	}
	return out
}

func label(m *store.Message) string {
	switch {
	case m.Alert != nil:
		return m.Alert.Handle
	case m.Digest != nil:
		return fmt.Sprintf("digest of %d", m.Digest.Count)
	}
	return m.Notice.Title
}

func webhookChannel(name string) Channel {
	return Channel{Name: name, Webhook: &Webhook{URL: "https://hooks.example.com/x", Secret: "0123456789abcdef"}}
}

// A bench is a sender with fake channels over a store in memory, in a bubble of time.
type bench struct {
	t        testing.TB
	db       *tableDB
	channels map[string]*fakeChannel
	options  Options
	router   *Router
	log      strings.Builder
}

func newBench(t testing.TB, channels ...Channel) *bench {
	b := &bench{t: t, db: &tableDB{}, channels: map[string]*fakeChannel{}, router: NewRouter(channels)}
	for _, c := range channels {
		b.channels[c.Name] = &fakeChannel{}
	}
	b.options = Options{
		DB: b.db, Channels: channels, Now: time.Now, random: func() float64 { return 0.5 },
		Log:  slog.New(slog.NewTextHandler(&b.log, nil)),
		open: func(c *Channel) (transport, error) { return b.channels[c.Name], nil },
	}
	return b
}

// run runs a sender for a while.
func (b *bench) run(d time.Duration, during func(s *Sender)) {
	b.t.Helper()
	s, err := NewSender(b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	synctest.Wait()
	if during != nil {
		during(s)
	}
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
	cancel()
	<-done
}

func (b *bench) alert(kind store.MessageKind, handle string) {
	b.t.Helper()
	if err := b.db.Update(context.Background(), func(tx store.Tx) error {
		_, err := b.router.Alert(tx, kind, snapshot(handle), "", time.Now())
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) list(state store.MessageState) (out []store.Message) {
	b.t.Helper()
	if err := b.db.View(context.Background(), func(tx store.Tx) error {
		for m, err := range store.Messages(tx, state) {
			if err != nil {
				return err
			}
			out = append(out, m)
		}
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return out
}

func TestChannelThatIsDownForHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("down"), webhookChannel("up"))
		began := time.Now()
		b.channels["down"].fault = func(now time.Time, _ *store.Message) error {
			if now.Sub(began) < 7*time.Hour {
				return &sendError{fault: unclear, text: "500 down"}
			}
			return nil
		}
		var want []string
		b.run(5*time.Hour, func(s *Sender) {
			for i := range 50 {
				h := fmt.Sprintf("alert-%02d", i)
				want = append(want, h)
				b.alert(store.MessageNew, h)
				s.Wake()
				time.Sleep(time.Minute)
			}
			// What works is told at once.
			if got := b.channels["up"].told(); !slices.Equal(got, want) {
				t.Errorf("the other channel waits too: %v", got)
			}
			if st := s.Stats()[0]; st.Channel != "down" || st.Down == 0 || st.LastError != "500 down" || st.PausedUntil.IsZero() {
				t.Errorf("stats: %+v", st)
			}
		})
		if got := b.channels["down"].told(); len(got) != 0 {
			t.Fatalf("told %v", got)
		}
		waiting := b.list(store.MessageWaiting)
		if len(waiting) != 50 || waiting[0].Attempts < 10 || waiting[0].LastError != "500 down" || waiting[0].Next.IsZero() {
			t.Fatalf("%d wait; the first: %+v", len(waiting), waiting[0])
		}
		b.run(4*time.Hour, nil) // another process, later
		if diff := cmp.Diff(want, b.channels["down"].told()); diff != "" {
			t.Error(diff)
		}
		if n := len(b.list(store.MessageWaiting)); n != 0 {
			t.Errorf("%d still wait", n)
		}
		// The channel was left alone for longer and longer, up to an hour.
		tries := b.channels["down"].tries
		longest := time.Duration(0)
		for i := 1; i < len(tries) && !tries[i-1].ok; i++ {
			longest = max(longest, tries[i].at.Sub(tries[i-1].at))
		}
		if longest > maxDelay || longest < maxDelay/2 {
			t.Errorf("the longest pause was %s", longest)
		}
		if len(tries) > 140 {
			t.Errorf("%d attempts in seven hours", len(tries))
		}
		keys := map[string]bool{}
		for _, a := range tries {
			keys[a.key] = true
		}
		if len(keys) != 50 {
			t.Errorf("%d keys for 50 messages", len(keys))
		}
	})
}

func TestMessageThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"by its status": refused, "without saying so": unclear} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, webhookChannel("hook"))
			began := time.Now()
			b.channels["hook"].fault = func(now time.Time, m *store.Message) error {
				if m.Alert.Handle == "poison" && now.Sub(began) < 3*time.Hour {
					return &sendError{fault: f, text: "I do not like it"}
				}
				return nil
			}
			want := []string{"a"}
			b.alert(store.MessageNew, "a")
			b.alert(store.MessageNew, "poison")
			for i := range 60 {
				want = append(want, fmt.Sprint(i))
				b.alert(store.MessageNew, fmt.Sprint(i))
			}
			b.run(10*time.Minute, nil)
			if got := b.channels["hook"].told(); !slices.Equal(got, want) {
				t.Fatalf("%s: told %v", name, got)
			}
			if w := b.list(store.MessageWaiting); len(w) != 1 || w[0].LastError != "I do not like it" || w[0].Attempts > 5 {
				t.Fatalf("%s: waiting %+v", name, w)
			}
			b.run(5*time.Hour, nil)
			if got := b.channels["hook"].told(); !slices.Equal(got, append(want, "poison")) {
				t.Fatalf("%s: told %v", name, got)
			}
		})
	}
}

// A channel that refuses everything is not hammered.
func TestChannelThatRefusesEverything(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{refused, channelWrong} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, webhookChannel("hook"))
			b.channels["hook"].fault = func(time.Time, *store.Message) error { return &sendError{fault: f, text: "no"} }
			for i := range 100 {
				b.alert(store.MessageNew, fmt.Sprint(i))
			}
			b.run(time.Hour, nil)
			if n := len(b.channels["hook"].tries); n > 300 {
				t.Errorf("%d attempts in an hour", n)
			}
			if n := len(b.list(store.MessageWaiting)); n != 100 {
				t.Errorf("%d wait", n)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("hook"))
		began := time.Now()
		first := true
		b.channels["hook"].fault = func(time.Time, *store.Message) error {
			if first {
				first = false
				return &sendError{text: "429", after: 3 * time.Hour}
			}
			return nil
		}
		b.alert(store.MessageNew, "a")
		b.alert(store.MessageNew, "b")
		b.run(4*time.Hour, nil)
		tries := b.channels["hook"].tries
		if len(tries) != 3 || tries[1].at.Sub(began) < 3*time.Hour || tries[1].at.Sub(began) > 3*time.Hour+time.Minute {
			t.Errorf("attempts: %v", tries)
		}
	})
}

func TestTooOldIsGivenUpAndShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("hook"), webhookChannel("gone"))
		b.channels["hook"].fault = func(time.Time, *store.Message) error { return &sendError{text: "down for good"} }
		b.alert(store.MessageNew, "a")
		b.options.Channels = b.options.Channels[:1] // the other is configured no more
		b.options.MaxAge = 24 * time.Hour
		b.run(20*time.Hour, nil)
		if n := len(b.list(store.MessageWaiting)); n != 2 {
			t.Fatalf("%d wait after twenty hours", n)
		}
		if !strings.Contains(b.log.String(), "channel that is not configured") {
			t.Error("nobody is told of messages for a channel that is gone")
		}
		b.run(10*time.Hour, nil)
		dead := b.list(store.MessageDead)
		if len(dead) != 2 || len(b.list(store.MessageWaiting)) != 0 {
			t.Fatalf("%d dead", len(dead))
		}
		for _, m := range dead {
			want := "given up after 24h0m0s; the last error: down for good"
			if m.Channel == "gone" {
				want = "given up after 24h0m0s; the last error: it was never tried"
			}
			if m.LastError != want {
				t.Errorf("%s: %q", m.Channel, m.LastError)
			}
		}
		if n := strings.Count(b.log.String(), "a notification was given up"); n != 2 {
			t.Errorf("logged %d times", n)
		}
		b.options.Keep = 2 * time.Hour
		b.run(5*time.Hour, nil) // forgotten in the end
		if n := len(b.list(store.MessageDead)); n != 0 {
			t.Errorf("%d kept for ever", n)
		}
	})
}

// A crash after sending and before noting it sends the message again, with its key.
func TestCrashBetweenSendingAndNoting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("hook"))
		b.alert(store.MessageNew, "a")
		b.alert(store.MessageNew, "b")
		db := &brokenDB{tableDB: b.db}
		b.options.DB = db
		b.channels["hook"].after = func(*store.Message) { db.breakNow(true) }
		b.run(time.Hour, nil)
		// While it runs it knows what it sent, and repeats nothing.
		if got := b.channels["hook"].told(); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("told %v", got)
		}
		db.breakNow(false)
		b.channels["hook"].after = nil
		b.run(time.Hour, nil)
		if got := b.channels["hook"].told(); !slices.Equal(got, []string{"a", "a", "b"}) {
			t.Fatalf("told %v", got)
		}
		if tries := b.channels["hook"].tries; tries[0].key != tries[1].key || tries[1].key == tries[2].key {
			t.Errorf("keys: %v", tries)
		}
	})
}

// A store that heals lets the line go on without a repetition.
func TestStoreThatFailsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("hook"))
		b.alert(store.MessageNew, "a")
		b.alert(store.MessageNew, "b")
		db := &brokenDB{tableDB: b.db}
		b.options.DB = db
		b.channels["hook"].after = func(*store.Message) {
			b.channels["hook"].after = nil
			db.breakNow(true)
			time.AfterFunc(time.Minute, func() { db.breakNow(false) })
		}
		b.run(time.Hour, nil)
		if got := b.channels["hook"].told(); !slices.Equal(got, []string{"a", "b"}) {
			t.Fatalf("told %v", got)
		}
		if !strings.Contains(b.log.String(), "disk is full") {
			t.Error("nobody is told")
		}
	})
}

type brokenDB struct {
	*tableDB

	mu     sync.Mutex
	broken bool
}

func (db *brokenDB) breakNow(broken bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.broken = broken
}

func (db *brokenDB) Update(ctx context.Context, f func(store.Tx) error) error {
	db.mu.Lock()
	broken := db.broken
	db.mu.Unlock()
	if broken {
		return errors.New("disk is full")
	}
	return db.tableDB.Update(ctx, f)
}

func TestFloodBecomesADigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := webhookChannel("chat")
		c.Limit = Limit{Burst: 3, Every: time.Minute}
		b := newBench(t, c)
		for i := range 1200 {
			b.alert(store.MessageNew, fmt.Sprint(i))
		}
		b.run(30*time.Second, nil)
		if got := b.channels["chat"].told(); !slices.Equal(got, []string{"0", "1", "digest of 1198"}) {
			t.Fatalf("told %v", got)
		}
		if n := len(b.list(store.MessageSent)); n != 1201 {
			t.Errorf("%d kept as sent", n)
		}
	})
}

// Whatever comes in whatever bursts, through whatever faults and restarts: each message
// is told once, by itself or in one digest that counts it, and no more messages reach
// the channel than its limit lets through.
func TestLimitLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		bursts := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 12).Draw(rt, "bursts")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 200), len(bursts), len(bursts)).Draw(rt, "pauses") // seconds
		limit := Limit{Burst: rapid.IntRange(1, 5).Draw(rt, "burst"), Every: time.Duration(rapid.IntRange(1, 90).Draw(rt, "every")) * time.Second}
		restart := rapid.IntRange(0, len(bursts)).Draw(rt, "restart")
		failing := rapid.IntRange(0, 70).Draw(rt, "failing") // percent
		problem := ""                                        // rapid's way to fail does not cross a bubble's edge
		synctest.Test(t, func(*testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			c := webhookChannel("chat")
			c.Limit = limit
			b := newBench(t, c)
			ch := b.channels["chat"]
			ch.fault = func(time.Time, *store.Message) error {
				if random.IntN(100) < failing {
					return &sendError{fault: []fault{channelDown, unclear, refused}[random.IntN(3)], text: "no"}
				}
				return nil
			}
			sent := 0
			phase := func(from, to int) {
				b.run(time.Second, func(s *Sender) {
					for i := from; i < to; i++ {
						for range bursts[i] {
							b.alert(store.MessageNew, fmt.Sprintf("m%d", sent))
							sent++
						}
						s.Wake()
						time.Sleep(time.Duration(pauses[i]) * time.Second)
					}
				})
			}
			phase(0, restart)
			phase(restart, len(bursts))
			ch.fault = nil
			b.run(4*time.Hour, nil)

			told, single := int64(0), map[string]int{}
			for _, m := range ch.took {
				if m.Digest != nil {
					told += m.Digest.Count
					continue
				}
				told++
				single[m.Alert.Handle]++
			}
			if told != int64(sent) {
				problem = fmt.Sprintf("told %d of %d: %v", told, sent, ch.told())
			}
			for h, n := range single {
				if n > 1 {
					problem = fmt.Sprintf("told %s %d times", h, n)
				}
			}
			if n := len(b.list(store.MessageWaiting)) + len(b.list(store.MessageDigested)) + len(b.list(store.MessageDead)); n > 0 {
				problem = fmt.Sprintf("%d are left", n)
			}
			// Three processes, each with a full bucket, and what comes in while they run.
			if n := len(ch.tries); n > 0 {
				span := ch.tries[n-1].at.Sub(ch.tries[0].at)
				if most := 3*limit.Burst + int(span/limit.Every) + 1; len(ch.took) > most {
					problem = fmt.Sprintf("%d messages in %s, %d allowed", len(ch.took), span, most)
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func TestConfigureWhileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("one"), webhookChannel("two"))
		b.run(time.Minute, func(s *Sender) {
			b.alert(store.MessageNew, "a")
			s.Wake()
			synctest.Wait()
			if err := s.Configure(b.options.Channels[1:]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			b.alert(store.MessageNew, "b") // the router is the old one
			s.Wake()
			time.Sleep(time.Second)
			if st := s.Stats(); len(st) != 1 || st[0].Channel != "two" || st[0].Sent != 1 {
				t.Errorf("stats: %+v", st)
			}
			if err := s.Configure(append(b.options.Channels, b.options.Channels[0])); err == nil {
				t.Error("two channels of one name")
			}
		})
		if got := b.channels["one"].told(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("one was told %v", got)
		}
		if got := b.channels["two"].told(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("two was told %v", got)
		}
		b.run(time.Minute, nil) // back again
		if got := b.channels["one"].told(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("one was told %v", got)
		}
	})
}

// A message that is on its way when the sender stops has a moment to arrive, and is
// not sent again; one that hangs holds nobody up.
func TestStopWhileSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("slow"), webhookChannel("stuck"))
		slow := &slowChannel{takes: 3 * time.Second}
		stuck := &slowChannel{takes: time.Hour}
		b.options.open = func(c *Channel) (transport, error) {
			if c.Name == "slow" {
				return slow, nil
			}
			return stuck, nil
		}
		b.alert(store.MessageNew, "a")
		b.alert(store.MessageNew, "b")
		began := time.Now()
		b.run(time.Second, nil)
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("it took %s to stop", d)
		}
		if slow.took != 1 || stuck.took != 0 {
			t.Errorf("slow took %d, stuck %d", slow.took, stuck.took)
		}
		if sent, waiting := b.list(store.MessageSent), b.list(store.MessageWaiting); len(sent) != 1 || len(waiting) != 3 || waiting[1].Attempts != 0 {
			t.Errorf("%d sent, %d wait", len(sent), len(waiting))
		}
	})
}

type slowChannel struct {
	takes time.Duration
	took  int
}

func (s *slowChannel) send(ctx context.Context, _ *store.Message, _ time.Time) (string, error) {
	timer := time.NewTimer(s.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		s.took++
		return "ok", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (*slowChannel) close() {}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 10: 2560 * time.Second, 11: time.Hour, 64: time.Hour, 1 << 40: time.Hour} {
		if got := backoff(firstDelay, n, func() float64 { return 1 }); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
		if got := backoff(firstDelay, n, func() float64 { return 0 }); got != want/2 {
			t.Errorf("%d: %s at least, want %s", n, got, want/2)
		}
	}
}
