package pipeline

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
)

// A Zone is one account and region, with its hours. An hour is observed if it has a
// record, failed if an object of it could not be read whole, else quiet: between the
// first and the last record of an account its trail delivers, and a region without
// records had nothing to say. Before and after, hours are unknown.
type Zone struct {
	Account, Region string
	Records         int64
	First, Last     time.Time // event times; zero without records
	Hours           int       // observed
	Quiet           int       // without a record, between the account's first and last hour
	Failed          int       // of an object that could not be read whole
	Unreadable      int64     // objects of the zone that could not be read whole
}

// A FailedHour is an hour of an account and region of which an object could not be read
// whole.
type FailedHour struct {
	Account, Region string
	Hour            time.Time
}

// Bounds of the ledger: hostile records can name any account, region and time.
const (
	maxZones    = 1 << 16 // the first in order are kept
	maxZoneDays = 1 << 12 // the last are kept
	maxZoneName = 64      // bytes of an account or region
)

// zoneFields finds an event's account and region.
type zoneFields struct{ recipient, account, region *ecs.Field }

func newZoneFields(cat *ecs.Catalogue) zoneFields {
	return zoneFields{
		cat.Resolve("aws.cloudtrail.recipient_account_id"), cat.Resolve("cloud.account.id"), cat.Resolve("cloud.region"),
	}
}

// of returns them: the account is the one that received the record.
func (z zoneFields) of(ev ecs.Event) (account, region string) {
	one := func(f *ecs.Field) string {
		if v := ev.Values(f); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	if account = one(z.recipient); account == "" {
		account = one(z.account)
	}
	return account, one(z.region)
}

// coverage notes which hours were seen. It belongs to one goroutine.
type coverage struct {
	limit int // zones; twice as many before some are forgotten
	zones map[zoneKey]*zone
	last  *zone
	more  int64 // records of zones that were forgotten
}

type zoneKey struct{ account, region string }

// keyOf copies nothing.
func keyOf(account, region string) zoneKey {
	return zoneKey{account[:min(len(account), maxZoneName)], region[:min(len(region), maxZoneName)]}
}

func (k zoneKey) compare(o zoneKey) int {
	return cmp.Or(cmp.Compare(k.account, o.account), cmp.Compare(k.region, o.region))
}

type zone struct {
	zoneKey
	observed, failed hours
	hour             int64 // the last noted
	records          int64
	first, last      int64 // nanoseconds
	unreadable       int64
}

func newCoverage() *coverage { return &coverage{limit: maxZones, zones: map[zoneKey]*zone{}} }

// note records an event of an account and region at t (nanoseconds). Nearly every
// record has the zone and hour of the one before.
func (c *coverage) note(account, region string, t int64) {
	z := c.zone(account, region)
	z.records++
	if hour := floorDiv(t, int64(time.Hour)); hour != z.hour || z.records == 1 {
		z.observed.add(hour)
		z.hour = hour
	}
	if z.records == 1 {
		z.first, z.last = t, t
	}
	z.first, z.last = min(z.first, t), max(z.last, t)
}

// fail records that an object could not be read whole. The name of a log file tells
// when it was delivered, minutes after its events; without that the whole day fails.
func (c *coverage) fail(k *cloudtrail.Key) {
	z := c.zone(k.Account, k.Region)
	z.unreadable++
	first, last := k.Day, k.Day.Add(23*time.Hour)
	for part := range strings.SplitSeq(k.File, "_") {
		if t, err := time.Parse("20060102T1504Z", part); err == nil {
			first, last = t.Add(-15*time.Minute), t
		}
	}
	for h := floorDiv(first.UnixNano(), int64(time.Hour)); h <= floorDiv(last.UnixNano(), int64(time.Hour)); h++ {
		z.failed.add(h)
	}
}

func (c *coverage) zone(account, region string) *zone {
	key := keyOf(account, region)
	if z := c.last; z != nil && z.zoneKey == key {
		return z
	}
	z := c.zones[key]
	if z == nil {
		if len(c.zones) >= 2*c.limit {
			c.forget()
		}
		z = &zone{zoneKey: zoneKey{strings.Clone(key.account), strings.Clone(key.region)}}
		c.zones[z.zoneKey] = z
	}
	c.last = z
	return z
}

// forget keeps the first zones in order. One that is among the first of all is
// among the first of any part, so what is kept in the end does not depend on who
// read what.
func (c *coverage) forget() {
	c.last = nil
	if len(c.zones) <= c.limit {
		return
	}
	keys := slices.SortedFunc(maps.Keys(c.zones), zoneKey.compare)
	for _, k := range keys[c.limit:] {
		c.more += c.zones[k].records
		delete(c.zones, k)
	}
}

func (c *coverage) merge(o *coverage) {
	c.more += o.more
	for key, z := range o.zones {
		have := c.zones[key]
		if have == nil {
			c.zones[key] = z
			continue
		}
		switch {
		case have.records == 0:
			have.first, have.last = z.first, z.last
		case z.records > 0:
			have.first, have.last = min(have.first, z.first), max(have.last, z.last)
		}
		have.records += z.records
		have.unreadable += z.unreadable
		have.observed.merge(z.observed)
		have.failed.merge(z.failed)
	}
	c.forget()
}

// hours is a set of hours since 1970, as a bit for each in the days that have any.
type hours []day

type day struct {
	n    int32
	bits uint32
}

func (h *hours) add(hour int64) {
	n := floorDiv(hour, 24)
	h.or(day{int32(n), 1 << (hour - n*24)})
}

func (h *hours) or(d day) {
	i, found := slices.BinarySearchFunc(*h, d, func(a, b day) int { return cmp.Compare(a.n, b.n) })
	switch {
	case found:
		(*h)[i].bits |= d.bits
		return
	case len(*h) < maxZoneDays:
	case i == 0:
		return // older than all that are kept
	default:
		*h = slices.Delete(*h, 0, 1)
		i--
	}
	*h = slices.Insert(*h, i, d)
}

func (h *hours) merge(o hours) {
	for _, d := range o {
		h.or(d)
	}
}

// count returns how many hours of the set are in [from, to).
func (h hours) count(from, to int64) (n int) {
	for _, d := range h {
		first := int64(d.n) * 24
		b := d.bits
		if first < from {
			b &^= 1<<min(from-first, 24) - 1
		}
		if first+24 > to {
			b &= 1<<max(to-first, 0) - 1
		}
		n += bits.OnesCount32(b)
	}
	return n
}

// minus returns the hours that are not in o.
func (h hours) minus(o hours) hours {
	out := slices.Clone(h)
	for i := range out {
		if j, found := slices.BinarySearchFunc(o, out[i], func(a, b day) int { return cmp.Compare(a.n, b.n) }); found {
			out[i].bits &^= o[j].bits
		}
	}
	return out
}

// ledger is the coverage of the whole input.
type ledger struct {
	zones    map[zoneKey]*zone
	accounts map[string]span
}

// span is the hours of an account, in any region, from its first record to behind
// its last.
type span struct{ from, to int64 }

func newLedger(c *coverage) *ledger {
	l := &ledger{zones: c.zones, accounts: map[string]span{}}
	for _, z := range c.zones {
		if z.records == 0 {
			continue
		}
		s := span{floorDiv(z.first, int64(time.Hour)), floorDiv(z.last, int64(time.Hour)) + 1}
		if have, ok := l.accounts[z.account]; ok {
			s = span{min(have.from, s.from), max(have.to, s.to)}
		}
		l.accounts[z.account] = s
	}
	return l
}

// share returns which part of [from, to) is covered for an account and region, 0 to
// 1. Unknown and failed hours are not; quiet ones are, so that a region that sleeps
// is not blind.
func (l *ledger) share(account, region string, from, to int64) float64 {
	key := keyOf(account, region)
	s, ok := l.accounts[key.account]
	if !ok || to <= from {
		return 0
	}
	const hour = int64(time.Hour)
	begin, end := max(from, s.from*hour), min(to, s.to*hour)
	if end <= begin {
		return 0
	}
	covered := float64(end) - float64(begin)
	if z := l.zones[key]; z != nil {
		covered -= float64(z.failed.count(floorDiv(begin, hour), floorDiv(end-1, hour)+1)) * float64(hour)
	}
	return max(covered, 0) / (float64(to) - float64(from))
}

// failures returns the hours of which an object could not be read whole, by account and
// region.
func (l *ledger) failures() []FailedHour {
	var out []FailedHour
	for _, key := range slices.SortedFunc(maps.Keys(l.zones), zoneKey.compare) {
		z := l.zones[key]
		for _, d := range z.failed {
			for h := range 24 {
				if d.bits&(1<<h) != 0 {
					out = append(out, FailedHour{z.account, z.region, time.Unix((int64(d.n)*24+int64(h))*3600, 0).UTC()})
				}
			}
		}
	}
	return out
}

// list returns the zones by account and region.
func (l *ledger) list() []Zone {
	out := make([]Zone, 0, len(l.zones))
	for _, key := range slices.SortedFunc(maps.Keys(l.zones), zoneKey.compare) {
		z := l.zones[key]
		v := Zone{
			Account: z.account, Region: z.region, Records: z.records, Unreadable: z.unreadable,
			Hours: z.observed.count(minTime, maxTime), Failed: z.failed.count(minTime, maxTime),
		}
		if z.records > 0 {
			v.First, v.Last = at(z.first), at(z.last)
		}
		if s, ok := l.accounts[z.account]; ok {
			v.Quiet = max(0, int(s.to-s.from)-v.Hours-z.failed.minus(z.observed).count(s.from, s.to))
		}
		out = append(out, v)
	}
	return out
}

// floorDiv rounds down, also what is before 1970.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
