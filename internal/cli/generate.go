package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/query"
)

// GenerateCmd writes a synthetic trail with known first-seen events.
type GenerateCmd struct {
	Records          int64  `required:"" placeholder:"N" help:"About how many records. Keep-alives and duplicates come on top: a tenth at a million records, more in small trails."`
	Seed             uint64 `default:"1" placeholder:"S" help:"The same seed and sizes give the same bytes (${default})."`
	Days             int    `placeholder:"D" help:"Days that the trail covers; by the number of records if not given."`
	Accounts         int    `placeholder:"A" help:"Accounts of the organisation; by the number of records if not given."`
	Window           string `placeholder:"DURATION" help:"History window that the truth about pairs is for: 0.3 days for each day, at most 36h, if not given."`
	Digests          bool   `help:"Write CloudTrail's hourly digest files too."`
	RecordsPerObject int    `placeholder:"K" help:"Pack so many records into each object, instead of what is delivered in five minutes."`
	Workers          int    `placeholder:"W" help:"Accounts in work at a time; one for each CPU if not given."`
	Dir              string `arg:"" help:"Folder to write to: empty, or not there yet."`
}

// Help is shown below the flags.
func (*GenerateCmd) Help() string {
	return `The trail lies in DIR/AWSLogs, as in a bucket; packed objects lie in DIR/packed. DIR/.truth holds
what is known about it: truth.ndjson (every first sight and every return, with the verdict),
arrivals.ndjson (when each object is there to be read) and params.json, which is written last. The
folder is hidden, so that a scan of DIR reads the logs only.

Examples:
  debut generate --records 10000 trail && debut scan trail
  debut generate --records 1000000 --seed 42 trail                 1.4 GB of JSON, 20 accounts, 5 days
  debut generate --records 1000000 --seed 42 --records-per-object 1000 packed`
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
	case err != nil:
		e := &ExitError{Code: ExitFailed, Err: err}
		if _, err := os.Stat(filepath.Join(c.Dir, generate.SideDir)); err == nil {
			e.Hint = "the trail is not whole: remove " + c.Dir + " before you start again"
		}
		return e
	}
	return printGenerated(env.Stderr, &sum)
}

func (c *GenerateCmd) config() (generate.Config, error) {
	if c.Workers < 0 {
		return generate.Config{}, usagef("--workers %d: give a number above 0", c.Workers)
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
	_, err := fmt.Fprintf(w, `records  %d, %d of them duplicates
objects  %d, %d bytes (%d before compression)
trail    %s, %s from %s
truth    %s: %d verdicts, %d of them alerts
`, sum.Records, sum.Duplicates, sum.Objects, sum.Bytes, sum.Raw, counted(cfg.Accounts, "account"), counted(cfg.Days, "day"),
		cfg.Start.Format(time.DateOnly), sum.Truth, sum.Verdicts, sum.Alerts)
	return err
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
