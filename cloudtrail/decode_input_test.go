package cloudtrail_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
)

// seen is what came of an input: ids of records, and codes of problems.
type seen struct {
	IDs   []string
	Codes []string
}

func look(t testing.TB, d *cloudtrail.Decoder, r io.Reader) seen {
	t.Helper()
	var got seen
	sum, err := d.Decode(t.Context(), "input", r, cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			got.IDs = append(got.IDs, strings.Clone(r.Text(cloudtrail.EventID)))
			return nil
		},
		Problem: func(p cloudtrail.Problem) error {
			if p.Rejected {
				got.Codes = append(got.Codes, p.Code)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Records != int64(len(got.IDs)) || sum.Rejected != int64(len(got.Codes)) {
		t.Errorf("summary %+v for %+v", sum, got)
	}
	return got
}

func object(n ...int) string {
	list := make([]string, len(n))
	for i, k := range n {
		list[i] = record(k)
	}
	return `{"Records":[` + strings.Join(list, ",") + `]}`
}

// many makes an object of n records that do not compress to nothing.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"eventVersion":"1.09","eventTime":"2024-05-06T07:08:09Z","eventName":"N%d","requestParameters":%d,"eventID":"id-%d"}`+"\n", i*7919, i*i*104729, i)
	}
	return b.String()
}

func flip(s string, i int) string {
	if i < 0 {
		i += len(s)
	}
	b := []byte(s)
	b[i] ^= 0x40
	return string(b)
}

// What is damaged is named; what came out before is used.
func TestDamaged(t *testing.T) {
	t.Parallel()
	gz, zst := func(s string) string { return pack(t, s) }, func(s string) string { return packZstd(t, s) }
	const skipped = "\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
	for name, test := range map[string]struct {
		input string
		want  seen
	}{
		"gzip members":                 {gz(object(1)) + gz(object(2)), seen{IDs: []string{"id-1", "id-2"}}},
		"a record across gzip members": {gz(object(1)[:50]) + gz(object(1)[50:]), seen{IDs: []string{"id-1"}}},
		"an empty gzip member":         {gz("") + gz(object(1)) + gz(""), seen{IDs: []string{"id-1"}}},
		"gzip and padding":             {gz(object(1)) + strings.Repeat("\x00", 1000), seen{IDs: []string{"id-1"}}},
		"padding between members":      {gz(object(1)) + "\x00\x00" + gz(object(2)), seen{IDs: []string{"id-1", "id-2"}}},
		"gzip and something else":      {gz(object(1)) + "x", seen{[]string{"id-1"}, []string{"trailing-data"}}},
		"gzip and text":                {gz(object(1)) + object(2), seen{[]string{"id-1"}, []string{"trailing-data"}}},
		"gzip and half a header":       {gz(object(1)) + "\x1f\x8b\x08", seen{[]string{"id-1"}, []string{"truncated"}}},
		"gzip and a bad header":        {gz(object(1)) + "\x1f\x8b\x09\x00\x00\x00\x00\x00\x00\x00", seen{[]string{"id-1"}, []string{"trailing-data"}}},
		"gzip without its trailer":     {gz(object(1))[:len(gz(object(1)))-8], seen{[]string{"id-1"}, []string{"truncated"}}},
		"gzip with half a trailer":     {gz(object(1))[:len(gz(object(1)))-3], seen{[]string{"id-1"}, []string{"truncated"}}},
		"gzip with a bad checksum":     {flip(gz(object(1, 2)), -8), seen{[]string{"id-1", "id-2"}, []string{"bad-checksum"}}},
		"gzip with a bad length":       {flip(gz(object(1, 2)), -1), seen{[]string{"id-1", "id-2"}, []string{"bad-checksum"}}},
		"a gzip header and no more":    {"\x1f\x8b", seen{Codes: []string{"truncated"}}},
		"a bad gzip header":            {"\x1f\x8bnonsense and more", seen{Codes: []string{"bad-compression"}}},
		"a gzip name without an end":   {"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x00name", seen{Codes: []string{"truncated"}}},
		"gzip of nothing, cut":         {gz("")[:12], seen{Codes: []string{"truncated"}}},
		"zstd frames":                  {zst(object(1)) + zst(object(2)), seen{IDs: []string{"id-1", "id-2"}}},
		"zstd frames, some skipped":    {skipped + zst(object(1)) + skipped + zst(object(2)) + skipped, seen{IDs: []string{"id-1", "id-2"}}},
		"zstd and text":                {zst(object(1)) + object(2), seen{[]string{"id-1"}, []string{"trailing-data"}}},
		// zstd gives out whole blocks, once they are checked.
		"zstd cut off":                  {zst(object(1)) + zst(object(2))[:len(zst(object(2)))-3], seen{[]string{"id-1"}, []string{"truncated"}}},
		"zstd with a bad checksum":      {zst(object(1)) + flip(zst(object(2)), -2), seen{[]string{"id-1"}, []string{"bad-checksum"}}},
		"a zstd header and no more":     {"\x28\xb5\x2f\xfd", seen{Codes: []string{"truncated"}}},
		"a zstd window of 2 GiB":        {"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", seen{Codes: []string{"decompression-bomb"}}},
		"looks like zstd":               {"\x28\xb5\x2f\xfdnonsense", seen{Codes: []string{"bad-compression"}}},
		"less than a magic number":      {"\x28\xb5", seen{Codes: []string{"not-cloudtrail"}}},
		"one byte":                      {"\x1f", seen{Codes: []string{"not-cloudtrail"}}},
		"gzip whose last record is cut": {gz(object(1, 2)[:500]), seen{[]string{"id-1"}, []string{"truncated"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d cloudtrail.Decoder
			for range 2 { // the second time with what the first has left behind
				if diff := cmp.Diff(test.want, look(t, &d, strings.NewReader(test.input))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.want, look(t, &d, iotest.OneByteReader(strings.NewReader(test.input)))); diff != "" {
					t.Errorf("a byte at a time (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(seen{IDs: []string{"id-5"}}, look(t, &d, strings.NewReader(gz(object(5))))); diff != "" {
					t.Errorf("the next input (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(seen{IDs: []string{"id-6"}}, look(t, &d, strings.NewReader(zst(object(6))))); diff != "" {
					t.Errorf("the one after (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A compressed input that is cut gives a part of its records, in order, and one problem.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	text := many(5000)
	all := look(t, new(cloudtrail.Decoder), strings.NewReader(text))
	if len(all.IDs) != 5000 || all.Codes != nil {
		t.Fatalf("got %+v", all)
	}
	var d cloudtrail.Decoder
	for name, packed := range map[string]string{"gzip": pack(t, text), "zstd": packZstd(t, text)} {
		given := 0
		for cut := 4; cut < len(packed); cut += 1 + len(packed)/61 {
			got := look(t, &d, strings.NewReader(packed[:cut]))
			if len(got.Codes) != 1 || got.Codes[0] != "truncated" {
				t.Errorf("%s cut at %d of %d: problems %v", name, cut, len(packed), got.Codes)
			}
			if !isPrefix(got.IDs, all.IDs) || len(got.IDs) < given {
				t.Errorf("%s cut at %d of %d: %d records, after %d", name, cut, len(packed), len(got.IDs), given)
			}
			given = len(got.IDs)
		}
		if given == 0 {
			t.Errorf("%s: no records before any cut", name)
		}
	}
}

func isPrefix(a, b []string) bool {
	return len(a) <= len(b) && cmp.Equal(a, append([]string(nil), b[:len(a)]...))
}

// A flipped byte is found, and what came out before it is used.
func TestFlippedAnywhere(t *testing.T) {
	t.Parallel()
	text := many(300)
	var d cloudtrail.Decoder
	for name, packed := range map[string]string{"gzip": pack(t, text), "zstd": packZstd(t, text)} {
		for i := 10; i < len(packed); i += 1 + len(packed)/61 {
			if got := look(t, &d, strings.NewReader(flip(packed, i))); len(got.Codes) == 0 {
				t.Errorf("%s with byte %d of %d flipped: no problem", name, i, len(packed))
			}
		}
	}
}

func TestBombsOfBothKinds(t *testing.T) {
	t.Parallel()
	blank := strings.Repeat(" ", 80<<20)
	for name, packed := range map[string]string{"gzip": pack(t, blank), "zstd": packZstd(t, blank)} {
		for _, test := range []struct {
			limits cloudtrail.Limits
			code   string
			most   int64
		}{
			{cloudtrail.Limits{Input: 1 << 20}, "too-large", 2 << 20},
			{cloudtrail.Limits{Ratio: 100}, "decompression-bomb", 65 << 20},
		} {
			d := cloudtrail.Decoder{Limits: test.limits}
			var codes []string
			sum, err := d.Decode(t.Context(), "bomb", strings.NewReader(packed), cloudtrail.Visitor{
				Problem: func(p cloudtrail.Problem) error {
					codes = append(codes, p.Code)
					if p.Offset != 0 && p.Offset > test.most {
						t.Errorf("%s: found at %d", name, p.Offset)
					}
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.code}, codes); diff != "" || sum.Bytes > test.most {
				t.Errorf("%s: %+v (-want +got):\n%s", name, sum, diff)
			}
		}
	}
	// Large and honest: text is no bomb.
	d := cloudtrail.Decoder{Limits: cloudtrail.Limits{Ratio: 1}}
	if got := look(t, &d, strings.NewReader(blank+object(1))); len(got.IDs) != 1 || got.Codes != nil {
		t.Errorf("without compression: %+v", got)
	}
}

// A bomb inside a wrapper is held to a limit of its own.
func TestBombInWrapper(t *testing.T) {
	t.Parallel()
	d := cloudtrail.Decoder{Limits: cloudtrail.Limits{Ratio: 10}}
	inner := pack(t, strings.Repeat(" ", 70<<20))
	input := fmt.Sprintf(`{"awslogs":{"data":%q}}`+"\n%s", base64.StdEncoding.EncodeToString([]byte(inner)), record(2))
	if diff := cmp.Diff(seen{[]string{"id-2"}, []string{"decompression-bomb"}}, look(t, &d, strings.NewReader(input))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	text := many(5000)
	for name, whole := range map[string]string{"plain": text, "gzip": pack(t, text), "zstd": packZstd(t, text)} {
		var message string
		var d cloudtrail.Decoder
		r := io.MultiReader(strings.NewReader(whole[:len(whole)/2]), iotest.ErrReader(broken))
		sum, err := d.Decode(t.Context(), "input", r, cloudtrail.Visitor{
			Problem: func(p cloudtrail.Problem) error { message += p.Code + ": " + p.Message + "\n"; return nil },
		})
		if err != nil || sum.Records == 0 || message != "unreadable: the disk is gone\n" {
			t.Errorf("%s: %d records, %v, problems %q", name, sum.Records, err, message)
		}
	}
	if got := look(t, new(cloudtrail.Decoder), stuck{}); !cmp.Equal(got.Codes, []string{"unreadable"}) {
		t.Errorf("a reader that gives nothing: %+v", got)
	}
}

// stuck is a reader that neither gives anything nor ends.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var n int64
	var d cloudtrail.Decoder
	sum, err := d.Decode(ctx, "input", strings.NewReader(many(50_000)), cloudtrail.Visitor{
		Record:  func(*cloudtrail.Record) error { n++; cancel(); return nil },
		Problem: func(p cloudtrail.Problem) error { t.Errorf("problem %+v", p); return nil },
	})
	if !errors.Is(err, context.Canceled) || sum.Records != n || n == 0 || n > 25_000 {
		t.Errorf("%d records, %v", sum.Records, err)
	}
}

// What a visitor returns ends the decoding, wherever it was called.
func TestVisitorEndsIt(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	paths, err := filepath.Glob("testdata/decode/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		input := inputOf(t, path)
		calls := 0
		for at := 1; ; at++ {
			calls = 0
			call := func() error {
				if calls++; calls == at {
					return stop
				}
				if calls > at {
					t.Errorf("%s: called again after an error", path)
				}
				return nil
			}
			var d cloudtrail.Decoder
			_, err := d.Decode(t.Context(), "input", strings.NewReader(input), cloudtrail.Visitor{
				Record:   func(*cloudtrail.Record) error { return call() },
				Document: func([]byte) error { return call() },
				Problem:  func(cloudtrail.Problem) error { return call() },
			})
			if calls < at {
				break
			}
			if !errors.Is(err, stop) {
				t.Errorf("%s: call %d: got %v", path, at, err)
			}
		}
	}
}

// The window is all that a long input takes.
func TestMemory(t *testing.T) {
	t.Parallel()
	text := []byte(many(1000))
	r := &repeated{text: text, left: 100 << 20}
	var d cloudtrail.Decoder
	sum, err := d.Decode(t.Context(), "input", r, cloudtrail.Visitor{})
	if err != nil || sum.Bytes < 90<<20 || sum.Rejected != 1 { // the last one is cut
		t.Fatalf("%+v, %v", sum, err)
	}
	if n := cloudtrail.BufferSize(&d); n > 1<<20 {
		t.Errorf("the buffer grew to %d bytes", n)
	}
}

type repeated struct {
	text []byte
	at   int
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.left)], r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	r.left -= n
	return n, nil
}

// Nesting a million deep, in every way, and a record behind it.
func TestMillionDeep(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	for name, deep := range map[string]string{
		"lists":             strings.Repeat("[", n),
		"closed lists":      strings.Repeat("[", n) + strings.Repeat("]", n),
		"objects":           strings.Repeat(`{"a":`, n),
		"closed objects":    strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n),
		"in a record":       `{"eventVersion":"1.09","x":` + strings.Repeat("[", n),
		"records":           strings.Repeat(`{"eventVersion":[`, n/4),
		"wrappers":          strings.Repeat(`{"Records":[`, n/4),
		"wrapped in detail": strings.Repeat(`{"detail":`, n/4) + "{}" + strings.Repeat("}", n/4),
	} {
		for _, before := range []string{"\n", ","} {
			got := look(t, new(cloudtrail.Decoder), strings.NewReader(deep+before+record(1)))
			if len(got.IDs) != 1 || len(got.Codes) == 0 {
				t.Errorf("%s: records %v, %d problems", name, got.IDs, len(got.Codes))
			}
		}
	}
}

// Real records, where they are: nothing is rejected and nothing noted but what is known.
func TestRealTrail(t *testing.T) {
	t.Parallel()
	root := "../../shared/data/cloudtrail"
	if _, err := os.Stat(root); err != nil {
		t.Skip("the data is not there: ", err)
	}
	var records int64
	codes := map[string]int{}
	d := cloudtrail.Decoder{Strict: true}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".json" && filepath.Ext(path) != ".gz" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum, err := d.Decode(t.Context(), path, bytes.NewReader(b), cloudtrail.Visitor{
			Problem: func(p cloudtrail.Problem) error { codes[p.Code]++; return nil },
		})
		records += sum.Records
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records, problems %v", records, codes)
	if records < 2900 || len(codes) > 0 {
		t.Errorf("%d records, problems %v", records, codes)
	}
}
