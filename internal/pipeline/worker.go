package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"io"
	"sync/atomic"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// Kinds of raw text in a spool.
const (
	kindRecord   = 'R' // a CloudTrail record
	kindDocument = 'D' // an ECS document
)

// duplicateSlots bounds a worker's table of event ids: 12 bytes each.
const duplicateSlots = 1 << 20

// A worker reads objects one after the other and matches what is in them. All its
// state is its own, so workers share nothing until they are done.
type worker struct {
	cfg     *Config
	decoder cloudtrail.Decoder
	event   *cloudtrail.Event
	matcher *detect.Matcher
	fold    *detect.Fold
	sorter  *sorter
	spool   *spool
	folds   int // episodes before the fold is drained

	coverage   *coverage
	duplicates *duplicates
	stats      Stats
	seed       maphash.Seed
	latest     int64 // events at or after it are outside

	name    string // of the object being read
	current current
}

// current is the event being matched: it is kept once however many rules want it.
type current struct {
	spool   *spool
	kind    byte
	raw     []byte
	content uint64
	ref     detect.Ref
	kept    bool
}

// Content implements [detect.Keeper].
func (c *current) Content() uint64 {
	if c.content == 0 {
		sum := sha256.Sum256(c.raw)
		c.content = max(binary.BigEndian.Uint64(sum[:]), 1)
	}
	return c.content
}

// Keep implements [detect.Keeper].
func (c *current) Keep() (detect.Ref, error) {
	if !c.kept {
		ref, err := c.spool.add(c.kind, c.raw)
		if err != nil {
			return ref, err
		}
		c.ref, c.kept = ref, true
	}
	return c.ref, nil
}

func (r *run) newWorker(index uint32) *worker {
	w := &worker{
		cfg:        &r.cfg,
		decoder:    cloudtrail.Decoder{Limits: r.cfg.Limits, Strict: r.cfg.Strict},
		event:      cloudtrail.NewEvent(r.cfg.Catalogue, r.cfg.Enricher),
		matcher:    r.cfg.Engine.NewMatcher(),
		fold:       r.cfg.Engine.NewFold(),
		folds:      r.foldBudget(),
		sorter:     &sorter{dir: r.cfg.TempDir, limit: r.hitBudget(), compare: (*detect.Hit).Compare},
		spool:      &spool{log: index, dir: r.cfg.TempDir},
		coverage:   newCoverage(),
		duplicates: newDuplicates(duplicateSlots),
		seed:       r.seed,
		latest:     maxTime,
	}
	if !r.cfg.To.IsZero() {
		w.latest = r.cfg.To.UnixNano()
	}
	return w
}

// object reads one object to its end. What is wrong with it is a problem, not an
// error.
func (w *worker) object(ctx context.Context, o Object) error {
	w.stats.Objects++
	w.name = o.Name
	rc, err := o.Open()
	if err != nil {
		w.stats.Rejected++
		w.stats.problem(cloudtrail.Problem{Input: o.Name, Rejected: true, Code: "unreadable", Message: err.Error()}, w.cfg.Problem)
		return nil
	}
	defer func() { _ = rc.Close() }() // only read from
	broken := false
	var in io.Reader = rc
	if w.cfg.Progress != nil {
		in = &countingReader{rc, &w.cfg.Progress.InBytes}
	}
	sum, err := w.decoder.Decode(ctx, o.Name, in, cloudtrail.Visitor{
		Record:   w.record,
		Document: w.document,
		Problem: func(p cloudtrail.Problem) error {
			broken = broken || p.Rejected
			w.stats.problem(p, w.cfg.Problem)
			return nil
		},
	})
	w.stats.add(sum)
	if broken && o.HasKey {
		w.coverage.zone(o.Key.Account, o.Key.Region).unreadable++
	}
	if p := w.cfg.Progress; p != nil {
		p.Objects.Add(1)
		p.Records.Add(sum.Records + sum.Documents)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", o.Name, err)
	}
	return nil
}

// countingReader tells how far a long input has been read.
type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (w *worker) record(rec *cloudtrail.Record) error {
	t, ok := rec.EventTime()
	if !ok {
		return nil // the decoder rejects such records
	}
	account := rec.Value(cloudtrail.RecipientAccountID)
	id := rec.Value(cloudtrail.EventID)
	if id == nil {
		id = rec.Raw()
	}
	w.duplicates.add(maphash.Bytes(w.seed, account)*3 ^ maphash.Bytes(w.seed, id))
	w.coverage.note(rec.Text(cloudtrail.RecipientAccountID), rec.Text(cloudtrail.AWSRegion), t.UnixNano())
	w.stats.seen(t)
	if t.UnixNano() >= w.latest {
		w.stats.Outside++
		return nil
	}
	w.event.Reset(rec)
	return w.match(w.event, kindRecord, rec.Raw())
}

func (w *worker) document(raw []byte) error {
	ev, err := ecs.ParseJSON(w.cfg.Catalogue, raw)
	if err != nil {
		w.stats.Rejected++
		w.stats.problem(cloudtrail.Problem{Input: w.name, Rejected: true, Code: "bad-document", Message: err.Error()}, w.cfg.Problem)
		return nil
	}
	t := ev.Time()
	id := ev.ID()
	w.duplicates.add(maphash.Bytes(w.seed, id[:]))
	w.coverage.note(w.text(ev, "cloud.account.id"), w.text(ev, "cloud.region"), t.UnixNano())
	w.stats.seen(t)
	if t.UnixNano() >= w.latest {
		w.stats.Outside++
		return nil
	}
	return w.match(ev, kindDocument, raw)
}

func (w *worker) text(ev ecs.Event, field string) string {
	if v := ev.Values(w.cfg.Catalogue.Resolve(field)); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (w *worker) match(ev ecs.Event, kind byte, raw []byte) error {
	w.current = current{spool: w.spool, kind: kind, raw: raw}
	return w.matcher.Match(ev, w.hit)
}

// hit takes what the matcher found: new terms fold, the rest goes to the sorter.
func (w *worker) hit(h *detect.Hit) error {
	if p := w.cfg.Progress; p != nil {
		p.Hits.Add(1)
	}
	if w.cfg.Engine.Rules[h.Rule].Folds() {
		if w.fold.Len() >= w.folds {
			if err := w.drain(); err != nil {
				return err
			}
		}
		return w.fold.Add(h, &w.current)
	}
	var err error
	h.Content = w.current.Content()
	if h.Ref, err = w.current.Keep(); err != nil {
		return err
	}
	return w.sorter.add(h)
}

// drain moves the folded episodes to the sorter.
func (w *worker) drain() error {
	for h := range w.fold.Drain() {
		if err := w.sorter.add(h); err != nil {
			return err
		}
	}
	return nil
}

// minTime and maxTime bound event times in nanoseconds.
const (
	minTime = -1 << 63
	maxTime = 1<<63 - 1
)

var _ detect.Keeper = (*current)(nil)

func at(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }
