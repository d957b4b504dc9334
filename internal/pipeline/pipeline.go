package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// Config says what to run over what.
type Config struct {
	Engine    *detect.Engine
	Catalogue *ecs.Catalogue
	Enricher  cloudtrail.Enricher // may be nil

	// Workers is the number of goroutines that read and match; 0: one per core. It
	// changes the speed and nothing else.
	Workers int
	// From and To bound the event times of alerts, From included, To not. Events
	// before From are history: read, remembered, never alerted. Zero: no bound.
	From, To time.Time
	// Learn is how long from the earliest event on everything is history only.
	Learn time.Duration
	// Memory is about how many bytes hits may take before they go to temporary
	// files in TempDir; 0: 128 MiB. TempDir "" is the system's.
	Memory  int64
	TempDir string
	Limits  cloudtrail.Limits
	Strict  bool

	// Problem, if not nil, gets every problem of the input. It is called from many
	// goroutines.
	Problem func(cloudtrail.Problem)
	// Progress, if not nil, is kept up to date while the run lasts.
	Progress *Progress
}

// Progress counts what has been done so far. It is safe for concurrent use.
type Progress struct {
	Objects, InBytes, Records, Hits atomic.Int64
}

// Run reads every object, matches every record against every rule and reduces the
// hits to findings. What comes back does not depend on the order of the objects, on
// how records are spread over them, on how often each is there, nor on the number of
// workers. The caller closes the Result.
func Run(ctx context.Context, cfg Config, objects iter.Seq2[Object, error]) (*Result, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Memory <= 0 {
		cfg.Memory = 128 << 20
	}
	r := &run{cfg: cfg, seed: maphash.MakeSeed(), result: &Result{cfg: cfg}}
	if err := r.read(ctx, objects); err != nil {
		return nil, errors.Join(err, r.result.Close())
	}
	if err := r.reduce(ctx); err != nil {
		return nil, errors.Join(err, r.result.Close())
	}
	return r.result, nil
}

type run struct {
	cfg     Config
	seed    maphash.Seed
	workers []*worker
	result  *Result
}

// read is the map phase: objects to hits, in parallel.
func (r *run) read(ctx context.Context, objects iter.Seq2[Object, error]) error {
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan Object, 2*r.cfg.Workers)
	var failed []Failure
	g.Go(func() error {
		defer close(work)
		for o, err := range objects {
			var f *Failure
			switch {
			case errors.As(err, &f):
				failed = append(failed, *f)
				continue
			case err != nil:
				return err
			}
			select {
			case work <- o:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for i := range r.cfg.Workers {
		w := r.newWorker(uint32(i)) //nolint:gosec // a small number
		r.workers = append(r.workers, w)
		r.result.spools = append(r.result.spools, w.spool)
		g.Go(func() error {
			for o := range work {
				if err := w.object(ctx, o); err != nil {
					return err
				}
			}
			return w.drain()
		})
	}
	err := g.Wait()
	for _, f := range failed {
		r.result.Stats.problem(cloudtrail.Problem{Input: f.Path, Rejected: true, Code: f.Code, Message: f.Message}, r.cfg.Problem)
	}
	if err != nil {
		r.closeSorters()
		return err
	}
	return nil
}

func (r *run) closeSorters() {
	for _, w := range r.workers {
		_ = w.sorter.close()
	}
}

// reduce is the shuffle and reduce phase: hits to findings to signals.
func (r *run) reduce(ctx context.Context) error {
	defer r.closeSorters()
	res := r.result
	st := &res.Stats
	st.Rules = make([]RuleStats, len(r.cfg.Engine.Rules))
	var list []stream
	cov := newCoverage()
	dups := newDuplicates(duplicateSlots)
	for _, w := range r.workers {
		list = append(list, w.sorter.streams()...)
		cov.merge(w.coverage)
		dups.merge(w.duplicates)
		st.merge(&w.stats)
		st.Conflicts += w.fold.Conflicts
		for rule, n := range w.matcher.Excess() {
			st.Rules[rule].Excess += n
		}
	}
	res.ledger = newLedger(cov)
	st.Zones = res.ledger.list()
	st.Duplicates, st.DuplicatesExact = dups.total()

	hits, err := newMerge((*detect.Hit).Compare, list)
	if err != nil {
		return err
	}
	findings := &sorter{dir: r.cfg.TempDir, limit: r.hitBudget(), compare: (*detect.Hit).CompareTime}
	defer func() { _ = findings.close() }()
	if err := r.groups(ctx, hits, findings); err != nil {
		return err
	}
	sorted, err := newMerge((*detect.Hit).CompareTime, findings.streams())
	if err != nil {
		return err
	}
	return res.signals(ctx, sorted, r.start(st))
}

// start returns T0 in nanoseconds: what begins before it is learned, not alerted.
func (r *run) start(st *Stats) int64 {
	t0 := int64(minTime)
	if !r.cfg.From.IsZero() {
		t0 = r.cfg.From.UnixNano()
	}
	if r.cfg.Learn > 0 && st.Records > 0 {
		t0 = max(t0, st.First.Add(r.cfg.Learn).UnixNano())
	}
	if t0 != minTime {
		st.Start = time.Unix(0, t0).UTC()
	}
	return t0
}

// groups gives each group's hits to its detector.
func (r *run) groups(ctx context.Context, hits *merge, findings *sorter) error {
	h, ok, err := hits.next()
	for n := 0; ok && err == nil; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		first := h
		var ferr error
		conflicts := r.cfg.Engine.Reduce(func(yield func(*detect.Hit) bool) {
			for ok && err == nil && h.SameGroup(&first) {
				current := h
				if !yield(&current) {
					return
				}
				h, ok, err = hits.next()
			}
		}, func(f detect.Hit) {
			if ferr == nil {
				ferr = findings.add(&f)
			}
		})
		r.result.Stats.Conflicts += conflicts
		if ferr != nil {
			return ferr
		}
		for ok && err == nil && h.SameGroup(&first) { // what the detector did not read
			h, ok, err = hits.next()
		}
	}
	if err != nil {
		return fmt.Errorf("merge hits: %w", err)
	}
	return nil
}

// hitBudget returns how many hits one sorter may hold in memory.
func (r *run) hitBudget() int {
	const hitSize = 160
	return int(max(r.cfg.Memory/2/int64(r.cfg.Workers+1)/hitSize, 1024))
}

// foldBudget returns how many episodes one fold may hold.
func (r *run) foldBudget() int {
	const episodeSize = 260 // with its share of the index
	return int(max(r.cfg.Memory/int64(r.cfg.Workers)/episodeSize, 1024))
}
