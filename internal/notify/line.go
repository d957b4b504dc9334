package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// A line is the messages of one channel and what sends them, used by one goroutine.
type line struct {
	s       *Sender
	channel Channel
	to      transport
	bucket  bucket
	wake    chan struct{}
	stats   ChannelStats // guarded by Sender.mu

	paused   time.Time // the channel is left alone until then
	down     int       // failures of the channel in a row
	refusals int       // messages refused in a row
	// sent was sent, and the store does not know it yet. Nothing else is sent until it
	// does, so that a store that cannot be written to makes no repetitions.
	sent *store.Message
}

// Bounds of one line's work.
const (
	secondOpinion = 3 // failures after which another message shows whose fault it is
	maxRefusals   = 5 // in a row, after which the channel is left alone for a while
	foldBatch     = 500
	maxFolds      = 200
)

func (l *line) run(ctx context.Context, quit <-chan struct{}) {
	for {
		wait, err := l.step(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			l.s.o.Log.Error("the outbox cannot be used; notifications wait", "channel", l.channel.Name, "error", err)
			wait = storeDelay
		}
		select {
		case <-quit: // between two messages
			return
		case <-ctx.Done():
			return
		default:
		}
		if wait > 0 && !sleep(ctx, quit, l.wake, wait) {
			return
		}
	}
}

// step sends at most one message, or finds out how long there is none to send. Errors
// are of the store.
func (l *line) step(ctx context.Context) (wait time.Duration, err error) {
	if l.sent != nil {
		if err := l.markSent(ctx); err != nil {
			return 0, err
		}
	}
	now := l.s.o.Now()
	if d := l.paused.Sub(now); d > 0 {
		return min(d, 2*maxAfter), nil // and no longer if the clock is set back
	}
	list, err := l.due(ctx, now)
	switch {
	case err != nil:
		return 0, err
	case len(list) == 0:
		return l.untilNext(ctx, now)
	}
	m := &list[0]
	if now.Sub(m.Created) > l.s.o.MaxAge {
		return 0, l.s.giveUp(ctx, m, now)
	}
	switch {
	case m.Digest != nil && !m.Digest.Sealed: // begun before a crash
		m, err = l.fold(ctx, now)
	case !l.channel.unlimited():
		free := l.bucket.available(now)
		if free == 0 {
			return max(time.Millisecond, l.bucket.next().Sub(now)), nil
		}
		if free == 1 && len(list) > 1 && m.Digest == nil && m.Attempts == 0 {
			m, err = l.fold(ctx, now)
		}
	}
	if err != nil || m == nil {
		return 0, err
	}
	return 0, l.deliver(ctx, m)
}

// due returns the messages that may be sent, the first two of them.
func (l *line) due(ctx context.Context, now time.Time) (list []store.Message, err error) {
	err = l.s.o.DB.View(ctx, func(tx store.Tx) (err error) {
		list, err = store.DueMessages(tx, l.channel.Name, now, 2)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return list, nil
}

func (l *line) untilNext(ctx context.Context, now time.Time) (time.Duration, error) {
	wait := lookAgain
	err := l.s.o.DB.View(ctx, func(tx store.Tx) error {
		at, ok, err := store.NextDue(tx, l.channel.Name)
		if ok {
			wait = max(time.Millisecond, min(wait, at.Sub(now)))
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read the outbox: %w", err)
	}
	return wait, nil
}

// fold makes a digest of everything that is due and returns it, sealed.
func (l *line) fold(ctx context.Context, now time.Time) (digest *store.Message, err error) {
	for i := range maxFolds {
		moved, last := 0, i == maxFolds-1
		err := l.s.o.DB.Update(ctx, func(tx store.Tx) (err error) {
			digest, moved, err = store.FoldMessages(tx, l.channel.Name, now, foldBatch, last)
			if err == nil && moved < foldBatch && !last {
				digest, _, err = store.FoldMessages(tx, l.channel.Name, now, 0, true)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("make a digest: %w", err)
		}
		if moved < foldBatch {
			break
		}
	}
	return digest, nil
}

// deliver sends m and records what came of it.
func (l *line) deliver(ctx context.Context, m *store.Message) error {
	err := l.send(ctx, m)
	var failed *sendError
	switch {
	case err == nil:
		return l.delivered(ctx, m)
	case ctx.Err() != nil:
		return ctx.Err() // it is not known whether it arrived: it is sent again
	case !errors.As(err, &failed):
		failed = &sendError{text: err.Error()}
	}
	if failed.fault == unclear && m.Attempts+1 >= secondOpinion {
		if other := l.other(ctx, m); other != nil {
			if l.send(ctx, other) == nil {
				failed.fault = refused // the channel works
				if err := l.delivered(ctx, other); err != nil {
					return err
				}
			}
		}
	}
	return l.failed(ctx, m, failed)
}

// send hands m to the channel. When ctx is done it gets a little time to arrive.
func (l *line) send(ctx context.Context, m *store.Message) error {
	sendCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	timer := time.AfterFunc(time.Hour, cancel) // a transport has its own, shorter timeout
	defer timer.Stop()
	defer context.AfterFunc(ctx, func() { timer.Reset(grace) })()
	answer, err := l.to.send(sendCtx, l.investigated(sendCtx, m), l.s.o.Now())
	if err != nil {
		return err
	}
	l.s.o.Log.Debug("notified", "channel", l.channel.Name, "kind", string(m.Kind), "message", m.Sequence, "answer", answer)
	return nil
}

// investigated adds to a message what the investigation of its alert has come to by now.
func (l *line) investigated(ctx context.Context, m *store.Message) *store.Message {
	if l.s.o.Verdict == nil || m.Alert == nil || m.Kind == store.MessageWithdrawn {
		return m
	}
	t, err := l.s.o.Verdict(ctx, m.Alert.Handle)
	if err != nil {
		l.s.o.Log.Warn("a message is sent without what its investigation says", "message", m.Sequence, "error", err)
	}
	if err != nil || t == nil {
		return m
	}
	out, a := *m, *m.Alert
	a.Verdict, a.Score, a.Confidence = t.Verdict, t.Score, t.Confidence
	out.Alert = &a
	return &out
}

// other returns a message behind m that may be sent now, nil if there is none.
func (l *line) other(ctx context.Context, m *store.Message) *store.Message {
	list, err := l.due(ctx, l.s.o.Now())
	if err != nil {
		return nil // the next step meets the same error and tells of it
	}
	for i := range list {
		if o := &list[i]; o.Sequence != m.Sequence && (o.Digest == nil || o.Digest.Sealed) {
			return o
		}
	}
	return nil
}

func (l *line) delivered(ctx context.Context, m *store.Message) error {
	l.down, l.refusals, l.paused = 0, 0, time.Time{}
	if !l.channel.unlimited() {
		l.bucket.take(l.s.o.Now())
	}
	l.s.count(l.channel.Name, func(st *ChannelStats) {
		st.Sent += told(m)
		if m.Digest != nil {
			st.Digests++
		}
		st.Down, st.LastError, st.PausedUntil = 0, "", time.Time{}
	})
	l.sent = m
	return l.markSent(ctx)
}

// markSent takes the message off the line, even while the sender stops.
func (l *line) markSent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := l.s.o.DB.Update(ctx, func(tx store.Tx) error { return store.MarkSent(tx, l.sent, l.s.o.Now()) })
	if err != nil {
		return fmt.Errorf("note that message %d was sent: %w", l.sent.Sequence, err)
	}
	l.sent = nil
	return nil
}

// failed records a failed attempt: the channel is left alone for a while, or the
// message goes back in the line.
func (l *line) failed(ctx context.Context, m *store.Message, failed *sendError) error {
	now := l.s.o.Now()
	var next time.Time
	later := failed.fault == refused
	if later {
		next = now.Add(max(backoff(firstRefusal, m.Attempts+1, l.s.o.random), min(failed.after, maxAfter)))
		if l.refusals++; l.refusals >= maxRefusals { // everything is refused: no need to hammer
			l.refusals = 0
			l.paused = now.Add(backoff(firstDelay, maxRefusals, l.s.o.random))
		}
	} else {
		l.down++
		first := firstDelay
		if failed.fault == channelWrong {
			first = firstRefusal
		}
		next = now.Add(max(backoff(first, l.down, l.s.o.random), min(failed.after, maxAfter)))
		l.paused = next
	}
	l.s.count(l.channel.Name, func(st *ChannelStats) {
		st.Failures++
		st.Down, st.LastError, st.PausedUntil = int64(l.down), failed.text, l.paused
	})
	level := l.s.o.Log.Warn
	if l.down > 1 { // told once, not at every attempt
		level = l.s.o.Log.Debug
	}
	level("a notification could not be sent", "channel", l.channel.Name, "kind", string(m.Kind), "message", m.Sequence,
		"attempt", m.Attempts+1, "error", failed.text, "next", next)
	err := l.s.o.DB.Update(ctx, func(tx store.Tx) error { return store.MarkFailed(tx, m, failed.text, now, next, later) })
	if err != nil {
		return fmt.Errorf("note that message %d failed: %w", m.Sequence, err)
	}
	return nil
}
