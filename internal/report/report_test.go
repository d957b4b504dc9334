package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/report"
)

var update = flag.Bool("update", false, "rewrite the expected reports under testdata")

// A format is one way to write a scan.
type format struct {
	name  string
	write func(io.Writer, *report.Scan) error
}

func formats() []format {
	table := func(o report.Options) func(io.Writer, *report.Scan) error {
		return func(w io.Writer, s *report.Scan) error { return report.Table(w, s, o) }
	}
	return []format{
		{"80.txt", table(report.Options{Width: 80})},
		{"120.txt", table(report.Options{Width: 120})},
		{"200.txt", table(report.Options{Width: 200})},
		{"plain.txt", table(report.Options{})},
		{"color.txt", table(report.Options{Width: 120, Color: true})},
		{"summary.txt", func(w io.Writer, s *report.Scan) error { return report.Summary(w, s, report.Options{Width: 100}) }},
		{"csv", report.CSV},
		{"ndjson", report.NDJSON},
		{"md", report.Markdown},
		{"html", report.HTML},
	}
}

func render(t testing.TB, f format, s *report.Scan) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.write(&b, s); err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	return b.String()
}

// TestReports compares every format of two scans with the files under testdata.
func TestReports(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*report.Scan{"sample": sample(t), "empty": empty(t)} {
		for _, f := range formats() {
			t.Run(name+"."+f.name, func(t *testing.T) {
				t.Parallel()
				got := render(t, f, s)
				if again := render(t, f, s); again != got {
					t.Error("written twice, the report differs")
				}
				if name != "sample" {
					got = withoutStyle(got)
				}
				golden(t, "testdata/"+name+"."+f.name, got)
			})
		}
	}
}

// style is the block of style that all pages have. One page of each kind is kept whole;
// of the others, what stands around it.
var style = regexp.MustCompile(`(?s)<style>.*</style>`)

func withoutStyle(page string) string { return style.ReplaceAllString(page, "<style>…</style>") }

// golden compares got with the file at path, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update and review what it writes)", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Whatever a log, a rule or a file name says, no format passes on anything that a
// terminal acts on, that hides, or that turns the direction of writing.
func TestHostileTextIsOnlyText(t *testing.T) {
	t.Parallel()
	s := hostile(t)
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			got := render(t, f, s)
			if !utf8.ValidString(got) {
				t.Error("not UTF-8")
			}
			if f.name == "color.txt" {
				got = regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(got, "")
			}
			if f.name == "ndjson" { // the document is data: JSON escapes what it must
				for line := range strings.Lines(got) {
					if !json.Valid([]byte(line)) {
						t.Errorf("not JSON: %.100q", line)
					}
				}
				return
			}
			for i, r := range got {
				if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)) {
					t.Fatalf("%U at %d: %q", r, i, got[max(0, i-30):min(len(got), i+30)])
				}
			}
		})
	}
}

// A table of a width has no line that is wider, whatever is in it.
func TestTableFits(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*report.Scan{"sample": sample(t), "hostile": hostile(t), "flood": flood(t, 2300)} {
		for _, width := range []int{60, 80, 100, 149, 150, 200} {
			got := render(t, format{"table", func(w io.Writer, s *report.Scan) error { return report.Table(w, s, report.Options{Width: width}) }}, s)
			for line := range strings.Lines(got) {
				line = strings.TrimSuffix(line, "\n")
				if n := lipgloss.Width(line); n > width {
					t.Fatalf("%s at %d: %d columns: %s", name, width, n, line)
				}
			}
		}
	}
}

// A spreadsheet takes no cell for a formula, also one that undoes our escapes.
func TestCSVHasNoFormulas(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(strings.NewReader(render(t, format{"csv", report.CSV}, hostile(t)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(nasty)+1 {
		t.Errorf("%d rows of %d alerts", len(rows), len(nasty))
	}
	quoted := 0
	for _, row := range rows {
		for _, c := range row {
			first, _ := utf8.DecodeRuneInString(c)
			plain := strings.TrimPrefix(strings.TrimPrefix(c, `\t`), `\r`)
			second, _ := utf8.DecodeRuneInString(plain)
			if strings.ContainsRune("=+-@＝＋－＠\t\r", first) || plain != c && strings.ContainsRune("=+-@", second) {
				t.Errorf("a formula: %.60q", c)
			}
			if first == '\'' {
				quoted++
			}
		}
	}
	if quoted == 0 {
		t.Error("nothing was quoted: the test proves nothing")
	}
}

var (
	pageTags = strings.Fields("!DOCTYPE a b body br circle code dd details div dl dt footer g h1 h2 h3 head header html li line main meta p pre " +
		"rect small span style summary svg table tbody td text th thead title tr ul")
	pageAttributes = strings.Fields("html lang charset http-equiv content name class cx cy dy height href id r role aria-hidden aria-label rx " +
		"text-anchor viewBox preserveAspectRatio width x y x1 x2 y1 y2")
)

// The page has the elements and attributes of the template and no others, links to
// nothing but itself, and runs and loads nothing.
func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*report.Scan{"sample": sample(t), "hostile": hostile(t), "empty": empty(t), "flood": flood(t, 1500)} {
		page := render(t, format{"html", report.HTML}, s)
		if !strings.Contains(page, `http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'`) {
			t.Errorf("%s: no policy that forbids everything", name)
		}
		_, style, _ := strings.Cut(page, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
			t.Errorf("%s: the style loads something", name)
		}
		ids := map[string]bool{}
		var links []string
		for _, tag := range tags(t, page) {
			element, _, _ := strings.Cut(tag.name, "/")
			if !slices.Contains(pageTags, strings.TrimPrefix(tag.name, "/")) {
				t.Errorf("%s: element %q (%q)", name, tag.name, element)
			}
			for k, v := range tag.attributes {
				if !slices.Contains(pageAttributes, k) {
					t.Errorf("%s: attribute %q of %s", name, k, tag.name)
				}
				switch k {
				case "id":
					if ids[v] {
						t.Errorf("%s: id %q twice", name, v)
					}
					ids[v] = true
				case "href":
					links = append(links, v)
				}
			}
		}
		for _, l := range links {
			if !strings.HasPrefix(l, "#") || !ids[l[1:]] {
				t.Errorf("%s: a link to %q", name, l)
			}
		}
	}
}

// A tag is one of an HTML text, with its attributes.
type tag struct {
	name       string
	attributes map[string]string
}

// tags finds the tags of a page as browsers do, but for the contents of style.
func tags(t testing.TB, page string) (list []tag) {
	t.Helper()
	attribute := regexp.MustCompile(`^\s*([^\s=>"']+)(?:="([^"]*)")?`)
	for {
		_, rest, found := strings.Cut(page, "<")
		if !found {
			return list
		}
		n := strings.IndexAny(rest, " \t\n>")
		if n < 0 {
			t.Fatalf("a tag that does not end: %.60q", rest)
		}
		one := tag{strings.TrimSuffix(rest[:n], "/"), map[string]string{}}
		rest = rest[n:]
		for {
			m := attribute.FindStringSubmatch(rest)
			if m == nil || m[1] == "/" {
				break
			}
			one.attributes[m[1]] = m[2]
			rest = rest[len(m[0]):]
		}
		rest = strings.TrimLeft(rest, " \n/")
		if !strings.HasPrefix(rest, ">") {
			t.Fatalf("in tag %s: %.60q", one.name, rest)
		}
		list = append(list, one)
		if page = rest[1:]; one.name == "style" {
			_, page, _ = strings.Cut(page, "</style>")
		}
	}
}

// Outside of code, nothing hostile is markup. (Code spans and blocks leave their
// contents alone; what could end them is checked here too.)
func TestMarkdownHasNoForeignMarkup(t *testing.T) {
	t.Parallel()
	md := render(t, format{"md", report.Markdown}, hostile(t))
	fence := ""
	for line := range strings.Lines(md) {
		line = strings.TrimSuffix(line, "\n")
		if fence != "" {
			if line == fence {
				fence = ""
			}
			continue
		}
		if f := regexp.MustCompile("^(`{3,})text$").FindStringSubmatch(line); f != nil {
			fence = f[1]
			continue
		}
		rest := outsideCode(t, line)
		rest = strings.NewReplacer("<details><summary>The rule's guide</summary>", "", "</details>", "", `\\`, "").Replace(rest)
		rest = regexp.MustCompile(`\\[!-/:-@\[-`+"`"+`{-~]`).ReplaceAllString(rest, "") // what is escaped
		if bad := regexp.MustCompile("[<`\\[]|\\]\\(|https?:/|www\\.evil").FindString(rest); bad != "" {
			t.Errorf("%q in %.200q", bad, line)
		}
		// A bar ends a cell in a code span too.
		bars := strings.Count(regexp.MustCompile(`\\.`).ReplaceAllString(line, ""), "|")
		if strings.HasPrefix(line, "|") && bars != 9 && bars != 10 {
			t.Errorf("%d bars in a row: %.200q", bars, line)
		}
	}
	if fence != "" {
		t.Error("a block of code does not end")
	}
}

// outsideCode takes the code spans out of a line.
func outsideCode(t testing.TB, line string) string {
	t.Helper()
	var b strings.Builder
	for {
		i := strings.IndexByte(line, '`')
		if i < 0 {
			return b.String() + line
		}
		if i > 0 && line[i-1] == '\\' {
			b.WriteString(line[:i+1])
			line = line[i+1:]
			continue
		}
		b.WriteString(line[:i])
		n := i
		for n < len(line) && line[n] == '`' {
			n++
		}
		mark := line[i:n]
		line = line[n:]
		end := -1
		for at := 0; at < len(line); {
			j := strings.IndexByte(line[at:], '`')
			if j < 0 {
				break
			}
			k := at + j
			for k < len(line) && line[k] == '`' {
				k++
			}
			if k-at-j == len(mark) {
				end = at + j
				break
			}
			at = k
		}
		if end < 0 {
			t.Errorf("a code span does not end: %.100q", line)
			return b.String()
		}
		line = line[end+len(mark):]
	}
}

// The page and the Markdown tell the most severe in full and say how many there are.
func TestFloodIsCut(t *testing.T) {
	t.Parallel()
	s := flood(t, 1500)
	for _, f := range formats() {
		got := render(t, f, s)
		switch f.name {
		case "html", "md":
			if !strings.Contains(got, "The 1,000 most severe of 1,500 alerts") {
				t.Errorf("%s does not say that it is cut", f.name)
			}
			if n := strings.Count(got, `<details class="alert high">`) + strings.Count(got, "| high |"); n != 15 {
				t.Errorf("%s: %d of 15 alerts of high severity", f.name, n)
			}
		case "csv", "ndjson", "plain.txt":
			if n := strings.Count(got, "\n"); n < 1500 || n > 1501 {
				t.Errorf("%s has %d lines", f.name, n)
			}
		}
	}
	if n := s.AtLeast("high"); n != 15 {
		t.Errorf("%d at least high", n)
	}
	if n := s.AtLeast("low"); n != 1500 {
		t.Errorf("%d at least low", n)
	}
}

// An error while reading alerts or writing a report is returned.
func TestErrorsAreReturned(t *testing.T) {
	t.Parallel()
	broken := errors.New("the file of the records is gone")
	bad := sample(t)
	count := 0
	good := bad.Alerts
	bad.Alerts = func(yield func(*alert.Alert, error) bool) {
		for a, err := range good {
			if count++; count > 3 {
				err = broken
			}
			if !yield(a, err) {
				return
			}
		}
	}
	for _, f := range formats() {
		if f.name == "summary.txt" {
			continue // it has its counts
		}
		count = 0
		if err := f.write(io.Discard, bad); !errors.Is(err, broken) {
			t.Errorf("%s: error %v", f.name, err)
		}
	}
	if _, err := report.New(report.Scan{Alerts: bad.Alerts}); !errors.Is(err, broken) {
		t.Errorf("New: error %v", err)
	}
	s := sample(t)
	for _, f := range formats() {
		if err := f.write(&full{100}, s); !errors.Is(err, errFull) {
			t.Errorf("%s to a full disk: error %v", f.name, err)
		}
	}
}

var errFull = errors.New("no space left on device")

// full is a disk with little room.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return 0, errFull
	}
	f.room -= len(p)
	return len(p), nil
}

func TestSafe(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"plain text, ~!": "plain text, ~!",
		"日本語 é":          "日本語 é",
		"\x1b[31m":       `\x1b[31m`,
		"a\nb\tc\rd":     `a\nb\tc\rd`,
		"\u202eabc":      `\u202eabc`,
		"\u200b\ufeff":   `\u200b\ufeff`,
		"\u00a0":         `\u00a0`,
		"\U000e0041":     `\U000e0041`,
		"\xff":           `\xff`,
		"\ufffd":         "\ufffd",
		"\u3164":         `\u3164`, // a filler that shows nothing
		"\x7f\x00":       `\x7f\x00`,
	} {
		if got := report.Safe(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
		if got := report.Safe(want); got != want {
			t.Errorf("%q is made safe again: %q", want, got)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := report.Safe(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q: not UTF-8", got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %U in %q", s, r, got)
			}
		}
		if again := report.Safe(got); again != got {
			t.Fatalf("%q: %q, then %q", s, got, again)
		}
	})
}

func ExampleSafe() {
	fmt.Println(report.Safe("deploy\x1b[2J\u202egnp.exe"))
	// Output: deploy\x1b[2J\u202egnp.exe
}
