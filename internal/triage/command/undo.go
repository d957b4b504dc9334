package command

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A layer is a text found in the text, seen in two ways: as it is, and with what splits
// and hides words undone.
type layer struct {
	how   string
	depth int
	views []*view
}

// undo returns the text and those hidden in it, outermost first, within the bounds.
func undo(text string) (layers []*layer, cut bool) {
	if len(text) > MaxText {
		text, cut = strings.ToValidUTF8(text[:MaxText], ""), true
	}
	total := len(text)
	seen := map[string]bool{text: true}
	layers = append(layers, newLayer(text, "", 0))
	for i := 0; i < len(layers); i++ {
		l := layers[i]
		for _, v := range l.views {
			for _, h := range hiddenIn(v.text) {
				switch {
				case seen[h.text]:
					continue
				case l.depth >= MaxDepth || len(layers) >= MaxLayers || total+len(h.text) > maxTotal:
					cut = true
					continue
				}
				seen[h.text] = true
				total += len(h.text)
				layers = append(layers, newLayer(h.text, strings.TrimPrefix(l.how+", "+h.how, ", "), l.depth+1))
			}
		}
	}
	return layers, cut
}

func newLayer(text, how string, depth int) *layer {
	l := &layer{how: how, depth: depth, views: []*view{{text: text}}}
	if plain := join(text); plain != text {
		l.views = append(l.views, &view{text: plain})
	}
	return l
}

type hidden struct{ text, how string }

var (
	b64lines = regexp.MustCompile(`(?:[A-Za-z0-9+/]{48,}\r?\n)+[A-Za-z0-9+/]+={0,2}`)
	hexrun   = regexp.MustCompile(`(?:[0-9a-fA-F]{2}){8,}`)
	numbers  = regexp.MustCompile(`\d{2,3}(?:\s*[,;]\s*\d{1,3}){5,}`)
)

// hiddenIn returns the texts that are encoded in a text.
func hiddenIn(text string) (list []hidden) {
	for _, m := range b64lines.FindAllString(text, MaxLayers) {
		if t, ok := base64Text(strings.NewReplacer("\r", "", "\n", "").Replace(m)); ok {
			list = append(list, hidden{t, "base64"})
		}
	}
	for _, m := range b64run.FindAllString(text, 1000) {
		if t, ok := base64Text(m); ok {
			list = append(list, hidden{t, "base64"})
		}
	}
	for _, m := range hexrun.FindAllString(text, 1000) {
		if b, err := hex.DecodeString(m); err == nil {
			if t, ok := readable(b); ok {
				list = append(list, hidden{t, "hexadecimal"})
			}
		}
	}
	for _, m := range numbers.FindAllString(text, 100) {
		var b []byte
		for _, n := range strings.FieldsFunc(m, func(r rune) bool { return r < '0' || r > '9' }) {
			c, _ := strconv.Atoi(n)
			b = append(b, byte(min(c, 255)))
		}
		if t, ok := readable(b); ok {
			list = append(list, hidden{t, "character codes"})
		}
	}
	return list
}

// base64Text returns the text of a run in base64, of either alphabet, if it is one.
func base64Text(run string) (string, bool) {
	if len(run) > 2*MaxText {
		return "", false
	}
	run = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(run, "="))
	b, err := base64.RawStdEncoding.DecodeString(run)
	if err != nil {
		return "", false
	}
	return readable(b)
}

// readable returns bytes as text: UTF-8, UTF-16 as PowerShell has it, or gzip of one.
func readable(b []byte) (string, bool) {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return "", false
		}
		// A stream that is cut short is readable as far as it goes.
		b, _ = io.ReadAll(io.LimitReader(r, MaxText))
	}
	if len(b) < 4 {
		return "", false
	}
	if t, ok := utf16Text(b); ok {
		return t, true
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(b) {
		return "", false
	}
	t := strings.TrimRight(string(b), "\x00")
	for _, r := range t {
		if !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' && r != '\x1b' {
			return "", false
		}
	}
	return t, len(t) >= 4
}

// utf16Text reads little-endian UTF-16 in which most characters are Latin.
func utf16Text(b []byte) (string, bool) {
	b = bytes.TrimPrefix(b, []byte{0xff, 0xfe})
	if len(b)%2 != 0 || len(b) < 4 {
		return "", false
	}
	units, latin := make([]uint16, len(b)/2), 0
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
		if c := units[i]; c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' {
			latin++
		}
	}
	if latin*10 < len(units)*8 {
		return "", false
	}
	return string(utf16.Decode(units)), true
}

var (
	continued = regexp.MustCompile("[\\\\`^]\r?\n[ \t]*")
	escape    = regexp.MustCompile(`\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\0?[0-3][0-7]{2}`)
	charCode  = regexp.MustCompile(`(?i)\[char\]\s*\(?\s*(0x[0-9a-f]{2}|\d{2,3})\s*\)?`)
	plus      = regexp.MustCompile(`["']\s*\+\s*["']|["']\s+\.\s+["']`)
	format    = regexp.MustCompile(`(?i)["']((?:\{\d\})+)["']\s*-f\s*((?:["'][^"']*["']\s*,\s*)*["'][^"']*["'])`)
	ifs       = regexp.MustCompile(`\$\{IFS[^}]*\}|\$IFS(?:\$\d)?`)
	nothing   = regexp.MustCompile(`([A-Za-z])(?:\$[@*]|\$\{[@*]\}|\$\(\)|\^|` + "`" + `)([A-Za-z])`)
	slashed   = regexp.MustCompile(`([A-Za-z])\\([A-Za-z])`)
	leading   = regexp.MustCompile(`(^|[\s;&|(])\\([A-Za-z])`)
	braces    = regexp.MustCompile(`(^|[\s;&|(])\{([^{}\s"']+(?:,[^{}\s"']+)+)\}`)
	assigned  = regexp.MustCompile(`(?m)(?:^|[\s;&|({])\$?([A-Za-z_]\w{0,31})\s*=\s*("[^"\n]{0,400}"|'[^'\n]{0,400}'|[^\s'";|&()]{1,400})`)
	variable  = regexp.MustCompile(`\$(?:\{([A-Za-z_]\w{0,31})\}|([A-Za-z_]\w{0,31}))`)
)

// join undoes what splits words and hides them in place: continued lines, escapes,
// concatenation, quotation marks, carets, backticks and backslashes within words,
// and variables that hold a piece of text.
func join(text string) string {
	t := continued.ReplaceAllString(text, " ")
	t = escape.ReplaceAllStringFunc(t, unescape)
	t = format.ReplaceAllStringFunc(t, reorder)
	t = charCode.ReplaceAllStringFunc(t, func(s string) string {
		n, err := strconv.ParseUint(charCode.FindStringSubmatch(s)[1], 0, 8)
		if err != nil || n < ' ' || n > '~' || n == '\'' {
			return s
		}
		return "'" + string(rune(n)) + "'"
	})
	t = plus.ReplaceAllString(t, "")
	t = substitute(substitute(t))
	t = plus.ReplaceAllString(t, "")
	t = ifs.ReplaceAllString(t, " ")
	t = braces.ReplaceAllStringFunc(t, func(s string) string { return strings.NewReplacer("{", "", "}", "", ",", " ").Replace(s) })
	t = strings.NewReplacer(`$'`, "", `$"`, "", `"`, "", `'`, "").Replace(t)
	for range 2 { // matches do not overlap: every second letter at a time
		t = nothing.ReplaceAllString(t, "$1$2")
		t = slashed.ReplaceAllString(t, "$1$2")
	}
	t = leading.ReplaceAllString(t, "$1$2")
	if len(t) > MaxText {
		t = strings.ToValidUTF8(t[:MaxText], "")
	}
	return t
}

func unescape(s string) string {
	base, digits := 8, s[1:]
	if digits[0] == 'x' || digits[0] == 'u' {
		base, digits = 16, digits[1:]
	}
	n, err := strconv.ParseUint(digits, base, 16)
	if err != nil || n < ' ' || n > '~' {
		return s
	}
	return string(rune(n))
}

// reorder does PowerShell's "{1}{0}" -f 'b','a'.
func reorder(s string) string {
	m := format.FindStringSubmatch(s)
	parts := strings.Split(m[2], ",")
	var b strings.Builder
	for i, c := range m[1] {
		if c < '0' || c > '9' {
			continue
		}
		n := int(m[1][i] - '0')
		if n >= len(parts) {
			return s
		}
		b.WriteString(strings.Trim(strings.TrimSpace(parts[n]), `"'`))
	}
	return "'" + b.String() + "'"
}

// substitute puts the values of variables that are given a plain text in their places.
func substitute(text string) string {
	values := map[string]string{}
	for _, m := range assigned.FindAllStringSubmatch(text, 200) {
		if v := strings.Trim(m[2], `"'`); !slices.Contains([]string{"", "$" + m[1]}, v) && !strings.Contains(v, "$"+m[1]) {
			values[m[1]] = v
		}
	}
	if len(values) == 0 {
		return text
	}
	room := MaxText
	return variable.ReplaceAllStringFunc(text, func(s string) string {
		m := variable.FindStringSubmatch(s)
		v, ok := values[m[1]+m[2]]
		if !ok || len(v) > room {
			return s
		}
		// What is assigned to keeps its name: PowerShell writes $a = 'b'.
		room -= len(v)
		return v
	})
}
