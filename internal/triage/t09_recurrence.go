package triage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/triage/command"
)

// recurrence is T9: did this happen before, how often, and at what intervals?
func recurrence() *Step {
	return &Step{
		ID: "T9", Weight: 1,
		Question: "How often did the principal do the same, to what, at what intervals, and did others?",
		Run:      runRecurrence,
	}
}

func runRecurrence(c *Case, a *Asking) {
	e := c.Event
	if e.Principal == "" {
		a.Unknown("whether the same was done before: the record does not say by whom", "")
		return
	}
	own := a.same(c.sameSpan(), maxSame)
	a.Uses(c.Baseline.Query)
	done := keep(own, func(x *Event) bool { return x.Error == "" || x.ID == e.ID })
	base := keep(done, func(x *Event) bool { return x.Time.Before(c.Base.To) })
	near := keep(done, func(x *Event) bool { return !x.Time.Before(c.Base.To) })
	a.sayOften(c, base, near)
	k := c.sameKey(e)
	same := keep(done, func(x *Event) bool { return k != "" && c.sameKey(x) == k && compareEvents(x, e) <= 0 })
	a.saySame(c, same)
	periodic := a.findPeriodic(c, same)
	if !c.SendCommand() {
		return
	}
	a.findBurst(c, near)
	if !periodic {
		a.findBeacon(c, near)
	}
	a.findShared(c)
}

// sayOften says how often the principal did this before and in the case window.
func (a *Asking) sayOften(c *Case, base, near []*Event) {
	what, last := callOf(c.Event), c.Event
	days := map[string]bool{}
	for _, x := range base {
		days[x.Time.Format(time.DateOnly)] = true
		last = x
	}
	switch {
	case len(base) > 0:
		a.Say([]*Event{last}, "The principal called %s %s in the %s before the case window, on %s, last at %s.",
			what, times(len(base)), c.baseDays(), amount(len(days), "day"), stamp(last.Time))
	case c.Cold:
		a.Say([]*Event{last}, "No earlier call of %s by the principal is in the stored history before the case window.", what)
	default:
		a.Say([]*Event{last}, "The principal had not called %s in the %s before the case window.", what, c.baseDays())
	}
	if len(near) > 1 {
		a.Say(near, "In the case window there are %d such calls, this one among them.", len(near))
	}
}

// saySame says how often just this was done: the same document or object, targets and,
// where it is known, text.
func (a *Asking) saySame(c *Case, same []*Event) {
	if len(same) < 2 {
		return
	}
	what := "of the same objects"
	if c.SendCommand() {
		what = "of the same document to the same targets"
		if c.textHash(c.Event) != "" {
			what += " with the same text"
		}
	}
	var accounts []string
	for _, x := range same {
		accounts = append(accounts, x.Owner)
	}
	in := ""
	if n := len(unique(accounts)); n > 1 {
		in = fmt.Sprintf(" in %d accounts", n)
	}
	before := same[len(same)-2]
	a.Say([]*Event{before}, "Before this one came %s %s%s, the last %s before.", amount(len(same)-1, "call"), what, in, lasting(c.Event.Time.Sub(before.Time)))
}

// sameKey names what makes two calls the same; empty if the record does not say what the
// call was about.
func (c *Case) sameKey(e *Event) string {
	if !e.Is("ssm", "SendCommand") {
		// Who only names himself, as one does who signs in, says nothing about targets.
		self := []string{e.UserName, e.ARN, e.Principal, e.UserID, e.Owner, e.Account}
		what := slices.DeleteFunc(unique(slices.Concat(e.Instances(), e.subjects())), func(s string) bool { return slices.Contains(self, s) })
		slices.Sort(what)
		return strings.Join(what, "\x00")
	}
	t := targetsOf(e)
	parts := slices.Concat(t.explicit, t.groups)
	for _, x := range t.tags {
		parts = append(parts, x.key+"="+strings.Join(x.values, ","))
	}
	if len(parts) == 0 && !t.all {
		return ""
	}
	slices.Sort(parts)
	return strings.Join(append(parts, firstOf(e.Request("documentName")), strconv.FormatBool(t.all), c.textHash(e)), "\x00")
}

// textHash names the text of a command; empty if it is not known.
func (c *Case) textHash(e *Event) string {
	return command.Hash(commandText(c.parametersSent(e).Values))
}

// latestOff is by how much the last interval of a rhythm may be off, at most.
const latestOff = 30 * time.Minute

// findPeriodic tells whether calls of the same have come at equal intervals for a week,
// this one with them.
func (a *Asking) findPeriodic(c *Case, same []*Event) bool {
	each, limit := runs(same, 0), c.Weights.Number("cadence_variation")
	n := len(each)
	if n < 2 || n < int(c.Weights.Number("cadence_events")) {
		return false
	}
	span := each[n-1].start.Sub(each[0].start)
	mean, variation := spacing(each)
	off := (each[n-1].start.Sub(each[n-2].start) - mean).Abs()
	if span < c.Weights.Duration("periodic_for") || variation > limit || off > min(time.Duration(limit*float64(mean)), latestOff) {
		return false
	}
	every := lasting(mean.Round(time.Minute))
	a.Say(same, "They have come about every %s for %s, and this one comes when it is due.", every, lasting(span))
	a.Find("periodic", same, "the same about every %s for %s, to the same targets", every, lasting(span))
	return true
}

// findBurst tells whether a principal without earlier commands sends many to many.
func (a *Asking) findBurst(c *Case, near []*Event) {
	if c.Baseline.Own.Actions[whatDone(c.Event)] != nil {
		return
	}
	w := c.Weights
	within := w.Duration("burst_in")
	best := densest(near, within, c.Event)
	n := reachedBy(best)
	if len(best) < int(w.Number("burst_commands")) || n < int(w.Number("burst_instances")) {
		return
	}
	a.Say(best, "Within %s it sent %s to %s.", lasting(best[len(best)-1].Time.Sub(best[0].Time)), amount(len(best), "command"), amount(n, "instance"))
	a.Find("burst", best, "%s to %s within %s, by a principal with none before", amount(len(best), "command"), amount(n, "instance"),
		lasting(best[len(best)-1].Time.Sub(best[0].Time)))
}

// reachedBy is how many instances commands went to, at least.
func reachedBy(list []*Event) int {
	var ids []string
	counted := 0
	for _, e := range list {
		ids = append(ids, e.Instances()...)
		if n, err := strconv.Atoi(firstOf(e.Response("command.targetCount"))); err == nil {
			counted = max(counted, n)
		}
	}
	return max(len(unique(ids)), counted)
}

// findBeacon tells whether one host gets the same command again and again.
func (a *Asking) findBeacon(c *Case, near []*Event) {
	d := c.documentNamed(c.Event)
	hosts := targetsOf(c.Event).explicit
	if d == nil || d.Class == docFixed || len(hosts) == 0 {
		return
	}
	hash, within := c.textHash(c.Event), c.Weights.Duration("beacon_in")
	for _, host := range hosts {
		list := keep(near, func(x *Event) bool {
			return slices.Contains(x.Instances(), host) && firstOf(x.Request("documentName")) == d.Name && c.textHash(x) == hash &&
				x.Time.Sub(c.Event.Time).Abs() <= within
		})
		best := densest(list, within, c.Event)
		if len(best) < int(c.Weights.Number("beacon_commands")) {
			continue
		}
		same := "the same command"
		if hash == "" {
			same = "the same document"
		}
		a.Say(best, "%s got %s %s within %s.", shown(host), same, times(len(best)), lasting(best[len(best)-1].Time.Sub(best[0].Time)))
		a.Find("beacon", best, "%s got %s %s within %s", shown(host), same, times(len(best)), lasting(best[len(best)-1].Time.Sub(best[0].Time)))
		return
	}
}

// findShared tells whether other principals ran the same text.
func (a *Asking) findShared(c *Case) {
	d, p := c.documentNamed(c.Event), c.parametersSent(c.Event)
	hash := c.textHash(c.Event)
	switch {
	case hash == "" && p.Hidden:
		a.Caveat("whether commands had the same text is not known: CloudTrail hides it")
		return
	case d == nil || hash == "" || d.Class == docFixed || c.approved(d, p):
		return
	}
	list, since := a.usesOf(d)
	var others []*Event
	who := []string{}
	for _, x := range list {
		if x.Principal != c.Event.Principal && c.textHash(x) == hash {
			others, who = append(others, x), append(who, shortPrincipal(x.Principal))
		}
	}
	if len(others) == 0 {
		a.Say([]*Event{c.Event}, "Nobody else is seen to have sent the same text with this document%s.", since)
		return
	}
	a.Say(others, "The same text was also sent by %s.", fewOf(unique(who), 5))
	a.Find("shared-command", append(others, c.Event), "the same text was sent by %d principals", len(unique(who))+1)
}
