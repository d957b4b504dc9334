package notify

import (
	"time"
)

// Delays between attempts.
const (
	firstDelay   = 5 * time.Second // of a channel that is down
	firstRefusal = 10 * time.Minute
	maxDelay     = time.Hour
	maxAfter     = 24 * time.Hour // that another side may ask for
)

// backoff is how long to wait after the n-th failure in a row: twice as long each
// time, up to an hour, half of it by chance so that not everybody comes back at once.
func backoff(first time.Duration, n int, random func() float64) time.Duration {
	d := maxDelay
	if n = max(n, 1); n < 20 {
		d = min(maxDelay, first<<(n-1))
	}
	return d/2 + time.Duration(random()*float64(d/2))
}

// A bucket holds what may be sent at once. It is full at first, and gets one more
// after each interval.
type bucket struct {
	limit Limit
	held  int
	since time.Time // when the one that comes next began to be waited for
}

func newBucket(l Limit, now time.Time) bucket { return bucket{limit: l, held: l.Burst, since: now} }

// available returns how many messages may be sent at now.
func (b *bucket) available(now time.Time) int {
	if now.Before(b.since) { // the clock was set back
		b.since = now
	}
	n := int(min(int64(now.Sub(b.since)/b.limit.Every), int64(b.limit.Burst-b.held)))
	b.held += n
	b.since = b.since.Add(time.Duration(n) * b.limit.Every)
	if b.held == b.limit.Burst {
		b.since = now
	}
	return b.held
}

// take takes one at now.
func (b *bucket) take(now time.Time) {
	if b.available(now) > 0 {
		b.held--
	}
}

// next is when there will be one again.
func (b *bucket) next() time.Time { return b.since.Add(b.limit.Every) }
