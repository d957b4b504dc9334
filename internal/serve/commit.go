package serve

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// Bounds of what is appended and committed at once. Under load groups grow to them,
// and the cost of a sync is shared.
const (
	groupBytes  = 32 << 20
	groupChunks = 64
)

// append makes chunks durable, in the order in which they come, many with one sync.
func (e *Engine) append(ctx context.Context) error {
	for c := range e.chunks {
		group := e.gather(c)
		var frames []store.Encoded
		var framed []*chunk
		for _, c := range group {
			// What has no record still says that its object was read.
			if len(c.records) > 0 || c.err == nil && c.meta.Object != "" {
				frames, framed = append(frames, c.encoded), append(framed, c)
			}
		}
		if len(frames) > 0 {
			ends, err := e.opt.Events.Append(ctx, frames)
			if err != nil {
				err = fmt.Errorf("append to the event log: %w", err)
				e.fail(err)
				e.abandon(group, err)
				for c := range e.chunks {
					e.abandon([]*chunk{c}, err)
				}
				return err
			}
			for i, c := range framed {
				c.end = ends[i]
				e.recent.add(c.fresh)
				e.stats.records.Add(int64(len(c.records)))
				e.stats.bytes.Add(int64(c.size))
			}
		}
		select {
		case e.groups <- group:
		case <-ctx.Done():
			err := context.Cause(ctx)
			e.abandon(group, err)
			for c := range e.chunks {
				e.abandon([]*chunk{c}, err)
			}
			return err
		}
	}
	return nil
}

// gather takes what is ready, up to what is committed at once.
func (e *Engine) gather(c *chunk) []*chunk {
	group, size := []*chunk{c}, c.size
	for size < groupBytes && len(group) < groupChunks {
		select {
		case c, ok := <-e.chunks:
			if !ok {
				return group
			}
			group, size = append(group, c), size+c.size
		default:
			return group
		}
	}
	return group
}

// abandon ends the deliveries of chunks that were not committed.
func (e *Engine) abandon(group []*chunk, err error) {
	for _, c := range group {
		if c.last && c.task != nil {
			c.task.outcome.Err = err
			e.done(c.task)
		}
	}
}

func (e *Engine) fail(err error) {
	if e.failed.CompareAndSwap(nil, &err) {
		e.opt.Log.Error("the engine stops", "error", err)
	}
}

// Err is why the engine stopped, nil if it did not.
func (e *Engine) Err() error {
	if err := e.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// commit folds what was appended.
func (e *Engine) commit(ctx context.Context) error {
	tick := time.NewTicker(e.opt.Remember)
	defer tick.Stop()
	for {
		select {
		case group, ok := <-e.groups:
			if !ok {
				return e.committer.flush(ctx)
			}
			if err := e.commitGroup(ctx, group); err != nil {
				return err
			}
		case c := <-e.calls:
			c.done <- c.do()
		case <-tick.C:
			if err := e.committer.flush(ctx); err != nil {
				e.fail(err)
				return err
			}
		}
	}
}

func (e *Engine) commitGroup(ctx context.Context, group []*chunk) error {
	err := e.committer.apply(ctx, e.rules.Load(), group, work{counts: true})
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		e.fail(err)
		e.abandon(group, err)
		return err
	}
	for _, c := range group {
		if c.last && c.task != nil {
			c.task.outcome.Err = c.err
			e.done(c.task)
		}
	}
	return nil
}

// A committer folds chunks into the database. It belongs to one goroutine.
type committer struct {
	e          *Engine
	folded     int64 // offset of the log up to which everything is committed
	remembered int64 // and up to which memory is

	// dirty are the ends of episodes that grew since remembered. They change with
	// nearly every hit, and can be folded again, so they are written now and then.
	dirty     map[findingID]int64
	intervals *intervals
	view      viewer
	matchers  map[*ruleset]*detect.Matcher
}

// findingID names a finding.
type findingID struct {
	rule  int32
	group ecs.ID
	time  int64
	id    ecs.ID
}

func idOf(f *store.Finding) findingID { return findingID{f.Rule, f.Group, f.Time, f.ID} }

// maxDirty bounds the ends that are only in memory: about 10 MB.
const maxDirty = 100_000

func newCommitter(e *Engine) *committer {
	return &committer{
		e: e, dirty: map[findingID]int64{}, intervals: newIntervals(),
		view:     viewer{catalogue: e.opt.Catalogue, enricher: e.opt.Enricher},
		matchers: map[*ruleset]*detect.Matcher{},
	}
}

// work says what applying chunks is for.
type work struct {
	counts bool // they are new: coverage, objects and the offset move
	manual bool // their alerts are those of a backfill
	quiet  bool // nobody is told
}

// apply folds chunks in one transaction.
func (c *committer) apply(ctx context.Context, set *ruleset, chunks []*chunk, w work) error {
	began := c.e.opt.Now()
	for _, ch := range chunks {
		if ch.set != set {
			if err := c.view.match(ch, set, c.matcher(set)); err != nil {
				return err
			}
		}
	}
	var a *applier
	err := c.e.opt.DB.Update(ctx, func(tx store.Tx) error {
		a = newApplier(ctx, c, tx, set, chunks, w)
		return a.run()
	})
	if err != nil {
		c.intervals = newIntervals() // what it knows of this transaction is not so
		return err
	}
	maps.Copy(c.dirty, a.grown)
	for _, id := range a.written {
		delete(c.dirty, id)
	}
	if w.counts {
		c.folded = max(c.folded, a.end)
		c.e.foldedNow.Store(c.folded)
		c.e.stats.commit(len(chunks), c.e.opt.Now().Sub(began))
	}
	if len(c.dirty) > maxDirty {
		return c.flush(ctx)
	}
	return nil
}

func (c *committer) matcher(set *ruleset) *detect.Matcher {
	m := c.matchers[set]
	if m == nil {
		clear(c.matchers) // one set follows another
		m = set.engine.NewMatcher()
		c.matchers[set] = m
	}
	return m
}

// flush writes the ends of episodes, so that the log before them is not needed again.
func (c *committer) flush(ctx context.Context) error {
	if c.remembered == c.folded && len(c.dirty) == 0 {
		return nil
	}
	err := c.e.opt.DB.Update(ctx, func(tx store.Tx) error {
		if err := c.writeDirty(tx); err != nil {
			return err
		}
		return store.PutFact(tx, store.FactRemembered, c.folded)
	})
	if err != nil {
		return fmt.Errorf("commit memory: %w", err)
	}
	clear(c.dirty)
	c.remembered = c.folded
	c.e.rememberedNow.Store(c.remembered)
	c.e.opt.Events.Folded(c.remembered)
	return nil
}
