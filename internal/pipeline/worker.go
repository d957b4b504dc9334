package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"io"
	"sync/atomic"

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
	index   int
	cfg     *Config
	decoder cloudtrail.Decoder
	event   *cloudtrail.Event
	matcher *detect.Matcher
	fold    *detect.Fold
	sorter  *sorter[detect.Hit]
	spool   *spool
	folds   int // episodes before the fold is drained

	coverage   *coverage
	zone       zoneFields
	duplicates *duplicates
	stats      Stats
	first      int64 // earliest and latest event time; first > last: none
	last       int64
	seed       maphash.Seed
	end        int64 // events at or after it are outside

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
		index:      int(index),
		cfg:        &r.cfg,
		decoder:    cloudtrail.Decoder{Limits: r.cfg.Limits, Strict: r.cfg.Strict},
		event:      cloudtrail.NewEvent(r.cfg.Catalogue, r.cfg.Enricher),
		matcher:    r.cfg.Engine.NewMatcher(),
		fold:       r.cfg.Engine.NewFold(),
		folds:      r.foldBudget(),
		sorter:     &sorter[detect.Hit]{dir: r.cfg.TempDir, limit: r.hitBudget(), codec: hitCodec, compare: (*detect.Hit).Compare},
		spool:      &spool{log: index, dir: r.cfg.TempDir},
		coverage:   newCoverage(),
		zone:       newZoneFields(r.cfg.Catalogue),
		duplicates: newDuplicates(duplicateSlots),
		first:      maxTime,
		last:       minTime,
		seed:       r.seed,
		end:        maxTime,
	}
	if !r.cfg.To.IsZero() {
		w.end = r.cfg.To.UnixNano()
	}
	return w
}

// object reads one object to its end. What is wrong with it is a problem, not an
// error.
func (w *worker) object(ctx context.Context, o Object) error {
	w.stats.Objects++
	w.name = o.Name
	broken, err := w.decode(ctx, o)
	if broken && o.Key != nil && !o.Key.Digest() {
		w.coverage.fail(o.Key)
	}
	if p := w.cfg.Progress; p != nil {
		p.Objects.Add(1)
	}
	return err
}

// decode reports whether the object could not be read whole.
func (w *worker) decode(ctx context.Context, o Object) (broken bool, err error) {
	problem := func(p cloudtrail.Problem) error {
		broken = broken || p.Rejected
		w.stats.problem(p, w.cfg.Problem)
		return nil
	}
	rc, err := o.Open()
	if err != nil {
		w.stats.Rejected++
		return true, problem(cloudtrail.Problem{Input: o.Name, Rejected: true, Code: "unreadable", Message: err.Error()})
	}
	defer func() { _ = rc.Close() }() // only read from
	var in io.Reader = rc
	if w.cfg.Progress != nil {
		in = &countingReader{rc, &w.cfg.Progress.InBytes}
	}
	sum, err := w.decoder.Decode(ctx, o.Name, in, cloudtrail.Visitor{Record: w.record, Document: w.document, Problem: problem})
	w.stats.Add(&sum)
	if p := w.cfg.Progress; p != nil {
		p.Records.Add(sum.Records + sum.Documents)
	}
	if err != nil {
		return broken, fmt.Errorf("read %s: %w", o.Name, err)
	}
	return broken, nil
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
	w.event.Reset(rec)
	account, region := rec.Text(cloudtrail.RecipientAccountID), rec.Text(cloudtrail.AWSRegion)
	id := rec.Text(cloudtrail.EventID)
	if id == "" {
		w.duplicates.add(maphash.Bytes(w.seed, rec.Raw()))
	} else {
		w.duplicates.add(maphash.String(w.seed, account)*3 ^ maphash.String(w.seed, id))
	}
	if account == "" {
		account, region = w.zone.of(w.event)
	}
	if !w.seen(account, region, t.UnixNano()) {
		return nil
	}
	if w.cfg.Each != nil {
		e := Each{Account: account, Region: region, Time: t.UnixNano(), ID: w.event.ID(), Raw: rec.Raw()}
		if err := w.cfg.Each(w.index, &e); err != nil {
			return err
		}
	}
	return w.match(w.event, kindRecord, rec.Raw())
}

func (w *worker) document(raw []byte) error {
	ev, err := ecs.ParseJSON(w.cfg.Catalogue, raw)
	if err != nil {
		w.stats.Documents-- // the decoder has counted it
		w.stats.Rejected++
		w.stats.problem(cloudtrail.Problem{Input: w.name, Rejected: true, Code: "bad-document", Message: err.Error()}, w.cfg.Problem)
		return nil //nolint:nilerr // told as a problem
	}
	id := ev.ID()
	w.duplicates.add(maphash.Bytes(w.seed, id[:]))
	account, region := w.zone.of(ev)
	if !w.seen(account, region, ev.Time().UnixNano()) {
		return nil
	}
	if w.cfg.Each != nil {
		e := Each{Account: account, Region: region, Time: ev.Time().UnixNano(), ID: id, Raw: raw, Document: true}
		if err := w.cfg.Each(w.index, &e); err != nil {
			return err
		}
	}
	return w.match(ev, kindDocument, raw)
}

// seen notes an event and reports whether it is to be looked at.
func (w *worker) seen(account, region string, t int64) bool {
	w.coverage.note(account, region, t)
	w.first, w.last = min(w.first, t), max(w.last, t)
	if t >= w.end {
		w.stats.Outside++
		return false
	}
	return true
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

// finish ends the reading and gives back what only reading needs.
func (w *worker) finish() error {
	if w.first <= w.last {
		w.stats.First, w.stats.Last = at(w.first), at(w.last)
	}
	err := w.drain()
	w.fold = nil
	w.decoder = cloudtrail.Decoder{}
	return err
}

var _ detect.Keeper = (*current)(nil)
