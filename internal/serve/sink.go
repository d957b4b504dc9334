package serve

import (
	"context"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
)

// Deliver implements [source.Sink].
func (e *Engine) Deliver(ctx context.Context, d source.Delivery) error {
	t := &task{Delivery: d}
	if d.Object != nil {
		t.id = store.ObjectID(d.Object.Name, d.Object.Version)
		if _, busy := e.inflight.LoadOrStore(t.id, true); busy {
			// Somebody else reads it just now: whoever comes second asks again.
			t.outcome.Err = source.ErrBusy
			if t.Done != nil {
				t.Done(t.outcome)
			}
			return nil
		}
	}
	select {
	case e.tasks <- t:
		return nil
	case <-ctx.Done():
	case <-e.closing:
	}
	if d.Object != nil {
		e.inflight.Delete(t.id)
	}
	if err := ctx.Err(); err != nil {
		return err //nolint:wrapcheck // of the caller's context
	}
	return context.Canceled
}

// Has implements [source.Sink].
func (e *Engine) Has(ctx context.Context, o source.Object) (bool, error) {
	if _, busy := e.inflight.Load(store.ObjectID(o.Name, o.Version)); busy {
		return true, nil
	}
	has := false
	err := e.opt.DB.View(ctx, func(tx store.Tx) error {
		have, err := store.GetObject(tx, o.Name, o.Version)
		has = have != nil && have.State == store.ObjectRead
		return err
	})
	return has, err
}

// Expect implements [source.Sink].
func (e *Engine) Expect(ctx context.Context, list []source.Expected) error {
	return e.opt.DB.Update(ctx, func(tx store.Tx) error {
		for _, x := range list {
			have, err := store.GetObject(tx, x.Name, x.Version)
			if err != nil {
				return err
			}
			if have == nil && x.Version != "" {
				if have, err = store.GetObject(tx, x.Name, ""); err != nil {
					return err
				}
				if have != nil {
					have.Version = x.Version
				}
			}
			switch {
			case have == nil:
				have = &store.Object{
					Name: x.Name, Version: x.Version, Account: x.Account, Region: x.Region,
					Hour: floorDiv(x.Hour.Unix(), 3600), State: store.ObjectExpected,
				}
			case have.Expected:
				continue
			}
			have.Expected = true
			if err := store.PutObject(tx, have); err != nil {
				return err
			}
		}
		return nil
	})
}

// Fail implements [source.Sink].
func (e *Engine) Fail(ctx context.Context, o source.Object, key *cloudtrail.Key, reason string) error {
	e.stats.failedObjects.Add(1)
	return e.opt.DB.Update(ctx, func(tx store.Tx) error {
		have, err := store.GetObject(tx, o.Name, o.Version)
		if err != nil {
			return err
		}
		if have == nil {
			have = &store.Object{Name: o.Name, Version: o.Version, Hour: floorDiv(e.opt.Now().Unix(), 3600)}
			if key != nil {
				have.Account, have.Region = key.Account, key.Region
				have.Hour = floorDiv(deliveredAt(key).Unix(), 3600)
			}
		}
		if have.State == store.ObjectRead {
			return nil
		}
		have.State, have.Reason = store.ObjectFailed, reason
		return store.PutObject(tx, have)
	})
}

// Position implements [source.Sink].
func (e *Engine) Position(ctx context.Context, src, name string) (value []byte, err error) {
	err = e.opt.DB.View(ctx, func(tx store.Tx) error {
		value, err = store.Position(tx, src, name)
		return err
	})
	return value, err
}

// SetPositions implements [source.Sink].
func (e *Engine) SetPositions(ctx context.Context, src string, values map[string][]byte) error {
	return e.opt.DB.Update(ctx, func(tx store.Tx) error {
		for name, value := range values {
			if err := store.PutPosition(tx, src, name, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// trouble is what a source last complained of.
type trouble struct {
	text  string
	since time.Time
}

// Trouble implements [source.Sink].
func (e *Engine) Trouble(src string, err error) {
	if err == nil {
		if old, had := e.troubles.LoadAndDelete(src); had {
			e.opt.Log.Info("source works again", "source", src, "since", old.(trouble).since)
		}
		return
	}
	if old, had := e.troubles.Load(src); had && old.(trouble).text == err.Error() {
		return
	}
	e.troubles.Store(src, trouble{err.Error(), e.opt.Now().UTC()})
	e.opt.Log.Warn("source in trouble", "source", src, "error", err)
}
