package triage

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// pattern is T4: is this how the principal works, and others like him?
func pattern() *Step {
	return &Step{
		ID: "T4", Weight: 3,
		Question: "Does this fit what the principal and its peers do, and what did it look at before?",
		Run:      runPattern,
	}
}

func runPattern(c *Case, a *Asking) {
	a.Uses(c.Baseline.Query, c.relatedQuery)
	findReturn(c, a)
	findDenied(c, a)
	findNovel(c, a)
	findRegion(c, a)
	findPeers(c, a)
	findEnumeration(c, a)
	if c.relatedQuery.Truncated {
		a.Caveat("more than %d events of the case window are related; the latest are read", maxRelated)
	}
	if !c.Baseline.Complete {
		a.Caveat("the baseline is not complete, so nothing is said to be new")
	}
}

// sameAction returns the events of a list that did what the alert's did.
func (c *Case) sameAction(list []*Event) []*Event {
	return keep(list, func(o *Event) bool { return o.Provider == c.Event.Provider && o.Action == c.Event.Action })
}

// findDenied looks for denials before.
func findDenied(c *Case, a *Asking) {
	e := c.Event
	var denied []*Event
	for _, o := range slices.Backward(c.sameAction(c.Before(c.Own()))) {
		if o.Error == "" {
			break
		}
		if o.Denied() {
			denied = append(denied, o)
		}
	}
	slices.Reverse(denied)
	n := len(denied)
	switch {
	case n == 0:
	case e.Error == "" && n >= int(c.Weights.Number("denials")):
		a.Find("denied-then-done", append(denied, e), "%s was denied %s in the %s before it was allowed", callOf(e), times(n), lasting(e.Time.Sub(denied[0].Time)))
	default:
		a.Say(denied, "In the case window %s was denied %s before this.", callOf(e), times(n))
	}
}

// findReturn says how often the principal did this, and whether it is back after long.
func findReturn(c *Case, a *Asking) {
	e, own := c.Event, &c.Baseline.Own
	this, seen := []*Event{e}, own.Actions[whatDone(e)]
	switch {
	case own.Events == 0:
		a.Say(this, "The principal was %s.", c.unseen())
	case seen == nil:
		a.Say(this, "The principal was active on %s %s; %s was not among what it did.", amount(own.Days, "day"), c.past(), callOf(e))
	default:
		days := map[string]bool{}
		for h := range own.Hours {
			days[h.Format(time.DateOnly)] = true
		}
		a.Say(this, "The principal was active on %s %s and called %s %s on %d of them, last %s ago.", amount(own.Days, "day"), c.past(),
			callOf(e), times(int(seen.Count)), len(days), lasting(e.Time.Sub(seen.Last)))
	}
	if seen != nil {
		sayNamed(c, a)
	}
	if n := len(c.sameAction(c.Before(c.Own()))); n > 0 {
		a.Say(this, "In the case window it called %s %s before this.", callOf(e), times(n))
	}
	if seen == nil {
		return
	}
	// Sums do not tell what was denied.
	list := c.doneBefore(a)
	if denied := keep(list, (*Event).Denied); len(denied) > 0 {
		a.Say(denied[len(denied)-1:], "Of its latest such calls before, %d of %d were denied.", len(denied), len(list))
	}
	since := e.Time.Sub(seen.Last)
	done, _ := split(list)
	if len(done) > 0 && since >= max(c.Weights.Duration("returns_after"), c.Alert.History) {
		a.Find("returns", done[len(done)-1:], "the principal did this before: it returns after %s", lasting(since))
	}
}

// sayNamed says which of the earlier calls came from sessions of this name: people share
// a role, and a session is mostly named for the one. The name is the caller's choice, so
// it is worth nothing.
func sayNamed(c *Case, a *Asking) {
	e := c.Event
	if e.Type != "AssumedRole" || e.Session() == "" {
		return
	}
	list := c.doneBefore(a)
	named := keep(list, func(o *Event) bool { return o.UserID == e.UserID })
	if len(list) > 0 {
		a.Say(append(named[max(0, len(named)-1):], e), "Of its latest such calls before, %d of %d came from sessions of the name %s.", len(named), len(list),
			shown(e.Session()))
	}
}

// findNovel counts what is new for the principal.
func findNovel(c *Case, a *Asking) {
	list := c.properties()
	var fresh, names []string
	for _, p := range list {
		if p.new {
			fresh = append(fresh, fmt.Sprintf("%s %s", p.name, shown(p.value)))
			names = append(names, p.name)
		}
	}
	this, n := []*Event{c.Event}, len(fresh)
	if !c.Baseline.Complete {
		return
	}
	if n == 0 {
		a.Say(this, "None of the %s compared is new for the principal.", several(len(list), "property", "properties"))
		return
	}
	a.Say(this, "New for the principal: %s (%d of %s compared).", strings.Join(fresh, ", "), n, several(len(list), "property", "properties"))
	if n >= 2 {
		a.Find(fmt.Sprintf("novel-%d", min(n, 4)), this, "%d properties are new for the principal: %s", n, strings.Join(names, ", "))
	}
}

// findRegion looks whether the principal, and anybody, used the region before.
func findRegion(c *Case, a *Asking) {
	e, b := c.Event, c.Baseline
	if e.Region == "" || global(e.Service()) || !b.Complete {
		return
	}
	this := []*Event{e}
	if b.Own.Events > 0 && b.Own.Regions[e.Region] == nil {
		a.Find("new-region", this, "in %s the principal was %s", e.Region, c.unseen())
	}
	var all int64
	for _, n := range b.Regions {
		all += n
	}
	if all > 0 && b.Regions[e.Region] == 0 {
		a.Find("dead-region", this, "in %s nobody of the account was %s", e.Region, c.unseen())
	}
}

// findPeers looks whether others like the principal do this.
func findPeers(c *Case, a *Asking) {
	const what = "whether peers do this: "
	peers := c.peers()
	least := int(c.Weights.Number("peers"))
	switch {
	case c.Event.Type == "AWSService":
		return
	case len(peers) < least:
		a.Say([]*Event{c.Event}, "Principals like it that were active: %d, too few to compare with.", len(peers))
		return
	case !c.Baseline.Complete:
		a.Unknown(what+"the baseline is not complete", "")
		return
	}
	does := c.does(peers)
	this := []*Event{c.Event}
	like := shortPrincipal(peers[0])
	a.Say(this, "%d of %d peers, such as %s, called %s before.", len(does), len(peers), like, callOf(c.Event))
	switch {
	case len(does) == 0:
		a.Find("peers-never", this, "none of %d peers was seen to call %s", len(peers), callOf(c.Event))
	case float64(len(does)) > c.Weights.Number("peers_share")*float64(len(peers)):
		a.Find("peers-do", this, "%d of %d peers call %s", len(does), len(peers), callOf(c.Event))
	}
}

// findEnumeration lists what the principal looked at, and judges how quickly.
func findEnumeration(c *Case, a *Asking) {
	own := c.Own()
	before := c.Before(own)
	sayLooked(a, "before", keep(before, looks), 6, 4)
	sayLooked(a, "after", keep(c.After(own), looks), 3, 3)
	w := c.Weights
	within := w.Duration("enumeration_in")
	if run, n := readBurst(before, within); n >= int(w.Number("enumeration_actions")) {
		a.Find("enumeration", onePerAction(run), "%d different reading actions within %s, %s before", n,
			lasting(run[len(run)-1].Time.Sub(run[0].Time)), lasting(c.Event.Time.Sub(run[len(run)-1].Time)))
		return
	}
	if run, failed := errorBurst(before, within, int(w.Number("enumeration_errors_of")), w.Number("enumeration_errors")); len(failed) > 0 {
		a.Find("enumeration", onePerAction(failed), "%d of %d calls within %s failed, %s before", len(failed), len(run),
			lasting(run[len(run)-1].Time.Sub(run[0].Time)), lasting(c.Event.Time.Sub(run[len(run)-1].Time)))
	}
}

// looks reports whether a call reads something. Some that begin with Get make something.
func looks(e *Event) bool {
	return e.Reads() && !e.Is("sts", "GetSessionToken", "GetFederationToken")
}

// sayLooked lists reading calls, with counts, of so many services and actions of each.
func sayLooked(a *Asking, when string, reads []*Event, services, actions int) {
	if len(reads) == 0 {
		if when == "before" {
			a.Say(nil, "In the case window it made no reading call before this.")
		}
		return
	}
	count, each, failed := map[string]int{}, map[string]map[string]int{}, 0
	different := 0
	for _, e := range reads {
		s := e.Service()
		if each[s] == nil {
			each[s] = map[string]int{}
		}
		if each[s][e.Action] == 0 {
			different++
		}
		count[s]++
		each[s][e.Action]++
		if e.Error != "" {
			failed++
		}
	}
	var parts []string
	order := mostFirst(count)
	for _, s := range atMost(order, services) {
		names := mostFirst(each[s])
		var list []string
		for _, n := range atMost(names, actions) {
			list = append(list, fmt.Sprintf("%s %d", n, each[s][n]))
		}
		if n := len(names) - actions; n > 0 {
			list = append(list, fmt.Sprintf("%d more", n))
		}
		parts = append(parts, fmt.Sprintf("%s %d (%s)", s, count[s], strings.Join(list, ", ")))
	}
	if n := len(order) - services; n > 0 {
		parts = append(parts, amount(n, "more service"))
	}
	text := fmt.Sprintf("In the case window it made %s (%d different) %s this: %s", amount(len(reads), "reading call"), different, when, strings.Join(parts, ", "))
	if failed > 0 {
		text += fmt.Sprintf("; %d failed", failed)
	}
	a.Say(onePerAction(reads), "%s.", text)
}

// onePerAction returns the first event of each action.
func onePerAction(list []*Event) []*Event {
	seen := map[string]bool{}
	return keep(list, func(e *Event) bool {
		first := !seen[whatDone(e)]
		seen[whatDone(e)] = true
		return first
	})
}

// readBurst returns the stretch of a duration with the most different reading actions,
// and how many they are.
func readBurst(list []*Event, within time.Duration) (run []*Event, most int) {
	list = keep(list, looks)
	count, from := map[string]int{}, 0
	for i, e := range list {
		count[whatDone(e)]++
		for ; e.Time.Sub(list[from].Time) > within; from++ {
			if k := whatDone(list[from]); count[k] == 1 {
				delete(count, k)
			} else {
				count[k]--
			}
		}
		if len(count) > most {
			run, most = list[from:i+1], len(count)
		}
	}
	return run, most
}

// errorBurst returns the stretch of a duration with the most errors among those of at
// least so many calls of which at least a share failed, and what failed.
func errorBurst(list []*Event, within time.Duration, least int, share float64) (run, failed []*Event) {
	errors, from, most := 0, 0, 0
	for i, e := range list {
		if e.Error != "" {
			errors++
		}
		for ; e.Time.Sub(list[from].Time) > within; from++ {
			if list[from].Error != "" {
				errors--
			}
		}
		if n := i + 1 - from; n >= least && float64(errors) >= share*float64(n) && errors > most {
			run, most = list[from:i+1], errors
		}
	}
	_, failed = split(run)
	return run, failed
}
