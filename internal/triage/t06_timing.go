package triage

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// timing is T6: does the time fit, and what came just before?
func timing() *Step {
	return &Step{
		ID: "T6", Weight: 1,
		Question: "Does the time fit the principal, and what came just before?",
		Run:      runTiming,
	}
}

func runTiming(c *Case, a *Asking) {
	a.Uses(c.Baseline.Query)
	who, why := c.actor(findCadence(c, a))
	findHours(c, a, who, why)
	for _, f := range c.Settings.Freezes {
		if !c.Event.Time.Before(f.From) && c.Event.Time.Before(f.To) {
			a.Find("freeze", []*Event{c.Event}, "in the freeze %s (%s to %s)", shown(f.Name), stamp(f.From), stamp(f.To))
		}
	}
	findFirst(c, a)
	findSelection(c, a)
	if len(c.Own()) == 1 {
		a.Say([]*Event{c.Event}, "Nothing else of the principal is in the case window; that does not speak for it, an early stage looks the same.")
	}
}

// Who acts.
const (
	nobodyKnown = ""
	aPerson     = "a person"
	aMachine    = "automation"
)

// actor tells a person from automation, and why. Names of sessions do not count: the
// caller chooses them.
func (c *Case) actor(regular bool) (who, why string) {
	e, ch := c.Event, chain{links: c.Chain}
	origin := e.Type
	if n := len(c.Chain); n > 0 {
		origin = c.Chain[n-1].Type
	}
	switch {
	case signedInWithMFA(e) == "true":
		return aPerson, "it signed in with MFA"
	case console(e, &ch):
		return aPerson, "it came from the console"
	case e.Type == "Root":
		return aPerson, "it is the root user"
	case origin == "AWSService":
		return aMachine, "a service gave the credentials"
	case e.instance() != "":
		return aMachine, "the credentials are an instance's"
	case origin == "WebIdentityUser":
		return aMachine, "the credentials come from an OIDC provider"
	case ch.federated():
		return aPerson, "it signed in at an identity provider"
	case regular:
		return aMachine, "it works at a regular cadence"
	}
	w, own := c.Weights, &c.Baseline.Own
	least := int(w.Number("active_days_of"))
	if own.Events >= int64(w.Number("active_hours_of")) && own.Days >= least {
		h := learnHours(own, w.Number("active_hours"), c.zone(), e.Time, least)
		if h.length <= int(w.Number("person_hours")) && h.length > 1 && len(h.days) <= int(w.Number("person_days")) {
			return aPerson, "it keeps working hours"
		}
		if h.length > int(w.Number("person_hours")) && len(h.days) > int(w.Number("person_days")) {
			return aMachine, "it is active around the clock"
		}
	}
	return nobodyKnown, ""
}

// zone is the time zone of the organisation's people.
func (c *Case) zone() *time.Location {
	if c.Settings.TimeZone == nil {
		return time.UTC
	}
	return c.Settings.TimeZone
}

// findHours compares the time with the principal's usual hours, or with those that are
// configured.
func findHours(c *Case, a *Asking, who, why string) {
	e, own, w, zone := c.Event, &c.Baseline.Own, c.Weights, c.zone()
	this := []*Event{e}
	local := e.Time.In(zone).Format("Monday 15:04 MST")
	inside, usual := true, ""
	switch s := c.Settings; {
	case own.Events >= int64(w.Number("active_hours_of")):
		h := learnHours(own, w.Number("active_hours"), zone, e.Time, int(w.Number("active_days_of")))
		inside, usual = h.holds(e.Time, zone), "the principal's usual hours ("+h.said(e.Time, zone)+")"
	case s.WorkFrom != 0 || s.WorkTo != 0:
		inside, usual = atWork(e.Time.In(zone), s.WorkFrom, s.WorkTo), "the configured hours of work"
	}
	where := "outside"
	if inside {
		where = "inside"
	}
	switch {
	case usual == "":
		a.Say(this, "It was %s; the usual hours of the principal are not known.", local)
		if who == aPerson {
			a.Unknown("when the principal usually works: too little of it is stored", "Set the hours of work and the time zone in the configuration.")
		}
		return
	case who == nobodyKnown:
		a.Say(this, "It was %s, %s %s; whether the principal is a person is not known.", local, where, usual)
	default:
		a.Say(this, "It was %s, %s %s; the principal is %s: %s.", local, where, usual, who, why)
	}
	if !inside && who == aPerson && c.Baseline.Complete {
		a.Find("off-hours", this, "%s is outside %s", local, usual)
	}
}

// atWork reports whether a local time is on a working day between two hours.
func atWork(t time.Time, from, to int) bool {
	h := t.Hour()
	if from > to { // over midnight
		return (h >= from || h < to) && weekday(t) < 5
	}
	return h >= from && h < to && weekday(t) < 5
}

// findCadence looks whether the principal does this regularly, and whether this time is
// one of them. What is regular only in the case window is no habit.
func findCadence(c *Case, a *Asking) bool {
	e, w := c.Event, c.Weights
	least := int(w.Number("cadence_events"))
	past := slices.SortedFunc(maps.Keys(c.Baseline.Own.Hours), time.Time.Compare)
	if len(past) < least || !maybeRegular(past, least) {
		return false
	}
	list := c.recent(a)
	if c.SendCommand() {
		list = keep(list, func(o *Event) bool { return slices.Equal(o.Request("documentName"), e.Request("documentName")) })
	}
	within := w.Duration("cadence_within")
	every := runs(list, within)
	if len(every) == 0 || !slices.ContainsFunc(every[len(every)-1].events, func(o *Event) bool { return o.ID == e.ID }) {
		return false
	}
	now := every[len(every)-1].start
	before := every[:len(every)-1]
	base := before
	for len(base) > 0 && !base[len(base)-1].start.Before(c.Base.To) {
		base = base[:len(base)-1]
	}
	if len(base) < least {
		return false
	}
	evidence := []*Event{e}
	for _, r := range before[max(0, len(before)-2*least):] {
		evidence = append(evidence, r.events[0])
	}
	limit := w.Number("cadence_variation")
	mean, variation := spacing(base)
	gap := now.Sub(before[len(before)-1].start)
	if variation <= limit && (gap-mean).Abs() <= time.Duration(limit*float64(mean)) {
		a.Find("cadence", evidence, "it comes about every %s, as %s before", lasting(mean), times(len(base)))
		return true
	}
	if daily(base, now, within, least) {
		a.Find("cadence", evidence, "it comes at %s of the day, as %s before", now.In(c.zone()).Format("15:04 MST"), times(len(base)))
		return true
	}
	return false
}

// maybeRegular tells from the hours in which something was done whether it is worth
// looking closer.
func maybeRegular(past []time.Time, least int) bool {
	stretch := 1
	var starts []run
	for i, h := range past {
		if i > 0 && h.Sub(past[i-1]) == time.Hour {
			if stretch++; stretch >= least {
				return true
			}
			continue
		}
		stretch = 1
		starts = append(starts, run{start: h})
	}
	if len(starts) < least {
		return false
	}
	starts = starts[max(0, len(starts)-recentHours):]
	const rough = 0.5 // full hours only
	if _, variation := spacing(starts); variation <= rough {
		return true
	}
	last := starts[len(starts)-1].start
	return !slices.ContainsFunc(starts, func(r run) bool { return apart(r.start, last) > time.Hour })
}

// daily reports whether runs are all at the time of the day of now, on as many days, and
// on this day of the week too.
func daily(list []run, now time.Time, within time.Duration, least int) bool {
	days, sameDay, longest := map[string]bool{}, false, time.Duration(0)
	for i, r := range list {
		if apart(r.start, now) > within {
			return false
		}
		if i > 0 {
			longest = max(longest, r.start.Sub(list[i-1].start))
		}
		days[r.start.Format(time.DateOnly)] = true
		sameDay = sameDay || r.start.Weekday() == now.Weekday()
	}
	// A schedule that ended is none.
	if last := list[len(list)-1]; now.Sub(last.start) > longest+24*time.Hour {
		return false
	}
	return sameDay && len(days) >= least
}

// findFirst looks whether this is the principal's first call of the service.
func findFirst(c *Case, a *Asking) {
	e := c.Event
	if !c.Baseline.Complete || c.Baseline.Own.Providers[e.Provider] != nil ||
		len(keep(c.Before(c.Own()), func(o *Event) bool { return o.Provider == e.Provider })) > 0 {
		return
	}
	name := e.Service()
	if name == "ssm" {
		name = "Systems Manager"
	}
	a.Find("first-ssm", []*Event{e}, "the principal's first call of %s: %s", name, c.unseen())
}

// findSelection looks whether what the action acts on was listed just before.
func findSelection(c *Case, a *Asking) {
	e := c.Event
	if lists(e) {
		return
	}
	from := e.Time.Add(-c.Weights.Duration("selection_before"))
	found := keep(c.Before(c.Own()), func(o *Event) bool {
		if o.Error != "" || o.Time.Before(from) {
			return false
		}
		if c.SendCommand() {
			return o.Is("ssm", "DescribeInstanceInformation", "DescribeInstanceProperties", "ListDocuments", "GetInventory") || o.Is("ec2", "DescribeInstances")
		}
		return o.Provider == e.Provider && lists(o)
	})
	if len(found) == 0 {
		return
	}
	last := found[len(found)-1]
	a.Find("selection", onePerAction(found), "follows %s by %s", callOf(last), lasting(e.Time.Sub(last.Time)))
}

// lists reports whether an action lists things.
func lists(e *Event) bool {
	return strings.HasPrefix(e.Action, "List") || strings.HasPrefix(e.Action, "Describe")
}
