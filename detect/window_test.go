package detect_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/query"
)

// This file simulates Elastic's scheduled runs of a new_terms rule over stored
// documents: a search in three phases at every run, with no memory between runs but
// the alerts. It is the behaviour that Debut's detector is measured against, and
// the cases are those in which it is easy to be off by one.

// schedule is a rule as the simulation runs it.
type schedule struct {
	from, to, history string // date math
	fields            []string
	max               int
	match             func(*event) bool // query and exceptions
	override          bool              // timestamp_override is event.ingested
}

// at returns the time by which the schedule places a document: the override if it
// is there, else @timestamp.
func (s *schedule) at(e *event) time.Time {
	if s.override {
		if v := e.fields["event.ingested"]; len(v) > 0 {
			t, err := time.Parse(time.RFC3339Nano, v[0])
			if err != nil {
				panic(err)
			}
			return t
		}
	}
	return e.t
}

func dateMath(t testing.TB, expr string, now time.Time) time.Time {
	t.Helper()
	m, err := query.ParseDateMath(expr)
	if err != nil {
		t.Fatal(err)
	}
	return m.At(now)
}

// run searches once. alerts holds the ids written by earlier runs, by term and
// document; it is added to. It returns the documents alerted and whether the limit
// cut some off.
func (s *schedule) run(t testing.TB, docs []*event, now time.Time, alerts map[string]bool) (fired []string, limited bool) {
	t.Helper()
	from, to := dateMath(t, s.from, now), dateMath(t, s.to, now)
	history := dateMath(t, s.history, to)

	firstSeen := map[string]*event{}
	recent := map[string]bool{}
	for _, d := range docs {
		at := s.at(d)
		if !s.match(d) || at.Before(history) || at.After(to) {
			continue
		}
		for _, term := range combinations(d, s.fields) {
			if !at.Before(from) {
				recent[term] = true
			}
			if f := firstSeen[term]; f == nil || at.Before(s.at(f)) || at.Equal(s.at(f)) && d.id < f.id {
				firstSeen[term] = d
			}
		}
	}
	var terms []string
	for term := range recent {
		if s.at(firstSeen[term]).After(from) {
			terms = append(terms, term)
		}
	}
	slices.Sort(terms)
	for _, term := range terms {
		id := term + "\x00" + firstSeen[term].id
		if alerts[id] {
			continue
		}
		if len(fired) == s.max {
			return fired, true
		}
		alerts[id] = true
		fired = append(fired, firstSeen[term].id)
	}
	return fired, false
}

func combinations(e *event, fields []string) []string {
	out := []string{""}
	for _, f := range fields {
		var next []string
		for _, prefix := range out {
			for _, v := range e.fields[f] {
				next = append(next, prefix+"\x1f"+v)
			}
		}
		out = next
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func user(t time.Time, id string, users ...string) *event {
	return &event{t: t, id: id, fields: map[string][]string{"user.name": users}}
}

// TestElasticWindows runs the cases over the simulation, and the detector over the
// same documents wherever the stream rule must agree.
func TestElasticWindows(t *testing.T) {
	t.Parallel()
	now := base
	from := now.Add(-9 * time.Minute)
	history := now.Add(-7 * 24 * time.Hour)
	const ms = time.Millisecond
	seed := schedule{
		from: "now-9m", to: "now", history: "now-7d", fields: []string{"user.name"}, max: 100,
		match: func(*event) bool { return true },
	}
	pair := seed
	pair.fields = []string{"cloud.account.id", "user.name"}
	except := seed
	except.match = func(e *event) bool { return e.id != "excepted" }
	ingested := seed
	ingested.override = true

	for _, tc := range []struct {
		name string
		s    schedule
		docs []*event
		want []string
		// stream is what the detector finds if that is not want: it has no window
		// whose first millisecond is already known.
		stream []string
		// again is what the next overlapping run alerts besides.
		again []string
	}{
		{"first event just behind from", seed, []*event{user(from.Add(ms), "a", "ana")}, []string{"a"}, nil, nil},
		{"first event exactly at from is known", seed, []*event{user(from, "a", "ana")}, nil, []string{"a"}, nil},
		{"first event exactly at to", seed, []*event{user(now, "a", "ana")}, []string{"a"}, nil, nil},
		// Five minutes later the history begins five minutes later: what was known is
		// new, in a window that had it before.
		{"earlier event exactly at the start of history", seed, []*event{user(history, "old", "ana"), user(now, "a", "ana")}, nil, []string{"old"}, []string{"a"}},
		{"earlier event just before history", seed, []*event{user(history.Add(-ms), "old", "ana"), user(now, "a", "ana")}, []string{"a"}, []string{"old", "a"}, nil},
		{
			"several events of one user are one alert, from the earliest", seed,
			[]*event{
				user(now.Add(-time.Minute), "c", "ana"), user(now.Add(-3*time.Minute), "b", "ana"), user(now, "d", "ana"),
				user(now.Add(-24*time.Hour), "k", "bo"), user(now, "e", "bo"),
			},
			[]string{"b"},
			[]string{"k", "b"},
			nil,
		},
		{
			"array with one known element", seed,
			[]*event{user(now.Add(-time.Hour), "k", "ana"), user(now, "a", "ana", "bo")},
			[]string{"a"},
			[]string{"k", "a"},
			nil,
		},
		{"second field missing", pair, []*event{user(now, "a", "ana")}, nil, nil, nil},
		{
			"a new pair of known values", pair,
			[]*event{
				{t: now.Add(-time.Hour), id: "k1", fields: map[string][]string{"cloud.account.id": {"1"}, "user.name": {"ana"}}},
				{t: now.Add(-time.Hour), id: "k2", fields: map[string][]string{"cloud.account.id": {"2"}, "user.name": {"bo"}}},
				{t: now, id: "a", fields: map[string][]string{"cloud.account.id": {"1"}, "user.name": {"bo"}}},
			},
			[]string{"a"},
			[]string{"k1", "k2", "a"},
			nil,
		},
		{
			"an exception that hides the history makes the user new", except,
			[]*event{user(now.Add(-time.Hour), "excepted", "ana"), user(now, "a", "ana")},
			[]string{"a"},
			nil,
			nil,
		},
		{
			"without event.ingested the event's time counts", ingested,
			[]*event{user(now, "a", "ana")},
			[]string{"a"},
			nil,
			nil,
		},
		{
			"event.ingested outside the window hides the event", ingested,
			[]*event{{t: now, id: "a", fields: map[string][]string{"user.name": {"ana"}, "event.ingested": {now.Add(time.Minute).Format(time.RFC3339Nano)}}}},
			nil,
			[]string{"a"}, // arrival enters no detector
			[]string{"a"}, // ingested by then
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			alerts := map[string]bool{}
			got, limited := tc.s.run(t, tc.docs, now, alerts)
			if diff := gocmp.Diff(tc.want, got); diff != "" || limited {
				t.Errorf("simulated run (-want +got), limited=%v:\n%s", limited, diff)
			}
			again, _ := tc.s.run(t, tc.docs, now.Add(5*time.Minute), alerts)
			if diff := gocmp.Diff(tc.again, again); diff != "" {
				t.Errorf("the next, overlapping run (-want +got):\n%s", diff)
			}
			want := tc.want
			if tc.stream != nil {
				want = tc.stream
			}
			var docs []*event
			for _, d := range tc.docs {
				if tc.s.match(d) {
					docs = append(docs, d)
				}
			}
			e := compile(t, input(newTermsRule(tc.s.fields...)))
			if diff := gocmp.Diff(append([]string{}, want...), ids(run(t, e, docs))); diff != "" {
				t.Errorf("detector (-want +got):\n%s", diff)
			}
		})
	}
}

func TestElasticLimit(t *testing.T) {
	t.Parallel()
	s := schedule{
		from: "now-9m", to: "now", history: "now-7d", fields: []string{"user.name"}, max: 100,
		match: func(*event) bool { return true },
	}
	for _, n := range []int{100, 101} {
		var docs []*event
		for i := range n {
			docs = append(docs, user(base.Add(-time.Minute), "e"+strings.Repeat("i", i%7)+time.Duration(i).String(), time.Duration(i).String()))
		}
		fired, limited := s.run(t, docs, base, map[string]bool{})
		if len(fired) != 100 || limited != (n == 101) {
			t.Errorf("%d new terms: %d alerts, limited=%v", n, len(fired), limited)
		}
	}
}

// The schedule misses what arrives too late; the detector does not, and it raises
// each episode once. Apart from that a schedule without gaps finds what the
// detector finds.
func TestDetectorFindsWhatTheScheduleFinds(t *testing.T) {
	t.Parallel()
	s := schedule{
		from: "now-9m", to: "now", history: "now-7d", fields: []string{"user.name"}, max: 1000,
		match: func(*event) bool { return true },
	}
	// Gaps clear of seven days, less what overlapping runs see: an event that one
	// run knows from seven days ago is new to the next.
	gaps := []time.Duration{time.Second, time.Hour, 60 * time.Hour, 167*time.Hour + 40*time.Minute, 169 * time.Hour, 240 * time.Hour}
	var docs []*event
	for u, name := range []string{"ana", "bo", "cy", "di"} {
		at := base.Add(time.Duration(u) * 7 * time.Minute)
		for i := range 12 {
			docs = append(docs, user(at, fmt.Sprintf("%s%02d", name, i), name))
			at = at.Add(gaps[(i*(u+1)*5+i*i)%len(gaps)])
		}
	}
	slices.SortFunc(docs, func(a, b *event) int { return cmp.Compare(a.t.UnixNano(), b.t.UnixNano()) })
	alerts := map[string]bool{}
	var want []string
	visible := 0
	for now := base; now.Before(docs[len(docs)-1].t.Add(10 * time.Minute)); now = now.Add(5 * time.Minute) {
		for visible < len(docs) && !docs[visible].t.After(now) {
			visible++
		}
		got, _ := s.run(t, docs[:visible], now, alerts)
		want = append(want, got...)
	}
	e := compile(t, input(newTermsRule("user.name")))
	got := ids(run(t, e, docs))
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-schedule +detector):\n%s", diff)
	}
	if len(got) < 12 || len(got) > len(docs)-12 {
		t.Errorf("%d alerts of %d documents: they do not exercise the window", len(got), len(docs))
	}
}
