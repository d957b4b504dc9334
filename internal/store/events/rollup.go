package events

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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

// Rollups yields how often what was done in the hours of [from, to), which are full
// hours. Rows that are equal up to their times and counts are to be added up: each
// segment has its own, by hour. What is in the log only is counted too. An event whose
// copies are in several files counts in each. A rollup is valid until the next.
func (s *Store) Rollups(ctx context.Context, from, to time.Time) iter.Seq2[*parquet.Rollup, error] {
	return func(yield func(*parquet.Rollup, error) bool) {
		r := s.newReader(ctx, store.Scan{From: from, To: to})
		defer r.release()
		give := func(list []parquet.Rollup, err error) bool {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the sums by hour: %w", err))
				return false
			}
			for i := range list {
				if !yield(&list[i], nil) {
					return false
				}
			}
			return true
		}
		for _, g := range r.segments {
			if g.Min.UnixNano() < r.to && g.Max.UnixNano() >= r.from && !give(r.rollups(g)) {
				return
			}
		}
		for _, p := range r.log {
			if p.min < r.to && p.max >= r.from && !give(r.sum(part{p.min, func() (stream, error) { return r.openLog(p) }})) {
				return
			}
		}
	}
}

// rollups reads the rollups beside a segment. If there are none, or they are damaged or
// of another mapping, they are made again from the segment.
func (r *reader) rollups(g *segment) ([]parquet.Rollup, error) {
	if g.Rollup != nil {
		path := r.store.rollupPath(g)
		if err := r.changed(path); err != nil {
			return nil, err
		}
		list, err := readRollups(path, g, r.from, r.to)
		if err == nil {
			return list, nil
		}
		if !errors.Is(err, store.ErrFormat) {
			r.damaged(path, err)
		}
	}
	return r.sum(part{g.Min.UnixNano(), func() (stream, error) { return r.openSegment(g) }})
}

func readRollups(path string, g *segment, from, to int64) ([]parquet.Rollup, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // has operation and path
	}
	defer func() { _ = f.Close() }()                                                                   // only read from
	return parquet.ReadRollups(f, g.Rollup.Bytes, g.Rollup.Sums, time.Unix(0, from), time.Unix(0, to)) //nolint:wrapcheck // told with the path
}

// sum makes the rollups of a stream's events.
func (r *reader) sum(p part) (out []parquet.Rollup, err error) {
	m := newMerger([]part{p}, false, true)
	defer func() { _ = m.close() }() // only read from
	sums := newRoller(r.store.opt.Catalogue, func(list []parquet.Rollup) error {
		out = append(out, list...)
		return nil
	})
	var e entry
	for {
		ok, err := m.next(&e)
		if err == nil {
			err = r.ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return out, sums.flush()
		}
		ev, err := r.maker.make(&e)
		if err != nil {
			ev = noEvent{}
		}
		if err := sums.add(ev, e.Time); err != nil {
			return nil, err
		}
	}
}

const (
	// maxRollups is how many rollups of an hour are held in memory. Beyond, an hour has
	// several rows for what is equal.
	maxRollups = 100_000
	// maxAgent is how much of a user agent without a class tells agents apart, and
	// maxSummed how much of everything else.
	maxAgent  = 128
	maxSummed = 1 << 10
)

// A roller sums events up that come in order of time.
type roller struct {
	fields      [5]*ecs.Field // from the principal to the region
	address, ip *ecs.Field
	agent, raw  *ecs.Field
	out         func([]parquet.Rollup) error

	hour     int64
	list     []parquet.Rollup
	index    map[string]int // in list, by the fields one behind the other
	key      []byte
	networks map[string]string // by address
}

func newRoller(cat *ecs.Catalogue, out func([]parquet.Rollup) error) *roller {
	r := &roller{
		address: cat.Resolve("source.address"), ip: cat.Resolve("source.ip"),
		agent: cat.Resolve("user_agent.name"), raw: cat.Resolve("user_agent.original"),
		out: out, index: map[string]int{}, networks: map[string]string{},
	}
	for i, name := range [...]string{"debut.principal", "event.provider", "event.action", "cloud.account.id", "cloud.region"} {
		r.fields[i] = cat.Resolve(name)
	}
	return r
}

// add counts an event.
func (r *roller) add(ev ecs.Event, t int64) error {
	const long = int64(time.Hour)
	hour := t - ((t%long)+long)%long
	if hour != r.hour || len(r.list) >= maxRollups {
		if err := r.flush(); err != nil {
			return err
		}
		r.hour = hour
	}
	r.key = r.key[:0]
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
		i = len(r.list)
		r.index[string(r.key)] = i
		r.list = append(r.list, r.rollup(t))
	}
	r.list[i].Last = time.Unix(0, t).UTC()
	r.list[i].Count++
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

// rollup makes a new rollup of the key.
func (r *roller) rollup(t int64) parquet.Rollup {
	u := parquet.Rollup{Hour: time.Unix(0, r.hour).UTC(), First: time.Unix(0, t).UTC()}
	b := r.key
	for _, dst := range [...]*string{&u.Principal, &u.Provider, &u.Action, &u.Account, &u.Region, &u.Network, &u.Agent} {
		n, k := binary.Uvarint(b)
		*dst = strings.ToValidUTF8(string(b[k:k+int(n)]), "\ufffd")
		b = b[k+int(n):]
	}
	return u
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

// flush hands the rollups of the hour on.
func (r *roller) flush() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortFunc(r.list, compareRollups)
	err := r.out(r.list)
	clear(r.list)
	r.list = r.list[:0]
	clear(r.index)
	return err
}

// compareRollups puts like rows together.
func compareRollups(a, b parquet.Rollup) int {
	for _, c := range [...]int{
		strings.Compare(a.Principal, b.Principal), strings.Compare(a.Provider, b.Provider), strings.Compare(a.Action, b.Action),
		strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region), strings.Compare(a.Network, b.Network),
	} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.Agent, b.Agent)
}

// checkRollups checks the rollups beside a segment against the number of its events.
func (s *Store) checkRollups(g *segment) error {
	if g.Rollup == nil {
		return nil
	}
	list, err := readRollups(s.rollupPath(g), g, minTime, maxTime)
	if err != nil {
		return err
	}
	n := int64(0)
	for i := range list {
		n += list[i].Count
	}
	if n != g.Rows {
		return fmt.Errorf("%w: it counts %d events, of %d", store.ErrDamaged, n, g.Rows)
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
