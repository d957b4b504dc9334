package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/cloudtrail"
)

const (
	batchSize = 10 // messages in a request, the most that SQS takes
	receivers = 4  // requests for messages at a time
	// maxReceives is how often a message may come before it is not tried any more.
	maxReceives = 25
	partingTime = 10 * time.Second
	// requestTimeout is more than SQS waits for messages.
	requestTimeout = time.Minute
)

// A post is the side of a run that reads the queue.
type post struct {
	*run
	handlers sync.WaitGroup
	turn     chan struct{} // held by the receiver that waits for room, or two would wait for each other
	room     chan struct{} // one for each message at work
	done     chan string   // receipts to delete

	mu     sync.Mutex
	atWork map[string]struct{} // receipts to keep invisible
}

// readQueue receives until ctx ends and every message that it received is done with.
func (r *run) readQueue(ctx context.Context) {
	p := &post{
		run: r, turn: make(chan struct{}, 1), room: make(chan struct{}, max(r.o.Concurrency, batchSize)),
		done: make(chan string, 4*batchSize), atWork: map[string]struct{}{},
	}
	// Deleting and extending go on until the last message is done.
	after := context.WithoutCancel(ctx)
	var receiving, rest sync.WaitGroup
	for range receivers {
		receiving.Go(func() { p.receive(ctx) })
	}
	rest.Go(func() { p.remove(after) })
	keeping, stop := context.WithCancel(after)
	rest.Go(func() { p.keep(keeping) })
	receiving.Wait()
	p.handlers.Wait()
	close(p.done)
	stop()
	rest.Wait()
}

func (p *post) receive(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		if !p.reserve(ctx, batchSize) {
			return
		}
		limited, cancel := context.WithTimeout(ctx, requestTimeout)
		list, err := p.queue.receive(limited)
		cancel()
		p.release(batchSize - len(list))
		switch {
		case ctx.Err() != nil && len(list) == 0:
			return
		case err != nil:
			failures++
			if failures >= 2 {
				p.trouble.set("queue", fmt.Errorf("%w (listings go on)", err))
			}
			if sleep(ctx, backoff(failures, time.Second, time.Minute)) != nil {
				return
			}
			continue
		}
		failures = 0
		p.trouble.clear("queue")
		p.stats.messages.Add(int64(len(list)))
		for _, m := range list {
			p.mu.Lock()
			p.atWork[m.receipt] = struct{}{}
			p.mu.Unlock()
			p.handlers.Go(func() {
				defer p.release(1)
				p.handle(ctx, m)
			})
		}
	}
}

// reserve takes room for n messages.
func (p *post) reserve(ctx context.Context, n int) bool {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return false
	}
	for i := range n {
		select {
		case p.room <- struct{}{}:
		case <-ctx.Done():
			p.release(i)
			return false
		}
	}
	return true
}

func (p *post) release(n int) {
	for range n {
		<-p.room
	}
}

// handle brings all objects of a message to the sink, and then deletes the message,
// parks it or gives it back.
func (p *post) handle(ctx context.Context, m message) {
	f := p.process(m)
	p.forget(m)
	if f.park {
		if err := p.park(ctx, m, f.err); err != nil {
			p.log.Warn("message not parked; it comes again", "message", m.id, "err", err)
			return
		}
	}
	if f.wait == never {
		p.done <- m.receipt
		return
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	if err := p.queue.extend(end, []string{m.receipt}, f.wait); err != nil {
		p.log.Debug("message not given back; it comes again after its time", "message", m.id, "err", err)
	}
}

// A fate is what is to become of a message.
type fate struct {
	wait time.Duration // until it should come again
	park bool
	err  error // why not everything in it was read, nil if it was
}

// never is when a message that is done with should come again.
const never = time.Duration(-1)

// process brings all objects of a message to the sink.
func (r *run) process(m message) fate {
	n, err := parseNotice(m.body)
	if err != nil {
		return fate{wait: never, park: true, err: err}
	}
	r.stats.ignored.Add(int64(n.other))
	var items []item
	for _, ref := range n.refs {
		it, ok := r.wanted(ref)
		if !ok {
			r.stats.ignored.Add(1)
			continue
		}
		if it.at.IsZero() {
			it.at = m.sent
		}
		items = append(items, it)
	}
	if len(items) > 0 && m.receives > maxReceives {
		return fate{wait: never, park: true, err: fmt.Errorf("it was received %d times and never done with", m.receives)}
	}
	flights := make([]*flight, len(items))
	for i, it := range items {
		flights[i] = r.fetch(it)
	}
	out := fate{wait: never}
	for i, f := range flights {
		err := f.wait()
		if err == nil {
			continue
		}
		out.err = cmp.Or(out.err, err)
		switch {
		case errors.Is(err, errGivenUp) && !r.listed(&items[i]):
			out.wait = max(out.wait, min(time.Minute<<min(m.receives, 12), maxVisibility))
		case errors.Is(err, errGivenUp) && items[i].etag == "":
			out.park, out.err = true, err
		case errors.Is(err, errGivenUp):
			// The ledger has it and listings find it again.
		default: // the end of the run
			out.wait = max(out.wait, 0)
		}
	}
	out.park = out.park && out.wait == never
	return out
}

// wanted says whether an announced object is to be read.
func (s *Source) wanted(ref ref) (item, bool) {
	if ref.bucket != s.o.Bucket || !s.inPrefix(ref.key) {
		return item{}, false
	}
	k, ok := s.readable(ref.key)
	if !ok {
		return item{}, false
	}
	return item{key: ref.key, etag: ref.etag, at: ref.at, k: k, foundBy: "notification"}, true
}

func (s *Source) inPrefix(key string) bool {
	return len(s.o.Prefixes) == 0 || slices.ContainsFunc(s.o.Prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// readable reads the name of an object that holds records, or a digest if those are
// read, and was delivered at or after the start.
func (s *Source) readable(key string) (*cloudtrail.Key, bool) {
	k, ok := cloudtrail.ParseKey(key)
	if !ok || k.Account == "" || !s.isKind(k.Kind) || k.Day.Before(day(s.o.Start)) {
		return nil, false
	}
	return &k, true
}

func (s *Source) isKind(kind string) bool {
	switch kind {
	case "CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity":
		return true
	case "CloudTrail-Digest":
		return s.o.Digests
	}
	return false
}

// listed says whether a listing finds the object.
func (s *Source) listed(it *item) bool {
	_, _, ok := branchOf(it.key)
	return ok && !it.k.Day.Before(day(s.o.Now()).AddDate(0, 0, 1-horizonDaily))
}

func (p *post) forget(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.atWork, m.receipt)
}

// remove deletes in batches, until done is closed.
func (p *post) remove(ctx context.Context) {
	for receipt := range p.done {
		batch := append(make([]string, 0, batchSize), receipt)
		t := time.NewTimer(100 * time.Millisecond)
	collect:
		for len(batch) < batchSize {
			select {
			case r, ok := <-p.done:
				if !ok {
					break collect
				}
				batch = append(batch, r)
			case <-t.C:
				break collect
			}
		}
		t.Stop()
		p.removeBatch(ctx, batch)
	}
}

// removeBatch tries a few times. A message that stays comes again, and then the sink
// has seen its objects.
func (p *post) removeBatch(ctx context.Context, batch []string) {
	for n := 1; ; n++ {
		end, cancel := context.WithTimeout(ctx, partingTime)
		err := p.queue.remove(end, batch)
		cancel()
		if err == nil {
			p.stats.deleted.Add(int64(len(batch)))
			return
		}
		if n == 3 {
			p.log.Warn("messages not deleted; they come again", "messages", len(batch), "err", err)
			return
		}
		if sleep(ctx, backoff(n, 200*time.Millisecond, time.Second)) != nil {
			return
		}
	}
}

// keep hides the messages at work from others, until ctx ends.
func (p *post) keep(ctx context.Context) {
	tick := time.NewTicker(p.o.VisibilityTimeout / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		all := make([]string, 0, len(p.atWork))
		for r := range p.atWork {
			all = append(all, r)
		}
		p.mu.Unlock()
		for batch := range slices.Chunk(all, batchSize) {
			if err := p.queue.extend(ctx, batch, p.o.VisibilityTimeout); err != nil && ctx.Err() == nil {
				p.log.Debug("messages not kept; they may come again", "messages", len(batch), "err", err)
			}
		}
	}
}
