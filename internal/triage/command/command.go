package command

import (
	"slices"
	"strings"
	"sync"
)

// Bounds of what is read of one command.
const (
	MaxText   = 64 << 10  // bytes of a text, and of each layer within it
	MaxLayers = 32        // texts within the text
	MaxDepth  = 5         // of a layer
	maxTotal  = 256 << 10 // bytes of all layers together

	maxMatches = 200
)

// A Family is a kind of behaviour.
type Family string

// Families. EncryptionLoop is encryption that goes through paths, Registration the
// agent of Systems Manager registered anew.
const (
	ReverseShell   Family = "reverse-shell"
	Encryption     Family = "encryption"
	EncryptionLoop Family = "encryption-loop"
	Transfer       Family = "transfer"
	FetchRun       Family = "fetch-run"
	Credentials    Family = "credentials"
	Persistence    Family = "persistence"
	Registration   Family = "re-registration"
	Evasion        Family = "evasion"
	Mining         Family = "mining"
	Recon          Family = "recon"
)

// Families returns all families, the worst first.
func Families() []Family {
	return []Family{
		ReverseShell, EncryptionLoop, Mining, Registration, Credentials, Transfer, FetchRun, Persistence, Evasion, Encryption, Recon,
	}
}

// A Match is one sign of a family.
type Match struct {
	Family Family
	What   string // the sign in words, such as "an interactive shell with its output sent elsewhere"
	// Excerpt is the shortest part of the text that shows it, on one line, secrets
	// masked, at most 160 bytes. It is hostile text.
	Excerpt string
	// Hidden says what had to be undone, such as "base64, base64"; empty: as written.
	Hidden string
	// Bucket is where a copy to S3 goes, if it is that; "?" if the text does not tell.
	Bucket string
}

// An Analysis is what a text was read to do.
type Analysis struct {
	// Matches has one match of each sign (of copies to S3, one for each bucket), by
	// family, the worst first.
	Matches []Match
	// Layers are the texts that were hidden in the text, masked, outermost first.
	Layers []Layer
	// Cut says that a bound was met: there may be more than was read.
	Cut bool
}

// A Layer is a text that was hidden in another.
type Layer struct {
	How  string // what was undone, from the outside, such as "base64"
	Text string // masked; hostile
}

// Has returns the matches of a family.
func (a *Analysis) Has(f Family) (list []Match) {
	for _, m := range a.Matches {
		if m.Family == f {
			list = append(list, m)
		}
	}
	return list
}

// Analyse reads a text. It is a pure function, safe for concurrent use, and takes time
// in proportion to the length of the text, within bounds.
func Analyse(text string) Analysis {
	var a Analysis
	layers, cut := undo(text)
	a.Cut = cut
	var secrets []string
	for _, l := range layers {
		for _, v := range l.views {
			secrets = append(secrets, v.secrets()...)
		}
	}
	secrets = compact(secrets)
	type key struct {
		sign   int
		bucket string
	}
	seen := map[key]bool{}
	for _, l := range layers {
		for i, v := range l.views {
			lower := strings.ToLower(v.text)
			for n, ind := range table() {
				// Where a copy goes is best seen with variables in their places.
				if seen[key{sign: n}] || !ind.may(lower) || ind.copies && i < len(l.views)-1 {
					continue
				}
				for _, p := range ind.find(v.text) {
					k := key{n, p.bucket}
					if seen[k] || len(a.Matches) >= maxMatches {
						continue
					}
					seen[k] = true
					a.Matches = append(a.Matches, Match{
						Family: ind.family, What: ind.what, Excerpt: v.excerpt(p.start, p.end, secrets), Hidden: l.how, Bucket: p.bucket,
					})
				}
			}
		}
		if l.depth > 0 {
			a.Layers = append(a.Layers, Layer{How: l.how, Text: hide(Mask(l.views[0].text), secrets)})
		}
	}
	order := Families()
	slices.SortStableFunc(a.Matches, func(x, y Match) int { return slices.Index(order, x.Family) - slices.Index(order, y.Family) })
	return a
}

// table is the list of signs, compiled once.
//
//nolint:gochecknoglobals // read-only, and too slow to be made for every text
var table = sync.OnceValue(func() []*indicator { return compile(signs()) })

const maxExcerpt = 160

// excerpt is a part of a view on one line, its secrets masked, shortened in the middle.
func (v *view) excerpt(start, end int, secrets []string) string {
	text := strings.Join(strings.Fields(hide(v.masked(start, end), secrets)), " ")
	if len(text) <= maxExcerpt {
		return text
	}
	head, tail := text[:maxExcerpt*2/3], text[len(text)-maxExcerpt/3+len(" … "):]
	return strings.ToValidUTF8(head, "") + " … " + strings.ToValidUTF8(tail, "")
}

func compact(list []string) []string {
	// The longest first: a secret may be a part of another.
	slices.SortFunc(list, func(a, b string) int {
		if d := len(b) - len(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(list)
}

// hide masks known secrets wherever they stand.
func hide(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, masked)
	}
	return text
}
