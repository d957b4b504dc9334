package events

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
)

// Rollups implements [store.Events]. Unequal copies of an event count once too: as the
// one in the oldest segment, or as that which came first, if they are in the log only.
// What is in the log is summed up by the first query and kept for the next ones.
func (s *Store) Rollups(ctx context.Context, q store.RollupQuery) iter.Seq2[*store.Rollup, error] {
	return func(yield func(*store.Rollup, error) bool) {
		q.From, q.To = nextHour(q.From), nextHour(q.To)
		scan := store.Scan{From: q.From, To: q.To, Damaged: q.Damaged}
		s.recent.mu.Lock() // no snapshot is older than what is kept of the log
		r := s.newReader(ctx, scan)
		defer r.release()
		n, some := r.logEvents()
		var recent []store.Rollup
		err := ctx.Err()
		kept := n <= s.recent.most
		if err == nil && some && kept {
			recent, err = r.logRollups(&q)
		}
		s.recent.mu.Unlock()
		do := func(u *store.Rollup) bool {
			if q.Totals { // what comes from the log has them
				u.Outcome, u.Agent = "", ""
			}
			return yield(u, nil)
		}
		more := err == nil
		if more {
			more, err = r.rollups(&q, do)
		}
		if more && some && !kept { // compaction is behind
			more, err = r.sum(r.logParts(), r.segments, &q, do)
		}
		if err != nil {
			yield(nil, fmt.Errorf("read the sums by hour: %w", err))
			return
		}
		for i := 0; more && i < len(recent); i++ {
			more = do(&recent[i])
		}
	}
}

// nextHour is the full hour that is not before a time.
func nextHour(t time.Time) time.Time {
	if full := t.Truncate(time.Hour); full.Before(t) {
		return full.Add(time.Hour)
	}
	return t
}

// rollups calls do for what q wants of the segments, until it returns false.
func (r *reader) rollups(q *store.RollupQuery, do func(*store.Rollup) bool) (more bool, err error) {
	for i, g := range r.segments {
		if err := r.ctx.Err(); err != nil {
			return false, err //nolint:wrapcheck // the caller's own
		}
		if g.Min.UnixNano() >= r.to || g.Max.UnixNano() < r.from {
			continue
		}
		if more, err := r.segmentRollups(i, q, do); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// segmentRollups reads the rollups beside a segment. If there are none, or they are
// damaged or of another mapping, they are made again from the segment.
func (r *reader) segmentRollups(at int, q *store.RollupQuery, do func(*store.Rollup) bool) (more bool, err error) {
	g := r.segments[at]
	file := r.store.rollupOf(g)
	if file != nil {
		path := r.store.rollupPath(g)
		if err := r.changed(path); err != nil {
			return false, err
		}
		begun := false
		var more bool
		var err error
		r.buf, more, err = readRollups(path, file, q, r.buf, func(u *parquet.Rollup) bool {
			begun = true
			return slices.ContainsFunc(u.Elsewhere, r.has) || do(&u.Rollup)
		})
		if err == nil {
			return more, nil
		}
		r.store.remakeRollups(g)
		if !errors.Is(err, store.ErrFormat) {
			r.damaged(path, err)
		}
		if begun {
			return false, err // rows of it were given out
		}
	}
	return r.sum([]part{{first: g.Min.UnixNano(), open: func() (stream, error) { return r.openSegment(g) }}}, r.segments[:at], q, do)
}

// has reports whether a segment is one of the reader's.
func (r *reader) has(id uint64) bool {
	_, ok := slices.BinarySearchFunc(r.segments, id, func(g *segment, id uint64) int { return cmp.Compare(g.id, id) })
	return ok
}

// readRollups reads a file of rollups into buf, which it returns for the next.
func readRollups(path string, file *rollupListing, q *store.RollupQuery, buf []byte, do func(*parquet.Rollup) bool) (_ []byte, more bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, false, err //nolint:wrapcheck // has operation and path
	}
	defer func() { _ = f.Close() }() // only read from
	if info, err := f.Stat(); err != nil || info.Size() != file.Bytes {
		return buf, false, errors.Join(err, fmt.Errorf("%w: it has not its %d bytes", store.ErrDamaged, file.Bytes))
	}
	buf = slices.Grow(buf[:0], int(file.Bytes))[:file.Bytes]
	if _, err := io.ReadFull(f, buf); err != nil {
		return buf, false, err //nolint:wrapcheck // has operation and path
	}
	more, err = parquet.ReadRollups(buf, file.Sums, q, do)
	return buf, more, err //nolint:wrapcheck // told with the path
}

// sum makes the rollups of events that are in none of the older segments.
func (r *reader) sum(parts []part, older []*segment, q *store.RollupQuery, do func(*store.Rollup) bool) (more bool, err error) {
	m := newMerger(parts, false, false)
	defer func() { _ = m.close() }() // only read from
	known := newKeyFinder(older, r.from, r.to, r.store.hurtSegment)
	defer known.close()
	more = true
	sums := newRoller(r.store.opt.Catalogue, func(list []parquet.Rollup) error {
		for i := range list {
			if u := &list[i].Rollup; more && q.Wants(&u.RollupKey) {
				more = do(u)
			}
		}
		return nil
	})
	var e entry
	var elsewhere []uint64
	for more {
		ok, err := m.next(&e)
		if err == nil {
			err = r.ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		if elsewhere = known.find(e.Time, &e.ID, elsewhere[:0]); len(elsewhere) > 0 {
			continue
		}
		ev, err := r.maker.make(&e)
		if err != nil {
			ev = noEvent{}
		}
		if err := sums.add(ev, e.Time, nil); err != nil {
			return false, err
		}
	}
	return more, sums.flush()
}

// rollupOf returns the file of a segment's rollups; nil: there is none.
func (s *Store) rollupOf(g *segment) *rollupListing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.Rollup
}

// remakeRollups has the next Compact make a segment's rollups again.
func (s *Store) remakeRollups(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.remake = true
}

const (
	// maxRollups is how many rollups are held in memory. Beyond, a file has several rows
	// for what is equal.
	maxRollups = 100_000
	// maxAgent is how much of a user agent without a class tells agents apart, and
	// maxSummed how much of everything else.
	maxAgent  = 128
	maxSummed = 1 << 10
)

// A roller sums events up.
type roller struct {
	fields      [6]*ecs.Field // in the order of a key
	address, ip *ecs.Field
	agent, raw  *ecs.Field
	out         func([]parquet.Rollup) error

	list     []parquet.Rollup
	index    map[string]int    // in list, by the key
	key      []byte            // hour, elsewhere and the fields, one behind the other
	networks map[string]string // by address
	texts    map[string]string // of list
}

func newRoller(cat *ecs.Catalogue, out func([]parquet.Rollup) error) *roller {
	r := &roller{
		address: cat.Resolve("source.address"), ip: cat.Resolve("source.ip"),
		agent: cat.Resolve("user_agent.name"), raw: cat.Resolve("user_agent.original"),
		out: out, index: map[string]int{}, networks: map[string]string{}, texts: map[string]string{},
	}
	for i, name := range [...]string{"cloud.account.id", "cloud.region", "debut.principal", "event.provider", "event.action", "event.outcome"} {
		r.fields[i] = cat.Resolve(name)
	}
	return r
}

// add counts an event, which is in some older segments too.
func (r *roller) add(ev ecs.Event, t int64, elsewhere []uint64) error {
	const long = int64(time.Hour)
	hour := t - ((t%long)+long)%long
	r.key = binary.AppendVarint(r.key[:0], hour)
	r.key = binary.AppendUvarint(r.key, uint64(len(elsewhere)))
	for _, id := range elsewhere {
		r.key = binary.AppendUvarint(r.key, id)
	}
	fields := len(r.key)
	for _, f := range r.fields {
		r.put(firstOf(ev, f), maxSummed)
	}
	r.put(r.network(ev), maxSummed)
	agent := firstOf(ev, r.agent)
	if agent == "" || agent == "Other" {
		agent = firstOf(ev, r.raw)
	}
	r.put(agent, maxAgent)
	i, known := r.index[string(r.key)]
	if !known {
		if len(r.list) >= maxRollups {
			if err := r.flush(); err != nil {
				return err
			}
		}
		i = len(r.list)
		r.index[string(r.key)] = i
		u := r.rollup(r.key[fields:])
		u.Hour, u.First = time.Unix(0, hour).UTC(), time.Unix(0, t).UTC()
		u.Elsewhere = slices.Clone(elsewhere)
		r.list = append(r.list, u)
	}
	u := &r.list[i]
	at := time.Unix(0, t).UTC()
	if at.Before(u.First) {
		u.First = at
	}
	if at.After(u.Last) {
		u.Last = at
	}
	u.Count++
	return nil
}

func firstOf(ev ecs.Event, f *ecs.Field) string {
	if v := ev.Values(f); len(v) > 0 {
		return v[0]
	}
	return ""
}

// put adds a field to the key, with its length before it.
func (r *roller) put(s string, most int) {
	s = s[:min(len(s), most)]
	r.key = binary.AppendUvarint(r.key, uint64(len(s)))
	r.key = append(r.key, s...)
}

// rollup makes a new rollup of the fields of a key.
func (r *roller) rollup(b []byte) (u parquet.Rollup) {
	for _, dst := range [...]*string{&u.Account, &u.Region, &u.Principal, &u.Provider, &u.Action, &u.Outcome, &u.Network, &u.Agent} {
		n, k := binary.Uvarint(b)
		*dst = r.text(b[k : k+int(n)])
		b = b[k+int(n):]
	}
	return u
}

// text returns a text that many rollups have once.
func (r *roller) text(b []byte) string {
	if s, ok := r.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	v := strings.ToValidUTF8(s, "\ufffd")
	r.texts[s] = v
	return v
}

// network returns the network of an event's address: /24, or /48 of IPv6. What is no
// address is a service, and its name.
func (r *roller) network(ev ecs.Event) string {
	const most = 1 << 14
	text := firstOf(ev, r.ip)
	if text == "" {
		return firstOf(ev, r.address)
	}
	if n, ok := r.networks[text]; ok {
		return n
	}
	text = strings.Clone(text) // the event's own ends with it
	n := text
	if addr, err := netip.ParseAddr(text); err == nil {
		n = networkOf(addr)
	}
	if len(r.networks) >= most {
		clear(r.networks)
	}
	r.networks[text] = n
	return n
}

func networkOf(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return addr.String()
	}
	return p.String()
}

// flush hands the rollups on.
func (r *roller) flush() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortFunc(r.list, compareRollups)
	err := r.out(r.list)
	clear(r.list)
	r.list = r.list[:0]
	clear(r.index)
	clear(r.texts)
	return err
}

// compareRollups puts like rows together, those of a principal first.
func compareRollups(a, b parquet.Rollup) int {
	return cmp.Or(
		strings.Compare(a.Principal, b.Principal), strings.Compare(a.Provider, b.Provider), strings.Compare(a.Action, b.Action),
		strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region), strings.Compare(a.Network, b.Network),
		slices.Compare(a.Elsewhere, b.Elsewhere), strings.Compare(a.Outcome, b.Outcome), strings.Compare(a.Agent, b.Agent),
		a.Hour.Compare(b.Hour),
	)
}

// checkRollups checks the rollups beside a segment against the number of its events.
func (s *Store) checkRollups(g *segment, events int64) error {
	file := s.rollupOf(g)
	if file == nil {
		return nil
	}
	n := int64(0)
	if _, _, err := readRollups(s.rollupPath(g), file, &store.RollupQuery{}, nil, func(u *parquet.Rollup) bool {
		n += u.Count
		return true
	}); err != nil {
		return err
	}
	if n != events {
		return fmt.Errorf("%w: it counts %d events, of %d", store.ErrDamaged, n, events)
	}
	return nil
}

// A rollupFile is a file of rollups being written.
type rollupFile struct {
	file file
	buf  *buffered
	w    *parquet.RollupWriter
	sums *roller
}

func (s *Store) newRollups(path string) (*rollupFile, error) {
	f, err := s.opt.disk.Create(path)
	if err != nil {
		return nil, fmt.Errorf("begin the sums of a segment: %w", err)
	}
	r := &rollupFile{file: f, buf: &buffered{w: f}}
	r.w = parquet.NewRollupWriter(r.buf)
	r.sums = newRoller(s.opt.Catalogue, r.w.Write)
	return r, nil
}

// finish makes the file durable and closes it.
func (r *rollupFile) finish() (*rollupListing, error) {
	err := r.sums.flush()
	var info parquet.Info
	if err == nil {
		info, err = r.w.Close()
	}
	if err == nil {
		err = r.buf.flush()
	}
	if err == nil {
		err = r.file.Sync()
	}
	return &rollupListing{Rows: info.Rows, Bytes: info.Bytes, Sums: info.Sums}, errors.Join(err, r.close())
}

func (r *rollupFile) close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return f.Close() //nolint:wrapcheck // a *fs.PathError
}

// makeRollups makes the rollups of segments that have none that can be read: an older
// program wrote them, or the file was damaged.
func (s *Store) makeRollups(ctx context.Context) error {
	s.mu.Lock()
	list := slices.Clone(s.segs.list)
	s.mu.Unlock()
	for i, g := range list {
		s.mu.Lock()
		needed := (g.Rollup == nil || g.remake) && !g.damaged
		s.mu.Unlock()
		if !needed {
			continue
		}
		if err := s.makeRollup(ctx, g, list[:i]); err != nil {
			return fmt.Errorf("make %s: %w", s.rollupPath(g), err)
		}
	}
	return nil
}

func (s *Store) makeRollup(ctx context.Context, g *segment, older []*segment) (err error) {
	path := s.rollupPath(g)
	out, err := s.newRollups(path + tmpSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = out.close() // it is removed
			s.remove(path + tmpSuffix)
		}
	}()
	if err := s.sumSegment(ctx, g, older, out.sums); err != nil {
		if s.isDamaged(g) {
			s.remove(path + tmpSuffix)
			return out.close() // told, and the segment is left alone from now on
		}
		return err
	}
	made, err := out.finish()
	if err == nil {
		err = s.opt.disk.Rename(path+tmpSuffix, path)
	}
	if err == nil {
		err = s.opt.disk.SyncDir(s.segs.rollups)
	}
	if err != nil {
		return err
	}
	l := g.listing
	l.Rollup = made
	if err := s.opt.DB.Update(ctx, func(tx store.Tx) error { return putListing(tx, g.key(), &l) }); err != nil {
		return fmt.Errorf("list it: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Rollup, g.remake = made, false
	return nil
}

// sumSegment sums up the events of a segment.
func (s *Store) sumSegment(ctx context.Context, g *segment, older []*segment, sums *roller) error {
	in := &segmentReader{from: minTime, to: maxTime, damaged: func(err error) error {
		s.hurtSegment(g, err)
		return err // the sums must have everything
	}}
	defer func() { _ = in.close() }() // only read from
	if err := in.open(g); err != nil {
		return err
	}
	c := newCounter(older, g.Min.UnixNano(), g.Max.UnixNano()+1, s.hurtSegment)
	defer c.known.close()
	maker := newEventMaker(s.opt.Catalogue, s.opt.Enricher)
	var e entry
	for n := 0; ; n++ {
		ok, err := in.next(&e)
		if err == nil && n%1024 == 0 {
			err = ctx.Err()
		}
		if err != nil || !ok {
			return err
		}
		ev, err := maker.make(&e)
		if err != nil {
			ev = noEvent{}
		}
		if elsewhere, first := c.next(&e); first {
			if err := sums.add(ev, e.Time, elsewhere); err != nil {
				return err
			}
		}
	}
}
