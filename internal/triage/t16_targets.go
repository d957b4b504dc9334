package triage

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// targets is T16: what did the targets do next?
func targets() *Step {
	return &Step{
		ID: "T16", Weight: 1,
		Question: "What did the targets do next with the roles of their instances?",
		Applies: func(c *Case) string {
			switch {
			case !c.SendCommand() && len(c.Event.Instances()) == 0:
				return "the event names no instance"
			case c.Event.Error != "":
				return "the call failed: nothing ran on a target"
			}
			return ""
		},
		Run: runTargets,
	}
}

const (
	maxTargets      = 50
	maxTargetEvents = 5000
)

func runTargets(c *Case, a *Asking) {
	ids := c.targetIDs()
	after := Span{c.Event.Time, c.until(c.Event.Time.Add(c.Weights.Duration("effect_after")))}
	if len(ids) == 0 {
		a.Say([]*Event{c.Event}, "The event does not name its targets, so what they did next is not known.")
		a.Unknown("what the targets did next", "Ask AWS which instances the command went to: debut triage --live.")
		a.Unanswered()
		return
	}
	if len(ids) > maxTargets {
		a.Caveat("%d targets; the first %d are looked at", len(ids), maxTargets)
		ids = ids[:maxTargets]
	}
	next := c.After(a.Events(sessionsOf(ids), after, maxTargetEvents))
	span := lasting(after.To.Sub(after.From).Round(time.Second))
	roles := map[string][]*Event{}
	for _, e := range next {
		roles[e.Principal] = append(roles[e.Principal], e)
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		a.target(role, roles[role], span)
	}
	if len(next) == 0 {
		a.Say(nil, "In the next %s no call with the role of %s is stored.", span, fewOf(ids, 3))
	} else {
		a.strangers(next, a.Events(sessionsOf(sessionsIn(next)), Span{c.Window.From, c.Event.Time}, maxTargetEvents))
	}
	if after.To.Before(c.Event.Time.Add(c.Weights.Duration("effect_after"))) {
		a.Caveat("the hour after the event is not over: what the targets do until its end is not known yet")
	}
}

var instanceID = regexp.MustCompile(`^m?i-[0-9A-Za-z]{8,17}$`)

// targetIDs are the instances that the event names, or that AWS names when asked.
func (c *Case) targetIDs() []string {
	ids := c.Event.Instances()
	if c.Live != nil && c.Live.Invocations.OK {
		for _, v := range c.Live.Invocations.Value {
			ids = append(ids, v.Instance)
		}
	}
	return unique(slices.DeleteFunc(ids, func(s string) bool { return !instanceID.MatchString(s) }))
}

// sessionsOf asks for what was done with the credentials of instances: the session of
// an instance's role is named after the instance.
func sessionsOf(ids []string) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = `*\:` + id
	}
	return "user.id: (" + strings.Join(list, " or ") + ")"
}

// agentActions are what the agent of Systems Manager does by itself on every instance.
var agentActions = []string{ //nolint:gochecknoglobals // a constant table
	"UpdateInstanceInformation", "UpdateInstanceAssociationStatus", "ListInstanceAssociations", "ListAssociations", "DescribeAssociation",
	"PutInventory", "PutComplianceItems", "PutConfigurePackageResult", "GetDocument", "DescribeDocument", "GetManifest",
	"GetDeployablePatchSnapshotForInstance", "RequestManagedInstanceRoleToken",
}

func byAgent(e *Event) bool {
	return e.Is("ssm", agentActions...) || e.Service() == "ssmmessages" || e.Service() == "ec2messages"
}

// target says what the targets with one role did.
func (a *Asking) target(role string, next []*Event, span string) {
	c := a.c
	own := keep(next, func(e *Event) bool { return !byAgent(e) })
	who := fmt.Sprintf("%s of %s", shown(shortPrincipal(role)), fewOf(sessionsIn(next), 3))
	if len(own) == 0 {
		a.Say(next, "In the next %s %s made only the calls of the agent of Systems Manager (%d).", span, who, len(next))
		return
	}
	known := c.Baseline.Principals[role] != nil || role == c.Event.Principal && c.Baseline.Own.Events > 0
	old := map[string]bool{}
	if known {
		old = a.beforeFields(role, "", []string{"event.action"}, actionsOf(own))
	}
	fresh := keep(own, func(e *Event) bool { return !old[e.Action] })
	switch {
	case !known:
		a.Say(own, "In the next %s %s called %s. There is no history of the role to compare with.", span, who, counted(own, maxActions))
	case len(fresh) == 0:
		a.Say(own, "In the next %s %s called %s: all of it also in the weeks before.", span, who, counted(own, maxActions))
	default:
		a.Say(own, "In the next %s %s called %s; not in the stored history of the role: %s.", span, who, counted(own, maxActions), fewOf(actionsOf(fresh), 5))
		a.Find("new-actions", fresh, "%s called %s, not in its stored history, first %s", who, fewOf(actionsOf(fresh), 5), c.apart(fresh[0]))
	}
	a.onward(role, who, own, known)
}

// onward says where the role of a target led: to other roles, or to secrets.
func (a *Asking) onward(role, who string, own []*Event, known bool) {
	c := a.c
	paths := []string{"roleArn", "secretId", "secretIdList", "name", "names", "path"}
	list := keep(own, func(e *Event) bool {
		return e.Error == "" && (e.Service() == "sts" && strings.HasPrefix(e.Action, "AssumeRole") ||
			e.Is("secretsmanager", "GetSecretValue", "BatchGetSecretValue") || e.Is("ssm", parameterActions...))
	})
	if len(list) == 0 {
		return
	}
	old := map[string]bool{}
	if known {
		old = a.before(role, "", paths, parametersOf(list, paths...))
	}
	fresh := keep(list, func(e *Event) bool {
		of := parametersOf([]*Event{e}, paths...)
		return len(of) == 0 || slices.ContainsFunc(of, func(v string) bool { return !old[v] })
	})
	if len(fresh) > 0 {
		a.Say(fresh, "It led on: %s.", c.did(fresh, maxActions, maxObjects))
		a.Find("onward", fresh, "%s led on: %s, first %s", who, c.did(fresh, maxActions, maxObjects), c.apart(fresh[0]))
	}
}

// strangers finds the use of a target's credentials from an address that is not the
// instance's. An instance's addresses are those that its agent reports from, and those
// that it called from in the day before. Only public addresses of the same family are
// compared, as an instance has others behind an endpoint of a VPC; but if the address is
// that of the alert's caller, no comparison is needed.
func (a *Asking) strangers(next, before []*Event) {
	c := a.c
	for _, session := range sessionsIn(next) {
		of := func(e *Event) bool { return e.Session() == session && e.IP.IsValid() && e.InvokedBy == "" }
		mine := keep(next, of)
		home, families := map[netip.Addr]bool{}, map[bool]bool{}
		for _, e := range slices.Concat(keep(before, of), keep(mine, byAgent)) {
			home[e.IP] = true
			if isPublic(e) {
				families[e.IP.Is4()] = true
			}
		}
		callers := func(e *Event) bool { return e.IP == c.Event.IP && session != c.Event.Session() }
		away := keep(mine, func(e *Event) bool { return !home[e.IP] && !c.ownNetwork(e.IP) && (isPublic(e) || callers(e)) })
		if len(away) == 0 {
			continue
		}
		from := fewOf(addressesOf(away), 3)
		if slices.ContainsFunc(away, callers) {
			from += ", among them that of the caller"
			if len(addressesOf(away)) == 1 {
				from = addressesOf(away)[0] + ", the address of the caller"
			}
		}
		judged := keep(away, func(e *Event) bool { return families[e.IP.Is4()] && isPublic(e) || callers(e) && len(home) > 0 })
		if len(judged) > 0 {
			a.Say(judged, "%s: %s with the credentials of %s from %s; the instance itself calls from %s.",
				capital(c.when(judged)), counted(judged, maxActions), session, from, fewOf(addressTexts(home), 3))
			a.Find("elsewhere", judged, "the credentials of %s were used from %s, first %s", session, from, c.apart(judged[0]))
			continue
		}
		a.Say(away, "%s: %s with the credentials of %s from %s; from where the instance itself calls is not known.",
			capital(c.when(away)), counted(away, maxActions), session, from)
		a.Unknown("whether "+session+" itself called from "+from, "Look up from which addresses "+session+" reaches the internet.")
	}
}

func isPublic(e *Event) bool { return e.IP.IsGlobalUnicast() && !e.IP.IsPrivate() && e.Endpoint == "" }

func addressTexts(set map[netip.Addr]bool) (list []string) {
	for _, a := range slices.SortedFunc(maps.Keys(set), netip.Addr.Compare) {
		list = append(list, a.String())
	}
	return list
}
