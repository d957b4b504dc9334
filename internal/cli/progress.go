package cli

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/debutsec/debut/internal/pipeline"
)

// showProgress draws a bar of bytes read, rate and time left while a person looks;
// the returned function removes it. The total is added up beside the scan, by
// looking at sizes only.
func (c *ScanCmd) showProgress(env *Env, p *pipeline.Progress) (stop func()) {
	if !env.StderrTTY || c.Quiet {
		return func() {}
	}
	ctx, cancel := context.WithCancel(env.Context)
	bar := progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(env.Stderr),
		progressbar.OptionSetDescription("reading"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)
	var wg sync.WaitGroup
	wg.Go(func() {
		if total := totalSize(ctx, c.Paths); total > 0 {
			bar.ChangeMax64(total)
		}
	})
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = bar.Set64(p.InBytes.Load()) // only a picture
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		_ = bar.Finish()
	}
}

// totalSize adds up the sizes of the files below paths; 0 if that cannot be known.
func totalSize(ctx context.Context, paths []string) (total int64) {
	for _, pattern := range paths {
		if pattern == "-" {
			return 0
		}
		matches, err := filepath.Glob(pattern)
		if err != nil || len(matches) == 0 {
			return 0
		}
		for _, root := range matches {
			err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return ctx.Err()
				}
				if info, err := d.Info(); err == nil && info.Mode()&os.ModeType == 0 {
					total += info.Size()
				}
				return ctx.Err()
			})
			if err != nil {
				return 0
			}
		}
	}
	return total
}
