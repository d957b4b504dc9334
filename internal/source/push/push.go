package push

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

// Options say what is accepted, and how much of it at a time. A zero field means its
// default.
type Options struct {
	Name string           // of the source; default "push"
	Now  func() time.Time // the clock; it must be set

	// Token checks the token of a request (see [TokenOf]). An error that wraps
	// ErrForbidden means that it is known but may not push; any other that it is not
	// known. Nil: whoever passes requests on has checked them.
	Token func(ctx context.Context, token string) error

	// Limits are those of the sink's decoder: what is checked here must be what is
	// read there.
	Limits cloudtrail.Limits

	MaxBody    int64 // bytes of a body; of bulk and Firehose after decompression; default 100 MiB
	MaxDecoded int64 // bytes of a body of /v1/records after decompression; default 1 GiB
	MaxItems   int   // actions of a bulk request; default 100,000
	MaxPending int64 // bytes of bodies in memory, not durable yet; default 256 MiB, at least two bodies
	Rate       int64 // bytes of bodies per second, on average; 0: as they come

	Wait        time.Duration // until the sink takes a body, else 429; default 2 s
	BodyTimeout time.Duration // until a body has arrived, else 408; default 1 min
	AckTimeout  time.Duration // until a body that was taken is durable, else 503; default 2 min

	Elasticsearch string // the version that is claimed to clients; default 8.19.0
}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "push")
	o.MaxBody = cmp.Or(o.MaxBody, 100<<20)
	o.MaxDecoded = cmp.Or(o.MaxDecoded, 1<<30)
	o.MaxItems = cmp.Or(o.MaxItems, 100_000)
	o.MaxPending = max(cmp.Or(o.MaxPending, 256<<20), 2*o.MaxBody)
	o.Wait = cmp.Or(o.Wait, 2*time.Second)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, time.Minute)
	o.AckTimeout = cmp.Or(o.AckTimeout, 2*time.Minute)
	o.Elasticsearch = cmp.Or(o.Elasticsearch, "8.19.0")
	return o
}

// ErrForbidden is what [Options.Token] wraps for a token that may not push.
var ErrForbidden = errors.New("the token may not push")

// A Source delivers the bodies of requests. Its Handler is safe for concurrent use.
type Source struct {
	opt      Options
	budget   budget
	rate     rate
	decoders sync.Pool // of *cloudtrail.Decoder
	counts   [numEndpoints]counters

	mu    sync.Mutex
	sink  source.Sink     // nil: not running
	ctx   context.Context //nolint:containedctx // of Run: its end refuses what is waiting
	open  int             // deliveries not done
	idle  chan struct{}   // closed when open falls to 0 while closing
	keyed map[string]bool // idempotency keys of requests under way
}

var _ source.Source = (*Source)(nil)

// New returns a Source that refuses everything until it runs.
func New(opt Options) *Source {
	opt = opt.withDefaults()
	return &Source{
		opt:      opt,
		budget:   budget{limit: opt.MaxPending},
		rate:     rate{perSecond: opt.Rate, now: opt.Now},
		decoders: sync.Pool{New: func() any { return &cloudtrail.Decoder{Limits: opt.Limits} }},
		keyed:    make(map[string]bool),
	}
}

// Name implements [source.Source].
func (s *Source) Name() string { return s.opt.Name }

// Run implements [source.Source]: requests are taken until ctx ends.
func (s *Source) Run(ctx context.Context, sink source.Sink) error {
	s.mu.Lock()
	if s.sink != nil || s.idle != nil {
		s.mu.Unlock()
		return errors.New("the source runs already")
	}
	s.sink, s.ctx = sink, ctx
	s.mu.Unlock()

	<-ctx.Done()

	idle := make(chan struct{})
	s.mu.Lock()
	s.sink, s.idle = nil, idle
	if s.open == 0 {
		close(idle)
	}
	s.mu.Unlock()
	<-idle
	s.mu.Lock()
	s.idle = nil
	s.mu.Unlock()
	return nil
}

// enter begins a delivery, if the source runs. leave ends it.
func (s *Source) enter() (source.Sink, context.Context, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil || s.ctx.Err() != nil {
		return nil, nil, false
	}
	s.open++
	return s.sink, s.ctx, true
}

func (s *Source) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open--; s.open == 0 && s.idle != nil {
		close(s.idle)
	}
}

// Running reports whether a delivery could begin: not before Run has begun, and not once
// its context is done.
func (s *Source) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink != nil && s.ctx.Err() == nil
}

// deliver hands a body over and waits until it is durable. The body is given back to
// the budget when the sink is done with it, which may be after deliver has returned.
func (s *Source) deliver(ctx context.Context, r *http.Request, b *body, d source.Delivery) (source.Outcome, error) {
	sink, running, ok := s.enter()
	if !ok {
		b.release()
		return source.Outcome{}, errClosing
	}
	done := make(chan source.Outcome, 1)
	d.Source, d.Name, d.Arrived = s.opt.Name, inputName(r), s.opt.Now()
	d.Done = func(o source.Outcome) {
		b.release()
		s.leave()
		done <- o
	}
	waiting, cancel := context.WithTimeout(ctx, s.opt.Wait)
	stop := context.AfterFunc(running, cancel) //nolint:contextcheck // the source's end ends the wait, too
	err := sink.Deliver(waiting, d)
	stop()
	cancel()
	if err != nil {
		b.release()
		s.leave()
		switch {
		case running.Err() != nil:
			return source.Outcome{}, errClosing
		case ctx.Err() != nil:
			return source.Outcome{}, errGone
		}
		return source.Outcome{}, errBusy
	}
	limit := time.NewTimer(s.opt.AckTimeout)
	defer limit.Stop()
	select {
	case o := <-done:
		return o, failed(o.Err)
	case <-ctx.Done():
		return source.Outcome{}, errGone
	case <-limit.C:
		return source.Outcome{}, errSlow
	}
}

// failed says how an outcome's error is answered.
func failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return errClosing
	case diskFull(err):
		return errDiskFull
	}
	return errNotStored
}

// diskFull reports whether an error of the store says that there is no room: of the
// system, or of SQLite (its code 13).
func diskFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == 13
}

// inputName names a request as an input: by who sent it.
func inputName(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = cmp.Or(r.RemoteAddr, "unknown")
	}
	return "push:" + host
}
