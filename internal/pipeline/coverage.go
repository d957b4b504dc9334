package pipeline

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A Zone is one account and region, with the hours in which it has records.
type Zone struct {
	Account, Region string
	Records         int64
	First, Last     time.Time // event times
	Hours           int       // with at least one record
	Quiet           int       // without, between the account's first and last hour
	Unreadable      int64     // objects of the zone that could not be read whole
}

// coverage notes which hours were seen. It belongs to one goroutine.
type coverage struct {
	zones map[string]*zone
	last  *zone
	key   []byte
}

type zone struct {
	account, region string
	hours           map[int64]struct{}
	hour            int64 // the last noted
	records         int64
	first, last     int64 // nanoseconds
	unreadable      int64
}

func newCoverage() *coverage { return &coverage{zones: map[string]*zone{}} }

// note records an event of an account and region at t (nanoseconds). Nearly every
// record has the zone and hour of the one before.
func (c *coverage) note(account, region string, t int64) {
	z := c.zone(account, region)
	z.records++
	hour := floorHour(t)
	if hour != z.hour || z.records == 1 {
		z.hours[hour] = struct{}{}
		z.hour = hour
	}
	if z.records == 1 || t < z.first {
		z.first = t
	}
	if z.records == 1 || t > z.last {
		z.last = t
	}
}

func (c *coverage) zone(account, region string) *zone {
	if z := c.last; z != nil && z.account == account && z.region == region {
		return z
	}
	c.key = append(append(append(c.key[:0], account...), 0), region...)
	z := c.zones[string(c.key)]
	if z == nil {
		z = &zone{account: strings.Clone(account), region: strings.Clone(region), hours: map[int64]struct{}{}}
		c.zones[string(c.key)] = z
	}
	c.last = z
	return z
}

func (c *coverage) merge(o *coverage) {
	for key, z := range o.zones {
		have := c.zones[key]
		if have == nil {
			c.zones[key] = z
			continue
		}
		if z.records > 0 {
			if have.records == 0 || z.first < have.first {
				have.first = z.first
			}
			if have.records == 0 || z.last > have.last {
				have.last = z.last
			}
		}
		have.records += z.records
		have.unreadable += z.unreadable
		maps.Copy(have.hours, z.hours)
	}
}

// ledger is the coverage of the whole input.
type ledger struct {
	zones    map[string]*zone
	accounts map[string]span // first and last hour of the account in any region
}

type span struct{ first, last int64 }

func newLedger(c *coverage) *ledger {
	l := &ledger{zones: c.zones, accounts: map[string]span{}}
	for _, z := range c.zones {
		if z.records == 0 {
			continue
		}
		s, ok := l.accounts[z.account]
		first, last := floorHour(z.first), floorHour(z.last)
		if ok {
			first, last = min(first, s.first), max(last, s.last)
		}
		l.accounts[z.account] = span{first, last}
	}
	return l
}

// share returns which part of [from, to) is covered for an account, 0 to 1. An hour
// counts unless nothing of the account was delivered before it or nothing after:
// between its first and last record a trail that has nothing to say is quiet, in
// every region, not blind.
func (l *ledger) share(account string, from, to int64) float64 {
	s, ok := l.accounts[account]
	if !ok || to <= from {
		return 0
	}
	begin, end := max(from, s.first*int64(time.Hour)), min(to, (s.last+1)*int64(time.Hour))
	if end <= begin {
		return 0
	}
	return float64(end-begin) / float64(to-from)
}

// list returns the zones by account and region.
func (l *ledger) list() []Zone {
	out := make([]Zone, 0, len(l.zones))
	for _, key := range slices.Sorted(maps.Keys(l.zones)) {
		z := l.zones[key]
		s := l.accounts[z.account]
		out = append(out, Zone{
			Account: z.account, Region: z.region, Records: z.records,
			First: time.Unix(0, z.first).UTC(), Last: time.Unix(0, z.last).UTC(),
			Hours: len(z.hours), Quiet: int(s.last-s.first) + 1 - len(z.hours), Unreadable: z.unreadable,
		})
	}
	return out
}

func floorHour(t int64) int64 {
	h := t / int64(time.Hour)
	if t < 0 && t%int64(time.Hour) != 0 {
		h--
	}
	return h
}
