package triage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/triage/command"
)

// content is T5: what does the command do?
func content() *Step {
	return &Step{
		ID: "T5", Weight: 3,
		Question: "What does the text of the command do, and where does its output go?",
		Applies: func(c *Case) string {
			if c.SendCommand() || c.Event.Action != "StartSession" && c.documentNamed(c.Event) != nil {
				return ""
			}
			return "the alert is not about something that runs a command"
		},
		Run: runContent,
	}
}

// A script is a text that a command runs, and where it was read.
type script struct{ text, from string }

func runContent(c *Case, a *Asking) {
	d := c.documentNamed(c.Event)
	p := c.parametersSent(c.Event)
	text := commandText(p.Values)
	switch {
	case text != "":
		from := "the log"
		if p.Live {
			from = "AWS"
		}
		a.Say([]*Event{c.Event}, "The text of the command is known from %s (%s).", from, lengthOf(text))
		if p.Hidden {
			a.Unanswered()
			a.Say([]*Event{c.Event}, "CloudTrail hides a part of it.")
			a.Unknown("what the hidden part of the command does", "Ask AWS for the command's parameters, which it keeps for 30 days: debut triage --live.")
		}
	default:
		a.sayHidden(c, d, p)
	}
	scripts := []script{}
	if text != "" {
		scripts = append(scripts, script{text, "the command"})
	}
	if d != nil && !d.AWSOwned() {
		if l := c.liveDocument(d); l != nil && l.Content != "" {
			scripts = append(scripts, script{l.Content, "the document"})
		}
	}
	switch {
	case text != "" && c.approved(d, p):
		a.sayApproved(c, text)
	case len(scripts) > 0:
		a.findFamilies(c, scripts)
	}
	a.sayOutput(c)
	a.findOutput(c)
}

func lengthOf(text string) string {
	return amount(strings.Count(strings.TrimRight(text, "\n"), "\n")+1, "line")
}

// commandText is what parameters run: the commands first, then the others by name.
func commandText(values map[string][]string) string {
	var parts []string
	for _, name := range []string{"commands", "commandLine"} {
		parts = append(parts, values[name]...)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch name {
		case "commands", "commandLine", "executionTimeout", "workingDirectory":
		default:
			parts = append(parts, values[name]...)
		}
	}
	return strings.Join(parts, "\n")
}

// sayHidden says why the text is not known, and what its document's name lets one guess.
func (a *Asking) sayHidden(c *Case, d *ssmDocument, p sent) {
	a.Unanswered()
	this := []*Event{c.Event}
	why := "The record has no command text."
	if p.Hidden {
		why = "CloudTrail hides the text of the command."
	}
	remedy := "Ask AWS for the command's parameters, which it keeps for 30 days: debut triage --live."
	what := "what the command does: its text is not in the log"
	switch {
	case c.Live == nil && c.AsOf.Sub(c.Event.Time) > 30*24*time.Hour:
		remedy = "AWS kept the command's parameters for 30 days, which are over: ask for its output where it was stored, and look at the host."
	case c.Live == nil:
	case !c.Live.Commands.OK:
		remedy = remedyOf(c.Live.Commands.Looks)
		why += " AWS did not tell it."
	default:
		why += " AWS does not have it any more: it keeps commands for about 30 days."
		remedy = "Look at the output where it was stored, and at what the host recorded."
	}
	if d == nil {
		a.Say(this, "%s", why)
		a.Unknown(what, remedy)
		return
	}
	switch d.Class {
	case docFixed:
		why += " The document " + shown(d.Short) + " has one fixed purpose, so little depends on it."
	case docCode, docFetch:
		why += " The document " + shown(d.Short) + " can run anything."
	case docCustom, docShared, docImitate:
		if w := tellingWord(d.Short); w != "" {
			why += fmt.Sprintf(" The document's name has the word %s in it, which is a weak sign.", w)
			a.Find("telling-name", this, "the document's name says %s", w)
		}
	}
	a.Say(this, "%s", why)
	a.Unknown(what, remedy)
}

// approved reports whether the text is exactly one that the user has approved. It must
// be the text that runs, all of it: a document of somebody's own may do something else.
func (c *Case) approved(d *ssmDocument, p sent) bool {
	if d == nil || d.Class != docCode || p.Hidden {
		return false
	}
	for name, v := range p.Values {
		// Elsewhere, ./deploy.sh is another program.
		if name != "commands" && name != "executionTimeout" && strings.Join(v, "") != "" {
			return false
		}
	}
	hash := command.Hash(strings.Join(p.Values["commands"], "\n"))
	return hash != "" && slices.ContainsFunc(c.Settings.Scripts, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), hash) })
}

func (a *Asking) sayApproved(c *Case, text string) {
	this := []*Event{c.Event}
	a.Say(this, "It is exactly an approved script (SHA-256 %s).", command.Hash(text))
	a.Find("approved", this, "the command is exactly an approved script")
	if got := command.Analyse(text); len(got.Matches) > 0 {
		names := make([]string, len(got.Matches))
		for i, m := range got.Matches {
			names[i] = m.What
		}
		a.Say(this, "What it does is approved, and counts nothing: %s.", strings.Join(unique(names), "; "))
	}
}

// findFamilies reads texts and tells what they do.
func (a *Asking) findFamilies(c *Case, scripts []script) {
	this := []*Event{c.Event}
	found, open, cut := map[command.Family][]string{}, false, false
	for _, s := range scripts {
		got := command.Analyse(s.text)
		cut = cut || got.Cut
		for _, m := range got.Matches {
			if m.Family == command.Transfer && m.Bucket != "" && !a.foreignCopy(c, m, &open) {
				continue
			}
			where := ""
			if m.Hidden != "" {
				where = ", under " + m.Hidden
			}
			if s.from != "the command" {
				where += ", in " + s.from
			}
			found[m.Family] = append(found[m.Family], fmt.Sprintf("%s (%s%s)", m.What, m.Excerpt, where))
		}
	}
	if len(found[command.EncryptionLoop]) > 0 {
		delete(found, command.Encryption)
	}
	if len(found) > 1 {
		delete(found, command.Recon)
	}
	for _, f := range command.Families() {
		list := unique(found[f])
		if len(list) == 0 {
			continue
		}
		a.Say(this, "%s: %s.", familyName(f), strings.Join(atMost(list, 3), "; "))
		a.Find(string(f), this, "%s: %s", strings.ToLower(familyName(f)), list[0])
	}
	if len(found) == 0 && !open {
		a.Say(this, "It shows no family of behaviour that is looked for.")
	}
	if cut {
		a.Caveat("the text is longer, or hidden more deeply, than is read: there may be more in it")
	}
}

func familyName(f command.Family) string {
	switch f {
	case command.ReverseShell:
		return "Reverse shell"
	case command.Encryption:
		return "Encryption"
	case command.EncryptionLoop:
		return "Encryption of many files"
	case command.Transfer:
		return "Data sent away"
	case command.FetchRun:
		return "Code fetched and run"
	case command.Credentials:
		return "Credentials read"
	case command.Persistence:
		return "A way to come back"
	case command.Registration:
		return "Registration with another account"
	case command.Evasion:
		return "Logs or protection switched off"
	case command.Mining:
		return "Mining"
	case command.Recon:
	}
	return "A look around"
}

// foreignCopy reports whether a copy to S3 leaves the organisation; open is set if that
// is not known.
func (a *Asking) foreignCopy(c *Case, m command.Match, open *bool) bool {
	if m.Bucket == "?" {
		a.Say([]*Event{c.Event}, "It copies to S3 (%s).", m.Excerpt)
		*open = true
		a.Unknown("to which bucket the command copies ("+m.Excerpt+")", "Look up the value of the variable on the host.")
		return false
	}
	ours, known := a.ourBucket(c, m.Bucket)
	if !known {
		a.Say([]*Event{c.Event}, "It copies to the bucket %s (%s).", shown(m.Bucket), m.Excerpt)
		*open = true
		a.Unknown("whose the bucket "+shown(m.Bucket)+" is that the command copies to", "List the organisation's buckets under triage.buckets in the configuration.")
	}
	return known && !ours
}

// sayOutput shows what the command wrote, if AWS told it.
func (a *Asking) sayOutput(c *Case) {
	if c.Live == nil {
		return
	}
	if !c.Live.Invocations.OK {
		a.Unknown("what the command wrote", remedyOf(c.Live.Invocations.Looks))
		return
	}
	for _, v := range atMost(c.Live.Invocations.Value, 3) {
		if out := strings.TrimSpace(v.Output + "\n" + v.ErrorOutput); out != "" {
			a.Say([]*Event{c.Event}, "On %s it wrote: %s", shown(v.Instance), shown(maskText(out)))
		}
	}
}

// findOutput looks at where the output goes.
func (a *Asking) findOutput(c *Case) {
	this := []*Event{c.Event}
	buckets := slices.Concat(c.Event.Request("outputS3BucketName"), c.Event.Response("command.outputS3BucketName"), c.Event.Request("outputLocation.s3Location.outputS3BucketName"))
	if c.Live != nil && c.Live.Commands.OK {
		for i := range c.Live.Commands.Value {
			buckets = append(buckets, c.Live.Commands.Value[i].OutputBucket)
		}
	}
	for _, b := range unique(buckets) {
		ours, known := a.ourBucket(c, b)
		switch {
		case !known:
			a.Say(this, "Its output goes to the bucket %s.", shown(b))
			a.Unknown("whose the bucket "+shown(b)+" is that the output goes to", "List the organisation's buckets under triage.buckets in the configuration.")
		case ours:
			a.Say(this, "Its output goes to the bucket %s, which is the organisation's.", shown(b))
		default:
			a.Say(this, "Its output goes to the bucket %s, which is not the organisation's.", shown(b))
			a.Find("foreign-output", this, "output goes to the bucket %s, outside the organisation", shown(b))
		}
	}
	a.findOutputOff(c)
}

// findOutputOff tells whether output is not logged although the principal's commands
// always had it logged.
func (a *Asking) findOutputOff(c *Case) {
	if !c.SendCommand() || c.Event.RequestTree("documentName") == nil || logsOutput(c.Event) {
		return
	}
	const habit = 3
	own, _ := split(a.same(c.Base, 1000))
	if len(own) < habit || !slices.ContainsFunc(own, logsOutput) || slices.ContainsFunc(own, func(e *Event) bool { return !logsOutput(e) }) {
		return
	}
	last := own[len(own)-1]
	a.Say([]*Event{last}, "Its output goes to no log, although all %d commands of the principal before the case window had theirs logged.", len(own))
	a.Find("output-off", []*Event{c.Event, last}, "output is not logged to CloudWatch, as that of %d earlier commands was", len(own))
}

func logsOutput(e *Event) bool {
	return firstOf(e.Request("cloudWatchOutputConfig.cloudWatchOutputEnabled")) == "true"
}
