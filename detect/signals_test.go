package detect_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/rule"
)

// signal is a finding of a principal at a time.
func signal(at time.Duration, principal string, n int) detect.Signal {
	var s detect.Signal
	s.Time = base.Add(at).UnixNano()
	s.Last = s.Time
	copy(s.ID[:], fmt.Sprintf("e%06d", n))
	copy(s.Principal[:], principal)
	return s
}

// limited sends signals through a limiter.
func limited(t testing.TB, limit int, interval time.Duration, in []detect.Signal) (out []detect.Signal, capped []detect.Capped, dropped int64) {
	t.Helper()
	r := queryRule()
	r.MaxSignals, r.Interval = limit, interval
	e := compile(t, input(r))
	l := e.NewLimiter(0, func(s detect.Signal) error { out = append(out, s); return nil }, func(c detect.Capped) { capped = append(capped, c) })
	for i := range in {
		if err := l.Add(&in[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return out, capped, l.Dropped
}

// told writes signals as "principal number", withheld ones in brackets.
func told(list []detect.Signal) string {
	var parts []string
	for _, s := range list {
		text := strings.TrimRight(string(s.Principal[:]), "\x00") + strings.TrimLeft(idOf(s.Hit), "e0")
		if s.Withheld {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	flood := func(n int) (list []detect.Signal) {
		for i := range n {
			list = append(list, signal(time.Duration(i)*time.Second, "f", i+1))
		}
		return list
	}
	last := signal(4*time.Minute, "v", 99)
	early := time.Unix(0, 0).Sub(base)
	for _, tc := range []struct {
		name   string
		limit  int
		in     []detect.Signal
		want   string
		capped []detect.Capped
	}{
		{"under the limit", 3, flood(3), "f1 f2 f3", nil},
		{
			"the earliest go first", 3, flood(5), "f1 f2 f3 (f4) (f5)",
			[]detect.Capped{{Start: base, Signals: 3, Withheld: 2}},
		},
		{
			"a principal not told of passes before the repeats of another", 3, append(flood(5), last), "f1 f2 (f3) (f4) (f5) v99",
			[]detect.Capped{{Start: base, Signals: 3, Withheld: 3}},
		},
		{
			"more principals than the limit", 2,
			[]detect.Signal{signal(0, "a", 1), signal(0, "a", 2), signal(1, "b", 3), signal(2, "c", 4), signal(3, "d", 5)},
			"a1 (a2) b3 (c4) (d5)",
			[]detect.Capped{{Start: base, Signals: 2, Withheld: 3, Untold: 2}},
		},
		{
			"each interval has its own limit", 1,
			[]detect.Signal{
				signal(0, "a", 1), signal(5*time.Minute-1, "a", 2), signal(5*time.Minute, "a", 3), signal(15*time.Minute, "a", 4),
			},
			"a1 (a2) a3 a4",
			[]detect.Capped{{Start: base, Signals: 1, Withheld: 1}},
		},
		{
			"before 1970 intervals are as long as later", 1,
			[]detect.Signal{
				signal(early-1, "a", 1), signal(early, "a", 2), signal(early+1, "a", 3),
			},
			"a1 a2 (a3)",
			[]detect.Capped{{Start: time.Unix(0, 0).UTC(), Signals: 1, Withheld: 1}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, capped, dropped := limited(t, tc.limit, 5*time.Minute, tc.in)
			if told(got) != tc.want || dropped != 0 {
				t.Errorf("got %s, dropped %d; want %s", told(got), dropped, tc.want)
			}
			if diff := gocmp.Diff(tc.capped, capped); diff != "" {
				t.Errorf("capped (-want +got):\n%s", diff)
			}
		})
	}
}

// A flood is counted to the last, keeps 10,000 a day, and hides nobody.
func TestLimiterFlood(t *testing.T) {
	t.Parallel()
	const n = 50_000
	var in []detect.Signal
	for i := range n {
		in = append(in, signal(time.Duration(i)*time.Millisecond, "flood", i))
	}
	in = append(in, signal(4*time.Minute, "victim", n))
	// Later on the same day everything over the limit is only counted.
	for i := range 50 {
		in = append(in, signal(time.Hour, "flood", n+1+i))
	}
	out, capped, dropped := limited(t, 10, 5*time.Minute, in)
	through, withheld := 0, 0
	var principals []string
	for _, s := range out {
		if s.Withheld {
			withheld++
		} else {
			through++
			principals = append(principals, strings.TrimRight(string(s.Principal[:]), "\x00"))
		}
	}
	if through != 20 || withheld != 10_000 || dropped != int64(len(in)-through-withheld) {
		t.Errorf("%d let through, %d withheld, %d dropped", through, withheld, dropped)
	}
	if !slices.Contains(principals, "victim") {
		t.Error("a flood hides the first finding of another principal")
	}
	if len(capped) != 2 || capped[0].Signals+capped[0].Withheld != n+1 || capped[1].Withheld != 40 {
		t.Errorf("capped: %+v", capped)
	}
}

// max_signals is itself limited, and a rule without one has Elastic's.
func TestLimiterBounds(t *testing.T) {
	t.Parallel()
	var in []detect.Signal
	for i := range 20_050 {
		in = append(in, signal(0, fmt.Sprintf("p%d", i), i))
	}
	for limit, want := range map[int]int{0: 100, -5: 100, 1 << 40: 10_000} {
		out, capped, _ := limited(t, limit, 0, in)
		through := 0
		for _, s := range out {
			if !s.Withheld {
				through++
			}
		}
		if through != want || len(capped) != 1 {
			t.Errorf("max_signals %d: %d let through, %v", limit, through, capped)
		}
	}
}

func TestLimiterStopsAtAnError(t *testing.T) {
	t.Parallel()
	e := compile(t, input(queryRule()))
	full := errors.New("the disk is full")
	l := e.NewLimiter(0, func(detect.Signal) error { return full }, nil)
	a, b := signal(0, "a", 1), signal(time.Hour, "a", 2)
	if err := l.Add(&a); err != nil {
		t.Fatal(err)
	}
	if err := l.Add(&b); !errors.Is(err, full) {
		t.Errorf("Add: %v", err)
	}
}

// suppressed runs events through a query rule with suppression.
func suppressed(t testing.TB, r *rule.Rule, events []*event) []detect.Signal {
	t.Helper()
	cat := ecs.NewCatalogue()
	e, err := detect.Compile(cat, []detect.Input{input(r)})
	if err != nil {
		t.Fatal(err)
	}
	s := e.NewSuppression(0, cat)
	byID := map[string]*event{}
	for _, ev := range events {
		byID[ev.id] = ev
	}
	var signals []detect.Signal
	for _, f := range run(t, e, events) {
		var ev ecs.Event
		if s.NeedsEvent() {
			ev = byID[idOf(f)]
		}
		signals = append(signals, s.Signal(&f, ev))
	}
	slices.SortFunc(signals, func(a, b detect.Signal) int { return a.CompareInstance(&b) })
	var out []detect.Signal
	for i := 0; i < len(signals); {
		j := i
		for j < len(signals) && signals[j].SameInstance(&signals[i]) {
			j++
		}
		if signals[i].Instance == (ecs.ID{}) {
			out = append(out, signals[i:j]...) // they stand alone
		} else {
			group := signals[i:j]
			s.Reduce(func(yield func(*detect.Signal) bool) {
				var sig detect.Signal
				for k := range group {
					sig = group[k]
					if !yield(&sig) {
						return
					}
				}
			}, func(sig detect.Signal) { out = append(out, sig) })
		}
		i = j
	}
	slices.SortFunc(out, func(a, b detect.Signal) int { return a.CompareTime(&b) })
	return out
}

func TestSuppression(t *testing.T) {
	t.Parallel()
	hourly := &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour}
	apart := &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour, MissingFieldsStrategy: "doNotSuppress"}
	pair := &rule.Suppression{GroupBy: []string{"user.name", "source.ip"}, Duration: time.Hour}
	at := func(d time.Duration, id string, users ...string) *event { return user(base.Add(d), id, users...) }
	for _, tc := range []struct {
		name string
		how  *rule.Suppression
		docs []*event
		want string // id+suppressed until minutes after the first of all
	}{
		{"one group", hourly, []*event{at(0, "a", "ana"), at(time.Minute, "b", "ana"), at(2*time.Minute, "c", "bo")}, "a+1@1 c+0@2"},
		{"the bucket decides, not the distance", hourly, []*event{at(59*time.Minute, "a", "ana"), at(60*time.Minute, "b", "ana")}, "a+0@59 b+0@60"},
		{
			"a late event renames nothing but its own bucket", hourly,
			[]*event{at(0, "new", "ana"), at(30*time.Minute, "a", "ana"), at(61*time.Minute, "b", "ana"), at(62*time.Minute, "c", "ana")},
			"new+1@30 b+1@62",
		},
		{"what has no value is one group", hourly, []*event{at(0, "a"), at(1*time.Minute, "b"), at(2*time.Minute, "c", "ana")}, "a+1@1 c+0@2"},
		{"or stands alone", apart, []*event{at(0, "a"), at(1*time.Minute, "b"), at(2*time.Minute, "c", "ana"), at(3*time.Minute, "d", "ana")}, "a+0@x b+0@x c+1@3"},
		{"arrays as a whole, in any order", hourly, []*event{at(0, "a", "ana", "bo"), at(time.Minute, "b", "bo", "ana"), at(2*time.Minute, "c", "bo")}, "a+1@1 c+0@2"},
		{
			"values do not run together", pair,
			[]*event{
				{t: base, id: "a", fields: map[string][]string{"user.name": {"x", "y"}}},
				{t: base, id: "b", fields: map[string][]string{"user.name": {"x"}, "source.ip": {"y"}}},
				{t: base, id: "c", fields: map[string][]string{"user.name": {"x"}, "source.ip": {"1", "y"}}},
				{t: base, id: "d", fields: map[string][]string{"user.name": {"x", "1"}, "source.ip": {"y"}}},
			},
			"a+0@0 b+0@0 c+0@0 d+0@0",
		},
		{"without a duration the interval is the bucket", &rule.Suppression{GroupBy: []string{"user.name"}}, []*event{
			at(0, "a", "ana"), at(4*time.Minute, "b", "ana"), at(5*time.Minute, "c", "ana"),
		}, "a+1@4 c+0@5"},
		{"before 1970", hourly, []*event{
			user(time.Unix(-1, 0), "a", "ana"), user(time.Unix(1, 0), "b", "ana"), user(time.Unix(2, 0), "c", "ana"),
		}, "a+0@x b+1@x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := queryRule()
			r.Suppression = tc.how
			var got []string
			for _, s := range suppressed(t, r, tc.docs) {
				end := "x"
				if s.SuppressedEnd > base.Add(-time.Hour).UnixNano() {
					end = fmt.Sprint(int(time.Unix(0, s.SuppressedEnd).Sub(base) / time.Minute))
				}
				got = append(got, fmt.Sprintf("%s+%d@%s", idOf(s.Hit), s.Suppressed, end))
			}
			if text := strings.Join(got, " "); text != tc.want {
				t.Errorf("got %s, want %s", text, tc.want)
			}
		})
	}
}

// A threshold is suppressed by its own group, and its count lasts to the last event.
func TestSuppressionOfThreshold(t *testing.T) {
	t.Parallel()
	r := thresholdRule(2, "user.name")
	r.Suppression = &rule.Suppression{Duration: time.Hour}
	var docs []*event
	for i, at := range []time.Duration{0, time.Minute, 20 * time.Minute, 21 * time.Minute, 40 * time.Minute, 44 * time.Minute} {
		docs = append(docs, user(base.Add(at), fmt.Sprintf("a%d", i), "ana"), user(base.Add(at), fmt.Sprintf("b%d", i), "bo"))
	}
	got := suppressed(t, r, docs)
	if len(got) != 2 {
		t.Fatalf("%d signals of two groups", len(got))
	}
	for _, s := range got {
		if s.Suppressed != 2 || s.SuppressedEnd != base.Add(44*time.Minute).UnixNano() || s.Instance != s.Group {
			t.Errorf("%s stands for %d until %v", idOf(s.Hit), s.Suppressed, time.Unix(0, s.SuppressedEnd).UTC())
		}
	}
}

// Nothing is lost: alerts and what they stand for are all findings.
func TestSuppressionAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := queryRule()
		r.Suppression = &rule.Suppression{
			GroupBy:               []string{"user.name"},
			Duration:              rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, 24 * time.Hour}).Draw(rt, "duration"),
			MissingFieldsStrategy: rapid.SampledFrom([]string{"suppress", "doNotSuppress"}).Draw(rt, "missing"),
		}
		events := drawEvents(rt)
		distinct := map[string]bool{}
		for _, ev := range events {
			distinct[ev.id] = true
		}
		var sum int64
		for _, s := range suppressed(t, r, events) {
			sum += 1 + s.Suppressed
			if s.SuppressedEnd != 0 && s.SuppressedEnd < s.Time {
				rt.Fatalf("%s ends before it begins", idOf(s.Hit))
			}
		}
		if sum != int64(len(distinct)) {
			rt.Fatalf("%d findings became %d", len(distinct), sum)
		}
	})
}
