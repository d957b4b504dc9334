package triage

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// hours are when a principal is active, learned from its baseline.
type hours struct {
	from, length int          // of the day, UTC: the shortest stretch that holds the share
	days         map[int]bool // of the week, local, Monday 0; nil: too few to tell
	events       int64
}

// learnHours learns the hours and days that hold a share of what was done.
func learnHours(h *Habits, share float64, zone *time.Location, at time.Time, leastDays int) hours {
	var day [24]int64
	var week [7]int64
	_, offset := at.In(zone).Zone()
	for i, n := range h.Week {
		day[i%24] += n
		local := (i*3600 + offset + 7*86400) / 86400 % 7
		week[local] += n
	}
	out := hours{length: 24, events: h.Events}
	need := int64(math.Ceil(share * float64(h.Events)))
	for length := 1; length < 24; length++ {
		var best int64
		for from := range 24 {
			var n int64
			for i := range length {
				n += day[(from+i)%24]
			}
			if n >= need && n > best {
				best, out.from, out.length = n, from, length
			}
		}
		if best > 0 {
			break
		}
	}
	if out.length >= 22 { // of somebody who is always active, 95 % fill 23
		out.from, out.length = 0, 24
	}
	if h.Days < leastDays {
		return out
	}
	out.days = map[int]bool{}
	order := []int{0, 1, 2, 3, 4, 5, 6}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(max(week[b]-week[a], -1), 1)) })
	var n int64
	for _, d := range order {
		if n >= need {
			break
		}
		out.days[d] = true
		n += week[d]
	}
	return out
}

// holds reports whether a time is inside.
func (h *hours) holds(t time.Time, zone *time.Location) bool {
	if (t.UTC().Hour()-h.from+24)%24 >= h.length {
		return false
	}
	return h.days == nil || h.days[weekday(t.In(zone))]
}

// weekday counts from Monday.
func weekday(t time.Time) int { return (int(t.Weekday()) + 6) % 7 }

// said writes the hours and days as people of a zone read them.
func (h *hours) said(at time.Time, zone *time.Location) string {
	if h.length == 24 {
		return "around the clock"
	}
	from := at.UTC().Truncate(24 * time.Hour).Add(time.Duration(h.from) * time.Hour)
	text := fmt.Sprintf("%s to %s", from.In(zone).Format("15:04"), from.Add(time.Duration(h.length)*time.Hour).In(zone).Format("15:04"))
	if h.days != nil && len(h.days) < 7 {
		var names []string
		for d := range 7 {
			if h.days[d] {
				names = append(names, time.Weekday((d + 1) % 7).String()[:3])
			}
		}
		text += ", " + strings.Join(names, " ")
	}
	return text
}

// A run is what was done at about one time.
type run struct {
	start  time.Time
	events []*Event
}

// runs groups events that came within a while of the first of them.
func runs(list []*Event, within time.Duration) (out []run) {
	for _, e := range list {
		if n := len(out); n > 0 && e.Time.Sub(out[n-1].start) <= within {
			out[n-1].events = append(out[n-1].events, e)
			continue
		}
		out = append(out, run{e.Time, []*Event{e}})
	}
	return out
}

// spacing returns the mean time between runs, and how much it varies, as a share of it.
func spacing(list []run) (mean time.Duration, variation float64) {
	n := float64(len(list) - 1)
	if n < 1 {
		return 0, math.Inf(1)
	}
	m := float64(list[len(list)-1].start.Sub(list[0].start)) / n
	if m <= 0 {
		return 0, math.Inf(1)
	}
	var squares float64
	for i := 1; i < len(list); i++ {
		d := float64(list[i].start.Sub(list[i-1].start)) - m
		squares += d * d
	}
	return time.Duration(m), math.Sqrt(squares/n) / m
}

// densest returns the most events of a list, which is in order of time, that lie within
// a span; with an event given, of those that have it among them.
func densest(list []*Event, within time.Duration, with *Event) (best []*Event) {
	at := -1
	if with != nil {
		if at = slices.IndexFunc(list, func(e *Event) bool { return e.ID == with.ID }); at < 0 {
			return nil
		}
	}
	for i, j := 0, 0; i < len(list); i++ {
		for j < len(list) && list[j].Time.Sub(list[i].Time) <= within {
			j++
		}
		if j-i > len(best) && (at < 0 || i <= at && at < j) {
			best = list[i:j]
		}
	}
	return best
}

// apart returns how far two times are from each other on the clock of a day.
func apart(a, b time.Time) time.Duration {
	const day = 24 * time.Hour
	d := (a.Sub(b)%day + day) % day
	return min(d, day-d)
}
