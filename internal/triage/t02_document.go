package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// document is T2: what does the document do, and whose is it?
func document() *Step {
	return &Step{
		ID: "T2", Weight: 2,
		Question: "What does the document do, whose is it, and is it new?",
		Applies: func(c *Case) string {
			if c.SendCommand() || c.documentNamed(c.Event) != nil {
				return ""
			}
			return "the alert is not about something that runs a document of Systems Manager"
		},
		Run: runDocument,
	}
}

func runDocument(c *Case, a *Asking) {
	d := c.documentNamed(c.Event)
	if d == nil {
		a.Unknown("which document the call named: the record of it has no parameters", "")
		return
	}
	this := []*Event{c.Event}
	changes := a.documentChanges(c, d)
	if d.Owner == "Amazon" && !d.Asked && slices.ContainsFunc(changes, func(e *Event) bool { return e.Action == "CreateDocument" }) {
		d.Owner, d.Class = c.Event.Owner, docImitate
	}
	a.Say(this, "%s", c.documentSentence(d))
	a.findClass(c, d)
	if !d.AWSOwned() {
		a.findChanges(c, d, changes)
	}
	a.sayUse(c, d)
	a.findVersion(c, d, changes)
	a.findPublic(c, d, changes)
	if c.Live != nil && !c.Live.Document.OK {
		a.Unknown("what AWS says of the document", remedyOf(c.Live.Document.Looks))
	} else if c.Live == nil && !d.AWSOwned() {
		a.Unknown("what the document "+shown(d.Short)+" does and who owns it, as AWS has it", "Ask AWS for the document: debut triage --live.")
	}
}

// documentSentence says what a document is, and how that is known.
func (c *Case) documentSentence(d *ssmDocument) string {
	what := map[string]string{
		docFixed:   "is AWS's own and has one fixed purpose",
		docCode:    "is AWS's own and runs any code that it is given",
		docFetch:   "is AWS's own and runs code that it fetches, or documents that it is given",
		docAWS:     "is AWS's own; it is on no list of those with a fixed purpose",
		docCustom:  "is a custom document of this account",
		docShared:  "belongs to another account",
		docImitate: "has a name like AWS's own, but is not",
	}[d.Class]
	owner := "account " + d.Owner
	switch {
	case d.Owner == "Amazon" && d.Asked:
		owner = "Amazon, as AWS says"
	case d.Owner == "Amazon":
		owner = "Amazon, as its reserved name says"
	case d.Asked:
		owner += ", as AWS says"
	case !d.ARN:
		owner += ", as a plain name says"
	}
	return fmt.Sprintf("The document %s %s; owner: %s.", shown(d.Short), what, owner)
}

func (a *Asking) findClass(c *Case, d *ssmDocument) {
	this, name := []*Event{c.Event}, shown(d.Short)
	switch d.Class {
	case docFixed:
		if pkg := foreignPackage(c.parametersSent(c.Event).Values["name"], c); pkg != "" {
			a.Say(this, "Here it installs a package of another account, %s.", shown(pkg))
			a.Find("fetches-code", this, "%s installs a package of another account", name)
			return
		}
		if d.Short == packageDocument && !awsPackage(c.parametersSent(c.Event).Values) {
			a.Say(this, "It installs or removes a package; that the package is AWS's own is not known.")
			a.Unknown("which package is installed or removed", "Ask AWS for the command's parameters: debut triage --live (within 30 days).")
			return
		}
		a.Find("fixed-purpose", this, "%s has one fixed purpose", name)
	case docCode:
		a.Find("arbitrary-code", this, "%s runs any code", name)
	case docFetch:
		a.Find("fetches-code", this, "%s fetches what it runs", name)
		a.findSource(c)
	case docImitate:
		a.Find("imitates", this, "%s is named like a document of AWS but belongs to %s", name, d.Owner)
	}
	if (d.Class == docShared || d.Class == docImitate) && d.Owner != c.Event.Owner {
		if c.Ours(d.Owner) {
			a.Find("shared", this, "%s is shared by account %s", name, shown(d.Owner))
		} else {
			a.Find("foreign", this, "%s is shared by account %s, which is not the organisation's", name, shown(d.Owner))
		}
	}
}

// packageDocument installs and removes packages of Distributor, also those that a
// customer made.
const packageDocument = "AWS-ConfigureAWSPackage"

// awsPackage reports whether a package of AWS is installed. A customer's has no name
// that is reserved.
func awsPackage(sent map[string][]string) bool {
	name := firstOf(sent["name"])
	return firstOf(sent["action"]) == "Install" && !strings.Contains(name, ":") && oneOf(knownDocuments().Reserved, strings.ToLower(name))
}

// foreignPackage returns a package of Distributor that belongs to an account outside the
// organisation.
func foreignPackage(names []string, c *Case) string {
	for _, n := range names {
		if parts := strings.SplitN(n, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[4] != "" && !c.Ours(parts[4]) {
			return n
		}
	}
	return ""
}

// findSource looks at where code is fetched from.
func (a *Asking) findSource(c *Case) {
	p := c.parametersSent(c.Event)
	if p.Values == nil {
		a.Unknown("where the code is fetched from: the log hides the parameters", "Ask AWS for the command's parameters: debut triage --live (within 30 days).")
		return
	}
	this := []*Event{c.Event}
	kind, source := strings.ToLower(firstOf(p.Values["sourceType"])), strings.Join(append(slices.Clone(p.Values["sourceInfo"]), p.Values["source"]...), " ")
	switch {
	case source == "":
		return
	case kind == "s3" || strings.Contains(source, "amazonaws.com/"):
		bucket := bucketIn(source)
		ours, known := a.ourBucket(c, bucket)
		switch {
		case bucket == "" || !known:
			a.Unknown("whose the bucket is that the code comes from ("+shown(cmp.Or(bucket, "not named"))+")", "List the organisation's buckets under triage.buckets in the configuration.")
		case !ours:
			a.Find("public-source", this, "the code comes from the bucket %s, which is not the organisation's", shown(bucket))
		}
	case kind == "ssmdocument":
		if pkg := foreignPackage(arnsIn(source), c); pkg != "" {
			a.Find("public-source", this, "it runs a document of another account, %s", shown(pkg))
		}
	case kind == "github" && strings.Contains(source, "tokenInfo"), kind == "git" && strings.Contains(source, "privateSSHKey"):
		a.Say(this, "The code comes from a private repository.")
	case strings.Contains(source, "://") || kind == "github" || kind == "git" || kind == "http":
		a.Find("public-source", this, "the code comes from a public place: %s", shown(maskText(source)))
	}
}

func arnsIn(s string) (list []string) {
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(`"', {}`, r) }) {
		if strings.HasPrefix(w, "arn:") {
			list = append(list, w)
		}
	}
	return list
}

// bucketIn returns the bucket of a URL of S3, of either style.
func bucketIn(s string) string {
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		return ""
	}
	rest = strings.FieldsFunc(rest+" ", func(r rune) bool { return strings.ContainsRune(`"' ,}\`, r) })[0]
	host, key, _ := strings.Cut(rest, "/")
	if strings.HasPrefix(host, "s3.") || strings.HasPrefix(host, "s3-") {
		bucket, _, _ := strings.Cut(key, "/")
		return bucket
	}
	for _, mark := range []string{".s3.", ".s3-"} {
		if bucket, _, ok := strings.Cut(host, mark); ok {
			return bucket
		}
	}
	return ""
}

const maxDocumentEvents = 500

// documentChanges returns what was done to the document in the account before the event.
func (a *Asking) documentChanges(c *Case, d *ssmDocument) []*Event {
	const request, ssm = "aws.cloudtrail.flattened.request_parameters.", "ssm.amazonaws.com/"
	from := c.since(c.Baseline.Org.Actions, ssm+"CreateDocument", ssm+"UpdateDocument", ssm+"UpdateDocumentDefaultVersion", ssm+"ModifyDocumentPermission", ssm+"DeleteDocument")
	a.Uses(c.Baseline.Query)
	list := a.Events(all(is("event.provider", "ssm.amazonaws.com"),
		is("event.action", "CreateDocument", "UpdateDocument", "UpdateDocumentDefaultVersion", "ModifyDocumentPermission", "DeleteDocument"),
		c.there(), is(request+"name", d.Short, d.Name)), Span{from, c.Event.Time.Add(time.Nanosecond)}, maxDocumentEvents)
	return keep(list, func(e *Event) bool {
		return e.Error == "" && e.Owner == c.Event.Owner && e.Region == c.Event.Region && compareEvents(e, c.Event) < 0
	})
}

// findChanges tells whether a custom document is new, and by whom.
func (a *Asking) findChanges(c *Case, d *ssmDocument, changes []*Event) {
	var own, recent, made []*Event
	for _, e := range changes {
		if e.Action != "CreateDocument" && e.Action != "UpdateDocument" && e.Action != "UpdateDocumentDefaultVersion" {
			continue
		}
		made = append(made, e)
		tie := c.Tie(e)
		switch {
		case !e.Time.Before(c.Window.From) && (tie == TieSession || tie == TieKey || tie == TiePrincipal):
			own = append(own, e)
		case c.Event.Time.Sub(e.Time) < c.Weights.Duration("document_new"):
			recent = append(recent, e)
		}
	}
	name := shown(d.Short)
	if len(made) > 0 {
		last := made[len(made)-1]
		a.Say([]*Event{last}, "It was %s %s before, %s.", changed(last), lasting(c.Event.Time.Sub(last.Time)), c.byWhom(last))
	} else if d.Class == docCustom {
		a.Say([]*Event{c.Event}, "No change of it is in the stored events since %s.", stamp(c.Base.From))
	}
	if l := c.liveDocument(d); l != nil && !l.Created.IsZero() {
		age := c.Event.Time.Sub(l.Created)
		a.Say([]*Event{c.Event}, "AWS says that it was created %s.", stamp(l.Created))
		if age >= 0 && age < c.Weights.Duration("document_new") && len(recent) == 0 {
			recent = []*Event{c.Event}
		}
	}
	switch {
	case len(own) > 0:
		a.Find("custom-own", own, "%s was %s by the same %s %s before", name, changed(own[len(own)-1]), c.Tie(own[len(own)-1]), lasting(c.Event.Time.Sub(own[len(own)-1].Time)))
	case len(recent) > 0:
		a.Find("custom-new", recent, "%s was created or changed within a day before", name)
	}
}

// byWhom says who did something, and how he is tied to the alert.
func (c *Case) byWhom(e *Event) string {
	if c.Tie(e) == TieAddress {
		return "by " + shown(shortPrincipal(e.Principal)) + " from the same address"
	}
	return c.Tied(e)
}

func changed(e *Event) string {
	switch e.Action {
	case "CreateDocument":
		return "created"
	case "UpdateDocumentDefaultVersion":
		return "given another default version"
	}
	return "changed"
}

const maxUses = 5000

// usesOf returns the commands with a document, those of the case window too. Of very many
// only the latest are read: since says since when, in words.
func (a *Asking) usesOf(d *ssmDocument) (list []*Event, since string) {
	const command = "ssm.amazonaws.com/SendCommand"
	c := a.c
	from := a.recent("commands", c.Window.To, command)
	if from.After(c.since(c.Baseline.Org.Actions, command)) {
		since = " since " + stamp(from)
	}
	return a.Events(all(is("event.provider", "ssm.amazonaws.com"), is("event.action", "SendCommand"),
		is("aws.cloudtrail.flattened.request_parameters.documentName", d.Name, d.Short)), Span{from, c.Window.To}, maxUses), since
}

// sayUse says who used the document before.
func (a *Asking) sayUse(c *Case, d *ssmDocument) {
	if !c.SendCommand() {
		return
	}
	list, since := a.usesOf(d)
	uses := keep(list, func(e *Event) bool { return e.Error == "" && e.Time.Before(c.Base.To) })
	own, who := 0, []string{}
	for _, e := range uses {
		if e.Principal == c.Event.Principal {
			own++
		}
		who = append(who, e.Principal)
	}
	switch {
	case len(uses) == 0 && c.Cold:
		a.Say([]*Event{c.Event}, "Its use is not seen in the stored history before the case window.")
	case len(uses) == 0 && since != "":
		a.Say([]*Event{c.Event}, "Nobody is seen to have used it%s before the case window.", since)
	case len(uses) == 0:
		a.Say([]*Event{c.Event}, "Nobody used it in the %s before the case window.", c.baseDays())
	default:
		a.Say([]*Event{uses[len(uses)-1]}, "It was used %s%s by %s before the case window, last %s; %s by this principal.",
			times(len(uses)), since, amount(len(unique(who)), "principal"), stamp(uses[len(uses)-1].Time), times(own))
	}
}

// findVersion tells whether another version than the default was asked for.
func (a *Asking) findVersion(c *Case, d *ssmDocument, changes []*Event) {
	v := d.Version
	if v == "" || v == "$DEFAULT" {
		return
	}
	this := []*Event{c.Event}
	if l := c.liveDocument(d); l != nil && l.DefaultVersion != "" {
		if v != l.DefaultVersion && (v != "$LATEST" || l.LatestVersion != l.DefaultVersion) {
			a.Find("pinned", this, "version %s was asked for; the default is %s", shown(v), shown(l.DefaultVersion))
		}
		return
	}
	// A version that was made and not made the default.
	var made *Event
	for _, e := range changes {
		switch {
		case e.Action == "UpdateDocument" && (v == "$LATEST" || v == firstOf(e.Response("documentDescription.documentVersion"))):
			made = e
		case e.Action == "UpdateDocumentDefaultVersion":
			made = nil
		}
	}
	if made != nil {
		a.Find("pinned", []*Event{c.Event, made}, "version %s was asked for, which is not the default since the change at %s", shown(v), stamp(made.Time))
		return
	}
	a.Say(this, "Version %s was asked for.", shown(v))
	a.Unknown("whether version "+shown(v)+" is the document's default", "Ask AWS for the document's versions: debut triage --live.")
}

// findPublic tells whether everybody may read the document.
func (a *Asking) findPublic(c *Case, d *ssmDocument, changes []*Event) {
	if d.AWSOwned() {
		return
	}
	if l := c.liveDocument(d); l != nil {
		if slices.ContainsFunc(l.SharedWith, func(s string) bool { return strings.EqualFold(s, "all") }) {
			a.Find("public", []*Event{c.Event}, "everybody may read %s, as AWS says", shown(d.Short))
		}
		return
	}
	var public *Event
	for _, e := range changes {
		if e.Action != "ModifyDocumentPermission" {
			continue
		}
		if slices.Contains(e.Request("accountIdsToAdd"), "all") {
			public = e
		} else if slices.Contains(e.Request("accountIdsToRemove"), "all") {
			public = nil
		}
	}
	if public != nil {
		a.Find("public", []*Event{public}, "%s was shared with everybody at %s", shown(d.Short), stamp(public.Time))
	}
}

// remedyOf says what would make AWS answer.
func remedyOf(looks []Look) string {
	for _, l := range looks {
		if l.Error == "" {
			continue
		}
		if l.Policy != "" {
			return fmt.Sprintf("%s failed: %s. This statement allows it: %s", l.Call, shown(l.Error), l.Policy)
		}
		return fmt.Sprintf("%s failed: %s.", l.Call, shown(l.Error))
	}
	return "Ask AWS again: debut triage --live."
}
