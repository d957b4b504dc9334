package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// SameEvents does the same with two stores of events, at random, and wants the same
// answers. What they forget is left out: stores may keep more than they must.
func SameEvents(t *testing.T, one, other EventStore) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		cat := ecs.NewCatalogue()
		p := &twins{cat: cat}
		for i, how := range []EventStore{one, other} {
			p.stores[i] = &eventTest{t: t, how: how, cat: cat, s: how.Open(t, cat)}
			defer func() { _ = p.stores[i].s.Close() }()
		}
		r.Repeat(map[string]func(*rapid.T){
			"append": p.append,
			"settle": p.settle,
			"reopen": p.reopen,
			"scan":   p.scan,
			"find":   p.find,
			"sums":   p.sums,
		})
		p.scan(r)
		p.sums(r)
	})
}

// twins are two stores that should be the same.
type twins struct {
	cat    *ecs.Catalogue
	stores [2]*eventTest
	known  []store.Record
	frames int
}

// drawn makes one of few events, or one of its copies, so that they meet often.
func drawn(r *rapid.T) store.Record {
	n := rapid.IntRange(0, 120).Draw(r, "event")
	at := base.Add(time.Duration(n*7919%500-50) * time.Minute)
	if n%10 == 0 { // of one time with others
		at = base
	}
	extra := rapid.SampledFrom([]string{"", "", "", `,"readOnly":true`, `,"readOnly":false`, `,"apiVersion":"2"`}).Draw(r, "copy")
	return event(n, at, extra)
}

func (p *twins) append(r *rapid.T) {
	var frames [2][]store.Encoded
	for range rapid.IntRange(1, 3).Draw(r, "frames") {
		list := rapid.SliceOfN(rapid.Custom(drawn), 0, 20).Draw(r, "records")
		p.known = append(p.known, list...)
		p.frames++
		for i, e := range p.stores {
			frames[i] = append(frames[i], e.frame(fmt.Sprint("frame", p.frames), list...))
		}
	}
	for i, e := range p.stores {
		if _, err := e.s.Append(e.t.Context(), frames[i]); err != nil {
			r.Fatal(err)
		}
	}
}

func (p *twins) settle(*rapid.T) {
	for _, e := range p.stores {
		e.settleNow()
	}
}

func (p *twins) reopen(r *rapid.T) {
	for _, e := range p.stores {
		if e.how.Reopen != nil && rapid.IntRange(0, 2).Draw(r, "reopen") == 0 {
			e.s = e.how.Reopen(e.t, e.s)
		}
	}
}

// window is at the times of events, and a little beside.
func window(r *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(r, "no "+name) {
		return time.Time{}
	}
	at := base.Add(time.Duration(rapid.IntRange(-60, 460).Draw(r, name)) * time.Minute)
	return at.Add(time.Duration(rapid.IntRange(-1, 1).Draw(r, "beside")))
}

func (p *twins) scan(r *rapid.T) {
	q := store.Scan{
		From: window(r, "from"), To: window(r, "to"), Descending: rapid.Bool().Draw(r, "falling"), Copies: rapid.Bool().Draw(r, "copies"),
		Limit: rapid.SampledFrom([]int{0, 0, 1, 3, 20}).Draw(r, "limit"),
	}
	if text := rapid.SampledFrom([]string{
		"", "event.action: Action3", "user.name: (u1 or u2) and not event.action: Action1", "aws.cloudtrail.read_only: true", "source.ip: 198.18.1.0/24",
		"event.action: Nothing",
	}).Draw(r, "query"); text != "" {
		q.Match = p.stores[0].match(text)
	}
	one, other := p.stores[0].scan(q), p.stores[1].scan(q)
	if !slices.EqualFunc(one, other, sameRecord) {
		r.Fatalf("a scan of %s: one yields %s\nthe other %s", describe(&q), names(one), names(other))
	}
}

func (p *twins) find(r *rapid.T) {
	x := drawn(r)
	if len(p.known) > 0 && rapid.Bool().Draw(r, "known") {
		x = rapid.SampledFrom(p.known).Draw(r, "record")
	}
	var raw [2][]byte
	for i, e := range p.stores {
		got, err := e.s.Find(e.t.Context(), time.Unix(0, x.Time), x.ID)
		if got != nil {
			raw[i] = bytes.Clone(got.Raw)
		}
		if (err == nil) != slices.ContainsFunc(p.known, func(k store.Record) bool { return k.Time == x.Time && k.ID == x.ID }) {
			r.Fatalf("store %d: event %s: %v", i, x.ID, err)
		}
	}
	if !bytes.Equal(raw[0], raw[1]) {
		r.Fatalf("one finds %q, the other %q", raw[0], raw[1])
	}
}

func (p *twins) sums(r *rapid.T) {
	q := store.RollupQuery{
		From: window(r, "from"), To: window(r, "to"),
		Principal: rapid.SampledFrom([]string{"", "", "arn:aws:iam::111122223333:user/u3"}).Draw(r, "principal"),
		Action:    rapid.SampledFrom([]string{"", "", "Action2"}).Draw(r, "action"),
		Network:   rapid.SampledFrom([]string{"", "", "198.18.0.0/24"}).Draw(r, "network"),
		Totals:    rapid.Bool().Draw(r, "totals"),
	}
	one, other := p.stores[0].rollups(q), p.stores[1].rollups(q)
	if q.Totals {
		one, other = one.withoutHour(), other.withoutHour()
	}
	if diff := differ(one, other); diff != "" {
		r.Fatalf("sums of %+v: %s", q, diff)
	}
}
