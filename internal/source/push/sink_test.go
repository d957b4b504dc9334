package push_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/source/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sink reads what it is given at once, as the daemon does, and remembers the id of
// every event.
type sink struct {
	source.Sink // what push has no use for

	mu      sync.Mutex
	events  []string
	names   map[string]bool
	seen    map[source.Object]bool
	err     error                       // of every outcome
	before  func(context.Context) error // what Deliver does first
	hold    chan struct{}               // if not nil, what is taken is done when it is closed
	taken   func()                      // if not nil, called when something is taken
	arrived chan struct{}               // if not nil, of capacity 1: something was read
	wg      sync.WaitGroup

	discard bool // read nothing
}

func newSink() *sink { return &sink{names: map[string]bool{}, seen: map[source.Object]bool{}} }

func (s *sink) Deliver(ctx context.Context, d source.Delivery) error {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx) // which ends the wait, not the reading
	if s.hold == nil {
		d.Done(s.read(ctx, d))
		return nil
	}
	s.wg.Go(func() {
		<-s.hold
		d.Done(s.read(ctx, d))
	})
	if s.taken != nil {
		s.taken()
	}
	return nil
}

func (s *sink) read(ctx context.Context, d source.Delivery) source.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.discard {
		return source.Outcome{}
	}
	if s.err != nil {
		return source.Outcome{Err: s.err}
	}
	if d.Object != nil {
		if s.seen[*d.Object] {
			return source.Outcome{Seen: true}
		}
		s.seen[*d.Object] = true
	}
	s.names[d.Name] = true
	rc, err := d.Open(ctx)
	if err != nil {
		return source.Outcome{Err: err}
	}
	defer func() { _ = rc.Close() }()
	var out source.Outcome
	var dec cloudtrail.Decoder
	bad := int64(0)
	out.Summary, out.Err = dec.Decode(ctx, d.Name, rc, cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			s.events = append(s.events, strings.Clone(r.Text(cloudtrail.EventID)))
			return nil
		},
		Document: func(raw []byte) error {
			ev, err := ecs.ParseJSON(nil, raw)
			if err != nil {
				bad++
				return nil //nolint:nilerr // counted
			}
			id := ev.Document().Values("event.id")
			s.events = append(s.events, strings.Join(id, ","))
			return nil
		},
		Problem: func(p cloudtrail.Problem) error {
			out.Problems = append(out.Problems, p)
			return nil
		},
	})
	select {
	case s.arrived <- struct{}{}:
	default: // nil, or told already
	}
	out.Summary.Documents -= bad
	out.Summary.Rejected += bad
	return out
}

// got returns the ids of the events that were read, in order.
func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := append([]string{}, s.events...)
	sort.Strings(out)
	return out
}

// start runs a source into a sink until the test ends.
func start(t testing.TB, opt push.Options, to *sink) *push.Source {
	t.Helper()
	if opt.Now == nil {
		opt.Now = time.Now
	}
	s := push.New(opt)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		close(began)
		ended <- s.Run(ctx, to)
	}()
	<-began
	for !s.Running() {
		runtime.Gosched() // Run has begun, and needs a moment to say so
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		to.wg.Wait()
	})
	return s
}

// do makes a request of a handler. Header lines are "Name: value".
func do(s *push.Source, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// record is a CloudTrail record with that id.
func record(id string) string {
	return fmt.Sprintf(`{"eventVersion":"1.08","eventTime":"2026-01-31T08:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","awsRegion":"eu-west-1","eventID":%q,"recipientAccountId":"111122223333","userIdentity":{"type":"IAMUser","userName":"ana"}}`, id)
}

// document is an ECS document with that id.
func document(id string) string {
	return fmt.Sprintf(`{"@timestamp":"2026-01-31T08:00:00.000Z","event":{"action":"SendCommand","provider":"ssm.amazonaws.com","id":%q},"cloud":{"account":{"id":"111122223333"}}}`, id)
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	return string(w.EncodeAll([]byte(text), nil))
}
