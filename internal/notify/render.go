package notify

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/store"
)

// Bounds of what is rendered, in bytes. Most targets take 2,000 to 4,000; those that
// take less say so in their [service].
const (
	maxTitle     = 150
	maxEscaped   = 210 // of a title
	maxValue     = 200
	maxBrief     = 60
	maxText      = 1800
	digestRules  = 12
	digestWho    = 3
	timeOnAClock = "2006-01-02 15:04:05 UTC"
)

// A rendered message is what a person reads. Its title is one line.
type rendered struct{ title, text string }

// A dialect says how a channel reads text, and so how text of a log, which is hostile,
// is written for it. Words of ours are the same in all of them: plain letters, digits
// and punctuation that none of them acts on.
type dialect uint8

const (
	// plainText: nothing in it is acted upon, but clients make links of what looks
	// like an address, and some services alert whoever is mentioned.
	plainText dialect = iota
	// codeSpans: Markdown with code spans, in which nothing is acted upon.
	codeSpans
	// slackText: code spans, and <, > and & as entities.
	slackText
	// escaped: Markdown of which it is not known whether it has code spans.
	escaped
)

// value writes a text from outside.
func (d dialect) value(s string) string { return d.upTo(s, maxValue) }

// brief is value where several stand in a line.
func (d dialect) brief(s string) string { return d.upTo(s, maxBrief) }

func (d dialect) upTo(s string, n int) string {
	s = clip(report.Safe(s), n)
	if s == "" {
		return ""
	}
	switch d {
	case codeSpans:
		return "`" + strings.ReplaceAll(s, "`", "'") + "`"
	case slackText:
		s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'").Replace(s)
		return "`" + s + "`"
	case plainText, escaped:
	}
	return d.escape(s)
}

// title writes a text from outside where code spans are not to be had, and where
// Discord and Pushover take 250 characters in all.
func (d dialect) title(s string) string {
	s = report.Safe(s)
	for n := maxTitle; ; n /= 2 { // what is escaped grows
		if out := d.escape(clip(s, n)); len(out) <= maxEscaped || n == 0 {
			return out
		}
	}
}

func (d dialect) escape(s string) string {
	s = defuse(s)
	switch d {
	case slackText:
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	case codeSpans:
		return escapeMarkdown(s, false)
	case escaped:
		return escapeMarkdown(s, true)
	case plainText:
	}
	return strings.ReplaceAll(s, "<at", "‹at") // Lark's mentions are tags
}

// defuse makes addresses no links and mentions no mentions. What looks like an e-mail
// address is left as it is.
func defuse(s string) string {
	s = strings.ReplaceAll(s, "://", "[:]//")
	if !strings.Contains(s, "@") {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		if s[i] == '@' && (i == 0 || !alphanumeric(s[i-1]) || mentionsAll(s[i+1:])) {
			b.WriteString(" ")
		}
	}
	return b.String()
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// mentionsAll reports whether s begins with a word that alerts a whole channel.
func mentionsAll(s string) bool {
	for _, word := range []string{"everyone", "here", "channel", "all", "room"} {
		if len(s) >= len(word) && strings.EqualFold(s[:len(word)], word) {
			return true
		}
	}
	return false
}

// escapeMarkdown takes the meaning of every character that has one in some Markdown.
// With entities, those of HTML are spelt so that a reader that knows HTML shows them.
func escapeMarkdown(s string, entities bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case entities && c == '<':
			b.WriteString("&lt;")
		case entities && c == '>':
			b.WriteString("&gt;")
		case entities && c == '&':
			b.WriteString("&amp;")
		case strings.IndexByte("\\`*_{}[]()#!|~<>&", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// clip shortens a text to at most n bytes of whole characters.
func clip(s string, n int) string {
	const mark = "…"
	if len(s) <= n {
		return s
	}
	n = max(0, n-len(mark))
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}

// render writes a message for a channel of that dialect, its text in at most limit bytes.
func render(m *store.Message, d dialect, limit int) rendered {
	var out rendered
	switch {
	case m.Digest != nil:
		out = renderDigest(m.Digest, d, limit)
	case m.Alert != nil:
		out = renderAlert(m.Kind, m.Alert, d, limit)
	case m.Notice != nil:
		out = renderNotice(m.Kind, m.Notice, d, limit)
	}
	if m.Kind == store.MessageTest {
		out.title = "[test] " + out.title
	}
	return out
}

// A page is lines of text, each with a label, and what to do next, which is never cut.
type page struct {
	strings.Builder

	d    dialect
	next []string
}

// line adds a line, unless what it says is empty.
func (p *page) line(label, text string) {
	if text != "" {
		p.WriteString(label + ": " + text + "\n")
	}
}

func (p *page) hostile(label, text string) { p.line(label, p.d.value(text)) }

// then says what to do: a command of ours, and a link that the configuration gave.
func (p *page) then(command, link string) {
	if command != "" {
		p.next = append(p.next, "Next: "+clip(report.Safe(command), maxValue))
	}
	if link != "" && len(link) <= maxValue { // half a link leads nowhere
		p.next = append(p.next, "Link: "+report.Safe(link))
	}
}

// text returns everything in at most limit bytes. What is too much is left out by the
// line: half a line could be half a code span, and what is in it come to life.
func (p *page) text(limit int) string {
	const more = "…\n"
	end := strings.Join(p.next, "\n")
	room := limit - len(end) - len(more)
	var b strings.Builder
	for line := range strings.Lines(p.String()) {
		if b.Len()+len(line) > room {
			b.WriteString(more)
			break
		}
		b.WriteString(line)
	}
	b.WriteString(end)
	return strings.TrimSuffix(b.String(), "\n")
}

func renderAlert(kind store.MessageKind, a *store.Snapshot, d dialect, limit int) rendered {
	title := map[store.MessageKind]string{
		store.MessageGrown: "Grown: ", store.MessageReopened: "Reopened: ", store.MessageWithdrawn: "Withdrawn: ",
	}[kind] + "[" + severityWord(a.Severity) + "] " + d.title(a.Rule)
	p := page{d: d}
	if kind == store.MessageWithdrawn {
		p.WriteString("Records that came later show that this is no alert. Nothing is left to do about it.\n")
	}
	p.hostile("Who", a.Who)
	p.hostile("What", a.What)
	p.hostile("Where", a.Where)
	p.line("When", when(a.Time, a.Last))
	if a.Count > 1 {
		p.line("Events", strconv.FormatInt(a.Count, 10))
	}
	p.line("Risk", strconv.FormatFloat(a.RiskScore, 'f', -1, 64))
	if a.Verdict != "" {
		p.line("Investigated", fmt.Sprintf("%s, score %d of 100, confidence %.2f", d.value(strings.ReplaceAll(a.Verdict, "_", " ")), a.Score, a.Confidence))
	}
	p.hostile("Rule id", a.RuleID)
	if a.Cold {
		p.line("Cold baseline", "little of the history is known, so it may not be the first time")
	}
	p.then("debut alerts show "+short(a.Handle), a.Link)
	return rendered{title, p.text(limit)}
}

func severityWord(s string) string {
	if alert.SeverityRank(s) < 0 {
		return "no severity"
	}
	return s
}

func when(first, last time.Time) string {
	if first.IsZero() {
		return ""
	}
	text := first.UTC().Format(timeOnAClock)
	if last.Sub(first) >= time.Second {
		text += " to " + last.UTC().Format(timeOnAClock)
	}
	return text
}

func renderNotice(kind store.MessageKind, n *store.Notice, d dialect, limit int) rendered {
	label := map[store.MessageKind]string{
		store.MessageCapped: "More alerts than told", store.MessageCoverage: "Records missing", store.MessageHealth: "Debut",
	}[kind]
	title := d.title(n.Title)
	if label != "" {
		title = label + ": " + title
	}
	p := page{d: d}
	p.hostile("Rule", n.Rule)
	for _, l := range n.Lines {
		p.WriteString(d.value(l) + "\n")
	}
	p.then(n.Hint, n.Link)
	return rendered{title, p.text(limit)}
}

// renderDigest tells of many messages: by rule, the gravest first, and under it by who.
func renderDigest(g *store.Digest, d dialect, limit int) rendered {
	alerts := int64(0)
	for _, r := range g.Rules {
		alerts += r.Count
	}
	alerts += g.MoreRules
	rules := counted(int64(len(g.Rules)), "rule", "rules")
	if g.MoreRules > 0 {
		rules = "more than " + rules
	}
	title := fmt.Sprintf("%s in %s", counted(g.Count, "more message", "more messages"), span(g.Last.Sub(g.First)))
	if alerts > 0 {
		title = fmt.Sprintf("%s of %s in %s", counted(alerts, "more alert message", "more alert messages"), rules, span(g.Last.Sub(g.First)))
	}
	p := page{d: d}
	p.WriteString(when(g.First, g.Last) + ": " + kinds(g) + "\n")
	weighed := g.ByWeight()
	for i, r := range weighed {
		if i == digestRules {
			p.WriteString("and " + counted(sum(weighed[i:])+g.MoreRules, "message", "messages") + " of other rules\n")
			break
		}
		p.WriteString(strconv.FormatInt(r.Count, 10) + " × [" + severityWord(r.Severity) + "] " + d.brief(r.Rule) + principals(&r, d) + "\n")
	}
	if len(weighed) <= digestRules && g.MoreRules > 0 {
		p.WriteString("and " + counted(g.MoreRules, "message", "messages") + " of other rules\n")
	}
	for _, n := range g.Notices {
		p.WriteString("also: " + d.value(n) + "\n")
	}
	// What was queued together was made together.
	p.then("debut alerts list --from "+g.First.UTC().Format("2006-01-02T15:04:05Z"), "")
	return rendered{title, p.text(limit)}
}

func sum(rules []store.DigestRule) (n int64) {
	for _, r := range rules {
		n += r.Count
	}
	return n
}

func principals(r *store.DigestRule, d dialect) string {
	var parts []string
	more := r.More
	for i, p := range r.Principals {
		if i >= digestWho {
			more += p.Count
			continue
		}
		who := d.brief(p.Who)
		if who == "" {
			who = "nobody named"
		}
		if p.Count > 1 {
			who += " " + strconv.FormatInt(p.Count, 10) + " ×"
		}
		parts = append(parts, who)
	}
	if more > 0 {
		parts = append(parts, "and "+strconv.FormatInt(more, 10)+" of others")
	}
	return ": " + strings.Join(parts, ", ")
}

func kinds(g *store.Digest) string {
	parts := make([]string, 0, len(g.Kinds))
	for _, k := range g.KindCounts() {
		parts = append(parts, strconv.FormatInt(g.Kinds[k], 10)+" "+string(k))
	}
	return strings.Join(parts, ", ")
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

// span writes a duration as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < 2*time.Hour:
		return counted(int64((d+time.Minute-1)/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return counted(int64((d+time.Hour-1)/time.Hour), "hour", "hours")
	}
	return counted(int64((d+24*time.Hour-1)/(24*time.Hour)), "day", "days")
}
