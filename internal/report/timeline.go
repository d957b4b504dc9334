package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/alert"
)

// The timeline's drawing, in the units of its view box.
const (
	drawWidth = 1000.0
	drawLeft  = 118.0 // room for names
	drawRight = 12.0
	laneStep  = 26.0
	maxLanes  = 8 // of accounts
	dotSize   = 5.0
	dotRoom   = 4.0 // dots nearer than this are drawn as one
)

// A timeline is a drawing: above a lane with dots for each severity, below a bar
// for each account from its first record to its last.
type timeline struct {
	Height, Axis, Left, Right float64
	Ticks                     []mark
	Lanes                     []lane
	Dots                      []dot
	Spans                     []bar2
	Start                     *mark // what was before was only learned
	More                      int   // accounts not drawn
}

// A mark is a place on the time axis.
type mark struct {
	X     float64
	Label string
}

// A lane is a row of dots.
type lane struct {
	Y    float64
	Name string
}

// A dot is one alert, or several at nearly the same time.
type dot struct {
	X, Y, R         float64
	Severity, Title string
	N               int // number of the first card
	count           int
}

// A bar2 is a stretch of time in which an account has records.
type bar2 struct {
	X, Y, Width, Middle float64
	Name, Title         string
}

// scale maps times to the drawing.
type scale struct{ from, to time.Time }

func (s scale) x(t time.Time) float64 {
	share := float64(t.Sub(s.from)) / float64(s.to.Sub(s.from))
	return round(drawLeft + min(1, max(0, share))*(drawWidth-drawLeft-drawRight))
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// newTimeline draws alerts, which are numbered from 1 as cards are; nil if there is
// no time to draw.
func newTimeline(s *Scan, alerts []*alert.Alert) *timeline {
	sc := scale{s.Stats.First, s.Stats.Last}
	for _, a := range alerts {
		if sc.from.IsZero() || a.Time.Before(sc.from) {
			sc.from = a.Time
		}
		if a.Time.After(sc.to) {
			sc.to = a.Time
		}
	}
	if sc.from.IsZero() {
		return nil
	}
	if !sc.from.Before(sc.to) { // a single moment: show the minute around it
		sc.from, sc.to = sc.from.Add(-30*time.Second), sc.to.Add(30*time.Second)
	}
	t := &timeline{Left: drawLeft, Right: drawWidth - drawRight}
	y := t.dots(sc, alerts, laneStep)
	t.Axis = round(y - laneStep/4)
	t.Ticks = ticks(sc)
	y = t.spans(sc, s, y+laneStep*1.3)
	t.Height = y
	if st := s.Stats.Start; st.After(sc.from) && st.Before(sc.to) {
		t.Start = &mark{sc.x(st), "alerts from here"}
	}
	return t
}

// dots draws a lane for each severity that has alerts and returns where it ends.
func (t *timeline) dots(sc scale, alerts []*alert.Alert, y float64) float64 {
	for _, name := range slices.Backward(severityNames[:]) {
		var last *dot
		for i, a := range alerts {
			if a.Severity != name {
				continue
			}
			x := sc.x(a.Time)
			if last != nil && x-last.X < dotRoom {
				last.count++
				last.Title = count(int64(last.count)) + " alerts from " + clock(alerts[last.N-1].Time, timeFormat) + " UTC on"
				last.R = round(min(dotSize*2, dotSize+math.Log2(float64(last.count))))
				continue
			}
			l := lineOf(a)
			t.Dots = append(t.Dots, dot{
				X: x, Y: y, R: dotSize, Severity: name, N: i + 1, count: 1,
				Title: clip(join(" · ", l.Time+" UTC", l.Name, l.Who, l.What), maxValue),
			})
			last = &t.Dots[len(t.Dots)-1]
		}
		if last != nil {
			t.Lanes = append(t.Lanes, lane{y, name})
			y += laneStep
		}
	}
	return y
}

// spans draws the accounts with the most records.
func (t *timeline) spans(sc scale, s *Scan, y float64) float64 {
	type account struct {
		name        string
		records     int64
		first, last time.Time
	}
	var list []account
	for _, z := range s.Stats.Zones { // they come by account
		if z.Records == 0 {
			continue
		}
		if n := len(list); n > 0 && list[n-1].name == z.Account {
			a := &list[n-1]
			a.records += z.Records
			if z.First.Before(a.first) {
				a.first = z.First
			}
			if z.Last.After(a.last) {
				a.last = z.Last
			}
			continue
		}
		list = append(list, account{z.Account, z.Records, z.First, z.Last})
	}
	slices.SortStableFunc(list, func(a, b account) int { return cmp.Compare(b.records, a.records) })
	for i, a := range list {
		if i == maxLanes {
			t.More = len(list) - maxLanes
			break
		}
		x := sc.x(a.first)
		t.Spans = append(t.Spans, bar2{
			X: x, Y: y, Width: max(2, round(sc.x(a.last)-x)), Middle: y + 9, Name: cut(Safe(cmp.Or(a.name, "no account")), 15),
			Title: plural(a.records, "record") + ", " + clock(a.first, minuteFormat) + " to " + clock(a.last, minuteFormat) + " UTC",
		})
		y += laneStep * 0.75
	}
	return y
}

// ticks chooses round times, about six.
func ticks(sc scale) []mark {
	steps := []time.Duration{
		time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
	}
	whole := sc.to.Sub(sc.from)
	step := steps[len(steps)-1]
	for _, s := range steps {
		if whole/s <= 7 {
			step = s
			break
		}
	}
	for whole/step > 12 {
		step *= 2
	}
	format := dayFormat
	switch {
	case step < time.Minute:
		format = clockFormat
	case step < 24*time.Hour && whole <= 24*time.Hour:
		format = "15:04"
	case step < 24*time.Hour:
		format = "01-02 15:04"
	}
	var out []mark
	for at := sc.from.UTC().Truncate(step); !at.After(sc.to); at = at.Add(step) {
		if !at.Before(sc.from) {
			out = append(out, mark{sc.x(at), at.Format(format)})
		}
	}
	return out
}
