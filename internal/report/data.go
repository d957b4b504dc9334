package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/triage"
)

// NDJSON writes every alert, withheld ones too, as the document that Kibana would
// store, one on a line.
func NDJSON(w io.Writer, s *Scan) error {
	var b []byte
	for a, err := range s.all() {
		if err != nil {
			return err
		}
		doc := a.Document(s.Now)
		if r := s.triageOf(a); r != nil {
			if err := addTriage(doc, r); err != nil {
				return err
			}
		}
		b = append(doc.AppendJSON(b[:0]), '\n')
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// columns of the CSV. They are stable: new ones are added at the end.
var columns = []struct { //nolint:gochecknoglobals // a constant table
	name string
	cell func(*alert.Alert) string
}{
	{"time", func(a *alert.Alert) string { return instant(a.Time) }},
	{"last", func(a *alert.Alert) string { return instant(a.Last) }},
	{"severity", func(a *alert.Alert) string { return a.Severity }},
	{"risk_score", func(a *alert.Alert) string { return strconv.FormatFloat(a.RiskScore, 'f', -1, 64) }},
	{"rule_id", func(a *alert.Alert) string { return a.Rule.ID }},
	{"rule_type", func(a *alert.Alert) string { return string(a.Rule.Type) }},
	{"name", func(a *alert.Alert) string { return a.Name }},
	{"principal", func(a *alert.Alert) string { return a.Principal }},
	{"action", field("event.action")},
	{"targets", func(a *alert.Alert) string { return strings.Join(a.Targets(), " ") }},
	{"outcome", field("event.outcome")},
	{"error_code", field("aws.cloudtrail.error_code")},
	{"source", field("source.address")},
	{"country", field("source.geo.country_iso_code")},
	{"network", field("source.as.organization.name")},
	{"user_agent", field("user_agent.original")},
	{"account", field("cloud.account.id")},
	{"region", field("cloud.region")},
	{"terms", termsCell},
	{"previously_seen", func(a *alert.Alert) string { return instant(a.Previous) }},
	{"history_coverage", func(a *alert.Alert) string { return strconv.FormatFloat(a.Coverage, 'f', -1, 64) }},
	{"cold", func(a *alert.Alert) string { return strconv.FormatBool(a.Cold) }},
	{"count", countCell},
	{"suppressed", suppressedCell},
	{"withheld", func(a *alert.Alert) string { return strconv.FormatBool(a.Withheld) }},
	{"event_id", func(a *alert.Alert) string { return a.EventID }},
	{"alert_id", func(a *alert.Alert) string { return a.UUID }},
	{"building_block", func(a *alert.Alert) string { return strconv.FormatBool(a.Rule.BuildingBlock) }},
}

// addTriage puts a report into the document of its alert, as debut.triage.
func addTriage(doc ecs.Document, r *triage.Report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the report of an alert: %w", err)
	}
	tree, err := ecs.ParseDocument(text)
	if err != nil {
		return fmt.Errorf("encode the report of an alert: %w", err)
	}
	about, _ := doc["debut"].(map[string]any)
	if about == nil {
		about = map[string]any{}
		doc["debut"] = about
	}
	about["triage"] = map[string]any(tree)
	return nil
}

// triageColumns follow the others if alerts were investigated.
var triageColumns = []string{"verdict", "score", "confidence"} //nolint:gochecknoglobals // a constant

func triageCells(r *triage.Report) []string {
	if r == nil {
		return []string{"", "", ""}
	}
	return []string{r.Verdict, strconv.Itoa(r.Score), strconv.FormatFloat(r.Confidence, 'f', -1, 64)}
}

// CSV writes every alert, withheld ones too, as a row under a header. A cell that a
// spreadsheet would take for a formula begins with an apostrophe.
func CSV(w io.Writer, s *Scan) error {
	out := csv.NewWriter(w)
	row := make([]string, len(columns), len(columns)+len(triageColumns))
	for i, c := range columns {
		row[i] = c.name
	}
	if s.Triage != nil {
		row = slices.Concat(row, triageColumns)
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for a, err := range s.all() {
		if err != nil {
			return err
		}
		for i, c := range columns {
			row[i] = cell(c.cell(a))
		}
		if s.Triage != nil {
			row = append(row[:len(columns)], triageCells(s.triageOf(a))...)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// cell looks at the raw text too: Safe spells out a leading tab or carriage return,
// but an import that undoes that must not find a formula behind it.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(s)[0]) {
		return "'" + Safe(s)
	}
	return Safe(s)
}

func instant(t time.Time) string { return clock(t, "2006-01-02T15:04:05.000Z") }

func field(name string) func(*alert.Alert) string {
	return func(a *alert.Alert) string { return firstOf(a, name) }
}

func termsCell(a *alert.Alert) string {
	parts := make([]string, len(a.Terms))
	for i, t := range a.Terms {
		parts[i] = t.Field + "=" + t.Value
	}
	return strings.Join(parts, "; ")
}

func countCell(a *alert.Alert) string {
	if a.Threshold == nil {
		return ""
	}
	return strconv.FormatInt(a.Threshold.Count, 10)
}

func suppressedCell(a *alert.Alert) string {
	if a.Suppression == nil {
		return ""
	}
	return strconv.FormatInt(a.Suppression.Count, 10)
}
