package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/enrich"
)

const (
	systemsManagerHost = "ssm.amazonaws.com"
	patchDocument      = "AWS-RunPatchBaseline"
	patchAssociation   = "AWS-RunPatchBaselineAssociation"
	maxSchedules       = 2000
)

// documentRun returns the document that a call runs, or "".
func documentRun(e *Event) string {
	if !e.Is("ssm", "SendCommand", "StartAutomationExecution") {
		return ""
	}
	return firstOf(e.Request("documentName"))
}

// foreignName reports whether a document is named by the ARN of another account.
func foreignName(c *Case, name string) bool {
	parts := strings.SplitN(name, ":", 6)
	return strings.HasPrefix(name, "arn:") && (len(parts) < 6 || parts[4] != "" && !c.Ours(parts[4]))
}

// bySystemsManager reports whether Systems Manager made the call: AWS logs that, and
// IAM reserves the path of service-linked roles.
func (e *Event) bySystemsManager() bool {
	host := func(s string) bool { return strings.TrimSuffix(s, ".cn") == systemsManagerHost }
	return host(e.Address) || host(e.InvokedBy) || strings.Contains(e.Principal, ":role/aws-service-role/"+systemsManagerHost+"/")
}

// ofServiceLinked reports whether the caller is a service itself, or the role that AWS
// keeps for it.
func (e *Event) ofServiceLinked(host string) bool {
	return e.Type == "AWSService" || strings.Contains(e.Principal, ":role/aws-service-role/"+host+"/")
}

// scheduled takes what all claims about schedules of Systems Manager need. It returns
// false if the claim is ruled out.
func scheduled(c *Case, p *proof) bool {
	e := c.Event
	if documentRun(e) == "" {
		p.ruleOut("the call runs no document")
		return false
	}
	if !e.bySystemsManager() {
		p.ruleOut("the call came from %s, by %s, and not from Systems Manager", cmp.Or(shown(e.Address), "an address that is not logged"), shown(shortPrincipal(e.Principal)))
		return false
	}
	switch {
	case e.InvokedBy != "" && enrich.AddressClass(e.InvokedBy) == enrich.AddressService:
		p.has("AWS logs that "+e.InvokedBy+" made the call", e)
	case enrich.AddressClass(e.Address) == enrich.AddressService:
		p.has("the call came from "+e.Address, e)
	default:
		p.has(shortPrincipal(e.Principal)+" is used by Systems Manager alone", e)
	}
	return true
}

// sinceSSM is since when the store is to be read for actions of Systems Manager by
// anybody.
func (c *Case) sinceSSM(a *Asking, actions ...string) time.Time {
	a.Uses(c.Baseline.Query)
	names := make([]string, len(actions))
	for i, action := range actions {
		names[i] = systemsManagerHost + "/" + action
	}
	return c.since(c.Baseline.Org.Actions, names...)
}

// An association is what State Manager does again and again.
type association struct {
	id, document string
	on           scope
	last         *Event // that made it or changed it
}

// A scope is what a command or a schedule is for.
type scope struct {
	everything bool
	instances  []string
	tags       map[string][]string // "tag:Name" → values
}

// scopeOf reads the instances and targets of a request, or of an entry of one.
func scopeOf(m map[string]any) scope {
	s := scope{tags: map[string][]string{}}
	for _, name := range []string{"instanceId", "instanceIds"} {
		s.instances = append(s.instances, textsOf(m[name])...)
	}
	eachMap(m["targets"], func(t map[string]any) {
		key, values := firstOf(textsOf(t["key"])), textsOf(t["values"])
		switch {
		case !strings.EqualFold(key, "InstanceIds"):
			if key != "" {
				s.tags[key] = append(s.tags[key], values...)
			}
		case slices.Contains(values, "*"):
			s.everything = true
		default:
			s.instances = append(s.instances, values...)
		}
	})
	return s
}

// covers reports whether all that is in another scope is in this one.
func (s *scope) covers(o *scope) bool {
	if s.everything {
		return true
	}
	if o.everything || len(o.instances) == 0 && len(o.tags) == 0 {
		return false
	}
	for _, i := range o.instances {
		if !slices.Contains(s.instances, i) {
			return false
		}
	}
	for key, values := range o.tags {
		mine, ok := s.tags[key]
		if !ok {
			return false
		}
		for _, v := range values {
			if !slices.Contains(mine, v) {
				return false
			}
		}
	}
	return true
}

// same reports whether two scopes are the same.
func (s *scope) same(o *scope) bool { return s.covers(o) && o.covers(s) }

// requested is what the request of a call is for.
func requested(e *Event) scope {
	m := map[string]any{}
	for _, name := range []string{"instanceId", "instanceIds", "targets"} {
		m[name] = e.RequestTree(name)
	}
	return scopeOf(m)
}

// associations returns the associations of the store as they were when the alert's event
// happened: those that were made or changed in the baseline and the case window and not
// deleted since.
func associations(c *Case, a *Asking) []*association {
	e := c.Event
	actions := []string{"CreateAssociation", "CreateAssociationBatch", "UpdateAssociation", "DeleteAssociation"}
	events := a.Events(all(is("event.provider", systemsManagerHost), is("event.action", actions...)), Span{c.sinceSSM(a, actions...), e.Time}, maxSchedules)
	var list []*association
	for _, o := range events {
		if o.Error != "" || o.Owner != e.Owner || o.Region != e.Region {
			continue
		}
		switch o.Action {
		case "CreateAssociationBatch":
			made := o.ResponseTree("successful")
			eachMap(made, func(m map[string]any) {
				if name := firstOf(textsOf(m["name"])); name != "" && m["associationId"] != nil {
					list = append(list, &association{firstOf(textsOf(m["associationId"])), name, scopeOf(m), o})
				}
			})
			if made == nil {
				eachMap(o.RequestTree("entries"), func(m map[string]any) {
					if name := firstOf(textsOf(m["name"])); name != "" {
						list = append(list, &association{"", name, scopeOf(m), o})
					}
				})
			}
		case "CreateAssociation":
			list = append(list, &association{firstOf(o.Response("associationDescription.associationId")), firstOf(o.Request("name")), requested(o), o})
		default:
			list = amended(list, o)
		}
	}
	return list
}

// amended takes an update or a deletion into a list of associations.
func amended(list []*association, o *Event) []*association {
	id, name, on := firstOf(o.Request("associationId")), firstOf(o.Request("name")), requested(o)
	this := func(x *association) bool {
		if id != "" && x.id != "" {
			return x.id == id
		}
		return id == "" && name != "" && documentOf(x.document) == documentOf(name) && x.on.same(&on)
	}
	if o.Action == "DeleteAssociation" {
		return slices.DeleteFunc(list, this)
	}
	i := slices.IndexFunc(list, this)
	if i < 0 {
		// It was made before what is stored.
		return append(list, &association{id, name, on, o})
	}
	x := list[i]
	x.last, x.document = o, cmp.Or(name, x.document)
	if len(on.instances) > 0 || len(on.tags) > 0 || on.everything {
		x.on = on
	}
	return list
}

// stateManager is proven by Systems Manager as the caller, and an association of these
// instances with this document that is older than a week. Systems Manager makes calls
// for automations too: those are with the role of who started them.
func stateManager(c *Case, a *Asking, p *proof) {
	if !scheduled(c, p) {
		return
	}
	e := c.Event
	if !e.ofServiceLinked(systemsManagerHost) {
		p.want("the role of State Manager: %s is used by others too, as in an automation", shown(shortPrincipal(e.Principal)))
	}
	before := e.Time.Add(-c.Weights.Duration("schedule_settled"))
	document, on := documentOf(documentRun(e)), requested(e)
	fresh := map[string]bool{}
	var late *association
	for _, x := range associations(c, a) {
		if documentOf(x.document) != document {
			continue
		}
		settled := x.last.Time.Before(before)
		if !settled && x.id != "" {
			fresh[x.id] = true
		}
		switch {
		case !x.on.covers(&on):
		case settled:
			p.has(fmt.Sprintf("an association of these targets with %s is on record since %s (by %s)", shown(document), stamp(x.last.Time), shown(shortPrincipal(x.last.Principal))), x.last)
			return
		default:
			late = x
		}
	}
	if c.liveAssociations(document, on.instances, fresh) {
		p.has("AWS says that each of these instances has an association with "+shown(document), e)
		return
	}
	if late != nil {
		p.want("an association that is older than a week: the one on record was made or changed %s before, by %s", lasting(e.Time.Sub(late.last.Time)), shown(shortPrincipal(late.last.Principal)))
		p.events = append(p.events, late.last)
		return
	}
	p.want("an association of these targets with %s (debut triage --live asks AWS)", shown(document))
}

// liveAssociations reports whether AWS says that each of some instances has an
// association with a document, other than those that were made just now.
func (c *Case) liveAssociations(document string, instances []string, fresh map[string]bool) bool {
	if c.Live == nil || !c.Live.Associations.OK || len(instances) == 0 {
		return false
	}
	for _, i := range instances {
		if !slices.ContainsFunc(c.Live.Associations.Value, func(l LiveAssociation) bool {
			return l.Instance == i && documentOf(l.Document) == document && !fresh[l.ID]
		}) {
			return false
		}
	}
	return true
}

// patchManager is proven by Systems Manager as the caller, AWS's own document, earlier
// runs at the same time of the day, and the targets of a patch group.
func patchManager(c *Case, a *Asking, p *proof) {
	e := c.Event
	if !scheduled(c, p) {
		return
	}
	document := documentOf(documentRun(e))
	owner := ""
	if c.Live != nil && c.Live.Document.OK {
		owner = c.Live.Document.Value.Owner
	}
	// AWS-RunPatchBaselineWithHooks is none: it runs documents that it is given.
	if document != patchDocument && document != patchAssociation || foreignName(c, documentRun(e)) || owner != "" && owner != "Amazon" {
		p.have, p.events = nil, nil
		p.ruleOut("the document %s is none of Patch Manager's", shown(documentRun(e)))
		return
	}
	p.has("the document "+document+" is AWS's own", e)
	on := requested(e)
	earlier := a.Events(all(is("debut.principal", e.Principal), is("event.action", e.Action), is("aws.cloudtrail.flattened.request_parameters.documentName", documentRun(e))),
		Span{c.since(c.Baseline.Own.Actions, whatDone(e)), c.Base.To}, maxSchedules)
	a.Uses(c.Baseline.Query)
	days := map[string]bool{}
	var matching []*Event
	same := false
	for _, o := range earlier {
		if o.Error != "" || !atSameTime(o.Time, e.Time, c.Weights.Duration("schedule_within")) {
			continue
		}
		if day := o.Time.Format(time.DateOnly); !days[day] {
			days[day] = true
			matching = append(matching, o)
		}
		was := requested(o)
		same = same || was.same(&on)
	}
	least := int(c.Weights.Number("schedule_runs"))
	p.need(len(matching) >= least, fmt.Sprintf("it ran at this time of the day on %s %s", amount(len(matching), "day"), c.past()),
		fmt.Sprintf("%d earlier runs at this time of the day, there are %d", least, len(matching)), atMost(matching, least)...)
	group := len(on.tags) > 0
	for key := range on.tags {
		group = group && (key == "tag:Patch Group" || key == "tag:PatchGroup")
	}
	switch {
	case group && len(on.instances) == 0:
		p.has("the targets are a patch group", e)
	case same:
		p.has("the targets are those of earlier runs at this time of the day", e)
	default:
		p.want("a patch group as the target, or the targets of earlier runs")
	}
}

// atSameTime reports whether two times are whole days apart, give or take.
func atSameTime(a, b time.Time, give time.Duration) bool {
	const day = 24 * time.Hour
	rest := b.Sub(a).Abs() % day
	return rest <= give || day-rest <= give
}

// maintenanceWindow is proven by an execution of a window that AWS tells of, with this
// document, at this time, and by the role of the window's task.
func maintenanceWindow(c *Case, a *Asking, p *proof) {
	e := c.Event
	if !scheduled(c, p) {
		return
	}
	document := documentOf(documentRun(e))
	var run *LiveExecution
	if c.Live != nil && c.Live.Executions.OK {
		for i := range c.Live.Executions.Value {
			x := &c.Live.Executions.Value[i]
			if documentOf(x.Document) == document && !e.Time.Before(x.Start) && (x.End.IsZero() || !e.Time.After(x.End)) {
				run = x
				break
			}
		}
	}
	if run == nil {
		p.want("an execution of a maintenance window with %s at this time (debut triage --live asks AWS)", shown(document))
		return
	}
	p.has(fmt.Sprintf("the maintenance window %s ran %s from %s (execution %s)", run.Window, shown(document), stamp(run.Start), run.ID), e)
	// Who may register a task chooses what runs, in a window that is there.
	actions := []string{"RegisterTaskWithMaintenanceWindow", "UpdateMaintenanceWindowTask", "UpdateMaintenanceWindow", "RegisterTargetWithMaintenanceWindow"}
	tasks := a.Events(all(is("event.provider", systemsManagerHost), is("event.action", actions...),
		is("aws.cloudtrail.flattened.request_parameters.windowId", run.Window)), Span{c.sinceSSM(a, actions...), e.Time}, maxSchedules)
	tasks = keep(tasks, func(o *Event) bool { return o.Error == "" && o.Owner == e.Owner && o.Region == e.Region })
	settled := e.Time.Add(-c.Weights.Duration("schedule_settled"))
	if n := len(tasks); n > 0 && !tasks[n-1].Time.Before(settled) {
		last := tasks[n-1]
		p.events = append(p.events, last)
		p.want("a window that has been as it is for a week: %s by %s was %s before", last.Action, shown(shortPrincipal(last.Principal)), lasting(e.Time.Sub(last.Time)))
		return
	}
	if e.ofServiceLinked(systemsManagerHost) {
		p.has("the role is Systems Manager's own", e)
		return
	}
	for _, o := range slices.Backward(tasks) {
		if firstOf(o.Request("serviceRoleArn")) == e.Principal && documentOf(firstOf(o.Request("taskArn"))) == document {
			p.has("the role is that of the window's task, registered at "+stamp(o.Time), o)
			return
		}
	}
	p.want("the registration of the window's task with this role, older than a week")
}
