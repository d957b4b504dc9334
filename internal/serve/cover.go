package serve

import (
	"bytes"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// coldBelow is the share of a history window that must have been covered; under it a
// "first time" says little.
const coldBelow = 0.95

func lastIndex(b []byte, s string) int { return bytes.LastIndex(b, []byte(s)) }

// coverage answers how much of a time was covered, from the ledger. It remembers what
// it has read, for one transaction.
type coverage struct {
	tx       store.Tx
	accounts map[string]*accountHours
}

// accountHours is the ledger of one account.
type accountHours struct {
	from, to int64 // hours in which anything came, to excluded
	known    bool
	regions  map[string]map[int64]float64 // of hours that were not read whole: the share that was
}

func newCoverage(tx store.Tx) *coverage {
	return &coverage{tx: tx, accounts: map[string]*accountHours{}}
}

// share returns which part of [from, to) is covered for an account and region, 0 to 1.
// Before the first and behind the last record of an account hours are unknown; in
// between, an hour is covered but for the objects of the region that are known to
// exist and were not read: a region that sleeps is not blind.
func (c *coverage) share(account, region string, from, to time.Time) (float64, error) {
	h, err := c.account(account)
	if err != nil || !h.known || !from.Before(to) {
		return 0, err
	}
	const hour = int64(time.Hour)
	begin, end := max(from.UnixNano(), h.from*hour), min(to.UnixNano(), h.to*hour)
	if end <= begin {
		return 0, nil
	}
	covered := float64(end - begin)
	for at, share := range h.regions[region] {
		overlap := min(end, (at+1)*hour) - max(begin, at*hour)
		if overlap > 0 {
			covered -= float64(overlap) * (1 - share)
		}
	}
	return max(covered, 0) / float64(to.UnixNano()-from.UnixNano()), nil
}

func (c *coverage) account(account string) (*accountHours, error) {
	if h := c.accounts[account]; h != nil {
		return h, nil
	}
	h := &accountHours{regions: map[string]map[int64]float64{}}
	for line, err := range store.HoursOf(c.tx, account, "", time.Time{}, time.Time{}) {
		if err != nil {
			return nil, err
		}
		at := floorDiv(line.Hour.Unix(), 3600)
		if line.Records > line.Future { // something came that is no claim about the future
			if !h.known || at < h.from {
				h.from = at
			}
			if !h.known || at >= h.to {
				h.to = at + 1
			}
			h.known = true
		}
		if missing := line.Expected - (line.Read - line.Unexpected); missing > 0 || line.Failed > 0 {
			whole := max(line.Expected+line.Unexpected, missing+line.Failed, 1)
			share := 1 - float64(max(missing, line.Failed))/float64(whole)
			if h.regions[line.Region] == nil {
				h.regions[line.Region] = map[int64]float64{}
			}
			h.regions[line.Region][at] = max(share, 0)
		}
	}
	c.accounts[account] = h
	return h, nil
}
