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

	"go.uber.org/goleak"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// where is the condition that each field has its value: name, value, name, value.
func where(t testing.TB, cat *ecs.Catalogue, pairs ...string) query.Expr {
	t.Helper()
	var list []query.Expr
	for i := 0; i < len(pairs); i += 2 {
		x, err := query.Equal(cat.Resolve(pairs[i]), pairs[i+1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, x)
	}
	return query.And(list...)
}

// inputs is one rule of each type, with suppression and small limits.
func inputs(t testing.TB, cat *ecs.Catalogue) []detect.Input {
	common := func(r rule.Rule) *rule.Rule {
		r.From, r.To, r.Interval = "now-9m", "now", 5*time.Minute
		r.Name, r.Severity, r.RiskScore = r.ID, "low", 21
		if r.MaxSignals == 0 {
			r.MaxSignals = 100
		}
		return &r
	}
	return []detect.Input{
		{
			Rule: common(rule.Rule{
				ID: "first", Type: rule.NewTerms, NewTermsFields: []string{"user.name"}, HistoryWindowStart: "now-7d", MaxSignals: 1,
			}),
			Query: where(t, cat, "event.action", "SendCommand", "event.outcome", "success"),
		},
		{
			Rule: common(rule.Rule{
				ID: "many", Type: rule.Threshold, ThresholdFields: []string{"user.name"}, ThresholdValue: 3,
				Cardinality: []rule.Cardinality{{Field: "event.action", Value: 2}},
			}),
			Query: where(t, cat, "event.outcome", "failure"),
		},
		{
			Rule: common(rule.Rule{
				ID: "suppressed", Type: rule.Query, MaxSignals: 2,
				Suppression: &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour},
			}),
			Query: where(t, cat, "event.action", "StartSession"),
		},
		{
			Rule: common(rule.Rule{
				ID: "apart", Type: rule.Query,
				Suppression: &rule.Suppression{GroupBy: []string{"source.address"}, MissingFieldsStrategy: "doNotSuppress"},
			}),
			Query: where(t, cat, "event.action", "GetParameter"),
		},
		{
			Rule:  common(rule.Rule{ID: "capped", Type: rule.Query, MaxSignals: 2}),
			Query: where(t, cat, "event.provider", "ssm.amazonaws.com"),
		},
	}
}

func engine(t testing.TB, cat *ecs.Catalogue) *detect.Engine {
	t.Helper()
	e, err := detect.Compile(cat, inputs(t, cat))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// entry is an event to write down in any form.
type entry struct {
	id      int
	at      time.Time
	user    string
	action  string
	failed  bool
	account string
	region  string
	note    string // makes copies unequal
}

// document writes an entry as an ECS document.
func (e entry) document() string {
	outcome := "success"
	if e.failed {
		outcome = "failure"
	}
	return fmt.Sprintf(`{"@timestamp":%q,"event":{"dataset":"aws.cloudtrail","id":"id-%d","provider":"ssm.amazonaws.com","action":%q,"outcome":%q},`+
		`"user":{"name":%q},"cloud":{"account":{"id":%q},"region":%q},"message":%q}`,
		e.at.Format(time.RFC3339), e.id, e.action, outcome, e.user, e.account, e.region, e.note)
}

// record writes an entry as a CloudTrail record.
func (e entry) record() string {
	failure := ""
	if e.failed {
		failure = `"errorCode":"AccessDenied",`
	}
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::%[1]s:user/%[2]s","accountId":"%[1]s","userName":%[2]q},`+
		`"eventTime":%[3]q,"eventSource":"ssm.amazonaws.com","eventName":%[4]q,"awsRegion":%[5]q,%[6]s"requestParameters":{"note":%[7]q},`+
		`"eventID":"id-%[8]d","recipientAccountId":"%[1]s"}`,
		e.account, e.user, e.at.Format(time.RFC3339), e.action, e.region, failure, e.note, e.id)
}

func compress(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func objects(texts ...string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		for i, text := range texts {
			o := pipeline.Object{
				Name: fmt.Sprintf("object-%d", i),
				Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// scan runs over texts, checks that nothing was rejected, and returns the stats and
// the findings as text.
func scan(t testing.TB, cfg pipeline.Config, texts ...string) (pipeline.Stats, []string) {
	t.Helper()
	cfg.TempDir = t.TempDir()
	res, err := pipeline.Run(context.Background(), cfg, objects(texts...))
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
	out := list(t, res)
	if int64(len(out)) != res.Len() {
		t.Errorf("%d findings, but Len is %d", len(out), res.Len())
	}
	return res.Stats, out
}

func list(t testing.TB, res *pipeline.Result) []string {
	t.Helper()
	out := []string{}
	for f, err := range res.Found() {
		if err != nil {
			t.Fatal(err)
		}
		if f.Event.ID() != f.ID || f.Event.Time().UnixNano() != f.Time {
			t.Errorf("the finding %s has the event %s", f.ID, f.Event.ID())
		}
		out = append(out, fmt.Sprintf("%s %s %v %v %s..%s prev=%v/%d n=%d distinct=%d withheld=%v suppressed=%d to %d in %s cover=%.3f cold=%v conflict=%v",
			f.Rule.Rule.ID, f.ID, f.Rule.Combination(f.Event, f.Group), f.Content, f.Event.Time().Format(time.RFC3339),
			time.Unix(0, f.Last).UTC().Format(time.RFC3339), f.Recurs, f.Previous, f.Count, f.Distinct, f.Withheld,
			f.Suppressed, f.SuppressedEnd, f.Instance, f.Coverage, f.Cold, f.Conflict))
	}
	return out
}
