package triage

import (
	"fmt"
	"time"
)

// lasting writes a duration as people say it: "40 seconds", "12 minutes", "3 hours",
// "5 days".
func lasting(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 2*time.Minute:
		return amount(int(d/time.Second), "second")
	case d < 2*time.Hour:
		return amount(int(d/time.Minute), "minute")
	case d < 2*day:
		return amount(int(d/time.Hour), "hour")
	}
	return amount(int(d/day), "day")
}

// amount writes a number with its noun.
func amount(n int, noun string) string { return several(n, noun, noun+"s") }

// several is like amount for nouns with a plural of their own.
func several(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// baseDays are the days of the baseline, as sentences name them.
func (c *Case) baseDays() string {
	return amount(int(c.Base.To.Sub(c.Base.From).Round(24*time.Hour)/(24*time.Hour)), "day")
}

// past names the time that the baseline tells of: all of it only if the history is
// covered.
func (c *Case) past() string {
	if c.Cold || !c.Baseline.Complete {
		return "in the stored history before the case window"
	}
	return "in the " + c.baseDays() + " before the case window"
}

// unseen says that something is not in the baseline.
func (c *Case) unseen() string {
	if c.Cold || !c.Baseline.Complete {
		return "not seen " + c.past()
	}
	return "never seen " + c.past()
}
