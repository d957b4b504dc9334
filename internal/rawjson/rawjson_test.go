package rawjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/rawjson"
)

func TestSkip(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		end  int
		want string // of the error, or "" or "truncated"
	}{
		{in: `null`, end: 4},
		{in: `true,`, end: 4},
		{in: `-0.5e+10]`, end: 8},
		{in: `0`, end: 1},
		{in: `01`, end: 1}, // a number ends; what follows is the caller's
		{in: `""`, end: 2},
		{in: `"\"\\\/\b\f\n\r\t\u00e9"x`, end: 24},
		{in: "{ \"a\" :\t[ 1 , {} ,\r\n[] ] }", end: 26},
		{in: ``, want: "truncated"},
		{in: `tru`, want: "truncated"},
		{in: `-`, want: "truncated"},
		{in: `1.`, want: "truncated"},
		{in: `1e+`, want: "truncated"},
		{in: `"ab`, want: "truncated"},
		{in: `"ab\`, want: "truncated"},
		{in: `"\u12`, want: "truncated"},
		{in: `{"a"`, want: "truncated"},
		{in: `{"a":`, want: "truncated"},
		{in: `[1`, want: "truncated"},
		{in: `[1,`, want: "truncated"},
		{in: `nul!`, want: "expected a JSON value at byte 0"},
		{in: `+1`, want: "expected a JSON value at byte 0"},
		{in: `.5`, want: "expected a JSON value at byte 0"},
		{in: `1.x`, want: "bad number at byte 2"},
		{in: `1ex`, want: "bad number at byte 2"},
		{in: "\"a\nb\"", want: "control character in a string at byte 2"},
		{in: "\"0123456789\x00\"", want: "control character in a string at byte 11"},
		{in: `"0123456789\q"`, want: "unknown escape at byte 12"},
		{in: `"\u12g4"`, want: `bad \u escape at byte 2`},
		{in: `[1,]`, want: "expected a JSON value at byte 3"},
		{in: `[1 2]`, want: "expected ',' or the end of the container at byte 3"},
		{in: `[1}`, want: "expected ',' or the end of the container at byte 2"},
		{in: `{"a" 1}`, want: "expected ':' after a member name at byte 5"},
		{in: `{a:1}`, want: "expected a string at byte 1"},
		{in: `{"a":1,}`, want: "expected a string at byte 7"},
	} {
		end, err := rawjson.Skip([]byte(tc.in), 0)
		got := ""
		switch {
		case errors.Is(err, rawjson.ErrTruncated):
			got = "truncated"
		case err != nil:
			got = err.Error()
		case end != tc.end:
			t.Errorf("Skip(%q) ends at %d, want %d", tc.in, end, tc.end)
		}
		if got != tc.want {
			t.Errorf("Skip(%q): error %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestSkipDeepNesting(t *testing.T) {
	t.Parallel()
	for _, open := range []string{"[", `{"a":`} {
		_, err := rawjson.Skip([]byte(strings.Repeat(open, 1_000_000)), 0)
		var syntax *rawjson.SyntaxError
		if !errors.As(err, &syntax) || syntax.Msg != "nested too deep" || syntax.Offset != rawjson.MaxDepth*len(open) {
			t.Errorf("a million times %q: %v", open, err)
		}
	}
	deepest := strings.Repeat("[", rawjson.MaxDepth) + strings.Repeat("]", rawjson.MaxDepth)
	if end, err := rawjson.Skip([]byte(deepest), 0); err != nil || end != len(deepest) {
		t.Errorf("%d levels: %d, %v", rawjson.MaxDepth, end, err)
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	type pair struct{ Name, Value string }
	walk := func(in string) (got []pair) {
		for c := rawjson.Walk([]byte(in)); c.Next(); {
			got = append(got, pair{string(c.Name()), string(c.Value())})
		}
		return got
	}
	for in, want := range map[string][]pair{
		`{}`:    nil,
		` [ ] `: nil,
		`"{}"`:  nil,
		`null`:  nil,
		``:      nil,
		"{ \"a\" : 1 , \"b]\\\"}\" : [ {} , \"]\" ] ,\n\"\":\"x\" }": {{`"a"`, `1`}, {`"b]\"}"`, `[ {} , "]" ]`}, {`""`, `"x"`}},
		`["a",-1.5e3,null,{"b":[]},true ]`:                           {{"", `"a"`}, {"", `-1.5e3`}, {"", `null`}, {"", `{"b":[]}`}, {"", `true`}},
	} {
		if diff := cmp.Diff(want, walk(in)); diff != "" {
			t.Errorf("Walk(%q) (-want +got):\n%s", in, diff)
		}
	}
	// Text that was not checked must not hang or panic.
	for _, in := range []string{"[\x01", "[,,", "{", `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":,`, `[`, `["\`, `[}`, `{"a":{`, `[:`, `{:::`} {
		walk(in)
	}
}

func TestGetFirstWins(t *testing.T) {
	t.Parallel()
	obj := []byte(`{"b":1,"\u0061":null,"a":"second","a\\":2,"é":3,"\ud83d\ude00":4}`)
	for name, want := range map[string]string{
		"a": `null`, "b": `1`, `a\`: `2`, "é": `3`, "\U0001F600": `4`, "c": "", `\u0061`: "",
	} {
		if got := string(rawjson.Get(obj, name)); got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
	if got := rawjson.Get([]byte(`["a"]`), ""); got != nil {
		t.Errorf("an array has no members, got %q", got)
	}
	if got := string(rawjson.Path([]byte(`{"a":{"b":{"c":5}}}`), "a", "b", "c")); got != "5" {
		t.Errorf("Path = %q", got)
	}
	if got := rawjson.Path([]byte(`{"a":[{"b":1}]}`), "a", "b"); got != nil {
		t.Errorf("Path looked into an array: %q", got)
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`""`:                              "",
		`"plain"`:                         "plain",
		`"\u0053end\u0043ommand"`:         "SendCommand",
		`"a\"b\\c\/d\b\f\n\r\t"`:          "a\"b\\c/d\b\f\n\r\t",
		`"\ud83d\ude00"`:                  "\U0001F600",
		`"\ud83d"`:                        "\uFFFD",
		`"\ud83dx"`:                       "\uFFFDx",
		`"\ud83d\u0041"`:                  "\uFFFDA",
		`"\ude00\ud83d"`:                  "\uFFFD\uFFFD",
		"\"caf\xc3\xa9 caf\xe9 \xff\"":    "café caf\uFFFD \uFFFD",
		"\"01234567\\u00e9\xc3\xa9\"":     "01234567éé",
		"\"long enough \xe2\x82\xac ok\"": "long enough € ok",
		`12.50`:                           "12.50",
		`true`:                            "true",
	} {
		if got := rawjson.String([]byte(in)); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
		if in[0] == '"' && !rawjson.Equal([]byte(in), want) {
			t.Errorf("Equal(%q, %q) is false", in, want)
		}
	}
	if rawjson.Equal([]byte(`12`), "12") {
		t.Error("a number equals a string")
	}
}

func TestStringSharesMemory(t *testing.T) {
	raw := []byte(`"shared memory"`)
	if n := testing.AllocsPerRun(100, func() { _ = rawjson.String(raw) }); n != 0 {
		t.Errorf("String of plain text allocates %v times", n)
	}
}

// Marshalled strings come back as they were, whatever is escaped.
func TestStringRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "text")
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var ascii bytes.Buffer
		ascii.WriteByte('"')
		for _, r := range want {
			if r > 0xFFFF {
				r -= 0x10000
				fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
			} else {
				fmt.Fprintf(&ascii, `\u%04X`, r)
			}
		}
		ascii.WriteByte('"')
		for _, in := range [][]byte{raw, ascii.Bytes()} {
			if got := rawjson.String(in); got != want {
				t.Fatalf("String(%s) = %q, want %q", in, got, want)
			}
			if got := string(rawjson.Unquote(nil, in)); got != want {
				t.Fatalf("Unquote(%s) = %q, want %q", in, got, want)
			}
		}
	})
}

// FuzzSkip holds Skip to two other readers of JSON, and the walk to what they read.
func FuzzSkip(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,{"b":null}],"a":true,"\u0061":"\ud83d\ude00"}`, `["\xff",""]`, `[[[[]]]]`, `{"a":01}`, ` {"a" : "b" } `, `"\u12"`, `{"":{"":""}}`, "\"\x7f\x1f\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		start := rawjson.Space(data, 0)
		end, err := rawjson.Skip(data, start)
		if err != nil && strings.Contains(err.Error(), "nested too deep") {
			return // a limit of ours
		}
		ok := err == nil && rawjson.Space(data, end) == len(data)
		if want := json.Valid(data); ok != want {
			t.Fatalf("Skip says %v (%v), encoding/json says %v: %q", ok, err, want, data)
		}
		if !ok {
			drain(data) // must end
			return
		}
		// jsontext reads a number like 1E400 as it is spelt, as we do.
		d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		compareTokens(t, d, data[start:end])
	})
}

func drain(raw []byte) {
	for c := rawjson.Walk(raw); c.Next(); {
		drain(c.Value())
	}
}

// compareTokens walks raw beside d.
func compareTokens(t *testing.T, d *jsontext.Decoder, raw []byte) {
	t.Helper()
	token, err := d.ReadToken()
	if err != nil {
		t.Fatalf("jsontext: %v", err)
	}
	switch kind := token.Kind(); kind {
	case '{', '[':
		first := make(map[string][]byte)
		for c := rawjson.Walk(raw); c.Next(); {
			if kind == '{' {
				name, err := d.ReadToken()
				if err != nil || rawjson.String(c.Name()) != name.String() || !c.NameIs(name.String()) {
					t.Fatalf("name %s, want %v (%v)", c.Name(), name, err)
				}
				if _, dup := first[name.String()]; !dup {
					first[name.String()] = c.Value()
				}
			}
			compareTokens(t, d, c.Value())
		}
		if token, err = d.ReadToken(); err != nil || token.Kind() != kind+2 {
			t.Fatalf("%q: the walk ended, jsontext goes on with %v, %v", raw, token, err)
		}
		for name, want := range first {
			if got := rawjson.Get(raw, name); !bytes.Equal(got, want) {
				t.Fatalf("Get(%q, %q) = %q, want the first: %q", raw, name, got, want)
			}
		}
	default:
		if got := rawjson.String(raw); got != token.String() {
			t.Fatalf("String(%q) = %q, want %q", raw, got, token.String())
		}
	}
}

func BenchmarkSkip(b *testing.B) {
	record := []byte(`{"eventVersion":"1.10","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:worker","arn":"arn:aws:sts::111122223333:assumed-role/worker/worker","accountId":"111122223333","sessionContext":{"attributes":{"creationDate":"2026-01-31T07:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-01-31T08:00:00Z","requestParameters":{"instanceIds":["i-0123456789abcdef0","i-0123456789abcdef1"],"maxResults":50,"dryRun":false}}`)
	b.SetBytes(int64(len(record)))
	b.Run("checked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rawjson.Skip(record, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("walked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for c := rawjson.Walk(record); c.Next(); {
				_ = c.Value()
			}
		}
	})
}
