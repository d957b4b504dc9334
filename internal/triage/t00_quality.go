package triage

import (
	"fmt"
	"math"
	"time"
)

// dataQuality is T0: can the store know?
func dataQuality() *Step {
	return &Step{
		ID: "T0", Weight: 3,
		Question: "Does the store cover the time before the event, so that absence means something?",
		Run:      runDataQuality,
	}
}

func runDataQuality(c *Case, a *Asking) {
	v := c.Covered
	days := c.Coverage.To.Sub(c.Coverage.From).Hours() / 24
	gap := "No hour is missing."
	if len(v.Gaps) > 0 {
		gap = fmt.Sprintf("The first hours missing are %s to %s.", stamp(v.Gaps[0].From), stamp(v.Gaps[0].To))
	}
	a.Say([]*Event{c.Event}, "History covers %.0f%% of the %s days before the event (%s to %s), %s/%s. %s",
		math.Floor(v.Share*100), number(days), stamp(c.Coverage.From), stamp(c.Coverage.To), c.Event.Owner, c.Event.Region, gap)
	a.Uses(c.Baseline.Query)
	if c.Cold {
		have := "nothing"
		if !v.First.IsZero() && v.First.Before(c.Event.Time) {
			have = fmt.Sprintf("%s days", number(c.Event.Time.Sub(v.First).Hours()/24))
		}
		a.Caveat("cold baseline: %s of history exist; what rests on \"never seen\" does not count, and the verdict cannot be likely benign", have)
		a.Unknown(fmt.Sprintf("what happened in the part of the history window that is not covered (%.0f%% is)", math.Floor(v.Share*100)),
			"Read the older logs in with debut backfill, then triage again.")
		a.Unanswered() // which lowers the confidence
	}
	if !c.Baseline.Complete {
		a.Caveat("there is more in the baseline than is kept in memory; what rests on \"never seen\" does not count, and the verdict cannot be likely benign")
	}
	if c.relatedQuery.Truncated {
		a.Caveat("more than %d events of the case window are by the same principal, key or address: of the earlier ones, the latest %d of each action are read, and the verdict cannot be likely benign", maxRelated, olderOfEach)
		a.Unknown("all that the principal did in the case window: it is more than is read", "Search for the rest: debut search.")
	}
	if v.Late > 0 {
		a.Caveat("%d records of the window came late", v.Late)
	}
	if c.AsOf.Sub(c.Event.Time) < c.Weights.Duration("case_after") {
		a.Caveat("made %s after the event: CloudTrail is still delivering, and what follows is not known yet", c.AsOf.Sub(c.Event.Time).Round(time.Second))
	}
}
