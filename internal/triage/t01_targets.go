package triage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// targetInstances is T1: which instances, how many, and what are they?
func targetInstances() *Step {
	return &Step{
		ID: "T1", Weight: 1,
		Question: "Which instances are the targets, how many, do they matter, and had the principal touched them before?",
		Applies: func(c *Case) string {
			e := c.Event
			switch {
			case c.SendCommand() || e.Service() == "ssm" && e.RequestTree("targets") != nil:
				return ""
			case e.Is("ec2", "RunInstances", "CreateFleet"):
				return "the instances of the alert did not exist before it"
			case len(e.Instances()) == 0:
				return "the alert is not about instances"
			}
			return ""
		},
		Run: runTargetInstances,
	}
}

// A tagTarget chooses instances by a tag; without values, or with the value "*", any
// value will do.
type tagTarget struct {
	key    string
	values []string
}

func (t tagTarget) String() string {
	if len(t.values) == 0 {
		return cmp.Or(shown(t.key), "without a name")
	}
	return shown(t.key + "=" + strings.Join(t.values, ","))
}

// chosen is how an event chooses instances.
type chosen struct {
	explicit []string
	tags     []tagTarget
	groups   []string
	all      bool
}

func targetsOf(e *Event) (t chosen) {
	t.explicit = e.Instances()
	list, _ := e.RequestTree("targets").([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		key, _ := m["key"].(string)
		var values []string
		all, _ := m["values"].([]any)
		for _, v := range all {
			if s, ok := v.(string); ok {
				values = append(values, s)
			}
		}
		lower := strings.ToLower(key)
		switch {
		case lower == "instanceids":
			t.all = t.all || slices.Contains(values, "*")
		case strings.HasPrefix(lower, "tag:"):
			t.all = t.all || slices.Contains(values, "*")
			t.tags = append(t.tags, tagTarget{key[len("tag:"):], values})
		case lower == "tag-key":
			for _, k := range values {
				t.tags = append(t.tags, tagTarget{key: k})
			}
		case strings.HasPrefix(lower, "resource-groups:"):
			t.groups = append(t.groups, values...)
		}
	}
	if slices.Contains(e.Request("instanceIds"), "*") {
		t.all = true
	}
	return t
}

func runTargetInstances(c *Case, a *Asking) {
	this := []*Event{c.Event}
	t := targetsOf(c.Event)
	if len(t.explicit)+len(t.tags)+len(t.groups) == 0 && !t.all {
		a.sayReached(c)
		a.Unknown("which instances were the targets: the record does not name any", "Ask AWS where the command went: debut triage --live.")
		return
	}
	h := a.instanceHistory(c, t)
	nodes := a.managedNodes(c)
	matched := h.matching(t.tags)
	if t.all {
		a.Say(this, "The targets are all managed nodes of the account and region (\"*\").")
	}
	if len(t.explicit) > 0 {
		a.Say(this, "%s named explicitly (%s).", several(len(t.explicit), "instance is", "instances are"), fewOf(t.explicit, maxNamed))
	}
	if len(t.tags) > 0 {
		a.sayTags(c, t, matched)
	}
	if len(t.groups) > 0 {
		a.Say(this, "The targets are chosen by the resource group %s.", fewOf(t.groups, maxNamed))
		a.Find("by-group", this, "targets are chosen by the resource group %s", fewOf(t.groups, maxNamed))
	}
	reached := a.sayReached(c)
	if len(t.tags)+len(t.groups) > 0 && reached == 0 {
		a.Unknown("which instances the tags or groups choose", "Ask AWS where the command went: debut triage --live.")
	}
	a.findCount(c, t, matched, nodes, reached)
	known := unique(slices.Concat(t.explicit, matched))
	a.findHosts(c, h, known)
	a.findTouched(c, h, t.explicit)
	a.findProbing(c)
	a.findBootstrap(c, h, t)
}

// maxNamed is how many instances or groups a sentence names.
const maxNamed = 5

func (a *Asking) sayTags(c *Case, t chosen, matched []string) {
	this := []*Event{c.Event}
	names := make([]string, len(t.tags))
	for i, x := range t.tags {
		names[i] = x.String()
	}
	tag := strings.Join(names, " and ")
	text := "no instance is known to have matched at the time"
	if n := len(matched); n > 0 {
		text = fmt.Sprintf("%s known to have matched at the time (%s)", several(n, "instance is", "instances are"), fewOf(matched, maxNamed))
	}
	a.Say(this, "The targets are chosen by the tag %s; from the tags that are on record, %s.", tag, text)
	a.Find("by-tag", this, "targets are chosen by the tag %s", tag)
}

// sayReached says where AWS says that the command went, and to how many nodes.
func (a *Asking) sayReached(c *Case) int {
	if !c.SendCommand() || c.Live == nil {
		return 0
	}
	if !c.Live.Invocations.OK {
		a.Unknown("where the command went, as AWS has it", remedyOf(c.Live.Invocations.Looks))
		return 0
	}
	var ids []string
	for _, v := range c.Live.Invocations.Value {
		ids = append(ids, v.Instance)
	}
	if ids = unique(ids); len(ids) > 0 {
		slices.Sort(ids)
		a.Say([]*Event{c.Event}, "AWS says that it went to %s (%s).", amount(len(ids), "node"), fewOf(ids, maxNamed))
	}
	return len(ids)
}

// findCount tells whether the targets are many.
func (a *Asking) findCount(c *Case, t chosen, matched, nodes []string, reached int) {
	this, w := []*Event{c.Event}, c.Weights
	n := max(len(t.explicit), len(matched), reached)
	if counted, err := strconv.Atoi(firstOf(c.Event.Response("command.targetCount"))); err == nil && counted > 0 {
		a.Say(this, "Systems Manager counted %s.", amount(counted, "target"))
		n = max(n, counted)
	}
	if len(nodes) > 0 {
		a.Say(this, "%s reported to Systems Manager in the hour before.", amount(len(nodes), "managed node"))
	}
	few := int(w.Number("explicit_instances"))
	everyone := len(nodes) > few && !slices.ContainsFunc(nodes, func(id string) bool { return !slices.Contains(matched, id) })
	switch {
	case t.all:
		a.Find("all", this, "the targets are every node there is (\"*\")")
	case len(t.tags) > 0 && everyone:
		a.Find("all", this, "the tag is on all %d managed nodes", len(nodes))
	case n > int(w.Number("many_nodes")):
		a.Find("many", this, "%d targets", n)
	case n > few && len(nodes) > 0 && float64(n) > w.Number("many_nodes_share")*float64(len(nodes)):
		a.Find("many", this, "%d targets, where %d managed nodes reported", n, len(nodes))
	case len(t.explicit) > few:
		a.Find("explicit-many", this, "%d instances named explicitly", len(t.explicit))
	}
}

const (
	maxNodeEvents = 5000
	maxTagEvents  = 2000
	maxTouches    = 500
)

// managedNodes returns the nodes whose agents reported in the hour before; nil if there
// are too many to be counted.
func (a *Asking) managedNodes(c *Case) []string {
	if c.Event.Service() != "ssm" {
		return nil
	}
	text := all(is("event.provider", "ssm.amazonaws.com"), is("event.action", "UpdateInstanceInformation"), c.there())
	list := a.Events(text, Span{c.Event.Time.Add(-time.Hour), c.Event.Time}, maxNodeEvents)
	if len(list) >= maxNodeEvents {
		return nil
	}
	var ids []string
	for _, e := range list {
		if e.Owner == c.Event.Owner && e.Error == "" {
			ids = append(ids, e.Instances()...)
		}
	}
	ids = unique(ids)
	slices.Sort(ids)
	return ids
}

// A history is what the stored events tell of instances at the time of the alert.
type history struct {
	tags     map[string]map[string]string // by instance, by key
	tagged   map[string]*Event            // the last event about an instance's tags
	launched map[string]*Event
	profile  map[string]string
	now      map[string]bool // whose tags are those of today, as AWS says
}

// instanceHistory reads when instances were launched and how they were tagged: those
// named, or, where tags choose, all of them.
func (a *Asking) instanceHistory(c *Case, t chosen) *history {
	h := &history{map[string]map[string]string{}, map[string]*Event{}, map[string]*Event{}, map[string]string{}, map[string]bool{}}
	until := c.Event.Time.Add(time.Nanosecond)
	const request, response = "aws.cloudtrail.flattened.request_parameters.", "aws.cloudtrail.flattened.response_elements."
	which := ""
	if len(t.tags) == 0 {
		if len(t.explicit) == 0 {
			return h
		}
		which = anyOf(t.explicit, request+"resourcesSet.items.resourceId", request+"resourceId", response+"instancesSet.items.instanceId")
	}
	window := Span{a.recent("launches and changes of tags", until, "ec2.amazonaws.com/RunInstances", "ec2.amazonaws.com/CreateTags",
		"ec2.amazonaws.com/DeleteTags", "ssm.amazonaws.com/AddTagsToResource", "ssm.amazonaws.com/RemoveTagsFromResource"), until}
	list := a.Events(all(is("event.action", "RunInstances", "CreateTags", "DeleteTags", "AddTagsToResource", "RemoveTagsFromResource"), c.there(), which), window, maxTagEvents)
	for _, e := range list {
		if e.Error == "" && e.Owner == c.Event.Owner && e.Region == c.Event.Region && compareEvents(e, c.Event) < 0 {
			h.add(e)
		}
	}
	if c.Live != nil && c.Live.Instances.OK {
		for i := range c.Live.Instances.Value {
			l := &c.Live.Instances.Value[i]
			if h.profile[l.ID] == "" {
				h.profile[l.ID] = l.Profile[strings.LastIndexByte(l.Profile, '/')+1:]
			}
			if h.tags[l.ID] == nil && len(l.Tags) > 0 {
				h.tags[l.ID], h.now[l.ID] = l.Tags, true
			}
		}
	}
	return h
}

// anyOf is a clause: one of the fields has one of the values.
func anyOf(values []string, fields ...string) string {
	clauses := make([]string, len(fields))
	for i, f := range fields {
		clauses[i] = is(f, values...)
	}
	return "(" + strings.Join(clauses, " or ") + ")"
}

// add takes an event about launches or tags into account.
func (h *history) add(e *Event) {
	switch e.Action {
	case "RunInstances":
		for _, m := range members(e.ResponseTree("instancesSet")) {
			id, _ := m["instanceId"].(string)
			h.launched[id] = e
			profile, _ := m["iamInstanceProfile"].(map[string]any)
			arn, _ := profile["arn"].(string)
			h.profile[id] = arn[strings.LastIndexByte(arn, '/')+1:]
			h.set(e, id, members(m["tagSet"]), false)
			for _, spec := range members(e.RequestTree("tagSpecificationSet")) {
				if kind, _ := spec["resourceType"].(string); kind == "instance" {
					h.set(e, id, members(spec["tags"]), false)
				}
			}
		}
	case "CreateTags", "DeleteTags":
		for _, m := range members(e.RequestTree("resourcesSet")) {
			id, _ := m["resourceId"].(string)
			h.set(e, id, members(e.RequestTree("tagSet")), e.Action == "DeleteTags")
		}
	case "AddTagsToResource":
		for _, id := range e.Request("resourceId") {
			h.set(e, id, members(e.RequestTree("tags")), false)
		}
	case "RemoveTagsFromResource":
		for _, id := range e.Request("resourceId") {
			for _, k := range e.Request("tagKeys") {
				delete(h.tags[id], k)
			}
		}
	}
}

func (h *history) set(e *Event, id string, tags []map[string]any, remove bool) {
	if !strings.HasPrefix(id, "i-") && !strings.HasPrefix(id, "mi-") {
		return
	}
	if h.tags[id] == nil {
		h.tags[id] = map[string]string{}
	}
	for _, m := range tags {
		k, _ := m["key"].(string)
		v, _ := m["value"].(string)
		if remove {
			delete(h.tags[id], k)
		} else {
			h.tags[id][k] = v
		}
		h.tagged[id] = e
	}
}

// members returns the objects of a list, or of the items of one.
func members(v any) (list []map[string]any) {
	if m, ok := v.(map[string]any); ok {
		v = m["items"]
	}
	all, _ := v.([]any)
	for _, v := range all {
		if m, ok := v.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

// matching returns the instances that all tags choose, of those whose tags are known.
func (h *history) matching(tags []tagTarget) (ids []string) {
	if len(tags) == 0 {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(h.tags)) {
		if !h.now[id] && !slices.ContainsFunc(tags, func(t tagTarget) bool {
			v, ok := h.tags[id][t.key]
			return !ok || len(t.values) > 0 && !slices.Contains(t.values, v) && !slices.Contains(t.values, "*")
		}) {
			ids = append(ids, id)
		}
	}
	return ids
}

// findHosts tells what tags and profiles say of the targets.
func (a *Asking) findHosts(c *Case, h *history, ids []string) {
	critical, powerful := map[string][]string{}, map[string][]string{}
	var critEvents, powerEvents []*Event
	known := 0
	for _, id := range ids {
		if len(h.tags[id]) > 0 {
			known++
		}
		event := h.tagged[id]
		if event == nil {
			event = c.Event // today's tags
		}
		for _, k := range slices.Sorted(maps.Keys(h.tags[id])) {
			tag := shown(k + "=" + h.tags[id][k])
			if h.now[id] {
				tag += ", as of now"
			}
			if runner(k, h.tags[id][k]) {
				powerful[tag] = append(powerful[tag], id)
				powerEvents = append(powerEvents, event)
			} else if matters(k, h.tags[id][k]) {
				critical[tag] = append(critical[tag], id)
				critEvents = append(critEvents, event)
			}
		}
		if p := h.profile[id]; slices.ContainsFunc(wordsOf(p), func(w string) bool { return w == "admin" || w == "administrator" || w == "administratoraccess" }) {
			tag := "the profile " + shown(p)
			powerful[tag] = append(powerful[tag], id)
			event := h.launched[id]
			if event == nil {
				event = c.Event
			}
			powerEvents = append(powerEvents, event)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(critical)) {
		a.Say(critEvents, "%s tagged %s.", several(len(critical[tag]), "target is", "targets are"), tag)
		a.Find("critical-host", critEvents, "a target is tagged %s", tag)
	}
	for _, tag := range slices.Sorted(maps.Keys(powerful)) {
		a.Say(powerEvents, "%s a pipeline's runner or an administrator's host (%s).", several(len(powerful[tag]), "target is", "targets are"), tag)
		a.Find("powerful-host", powerEvents, "a target is a pipeline's runner or an administrator's host (%s)", tag)
	}
	if len(ids) > 0 && known == 0 {
		a.Unknown("what the targets are for: the stored events have no tags of them", "Ask AWS for the instances' tags: debut triage --live.")
	}
}

func wordsOf(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

func has(words []string, list ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains(list, w) || slices.Contains(list, strings.TrimRight(w, "0123456789"))
	})
}

// matters reports whether a tag says that a host is in production, holds data that must
// be kept, or leads to others.
func matters(key, value string) bool {
	k, v := wordsOf(key), wordsOf(value)
	switch {
	case has(k, "env", "environment", "stage", "tier"):
		return has(v, "prod", "production", "prd", "live")
	case has(k, "data", "dataclass", "classification", "dataclassification", "sensitivity", "confidentiality"):
		return has(v, "confidential", "restricted", "secret", "sensitive", "pii", "phi", "pci")
	case has(k, "name", "role", "service", "function", "type", "component", "app", "application"):
		text := strings.Join(v, " ")
		return has(v, "bastion", "jumphost", "jumpbox", "dc", "domaincontroller") || strings.Contains(text, "domain controller") || strings.Contains(text, "jump host")
	}
	return false
}

// runner reports whether a tag says that a host runs a pipeline.
func runner(key, value string) bool {
	k, v := wordsOf(key), wordsOf(value)
	return has(k, "name", "role", "service", "function", "type", "component", "app", "application") &&
		(has(v, "runner", "jenkins", "buildkite", "teamcity", "bamboo", "buildagent") || strings.Contains(strings.Join(v, " "), "build agent"))
}

// findTouched tells whether the principal had done anything with the targets before.
func (a *Asking) findTouched(c *Case, h *history, ids []string) {
	if len(ids) == 0 || c.Event.Principal == "" {
		return
	}
	old := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		e := h.launched[id]
		return e != nil && !e.Time.Before(c.Window.From)
	})
	if len(old) == 0 {
		a.Say(launches(h, ids), "%s launched within the case window: nobody can have touched %s before.", several(len(ids), "target was", "targets were"), oneOrMany(len(ids), "it", "them"))
		return
	}
	const request, response = "aws.cloudtrail.flattened.request_parameters.", "aws.cloudtrail.flattened.response_elements."
	list := a.Events(all(is("debut.principal", c.Event.Principal), anyOf(old,
		request+"instanceIds", request+"instanceId", request+"target", request+"targets.values", request+"instancesSet.items.instanceId",
		request+"resourcesSet.items.resourceId", response+"command.instanceIds", response+"instancesSet.items.instanceId")), c.active(c.Event.Principal), maxTouches)
	a.Uses(c.Baseline.Query)
	touched := map[string]*Event{}
	for _, e := range list {
		for _, id := range slices.Concat(e.Instances(), e.Request("resourcesSet.items.resourceId")) {
			if slices.Contains(old, id) {
				touched[id] = e
			}
		}
	}
	if len(touched) == 0 {
		if c.Cold {
			a.Say([]*Event{c.Event}, "No call of the principal on %s is in the stored history before the case window.", oneOrMany(len(old), "it", "any of them"))
		} else {
			a.Say([]*Event{c.Event}, "The principal had not called anything on %s in the %s before the case window.", oneOrMany(len(old), "it", "any of them"), c.baseDays())
		}
		a.Find("first-touch", []*Event{c.Event}, "the principal had not touched %s: %s", oneOrMany(len(old), "the instance", fmt.Sprintf("the %d instances", len(old))), c.unseen())
		return
	}
	last := list[len(list)-1]
	which := fmt.Sprintf("%d of %d instances", len(touched), len(old))
	if len(old) == 1 {
		which = "it"
	}
	a.Say([]*Event{last}, "The principal had touched %s in the %s before the case window, last with %s at %s.", which, c.baseDays(), last.Action, stamp(last.Time))
}

func launches(h *history, ids []string) (list []*Event) {
	for _, id := range ids {
		list = append(list, h.launched[id])
	}
	return list
}

// findProbing counts the instances that the principal named shortly before and that
// Systems Manager does not know.
func (a *Asking) findProbing(c *Case) {
	var failed []*Event
	var ids []string
	for _, e := range c.Before(c.Own()) {
		if e.Is("ssm") && strings.Contains(e.Error, "InvalidInstanceId") {
			failed = append(failed, e)
			ids = append(ids, e.Instances()...)
		}
	}
	n := len(unique(ids))
	if n == 0 {
		return
	}
	a.Say(failed, "Before, %s tried that Systems Manager does not manage (InvalidInstanceId).", several(n, "instance was", "instances were"))
	if k := n / 3; k > 0 {
		a.FindTimes("probing", k, failed, "%d instances that Systems Manager does not manage were tried before", n)
	}
}

// findBootstrap tells whether an automation set up instances that it had just launched,
// as it had done before.
func (a *Asking) findBootstrap(c *Case, h *history, t chosen) {
	e := c.Event
	if len(t.explicit) == 0 || len(t.tags)+len(t.groups) > 0 || t.all || e.FromWeb || e.Type != "AssumedRole" && e.Type != "AWSService" {
		return
	}
	var list []*Event
	for _, id := range t.explicit {
		l := h.launched[id]
		if l == nil || l.Principal != e.Principal || e.Time.Sub(l.Time) > c.Weights.Duration("launched_before") {
			return
		}
		list = append(list, l)
	}
	habit := c.Baseline.Own.Actions["ec2.amazonaws.com/RunInstances"]
	if habit == nil {
		return
	}
	a.Say(list, "The same principal launched %s %s before; it had launched instances %s in the %s before the case window.",
		oneOrMany(len(t.explicit), "it", "them"), lasting(e.Time.Sub(list[0].Time)), times(int(habit.Count)), c.baseDays())
	a.Find("bootstrap", list, "the targets were launched %s before by the same automation", lasting(e.Time.Sub(list[0].Time)))
}
