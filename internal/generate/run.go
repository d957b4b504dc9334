package generate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Files beside the objects.
const (
	// SideDir is hidden, so that a scan of the folder does not read the files in it.
	SideDir      = ".truth"
	TruthFile    = "truth.ndjson"
	ArrivalsFile = "arrivals.ndjson"
	// DigestsFile has the signatures of the digests, which S3 keeps beside an object, and
	// KeysFile the public key that they are checked with.
	DigestsFile = "digests.ndjson"
	KeysFile    = "public-keys.json"
	// ParamsFile is written last: without it the trail is not whole.
	ParamsFile = "params.json"
)

// Counts are sums over what was written.
type Counts struct {
	Records    int64 `json:"records"` // with duplicates
	Duplicates int64 `json:"duplicates"`
	Objects    int64 `json:"objects"` // without digest files
	Raw        int64 `json:"raw"`     // bytes before compression
	Bytes      int64 `json:"bytes"`   // bytes of the objects
}

func (c *Counts) add(d Counts) {
	c.Records += d.Records
	c.Duplicates += d.Duplicates
	c.Objects += d.Objects
	c.Raw += d.Raw
	c.Bytes += d.Bytes
}

// A Summary is what a run made.
type Summary struct {
	Counts
	Verdicts int64 `json:"verdicts"` // lines of the truth
	Alerts   int64 `json:"alerts"`   // of them, those that must alert
	// Config is what the trail was made from, with all that was derived.
	Config Config `json:"-"`
	// Truth is the path of the truth file.
	Truth string `json:"-"`
}

// Run makes a trail in dir, which must be empty or not exist. It tells progress, if not
// nil, what was written so far, from one goroutine at a time and often. When it fails,
// or ctx ends, dir is left as it is, without its parameters file.
func Run(ctx context.Context, cfg Config, dir string, progress func(Counts)) (Summary, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return Summary{}, err
	}
	if err := prepare(dir); err != nil {
		return Summary{}, err
	}
	r := &run{cfg: &cfg, plan: newPlan(&cfg), dir: dir, side: filepath.Join(dir, SideDir), progress: progress}
	r.sum.Config, r.sum.Truth = cfg, filepath.Join(r.side, TruthFile)
	if cfg.Digests {
		if r.signer, err = newSigner(); err != nil {
			return r.sum, fmt.Errorf("generate %s: %w", dir, err)
		}
	}
	for _, step := range []func(context.Context) error{r.writeTruth, r.writeObjects, r.writeParams} {
		if err := step(ctx); err != nil {
			return r.sum, fmt.Errorf("generate %s: %w", dir, err)
		}
	}
	return r.sum, nil
}

// ErrNotEmpty is returned for a folder that holds something already.
var ErrNotEmpty = errors.New("the folder is not empty")

// prepare makes dir and its side folder, if dir is empty or does not exist.
func prepare(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("generate into %s: %w", dir, err)
	case len(entries) > 0:
		hint := "choose another one"
		if _, err := os.Stat(filepath.Join(dir, SideDir)); err == nil {
			hint = "it holds a generated trail; remove it or choose another one"
			if _, err := os.Stat(filepath.Join(dir, SideDir, ParamsFile)); errors.Is(err, fs.ErrNotExist) {
				hint = "it holds a trail that was not finished; remove it or choose another one"
			}
		}
		return fmt.Errorf("generate into %s: %w: %s", dir, ErrNotEmpty, hint)
	}
	err = os.MkdirAll(filepath.Join(dir, SideDir), 0o755) //nolint:gosec // a trail is made to be read
	return explain(err)
}

type run struct {
	cfg       *Config
	plan      *plan
	dir, side string
	signer    *signer // of digests; nil without

	mu       sync.Mutex // guards what follows
	sum      Summary
	progress func(Counts)
}

func (r *run) count(c Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Counts.add(c)
	if r.progress != nil {
		r.progress(r.sum.Counts)
	}
}

// eachAccount works on all accounts, the largest first.
func (r *run) eachAccount(ctx context.Context, work func(ctx context.Context, i int) error) error {
	order := make([]int, r.cfg.Accounts)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(r.plan.weights[j], r.plan.weights[i]) })
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(r.cfg.Workers)
	for _, i := range order {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return work(inner, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (r *run) part(file string, i int) string {
	return filepath.Join(r.side, file+".part"+strconv.Itoa(i))
}

// mergeParts puts the accounts' parts of a file together.
func (r *run) mergeParts(file string, see func([]byte)) error {
	from := make([]string, r.cfg.Accounts)
	for i := range from {
		from[i] = r.part(file, i)
	}
	return mergeLines(filepath.Join(r.side, file), from, see)
}

func (r *run) writeTruth(ctx context.Context) error {
	first := r.plan.firstServices()
	err := r.eachAccount(ctx, func(_ context.Context, i int) error {
		lines, err := r.plan.account(i).truthLines(&first)
		if err != nil {
			return err
		}
		w, err := createLines(r.part(TruthFile, i))
		if err != nil {
			return err
		}
		for _, line := range lines {
			if err = w.write(line); err != nil {
				break
			}
		}
		return errors.Join(err, w.close())
	})
	if err != nil {
		return err
	}
	return r.mergeParts(TruthFile, func(line []byte) {
		r.sum.Verdicts++
		if bytes.HasSuffix(line, []byte("\"alert\":true}\n")) {
			r.sum.Alerts++
		}
	})
}

func (r *run) writeObjects(ctx context.Context) error {
	if err := r.eachAccount(ctx, r.writeAccount); err != nil {
		return err
	}
	if r.cfg.Digests {
		if err := r.mergeParts(DigestsFile, nil); err != nil {
			return err
		}
		if err := r.signer.writePublicKey(r.side, r.cfg); err != nil {
			return err
		}
	}
	return r.mergeParts(ArrivalsFile, nil)
}

func (r *run) writeAccount(ctx context.Context, i int) (err error) {
	a := r.plan.account(i)
	out, err := createLines(r.part(ArrivalsFile, i))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	arr := &arrivals{cfg: r.cfg, out: out}
	obj, err := newObjects(a, r.dir, r.plan.org, arr, r.count)
	if err != nil {
		return err
	}
	var signed *arrivals
	if r.cfg.Digests {
		var sigs *lineWriter
		sigs, err = createLines(r.part(DigestsFile, i))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sigs.close()) }()
		signed = &arrivals{cfg: r.cfg, out: sigs}
		obj.digests = newDigesters(a, r.plan.org, r.signer, signed)
	}
	d := newDelivery(a, obj.write)
	// settle is called when all objects that arrive before t are there.
	settle := func(t int64) error {
		if err := arr.flush(r.cfg.at(t)); err != nil {
			return err
		}
		for _, g := range obj.digests {
			if err := g.until(min(t, r.cfg.end()+hour), obj.store); err != nil {
				return err
			}
		}
		if signed == nil {
			return nil
		}
		return signed.flush(r.cfg.at(t))
	}
	g := &generator{a: a, add: d.add, close: func(k int64) error {
		if err := d.close(k); err != nil {
			return err
		}
		if k%12 != 0 {
			return nil
		}
		return settle(min((k-1)*slot, d.oldest())) // what is still open closes after that
	}}
	if err := g.run(ctx); err != nil {
		return err
	}
	if err := d.end(); err != nil {
		return err
	}
	return settle(r.cfg.end() + day)
}

// params is the content of the parameters file.
type params struct {
	Format       int      `json:"format"`
	Records      int64    `json:"recordsAsked"`
	Seed         uint64   `json:"seed"`
	Start        string   `json:"start"`
	Days         int      `json:"days"`
	Accounts     int      `json:"accounts"`
	Window       string   `json:"window"`
	Overlay      int      `json:"overlay"`
	Skipped      []string `json:"overlaySkipped"` // cases for which the trail is too short
	ServiceShare float64  `json:"serviceShare"`
	DataShare    float64  `json:"dataShare"`
	RareLarge    bool     `json:"rareLarge"`
	SecondTrail  float64  `json:"secondTrail"`
	Repeat       float64  `json:"repeat"`
	Redelivery   float64  `json:"redelivery"`
	PerObject    int      `json:"recordsPerObject"`
	Digests      bool     `json:"digests"`
	Organisation string   `json:"organisation"`
	Summary
}

// formatVersion is that of the side files.
const formatVersion = 1

func (r *run) writeParams(context.Context) error {
	c := r.cfg
	p := params{
		Format: formatVersion, Records: c.Records, Seed: c.Seed, Start: c.at(0).Format("2006-01-02T15:04:05Z"), Days: c.Days,
		Accounts: c.Accounts, Window: seconds(c.window()), Overlay: c.Overlay, Skipped: c.skippedScenarios(), ServiceShare: c.ServiceShare, DataShare: c.DataShare,
		RareLarge: c.RareLarge, SecondTrail: c.Duplicates.SecondTrail, Repeat: c.Duplicates.Repeat, Redelivery: c.Duplicates.Redelivery,
		PerObject: c.RecordsPerObject, Digests: c.Digests, Organisation: r.plan.org, Summary: r.sum,
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(r.side, ParamsFile), append(b, '\n'))
}

// writeFile writes a file that is there whole or not at all.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return explain(err)
	}
	_, err = io.Copy(f, bytes.NewReader(b))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return explain(err)
	}
	return explain(os.Rename(tmp, path))
}
