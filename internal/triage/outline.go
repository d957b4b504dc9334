package triage

import (
	"slices"
	"strings"
)

const maxMoments = 300

// timeline merges the events of the case with those that steps cite. Equal reading
// actions in a row are one line.
func (c *Case) timeline(r *Report, evidence []*Event) {
	steps := map[string][]string{}
	for i := range r.Steps {
		for _, e := range r.Steps[i].Evidence {
			steps[e.EventID] = append(steps[e.EventID], r.Steps[i].ID)
		}
	}
	all := slices.Concat(c.Related, evidence)
	slices.SortStableFunc(all, compareEvents)
	all = slices.CompactFunc(all, func(a, b *Event) bool { return a.ID == b.ID })
	var list []Moment
	of := map[string]*Event{}
	for _, e := range all {
		m := Moment{
			Time: e.Time, EventID: e.ID, Action: callOf(e), Who: e.who(), Tie: c.Tie(e), Outcome: e.outcome(),
			Steps: unique(steps[e.ID]),
		}
		if n := len(list) - 1; n >= 0 && len(m.Steps) == 0 && len(list[n].Steps) == 0 && sameMoment(&list[n], &m) {
			list[n].Count = max(list[n].Count, 1) + 1
			continue
		}
		list, of[e.ID] = append(list, m), e
	}
	r.Timeline, r.TimelineOmitted = shorten(list, maxMoments)
	for i := range r.Timeline {
		m := &r.Timeline[i]
		m.What = strings.Join(of[m.EventID].subjects(), ", ")
	}
}

func sameMoment(a, b *Moment) bool {
	return a.Action == b.Action && a.Who == b.Who && a.Tie == b.Tie && a.Outcome == b.Outcome
}

// shorten keeps the moments that steps cite, then those that change something, then
// the rest, each as far as there is room, in order of time.
func shorten(list []Moment, most int) (out []Moment, omitted int) {
	if len(list) <= most {
		return list, 0
	}
	rank := func(m *Moment) int {
		_, action, _ := strings.Cut(m.Action, ":")
		switch {
		case m.Tie == TieThis:
			return 0
		case len(m.Steps) > 0:
			return 1
		case !(&Event{Action: action}).Reads():
			return 2
		}
		return 3
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(&list[a]) - rank(&list[b]) })
	chosen := slices.Sorted(slices.Values(order[:most]))
	for _, i := range chosen {
		out = append(out, list[i])
	}
	return out, len(list) - most
}

// who is the principal, with its session.
func (e *Event) who() string {
	who := shortPrincipal(e.Principal)
	if s := e.Session(); s != "" && !strings.HasSuffix(who, "/"+s) {
		who += " (" + s + ")"
	}
	return who
}

func (e *Event) outcome() string {
	if e.Error != "" {
		return e.Error
	}
	return "success"
}

// subjects are what the action was done to, a few of them.
func (e *Event) subjects() []string {
	var list []string
	for _, name := range []string{
		"documentName", "instanceIds", "instanceId", "target", "bucketName", "roleArn", "userName", "roleName", "groupName", "policyArn",
		"secretId", "name", "trailName", "keyId", "groupId",
	} {
		list = append(list, e.Request(name)...)
	}
	if len(list) == 0 {
		list = e.Values("entity.target.id")
	}
	return atMost(unique(list), 5)
}

// entities gathers what the case names: of the alert's event, and of what steps cite.
func (c *Case) entities(r *Report, evidence []*Event) {
	all := append([]*Event{c.Event}, evidence...)
	slices.SortStableFunc(all[1:], compareEvents)
	x := &r.Entities
	for _, e := range all {
		x.Principals = append(x.Principals, e.Principal)
		x.Credentials = append(x.Credentials, e.Credential)
		if e.IP.IsValid() {
			x.IPs = append(x.IPs, e.IP.String())
		}
		x.Instances = append(x.Instances, e.Instances()...)
		if e.Service() == "ssm" {
			x.Documents = append(x.Documents, e.Request("documentName")...)
		}
		x.Commands = append(x.Commands, e.Commands()...)
		x.Buckets = append(x.Buckets, e.Request("bucketName")...)
		x.Buckets = append(x.Buckets, e.Request("outputS3BucketName")...)
	}
	for _, list := range []*[]string{&x.Principals, &x.Credentials, &x.IPs, &x.Instances, &x.Documents, &x.Commands, &x.Buckets} {
		*list = atMost(unique(*list), maxEntities)
	}
}

const maxEntities = 200

// Instances returns the ids of the instances and hybrid nodes that an event names as
// targets: "i-…" and "mi-…".
func (e *Event) Instances() []string {
	list := slices.Concat(
		e.Request("instanceIds"), e.Request("instanceId"), e.Request("target"), e.Request("targets.values"),
		e.Request("instancesSet.items.instanceId"), e.Response("command.instanceIds"), e.Response("instancesSet.items.instanceId"),
	)
	return unique(slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, "i-") && !strings.HasPrefix(s, "mi-") }))
}

// Commands returns the ids of the commands of Systems Manager that an event names.
func (e *Event) Commands() []string {
	if e.Service() != "ssm" {
		return nil
	}
	return unique(slices.Concat(e.Response("command.commandId"), e.Request("commandId")))
}

// propose names the playbooks that fit the verdict.
func (c *Case) propose(r *Report) {
	who := map[string]string{"principal": c.Event.Principal}
	add := func(playbook string, params map[string]string, reversible bool, why, impact string) {
		r.ProposedActions = append(r.ProposedActions, Action{playbook, params, why, reversible, impact})
	}
	evidence := func() {
		add("collect-evidence", map[string]string{"event": c.Event.ID}, true, "what AWS keeps for a limited time is saved", "reads only")
	}
	deny := func(why string) {
		add("deny-ssm", who, true, why, "the principal can run no commands until it is undone")
	}
	switch r.Verdict {
	case Malicious, LikelyMalicious:
		if id := firstOf(c.Event.Commands()); id != "" {
			add("cancel-command", map[string]string{"command": id}, false, "what has not run yet does not run", "running processes may be ended")
		}
		evidence()
		if c.SendCommand() {
			deny("no further command while this is looked into")
		}
		if strings.HasPrefix(c.Event.Credential, "AKIA") {
			add("disable-key", map[string]string{"key": c.Event.Credential}, true, "the key may be stolen", "whatever uses the key stops working")
		} else if c.Event.Type == "AssumedRole" {
			add("revoke-sessions", who, true, "the session may be stolen", "every session of the role from before ends, also others'")
		}
		for _, id := range atMost(c.Event.Instances(), 10) {
			add("quarantine-instance", map[string]string{"instance": id}, true, "what ran on it may still run", "the instance is cut off from the network")
		}
	case Suspicious:
		evidence()
		if c.SendCommand() {
			deny("a narrow plan, for when the owner does not know of it")
		}
	case Review:
		evidence()
	}
	if c.SendCommand() && r.Verdict != LikelyBenign {
		add("audit-ssm", map[string]string{"account": c.Event.Owner}, true, "who may run commands, and who did", "reads only")
	}
}
