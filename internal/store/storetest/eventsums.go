package storetest

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// Sums are the rollups that a store yields, those with equal keys added up.
type Sums map[store.RollupKey]store.Rollup

// Add adds one more.
func (m Sums) Add(r store.Rollup) {
	have, ok := m[r.RollupKey]
	if !ok {
		m[r.RollupKey] = r
		return
	}
	if r.First.Before(have.First) {
		have.First = r.First
	}
	if r.Last.After(have.Last) {
		have.Last = r.Last
	}
	have.Count += r.Count
	m[r.RollupKey] = have
}

// SumsOf returns what a store sums up. It fails the test if the store cannot.
func SumsOf(tb testing.TB, s store.Events, q store.RollupQuery) Sums {
	tb.Helper()
	out := Sums{}
	for r, err := range s.Rollups(tb.Context(), q) {
		if err != nil {
			tb.Fatal(err)
		}
		out.Add(*r)
	}
	return out
}

// withoutHour adds up what differs by nothing but the hour.
func (m Sums) withoutHour() Sums {
	out := Sums{}
	for _, r := range m {
		r.Hour = time.Time{}
		out.Add(r)
	}
	return out
}

// totals are the sums of a query that asks for totals.
func (m Sums) totals() Sums {
	out := Sums{}
	for _, r := range m {
		r.Hour, r.Outcome, r.Agent = time.Time{}, "", ""
		out.Add(r)
	}
	return out
}

// rollups returns what the store sums up, of which nothing is damaged.
func (e *eventTest) rollups(q store.RollupQuery) Sums {
	e.t.Helper()
	q.Damaged = func(name string, err error) { e.t.Errorf("damaged: %s: %v", name, err) }
	return SumsOf(e.t, e.s, q)
}

// summedUp sums up events as [event] makes them, each once.
func summedUp(list []store.Record, q store.RollupQuery) Sums {
	out := Sums{}
	for _, r := range list {
		value := func(name string) string {
			_, s, _ := strings.Cut(string(r.Raw), `"`+name+`":"`)
			s, _, _ = strings.Cut(s, `"`)
			return s
		}
		address := value("sourceIPAddress")
		t := time.Unix(0, r.Time).UTC()
		k := store.RollupKey{
			Hour: t.Truncate(time.Hour), Account: "111122223333", Region: "eu-west-1", Principal: value("arn"),
			Provider: "ssm.amazonaws.com", Action: value("eventName"), Outcome: "success",
			Network: address[:strings.LastIndexByte(address, '.')] + ".0/24", Agent: value("userAgent"),
		}
		if q.Wants(&k) {
			out.Add(store.Rollup{RollupKey: k, Count: 1, First: t, Last: t})
		}
	}
	return out
}

// differ names a sum that is not the same in both.
func differ(a, b Sums) string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for k := range all {
		x, y := a[k], b[k]
		same := func(a, b time.Time) bool { return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond)) }
		if x.Count != y.Count || !same(x.First, y.First) || !same(x.Last, y.Last) {
			return fmt.Sprintf("%d sums and %d; of %+v one has %d from %v to %v, the other %d from %v to %v",
				len(a), len(b), k, x.Count, x.First, x.Last, y.Count, y.First, y.Last)
		}
	}
	return ""
}

// spread makes events of few kinds over many hours, from before the first.
func spread(n int) []store.Record {
	list := make([]store.Record, n)
	for i := range list {
		list[i] = event(i%6+i/6*210, base.Add(time.Duration(i*7919%600-60)*time.Minute+time.Duration(i%3)), "")
	}
	return list
}

func testEventRollups(t *testing.T, e *eventTest) {
	all := spread(300)
	for i := range 5 {
		e.add(all[i*60 : i*60+60]...)
	}
	hour := func(n int) time.Time { return base.Add(time.Duration(n) * time.Hour) }
	for _, q := range []store.RollupQuery{
		{},
		{From: hour(2)},
		{To: hour(2)},
		{From: hour(1), To: hour(4)},
		{From: hour(1).Add(1), To: hour(4).Add(1)}, // hours that begin within
		{From: hour(3), To: hour(3)},
		{From: hour(30)},
		{Principal: "arn:aws:iam::111122223333:user/u3"},
		{Action: "Action2", From: hour(1)},
		{Network: "198.18.1.0/24", Action: "Action4"},
		{Account: "111122223333", Region: "eu-west-1", Provider: "ssm.amazonaws.com"},
		{Account: "999"},
		{Region: "eu-west-2"},
		{Provider: "ssm"},
		{Principal: "nobody"},
	} {
		want := summedUp(all, q)
		if diff := differ(e.rollups(q), want); diff != "" {
			t.Errorf("%+v: %s", q, diff)
		}
		q.Totals = true
		if diff := differ(e.rollups(q).withoutHour(), want.totals()); diff != "" {
			t.Errorf("%+v: %s", q, diff)
		}
	}
	for r, err := range e.s.Rollups(t.Context(), store.RollupQuery{}) { // it may be left
		if err != nil || r.Count == 0 {
			t.Errorf("%v, %v", r, err)
		}
		break
	}
}

// testEventRollupsOfCopies: each event counts once, however often and unequal it came.
func testEventRollupsOfCopies(t *testing.T, e *eventTest) {
	all := spread(60)
	e.add(all[:40]...)
	e.add(all[20:]...)
	more := make([]store.Record, 30)
	for i := range more {
		more[i] = event(i%6+i/6*210, time.Unix(0, all[i].Time), fmt.Sprintf(`,"x":%d`, i))
	}
	e.add(more...)
	e.add(all[0], all[0], all[0])
	want := summedUp(all, store.RollupQuery{})
	for range 2 { // what the first keeps is good for the second
		if diff := differ(e.rollups(store.RollupQuery{}), want); diff != "" {
			t.Error(diff)
		}
	}
}
