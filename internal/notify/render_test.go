package notify

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/store"
)

const hostile = "@everyone <!channel> <@U123> <at user_id=\"all\"> [click](http://evil.example/x) *b* `c` _i_\r\n\x1b[31m\u202ehidden\u200b alice@corp.example && a\\b"

func examples() []*store.Message {
	full := snapshot("3f2a91c0ffee3f2a91c0ffee")
	full.Last, full.Count, full.Cold, full.Link = full.Time.Add(90*time.Minute), 12, true, "https://debut.example.com/alerts/3f2a91"
	evil := snapshot("bad0bad0bad0")
	evil.Rule, evil.Who, evil.What, evil.Where, evil.Severity = hostile, hostile, hostile, hostile, "critical"
	withdrawn := snapshot("3f2a91c0ffee")
	digest := &store.Digest{
		Count: 4341, First: start, Last: start.Add(7 * time.Minute),
		Kinds: map[store.MessageKind]int64{store.MessageNew: 4320, store.MessageGrown: 20, store.MessageHealth: 1},
		Rules: []store.DigestRule{
			{RuleID: "a", Rule: "SSM command by a new principal", Severity: "low", Count: 4000, More: 900, Principals: []store.DigestPrincipal{
				{Who: "role/deploy (111122223333)", Count: 3000}, {Who: "user/ana (111122223333)", Count: 98}, {Who: "", Count: 1}, {Who: "user/bob", Count: 1},
			}},
			{RuleID: "b", Rule: hostile, Severity: "critical", Count: 1, Principals: []store.DigestPrincipal{{Who: hostile, Count: 1}}},
		},
		MoreRules: 319, Notices: []string{"Disk is nearly full"},
	}
	for i := range 20 {
		digest.Rules = append(digest.Rules, store.DigestRule{RuleID: strconv.Itoa(i), Rule: "Rule " + strconv.Itoa(i), Severity: "medium", Count: 1, Principals: []store.DigestPrincipal{{Who: "user/x", Count: 1}}})
	}
	return []*store.Message{
		{Kind: store.MessageNew, Alert: &full},
		{Kind: store.MessageReopened, Alert: &evil},
		{Kind: store.MessageWithdrawn, Alert: &withdrawn},
		{Kind: store.MessageCapped, Notice: &store.Notice{
			Title: "100 of 2,310 alerts were told", Rule: "SSM command by a new principal", RuleID: "a", Severity: "low",
			Lines: []string{"12:00 to 12:05, 2,210 are stored and were not told", "role/deploy 2,100, user/ana 110"},
			Hint:  "debut alerts list --rule a --withheld",
		}},
		{Kind: store.MessageCoverage, Notice: &store.Notice{Title: "3 objects of 111122223333 eu-west-1 did not arrive", Lines: []string{hostile}, Hint: "debut coverage"}},
		{Kind: store.MessageHealth, Notice: &store.Notice{Title: "The disk is full", Link: "https://debut.example.com/health"}},
		{Kind: store.MessageDigest, Digest: digest},
		testMessage("ops", start),
	}
}

func TestRendering(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]dialect{"plain": plainText, "code": codeSpans, "slack": slackText, "escaped": escaped} {
		var b strings.Builder
		for _, m := range examples() {
			r := render(m, d, maxText)
			b.WriteString("=== " + r.title + "\n" + r.text + "\n\n")
		}
		compareGolden(t, "messages."+name+".golden.txt", b.String())
	}
}

// Whatever a log says, in every dialect: bounded, printable, the next step whole, and
// nothing that the target acts on.
func TestRenderingOfHostileText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{
			"@everyone", "@here", "<!channel>", "<@U1>", "<http://x|y>", "https://evil.example", "](", "[", "`", "```", "\n", "\r", "\x00", "\u202e", "\xff",
			"&", "<at id=all>", "ü", "𝒳", "*", "_", "\\", "Next: debut rm", strings.Repeat("long", 100),
		})
		text := strings.Join(rapid.SliceOf(piece).Draw(t, "text"), rapid.SampledFrom([]string{"", " ", "x"}).Draw(t, "between"))
		d := rapid.SampledFrom([]dialect{plainText, codeSpans, slackText, escaped}).Draw(t, "dialect")
		limit := rapid.SampledFrom([]int{400, 1000, maxText}).Draw(t, "limit")
		a := snapshot("3f2a91c0ffee3f2a91c0ffee")
		a.Who, a.What, a.Where, a.Rule, a.RuleID, a.Severity = text, text, text, text, text, text
		g := store.Digest{Count: 1, First: start, Last: start, Kinds: map[store.MessageKind]int64{"new": 1}, Notices: []string{text, text}, Rules: []store.DigestRule{
			{RuleID: text, Rule: text, Severity: "low", Count: 2, Principals: []store.DigestPrincipal{{Who: text, Count: 1}, {Who: text, Count: 1}}},
		}}
		for _, m := range []*store.Message{
			{Kind: store.MessageNew, Alert: &a},
			{Kind: store.MessageHealth, Notice: &store.Notice{Title: text, Lines: []string{text, text}, Hint: "debut alerts show 3f2a91c0ffee"}},
			{Kind: store.MessageDigest, Digest: &g},
		} {
			r := render(m, d, limit)
			if len(r.text) > limit || len(r.title) > 250 || strings.ContainsAny(r.title, "\r\n\x00\u202e") || strings.ContainsAny(r.text, "\r\x00\u202e") {
				t.Fatalf("%d and %d bytes: %q %q", len(r.title), len(r.text), r.title, r.text)
			}
			if !utf8.ValidString(r.title + r.text) {
				t.Fatalf("not UTF-8: %q %q", r.title, r.text)
			}
			last := r.text[strings.LastIndexByte(r.text, '\n')+1:]
			if !strings.HasPrefix(last, "Next: debut alerts ") {
				t.Fatalf("the next step is cut: %q", last)
			}
			outside := r.title + "\n" + r.text
			if d == codeSpans || d == slackText {
				if strings.Count(r.text, "`")%2 != 0 {
					t.Fatalf("half a code span: %q", r.text)
				}
				outside = r.title
				for i, s := range strings.Split(r.text, "`") {
					if i%2 == 0 {
						outside += s
					}
				}
			}
			for _, bad := range []string{"@everyone", "@here", "https://evil", "<at id"} {
				if strings.Contains(outside, bad) && (bad != "<at id" || d == plainText) {
					t.Fatalf("%q in %q", bad, outside)
				}
			}
			if d == slackText && strings.ContainsAny(r.title+r.text, "<>") {
				t.Fatalf("Slack acts on %q", r.text)
			}
		}
	})
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "less than a minute", time.Minute: "1 minute", 61 * time.Second: "2 minutes", 119 * time.Minute: "119 minutes",
		2 * time.Hour: "2 hours", 47*time.Hour + 1: "48 hours", 72 * time.Hour: "3 days",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q", d, got)
		}
	}
}
