package command

import (
	"regexp"
	"slices"
	"strings"
)

// A sign is one row of the list in signs.go.
type sign struct {
	family Family
	what   string
	// needs are words, split by blanks, of which a text must have one for pattern to be
	// tried: it makes reading fast. Lower case.
	needs string
	// pattern finds the sign: its first group, or all of it. Blanks and line ends in
	// it stand for themselves; letters for both cases unless it says otherwise.
	pattern string
	// unless, found in the simple command that the sign stands in, makes it none.
	unless string
	// check looks at what a pattern cannot say; nil: nothing.
	check func(text string, start, end int) (ok bool, bucket string)
	// copies says that check tells a bucket.
	copies bool
}

type indicator struct {
	family Family
	what   string
	needs  []string
	re     *regexp.Regexp
	unless *regexp.Regexp
	check  func(text string, start, end int) (bool, string)
	copies bool
}

func compile(list []sign) []*indicator {
	out := make([]*indicator, len(list))
	for i := range list {
		s := &list[i]
		out[i] = &indicator{family: s.family, what: s.what, needs: strings.Fields(s.needs), check: s.check, copies: s.copies}
		out[i].re = regexp.MustCompile(`(?im)` + s.pattern)
		if s.unless != "" {
			out[i].unless = regexp.MustCompile(`(?im)` + s.unless)
		}
	}
	return out
}

// may reports whether a text, in lower case, can have the sign.
func (ind *indicator) may(lower string) bool {
	for _, n := range ind.needs {
		if strings.Contains(lower, n) {
			return true
		}
	}
	return len(ind.needs) == 0
}

// maxTries bounds how many places of a text are looked at for one sign.
const maxTries = 200

// A place in a text that shows a sign.
type place struct {
	start, end int
	bucket     string
}

// find returns the shortest place of a text that shows the sign, of those that count;
// of copies to S3, that for each bucket.
func (ind *indicator) find(text string) (list []place) {
	for at, n := 0, 0; at < len(text) && n < maxTries; n++ {
		s, e, ok := ind.at(text, at)
		if !ok {
			break
		}
		at = max(e, s+1)
		good, bucket := ind.counts(text, s, e)
		if !good {
			continue
		}
		p := ind.shorten(text, place{s, e, bucket})
		i := slices.IndexFunc(list, func(x place) bool { return x.bucket == p.bucket })
		switch {
		case i < 0:
			list = append(list, p)
		case p.end-p.start < list[i].end-list[i].start:
			list[i] = p
		}
	}
	for i := range list {
		for p := &list[i]; p.end > p.start && strings.IndexByte(" \t\r\n;)\"'", text[p.end-1]) >= 0; {
			p.end--
		}
	}
	return list
}

// shorten returns the match that begins last and ends at the same place: it shows the
// same.
func (ind *indicator) shorten(text string, p place) place {
	for range 20 {
		s, e, ok := ind.at(text[:p.end], p.start+1)
		if !ok {
			break
		}
		good, bucket := ind.counts(text, s, e)
		if !good || bucket != p.bucket {
			break
		}
		p = place{s, e, bucket}
	}
	return p
}

// at returns the first match from a place on, or from the next end of a word.
func (ind *indicator) at(text string, from int) (start, end int, ok bool) {
	for from > 0 && from < len(text) && isWord(text[from-1]) && isWord(text[from]) {
		from++
	}
	m := ind.re.FindStringSubmatchIndex(text[from:])
	if m == nil {
		return 0, 0, false
	}
	s, e := m[0], m[1]
	if len(m) > 2 && m[2] >= 0 {
		s, e = m[2], m[3]
	}
	return from + s, from + e, true
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

func (ind *indicator) counts(text string, start, end int) (bool, string) {
	if ind.unless != nil && ind.unless.MatchString(simple(text, start, end)) {
		return false, ""
	}
	if ind.check != nil {
		return ind.check(text, start, end)
	}
	return true, ""
}

// simple returns the simple command that a place stands in: from the last separator
// before it to the first after it.
func simple(text string, start, end int) string {
	const separators = "\n;|&`("
	from := strings.LastIndexAny(text[:start], separators) + 1
	to := len(text)
	if i := strings.IndexAny(text[end:], "\n;|&`)"); i >= 0 {
		to = end + i
	}
	return strings.TrimSpace(text[from:to])
}
