package serve

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
)

const defaultInterval = 5 * time.Minute

// Options say what an engine works on. DB, Events, Encode, Catalogue, Now and Log are
// required.
type Options struct {
	DB     store.DB
	Events store.Events
	// Encode makes a frame ready for Events; it is safe for concurrent use.
	Encode    func(*store.Frame) (store.Encoded, error)
	Rules     []Rule
	Catalogue *ecs.Catalogue
	Enricher  cloudtrail.Enricher // may be nil
	Limits    cloudtrail.Limits
	Workers   int // 0: one per core

	// Start is T0 of a store that is made now: what begins before is learned. Zero: from
	// the beginning. The store keeps it; later values are not looked at.
	Start time.Time
	// Provisional holds back notifications of new-terms alerts of a store that is made
	// now until [Engine.Release]. The store keeps that, too.
	Provisional bool
	// MaxFuture is how far an event may be ahead of its arrival; 0: 15 minutes.
	MaxFuture time.Duration
	// Remember is how long at most what changes often stays in memory only; 0: 30 s.
	Remember time.Duration

	// Triage makes alerts due to be investigated when they are new, and when they have
	// come to stand for other events.
	Triage bool

	// Route puts the messages about an alert into the outbox, in the transaction that
	// holds the alert. It may be nil. It may set the alert's Windows.
	Route func(tx store.Tx, n Notice) error

	Now func() time.Time
	Log *slog.Logger
}

// A Notice is that something about an alert is to be told.
type Notice struct {
	Kind  string // new, reopened, withdrawn, capped, health
	Alert *store.Alert
	// Document is the alert's, as JSON; nil for capped.
	Document []byte
	// Capped is what a rule found in an interval beyond its max_signals.
	Capped *Capped
}

// Capped tells of an interval with more findings than the rule's max_signals.
type Capped struct {
	RuleID, RuleName string
	Start            time.Time
	Signals          int64 // let through
	Withheld         int64
	Principals       []string // of those withheld, the first few
}

// An Engine takes deliveries for ever. It is a [source.Sink], safe for concurrent use.
type Engine struct {
	opt    Options
	zone   zoneFields
	seed   maphash.Seed
	recent *recent
	rules  atomic.Pointer[ruleset]
	stats  stats

	tasks    chan *task
	chunks   chan *chunk
	groups   chan []*chunk
	calls    chan call     // work between two commits
	closing  chan struct{} // closed when Run ends: nothing more is taken
	inflight sync.Map      // object id of a task: it is being read

	committer *committer
	keys      []store.RuleKey // of rules, in the engine's order; the committer's
	start     int64           // T0
	failed    atomic.Pointer[error]
	troubles  sync.Map // source name: string
	reload    sync.Mutex
	learnsBy  int // events that a rebuild folds at once
	running   atomic.Bool

	late          lateness
	provisional   atomic.Bool
	watermark     atomic.Int64 // latest event time that was not ahead of its arrival; 0: none
	foldedNow     atomic.Int64 // what the committer has, for whoever asks
	rememberedNow atomic.Int64
}

// call is something to be done by the committer, between two commits.
type call struct {
	do   func() error
	done chan error
}

var _ source.Sink = (*Engine)(nil)

// Open makes an engine of a store: it folds what the log has and the database has
// not, and rebuilds the memory of rules that changed. Close it after Run has ended;
// the database and the events stay open.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.MaxFuture <= 0 {
		o.MaxFuture = late
	}
	if o.Remember <= 0 {
		o.Remember = 30 * time.Second
	}
	e := &Engine{
		opt: o, zone: newZoneFields(o.Catalogue), seed: maphash.MakeSeed(), recent: newRecent(),
		tasks: make(chan *task), chunks: make(chan *chunk, o.Workers), groups: make(chan []*chunk),
		calls: make(chan call), closing: make(chan struct{}), learnsBy: learnsBy,
	}
	e.committer = newCommitter(e)
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	set, missing, err := e.plan(ctx, o.Rules)
	if err != nil {
		return nil, err
	}
	e.rules.Store(set)
	if err := e.replay(ctx); err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		// Nothing runs yet, so the versions that are missing can be made here.
		err = e.rebuild(ctx, o.Rules, missing, func(f func() error) error { return f() })
	} else {
		// A version that is not among the rules learns nothing from now on.
		err = e.swap(ctx, o.Rules, set)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// begin reads or makes the facts of the store.
func (e *Engine) begin(ctx context.Context) error {
	return e.opt.DB.Update(ctx, func(tx store.Tx) error {
		var created time.Time
		had, err := store.Fact(tx, store.FactCreated, &created)
		if err != nil {
			return err
		}
		start := e.opt.Start
		provisional := e.opt.Provisional
		if had {
			provisional = false
			if _, err := store.Fact(tx, store.FactStart, &start); err != nil {
				return err
			}
			if _, err := store.Fact(tx, store.FactProvisional, &provisional); err != nil {
				return err
			}
		} else {
			if err := store.PutFact(tx, store.FactProvisional, provisional); err != nil {
				return err
			}
			if err := store.PutFact(tx, store.FactCreated, e.opt.Now().UTC()); err != nil {
				return err
			}
			if err := store.PutFact(tx, store.FactStart, start.UTC()); err != nil {
				return err
			}
		}
		e.provisional.Store(provisional)
		e.start = minTime
		if !start.IsZero() {
			e.start = start.UnixNano()
		}
		if _, err := store.Fact(tx, store.FactFolded, &e.committer.folded); err != nil {
			return err
		}
		if _, err := store.Fact(tx, store.FactRemembered, &e.committer.remembered); err != nil {
			return err
		}
		if end := e.opt.Events.End(); e.committer.folded > end {
			return fmt.Errorf("the database has folded the event log up to %d, but the log ends at %d: "+
				"its end was lost; restore both from one backup: %w", e.committer.folded, end, store.ErrDamaged)
		}
		e.foldedNow.Store(e.committer.folded)
		e.rememberedNow.Store(e.committer.remembered)
		return e.interrupted(tx)
	})
}

// interrupted closes the runs that a crash has left open.
func (e *Engine) interrupted(tx store.Tx) error {
	var open []*store.Run
	for r, err := range store.RunsBy(tx) {
		if err != nil {
			return err
		}
		if r.Status == store.RunRunning {
			open = append(open, r)
		}
	}
	for _, r := range open {
		r.Status, r.Ended, r.Error = store.RunInterrupted, e.opt.Now().UTC(), "the process ended"
		if err := store.PutRun(tx, r); err != nil {
			return err
		}
	}
	return nil
}

// T0 is the start of alerting; zero: from the beginning.
func (e *Engine) T0() time.Time {
	if e.start == minTime {
		return time.Time{}
	}
	return time.Unix(0, e.start).UTC()
}

// Run works until ctx ends, then commits what it has taken and returns nil. It returns
// an error when it cannot go on, which is when the log or the database cannot be
// written: what was not done will be delivered again.
func (e *Engine) Run(ctx context.Context) error {
	// Behind the readers everything runs to its end: what is appended is committed.
	back, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	e.running.Store(true)
	defer e.running.Store(false)
	var readers errgroup.Group
	for range e.opt.Workers {
		readers.Go(func() error {
			r := e.newReader()
			for {
				select {
				case t := <-e.tasks:
					r.read(ctx, t)
				case <-ctx.Done():
					return nil
				case <-back.Done():
					return nil
				}
			}
		})
	}
	var rest errgroup.Group
	rest.Go(func() error {
		defer close(e.groups)
		return e.append(back)
	})
	rest.Go(func() error {
		err := e.commit(back)
		if err != nil {
			cancel(err)
		}
		return err
	})
	readersDone := make(chan struct{})
	go func() {
		_ = readers.Wait() // readers return nil
		close(readersDone)
	}()
	failed := make(chan error, 1)
	go func() { failed <- rest.Wait() }()
	select {
	case <-readersDone:
	case err := <-failed:
		cancel(err)
		close(e.closing)
		<-readersDone
		e.drain()
		return err
	}
	close(e.chunks)
	err := <-failed
	close(e.closing)
	e.drain()
	return err
}

// drain ends the deliveries that nobody will take any more.
func (e *Engine) drain() {
	for {
		select {
		case t := <-e.tasks:
			t.outcome.Err = context.Canceled
			e.done(t)
		case c := <-e.calls:
			c.done <- context.Canceled
		default:
			return
		}
	}
}

// done ends a delivery.
func (e *Engine) done(t *task) {
	if t.Object != nil {
		e.inflight.Delete(t.id)
	}
	if t.outcome.Err != nil && !errors.Is(t.outcome.Err, context.Canceled) {
		e.stats.failedDeliveries.Add(1)
	}
	if t.Done != nil {
		t.Done(t.outcome)
	}
}

// Close lets go of the engine.
func (e *Engine) Close() error { return nil }

// between runs f on the committer's goroutine, between two commits, or here if the
// engine does not run.
func (e *Engine) between(ctx context.Context, f func() error) error {
	c := call{f, make(chan error, 1)}
	select {
	case e.calls <- c:
	case <-e.closing:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // of the caller's context
	}
	return <-c.done
}
