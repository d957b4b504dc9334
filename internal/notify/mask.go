package notify

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/report"
)

// maxAnswer is how much of an error or of a server's answer is shown.
const maxAnswer = 300

// A masker takes the secrets of a channel out of texts that are shown.
type masker struct{ pieces *strings.Replacer }

// minMasked is the shortest part of a URL that counts as a secret; shorter ones would
// take pieces out of ordinary words.
const minMasked = 6

// newMasker knows a URL, in whatever pieces it is taken apart, and other secrets. host
// says that the URL's host is the address of a server, and no secret.
func newMasker(rawURL string, host bool, secrets ...string) masker {
	pieces := slices.Clone(secrets)
	pieces = append(pieces, rawURL)
	if u, err := url.Parse(rawURL); err == nil {
		if u.User != nil {
			password, _ := u.User.Password()
			pieces = append(pieces, u.User.Username(), password, u.User.String())
		}
		if !host {
			pieces = append(pieces, u.Host, u.Hostname())
		}
		pieces = append(pieces, u.Path, u.RawPath, u.RawQuery, u.Fragment, u.Opaque)
		pieces = append(pieces, strings.Split(u.Path, "/")...)
		for _, values := range u.Query() {
			pieces = append(pieces, values...)
		}
	}
	for _, p := range slices.Clone(pieces) { // some services take tokens apart
		if p != rawURL {
			pieces = append(pieces, strings.FieldsFunc(p, func(r rune) bool { return strings.ContainsRune("-/:@,&=?", r) })...)
		}
	}
	for _, p := range slices.Clone(pieces) {
		pieces = append(pieces, url.QueryEscape(p), url.PathEscape(p))
	}
	pieces = slices.DeleteFunc(pieces, func(p string) bool { return len(p) < minMasked })
	slices.SortFunc(pieces, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(pieces))
	for _, p := range slices.Compact(pieces) { // the longest first
		pairs = append(pairs, p, masked)
	}
	return masker{strings.NewReplacer(pairs...)}
}

// address is a URL in an error: what follows its host may be a token.
var address = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"'<>]+`)

// clean returns a text of others for people to read: without secrets, on one line, and
// short.
func (m masker) clean(s string) string {
	s = address.ReplaceAllStringFunc(s, func(a string) string {
		if pub := publicURL(a); pub != "" {
			return pub + "/…"
		}
		return masked
	})
	s = m.pieces.Replace(s)
	return clip(report.Safe(strings.Join(strings.Fields(s), " ")), maxAnswer)
}

// publicURL is scheme and host of a URL.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
