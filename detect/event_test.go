package detect_test

import (
	"slices"
	"testing"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// event is an event made for a test: a time, an id and some fields. Copies of one
// event have the same id and may have other content.
type event struct {
	t       time.Time
	id      string
	fields  map[string][]string
	content uint64
}

func (e *event) Values(f *ecs.Field) []string { return e.fields[f.Name] }
func (e *event) Time() time.Time              { return e.t }
func (e *event) Document() ecs.Document       { panic("not needed") }

func (e *event) ID() (id ecs.ID) {
	copy(id[:], e.id)
	return id
}

// has is the condition that a field has a value.
type has struct {
	field *ecs.Field
	value string
}

func (h has) Match(ev ecs.Event) bool { return slices.Contains(ev.Values(h.field), h.value) }

func (h has) Decide(k query.Known) query.Truth {
	values, ok := k(h.field)
	switch {
	case !ok:
		return query.Maybe
	case slices.Contains(values, h.value):
		return query.True
	default:
		return query.False
	}
}

func (h has) Fields(yield func(*ecs.Field)) { yield(h.field) }

// all matches every event.
type all struct{}

func (all) Match(ecs.Event) bool           { return true }
func (all) Decide(query.Known) query.Truth { return query.True }
func (all) Fields(func(*ecs.Field))        {}

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newTermsRule(fields ...string) *rule.Rule {
	return &rule.Rule{
		ID: "r-new-terms", Name: "first time", Type: rule.NewTerms, NewTermsFields: fields,
		HistoryWindowStart: "now-7d", From: "now-9m", To: "now", Interval: 5 * time.Minute, MaxSignals: 100,
	}
}

func thresholdRule(n int64, fields ...string) *rule.Rule {
	return &rule.Rule{
		ID: "r-threshold", Name: "too many", Type: rule.Threshold, ThresholdFields: fields, ThresholdValue: n,
		From: "now-10m", To: "now", Interval: 5 * time.Minute, MaxSignals: 100,
	}
}

func queryRule() *rule.Rule {
	return &rule.Rule{
		ID: "r-query", Name: "each", Type: rule.Query, From: "now-10m", To: "now",
		Interval: 5 * time.Minute, MaxSignals: 100,
	}
}

func compile(t testing.TB, inputs ...detect.Input) *detect.Engine {
	t.Helper()
	e, err := detect.Compile(ecs.NewCatalogue(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// keeper keeps a record by its number.
type keeper struct{ content uint64 }

func (k keeper) Content() uint64           { return k.content }
func (k keeper) Keep() (detect.Ref, error) { return detect.Ref{Offset: int64(k.content)}, nil }

// match returns the hits of the events, unfolded and in the order of the events.
func match(t testing.TB, e *detect.Engine, events []*event) []detect.Hit {
	t.Helper()
	var hits []detect.Hit
	m := e.NewMatcher()
	for _, ev := range events {
		err := m.Match(ev, func(h *detect.Hit) error {
			hit := *h
			hit.Content, hit.Ref = ev.content, detect.Ref{Offset: int64(ev.content)}
			hits = append(hits, hit)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return hits
}

// fold folds the hits of rules that fold and drains the fold; others pass.
func fold(t testing.TB, e *detect.Engine, hits []detect.Hit) []detect.Hit {
	t.Helper()
	var out []detect.Hit
	f := e.NewFold()
	for i := range hits {
		h := hits[i]
		if !e.Rules[h.Rule].Folds() {
			out = append(out, h)
			continue
		}
		k := keeper{h.Content}
		h.Content, h.Ref = 0, detect.Ref{} // a fold asks the keeper
		if err := f.Add(&h, k); err != nil {
			t.Fatal(err)
		}
	}
	for h := range f.Drain() {
		out = append(out, *h)
	}
	if f.Len() != 0 {
		t.Error("a drained fold is not empty")
	}
	return out
}

// run matches events, folds what folds in one go, and reduces.
func run(t testing.TB, e *detect.Engine, events []*event) []detect.Hit {
	t.Helper()
	return reduce(e, fold(t, e, match(t, e, events)))
}

// reduce sorts and groups hits, in place, and returns the findings by time.
func reduce(e *detect.Engine, hits []detect.Hit) []detect.Hit {
	slices.SortFunc(hits, func(a, b detect.Hit) int { return a.Compare(&b) })
	var findings []detect.Hit
	for i := 0; i < len(hits); {
		j := i
		for j < len(hits) && hits[j].SameGroup(&hits[i]) {
			j++
		}
		group := hits[i:j]
		e.Rules[hits[i].Rule].Reduce(func(yield func(*detect.Hit) bool) {
			var h detect.Hit // one place for all: a hit is valid until the next
			for k := range group {
				h = group[k]
				if !yield(&h) {
					return
				}
			}
		}, func(h detect.Hit) { findings = append(findings, h) })
		i = j
	}
	slices.SortFunc(findings, func(a, b detect.Hit) int {
		return (&detect.Signal{Hit: a}).CompareTime(&detect.Signal{Hit: b})
	})
	return findings
}

func idOf(h detect.Hit) string {
	n := 0
	for n < len(h.ID) && h.ID[n] != 0 {
		n++
	}
	return string(h.ID[:n])
}

func ids(findings []detect.Hit) []string {
	out := []string{}
	for _, f := range findings {
		out = append(out, idOf(f))
	}
	return out
}

// input is a rule that matches every event.
func input(r *rule.Rule) detect.Input { return detect.Input{Rule: r, Query: all{}} }

func compileErr(r *rule.Rule) (*detect.Engine, error) {
	return detect.Compile(ecs.NewCatalogue(), []detect.Input{input(r)})
}
