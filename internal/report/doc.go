// Package report writes what a scan found: as a table for a terminal, as NDJSON or
// CSV for programs, as Markdown or a self-contained HTML page to hand to somebody,
// and as the short summary that ends a run.
//
//	scan, err := report.New(report.Scan{Stats: &result.Stats, Rules: lines, Alerts: alerts, Now: now})
//	err = report.Table(os.Stdout, scan, report.Options{Color: true, Width: 120})
//	err = report.Summary(os.Stderr, scan, report.Options{})
//
// A report of a triage is written by [Triage], [TriageMarkdown], [TriageHTML],
// [TriageJSON] and [TriageCSV], and what changed between two of one alert by
// [TriageDiffText] and its like:
//
//	older, err := report.ReadTriage(first)
//	newer, err := report.ReadTriage(second)
//	diff, err := report.DiffTriage(older, newer)
//	err = report.TriageDiffText(os.Stdout, diff, report.Options{Width: 120})
//
// Everything in an alert may have been written by an attacker, down to file names:
// no renderer lets a value reach a terminal, a spreadsheet, a Markdown viewer or a
// browser as anything but text. See [Safe].
package report
