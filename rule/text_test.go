package rule

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every byte of a text is found at the place where it is spelt.
func TestTextOffset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw  string
		want int // offset in the text
		at   string
	}{
		{`"abc"`, 0, "abc\""},
		{`"abc"`, 2, "c\""},
		{`"abc"`, 3, `"`},
		{`"abc"`, 99, `"`},
		{`'a\nb'`, 2, `nb'`},
		{`"a\nb"`, 2, `b"`},
		{`"\"b"`, 1, `b"`},
		{`"\u00e9b"`, 2, `b"`},
		{`"\ud83d\ude00b"`, 4, `b"`},
		{`"\U0001F600b"`, 4, `b"`},
		{`"\x41b"`, 1, `b"`},
		{"'''\nab'''", 0, "ab'''"},
		{"'''\r\nab'''", 1, "b'''"},
		{"\"\"\"\na \\\n   b\"\"\"", 2, "b\"\"\""},
		{`""`, 0, `"`},
		{``, 0, ``},
		{`"\u00`, 5, `0`}, // cut off: no panic
	} {
		if got := c.raw[textOffset([]byte(c.raw), c.want):]; got != c.at {
			t.Errorf("%q, %d: at %q, want %q", c.raw, c.want, got, c.at)
		}
	}
}

func TestTextOffsetProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([][2]string{
			{"a", "a"}, {"é", "é"}, {`\n`, "\n"}, {`\"`, `"`}, {`\\`, `\`}, {`\u0041`, "A"}, {`\U0001F600`, "😀"},
		})).Draw(t, "parts")
		var raw, text strings.Builder
		raw.WriteByte('"')
		for _, p := range parts {
			if got := textOffset([]byte(raw.String()+p[0]+`"`), text.Len()); got != raw.Len() {
				t.Fatalf("text %q: offset %d, want %d", text.String(), got, raw.Len())
			}
			raw.WriteString(p[0])
			text.WriteString(p[1])
		}
	})
}
