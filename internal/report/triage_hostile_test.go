package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/triage"
)

// fill sets every field below v: strings to what word returns, lists to n elements.
func fill(v reflect.Value, n int, word func() string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(word())
	case reflect.Int:
		v.SetInt(int64(len(word())%41 - 20))
	case reflect.Float64:
		v.SetFloat(float64(len(word())%7) / 7)
	case reflect.Bool:
		v.SetBool(len(word())%2 == 0)
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			fill(list.Index(i), n, word)
		}
		v.Set(list)
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		for range n {
			m.SetMapIndex(reflect.ValueOf(word()), reflect.ValueOf(word()))
		}
		v.Set(m)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, word)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(base.Add(time.Duration(len(word())) * 17 * time.Minute)))
			return
		}
		for _, field := range v.Fields() {
			fill(field, n, word)
		}
	default:
		panic(fmt.Sprintf("a field of kind %s: teach fill of it", v.Kind()))
	}
}

// hostileReport is a report in which every string comes from somebody who means ill,
// another one in each place for each number.
func hostileReport(shift, n int) *triage.Report {
	r := &triage.Report{}
	i := shift
	fill(reflect.ValueOf(r).Elem(), n, func() string { i++; return nasty[i%len(nasty)] })
	return r
}

// hostileReports put every nasty text into every field, some with the words that the
// format has so that no part is left out.
func hostileReports() (list []*triage.Report) {
	for shift := range nasty {
		r := hostileReport(shift, 3)
		if shift%2 == 0 {
			for i := range r.Steps {
				r.Steps[i].Status = []string{triage.Answered, triage.NotKnown, triage.NotApplicable, triage.Failed}[(i+shift/2)%4]
				r.Steps[i].ID = fmt.Sprintf("T%d", i)
			}
			r.Verdict = []string{triage.Malicious, triage.LikelyMalicious, triage.Suspicious, triage.Review, triage.LikelyBenign}[shift/2%5]
			r.Timeline[0].Tie, r.Sum[0].Step = triage.TieThis, "T1"
		}
		list = append(list, r)
	}
	return list
}

// everyTriageFormat has those of a diff too.
func everyTriageFormat() []triageFormat {
	diff := func(write func(io.Writer, *report.TriageDiff) error) func(io.Writer, *triage.Report) error {
		return func(w io.Writer, r *triage.Report) error {
			older := hostileReport(5, 2)
			older.AlertID = r.AlertID
			d, err := report.DiffTriage(older, r)
			if err != nil {
				return err
			}
			return write(w, d)
		}
	}
	return append(triageFormats(),
		triageFormat{"json", report.TriageJSON},
		triageFormat{"diff.json", diff(report.TriageDiffJSON)},
		triageFormat{"diff.md", diff(report.TriageDiffMarkdown)},
		triageFormat{"diff.color.txt", diff(func(w io.Writer, d *report.TriageDiff) error {
			return report.TriageDiffText(w, d, report.Options{Width: 100, Color: true})
		})},
	)
}

// Whatever a report says, no format passes on anything that a terminal or a viewer
// acts on.
func TestHostileTriageIsOnlyText(t *testing.T) {
	t.Parallel()
	for _, f := range everyTriageFormat() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range hostileReports() {
				got := renderTriage(t, f, r)
				if strings.Contains(f.name, "color") {
					got = regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(got, "")
				}
				onlyText(t, got)
				switch {
				case strings.HasSuffix(f.name, "json"):
					if !json.Valid([]byte(got)) {
						t.Error("not JSON")
					}
				case strings.HasSuffix(f.name, "md"):
					triageMarkdownIsSafe(t, got)
				case f.name == "html":
					triagePageIsSafe(t, got)
				}
			}
		})
	}
}

func onlyText(t *testing.T, got string) {
	t.Helper()
	if !utf8.ValidString(got) {
		t.Error("not UTF-8")
	}
	for i, r := range got {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)) {
			t.Fatalf("%U at %d: %q", r, i, got[max(0, i-30):min(len(got), i+30)])
		}
	}
}

// Outside of code nothing hostile is markup, every row has the cells of its table, and
// what opens is closed.
func triageMarkdownIsSafe(t *testing.T, md string) {
	t.Helper()
	cells, open := 0, 0
	for line := range strings.Lines(md) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case regexp.MustCompile(`^<details><summary>Rests on [0-9a-z, ]+</summary>$`).MatchString(line):
			open++
			continue
		case line == "</details>":
			open--
			continue
		}
		rest := strings.ReplaceAll(outsideCode(t, line), `\\`, "")
		rest = regexp.MustCompile(`\\[!-/:-@\[-`+"`"+`{-~]`).ReplaceAllString(rest, "") // what is escaped
		if bad := regexp.MustCompile("[<`\\[]|\\]\\(|https?:/|www\\.evil").FindString(rest); bad != "" {
			t.Errorf("%q in %.200q", bad, line)
		}
		if strings.HasPrefix(line, "---") || strings.HasPrefix(line, ">") || strings.HasPrefix(line, "    ") {
			t.Errorf("a block of a stranger: %.80q", line)
		}
		bars := strings.Count(regexp.MustCompile(`\\.`).ReplaceAllString(line, ""), "|")
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		if cells == 0 {
			cells = bars
		}
		if bars != cells {
			t.Errorf("%d bars in a row, %d in its head: %.200q", bars, cells, line)
		}
	}
	if open != 0 {
		t.Errorf("%d details do not end", open)
	}
}

var (
	triageTags       = append(slices.Clone(pageTags), "em", "h4", "i", "nav", "ol")
	triageAttributes = append(slices.Clone(pageAttributes), "open")
	triageRefs       = regexp.MustCompile(`^#[a-z]+(-[1-9][0-9]*)?$`)
)

// The page has the elements and attributes of the template and no others, is well
// formed, links to nothing but itself, and runs and loads nothing.
func triagePageIsSafe(t *testing.T, page string) {
	t.Helper()
	if !strings.Contains(page, `http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'`) {
		t.Error("no policy that forbids everything")
	}
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style loads something")
	}
	ids := map[string]bool{}
	var links []string
	for _, tag := range tags(t, page) {
		if !slices.Contains(triageTags, strings.TrimPrefix(tag.name, "/")) {
			t.Errorf("element %q", tag.name)
		}
		for k, v := range tag.attributes {
			if !slices.Contains(triageAttributes, k) {
				t.Errorf("attribute %q of %s", k, tag.name)
			}
			switch k {
			case "id":
				if ids[v] {
					t.Errorf("id %q twice", v)
				}
				ids[v] = true
			case "href":
				links = append(links, v)
			}
		}
	}
	for _, l := range links {
		if !triageRefs.MatchString(l) || !ids[l[1:]] {
			t.Errorf("a link to %q", l)
		}
	}
	wellFormed(t, page)
}

// wellFormed reads the page as XML but for elements without an end, which HTML has: so
// every element that a text could have opened or closed is found.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta", "br"}, xml.HTMLEntity
	depth := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 {
		t.Errorf("%d elements do not end", depth)
	}
}

// A spreadsheet takes no cell for a formula.
func TestTriageCSVHasNoFormulas(t *testing.T) {
	t.Parallel()
	quoted := 0
	for _, r := range hostileReports() {
		rows, err := csv.NewReader(strings.NewReader(renderTriage(t, triageFormat{"csv", report.TriageCSV}, r))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != len(r.Timeline)+1 {
			t.Errorf("%d rows of %d events", len(rows), len(r.Timeline))
		}
		for _, row := range rows[1:] {
			for i, c := range row {
				plain := strings.TrimPrefix(strings.TrimPrefix(c, `\t`), `\r`)
				number := i == 1 && regexp.MustCompile(`^-?[0-9]+$`).MatchString(c)
				if !number && c != "" && (strings.ContainsRune("=+-@＝＋－＠", []rune(c)[0]) || plain != c && strings.ContainsAny(plain[:min(1, len(plain))], "=+-@")) {
					t.Errorf("a formula: %.60q", c)
				}
				if strings.HasPrefix(c, "'") {
					quoted++
				}
			}
		}
	}
	if quoted == 0 {
		t.Error("nothing was quoted: the test proves nothing")
	}
}

// Hostile reports keep to the width of the terminal too.
func TestHostileTriageFits(t *testing.T) {
	t.Parallel()
	for _, r := range hostileReports() {
		for _, width := range []int{60, 100} {
			for line := range strings.Lines(renderTriage(t, triageFormat{"text", triageText(report.Options{Width: width})}, r)) {
				if n := lipgloss.Width(strings.TrimSuffix(line, "\n")); n > width {
					t.Fatalf("%d columns at %d: %s", n, width, line)
				}
			}
		}
	}
}

// Thousands of entries make a long report and no endless one; JSON and CSV have all.
func TestTriageOfThousands(t *testing.T) {
	t.Parallel()
	const n = 5000
	r := hostileReport(0, 2)
	r.Timeline = make([]triage.Moment, n)
	for i := range r.Timeline {
		r.Timeline[i] = triage.Moment{Time: base.Add(time.Duration(i) * time.Second), EventID: fmt.Sprint(i), Action: "s3:GetObject", Tie: triage.TieSession}
	}
	for _, list := range []*[]string{&r.Entities.Principals, &r.Entities.IPs, &r.NextQuestions} {
		*list = slices.Repeat([]string{nasty[0]}, n)
	}
	r.Sum, r.Steps = slices.Repeat(r.Sum, n), slices.Repeat(r.Steps[:1], n)
	r.Steps[0].Findings = slices.Repeat(r.Steps[0].Findings, n)
	r.Unknowns, r.Claims, r.Chain = slices.Repeat(r.Unknowns, n), slices.Repeat(r.Claims, n), slices.Repeat(r.Chain, n)
	r.ProposedActions, r.Versions, r.Live = slices.Repeat(r.ProposedActions, n), slices.Repeat(r.Versions, n), slices.Repeat(r.Live, n)
	r.Categories = slices.Repeat(r.Categories, n)
	for _, f := range triageFormats() {
		size := len(renderTriage(t, f, r))
		most := 4 << 20
		if f.name == "csv" {
			most = 1 << 20
		}
		if size > most {
			t.Errorf("%s: %d bytes", f.name, size)
		}
	}
	if lines := strings.Count(renderTriage(t, triageFormat{"csv", report.TriageCSV}, r), "\n"); lines < n {
		t.Errorf("%d lines of CSV", lines)
	}
}

// A report that says nothing, or numbers out of any range, is rendered as well.
func TestTriageOfExtremes(t *testing.T) {
	t.Parallel()
	odd := hostileReport(1, 1)
	odd.Score, odd.Confidence, odd.TimelineOmitted = math.MinInt, -3, -1
	odd.Categories = []triage.Category{{Raw: math.MinInt, Points: math.MaxInt, Cap: math.MinInt}, {}}
	odd.Timeline = []triage.Moment{{}, {Time: time.Unix(1<<40, 0).UTC(), Count: math.MaxInt}, {Time: time.Unix(-1<<40, 0).UTC(), Count: -5}}
	odd.Time = time.Time{}
	odd.Exception = &triage.Exception{Tested: true, WouldHide: -1, Bad: math.MinInt}
	for _, r := range []*triage.Report{{}, odd, {Schema: triage.Schema, Steps: []triage.Answer{{}}, Timeline: []triage.Moment{{}}, Chain: []triage.Link{{}, {}}}} {
		for _, f := range triageFormats() {
			onlyText(t, regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(renderTriage(t, f, r), ""))
		}
		triagePageIsSafe(t, renderTriage(t, triageFormat{"html", report.TriageHTML}, r))
	}
}

// Any text is only text in any place.
func TestTriageProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom(nasty), rapid.StringMatching("[`|\\\\<>*_ \\n-]{0,8}")), 1, 12).Draw(rt, "words")
		i := 0
		r := &triage.Report{}
		fill(reflect.ValueOf(r).Elem(), 2, func() string { i++; return words[i%len(words)] })
		for _, f := range []triageFormat{{"md", report.TriageMarkdown}, {"html", report.TriageHTML}} {
			got := renderTriage(t, f, r)
			onlyText(t, got)
			if f.name == "md" {
				triageMarkdownIsSafe(t, got)
			} else {
				triagePageIsSafe(t, got)
			}
		}
	})
}

// An error of the writer is returned.
func TestTriageErrorsAreReturned(t *testing.T) {
	t.Parallel()
	for _, f := range everyTriageFormat() {
		r := hostileReport(1, 3)
		var b bytes.Buffer
		if err := f.write(&b, r); err != nil {
			t.Fatal(err)
		}
		if err := f.write(&full{}, r); err == nil {
			t.Errorf("%s: no error", f.name)
		}
	}
}
