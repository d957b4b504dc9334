package command

import (
	"regexp"
	"slices"
	"strings"
)

const masked = "[masked]"

// Mask returns a text with the secrets in it masked: values of passwords, tokens and
// keys, headers that authenticate, private keys, users and passwords in URLs, AWS keys
// (of a key id, the first and last four characters remain), and long random words.
// It is safe for concurrent use.
func Mask(text string) string {
	v := view{text: text}
	return v.masked(0, len(text))
}

// A span of a text that is secret.
type span struct {
	start, end int
	key        bool // an AWS key id, of which the ends are shown
}

// Names of what is secret, and values: in quotation marks, or up to a blank.
const (
	secretName = `(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|client[_-]?secret|credentials?|signature|sig|auth[_-]?key|account[_-]?key)` //nolint:gosec // a pattern of names, no secret
	value      = `("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"';&|,]+)`
	clause     = `(?:[^\n;|&]|&[^&\n])`
)

// secretPatterns find secrets: the first group is the secret, or all if there is none.
//
//nolint:gochecknoglobals // read-only
var secretPatterns = []*regexp.Regexp{
	regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.*?)(?:-----END|$)`),
	regexp.MustCompile(`(?i)\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?([^"'\n]+)`),
	regexp.MustCompile(`(?i)\b(?:x-[a-z0-9-]*(?:key|token|signature|credential|secret|auth)|cookie|set-cookie|private-token)["']?\s*[:=]\s*["']?([^"'\n]+)`),
	regexp.MustCompile(`(?i)\bbearer\s+["']?([A-Za-z0-9._~+/=-]{6,})`),
	// NAME=value, "name": "value", and flags: --password value, -Password value.
	regexp.MustCompile(`(?i)[\w.-]*` + secretName + `[\w-]*["']?\s*(?:=>|:=|[=:])\s*` + value),
	regexp.MustCompile(`(?i)(?:^|\s)--?[\w-]*` + secretName + `[\w-]*\s+` + value),
	regexp.MustCompile(`(?i)\b(?:pass|env|file):([^\s"']{3,})`),
	regexp.MustCompile(`(?i)\bConvertTo-SecureString\s+(?:-String\s+)?` + value),
	regexp.MustCompile(`(?i)\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)(?:\.exe)?\b` + clause + `*?\s-p([^\s;|&]+)`),
	regexp.MustCompile(`(?i)\bsshpass\s+-p\s*` + value),
	regexp.MustCompile(`(?i)\b(?:curl|wget|http)\b` + clause + `*?(?:\s-u\s*|\s--user[= ]\s*)` + value),
	regexp.MustCompile(`(?i)\b(?:7z[ar]?|rar)(?:\.exe)?\b` + clause + `*?\s-h?p([^\s;|&]+)`),
	regexp.MustCompile(`\bzip\b` + clause + `*?\s-P\s*` + value),
	regexp.MustCompile(`(?i)\bopenssl\b` + clause + `*?\s-(?:k|K)\s+` + value),
	regexp.MustCompile(`(?i)\bnet1?(?:\.exe)?\s+user\s+\S+\s+([^\s/*][^\s]*)`),
	regexp.MustCompile(`(?i)\b(?:useradd|usermod)\b` + clause + `*?\s-p\s+` + value),
	regexp.MustCompile(`(?i)\becho\s+["']?[\w.-]+:([^\s"'|]+)["']?\s*\|\s*(?:sudo\s+)?chpasswd`),
	regexp.MustCompile(`(?i)\b(?:docker|podman|helm|az)\s+` + clause + `*?login` + clause + `*?\s-p\s+` + value),
	regexp.MustCompile(`(?i)\s-(?:code|activation-?code)\s+` + value),
	// User and password in a URL.
	regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]{1,20}://([^\s/@"'<>]+)@`),
	// Tokens that are known by their shape.
	regexp.MustCompile(`\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|[sr]k_(?:live|test)_\w{16,}|AIza[\w-]{35}|npm_\w{30,}|sk-[\w-]{20,}|dop_v1_\w{40,}|hf_\w{30,})`),
	regexp.MustCompile(`(?i)hooks\.slack\.com/services/(\S+)`),
	regexp.MustCompile(`\b(eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)`),
}

var (
	keyID = regexp.MustCompile(`\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,28}\b`)
	// random is a long word without a blank, such as a key; what else it may be, a
	// payload in base64, is shown undone.
	random = regexp.MustCompile(`[A-Za-z0-9+/=_-]{40,}`)
	b64run = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}={0,2}`)
)

// spans returns the secrets of a text in order, merged where they meet.
func spans(text string, depth int) []span {
	var list []span
	for _, re := range secretPatterns {
		for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
			s, e := m[0], m[1]
			if len(m) > 2 && m[2] >= 0 {
				s, e = m[2], m[3]
			}
			s, e = trimQuotes(text, s, e)
			if e > s && !harmless(text[s:e]) {
				list = append(list, span{start: s, end: e})
			}
		}
	}
	for _, m := range random.FindAllStringIndex(text, -1) {
		if mixed(text[m[0]:m[1]]) {
			list = append(list, span{start: m[0], end: m[1]})
		}
	}
	if depth < 2 { // a secret in base64 is one still
		for _, m := range b64run.FindAllStringIndex(text, -1) {
			if inner, ok := base64Text(text[m[0]:m[1]]); ok && len(spans(inner, depth+1)) > 0 {
				list = append(list, span{start: m[0], end: m[1]})
			}
		}
	}
	for _, m := range keyID.FindAllStringIndex(text, -1) {
		list = append(list, span{start: m[0], end: m[1], key: true})
	}
	slices.SortFunc(list, func(a, b span) int {
		if d := a.start - b.start; d != 0 {
			return d
		}
		return b.end - a.end
	})
	out := list[:0]
	for _, s := range list {
		if n := len(out) - 1; n >= 0 && s.start < out[n].end {
			if s.end > out[n].end {
				out[n].end, out[n].key = s.end, false
			}
			out[n].key = out[n].key && s.key
			continue
		}
		out = append(out, s)
	}
	return out
}

func trimQuotes(text string, s, e int) (from, to int) {
	for s < e && (text[s] == '"' || text[s] == '\'') {
		s++
	}
	for e > s && (text[e-1] == '"' || text[e-1] == '\'') {
		e--
	}
	return s, e
}

// harmless reports whether what stands where a secret would is none: a variable, a
// switch, or a mask.
func harmless(s string) bool {
	if strings.HasPrefix(s, "$") && !strings.ContainsAny(s[1:], "$ ") || strings.HasPrefix(s, "[mask") || strings.Trim(s, "*") == "" {
		return true
	}
	return strings.HasPrefix(s, "-") && len(s) < 12
}

// mixed reports whether a word has letters of both cases and digits, as random ones do.
func mixed(s string) bool {
	var lower, upper, digit bool
	for i := range len(s) {
		c := s[i]
		lower = lower || 'a' <= c && c <= 'z'
		upper = upper || 'A' <= c && c <= 'Z'
		digit = digit || '0' <= c && c <= '9'
	}
	return lower && upper && digit
}

// A view is a text to look at, with its secrets found once.
type view struct {
	text  string
	spans []span
	found bool
}

func (v *view) secretSpans() []span {
	if !v.found {
		v.spans, v.found = spans(v.text, 0), true
	}
	return v.spans
}

// secrets returns those that are long enough to be known again elsewhere.
func (v *view) secrets() (list []string) {
	for _, s := range v.secretSpans() {
		if t := v.text[s.start:s.end]; !s.key && len(t) >= 5 {
			list = append(list, t)
		}
	}
	return list
}

// masked returns a part of the text, secrets masked also where they reach into it.
func (v *view) masked(start, end int) string {
	var b strings.Builder
	at := start
	for _, s := range v.secretSpans() {
		if s.end <= start || s.start >= end {
			continue
		}
		if s.start > at {
			b.WriteString(v.text[at:s.start])
		}
		if s.key {
			b.WriteString(v.text[s.start:s.start+4] + "…" + v.text[s.end-4:s.end])
		} else {
			b.WriteString(masked)
		}
		at = s.end
	}
	if at < end {
		b.WriteString(v.text[at:end])
	}
	return b.String()
}
