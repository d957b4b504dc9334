package pipeline

import (
	"context"
	"errors"
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
	// before From are history: read, remembered, never alerted; those at or after To
	// are counted and not looked at. Zero: no bound.
	From, To time.Time
	// Learn is how long from the earliest event on everything is history only. With
	// From too, the later of the two starts counts.
	Learn time.Duration
	// Memory is about how many bytes hits and findings may take before they go to
	// temporary files in TempDir; 0: 128 MiB. TempDir "" is the system's.
	Memory  int64
	TempDir string
	Limits  cloudtrail.Limits
	Strict  bool

	// Each, if not nil, gets every event that is looked at, from the goroutine of the
	// worker with that number; an error ends the run.
	Each func(worker int, e *Each) error
	// Problem, if not nil, gets every problem of the input. It is called from many
	// goroutines.
	Problem func(cloudtrail.Problem)
	// Progress, if not nil, is kept up to date while the run lasts.
	Progress *Progress
}

// Each is an event as it is read. It is valid until the function that gets it returns.
type Each struct {
	Account, Region string
	Time            int64 // nanoseconds since 1970
	ID              ecs.ID
	Raw             []byte
	Document        bool // an ECS document, not a CloudTrail record
}

// Progress counts what has been done so far. It is safe for concurrent use.
type Progress struct {
	Objects, InBytes, Records, Hits atomic.Int64
}

// Run reads every object, matches every record against every rule and reduces the
// hits to findings. What comes back does not depend on the order of the objects, on
// how records are spread over them, on how often each is there, nor on the number of
// workers. An object that cannot be read, or only in part, is a problem in the
// Stats; an error is that of ctx, of the iterator or of a temporary file. The caller
// closes the Result.
func Run(ctx context.Context, cfg Config, objects iter.Seq2[Object, error]) (*Result, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Memory <= 0 {
		cfg.Memory = 128 << 20
	}
	r := &run{cfg: cfg, seed: maphash.MakeSeed(), result: &Result{cfg: cfg}}
	err := r.read(ctx, objects)
	if err == nil {
		err = r.reduce(ctx)
	}
	for _, w := range r.workers {
		err = errors.Join(err, w.sorter.close())
	}
	if err != nil {
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
		w := r.newWorker(uint32(i))
		r.workers = append(r.workers, w)
		r.result.spools = append(r.result.spools, w.spool)
		g.Go(func() error {
			for o := range work {
				if err := w.object(ctx, o); err != nil {
					return err
				}
			}
			return w.finish()
		})
	}
	err := g.Wait()
	st := &r.result.Stats
	for _, f := range failed {
		st.Rejected++
		st.problem(cloudtrail.Problem{Input: f.Path, Rejected: true, Code: f.Code, Message: f.Message}, r.cfg.Problem)
	}
	return err
}

// least is how many values are held whatever the budget.
const least = 8

// Shares of Config.Memory: the workers' folds and sorters, then the sorters of the
// findings and what is read ahead of the files. The folds are gone when the reducing
// begins.
func (r *run) foldBudget() int {
	return int(max(r.cfg.Memory/2/int64(r.cfg.Workers)/detect.EpisodeSize, least))
}

func (r *run) hitBudget() int {
	const size = 160 // of a hit
	return int(max(r.cfg.Memory/4/int64(r.cfg.Workers)/size, least))
}

func (r *run) findings(compare func(a, b *found) int) *sorter[found] {
	const size = 220 // of a finding
	limit := int(max(r.cfg.Memory/12/size, least))
	return &sorter[found]{dir: r.cfg.TempDir, limit: limit, codec: foundCodec, compare: compare}
}

func (r *run) readAhead() int64 { return r.cfg.Memory / 8 }
