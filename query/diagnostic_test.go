package query_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/query"
)

func TestRender(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("abcdefghij", 30)
	for name, tc := range map[string]struct {
		d    query.Diagnostic
		want []string
	}{
		"all of it": {
			query.Diagnostic{
				Severity: query.Error, Code: "syntax", File: "rules/a.toml", Line: 3, Column: 9, Width: 4,
				Source: `query = "user.nmae:x"`, Message: "bad name", Hint: "mend it",
			},
			[]string{
				`rules/a.toml:3:9: error: bad name [syntax]`,
				`    query = "user.nmae:x"`,
				`            ^^^^`,
				`    hint: mend it`,
			},
		},
		"a bare query": {
			query.Diagnostic{Severity: query.Warning, Line: 1, Column: 1, Source: "a", Message: "odd"},
			[]string{`1:1: warning: odd`, `    a`, `    ^`},
		},
		"no place": {
			query.Diagnostic{Severity: query.Info, File: "a.toml", Source: "a", Message: "note"},
			[]string{`a.toml: info: note`},
		},
		"at the end of the line": {
			query.Diagnostic{Line: 1, Column: 4, Width: 1, Source: "a:(", Message: "missing"},
			[]string{`1:4: error: missing`, `    a:(`, `       ^`},
		},
		"beyond the end of the line": {
			query.Diagnostic{Line: 1, Column: 400, Width: 100, Source: "a:(", Message: "missing"},
			[]string{`1:400: error: missing`, `    a:(`, `       ^`},
		},
		"characters of several bytes": {
			query.Diagnostic{Line: 1, Column: 5, Width: 2, Source: "é日本:xy", Message: "here"},
			[]string{`1:5: error: here`, `    é日本:xy`, `        ^^`},
		},
		"a long line": {
			query.Diagnostic{Line: 1, Column: 151, Width: 10, Source: long, Message: "here"},
			[]string{
				`1:151: error: here`,
				`    …cdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefgh…`,
				`                                                     ^^^^^^^^^^`,
			},
		},
		"hostile text": {
			query.Diagnostic{
				Code: "x", File: "a\x1b[2J.toml", Line: 1, Column: 3, Width: 2, Source: "\t\x1b[31m\u202Eevil\xff",
				Message: "bad\r\nerror: forged", Hint: "\x07\u2028",
			},
			[]string{
				"a\uFFFD[2J.toml:1:3: error: bad\uFFFD\uFFFDerror: forged [x]",
				"     \uFFFD[31m\uFFFDevil\uFFFD",
				"      ^^",
				"    hint: \uFFFD\uFFFD",
			},
		},
	} {
		if diff := cmp.Diff(strings.Join(tc.want, "\n")+"\n", tc.d.Render()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDiagnostics(t *testing.T) {
	t.Parallel()
	warn, fail := query.Diagnostic{Severity: query.Warning, Message: "one"}, query.Diagnostic{Message: "two"}
	for _, tc := range []struct {
		ds     query.Diagnostics
		text   string
		failed bool
	}{
		{nil, "no diagnostics", false},
		{query.Diagnostics{warn}, "warning: one", false},
		{query.Diagnostics{warn, fail, fail}, "warning: one (and 2 more)", true},
	} {
		if got := tc.ds.Error(); got != tc.text || tc.ds.Failed() != tc.failed {
			t.Errorf("%q, failed %v; want %q, %v", got, tc.ds.Failed(), tc.text, tc.failed)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("a.toml", "query = 'x'", "bad", "mend", 3, 2)
	f.Fuzz(func(t *testing.T, file, source, message, hint string, column, width int) {
		out := query.Diagnostic{Code: "x", File: file, Line: 1, Column: column, Width: width, Source: source, Message: message, Hint: hint}.Render()
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		want := 1
		if source != "" && column > 0 {
			want += 2
			if n := utf8.RuneCountInString(lines[1]); n > 120 || utf8.RuneCountInString(lines[2]) > n+1 {
				t.Errorf("the excerpt is too wide: %q", out)
			}
		}
		if hint != "" {
			want++
		}
		if len(lines) != want {
			t.Errorf("%d lines, want %d: %q", len(lines), want, out)
		}
		for _, r := range out {
			if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) {
				t.Errorf("it prints %U", r)
			}
		}
	})
}
