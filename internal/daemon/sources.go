package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/source/push"
	"github.com/debutsec/debut/internal/source/s3"
	"github.com/debutsec/debut/internal/source/watch"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
)

// running is a source with its counts. It is the source's sink: the engine, counted.
type running struct {
	source.Source
	source.Sink
	kind string
	now  func() time.Time

	mu     sync.Mutex
	status api.SourceStatus
}

// Run runs the source.
func (r *running) Run(ctx context.Context, sink source.Sink) error {
	r.set(func(s *api.SourceStatus) { s.State = "running" })
	defer r.set(func(s *api.SourceStatus) { s.State = "stopped" })
	return r.Source.Run(ctx, sink) //nolint:wrapcheck // the caller names the source
}

func (r *running) set(f func(s *api.SourceStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.status)
}

// Deliver implements source.Sink.
func (r *running) Deliver(ctx context.Context, d source.Delivery) error {
	done := d.Done
	d.Done = func(o source.Outcome) {
		if o.Err == nil && !o.Seen {
			r.set(func(s *api.SourceStatus) {
				s.Objects++
				s.Records += o.Summary.Records + o.Summary.Documents
				s.Bytes += o.Summary.Bytes
				s.Rejected += o.Summary.Rejected
				s.Last = r.now().UTC()
			})
		}
		if done != nil {
			done(o)
		}
	}
	return r.Sink.Deliver(ctx, d) //nolint:wrapcheck // of the engine
}

// Trouble implements source.Sink.
func (r *running) Trouble(name string, err error) {
	r.set(func(s *api.SourceStatus) {
		switch {
		case err == nil:
			s.Trouble, s.TroubleSince = "", time.Time{}
			if s.State == "trouble" {
				s.State = "running"
			}
		case s.Trouble != err.Error():
			s.Trouble, s.TroubleSince, s.State = err.Error(), r.now().UTC(), "trouble"
		}
	})
	r.Sink.Trouble(name, err)
}

func (d *Daemon) add(kind string, s source.Source) {
	d.sources = append(d.sources, &running{
		Source: s, Sink: d.engine, kind: kind, now: d.opt.Now,
		status: api.SourceStatus{Name: s.Name(), Kind: kind, State: "stopped"},
	})
}

// openSources makes the sources that the configuration names.
func (d *Daemon) openSources(ctx context.Context) error {
	for i := range d.opt.Config.Sources {
		c := &d.opt.Config.Sources[i]
		switch c.Type {
		case config.SourceFiles:
			s, err := watch.New(watch.Options{
				Name: c.Name, Dir: c.Path, Now: d.opt.Now, Settle: time.Duration(c.Settle), Interval: time.Duration(c.RescanInterval), Log: d.opt.Log,
			})
			if err != nil {
				return fmt.Errorf("source %s: %w", c.Name, err)
			}
			d.add(c.Type, s)
		case config.SourceS3:
			s, err := d.openS3(ctx, c)
			if err != nil {
				return err
			}
			d.add(c.Type, s)
		}
	}
	if p := d.opt.Config.Server.Push; p.Enabled {
		d.push = push.New(push.Options{
			Name: "push", Now: d.opt.Now, MaxBody: int64(p.MaxBody), MaxPending: int64(p.MaxPending), Rate: int64(p.Rate),
		})
		d.add("push", d.push)
	}
	return nil
}

func (d *Daemon) openS3(ctx context.Context, c *config.Source) (*s3.Source, error) {
	external, err := c.ExternalID.Resolve(d.opt.Getenv)
	if err != nil {
		return nil, fmt.Errorf("source %s: external_id: %w", c.Name, err)
	}
	o := s3.Options{
		Name: c.Name, Bucket: c.Bucket, Prefixes: c.Prefixes, Region: c.Region, RoleARN: c.RoleARN, ExternalID: external,
		Endpoint: c.Endpoint, PathStyle: c.PathStyle, QueueURL: c.QueueURL, ListInterval: time.Duration(c.ListInterval),
		VisibilityTimeout: time.Duration(c.VisibilityTimeout), Digests: c.Digests, Verify: c.Verify, PublicKeyFiles: c.PublicKeys,
		Now: d.opt.Now, Log: d.opt.Log,
	}
	switch {
	case c.Start != "":
		m, err := query.ParseDateMath(c.Start)
		if err != nil {
			return nil, fmt.Errorf("source %s: start: %w", c.Name, err)
		}
		o.Start = m.At(d.opt.Now())
	case d.opt.Config.Engine.ColdStart == config.ColdHistory && !d.engine.T0().IsZero():
		o.Start = d.engine.Since(d.engine.T0())
	}
	if d.engine.Status().Provisional && !o.Start.IsZero() {
		days := int(d.opt.Now().Sub(o.Start).Hours()/24) + 2
		d.opt.Log.Info("the history of a bucket will be read: a request for each object, and a listing for each day of every account and region",
			"source", c.Name, "from", o.Start.Format(time.DateOnly), "days", days, "costs", "docs/s3.md")
	}
	s, err := s3.New(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Name, err)
	}
	return s, nil
}

func (d *Daemon) pushHandler() http.Handler {
	if d.push == nil {
		return nil
	}
	return d.push.Handler()
}

func object(ctx context.Context, x source.Delivery) pipeline.Object {
	return pipeline.Object{Name: x.Name, Key: x.Key, Open: func() (io.ReadCloser, error) { return x.Open(ctx) }}
}

// bucketOf returns the source of that name, which must be a bucket.
func (d *Daemon) bucketOf(name, only string) (*s3.Source, error) {
	i := slices.IndexFunc(d.sources, func(s *running) bool { return s.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: no source is called %q", store.ErrInvalid, name)
	}
	b, ok := d.sources[i].Source.(*s3.Source)
	if !ok {
		return nil, fmt.Errorf("%w: source %s is no bucket: %s", store.ErrInvalid, name, only)
	}
	return b, nil
}

// Retry implements server.Daemon.
func (d *Daemon) Retry(ctx context.Context, name string, ids []string) (map[string]error, error) {
	b, err := d.bucketOf(name, "only those have messages")
	if err != nil {
		return nil, err
	}
	results, err := b.Retry(ctx, ids)
	if err != nil {
		return nil, &api.Error{Code: api.Unavailable, Message: err.Error(), Hint: "'debut status' says why"}
	}
	return results, nil
}
