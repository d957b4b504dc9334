package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/notify"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/source/push"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
	"github.com/debutsec/debut/internal/triage/desk"
)

// Options say what to run.
type Options struct {
	Config  *config.Config
	Getenv  func(string) string
	Now     func() time.Time
	Log     *slog.Logger
	Version string
	// Reload asks for rules and configuration of notifications to be read again.
	Reload <-chan struct{}
}

// A Daemon is everything that runs. Close it, whether it ran or not.
type Daemon struct {
	opt       Options
	catalogue *ecs.Catalogue
	enricher  *enrich.Enricher
	db        *sqlite.DB
	events    *events.Store
	desk      *desk.Desk
	engine    *serve.Engine
	server    *server.Server
	sender    *notify.Sender
	router    *notify.Router
	push      *push.Source // nil: records are not taken over HTTP
	sources   []*running
	rules     *ruleState
	silences  silences
	work      sync.WaitGroup  // backfills and reloads
	ctx       context.Context //nolint:containedctx // of Run, for what requests begin and outlives them
	reloading sync.Mutex
	readFrom  uint64 // stamp of the rule files, before they were read at the start
}

// Open opens the store, folds what a crash has left, loads the rules and binds the
// API's address. Nothing is read from a source yet.
func Open(ctx context.Context, o Options) (_ *Daemon, err error) {
	c := o.Config
	d := &Daemon{opt: o, catalogue: ecs.NewCatalogue(), rules: &ruleState{}, ctx: ctx}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder (data_dir): %w", err)
	}
	if d.enricher, err = enrich.New(enrich.Options{GeoIP: c.Rules.GeoIP}); err != nil {
		return nil, fmt.Errorf("rules.geoip: %w", err)
	}
	if d.db, err = sqlite.Open(ctx, c.DataDir, sqlite.Options{Program: "debut " + o.Version}); err != nil {
		return nil, err
	}
	if d.events, err = events.Open(events.Options{ //nolint:contextcheck // it opens a store; there is nothing to wait for
		Dir: c.DataDir, DB: d.db, Catalogue: d.catalogue, Enricher: d.enricher, Places: Places(c.Rules.GeoIP), Now: o.Now, Log: o.Log,
		SealAfter: time.Duration(c.Store.CompactInterval),
		Retention: events.Retention{Age: time.Duration(c.Store.RetentionAge), Bytes: int64(c.Store.RetentionBytes)},
	}); err != nil {
		return nil, err
	}
	if err := errors.Join(d.triage(), d.notifications()); err != nil {
		return nil, err
	}
	if c.Rules.Watch {
		d.readFrom = d.stamp()
	}
	loaded, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	start, provisional := d.begin()
	if d.engine, err = serve.Open(ctx, serve.Options{
		DB: d.db, Events: d.events, Encode: events.Encode, Rules: loaded.rules, Catalogue: d.catalogue, Enricher: d.enricher,
		Workers: c.Engine.Workers, Start: start, Provisional: provisional, MaxFuture: time.Duration(c.Engine.MaxFuture),
		Triage: c.Triage.Enabled, Route: d.route, Now: o.Now, Log: o.Log,
	}); err != nil {
		return nil, err
	}
	d.rules.set(loaded)
	if err := d.openSources(ctx); err != nil {
		return nil, err
	}
	d.server = server.New(server.Options{
		DB: d.db, Now: o.Now, Log: o.Log, Version: o.Version, Daemon: d, Backfill: d, Events: d, Triage: d.desk, Catalogue: d.catalogue,
		Push: d.pushHandler(), Address: c.Server.Listen, DataDir: c.DataDir, Cert: c.Server.TLSCert, Key: c.Server.TLSKey,
		AllowInsecure: c.Server.AllowInsecure, Names: c.Server.Names, OpenMetrics: c.Server.OpenMetrics,
	})
	return d, d.server.Listen(ctx)
}

// begin is how a new store begins.
func (d *Daemon) begin() (start time.Time, provisional bool) {
	now := d.opt.Now().UTC()
	switch d.opt.Config.Engine.ColdStart {
	case config.ColdAlert:
		return time.Time{}, false
	case config.ColdLearn:
		return now.Add(time.Duration(d.opt.Config.Engine.Learn)), false
	}
	// Only buckets and folders have a history to read.
	return now, len(d.opt.Config.Sources) > 0
}

// URL is how this machine reaches the API.
func (d *Daemon) URL() string { return d.server.URL() }

// Run works until ctx ends, then ends what is on its way and returns nil. An error is
// that the store cannot be written any more, or that a source can never work.
func (d *Daemon) Run(ctx context.Context) error {
	d.ctx = ctx
	// The engine and the store outlive the sources: what they have taken is committed.
	late, stopLate := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLate()
	g, ctx := errgroup.WithContext(ctx)
	var engine errgroup.Group
	engineCtx, stopEngine := context.WithCancel(late)
	defer stopEngine()
	engineDone := make(chan struct{})
	var engineErr error
	engine.Go(func() error {
		defer close(engineDone)
		engineErr = d.engine.Run(engineCtx)
		return engineErr
	})
	g.Go(func() error { // an engine that stops ends everything
		select {
		case <-engineDone:
			return cmp.Or(engineErr, errors.New("the engine ended"))
		case <-ctx.Done():
			return nil
		}
	})
	for _, s := range d.sources {
		g.Go(func() error {
			err := s.Run(ctx, s)
			if err != nil {
				return fmt.Errorf("source %s: %w", s.Name(), err)
			}
			return nil
		})
	}
	g.Go(func() error { return d.server.Serve(ctx) })
	g.Go(func() error { d.sender.Run(ctx); return nil })
	g.Go(func() error { return d.wakeSender(ctx) })
	g.Go(func() error { return d.housekeeping(ctx) })
	g.Go(func() error { return d.watchRules(ctx) })
	g.Go(func() error { return d.runTriage(ctx) })
	d.opt.Log.Info("serving", "api", d.URL(), "rules", d.engine.Status().Rules, "sources", len(d.sources), "data", d.opt.Config.DataDir)
	err := g.Wait()
	d.work.Wait()
	stopEngine()
	if eerr := engine.Wait(); err == nil {
		err = eerr
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// Close gives everything back, in reverse order.
func (d *Daemon) Close() error {
	var err error
	if d.events != nil {
		err = errors.Join(err, d.events.Close())
	}
	if d.db != nil {
		err = errors.Join(err, d.db.Close())
	}
	if d.enricher != nil {
		err = errors.Join(err, d.enricher.Close())
	}
	return err
}

var _ source.Sink = (*running)(nil)
