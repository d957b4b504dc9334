//go:build integration

package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/source/push"
)

const token = "a-token-of-the-test"

// A sink reads what it is given, and counts each event. Every third delivery it does
// not take, so that clients meet 429 and have to send again.
type sink struct {
	source.Sink

	mu       sync.Mutex
	offered  int
	rejected int64
	events   map[string]int
	change   chan struct{} // of capacity 1
}

func (s *sink) Deliver(ctx context.Context, d source.Delivery) error {
	s.mu.Lock()
	s.offered++
	busy := s.offered%3 == 0
	s.mu.Unlock()
	if busy {
		<-ctx.Done()
		return ctx.Err()
	}
	d.Done(s.read(context.WithoutCancel(ctx), d)) // ctx ends the wait, not the reading
	return nil
}

func (s *sink) read(ctx context.Context, d source.Delivery) source.Outcome {
	rc, err := d.Open(ctx)
	if err != nil {
		return source.Outcome{Err: err}
	}
	defer func() { _ = rc.Close() }()
	s.mu.Lock()
	defer s.mu.Unlock()
	var dec cloudtrail.Decoder
	var out source.Outcome
	out.Summary, out.Err = dec.Decode(ctx, d.Name, rc, cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			s.events[strings.Clone(r.Text(cloudtrail.EventID))]++
			return nil
		},
		Document: func(raw []byte) error {
			ev, err := ecs.ParseJSON(nil, raw)
			if err != nil {
				return err
			}
			s.events[strings.Join(ev.Document().Values("event.id"), ",")]++
			return nil
		},
	})
	s.rejected += out.Summary.Rejected
	select {
	case s.change <- struct{}{}:
	default:
	}
	return out
}

// want checks that every id from 0 to n was read exactly once, and nothing else.
func (s *sink) want(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if id := fmt.Sprint(i); s.events[id] != 1 {
			t.Errorf("event %s was read %d times", id, s.events[id])
		}
	}
	if len(s.events) != n || s.rejected != 0 {
		t.Errorf("%d events of %d, %d rejected", len(s.events), n, s.rejected)
	}
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// serve starts a server on the loopback around a push source, until the test ends.
func serve(t *testing.T) (*sink, *push.Source, *httptest.Server) {
	t.Helper()
	to := &sink{events: make(map[string]int), change: make(chan struct{}, 1)}
	in := push.New(push.Options{
		Now: time.Now, Wait: 10 * time.Millisecond, MaxBody: 1 << 20,
		Token: func(_ context.Context, got string) error {
			if got != token {
				return errors.New("unknown token")
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- in.Run(ctx, to) }()
	server := httptest.NewServer(in.Handler())
	for { // until Run has begun
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/records", strings.NewReader(" "))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			break
		}
	}
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return to, in, server
}

func record(id int) string {
	return fmt.Sprintf(`{"eventVersion":"1.08","eventTime":"2026-01-31T08:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","eventID":"%d","recipientAccountId":"111122223333"}`, id)
}

func document(id int) string {
	return fmt.Sprintf(`{"@timestamp":"2026-01-31T08:00:00.000Z","event":{"action":"SendCommand","provider":"ssm.amazonaws.com","id":"%d"}}`, id)
}
