package triage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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

// stamp writes a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// amount writes a number with its noun.
func amount(n int, noun string) string { return several(n, noun, noun+"s") }

// several is like amount for nouns with a plural of their own, and for those with a verb.
func several(n int, one, many string) string {
	return strconv.Itoa(n) + " " + oneOrMany(n, one, many)
}

// oneOrMany chooses a word by a number.
func oneOrMany(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// times writes how often.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

// number writes a number of days with one place where it is not whole.
func number(f float64) string {
	if f == math.Trunc(f) {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.1f", f)
}

// size writes a number of bytes in decimal units.
func size(n float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f bytes", n)
}

// shown is a text from a log as a sentence has it: on one line, and short.
func shown(s string) string {
	const most = 120
	return cut(strings.Join(strings.Fields(s), " "), most)
}

// cut shortens a text from a log to so many runes.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// capital begins a text with a capital letter.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// enumerate joins parts of a sentence: "a, b and c".
func enumerate(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// fewOf enumerates the first of some texts from a log and says how many more there are.
func fewOf(list []string, most int) string {
	few := make([]string, 0, min(len(list), most))
	for _, s := range atMost(list, most) {
		few = append(few, shown(s))
	}
	if len(list) <= most {
		return enumerate(few)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(few, ", "), len(list)-most)
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
