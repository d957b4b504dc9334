package serve

import (
	"time"

	"github.com/debutsec/debut/internal/store"
)

// coldBelow is the share of a history window that must have been covered; under it a
// "first time" says little.
const coldBelow = 0.95

// coverage answers how much of a time was covered, from the ledger. It remembers what
// it has read, for one transaction.
type coverage struct {
	tx    store.Tx
	known map[coverageOf]float64
}

// coverageOf is a question: whole hours since 1970, to excluded.
type coverageOf struct {
	account, region string
	from, to        int64
}

func newCoverage(tx store.Tx) *coverage {
	return &coverage{tx: tx, known: map[coverageOf]float64{}}
}

// share returns which part of [from, to) is covered for an account and region, 0 to 1,
// by whole hours: a window of less than one is that hour. Before the first and behind
// the last record of an account hours are unknown; in between, an hour is covered but
// for the objects that are known to exist and were not read.
func (c *coverage) share(account, region string, from, to time.Time) (float64, error) {
	q := coverageOf{account, region, floorDiv(from.Unix(), 3600), floorDiv(to.Unix()+3599, 3600)}
	q.to = max(q.to, q.from+1)
	if share, ok := c.known[q]; ok {
		return share, nil
	}
	zones, err := store.CoverageOf(c.tx, account, region, time.Unix(q.from*3600, 0), time.Unix(q.to*3600, 0))
	if err != nil {
		return 0, err
	}
	share := 0.0
	if len(zones) > 0 {
		share = zones[0].Share
	}
	c.known[q] = share
	return share, nil
}
