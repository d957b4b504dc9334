package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/query"
)

// GenerateCmd writes a synthetic trail with known first-seen events.
type GenerateCmd struct {
	Records          int64  `required:"" help:"About how many records, before keep-alives and duplicates, which add about a tenth." placeholder:"N"`
	Seed             uint64 `default:"1" help:"The same seed and sizes give the same bytes." placeholder:"S"`
	Days             int    `help:"Days that the trail covers (default: by the number of records)." placeholder:"D"`
	Accounts         int    `help:"Number of accounts (default: by the number of records)." placeholder:"A"`
	Window           string `help:"History window that the truth is for (default: 0.3 days for each day, at most 36h)." placeholder:"DURATION"`
	Digests          bool   `help:"Write CloudTrail's hourly digest files too."`
	RecordsPerObject int    `help:"Pack so many records into each object, instead of what is delivered in five minutes." placeholder:"K"`
	Workers          int    `help:"Accounts in work at a time (default: one for each CPU)." placeholder:"W"`
	Dir              string `arg:"" help:"Empty or new folder to write to." type:"path"`
}

// Help returns what is shown below the flags.
func (*GenerateCmd) Help() string {
	return `The trail lies in DIR/AWSLogs as it would in S3. Beside it, in DIR/.truth, lie
truth.ndjson (every first sight and every return, with the verdict a rule must
reach), arrivals.ndjson (when each object is there to be read) and params.json,
which is written last: a trail without it is not whole. The folder .truth is
hidden, so that a scan of DIR does not read it.

Examples:

  A working week of twenty accounts, 1.2 GB of JSON:
    debut generate --records 1000000 --seed 42 trail

  A small one to try things with, and what is found in it:
    debut generate --records 10000 trail
    debut scan trail

  The same records in large objects:
    debut generate --records 1000000 --seed 42 --records-per-object 1000 packed
`
}

// Run writes the trail.
func (c *GenerateCmd) Run(env *Env) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	var progress func(generate.Counts)
	finish := func() {}
	if env.StderrTTY {
		progress, finish = generateProgress(env.Stderr, c.Records)
	}
	sum, err := generate.Run(env.Context, cfg, c.Dir, progress)
	finish()
	switch {
	case errors.Is(err, generate.ErrConfig), errors.Is(err, generate.ErrNotEmpty):
		return &ExitError{Code: ExitUsage, Err: err}
	case errors.Is(err, context.Canceled):
		return &ExitError{Code: ExitFailed, Err: fmt.Errorf("interrupted: the trail in %s is not whole", c.Dir), Hint: "remove it before you start again"}
	case err != nil:
		return err
	}
	return printGenerated(env.Stderr, &sum)
}

func (c *GenerateCmd) config() (generate.Config, error) {
	switch {
	case c.Days < 0, c.Accounts < 0, c.RecordsPerObject < 0, c.Workers < 0:
		return generate.Config{}, usagef("--days, --accounts, --records-per-object and --workers take numbers above 0")
	}
	cfg := generate.Default(c.Records, c.Seed)
	cfg.Days, cfg.Accounts, cfg.Digests, cfg.RecordsPerObject = c.Days, c.Accounts, c.Digests, c.RecordsPerObject
	if cfg.Workers = c.Workers; cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Window != "" {
		var err error
		if cfg.Window, err = query.ParseDuration(c.Window); err != nil {
			return cfg, usagef("--window: %w", err)
		}
	}
	return cfg, nil
}

// generateProgress shows a bar. The end is an estimate.
func generateProgress(w io.Writer, records int64) (progress func(generate.Counts), finish func()) {
	bar := progressbar.NewOptions64(records+records/10,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("generate"), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("records"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return func(c generate.Counts) { _ = bar.Set64(min(c.Records, bar.GetMax64()-1)) }, func() { _ = bar.Finish() }
}

func printGenerated(w io.Writer, sum *generate.Summary) error {
	cfg := &sum.Config
	_, err := fmt.Fprintf(w, `records     %d, %d of them duplicates
objects     %d, %d bytes (%d before compression)
trail       %d accounts, %d days from %s
truth       %s: %d verdicts, %d of them alerts
`, sum.Records, sum.Duplicates, sum.Objects, sum.Bytes, sum.Raw, cfg.Accounts, cfg.Days, cfg.Start.Format(time.DateOnly),
		sum.Truth, sum.Verdicts, sum.Alerts)
	return err
}
