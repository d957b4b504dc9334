package detect_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// Two users send commands; each is told of once, however the events come.
func Example() {
	cat := ecs.NewCatalogue()
	r := &rule.Rule{
		ID: "first-command", Name: "First command", Type: rule.NewTerms,
		NewTermsFields: []string{"user.name"}, HistoryWindowStart: "now-7d",
	}
	engine, err := detect.Compile(cat, []detect.Input{{Rule: r, Query: query.Const(true)}})
	if err != nil {
		panic(err)
	}

	event := func(hour int, user string) string {
		at := time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC)
		return fmt.Sprintf(`{"@timestamp": %q, "event": {"id": "e%d"}, "user": {"name": %q}}`, at.Format(time.RFC3339), hour, user)
	}
	matcher, fold := engine.NewMatcher(), engine.NewFold()
	for _, raw := range []string{event(9, "bo"), event(7, "ana"), event(8, "ana"), event(6, "ana")} {
		ev, err := ecs.ParseJSON(cat, []byte(raw))
		if err != nil {
			panic(err)
		}
		if err := matcher.Match(ev, func(h *detect.Hit) error { return fold.Add(h, inMemory(raw)) }); err != nil {
			panic(err)
		}
	}

	var hits []detect.Hit
	for h := range fold.Drain() {
		hits = append(hits, *h)
	}
	slices.SortFunc(hits, func(a, b detect.Hit) int { return a.Compare(&b) })
	var findings []detect.Hit
	for i := range hits { // here every group has one episode
		engine.Rules[hits[i].Rule].Reduce(func(yield func(*detect.Hit) bool) { yield(&hits[i]) },
			func(h detect.Hit) { findings = append(findings, h) })
	}
	slices.SortFunc(findings, func(a, b detect.Hit) int { return int(a.Time - b.Time) })
	for _, f := range findings {
		fmt.Println("first at", time.Unix(0, f.Time).UTC().Format(time.TimeOnly), "last at", time.Unix(0, f.Last).UTC().Format(time.TimeOnly))
	}
	// Output:
	// first at 06:00:00 last at 08:00:00
	// first at 09:00:00 last at 09:00:00
}

// inMemory keeps nothing: the example needs no record again.
type inMemory string

func (m inMemory) Content() uint64           { return uint64(len(m)) }
func (m inMemory) Keep() (detect.Ref, error) { return detect.Ref{}, nil }
