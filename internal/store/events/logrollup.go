package events

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// maxLogBatch is how many bytes of records are held while they are looked for in the
// segments.
const maxLogBatch = 16 << 20

// logRollups are the rollups of the events that are in the log only. Each query adds
// the frames that came since the last; when the segments change, all begins again.
type logRollups struct {
	mu     sync.Mutex // guards what follows; taken before Store.mu
	most   int64      // events that are kept; a longer log is summed up for each query
	change uint64     // of the segments that the rollups go with
	upTo   int64      // log offset
	seen   map[logKey]struct{}
	sums   *roller
	damage []Problem // what could not be read

	batch []entry // not counted yet
	size  int     // bytes of their text
}

type logKey struct {
	time int64
	id   ecs.ID
}

// logEvents is how many records are in the log, and whether any may be in the reader's
// window.
func (r *reader) logEvents() (n int64, some bool) {
	for _, p := range r.log {
		n += p.records
		some = some || p.min < r.to && p.max >= r.from
	}
	return n, some
}

// logRollups returns the rollups of the log that q wants. Store.recent.mu is held since
// before r's snapshot was taken.
func (r *reader) logRollups(q *store.RollupQuery) (list []store.Rollup, err error) {
	c := &r.store.recent
	if c.sums == nil || c.change != r.change {
		c.change, c.upTo, c.damage = r.change, r.snapshot.from, nil
		c.batch, c.size = nil, 0
		c.seen, c.sums = map[logKey]struct{}{}, newRoller(r.store.opt.Catalogue, nil)
	}
	defer func() {
		if err != nil {
			c.sums = nil // what is counted by now is not known
		}
	}()
	for i := range r.log {
		if err := r.addLog(c, &r.log[i]); err != nil {
			return nil, err
		}
	}
	if err := r.addBatch(c); err != nil {
		return nil, err
	}
	for _, p := range c.damage {
		r.damaged(p.File, p.Err)
	}
	for i := range c.sums.list {
		if u := &c.sums.list[i].Rollup; q.Wants(&u.RollupKey) {
			list = append(list, *u)
		}
	}
	return list, nil
}

// addLog adds the frames of a log file that are not counted yet.
func (r *reader) addLog(c *logRollups, p *logPart) error {
	if p.logSums.end <= c.upTo {
		return nil
	}
	if err := r.changed(p.path); err != nil {
		return err
	}
	f, err := os.Open(p.path)
	if err != nil {
		c.damage = append(c.damage, Problem{p.path, err})
		c.upTo = p.logSums.end
		return nil
	}
	defer func() { _ = f.Close() }() // only read from
	w := p.walker(f, c.upTo, func(name string, err error) { c.damage = append(c.damage, Problem{name, err}) })
	var d decoder
	for {
		h, at, err := w.next()
		if errors.Is(err, io.EOF) {
			c.upTo = p.logSums.end
			return nil
		}
		if err == nil {
			err = r.ctx.Err()
		}
		if err != nil {
			return err
		}
		b, err := w.payload(&h, at)
		if err != nil {
			return err
		}
		frame, err := d.decode(&h, b)
		if err != nil {
			w.damaged(at, w.pos, err)
			continue
		}
		for i := range frame.Records {
			e := entry{Record: frame.Records[i]}
			key := logKey{e.Time, e.ID}
			if _, ok := c.seen[key]; ok {
				continue
			}
			c.seen[key] = struct{}{}
			e.Raw = bytes.Clone(e.Raw)
			c.batch, c.size = append(c.batch, e), c.size+len(e.Raw)
		}
		if c.size >= maxLogBatch {
			if err := r.addBatch(c); err != nil {
				return err
			}
		}
	}
}

// addBatch counts the events of the batch that are in no segment.
func (r *reader) addBatch(c *logRollups) error {
	if len(c.batch) == 0 {
		return nil
	}
	slices.SortFunc(c.batch, func(a, b entry) int { return a.compare(&b) })
	known := newKeyFinder(r.segments, c.batch[0].Time, c.batch[len(c.batch)-1].Time+1, r.store.hurtSegment)
	defer known.close()
	var elsewhere []uint64
	for i := range c.batch {
		e := &c.batch[i]
		if elsewhere = known.find(e.Time, &e.ID, elsewhere[:0]); len(elsewhere) > 0 {
			continue
		}
		ev, err := r.maker.make(e)
		if err != nil {
			ev = noEvent{}
		}
		if err := c.sums.add(ev, e.Time, nil); err != nil {
			return err
		}
	}
	clear(c.batch)
	c.batch, c.size = c.batch[:0], 0
	return nil
}
