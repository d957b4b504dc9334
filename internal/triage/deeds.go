package triage

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A deed is a kind of action that says something about the alert beside which it was
// done.
type deed struct {
	key      string   // of the weight; empty: it is told and counts nothing
	services []string // short names; none: any
	actions  []string // an action may end in *
	why      string   // why it matters, a sentence
	// is tells more exactly whether an event is such a deed. Nil: the action tells it.
	is func(c *Case, e *Event) bool
	// tried also tells of the attempts that failed.
	tried bool
}

func (d *deed) matches(c *Case, e *Event) bool {
	if len(d.services) > 0 && !slices.Contains(d.services, e.Service()) {
		return false
	}
	if !slices.ContainsFunc(d.actions, func(a string) bool {
		prefix, wild := strings.CutSuffix(a, "*")
		return e.Action == a || wild && strings.HasPrefix(e.Action, prefix)
	}) {
		return false
	}
	return d.is == nil || d.is(c, e)
}

// pick returns the deeds of a kind among events: those done, and those that failed.
func (d *deed) pick(c *Case, events []*Event) (done, failed []*Event) {
	for _, e := range events {
		switch {
		case !d.matches(c, e):
		case e.Error == "":
			done = append(done, e)
		case d.tried:
			failed = append(failed, e)
		}
	}
	return done, failed
}

// nearby are the events of the case window by the same session, key, principal or
// address, the alert's own among them. Of an address that many share, an egress of the
// organisation, only what the same principal did is near.
func (a *Asking) nearby() []*Event {
	c := a.c
	a.Uses(c.relatedQuery)
	if c.relatedQuery.Truncated {
		a.Caveat("more than %d events of the case window are by the same principal, key or address; the latest are read", maxRelated)
	}
	if !c.sharedAddress() {
		return c.Related
	}
	a.Caveat("%s is one of the organisation's own egress addresses: what others did from it is left out", c.Event.Address)
	return c.Own()
}

func (c *Case) sharedAddress() bool { return c.ownNetwork(c.Event.IP) }

// ownNetwork reports whether an address is one of the organisation's egress addresses.
func (c *Case) ownNetwork(addr netip.Addr) bool {
	return inside(c.Settings.Networks, addr)
}

// byPrincipal returns the events that the alert's principal did: not those that only
// share his address.
func (c *Case) byPrincipal(events []*Event) []*Event {
	return keep(events, func(e *Event) bool { return e.Principal == c.Event.Principal })
}

// tell says what was done of each kind and finds what it is worth. It returns how many
// kinds there were.
func (a *Asking) tell(deeds []deed, events []*Event) (n int) {
	for i := range deeds {
		d := &deeds[i]
		done, failed := d.pick(a.c, events)
		if len(done) > 0 {
			n++
			a.Say(done, "%s. %s", a.c.deed(done), d.why)
			if d.key != "" {
				a.Find(d.key, done, "%s", a.c.fact(done))
			}
		}
		if len(failed) > 0 {
			n++
			a.failed(failed)
		}
	}
	return n
}

// failed says what was tried and not done.
func (a *Asking) failed(events []*Event) {
	a.Say(events, "%s, without success (%s).", a.c.deed(events), fewOf(errorsOf(events), 3))
}

// nothing is what a step says that found nothing.
func (a *Asking) nothing(what string) {
	c := a.c
	a.Say(nil, "%s by the same session, key, principal or address from %s to %s.", what, stamp(c.Window.From), stamp(c.Window.To))
}

// deed puts equal deeds into one phrase: "4 s before: StopLogging on main by the same
// key". The events are in order of time.
func (c *Case) deed(events []*Event) string {
	return capital(c.when(events)) + ": " + c.did(events, maxActions, maxObjects) + " " + c.by(events)
}

// fact is the same as a part of a sentence, and shorter: "StopLogging on main by the
// same key, 4 s before".
func (c *Case) fact(events []*Event) string {
	return c.did(events, 3, 1) + " " + c.by(events) + ", " + c.when(events)
}

const (
	maxActions = 5 // that a sentence names
	maxObjects = 3
)

// did says what was done, and to what.
func (c *Case) did(events []*Event, actions, objects int) string {
	text := counted(events, actions)
	if on := c.objectsOf(events); len(on) > 0 {
		text += " on " + fewOf(on, objects)
	}
	return text
}

// when says how long before or after the alert's event.
func (c *Case) when(events []*Event) string {
	first, last := events[0], events[len(events)-1]
	from, to := c.apart(first), c.apart(last)
	if from == to {
		return from
	}
	if a, okA := strings.CutSuffix(from, " before"); okA {
		if b, okB := strings.CutSuffix(to, " before"); okB {
			return a + " to " + b + " before"
		}
	}
	return strings.TrimSuffix(from, " after") + " to " + to
}

func (c *Case) apart(e *Event) string {
	if e.ID == c.Event.ID {
		return "the alert's own event"
	}
	switch d := e.Time.Sub(c.Event.Time); {
	case d < 0:
		return lasting(-d) + " before"
	case d > 0:
		return lasting(d) + " after"
	}
	return "in the same second"
}

// counted lists the actions, the most frequent first.
func counted(events []*Event, most int) string {
	n := map[string]int{}
	var names []string
	for _, e := range events {
		if n[e.Action]++; n[e.Action] == 1 {
			names = append(names, e.Action)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return n[b] - n[a] })
	for i, name := range names {
		if n[name] > 1 {
			names[i] = fmt.Sprintf("%d times %s", n[name], name)
		}
	}
	return fewOf(names, most)
}

// by says how deeds are tied to the alert's.
func (c *Case) by(events []*Event) string {
	var ties, near, others []string
	for _, e := range events {
		switch t := c.Tie(e); t {
		case TieThis:
		case TieAddress:
			near = append(near, shortPrincipal(e.Principal))
		case TieOther:
			others = append(others, shortPrincipal(e.Principal))
		default:
			ties = append(ties, t)
		}
	}
	var parts []string
	for _, t := range [...]string{TieSession, TieKey, TiePrincipal} {
		if slices.Contains(ties, t) {
			parts = append(parts, "the same "+t)
		}
	}
	if near = unique(near); len(near) > 0 {
		parts = append(parts, fewOf(near, 3)+" from the same address")
	}
	if others = unique(others); len(others) > 0 {
		parts = append(parts, fewOf(others, 3))
	}
	if len(parts) == 0 {
		parts = []string{shown(shortPrincipal(c.Event.Principal))}
	}
	return "by " + enumerate(parts)
}

// objectsOf are what deeds were done to. Of an ARN of the account itself only the end is
// shown.
func (c *Case) objectsOf(events []*Event) (list []string) {
	for _, e := range events {
		for _, o := range e.objects() {
			if parts := strings.SplitN(o, ":", 6); len(parts) == 6 && parts[0] == "arn" && (parts[4] == c.Event.Owner || parts[4] == "aws") {
				o = parts[5]
			}
			list = append(list, o)
		}
	}
	return unique(list)
}

// objects are what an action was done to: as the timeline says it, or by the names that
// single services use.
func (e *Event) objects() []string {
	if e.Service() == "s3" {
		return e.Request("bucketName")
	}
	if e.Action == "GetCallerIdentity" {
		return nil
	}
	list := e.subjects()
	for _, name := range [...]string{
		"commandId", "instanceProfileName", "samlMetadataDocumentName", "serialNumber", "url", "functionName", "snapshotId", "imageId",
		"dBSnapshotIdentifier", "detectorId", "configurationRecorderName", "deliveryChannelName", "eventDataStore", "rule", "logGroupName",
		"settingId", "windowId", "associationId", "names", "s3Destination.bucketName", "syncName", "accountId", "policyId",
		"DeleteFlowLogsRequest.FlowLogId.content", "ModifyInstanceMetadataOptionsRequest.InstanceId",
		"AssociateIamInstanceProfileRequest.InstanceId", "instancesSet.items.instanceId",
	} {
		list = append(list, e.Request(name)...)
	}
	if e.Action == "GetParametersByPath" {
		list = append(list, e.Request("path")...)
	}
	return unique(list)
}

const (
	maxBefore  = 2000 // events that are read of a question
	maxValues  = 200  // values that a question names
	maxSingles = 20   // values that are asked for singly if there were more events
)

// before returns which values of some request parameters a principal's events of the
// baseline have, of those that a clause selects.
func (a *Asking) before(principal, clause string, paths, values []string) map[string]bool {
	fields := make([]string, len(paths))
	for i, p := range paths {
		fields[i] = "aws.cloudtrail.flattened.request_parameters." + p
	}
	return a.beforeFields(principal, clause, fields, values)
}

// beforeFields is the same for any fields. If more events match than are read, the
// values not among them are asked for one by one, as many as is reasonable; the others
// count as known.
func (a *Asking) beforeFields(principal, clause string, fields, values []string) map[string]bool {
	a.Uses(a.c.Baseline.Query)
	window := a.c.active(principal)
	seen := map[string]bool{}
	ask := func(values []string, limit int) (n int) {
		parts := make([]string, len(fields))
		for i, f := range fields {
			parts[i] = is(f, values...)
		}
		list, q, err := a.c.query(a.ctx, all(is("debut.principal", principal), clause, "("+strings.Join(parts, " or ")+")"), window, limit)
		if err != nil {
			a.err = err
			return 0
		}
		a.Uses(q)
		for _, e := range list {
			for _, f := range fields {
				for _, v := range e.Values(f) {
					seen[v] = true
				}
			}
		}
		if q.Truncated {
			return limit + 1
		}
		return len(list)
	}
	if !window.From.Before(window.To) {
		return seen
	}
	for part := range slices.Chunk(slices.Clone(values), maxValues) {
		if a.err != nil {
			return seen
		}
		if ask(slices.Clone(part), maxBefore) <= maxBefore {
			continue
		}
		singles := 0
		for _, v := range part {
			if seen[v] {
				continue
			}
			if singles++; singles > maxSingles {
				seen[v] = true
				continue
			}
			ask([]string{v}, 1)
		}
	}
	return seen
}
