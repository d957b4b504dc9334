package s3

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is the pause after the nth failure in a row: twice the last one, up to most,
// and anything from half of it on, so that many who wait do not come back together.
func backoff(n int, first, most time.Duration) time.Duration {
	d := most
	if n < 30 {
		d = min(first<<max(n-1, 0), most)
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // it spreads load, it hides nothing
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
