package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// Events is a store.Events that forgets. It does everything the plain way, and each
// append costs as much as all events that there are.
type Events struct {
	cat      *ecs.Catalogue
	enricher cloudtrail.Enricher
	now      func() time.Time

	mu     sync.Mutex // guards what follows
	frames []store.Logged
	list   []record // by time, id and hash, equal ones once; never changed, but replaced
	end    int64
	closed bool
}

var _ store.Events = (*Events)(nil)

// record is a stored event, or one of its unequal copies.
type record struct {
	store.Record

	hash     [sha256.Size]byte // of Raw
	ingested time.Time
}

func (r *record) compare(o *record) int {
	return cmp.Or(r.compareEvent(o), bytes.Compare(r.hash[:], o.hash[:]))
}

func (r *record) compareEvent(o *record) int {
	return cmp.Or(cmp.Compare(r.Time, o.Time), bytes.Compare(r.ID[:], o.ID[:]))
}

// NewEvents returns an empty store. cat is that of the queries to come; enricher may be
// nil.
func NewEvents(cat *ecs.Catalogue, enricher cloudtrail.Enricher, now func() time.Time) *Events {
	return &Events{cat: cat, enricher: enricher, now: now}
}

// Encode makes a frame ready for [Events.Append].
func Encode(f *store.Frame) (store.Encoded, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(f); err != nil {
		return nil, fmt.Errorf("encode a frame: %w", err)
	}
	return b.Bytes(), nil
}

// Append implements store.Events.
func (s *Events) Append(ctx context.Context, frames []store.Encoded) ([]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now, end := s.now().UTC(), s.end
	list := slices.Clone(s.list)
	logged := make([]store.Logged, len(frames))
	ends := make([]int64, len(frames))
	for i, e := range frames {
		if err := gob.NewDecoder(bytes.NewReader(e)).Decode(&logged[i].Frame); err != nil {
			return nil, fmt.Errorf("append frame %d of %d: it is not one that Encode made: %w", i+1, len(frames), err)
		}
		end += int64(len(e))
		logged[i].End, ends[i] = end, end
		for _, r := range logged[i].Records {
			list = append(list, record{Record: r, hash: sha256.Sum256(r.Raw), ingested: now})
		}
	}
	// Of equal copies the one that came first stays.
	slices.SortStableFunc(list, func(a, b record) int { return a.compare(&b) })
	s.list = slices.CompactFunc(list, func(a, b record) bool { return a.compare(&b) == 0 })
	s.frames, s.end = append(s.frames, logged...), end
	return ends, nil
}

// Replay implements store.Events.
func (s *Events) Replay(ctx context.Context, from int64) iter.Seq2[store.Logged, error] {
	return func(yield func(store.Logged, error) bool) {
		s.mu.Lock()
		frames := s.frames
		s.mu.Unlock()
		for _, f := range frames {
			if err := ctx.Err(); err != nil {
				yield(store.Logged{}, err)
				return
			}
			if f.End > from && !yield(f, nil) {
				return
			}
		}
	}
}

// End implements store.Events.
func (s *Events) End() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// Folded implements store.Events: it keeps the frames all the same.
func (s *Events) Folded(int64) {}

// events yields the events between two times, each with its copies, the one that speaks
// first.
func (s *Events) events(from, to time.Time, falling bool) iter.Seq[[]record] {
	return func(yield func([]record) bool) {
		s.mu.Lock()
		list := s.list
		s.mu.Unlock()
		var all [][]record
		for i := 0; i < len(list); {
			n := i + 1
			for n < len(list) && list[n].compareEvent(&list[i]) == 0 {
				n++
			}
			all = append(all, list[i:n])
			i = n
		}
		if falling {
			slices.Reverse(all)
		}
		for _, copies := range all {
			t := time.Unix(0, copies[0].Time)
			if !from.IsZero() && t.Before(from) || !to.IsZero() && !t.Before(to) {
				continue
			}
			if !yield(copies) {
				return
			}
		}
	}
}

// Scan implements store.Events.
func (s *Events) Scan(ctx context.Context, q store.Scan) iter.Seq2[*store.Stored, error] {
	return func(yield func(*store.Stored, error) bool) {
		n := 0
		for copies := range s.events(q.From, q.To, q.Descending) {
			for i := range copies {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				ev, err := s.event(&copies[i])
				if err != nil {
					if q.Damaged != nil {
						q.Damaged("event "+copies[i].ID.String(), err)
					}
					continue
				}
				if q.Match != nil && !q.Match.Match(ev) {
					continue
				}
				if !yield(&store.Stored{Record: copies[i].Record, Event: ev, Ingested: copies[i].ingested}, nil) {
					return
				}
				if n++; n == q.Limit {
					return
				}
				if !q.Copies {
					break
				}
			}
		}
	}
}

// event is the ECS view of a record.
func (s *Events) event(r *record) (ecs.Event, error) {
	if r.Kind == store.KindDocument {
		return ecs.ParseJSON(s.cat, r.Raw)
	}
	rec := &cloudtrail.Record{}
	if _, err := rec.Parse(r.Raw); err != nil {
		return nil, err
	}
	ev := cloudtrail.NewEvent(s.cat, s.enricher)
	ev.Reset(rec)
	return ev, nil
}

// Find implements store.Events.
func (s *Events) Find(ctx context.Context, t time.Time, id ecs.ID) (*store.Stored, error) {
	return store.FindByScan(ctx, s, t, id)
}

// Rollups implements store.Events. Of unequal copies of an event the one that speaks is
// counted.
func (s *Events) Rollups(ctx context.Context, q store.RollupQuery) iter.Seq2[*store.Rollup, error] {
	return func(yield func(*store.Rollup, error) bool) {
		sums := map[store.RollupKey]*store.Rollup{}
		for e, err := range s.Scan(ctx, store.Scan{Damaged: q.Damaged}) {
			if err != nil {
				yield(nil, err)
				return
			}
			k, t := s.rollupKey(e), time.Unix(0, e.Time).UTC()
			if !q.Wants(&k) {
				continue
			}
			if q.Totals {
				k.Outcome, k.Agent = "", ""
			}
			r := sums[k]
			if r == nil {
				r = &store.Rollup{RollupKey: k, First: t}
				sums[k] = r
			}
			r.Count, r.Last = r.Count+1, t
		}
		for _, r := range sums {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (s *Events) rollupKey(e *store.Stored) store.RollupKey {
	first := func(field string, most int) string {
		v := e.Event.Values(s.cat.Resolve(field))
		if len(v) == 0 {
			return ""
		}
		return strings.ToValidUTF8(strings.Clone(v[0][:min(len(v[0]), most)]), "\ufffd")
	}
	const most = 1024
	k := store.RollupKey{
		Hour: time.Unix(0, e.Time).UTC().Truncate(time.Hour), Account: first("cloud.account.id", most), Region: first("cloud.region", most),
		Principal: first("debut.principal", most), Provider: first("event.provider", most), Action: first("event.action", most),
		Outcome: first("event.outcome", most), Network: first("source.ip", most), Agent: first("user_agent.name", 128),
	}
	if k.Network == "" {
		k.Network = first("source.address", most)
	} else if a, err := netip.ParseAddr(k.Network); err == nil {
		a = a.Unmap().WithZone("")
		bits := 48
		if a.Is4() {
			bits = 24
		}
		k.Network = netip.PrefixFrom(a, bits).Masked().String()
	}
	if k.Agent == "" || k.Agent == "Other" {
		k.Agent = first("user_agent.original", 128)
	}
	return k
}

// Expire forgets the events from before a time.
func (s *Events) Expire(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.list, before.UnixNano(), func(r record, t int64) int { return cmp.Compare(r.Time, t) })
	s.list = s.list[i:]
}

// Close implements store.Events.
func (s *Events) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("close the event store: it is closed already")
	}
	s.closed = true
	return nil
}
