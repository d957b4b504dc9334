package serve

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
)

// late is how long CloudTrail says that a record takes at most; what takes longer
// counts as late.
const late = 15 * time.Minute

// maxProblems is how many problems of a delivery its outcome names.
const maxProblems = 10

// A task is a delivery that is being read.
type task struct {
	source.Delivery
	id      [16]byte // of the object
	outcome source.Outcome
}

// A reader turns deliveries into chunks: it decodes, matches and compresses. It is the
// parallel part; everything behind it is in order.
type reader struct {
	e       *Engine
	decoder cloudtrail.Decoder
	event   *cloudtrail.Event
	matcher *detect.Matcher
	set     *ruleset

	ctx   context.Context //nolint:containedctx // of the delivery being read, for the visitor's functions
	task  *task
	skip  int64 // records of the object that are committed already
	taken int64
	chunk *chunk
	hours map[hourKey]*metaHour
}

type hourKey struct {
	account, region string
	hour            int64
}

func (e *Engine) newReader() *reader {
	return &reader{
		e: e, decoder: cloudtrail.Decoder{Limits: e.opt.Limits},
		event: cloudtrail.NewEvent(e.opt.Catalogue, e.opt.Enricher),
	}
}

// watched tells errors of reading from what the content is like.
type watched struct {
	io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err //nolint:wrapcheck // a Reader
}

// read reads one delivery and sends its chunks, the last of which ends it.
func (r *reader) read(ctx context.Context, t *task) {
	r.ctx, r.task, r.skip, r.taken = ctx, t, 0, 0
	r.rules()
	if t.Object != nil {
		seen, err := r.before(ctx)
		if seen || err != nil {
			t.outcome.Seen, t.outcome.Err = seen, err
			r.e.done(t)
			return
		}
	}
	r.begin()
	err := r.decode(ctx)
	c := r.chunk
	c.last, c.err = true, err
	c.meta.Last = err == nil
	if serr := r.send(); serr != nil { // nobody takes it: the engine ends
		t.outcome.Err = serr
		r.e.done(t)
	}
}

// before finds out whether the object was read, or how much of it.
func (r *reader) before(ctx context.Context) (seen bool, err error) {
	err = r.e.opt.DB.View(ctx, func(tx store.Tx) error {
		o, err := store.GetObject(tx, r.task.Object.Name, r.task.Object.Version)
		if err != nil || o == nil {
			return err
		}
		seen = o.State == store.ObjectRead
		if o.State == store.ObjectPartial {
			r.skip = o.Records
		}
		return nil
	})
	return seen, err
}

func (r *reader) decode(ctx context.Context) error {
	in, err := r.task.Open(ctx)
	if err != nil {
		return fmt.Errorf("open %s: %w", r.task.Name, err)
	}
	defer func() { _ = in.Close() }() // only read from
	w := &watched{Reader: in}
	sum, err := r.decoder.Decode(ctx, r.task.Name, w, cloudtrail.Visitor{
		Record: r.record, Document: r.document, Problem: r.problem,
	})
	r.task.outcome.Summary.Add(&sum)
	switch {
	case err != nil:
		return err //nolint:wrapcheck // our own, or that of the context
	case w.err != nil:
		return fmt.Errorf("read %s: %w", r.task.Name, w.err)
	}
	return nil
}

func (r *reader) problem(p cloudtrail.Problem) error {
	if p.Rejected {
		r.chunk.meta.Rejected++
		r.e.stats.rejected.Add(1)
	}
	r.note(p)
	return nil
}

func (r *reader) note(p cloudtrail.Problem) {
	if o := &r.task.outcome; len(o.Problems) < maxProblems {
		o.Problems = append(o.Problems, p)
	}
}

// rules takes the rules of the moment: one chunk is matched with one set.
func (r *reader) rules() {
	if set := r.e.rules.Load(); set != r.set {
		r.set, r.matcher = set, set.engine.NewMatcher()
	}
}

func (r *reader) begin() {
	t := r.task
	now := r.e.opt.Now().UTC()
	m := meta{Source: t.Source, Input: t.Name, Arrived: t.Arrived.UTC(), Ingested: now}
	if t.Object != nil {
		m.Object, m.Version = t.Object.Name, t.Object.Version
	}
	m.Hour = floorDiv(cmpTime(t.Arrived, now).Unix(), 3600)
	if t.Key != nil && !t.Key.Digest() { // digests are no part of what they vouch for
		m.Account, m.Region = t.Key.Account, t.Key.Region
		m.Hour = floorDiv(deliveredAt(t.Key).Unix(), 3600)
	}
	r.chunk = &chunk{set: r.set, meta: m, task: t}
	r.hours = map[hourKey]*metaHour{}
}

func cmpTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// deliveredAt is the time in a log file's name, else its day.
func deliveredAt(k *cloudtrail.Key) time.Time {
	for part := range strings.SplitSeq(k.File, "_") {
		if t, err := time.Parse("20060102T1504Z", part); err == nil {
			return t
		}
	}
	return k.Day
}

func (r *reader) record(rec *cloudtrail.Record) error {
	if r.pass() {
		return nil
	}
	t, ok := rec.EventTime()
	if !ok {
		return nil // the decoder rejects such records
	}
	r.event.Reset(rec)
	account, region := rec.Text(cloudtrail.RecipientAccountID), rec.Text(cloudtrail.AWSRegion)
	if account == "" {
		account, region = r.e.zone.of(r.event)
	}
	return r.take(r.event, store.KindRecord, rec.Raw(), t, account, region)
}

func (r *reader) document(raw []byte) error {
	if r.pass() {
		return nil
	}
	ev, err := ecs.ParseJSON(r.e.opt.Catalogue, raw)
	if err != nil {
		r.task.outcome.Summary.Documents-- // the decoder counts it
		r.task.outcome.Summary.Rejected++
		return r.problem(cloudtrail.Problem{Input: r.task.Name, Rejected: true, Code: "bad-document", Message: err.Error()})
	}
	account, region := r.e.zone.of(ev)
	return r.take(ev, store.KindDocument, raw, ev.Time(), account, region)
}

// pass reports whether the next record was committed before a crash.
func (r *reader) pass() bool {
	r.taken++
	return r.taken <= r.skip
}

func (r *reader) take(ev ecs.Event, kind byte, raw []byte, t time.Time, account, region string) error {
	c := r.chunk
	h := r.hour(account, region, t)
	h.Records++
	delay := c.meta.Ingested.Sub(t)
	switch {
	case delay < -r.e.opt.MaxFuture:
		h.Future++
		r.e.stats.future.Add(1)
		r.note(cloudtrail.Problem{
			Input: r.task.Name, Record: r.taken, Code: "future-event",
			Message: fmt.Sprintf("the event claims to be from %s, %s ahead of its arrival: it is stored, and moves no clock", t.Format(time.RFC3339), (-delay).Round(time.Second)),
		})
	default:
		if !c.meta.Arrived.IsZero() {
			delay = c.meta.Arrived.Sub(t)
		}
		if delay = max(delay, 0); delay > late {
			h.Late++
		}
		h.MaxDelay = max(h.MaxDelay, delay.Milliseconds())
		h.SumDelay += delay.Milliseconds()
	}
	key := recentKey{ev.ID(), maphash.Bytes(r.e.seed, raw)}
	if r.e.recent.has(key) {
		h.Duplicates++
		r.e.stats.duplicates.Add(1)
		return r.full()
	}
	c.fresh = append(c.fresh, key)
	c.records = append(c.records, store.Record{Kind: kind, Time: t.UnixNano(), ID: key.id, Raw: c.keep(raw)})
	if err := c.matchOne(r.matcher, ev, len(c.records)-1); err != nil {
		return err
	}
	return r.full()
}

// full sends the chunk if it is large enough, and begins another.
func (r *reader) full() error {
	if len(r.chunk.records) < chunkRecords && r.chunk.size < chunkBytes {
		return nil
	}
	if err := r.send(); err != nil {
		return err
	}
	r.rules()
	r.begin()
	return nil
}

func (r *reader) hour(account, region string, t time.Time) *metaHour {
	key := hourKey{account, region, floorDiv(t.Unix(), 3600)}
	h := r.hours[key]
	if h == nil {
		key.account, key.region = strings.Clone(account), strings.Clone(region)
		h = &metaHour{Account: key.account, Region: key.region, Hour: key.hour}
		r.hours[key] = h
	}
	return h
}

// send completes the chunk and passes it on; it waits while what is behind is busy.
func (r *reader) send() error {
	c := r.chunk
	c.meta.Done = r.taken
	for _, h := range r.hours {
		c.meta.Hours = append(c.meta.Hours, *h)
	}
	slices.SortFunc(c.meta.Hours, func(a, b metaHour) int {
		return strings.Compare(fmt.Sprintf("%s %s %020d", a.Account, a.Region, a.Hour), fmt.Sprintf("%s %s %020d", b.Account, b.Region, b.Hour))
	})
	text, err := c.meta.encode()
	if err == nil {
		c.encoded, err = r.e.opt.Encode(&store.Frame{Meta: text, Records: c.records})
	}
	if err != nil {
		return err
	}
	select {
	case r.e.chunks <- c:
		return nil
	case <-r.e.closing:
		return context.Canceled
	}
}

// zoneFields finds an event's account and region.
type zoneFields struct{ recipient, account, region *ecs.Field }

func newZoneFields(cat *ecs.Catalogue) zoneFields {
	return zoneFields{
		cat.Resolve("aws.cloudtrail.recipient_account_id"), cat.Resolve("cloud.account.id"), cat.Resolve("cloud.region"),
	}
}

// of returns them: the account is the one that received the record.
func (z zoneFields) of(ev ecs.Event) (account, region string) {
	if account = first(ev.Values(z.recipient)); account == "" {
		account = first(ev.Values(z.account))
	}
	return account, first(ev.Values(z.region))
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// floorDiv rounds down, also what is before 1970.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
