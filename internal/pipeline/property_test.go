package pipeline_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/rule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func engine(t testing.TB, cat *ecs.Catalogue, rules ...*rule.Rule) *detect.Engine {
	t.Helper()
	inputs := make([]detect.Input, 0, len(rules))
	for _, r := range rules {
		n, err := kql.Parse(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		q, diags := kql.Compile(n, cat)
		if q == nil {
			t.Fatal(diags)
		}
		inputs = append(inputs, detect.Input{Rule: r, Query: q})
	}
	e, err := detect.Compile(cat, inputs)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// rules has one rule of each type, with suppression and a small max_signals.
func rules() []*rule.Rule {
	common := func(r rule.Rule) *rule.Rule {
		r.From, r.To, r.Interval, r.MaxSignals = "now-9m", "now", 5*time.Minute, 100
		r.Name, r.Severity, r.RiskScore = r.ID, "low", 21
		return &r
	}
	suppressed := common(rule.Rule{ID: "suppressed", Type: rule.Query, Query: `event.action: StartSession`})
	suppressed.Suppression = &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour}
	capped := common(rule.Rule{ID: "capped", Type: rule.Query, Query: `event.provider: "ssm.amazonaws.com"`})
	capped.MaxSignals = 2
	return []*rule.Rule{
		common(rule.Rule{
			ID: "first", Type: rule.NewTerms, Query: `event.action: SendCommand and event.outcome: success`,
			NewTermsFields: []string{"aws.cloudtrail.user_identity.arn"}, HistoryWindowStart: "now-7d",
		}),
		common(rule.Rule{
			ID: "many", Type: rule.Threshold, Query: `event.outcome: failure`, ThresholdValue: 3,
			ThresholdFields: []string{"user.name"},
			Cardinality:     []rule.Cardinality{{Field: "event.action", Value: 2}},
		}),
		suppressed,
		capped,
	}
}

// record makes a CloudTrail record.
func record(id int, at time.Time, user, action string, failed bool) string {
	failure := ""
	if failed {
		failure = `"errorCode":"AccessDenied",`
	}
	return fmt.Sprintf(`{"eventVersion":"1.09","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/%[3]s",`+
		`"accountId":"111122223333","userName":"%[3]s"},"eventTime":"%[2]s","eventSource":"ssm.amazonaws.com","eventName":"%[4]s",`+
		`"awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.7",%[5]s"eventID":"00000000-0000-4000-8000-%012[1]d","recipientAccountId":"111122223333"}`,
		id, at.Format(time.RFC3339), user, action, failure)
}

func records(t *rapid.T) []string {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	list := make([]string, 0, 60)
	for i := range rapid.IntRange(1, 60).Draw(t, "records") {
		at = at.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 4 * time.Minute, 20 * time.Hour, 170 * time.Hour}).Draw(t, "gap"))
		list = append(list, record(i, at,
			rapid.SampledFrom([]string{"ana", "bo", "cy"}).Draw(t, "user"),
			rapid.SampledFrom([]string{"SendCommand", "StartSession", "GetParameter"}).Draw(t, "action"),
			rapid.Bool().Draw(t, "failed")))
	}
	return list
}

// pack spreads records over objects, some of them gzipped.
func pack(t *rapid.T, list []string) []string {
	var objects []string
	for len(list) > 0 {
		n := rapid.IntRange(1, len(list)).Draw(t, "size")
		text := `{"Records":[` + strings.Join(list[:n], ",") + `]}`
		if rapid.Bool().Draw(t, "lines") {
			text = strings.Join(list[:n], "\n") + "\n"
		}
		if rapid.Bool().Draw(t, "gzip") {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, _ = io.WriteString(w, text)
			_ = w.Close()
			text = b.String()
		}
		objects = append(objects, text)
		list = list[n:]
	}
	return objects
}

func objects(texts []string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		for i, text := range texts {
			o := pipeline.Object{
				Name: fmt.Sprintf("object-%d", i), Size: int64(len(text)),
				Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// scan runs and returns the findings as text.
func scan(t testing.TB, cat *ecs.Catalogue, e *detect.Engine, workers int, memory int64, texts []string) []string {
	t.Helper()
	res, err := pipeline.Run(context.Background(), pipeline.Config{
		Engine: e, Catalogue: cat, Workers: workers, Memory: memory, TempDir: t.TempDir(),
	}, objects(texts))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := res.Close(); err != nil {
			t.Error(err)
		}
	}()
	if res.Stats.Rejected > 0 {
		t.Fatalf("rejected: %+v", res.Stats.Problems)
	}
	out := []string{}
	for f, err := range res.Found() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %s %v %s..%s prev=%d n=%d distinct=%d withheld=%v suppressed=%d cover=%.3f",
			f.Rule.Rule.ID, f.Event.ID(), f.Rule.Combination(f.Event, f.Group), f.Event.Time().Format(time.RFC3339),
			time.Unix(0, f.Last).UTC().Format(time.RFC3339), f.Previous, f.Count, f.Distinct, f.Withheld, f.Suppressed, f.Coverage))
	}
	return out
}

// The result is a function of the set of records: not of workers, order, objects,
// copies or memory.
func TestResultDependsOnNothingElse(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	e := engine(t, cat, rules()...)
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		list := records(rt)
		want := scan(t, cat, e, 1, 0, []string{strings.Join(list, "\n")})
		found += len(want)

		shuffled := rapid.Permutation(list).Draw(rt, "order")
		for _, r := range list {
			if rapid.Bool().Draw(rt, "twice") {
				shuffled = append(shuffled, r)
			}
		}
		// A budget this small spills after every few hits.
		memory := rapid.SampledFrom([]int64{0, 1}).Draw(rt, "memory")
		got := scan(t, cat, e, rapid.IntRange(1, 4).Draw(rt, "workers"), memory, pack(rt, shuffled))
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-one file in order +disturbed):\n%s", diff)
		}
	})
	if found == 0 {
		t.Error("no finding in any run: the test proves nothing")
	}
}
