package cloudtrail_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/cloudtrail"
)

// containers put elements into inputs: each element is one record, as wrap makes it.
var containers = map[string]struct {
	wrap        func(string) string
	begin, end  string
	between     string
	wantWrapped bool
}{
	"S3 object":    {wrap: asIs, begin: `{"Records":[`, between: ",", end: `]}`},
	"late list":    {wrap: asIs, begin: `{"a":1,"b":[{"c":2}],"Records":[`, between: ",", end: `],"d":3}`},
	"pretty":       {wrap: asIs, begin: "{\n  \"Records\": [\n    ", between: ",\n    ", end: "\n  ]\n}\n"},
	"list":         {wrap: asIs, begin: "[", between: " , ", end: "]"},
	"list a line":  {wrap: asIs, begin: "[\n", between: ",\n", end: "\n]"},
	"lines":        {wrap: asIs, between: "\n", end: "\n"},
	"joined":       {wrap: asIs},
	"export":       {wrap: func(s string) string { return "2024-05-06T07:08:09.123Z " + s }, between: "\n"},
	"EventBridge":  {wrap: func(s string) string { return `{"version":"0","detail-type":"x","detail":` + s + `}` }, between: "\n"},
	"subscription": {wrap: func(s string) string { return `{"id":"1","timestamp":1,"message":` + quote(s) + `}` }, begin: `{"messageType":"DATA_MESSAGE","logEvents":[`, between: ",", end: `]}`},
	"lookup":       {wrap: func(s string) string { return `{"EventId":"1","CloudTrailEvent":` + quote(s) + `}` }, begin: `{"Events":[`, between: ",", end: `]}`},
	"hits":         {wrap: func(s string) string { return `{"_index":"i","_source":` + s + `}` }, begin: `{"took":1,"hits":{"total":2,"hits":[`, between: ",", end: `]}}`},
	"texts":        {wrap: quote, between: "\n"},
}

func asIs(s string) string { return s }

// What is wrong with one record costs that record at most, and is reported unless what
// is left is a record still.
func TestOneBrokenRecord(t *testing.T) {
	t.Parallel()
	for name, c := range containers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				n := rapid.IntRange(1, 8).Draw(rt, "records")
				victim := rapid.IntRange(0, n-1).Draw(rt, "victim")
				var want []string
				elements := make([]string, n)
				for i := range n {
					elements[i] = c.wrap(record(i))
					if i != victim {
						want = append(want, fmt.Sprintf("id-%d", i))
					}
				}
				elements[victim] = damage(rt, elements[victim])
				input := c.begin + strings.Join(elements, c.between) + c.end
				var got []string
				problems, same := 0, false
				var d cloudtrail.Decoder
				_, err := d.Decode(t.Context(), "input", strings.NewReader(input), cloudtrail.Visitor{
					Record: func(r *cloudtrail.Record) error {
						id := strings.Clone(r.Text(cloudtrail.EventID))
						switch {
						case raw(r) == "as made" && id != fmt.Sprintf("id-%d", victim):
							got = append(got, id)
						default:
							same = true // of the victim
						}
						return nil
					},
					Problem: func(cloudtrail.Problem) error { problems++; return nil },
				})
				if err != nil {
					rt.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Errorf("the others (-want +got):\n%s\nin %s", diff, input)
				}
				if !same && problems == 0 {
					rt.Errorf("nothing is said of the broken one in %s", input)
				}
			})
		})
	}
}

// damage changes a few bytes of s: replaces, inserts or takes away. A line end ends a
// value only where lines do, so none is put in.
func damage(t *rapid.T, s string) string {
	b := []byte(s)
	alphabet := []byte(`{}[]",:\0a e` + "\x00\xff")
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		c := rapid.SampledFrom(alphabet).Draw(t, "byte")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			b[i] = c
		case 1:
			b = append(b[:i], append([]byte{c}, b[i:]...)...)
		case 2:
			b = append(b[:i], b[min(i+rapid.IntRange(1, 5).Draw(t, "bytes"), len(b)-1):]...)
		}
	}
	return string(b)
}

// Valid JSON gives exactly the records that encoding/json sees in it.
func TestValidJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var input bytes.Buffer
		for range rapid.IntRange(0, 3).Draw(rt, "values") {
			switch rapid.IntRange(0, 2).Draw(rt, "container") {
			case 0:
				input.WriteString(anyRecord(rt))
			case 1:
				input.WriteString(listOfRecords(rt))
			case 2:
				fmt.Fprintf(&input, "{%s%q%s:%s%s%s}", space(rt), "Records", space(rt), space(rt), listOfRecords(rt), space(rt))
			}
			input.WriteString(rapid.SampledFrom([]string{"\n", " ", "\r\n"}).Draw(rt, "between"))
		}
		want := reference(rt, input.Bytes())
		var got []string
		var d cloudtrail.Decoder
		_, err := d.Decode(t.Context(), "input", bytes.NewReader(input.Bytes()), cloudtrail.Visitor{
			Record: func(r *cloudtrail.Record) error { got = append(got, string(r.Raw())); return nil },
		})
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("(-encoding/json +got):\n%s\nin %s", diff, input.Bytes())
		}
	})
}

// reference finds the records with encoding/json.
func reference(t *rapid.T, input []byte) []string {
	var records []string
	var find func(raw json.RawMessage)
	find = func(raw json.RawMessage) {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			for _, e := range list {
				find(e)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return // a scalar
		}
		if _, ok := members["eventTime"]; ok {
			records = append(records, string(raw))
			return
		}
		if list, ok := members["Records"]; ok {
			find(list)
		}
	}
	dec := json.NewDecoder(bytes.NewReader(input))
	for {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		find(raw)
	}
}

func space(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", " ", "\n", "\r\n\t"}).Draw(t, "space")
}

func listOfRecords(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("[" + space(t))
	for i := range rapid.IntRange(0, 4).Draw(t, "elements") {
		if i > 0 {
			b.WriteString("," + space(t))
		}
		if rapid.IntRange(0, 5).Draw(t, "what") == 0 {
			b.WriteString(value(t, 1))
		} else {
			b.WriteString(anyRecord(t))
		}
		b.WriteString(space(t))
	}
	return b.String() + "]"
}

// anyRecord makes a record with its members in any order and others among them.
func anyRecord(t *rapid.T) string {
	members := []string{
		`"eventVersion"` + space(t) + ":" + space(t) + `"1.09"`,
		`"eventTime":"2024-05-06T07:08:09Z"`,
		`"eventName":` + rapid.SampledFrom([]string{`"A"`, `"\u0041"`, `"{\"Records\":[]}"`}).Draw(t, "name"),
		`"requestParameters":` + value(t, 3),
		`"other":` + value(t, 3),
		`"Records":` + quote("x"), // a list would make it a wrapper
	}
	n := rapid.IntRange(2, len(members)).Draw(t, "members")
	// eventVersion and eventTime are always there.
	members = rapid.Permutation(members[:n]).Draw(t, "order")
	return "{" + space(t) + strings.Join(members, space(t)+","+space(t)) + space(t) + "}"
}

// value makes any JSON value.
func value(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "literal")
	case 1:
		return rapid.SampledFrom([]string{"0", "-1", "1.5e-7", "12345678901234567890"}).Draw(t, "number")
	case 2, 3, 4:
		return quote(rapid.SampledFrom([]string{"", "a", `"`, `\`, "{", "}{", `},{"eventVersion":`, "é\u2028\U0001f600", "\n{", "a\tb"}).Draw(t, "text"))
	case 5:
		parts := make([]string, rapid.IntRange(0, 3).Draw(t, "elements"))
		for i := range parts {
			parts[i] = value(t, depth-1)
		}
		return "[" + strings.Join(parts, space(t)+",") + space(t) + "]"
	default:
		parts := make([]string, rapid.IntRange(0, 3).Draw(t, "members"))
		for i := range parts {
			parts[i] = quote(rapid.SampledFrom([]string{"x", "hits", "messageType", "y"}).Draw(t, "name")) + ":" + value(t, depth-1)
		}
		return "{" + space(t) + strings.Join(parts, ","+space(t)) + "}"
	}
}

// FuzzDecode holds what must be so of any input: the same however the reader parts it
// and wherever the window ends, every record sound JSON and a part of the input, every
// problem inside it, and nothing read twice.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/decode/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		if input := inputOf(f, path); len(input) < 64<<10 {
			f.Add([]byte(input), byte(3))
		}
	}
	f.Add([]byte(pack(f, object(1, 2))), byte(1))
	f.Add([]byte(packZstd(f, object(1, 2))), byte(7))
	f.Fuzz(func(t *testing.T, input []byte, size byte) {
		want := transcript(t, bytes.NewReader(input), true, 0)
		if got := transcript(t, &pieces{input, int(size)}, true, 0); got != want {
			t.Errorf("in other pieces (-want +got):\n%s", cmp.Diff(want, got))
		}
		if len(input) > 0 && (input[0] == '{' || input[0] == '[') {
			shift := 256<<10 - len(input)/2
			far := append(bytes.Repeat([]byte(" "), max(shift, 0)), input...)
			if got := transcript(t, bytes.NewReader(far), true, int64(max(shift, 0))); got != want {
				t.Errorf("elsewhere in the window (-want +got):\n%s", cmp.Diff(want, got))
			}
		}
		var d cloudtrail.Decoder
		var size64, last int64
		sum, err := d.Decode(t.Context(), "input", bytes.NewReader(input), cloudtrail.Visitor{
			Record: func(r *cloudtrail.Record) error {
				if !json.Valid(r.Raw()) {
					t.Errorf("not JSON: %q", r.Raw())
				}
				if at := bytes.Index(input, r.Raw()); at >= 0 {
					size64 += int64(len(r.Raw()))
				}
				return nil
			},
			Problem: func(p cloudtrail.Problem) error {
				last = max(last, p.Offset)
				if p.Code == "" || p.Message == "" {
					t.Errorf("says nothing: %+v", p)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if last > sum.Bytes || sum.InBytes > int64(len(input)) {
			t.Errorf("a problem at %d of %d bytes, %d of %d read", last, sum.Bytes, sum.InBytes, len(input))
		}
		if sum.Bytes == int64(len(input)) && size64 > sum.Bytes {
			t.Errorf("%d bytes of records in %d bytes", size64, sum.Bytes)
		}
	})
}

// pieces is a reader that parts its bytes unevenly, with nothing now and then.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	p.n = (p.n*37 + 11) % 101
	n := copy(b[:min(len(b), p.n/2)], p.b)
	p.b = p.b[n:]
	if len(p.b) == 0 && (n == 0 || p.n%2 == 0) {
		return n, io.EOF
	}
	return n, nil
}
