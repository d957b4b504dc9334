package triage

import (
	"cmp"
	"strings"
)

// outcome is T15: was it done?
func outcome() *Step {
	return &Step{
		ID: "T15", Weight: 1,
		Question: "Did the action succeed, and on how many targets?",
		Run:      runOutcome,
	}
}

func runOutcome(c *Case, a *Asking) {
	e := c.Event
	this := []*Event{e}
	if e.Error != "" {
		a.Say(this, "The call failed: %s.", e.Error)
		a.Find("failed", this, "the call failed with %s", e.Error)
		return
	}
	if !c.SendCommand() {
		a.Say(this, "The call succeeded.")
		a.Find("succeeded", this, "the call succeeded")
		return
	}
	if c.Live != nil && c.Live.Invocations.OK && len(c.Live.Invocations.Value) > 0 {
		ok, list := 0, c.Live.Invocations.Value
		for _, v := range list {
			if v.Status == "Success" {
				ok++
			}
		}
		a.Say(this, "AWS says: it succeeded on %d of %d targets.", ok, len(list))
		if ok > 0 {
			a.Find("succeeded", this, "it ran on %d of %d targets", ok, len(list))
		} else {
			a.Find("failed", this, "it failed on all %d targets", len(list))
		}
		return
	}
	status := firstOf(e.Response("command.status"))
	n := firstOf(e.Response("command.targetCount"))
	switch n {
	case "", "0":
		n = "an unknown number of targets"
	case "1":
		n = "1 target"
	default:
		n += " targets"
	}
	a.Say(this, "Systems Manager accepted the command (%s) for %s.", strings.ToLower(cmp.Or(status, "status not logged")), n)
	a.Find("succeeded", this, "the command was accepted")
	a.Unknown("whether the command ran on its targets", "Ask AWS what became of it: debut triage --live.")
}
