package server

import (
	"net/http"
	"time"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

const (
	coverageSpan = 7 * 24 * time.Hour
	maxCoverage  = 400 * 24 * time.Hour
	maxCells     = 200_000
	maxGaps      = 1000
	maxObjects   = 1000
)

func (s *Server) coverage(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	account, region := p.text("account"), p.text("region")
	from, to := p.time("from"), p.time("to")
	by := p.choice("by", "hour", "day")
	if err := p.done(); err != nil {
		return err
	}
	if to.IsZero() {
		to = s.o.Now() // the hour that is not over is not judged
	}
	if from.IsZero() {
		from = to.Add(-coverageSpan)
	}
	from, to = from.UTC().Truncate(time.Hour), to.UTC().Truncate(time.Hour)
	if by == "day" {
		from = from.Truncate(24 * time.Hour)
	}
	switch {
	case !from.Before(to):
		return invalid("from is not an hour before to: there is nothing between them")
	case to.Sub(from) > maxCoverage:
		return invalid("from %s to %s is more than 400 days", from.Format(time.DateOnly), to.Format(time.DateOnly))
	}
	out := api.Coverage{From: from, To: to, By: by}
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		zones, err := store.CoverageOf(tx, account, region, from, to)
		if err != nil {
			return err
		}
		return ledger(&out, zones)
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

// ledger makes the answer of the zones.
func ledger(out *api.Coverage, zones []store.ZoneCoverage) error {
	step := time.Hour
	if out.By == "day" {
		step = 24 * time.Hour
	}
	if cells := int(out.To.Sub(out.From)/step+1) * len(zones); cells > maxCells {
		return &api.Error{
			Code: api.TooLarge, Message: "the answer would have more than 200,000 cells",
			Hint: "ask for one account, for less time, or by day",
		}
	}
	var gaps []store.Gap
	shares := 0.0
	for i := range zones {
		z := &zones[i]
		shares += z.Share
		gaps = append(gaps, z.Gaps()...)
		out.Zones = append(out.Zones, zone(z, step))
	}
	if len(zones) > 0 {
		out.Share = shares / float64(len(zones))
	}
	store.SortGaps(gaps)
	if len(gaps) > maxGaps {
		out.MoreGaps = len(gaps) - maxGaps
		gaps = gaps[:maxGaps]
	}
	for _, g := range gaps {
		out.Gaps = append(out.Gaps, api.Gap(g))
	}
	return nil
}

func zone(z *store.ZoneCoverage, step time.Duration) api.Zone {
	out := api.Zone{Account: z.Account, Region: z.Region, Share: z.Share}
	var all, part adder
	hours := 0
	share := 0.0
	end := func() {
		if hours > 0 {
			c := &out.Cells[len(out.Cells)-1]
			c.Share, c.Sums = share/float64(hours), part.sums()
		}
		part, hours, share = adder{}, 0, 0
	}
	for i := range z.Hours {
		h := &z.Hours[i]
		state, covered := h.Coverage()
		if state == store.HourUnknown && z.States[i] == store.HourQuiet {
			covered = 1
		}
		state = z.States[i]
		if t := h.Hour.Truncate(step); len(out.Cells) == 0 || !out.Cells[len(out.Cells)-1].Time.Equal(t) {
			end()
			out.Cells = append(out.Cells, api.Cell{Time: t, State: state})
		}
		if c := &out.Cells[len(out.Cells)-1]; state.Worse(c.State) {
			c.State = state
		}
		hours++
		share += covered
		part.add(h)
		all.add(h)
	}
	end()
	out.Sums = all.sums()
	return out
}

// An adder adds hours up.
type adder struct {
	s       api.Sums
	longest time.Duration
	delay   time.Duration
}

func (a *adder) add(h *store.Hour) {
	s := &a.s
	s.Expected += h.Expected
	s.Read += h.Read
	s.Unexpected += h.Unexpected
	s.Failed += h.Failed
	s.Rejected += h.Rejected
	s.Records += h.Records
	s.Duplicates += h.Duplicates
	s.Late += h.Late
	s.Future += h.Future
	a.longest = max(a.longest, h.MaxDelay)
	a.delay += h.SumDelay
}

func (a *adder) sums() api.Sums {
	s := a.s
	s.MaxDelay = a.longest.Seconds()
	if s.Records > 0 {
		s.MeanDelay = a.delay.Seconds() / float64(s.Records)
	}
	return s
}

func objectStates() map[store.ObjectState]string {
	return map[store.ObjectState]string{
		store.ObjectExpected: "expected", store.ObjectPartial: "partial", store.ObjectRead: "read", store.ObjectFailed: "failed",
	}
}

func objectView(o *store.Object) api.Object {
	out := api.Object{
		Source: o.Source, Name: o.Name, Version: o.Version, Account: o.Account, Region: o.Region,
		State: objectStates()[o.State], Expected: o.Expected, Records: o.Records, Rejected: o.Rejected, Reason: o.Reason,
	}
	if o.Hour != 0 {
		out.Hour = time.Unix(o.Hour*3600, 0).UTC()
	}
	if o.Arrived != 0 {
		out.Arrived = time.Unix(0, o.Arrived).UTC()
	}
	if o.Read != 0 {
		out.Read = time.Unix(0, o.Read).UTC()
	}
	return out
}

// listObjects looks one object up by its name, or goes through all for those in a
// state, which takes a while where there are millions.
func (s *Server) listObjects(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	name := p.text("name")
	state := p.choice("state", "failed", "partial", "expected", "read")
	account, region := p.text("account"), p.text("region")
	limit := p.limit(defaultPage, maxObjects)
	if err := p.done(); err != nil {
		return err
	}
	var out api.ObjectList
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		if name != "" {
			o, err := store.GetObject(tx, name, "")
			if err == nil && o != nil {
				out.Objects = append(out.Objects, objectView(o))
			}
			return err
		}
		places := map[string]int{}
		for o, err := range store.AllObjects(tx) {
			if err != nil {
				return err
			}
			if objectStates()[o.State] != state || account != "" && account != o.Account || region != "" && region != o.Region {
				continue
			}
			// One that was not read is there under its bare name too.
			if i, ok := places[o.Name]; ok && (o.Version == "" || out.Objects[i].Version == "") {
				if o.Version != "" {
					out.Objects[i] = objectView(o)
				}
				continue
			}
			if len(out.Objects) == limit {
				out.More = true
				return nil
			}
			places[o.Name] = len(out.Objects)
			out.Objects = append(out.Objects, objectView(o))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}
