package detect_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// spoken is an event of a group as it counts: of its copies the one with the
// smallest content.
type spoken struct {
	hit      detect.Hit
	values   map[ecs.ID]bool
	conflict bool
}

// speaking returns the events of one group in order.
func speaking(hits []detect.Hit) []*spoken {
	type key struct {
		id   ecs.ID
		time int64
	}
	events := map[key]*spoken{}
	for _, h := range hits {
		k := key{h.ID, h.Time}
		s := events[k]
		switch {
		case s == nil:
			s = &spoken{hit: h, values: map[ecs.ID]bool{}}
			events[k] = s
		case h.Content < s.hit.Content:
			s.hit, s.values, s.conflict = h, map[ecs.ID]bool{}, true
		case h.Content > s.hit.Content:
			s.conflict = true
			continue
		}
		if h.Value != (ecs.ID{}) {
			s.values[h.Value] = true
		}
	}
	var list []*spoken
	for _, s := range events {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *spoken) int {
		return cmp.Or(cmp.Compare(a.hit.Time, b.hit.Time), slices.Compare(a.hit.ID[:], b.hit.ID[:]))
	})
	return list
}

// naiveThreshold is the definition: it tries every span of at most w, joins those
// that share an event, and says of each union what there is to say.
func naiveThreshold(events []*spoken, n, distinct int, w time.Duration) (want []string) {
	member := make([]int, len(events)) // of which union, 0: none
	union := 0
	for i := range events {
		for j := i; j < len(events) && events[j].hit.Time-events[i].hit.Time <= int64(w); j++ {
			values := map[ecs.ID]bool{}
			for _, e := range events[i : j+1] {
				for v := range e.values {
					values[v] = true
				}
			}
			if j-i+1 < n || len(values) < distinct {
				continue
			}
			union++
			for k := i; k <= j; k++ {
				if old := member[k]; old != 0 {
					for m := range member {
						if member[m] == old {
							member[m] = union
						}
					}
				}
				member[k] = union
			}
		}
	}
	for i := 0; i < len(events); {
		if member[i] == 0 {
			i++
			continue
		}
		first, values, conflict := events[i], map[ecs.ID]bool{}, false
		principal := first.hit.Principal
		count, last := 0, int64(0)
		for ; i < len(events) && member[i] == member[slices.Index(events, first)]; i++ {
			e := events[i]
			for v := range e.values {
				values[v] = true
			}
			if e.hit.Principal != first.hit.Principal {
				principal = ecs.ID{}
			}
			conflict = conflict || e.conflict
			count++
			last = e.hit.Time
		}
		want = append(want, fmt.Sprintf("%x: %s content %d at %d..%d: %d events, %d values, by %x, conflict %v",
			first.hit.Group[:4], idOf(first.hit), first.hit.Content, first.hit.Time, last, count, len(values), principal, conflict))
	}
	return want
}

func TestThresholdIsItsDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "value")
		distinct := rapid.IntRange(0, 3).Draw(rt, "distinct")
		r := thresholdRule(int64(n), rapid.SampledFrom([][]string{{"user.name"}, {}, {"user.name", "debut.principal"}}).Draw(rt, "fields")...)
		if distinct > 0 {
			r.Cardinality = []rule.Cardinality{{Field: "source.ip", Value: int64(distinct)}}
		}
		e := compile(t, input(r))
		hits := match(t, e, drawEvents(rt))
		groups := map[ecs.ID][]detect.Hit{}
		for _, h := range hits {
			groups[h.Group] = append(groups[h.Group], h)
		}
		var want, got []string
		for _, group := range groups {
			want = append(want, naiveThreshold(speaking(group), n, distinct, 10*time.Minute)...)
		}
		for _, f := range reduce(e, disturb(rt, hits)) {
			got = append(got, fmt.Sprintf("%x: %s content %d at %d..%d: %d events, %d values, by %x, conflict %v",
				f.Group[:4], idOf(f), f.Content, f.Time, f.Last, f.Count, f.Distinct, f.Principal, f.Conflict))
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-definition +detector):\n%s", diff)
		}
	})
}

// Every value of an array counts in its group, and values of a further field are
// told apart, within the limit; beyond it they are counted as excess.
func TestThresholdCrossProduct(t *testing.T) {
	t.Parallel()
	r := thresholdRule(1, "user.name")
	r.Cardinality = []rule.Cardinality{{Field: "source.ip", Value: 1}}
	e := compile(t, input(r))
	texts := func(prefix string, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%s%d", prefix, i))
		}
		return list
	}
	for _, tc := range []struct{ users, ips, hits, excess int }{
		{2, 3, 6, 0}, {2, 0, 2, 0}, {0, 3, 0, 0}, {100, 100, 10_000, 0}, {100, 101, 10_000, 100}, {10_001, 2, 10_000, 10_001},
	} {
		m := e.NewMatcher()
		ev := &event{t: base, id: "a", fields: map[string][]string{"user.name": texts("u", tc.users), "source.ip": texts("ip", tc.ips)}}
		hits := 0
		for range 2 { // a copy adds nothing to the excess
			hits = 0
			if err := m.Match(ev, func(*detect.Hit) error { hits++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		var excess int64
		for _, n := range m.Excess() {
			excess += n
		}
		if hits != tc.hits || excess != int64(tc.excess) {
			t.Errorf("%d users, %d addresses: %d hits, excess %d; want %d, %d", tc.users, tc.ips, hits, excess, tc.hits, tc.excess)
		}
	}
}

// The distinct values of one finding are counted up to a limit, and a flood of them
// in one window takes no more memory than that.
func TestThresholdDistinctLimit(t *testing.T) {
	t.Parallel()
	const limit = 1 << 16
	r := thresholdRule(1)
	r.Cardinality = []rule.Cardinality{{Field: "source.ip", Value: 3}}
	e := compile(t, input(r))
	h := detect.Hit{Time: base.UnixNano(), Last: base.UnixNano()}
	var got []detect.Hit
	e.Rules[0].Reduce(func(yield func(*detect.Hit) bool) {
		for i := range limit + 1000 {
			h.ID[0], h.ID[1], h.ID[2] = byte(i>>16), byte(i>>8), byte(i)
			h.Value = h.ID
			h.Value[15] = 1
			if !yield(&h) {
				return
			}
		}
	}, func(f detect.Hit) { got = append(got, f) })
	if len(got) != 1 || got[0].Distinct != limit || got[0].Count != limit+1000 {
		t.Errorf("%v", describe(got))
	}
}
