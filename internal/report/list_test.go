package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/report"
)

func hostileList() *report.List {
	return &report.List{
		Header: []string{"TIME", "SEVERITY", "WHO"}, Severity: 1,
		Rows: [][]string{{"now", "high", "=cmd|' /C calc'!A0"}, {"then", "low", "\x1b[2Jana|<b>\n\u202e"}},
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	check := func(name, want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		b.Reset()
	}
	l := hostileList()
	check("table", `TIME  SEVERITY  WHO
now   high      =cmd|' /C calc'!A0
then  low       \x1b[2Jana|<b>\n\u202e
`, l.Table(&b, report.Options{}))
	check("colour", "\x1b[2mTIME  SEVERITY  WHO\x1b[0m\nnow   \x1b[1;31mhigh    \x1b[0m  =cmd|' /C calc…\n"+
		"then  \x1b[36mlow     \x1b[0m  \\x1b[2Jana|<b>…\n", l.Table(&b, report.Options{Color: true, Width: 31}))
	check("csv", `TIME,SEVERITY,WHO
now,high,'=cmd|' /C calc'!A0
then,low,\x1b[2Jana|<b>\n\u202e
`, l.CSV(&b, true))
	check("markdown", `| now | high | \=cmd\|' /C calc'\!A0 |
| then | low | \\x1b\[2Jana\|\<b\>\\n\\u202e |
`, l.Markdown(&b, false))
	check("facts", "An alert\nid    7\nnote  two\n      lines \\x1b[2J\n", report.Facts(&b, "An alert", [][2]string{
		{"id", "7"}, {"gone", ""}, {"note", "two\nlines \x1b[2J"},
	}, report.Options{}))
}

func TestStrips(t *testing.T) {
	t.Parallel()
	strips := []report.Strip{
		{Name: "a\x1b", Cells: []report.StripCell{{Share: 1}, {Level: report.StripQuiet}, {Level: report.StripUnknown}, {Level: report.StripBad}, {0.5, report.StripBad}, {1, report.StripBad}}, Note: "50 %"},
		{Name: "longer", Note: "0 %"},
	}
	var b bytes.Buffer
	if err := report.Strips(&b, "zones", strips, report.Options{}); err != nil {
		t.Fatal(err)
	}
	want := "zones\n" + `a\x1b   █·?▁▄▇  50 %` + "\nlonger    0 %\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.Reset()
	if err := report.Strips(&b, "zones", strips, report.Options{Color: true}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\x1b[0m"); n != strings.Count(b.String(), "\x1b[")-n {
		t.Errorf("colours are not all ended: %q", b.String())
	}
}
