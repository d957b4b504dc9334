package triage

import (
	"fmt"
	"slices"
	"strings"
)

// systemsManager is T10: what else was done in Systems Manager?
func systemsManager() *Step {
	return &Step{
		ID: "T10", Weight: 1,
		Question: "What else was done in Systems Manager around the event?",
		Run:      runSystemsManager,
	}
}

const maxCommandEvents = 500

func runSystemsManager(c *Case, a *Asking) {
	near := keep(a.nearby(), func(e *Event) bool { return e.Service() == "ssm" })
	others := without(a.Events(c.commandKQL(), c.Window, maxCommandEvents), near)
	all := slices.Concat(near, others)
	slices.SortStableFunc(all, compareEvents)
	n := a.tell(c.commandDeeds(all), all)
	n += a.polls(all)
	if a.decrypted(near) {
		n++
	}
	if n == 0 {
		a.nothing("Nothing else that matters was done in Systems Manager")
	}
}

// documentActions change who may use a document, or what it does.
var documentActions = []string{ //nolint:gochecknoglobals // a constant table
	"CreateDocument", "UpdateDocument", "UpdateDocumentDefaultVersion", "ModifyDocumentPermission", "DeleteDocument",
}

// commandKQL asks for what anybody did with the same command or document.
func (c *Case) commandKQL() string {
	var parts []string
	if id := is("aws.cloudtrail.flattened.request_parameters.commandId", c.Event.Commands()...); id != "" {
		parts = append(parts, id)
	}
	if names := c.documents(); len(names) > 0 {
		parts = append(parts, "("+all(is("event.action", documentActions...), is("aws.cloudtrail.flattened.request_parameters.name", names...))+")")
	}
	if len(parts) == 0 {
		return ""
	}
	return all(is("event.provider", "ssm.amazonaws.com"), c.there(), "("+strings.Join(parts, " or ")+")")
}

// documents are the documents that the alert's event names, with and without what an
// ARN has before the name.
func (c *Case) documents() (names []string) {
	for _, name := range c.Event.Request("documentName") {
		names = append(names, name, documentOf(name))
	}
	return unique(names)
}

func documentOf(name string) string {
	if _, after, ok := strings.Cut(name, ":document/"); ok {
		return after
	}
	return name
}

// commandDeeds are the deeds of T10. What is removed is a trace only of what these
// events made.
func (c *Case) commandDeeds(all []*Event) []deed {
	ssm := []string{"ssm"}
	made := c.documents()
	for _, e := range all {
		if e.Is("ssm", "CreateDocument") && e.Error == "" {
			made = append(made, e.Request("name")...)
		}
	}
	before := func(c *Case, e *Event) bool { return compareEvents(e, c.Event) < 0 }
	return []deed{
		{"document-changed", ssm, documentActions[:3], "What a document does was changed before the event.", before, true},
		{"", ssm, documentActions[:3], "What a document does was changed after the event.", func(c *Case, e *Event) bool { return !before(c, e) }, false},
		{"shared-public", ssm, documentActions[3:4], "Everybody may use the document.", sharedWithAll, true},
		{"shared-foreign", ssm, documentActions[3:4], "An account outside the organisation may use the document.", sharedWithForeign, true},
		{"port-forward", ssm, []string{"StartSession", "ResumeSession"}, "It tunnels into the network of the instance.", isTunnel, true},
		{"session", ssm, []string{"StartSession", "ResumeSession"}, "It is a shell on the instance; what is typed is not in CloudTrail.", func(c *Case, e *Event) bool { return !isTunnel(c, e) }, true},
		{"schedule", ssm, []string{"CreateAssociation", "CreateAssociationBatch", "UpdateAssociation", "RegisterTaskWithMaintenanceWindow", "UpdateMaintenanceWindowTask"}, "It runs again, without the caller.", nil, true},
		{"automation", ssm, []string{"StartAutomationExecution"}, "An automation acts with the rights of another role.", takesRole, true},
		{"", ssm, []string{"StartAutomationExecution"}, "No role is named in its parameters.", func(c *Case, e *Event) bool { return !takesRole(c, e) }, false},
		{"automation", ssm, []string{"CreateActivation"}, "Machines outside of AWS can join with it.", nil, true},
		{"automation", ssm, []string{"UpdateServiceSetting"}, "It changes how Systems Manager works for the whole account.", nil, true},
		{"automation", ssm, []string{"CreateResourceDataSync"}, "The inventory goes to a bucket outside the organisation.", syncsTo(bucketForeign), true},
		{"", ssm, []string{"CreateResourceDataSync"}, "The inventory goes to a bucket of which it is not known whose it is.", syncsTo(bucketUnknown), true},
		{"clean-up", ssm, []string{"DeleteDocument"}, "The document that was used is gone.", func(_ *Case, e *Event) bool {
			return slices.ContainsFunc(e.Request("name"), func(name string) bool { return slices.Contains(made, documentOf(name)) })
		}, true},
		{"clean-up", ssm, []string{"CancelCommand"}, "The output had been read by then.", func(c *Case, e *Event) bool { return c.cancelled(e) && hadOutput(all, e) }, false},
		{"", ssm, []string{"CancelCommand"}, "Whether the command had ended by then is not known.", func(c *Case, e *Event) bool { return c.cancelled(e) && !hadOutput(all, e) }, true},
	}
}

func sharedWithAll(_ *Case, e *Event) bool {
	return slices.ContainsFunc(e.Request("accountIdsToAdd"), func(s string) bool { return strings.EqualFold(s, "all") })
}

func sharedWithForeign(c *Case, e *Event) bool {
	return slices.ContainsFunc(e.Request("accountIdsToAdd"), func(s string) bool { return isAccount(s) && !c.Ours(s) })
}

// isTunnel goes by the document of the session: AWS-StartPortForwardingSession,
// AWS-StartSSHSession and those like them.
func isTunnel(_ *Case, e *Event) bool {
	name := strings.ToLower(firstOf(e.Request("documentName")))
	return strings.Contains(name, "portforward") || strings.Contains(name, "ssh")
}

// takesRole reports whether an automation is given a role to act with.
func takesRole(_ *Case, e *Event) bool {
	if len(e.Request("targetLocations.executionRoleName")) > 0 {
		return true
	}
	m, _ := e.RequestTree("parameters").(map[string]any)
	for name := range m {
		if n := strings.ToLower(name); strings.Contains(n, "assumerole") || strings.Contains(n, "rolearn") {
			return true
		}
	}
	return false
}

func syncsTo(whose int) func(*Case, *Event) bool {
	return func(c *Case, e *Event) bool {
		name := firstOf(append(e.Request("s3Destination.bucketName"), e.Request("s3BucketName")...))
		return name != "" && c.bucket(e, name) == whose
	}
}

// cancelled reports whether an event cancels the alert's command; of an alert without
// one, any.
func (c *Case) cancelled(e *Event) bool {
	ids := c.Event.Commands()
	return len(ids) == 0 || slices.Contains(ids, firstOf(e.Request("commandId")))
}

// hadOutput reports whether the output of the command that e cancels was read before.
func hadOutput(all []*Event, e *Event) bool {
	id := firstOf(e.Request("commandId"))
	return slices.ContainsFunc(all, func(x *Event) bool {
		return isPoll(x) && x.Error == "" && slices.Contains(x.Request("commandId"), id) && compareEvents(x, e) < 0
	})
}

func isPoll(e *Event) bool {
	return e.Is("ssm", "GetCommandInvocation", "ListCommandInvocations", "ListCommands")
}

// polls says who read the output of the alert's command.
func (a *Asking) polls(all []*Event) (n int) {
	c := a.c
	ids := c.Event.Commands()
	if len(ids) == 0 && !c.SendCommand() {
		return 0
	}
	polls := keep(c.After(all), func(e *Event) bool {
		of := e.Request("commandId")
		return isPoll(e) && (len(of) == 0 || slices.ContainsFunc(of, func(id string) bool { return slices.Contains(ids, id) }))
	})
	mine := keep(polls, func(e *Event) bool { return slices.Contains([]string{TieSession, TieKey, TiePrincipal}, c.Tie(e)) })
	theirs := keep(without(polls, mine), func(e *Event) bool { return e.Error == "" && len(e.Request("commandId")) > 0 && e.Type != "AWSService" })
	if len(mine) > 0 {
		n++
		read, bad := split(mine)
		text := "The output of the command was asked for " + times(len(mine)) + "."
		if len(bad) > 0 {
			text += fmt.Sprintf(" %d of these failed (%s).", len(bad), fewOf(errorsOf(bad), 3))
		}
		a.Say(mine, "%s. %s", c.deed(mine), text)
		if len(read) > 0 {
			a.Find("polled", mine, "the output was read %s %s, first %s", times(len(read)), c.by(mine), c.apart(mine[0]))
		}
	}
	if len(theirs) > 0 {
		n++
		a.Say(theirs, "%s. Somebody else than the caller read the output of the command.", c.deed(theirs))
		a.Find("polled-other", theirs, "somebody else read the output: %s", c.fact(theirs))
	}
	if len(mine)+len(theirs) == 0 && c.Event.Error == "" {
		a.Say(nil, "Nobody read the output, by the events stored up to %s.", stamp(c.Window.To))
	}
	return n
}

// decrypted says which parameters were decrypted, and how many of them the principal
// had not read in the baseline. A path that is read with all below it counts as many.
func (a *Asking) decrypted(near []*Event) bool {
	c := a.c
	list := keep(c.byPrincipal(near), func(e *Event) bool {
		return e.Is("ssm", parameterActions...) && e.Error == "" && slices.Contains(e.Request("withDecryption"), "true")
	})
	if len(list) == 0 {
		return false
	}
	enough := int(c.Weights.Number("parameters_new"))
	names, paths := parametersOf(list, "name", "names"), parametersOf(list, "path")
	old := a.before(c.Event.Principal, all(is("event.provider", "ssm.amazonaws.com"), is("event.action", parameterActions...)),
		[]string{"name", "names", "path"}, slices.Concat(names, paths))
	count := func(values []string) (n int) {
		for _, v := range values {
			if !old[v] {
				n++
			}
		}
		return n
	}
	fresh, freshPaths := count(names), count(paths)
	var what []string
	if len(names) > 0 {
		what = append(what, amount(len(names), "parameter"))
	}
	if len(paths) > 0 {
		what = append(what, "all below "+amount(len(paths), "path"))
	}
	text := "decrypted: " + enumerate(what) + fmt.Sprintf(", %d of these names not in the history that is stored", fresh+freshPaths)
	a.Say(list, "%s. %s.", c.deed(list), capital(text))
	if fresh+enough*freshPaths >= enough {
		a.Find("parameters", list, "%s; %s", c.fact(list), text)
	}
	return true
}

var parameterActions = []string{"GetParameter", "GetParameters", "GetParametersByPath"} //nolint:gochecknoglobals // a constant table
