package report_test

import (
	"strings"
	"testing"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/rule"
)

// Alerts of building blocks are in the data and not before people.
func TestBuildingBlocks(t *testing.T) {
	t.Parallel()
	block := *stopped
	block.BuildingBlock = true
	scan := scanOf(t, report.Scan{
		Stats: &pipeline.Stats{}, Rules: []report.RuleLine{{Name: block.Name, Runnable: true, Ran: true}},
	}, []*alert.Alert{blockAlert(&block)})
	for format, shown := range map[string]bool{"table": false, "markdown": false, "html": false, "csv": true, "ndjson": true} {
		var b strings.Builder
		var err error
		switch format {
		case "table":
			err = report.Table(&b, scan, report.Options{})
		case "markdown":
			err = report.Markdown(&b, scan)
		case "html":
			err = report.HTML(&b, scan)
		case "csv":
			err = report.CSV(&b, scan)
		case "ndjson":
			err = report.NDJSON(&b, scan)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "the-block-event"); got != shown {
			t.Errorf("%s: shown is %v:\n%s", format, got, b.String())
		}
	}
	var b strings.Builder
	if err := report.Summary(&b, scan, report.Options{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "1 alert of building-block rules") {
		t.Errorf("the summary does not count it:\n%s", b.String())
	}
	if n := scan.AtLeast("low"); n != 0 {
		t.Errorf("%d alerts to fail on", n)
	}
}

func blockAlert(r *rule.Rule) *alert.Alert {
	return &alert.Alert{
		UUID: "u", Rule: r, Name: r.Name, Severity: r.Severity, Time: base, Last: base, EventID: "the-block-event",
		Event: document("event.id", "the-block-event", "event.action", "StopLogging", "user.name", "the-block-event"),
	}
}
