package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/triage"
)

// A picture draws the timeline of a triage: a lane for each tie to the alert, time
// from left to right. Near the alert it is stretched, as the logarithm of the distance
// from it: what happened within seconds and what happened weeks before have room.
type picture struct {
	Height, Axis, Left, Right float64
	Alert                     mark
	Ticks                     []mark
	Lanes                     []lane
	Spots                     []spot
}

// A spot is one line of the timeline, or several at nearly the same time.
type spot struct {
	X, Y, R             float64
	Class, Title, Label string // this, cited, failed or plain
	N                   int    // number of the first in the table
	LabelX              float64
	action              string // of the first
	mixed               bool   // the others have other ones
	count               int
}

// stretch is the distance from the alert up to which the scale is nearly even.
const stretch = 10 * time.Second

// Widths of texts in the picture, in its units.
const (
	letter    = 6.4 // of its labels, on average
	labelRoom = 10.0
	spotRoom  = 8.0 // spots nearer than this are drawn as one
	tickRoom  = 34.0
	maxLabel  = 26 // columns
)

// A distance maps times before and after the alert to the drawing.
type distance struct{ before, after, left, right float64 }

func stretched(d time.Duration) float64 {
	return math.Log1p(math.Abs(float64(d)) / float64(stretch))
}

// newDistance fits all the moments, with some room at both ends; a side on which
// nothing happened is narrow.
func newDistance(r *triage.Report, n int) distance {
	s := distance{left: drawLeft + dotSize, right: drawWidth - drawRight - dotSize}
	for i := range r.Timeline[:n] {
		if d := sinceAlert(r, i); d < 0 {
			s.before = max(s.before, stretched(d))
		} else {
			s.after = max(s.after, stretched(d))
		}
	}
	whole := max(s.before+s.after, 1)
	s.before, s.after = max(s.before*1.03, whole/8), max(s.after*1.03, whole/8)
	return s
}

func (s distance) x(d time.Duration) float64 {
	at := stretched(d)
	if d < 0 {
		at = -at
	}
	share := (at + s.before) / (s.before + s.after)
	return round(s.left + min(1, max(0, share))*(s.right-s.left))
}

func sinceAlert(r *triage.Report, i int) time.Duration {
	if t := r.Timeline[i].Time; !t.IsZero() {
		return t.Sub(r.Time)
	}
	return 0
}

// newPicture draws the moments that the table lists; nil if there are none.
func newPicture(r *triage.Report, list []moment) *picture {
	if len(list) == 0 {
		return nil
	}
	s := newDistance(r, len(list))
	p := &picture{Left: drawLeft, Right: drawWidth - drawRight, Alert: mark{s.x(0), "the alert, " + clock(r.Time, clockFormat)}}
	y := laneStep * 1.4
	for rank := range ties {
		begin := len(p.Spots)
		for i := range list {
			if tieRank(r.Timeline[i].Tie) == rank {
				p.spot(&list[i], s.x(sinceAlert(r, i)), y, begin)
			}
		}
		if len(p.Spots) > begin {
			finish(p.Spots[begin:])
			p.label(begin)
			p.Lanes = append(p.Lanes, lane{y, ties[rank].label})
			y += laneStep
		}
	}
	p.Axis = round(y - laneStep/4)
	p.Height = p.Axis + 22
	p.ticks(s)
	return p
}

// spot draws a moment, or counts it to one of the lane's that is of its kind and near.
func (p *picture) spot(m *moment, x, y float64, begin int) {
	class := "plain"
	switch {
	case m.This:
		class = "this"
	case m.Failed:
		class = "failed"
	case m.Cited:
		class = "cited"
	}
	for i := len(p.Spots) - 1; i >= begin; i-- {
		if near := &p.Spots[i]; near.Class == class && math.Abs(x-near.X) < spotRoom {
			near.count++
			near.mixed = near.mixed || near.action != m.Action
			near.R = round(min(dotSize*1.8, dotSize+math.Log2(float64(near.count))))
			return
		}
	}
	title := join(" · ", m.Time+" UTC", m.Off, m.Action, m.What, m.Who, m.Tie, m.How)
	if len(m.Steps) > 0 {
		title += " · cited by " + strings.Join(few(m.Steps, maxName), " ")
	}
	radius := dotSize
	if m.This {
		radius *= 1.5
	}
	p.Spots = append(p.Spots, spot{X: x, Y: y, R: radius, Class: class, Title: Safe(clip(title, maxValue)), N: m.N, action: m.Action, count: 1})
}

// finish tells of spots that stand for several moments.
func finish(lane []spot) {
	for i := range lane {
		if s := &lane[i]; s.count > 1 {
			s.Title = "the first of " + count(int64(s.count)) + " at nearly the same time: " + s.Title
		}
	}
}

// label writes the action beside the spots of the lane that have room for it.
func (p *picture) label(begin int) {
	lane := p.Spots[begin:]
	slices.SortStableFunc(lane, func(a, b spot) int { return int(a.X*10) - int(b.X*10) })
	for i := range lane {
		s := &lane[i]
		end := p.Right
		if i+1 < len(lane) {
			end = lane[i+1].X - lane[i+1].R
		}
		if s.X < p.Alert.X { // no text over the alert's line
			end = min(end, p.Alert.X)
		}
		_, label, found := strings.Cut(s.action, ":")
		if !found {
			label = s.action
		}
		label = cut(Safe(clip(label, maxName)), maxLabel)
		switch {
		case s.mixed:
			label += " and " + count(int64(s.count-1)) + " more"
		case s.count > 1:
			label += " ×" + count(int64(s.count))
		}
		if s.X+labelRoom+letter*float64(len([]rune(label))) <= end {
			s.Label, s.LabelX = label, s.X+s.R+3
		}
	}
}

// ticks marks round distances, as far as they do not touch.
func (p *picture) ticks(s distance) {
	const day = 24 * time.Hour
	before, after := p.Alert.X, p.Alert.X
	for _, d := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, day, 7 * day, 30 * day, 365 * day} {
		at := stretched(d)
		if x := s.x(-d); at <= s.before && before-x >= tickRoom {
			p.Ticks = append(p.Ticks, mark{x, off(-d)})
			before = x
		}
		if x := s.x(d); at <= s.after && x-after >= tickRoom {
			p.Ticks = append(p.Ticks, mark{x, off(d)})
			after = x
		}
	}
}
