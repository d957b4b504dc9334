package report_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/query"
)

// The same records give the same reports, byte for byte, however they are read: in
// another order, twice, in pieces, by more workers, in hardly any memory.
func TestReportsDependOnTheRecordsOnly(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	limited := *stopped
	limited.MaxSignals = 3
	e, err := detect.Compile(cat, []detect.Input{
		{Rule: firstCommand, Query: query.Const(true)},
		{Rule: signIns, Query: query.Const(true)},
		{Rule: keys, Query: query.Const(true)},
		{Rule: &limited, Query: query.Const(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var records []string
	for i := range 400 {
		records = append(records, fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/u%[1]d",`+
			`"accountId":"111122223333","userName":"u%[1]d"},"eventTime":%[2]q,"eventSource":"ssm.amazonaws.com","eventName":"SendCommand",`+
			`"awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.%[3]d","requestParameters":{"instanceIds":["i-0aa"],"documentName":"d%[3]d"},`+
			`"eventID":"id-%[4]d","recipientAccountId":"111122223333"}`, i*i%23, base.Add(time.Duration(i*i%977)*time.Minute).Format(time.RFC3339), i%5, i))
	}
	write := func(workers int, memory int64, texts ...string) []string {
		t.Helper()
		res, err := pipeline.Run(context.Background(), pipeline.Config{
			Engine: e, Catalogue: cat, Workers: workers, Memory: memory, TempDir: t.TempDir(),
		}, func(yield func(pipeline.Object, error) bool) {
			for i, text := range texts {
				if !yield(pipeline.Object{Name: fmt.Sprint(i), Open: func() (io.ReadCloser, error) {
					return io.NopCloser(strings.NewReader(text)), nil
				}}, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Close() }()
		var lines []report.RuleLine
		for i, r := range e.Rules {
			lines = append(lines, report.RuleLine{ID: r.ID, Name: r.Name, Type: string(r.Type), Severity: r.Severity, Ran: true, Stats: res.Stats.Rules[i]})
		}
		s, err := report.New(report.Scan{Stats: &pipeline.Stats{First: base, Last: base.Add(time.Hour)}, Rules: lines, Now: base, Alerts: alertsOf(res)})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range formats() {
			out = append(out, strings.Split(render(t, f, s), "\n")...)
		}
		return out
	}
	want := write(1, 0, strings.Join(records, "\n"))
	backwards := slices.Clone(records)
	slices.Reverse(backwards)
	got := write(3, 1, strings.Join(backwards[:100], "\n"), strings.Join(records, "\n"), strings.Join(backwards[100:], "\n"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-once in order +disturbed):\n%.3000s", diff)
	}
	uuids := map[string]bool{}
	for _, line := range want {
		if _, after, ok := strings.Cut(line, `"kibana.alert.uuid":"`); ok {
			if id := after[:64]; uuids[id] {
				t.Errorf("two alerts are %s", id)
			} else {
				uuids[id] = true
			}
		}
	}
	if len(uuids) < 50 {
		t.Errorf("%d alerts: the test proves little", len(uuids))
	}
}

// alertsOf makes the alerts of a result, anew each time.
func alertsOf(res *pipeline.Result) iter.Seq2[*alert.Alert, error] {
	return func(yield func(*alert.Alert, error) bool) {
		for f, err := range res.Found() {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(alert.New(f.Rule, &f.Signal, f.Event, f.Coverage, f.Cold), nil) {
				return
			}
		}
	}
}
