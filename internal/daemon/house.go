package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// provisionalFor is for how long at most new-terms alerts of a new store are held back
// while the history is read.
const provisionalFor = 24 * time.Hour

// Intervals of what is done beside the records.
const (
	fullEvery     = time.Second
	expireFirst   = time.Minute
	expireEvery   = time.Hour
	coverageEvery = 5 * time.Minute
	wakeEvery     = time.Second
	objectsFor    = 45 * 24 * time.Hour // listings go back 30 days
	pruneBefore   = 90 * 24 * time.Hour // finished messages
)

// housekeeping does what has to be done now and then.
func (d *Daemon) housekeeping(ctx context.Context) error {
	every, full := time.NewTicker(time.Duration(d.opt.Config.Store.CompactInterval)), time.NewTicker(fullEvery)
	expire := time.NewTicker(expireFirst)
	cover := time.NewTicker(coverageEvery)
	defer every.Stop()
	defer full.Stop()
	defer expire.Stop()
	defer cover.Stop()
	tell := func(what string, err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			d.opt.Log.Error(what, "error", err)
		}
	}
	c := compaction{store: d.events, tell: func(err error) { tell("the event log is not compacted", err) }}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-full.C:
			c.full(ctx)
		case <-every.C:
			c.run(ctx)
			tell("provisional alerts", d.release(ctx))
		case <-expire.C:
			expire.Reset(expireEvery)
			tell("nothing is expired", d.expire(ctx))
		case <-cover.C:
			tell("the coverage is not checked", d.gaps(ctx))
		}
	}
}

// A compaction is when the event log is made into segments.
type compaction struct {
	store interface {
		Waiting() bool
		Compact(ctx context.Context) error
	}
	tell   func(error)
	failed bool
}

// run compacts what there is, at each interval.
func (c *compaction) run(ctx context.Context) {
	err := c.store.Compact(ctx)
	c.failed = err != nil
	c.tell(err)
}

// full compacts between the intervals if as much waits as a segment holds. What has
// failed, as it does on a full disk, is tried again at the next interval only.
func (c *compaction) full(ctx context.Context) {
	if !c.failed && c.store.Waiting() {
		c.run(ctx)
	}
}

// wakeSender tells the sender of messages of new alerts, whatever else is at work.
func (d *Daemon) wakeSender(ctx context.Context) error {
	wake := time.NewTicker(wakeEvery)
	defer wake.Stop()
	alerts := int64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake.C:
			if n := d.engine.Status().Alerts; n != alerts {
				alerts = n
				d.sender.Wake()
			}
		}
	}
}

func (d *Daemon) expire(ctx context.Context) error {
	dropped, err := d.events.Expire(ctx, d.opt.Now())
	for _, x := range dropped {
		d.opt.Log.Info("events dropped", "segment", fmt.Sprintf("%+v", x))
	}
	keep := time.Duration(d.opt.Config.Store.MemoryAge)
	if keep == 0 {
		keep = time.Duration(d.opt.Config.Store.RetentionAge)
	}
	return errors.Join(err, d.engine.Expire(ctx, keep), d.db.Update(ctx, func(tx store.Tx) error {
		if _, err := store.ForgetObjects(tx, d.opt.Now().Add(-objectsFor), 20_000); err != nil {
			return err
		}
		_, err := store.PruneMessages(tx, d.opt.Now().Add(-pruneBefore), 10_000)
		return err //nolint:wrapcheck // of the store
	}))
}

// release tells of provisional alerts once the history has been read: when nothing
// that must exist from before T0 is missing, or after a day.
func (d *Daemon) release(ctx context.Context) error {
	if !d.engine.Status().Provisional {
		return nil
	}
	if d.opt.Now().Sub(d.engine.T0()) < provisionalFor && d.hasProvisional() {
		return nil
	}
	d.opt.Log.Info("the history has been read: alerts are told from now on")
	if err := d.engine.Release(ctx); err != nil {
		return err //nolint:wrapcheck // of the engine
	}
	return d.again(ctx)
}

// hasProvisional reports whether history is still on its way: objects from before T0
// that are known to exist and were not read, or sources that have not listed yet.
func (d *Daemon) hasProvisional() bool {
	missing, read := false, false
	err := d.db.View(d.ctx, func(tx store.Tx) error {
		for h, err := range store.HoursOf(tx, "", "", time.Time{}, d.engine.T0().Add(time.Hour)) {
			if err != nil {
				return err
			}
			missing = missing || h.Missing() > h.Failed
			read = read || h.Read > 0
		}
		return nil
	})
	return err != nil || missing || !read
}

// Status implements server.Daemon.
func (d *Daemon) Status() api.Status {
	e := d.engine.Status()
	st := api.Status{
		Hits: e.Hits, Memory: api.MemoryStatus{Rows: e.Rows}, Log: api.LogStatus{End: e.End, Folded: e.Folded},
		Commits: api.CommitStatus{Count: e.Commits, Seconds: e.CommitSeconds, Latency: e.Latency},
	}
	for _, s := range d.sources {
		s.mu.Lock()
		one := s.status
		s.mu.Unlock()
		if one.Records > 0 && !e.Watermark.IsZero() {
			one.Lag = max(0, d.opt.Now().Sub(e.Watermark).Seconds())
		}
		st.Sources = append(st.Sources, one)
	}
	if l := d.rules.get(); l != nil {
		st.Rules = l.counts()
	}
	switch {
	case e.Error != "":
		st.NotReady = append(st.NotReady, "the engine has stopped: the store cannot be written")
	case !e.Running:
		st.NotReady = append(st.NotReady, "the engine does not run")
	case d.push != nil && !d.push.Running():
		st.NotReady = append(st.NotReady, "records are not taken over HTTP yet")
	}
	d.sizes(&st)
	return st
}

// sizes asks the store, where that is cheap.
func (d *Daemon) sizes(st *api.Status) {
	st.Memory.Bytes = d.db.Size()
	e := d.events.Stats()
	st.Log.Compacted, st.Log.Segments, st.Log.SegmentBytes, st.Log.Events = e.Compacted, int64(e.Segments), e.SegmentBytes, e.SegmentRows
	err := d.db.View(d.ctx, func(tx store.Tx) error {
		for i := range st.Sources {
			s := &st.Sources[i]
			ids, err := source.ParkedIDs(func(name string) ([]byte, error) { return store.Position(tx, s.Name, name) })
			if err != nil {
				return fmt.Errorf("source %s: %w", s.Name, err)
			}
			s.Parked = len(ids)
		}
		counts, err := store.CountMessages(tx)
		if err != nil {
			return err //nolint:wrapcheck // of the store
		}
		for _, c := range counts {
			st.Outbox.Waiting += c.Count
			if !c.Oldest.IsZero() && (st.Outbox.Oldest.IsZero() || c.Oldest.Before(st.Outbox.Oldest)) {
				st.Outbox.Oldest = c.Oldest
			}
		}
		return d.countTriage(tx, st)
	})
	if err != nil {
		d.opt.Log.Warn("messages are not counted", "error", err)
	}
}

// Backfill implements server.Backfiller: the run goes on when the request has ended.
func (d *Daemon) Backfill(ctx context.Context, r api.BackfillRequest) (string, error) {
	b := serve.Backfill{From: r.From, To: r.To, Rules: r.Rules, By: r.By}
	if r.Source != "" {
		objects, err := d.bucket(r)
		if err != nil {
			return "", err
		}
		b.Objects = objects
	}
	started := make(chan string, 1) // one of both comes, whether the request is still there or not
	b.Started = func(run *store.Run) { started <- run.ID }
	failed := make(chan error, 1)
	d.work.Go(func() {
		run, err := d.engine.Backfill(d.ctx, b)
		if err != nil {
			failed <- err
			d.opt.Log.Error("backfill", "error", err)
			return
		}
		d.opt.Log.Info("backfill done", "run", run.ID, "added", run.Counts["added"])
	})
	select {
	case id := <-started:
		return id, nil
	case err := <-failed:
		return "", err
	case <-ctx.Done():
		return "", ctx.Err() //nolint:wrapcheck // of the request
	}
}

// bucket lists the objects of an S3 source for a backfill.
func (d *Daemon) bucket(r api.BackfillRequest) (iter.Seq2[pipeline.Object, error], error) {
	bucket, err := d.bucketOf(r.Source, "only those can be read again")
	if err != nil {
		return nil, err
	}
	return Objects(d.ctx, bucket.Objects(d.ctx, d.engine.Since(r.From), r.To.Add(time.Hour))), nil
}

// Objects turns deliveries into what a scan reads.
func Objects(ctx context.Context, list iter.Seq2[source.Delivery, error]) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		for x, err := range list {
			if !yield(object(ctx, x), err) || err != nil {
				return
			}
		}
	}
}

// Search implements server.Searcher.
func (d *Daemon) Search(ctx context.Context, q api.EventQuery) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var match query.Expr
		if q.Query != "" {
			var diags query.Diagnostics
			if match, diags = kql.CompileText(q.Query, d.catalogue); match == nil {
				yield(nil, diags)
				return
			}
		}
		for s, err := range d.events.Scan(ctx, store.Scan{
			From: q.From, To: q.To, Match: match, Limit: q.Limit, Descending: q.Descending, Damaged: q.Damaged,
		}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(s.Event.Document().AppendJSON(nil), nil) {
				return
			}
		}
	}
}
