package report_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/rule"
)

// A rule is told in full, and what is in it is only text.
func TestRule(t *testing.T) {
	t.Parallel()
	r := *firstCommand
	r.Language, r.Query, r.Description = "kuery", "event.action: SendCommand", "Somebody sends a command for the first time."
	r.Tags, r.Index, r.References = []string{"AWS", "Use \x1b[5mcare"}, []string{"logs-*"}, []string{"https://example.com/a"}
	r.File, r.Line = "rules/first.toml", 3
	many := *signIns
	many.Language, many.EnabledSet = "kuery", true
	many.Suppression = &rule.Suppression{Duration: time.Hour}
	for name, r := range map[string]*rule.Rule{"new-terms": &r, "threshold": &many, "suppressed": keys, "eql": {ID: "e", Name: "Sequence", Type: rule.EQL, Language: "eql"}} {
		var b bytes.Buffer
		if err := report.Rule(&b, r, report.Options{Width: 80}); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/rule."+name+".txt", b.String())
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"ID", "NAME", "WHY"}, {"a", "A rule with a long name, longer than what fits", "-"}, {"b-longer", "日本語\x1b[2J", ""}}
	for width, name := range map[int]string{0: "plain", 30: "narrow"} {
		var b bytes.Buffer
		if err := report.Columns(&b, rows, report.Options{Width: width}); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/columns."+name+".txt", b.String())
	}
	if err := report.Columns(&full{10}, rows, report.Options{}); err == nil {
		t.Error("an error of the writer is lost")
	}
}
