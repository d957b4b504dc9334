package triage

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/debutsec/debut/internal/triage/command"
)

//go:embed documents.toml
var documentsText []byte

// documentLists is documents.toml.
type documentLists struct {
	Reserved, Fixed, Code, Fetch, Telling []string
}

//nolint:gochecknoglobals // read-only
var knownDocuments = sync.OnceValue(func() (l documentLists) {
	if err := toml.Unmarshal(documentsText, &l); err != nil {
		panic("triage: documents.toml: " + err.Error())
	}
	return l
})

// What a document is, by its owner and purpose.
const (
	docFixed   = "fixed"   // AWS's own, with one purpose
	docCode    = "code"    // AWS's own, runs what it is given
	docFetch   = "fetch"   // AWS's own, runs what it fetches
	docAWS     = "aws"     // AWS's own, on no list
	docCustom  = "custom"  // of the account
	docShared  = "shared"  // of another account
	docImitate = "imitate" // named as AWS's own, of somebody else
)

// An ssmDocument is a document that an event names.
type ssmDocument struct {
	Name    string // as logged: a name or an ARN
	Short   string // without the ARN
	Account string // of an ARN; empty: none, or AWS's
	ARN     bool
	Version string
	Class   string
	Owner   string // "Amazon" or an account id
	// Asked says that the owner is what AWS answered, and not what the name says.
	Asked bool
}

// AWSOwned reports whether the document is AWS's own.
func (d *ssmDocument) AWSOwned() bool {
	return d.Class == docFixed || d.Class == docCode || d.Class == docFetch || d.Class == docAWS
}

// documentNamed returns the document that an event has run, or will have run; nil if it
// names none.
func (c *Case) documentNamed(e *Event) *ssmDocument {
	if e.Service() != "ssm" {
		return nil
	}
	field, version := "documentName", "documentVersion"
	switch e.Action {
	case "SendCommand", "StartAutomationExecution", "StartSession":
	case "CreateAssociation", "UpdateAssociation":
		field = "name"
	case "RegisterTaskWithMaintenanceWindow", "UpdateMaintenanceWindowTask":
		field = "taskArn"
	default:
		return nil
	}
	name := firstOf(e.Request(field))
	if name == "" {
		name = firstOf(e.Response("command.documentName"))
	}
	if name == "" {
		return nil
	}
	d := &ssmDocument{Name: name, Short: name, Version: firstOf(e.Request(version))}
	if parts := strings.SplitN(name, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[2] == "ssm" {
		d.ARN, d.Account, d.Short = true, parts[4], parts[5]
		for _, kind := range []string{"document/", "automation-definition/"} {
			if s, ok := strings.CutPrefix(d.Short, kind); ok {
				d.Short = s
			}
		}
	}
	c.classify(e, d)
	return d
}

// classify says whose a document is and what for: by AWS's answer if there is one, else
// by its name.
func (c *Case) classify(e *Event, d *ssmDocument) {
	lists := knownDocuments()
	vendor := strings.HasPrefix(d.Short, "AWS") || strings.HasPrefix(d.Short, "Amazon") || oneOf(lists.Reserved, strings.ToLower(d.Short)) && strings.Contains(d.Short, "-")
	switch {
	case d.ARN && d.Account != "":
		d.Owner = d.Account
	case oneOf(lists.Reserved, strings.ToLower(d.Short)):
		d.Owner = "Amazon"
	default:
		d.Owner = e.Owner
	}
	if l := c.liveDocument(d); l != nil && l.Owner != "" {
		d.Owner, d.Asked = l.Owner, true
		if l.Owner == "Self" {
			d.Owner = e.Owner
		}
	}
	switch {
	case d.Owner != "Amazon" && vendor:
		d.Class = docImitate
	case d.Owner != "Amazon" && d.Owner != e.Owner:
		d.Class = docShared
	case d.Owner != "Amazon":
		d.Class = docCustom
	case oneOf(lists.Fixed, d.Short):
		d.Class = docFixed
	case oneOf(lists.Code, d.Short):
		d.Class = docCode
	case oneOf(lists.Fetch, d.Short):
		d.Class = docFetch
	default:
		d.Class = docAWS
	}
}

// liveDocument returns what AWS said of a document, nil if it was not asked or did not
// answer. AWS is asked about the alert's own document.
func (c *Case) liveDocument(d *ssmDocument) *LiveDocument {
	if c.Live == nil || !c.Live.Document.OK {
		return nil
	}
	l := &c.Live.Document.Value
	if l.Name != "" && l.Name != d.Name && l.Name != d.Short && !strings.HasSuffix(l.Name, "/"+d.Short) {
		return nil
	}
	return l
}

// sent is what a command was given.
type sent struct {
	// Values are the parameters by name; nil if they are not known.
	Values map[string][]string
	// Live says that AWS told them, and not the log.
	Live bool
	// Hidden says that something else stands in the place of them, or of some.
	Hidden bool
}

// parametersSent returns the parameters of an event that runs a document: from the log,
// where it has them, else from AWS, which is asked about the alert's command alone.
func (c *Case) parametersSent(e *Event) (s sent) {
	command, _ := e.ResponseTree("command").(map[string]any)
	for _, v := range []any{e.RequestTree("parameters"), command["parameters"]} {
		values, hidden := parameterValues(v)
		s.Hidden = s.Hidden || hidden
		if len(values) > 0 && s.Values == nil {
			s.Values = values
		}
		if s.Values != nil && !s.Hidden {
			return s
		}
	}
	if e.ID != c.Event.ID || c.Live == nil || !c.Live.Commands.OK {
		return s
	}
	for i := range c.Live.Commands.Value {
		l := &c.Live.Commands.Value[i]
		if len(l.Parameters) > 0 && (l.ID == "" || slices.Contains(e.Commands(), l.ID)) {
			return sent{Values: l.Parameters, Live: true}
		}
	}
	return s
}

// parameterValues reads parameters as a record has them: lists of texts by name. hidden
// says that CloudTrail put something else in their place.
func parameterValues(v any) (values map[string][]string, hidden bool) {
	switch x := v.(type) {
	case string:
		return nil, isHidden(x)
	case map[string]any:
		values = map[string][]string{}
		for name, v := range x {
			list, _ := v.([]any)
			if s, ok := v.(string); ok {
				list = []any{s}
			}
			for _, v := range list {
				switch s, ok := v.(string); {
				case !ok:
				case isHidden(s):
					hidden = true
				default:
					values[name] = append(values[name], s)
				}
			}
		}
	}
	return values, hidden
}

// isHidden reports whether a text stands in the place of something that CloudTrail does
// not show.
func isHidden(s string) bool {
	return strings.HasPrefix(s, "HIDDEN_DUE_TO_SECURITY") || strings.HasPrefix(s, "Value hidden due to security") || s == "***" || s == "<sensitiveDataRemoved>"
}

// tellingWord returns the word of a custom document's name that says what it does.
func tellingWord(name string) string {
	// A word ends before what is no letter or digit, and before a capital after a small
	// letter.
	var split strings.Builder
	last := rune(0)
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = ' '
		} else if unicode.IsUpper(r) && unicode.IsLower(last) {
			split.WriteByte(' ')
		}
		split.WriteRune(r)
		last = r
	}
	words := strings.FieldsSeq(strings.ToLower(split.String()))
	for w := range words {
		for _, t := range knownDocuments().Telling {
			if w == t || len(t) > 3 && strings.HasPrefix(w, t) {
				return w
			}
		}
	}
	return ""
}

// since is when the store is to be read from for the actions of a service, named as
// habits name them: before the first of them that the sums by hour know, there are none.
// It spares a search of weeks for what nobody did.
func (c *Case) since(done map[string]*Seen, actions ...string) time.Time {
	if !c.Baseline.Complete {
		return c.Base.From
	}
	from := c.Base.To
	for _, name := range actions {
		if seen := done[name]; seen != nil {
			from = earlier(from, seen.First)
		}
	}
	return later(from, c.Base.From)
}

// recent is like since, of what everybody did up to a time. Of very many events it begins
// where about as many are left as are read for one question (limit read_about), if they
// are spread evenly, and says so: every event read is a piece of a segment to unpack.
func (a *Asking) recent(what string, until time.Time, actions ...string) time.Time {
	c := a.c
	from, n := c.since(c.Baseline.Org.Actions, actions...), int64(0)
	for _, name := range actions {
		if seen := c.Baseline.Org.Actions[name]; seen != nil {
			n += seen.Count
		}
	}
	share := a.c.Weights.Number("read_about") / float64(n)
	if n == 0 || share >= 1 {
		return from
	}
	from = until.Add(-time.Duration(share * float64(until.Sub(from)))).Truncate(time.Hour)
	a.Uses(c.Baseline.Query)
	a.Caveat("of %d %s in the baseline those since %s are looked at", n, what, stamp(from))
	return from
}

// ourBucket tells whether a bucket is the organisation's, and whether that is known: by
// the settings, else because it was created in one of its accounts.
func (a *Asking) ourBucket(c *Case, name string) (ours, known bool) {
	if name == "" {
		return false, false
	}
	if oneOf(c.Settings.Buckets, name) {
		return true, true
	}
	made := a.Events(all(is("event.provider", "s3.amazonaws.com"), is("event.action", "CreateBucket"),
		is("aws.cloudtrail.flattened.request_parameters.bucketName", name)), Span{c.since(c.Baseline.Org.Actions, "s3.amazonaws.com/CreateBucket"), c.Window.To}, 10)
	a.Uses(c.Baseline.Query)
	for _, e := range made {
		if e.Error == "" && c.Ours(e.Owner) {
			a.Cite(e)
			return true, true
		}
	}
	return false, len(c.Settings.Buckets) > 0
}

// maskText masks the secrets of a text of any length.
func maskText(s string) string {
	if len(s) > command.MaxText {
		s = strings.ToValidUTF8(s[:command.MaxText], "")
	}
	return command.Mask(s)
}
