package cloudtrail_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/cloudtrail"
)

var update = flag.Bool("update", false, "write what is wanted")

// TestDecode reads the inputs of testdata/decode and compares everything that a Visitor
// gets with the file "want" beside each. The file "input" is a template with the
// functions of fixture; the newline at its end is not part of it.
func TestDecode(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/decode/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			input := []byte(fixture{t, ar}.file("input"))
			strict := strings.Contains(string(ar.Comment), "strict")
			want := transcript(t, bytes.NewReader(input), strict, 0)
			golden(t, path, ar, want)

			// However the reader parts the bytes, whatever they are compressed with, and
			// wherever the window ends: it is the same.
			for name, r := range map[string]io.Reader{
				"a byte at a time":      iotest.OneByteReader(bytes.NewReader(input)),
				"half of what is asked": iotest.HalfReader(bytes.NewReader(input)),
				"the end with the data": iotest.DataErrReader(bytes.NewReader(input)),
			} {
				if diff := cmp.Diff(want, transcript(t, r, strict, 0)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if !strings.Contains(string(ar.Comment), "as it is") {
				for name, text := range map[string]string{"gzip": pack(t, string(input)), "zstd": packZstd(t, string(input))} {
					if diff := cmp.Diff(want, transcript(t, strings.NewReader(text), strict, 0)); diff != "" {
						t.Errorf("with %s (-want +got):\n%s", name, diff)
					}
				}
				if strings.HasPrefix(string(input), "\xEF\xBB\xBF") || strings.Contains(want, "@0 #0:") {
					return // it is told by how it begins
				}
				for _, n := range []int{256<<10 - 1, 256<<10 - 20, 512<<10 - 50, 512<<10 - 300, 512<<10 - 700} {
					far := append(bytes.Repeat([]byte(" "), n), input...)
					if diff := cmp.Diff(want, transcript(t, bytes.NewReader(far), strict, int64(n))); diff != "" {
						t.Errorf("%d bytes further (-want +got):\n%s", n, diff)
					}
				}
			}
		})
	}
}

// inputOf makes the input of a file of testdata/decode.
func inputOf(t testing.TB, path string) string {
	t.Helper()
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fixture{t, ar}.file("input")
}

// transcript prints what a Visitor gets, in order, and the summary. Offsets are counted from
// shift.
func transcript(t testing.TB, r io.Reader, strict bool, shift int64) string {
	t.Helper()
	var out strings.Builder
	d := cloudtrail.Decoder{Limits: cloudtrail.Limits{Record: 1 << 20, Input: 64 << 20, Ratio: 10_000}, Strict: strict}
	sum, err := d.Decode(context.Background(), "input", r, cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			at, ok := r.EventTime()
			if !ok {
				t.Error("a record without a time")
			}
			fmt.Fprintf(&out, "record %s %s %s\n", r.Text(cloudtrail.EventID), at.Format("2006-01-02T15:04:05.999Z07:00"), raw(r))
			return nil
		},
		Document: func(raw []byte) error {
			fmt.Fprintf(&out, "document %s\n", short(string(raw)))
			return nil
		},
		Problem: func(p cloudtrail.Problem) error {
			what := "noted"
			if p.Rejected {
				what = "rejected"
			}
			if p.Input != "input" || strings.ContainsAny(p.Message, "\n\x1b") {
				t.Errorf("bad problem: %+v", p)
			}
			fmt.Fprintf(&out, "%s %s @%d #%d: %s\n", what, p.Code, p.Offset-shift, p.Record, p.Message)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		n    int64
	}{
		{"records", sum.Records},
		{"documents", sum.Documents},
		{"rejected", sum.Rejected},
		{"noted", sum.Noted},
		{"digests", sum.Digests},
		{"insights", sum.Insights},
		{"control", sum.Control},
	} {
		if c.n > 0 {
			fmt.Fprintf(&out, "%d %s\n", c.n, c.name)
		}
	}
	return out.String()
}

// raw prints a record's text if it is not one of [record].
func raw(r *cloudtrail.Record) string {
	var n int
	if _, err := fmt.Sscanf(r.Text(cloudtrail.EventID), "id-%d", &n); err == nil && string(r.Raw()) == record(n) {
		return "as made"
	}
	return short(string(r.Raw()))
}

func short(s string) string {
	if len(s) > 700 {
		return fmt.Sprintf("%s… (%d bytes)", s[:100], len(s))
	}
	return s
}

func golden(t *testing.T, path string, ar *txtar.Archive, got string) {
	t.Helper()
	for i := range ar.Files {
		f := &ar.Files[i]
		if f.Name != "want" {
			continue
		}
		if *update {
			f.Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(ar), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(f.Data), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return
	}
	t.Errorf("%s has no file %q", path, "want")
}

// A fixture makes inputs of the files of an archive.
type fixture struct {
	t  testing.TB
	ar *txtar.Archive
}

// file expands a file of the archive, without the newline at its end.
func (x fixture) file(name string) string {
	for _, f := range x.ar.Files {
		if f.Name != name {
			continue
		}
		tmpl, err := template.New(name).Delims("<<", ">>").Funcs(template.FuncMap{
			"file":   x.file,
			"rec":    record,
			"str":    quote, // as a JSON string
			"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			"gzip":   func(s string) string { return pack(x.t, s) },
			"zstd":   func(s string) string { return packZstd(x.t, s) },
			"repeat": func(n int, s string) string { return strings.Repeat(s, n) },
			"cut":    func(n int, s string) string { return s[:len(s)-n] }, // the end off
			"hex": func(s string) string {
				b, err := hex.DecodeString(s)
				if err != nil {
					x.t.Fatal(err)
				}
				return string(b)
			},
		}).Parse(strings.TrimSuffix(string(f.Data), "\n"))
		if err != nil {
			x.t.Fatal(err)
		}
		var out strings.Builder
		if err := tmpl.Execute(&out, nil); err != nil {
			x.t.Fatal(err)
		}
		return out.String()
	}
	x.t.Fatalf("no file %q", name)
	return ""
}

// record makes the n-th record: one with lists and objects inside, and JSON in a string.
func record(n int) string {
	return fmt.Sprintf(`{"eventVersion":"1.09","userIdentity":{"type":"IAMUser","userName":"ana"},"eventTime":"2024-05-06T07:08:%02dZ",`+
		`"eventSource":"ssm.amazonaws.com","eventName":"GetParameter","requestParameters":{"filter":"{\"eventVersion\":[{}]}"},`+
		`"resources":[{"ARN":"a"},{"ARN":"b"}],"eventID":"id-%d","recipientAccountId":"111122223333"}`, n%60, n)
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func pack(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func packZstd(t testing.TB, s string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	return string(w.EncodeAll([]byte(s), nil))
}
