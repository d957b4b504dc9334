package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/debutsec/debut/internal/source"
)

const (
	maxParked = 1000
	maxBody   = 16 << 10 // of a parked message, bytes
	// retriesAtOnce bounds the parked messages that are tried again side by side.
	retriesAtOnce = 16
)

// parked guards the list of parked messages.
type parked struct {
	mu     sync.Mutex // one message is parked, or taken from the list, at a time
	trying sync.Map   // ids of those that are tried again just now
}

// position reads what the sink keeps for the source.
func (r *run) position(ctx context.Context) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) { return r.sink.Position(ctx, r.o.Name, name) }
}

// park keeps the message with the reason, and forgets the oldest beyond maxParked.
func (r *run) park(ctx context.Context, m message, reason error) error {
	body := m.body
	if len(body) > maxBody {
		body = strings.ToValidUTF8(body[:maxBody], "")
	}
	err := r.putParked(ctx, &source.Parked{
		ID: m.id, Reason: reason.Error(), Body: body, Size: len(m.body), Sent: m.sent, Parked: r.o.Now().UTC(), Receives: m.receives,
	})
	if err == nil {
		r.stats.parked.Add(1)
	}
	return err
}

func (r *run) putParked(ctx context.Context, p *source.Parked) error {
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	r.parked.mu.Lock()
	defer r.parked.mu.Unlock()
	ids, err := source.ParkedIDs(r.position(ctx))
	if err != nil {
		return err
	}
	values := map[string][]byte{}
	if !slices.Contains(ids, p.ID) {
		ids = append(ids, p.ID)
	}
	for len(ids) > maxParked {
		values[source.ParkedName(ids[0])] = nil
		ids = ids[1:]
	}
	values[source.ParkedName(p.ID)] = value
	if err := r.setParked(ctx, ids, values); err != nil {
		return err
	}
	r.log.Warn("message parked", "message", p.ID, "reason", p.Reason)
	return nil
}

// setParked writes the list and messages together.
func (r *run) setParked(ctx context.Context, ids []string, values map[string][]byte) (err error) {
	values[source.ParkedList] = nil
	if len(ids) > 0 {
		if values[source.ParkedList], err = json.Marshal(ids); err != nil {
			return err
		}
	}
	return r.sink.SetPositions(ctx, r.o.Name, values)
}

func (r *run) unpark(ctx context.Context, id string) error {
	r.parked.mu.Lock()
	defer r.parked.mu.Unlock()
	ids, err := source.ParkedIDs(r.position(ctx))
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(x string) bool { return x == id })
	return r.setParked(ctx, ids, map[string][]byte{source.ParkedName(id): nil})
}

// again asks for parked messages to be tried again.
type again struct {
	ids  []string
	done chan retried // has room for all
}

type retried struct {
	id  string
	err error
}

// Retry tries parked messages again and waits until ctx ends at most; those that take
// longer go on. It returns what became of the others, by id: nil, so everything in the
// message is durable and it is gone, or why it stays. An error is that the source does
// not run. A message of which the process is killed before it is gone is there still,
// and what was read is not read twice.
func (s *Source) Retry(ctx context.Context, ids []string) (map[string]error, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	a := again{ids: ids, done: make(chan retried, len(ids))}
	select {
	case s.again <- a:
	case <-ctx.Done():
		return nil, fmt.Errorf("source %s does not run", s.o.Name)
	}
	out := map[string]error{}
	for len(out) < len(ids) {
		select {
		case x := <-a.done:
			out[x.id] = x.err
		case <-ctx.Done():
			return out, nil
		}
	}
	return out, nil
}

// retryParked does what Retry asks for, until ctx ends.
func (r *run) retryParked(ctx context.Context) {
	slots := make(chan struct{}, retriesAtOnce)
	for {
		var a again
		select {
		case a = <-r.again:
		case <-ctx.Done():
			return
		}
		for _, id := range a.ids {
			r.wg.Go(func() {
				select {
				case slots <- struct{}{}:
					a.done <- retried{id, r.retry(ctx, id)}
					<-slots
				case <-ctx.Done():
					a.done <- retried{id, ctx.Err()}
				}
			})
		}
	}
}

// retry tries one parked message again. It is taken from the list, or the list has the
// new reason, before retry returns.
func (r *run) retry(ctx context.Context, id string) error {
	if _, busy := r.parked.trying.LoadOrStore(id, true); busy {
		return errors.New("it is being tried already")
	}
	defer r.parked.trying.Delete(id)
	p, err := source.GetParked(r.position(ctx), id)
	switch {
	case err != nil:
		return err
	case p == nil:
		return errors.New("it is not parked any more")
	case p.Cut():
		return fmt.Errorf("only the first %d of its %d bytes were kept, so it cannot be tried; listings find what it announced", len(p.Body), p.Size)
	}
	f := r.process(message{id: p.ID, body: p.Body, sent: p.Sent})
	switch {
	case ctx.Err() != nil: // it stays as it is
		return ctx.Err()
	case f.err == nil:
		return r.unpark(ctx, id)
	}
	p.Reason, p.Parked = f.err.Error(), r.o.Now().UTC()
	return errors.Join(f.err, r.putParked(ctx, p))
}
