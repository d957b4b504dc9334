package generate

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config says what to generate. Start from [Default]; fields that say so are derived
// from the number of records where they are zero.
type Config struct {
	Records int64     // expected number before keep-alives, overlay and duplicates, which add about a tenth
	Seed    uint64    //
	Start   time.Time // whole second, UTC; zero: 2025-01-06, a Monday
	Days    int       // zero: by Records
	// Accounts is the number of accounts; zero: by Records.
	Accounts int
	// Window is the history window that the truth about pairs is for; zero: 0.3 days
	// for each day of the trail, at most 36 h. At least 6 h, whole seconds.
	Window time.Duration
	// Overlay is how often each SendCommand case is laid over the trail; zero: 20, less
	// below a million records; negative: not at all.
	Overlay int
	// ServiceShare is the share of the management records that AWS services make by
	// themselves, in (0, 1); zero: 0.40. Idle accounts have 0.85 and more.
	ServiceShare float64
	// DataShare is the share of the records that are data events, in [0, 0.95].
	DataShare float64
	// RareLarge makes one record in 10^5 answer with up to 100 KB and one in 10^6 with
	// close to 256 KB.
	RareLarge bool

	Duplicates Duplicates

	// RecordsPerObject packs the records of each account and region, in the order of
	// their delivery, into objects of this many, instead of one object for each writer
	// and five minutes. The records are the same.
	RecordsPerObject int
	Digests          bool // hourly digest files
	Workers          int  // accounts in work at a time; zero: 1. Changes nothing in the output
}

// Duplicates are the ways in which a record comes more than once. None changes the
// truth.
type Duplicates struct {
	SecondTrail float64 // share of the accounts with two trails: all management events twice
	Repeat      float64 // share of the records that stand again in the writer's next object
	Redelivery  float64 // share of the objects that are announced twice
}

// Bounds of a configuration.
const (
	maxRecords   = 100_000_000_000
	maxAccounts  = 99_999
	maxDays      = 3_660
	minWindow    = 6 * time.Hour
	maxPerObject = 100_000
)

// Default is the trail of a size: a month of a thousand accounts at a billion records, a
// working week of twenty at a million.
func Default(records int64, seed uint64) Config {
	return Config{
		Records: records, Seed: seed, RareLarge: true,
		Duplicates: Duplicates{SecondTrail: 0.05, Repeat: 1e-4, Redelivery: 1e-4},
	}
}

// sizes are the trails that the workload is described for.
var sizes = [...]struct{ records, accounts, days float64 }{ //nolint:gochecknoglobals // a table
	{1e6, 20, 5}, {1e7, 50, 10}, {1e8, 200, 20}, {1e9, 1000, 30},
}

// sized gives the number of accounts and days for a number of records: between the
// sizes of the table by powers, below it as many accounts as a rate of 10,000 records a
// day allows.
func sized(records float64) (accounts, days int) {
	first, last := sizes[0], sizes[len(sizes)-1]
	if records < first.records {
		accounts = max(1, int(math.Round(first.accounts*records/first.records)))
		days = min(max(1, int(math.Round(records/float64(accounts)/1e4))), int(first.days))
		return accounts, days
	}
	for i := 1; i < len(sizes); i++ {
		lo, hi := sizes[i-1], sizes[i]
		if records <= hi.records {
			f := math.Log(records/lo.records) / math.Log(hi.records/lo.records)
			accounts = int(math.Round(lo.accounts * math.Pow(hi.accounts/lo.accounts, f)))
			days = int(math.Round(lo.days * math.Pow(hi.days/lo.days, f)))
			return accounts, days
		}
	}
	return int(last.accounts), int(last.days)
}

// complete fills in what is derived and checks all of it.
func (c Config) complete() (Config, error) {
	accounts, days := sized(float64(c.Records))
	if c.Start.IsZero() {
		c.Start = time.Date(2025, 1, 6, 0, 0, 0, 0, time.UTC)
	}
	if c.Days == 0 {
		c.Days = days
	}
	if c.Accounts == 0 {
		c.Accounts = accounts
	}
	if c.Window == 0 {
		c.Window = min(time.Duration(c.Days)*24*time.Hour*3/10, 36*time.Hour)
	}
	if c.Overlay == 0 {
		c.Overlay = min(20, max(1, int(20*c.Records/1e6)))
	}
	if c.ServiceShare == 0 {
		c.ServiceShare = habits[service].share
	}
	c.Overlay = max(c.Overlay, 0)
	c.Workers = max(c.Workers, 1)
	c.Start = c.Start.UTC()
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// ErrConfig is returned for a configuration that cannot be.
var ErrConfig = errors.New("cannot generate")

func (c *Config) check() error {
	switch {
	case c.Records < 1 || c.Records > maxRecords:
		return fmt.Errorf("%d records: give a number between 1 and %d", c.Records, int64(maxRecords))
	case c.Days < 1 || c.Days > maxDays:
		return fmt.Errorf("%d days: give a number between 1 and %d", c.Days, maxDays)
	case c.Accounts < 1 || c.Accounts > maxAccounts:
		return fmt.Errorf("%d accounts: give a number between 1 and %d", c.Accounts, maxAccounts)
	case c.Window < minWindow || c.Window%time.Second != 0:
		return fmt.Errorf("a window of %s: give whole seconds, at least %s", c.Window, minWindow)
	case c.Overlay > 10_000:
		return fmt.Errorf("each SendCommand case %d times: give at most 10000", c.Overlay)
	case !(c.ServiceShare > 0 && c.ServiceShare < 1):
		return fmt.Errorf("a share of %g of services: give a number between 0 and 1", c.ServiceShare)
	case !(c.DataShare >= 0 && c.DataShare <= 0.95):
		return fmt.Errorf("a share of %g data events: give a number from 0 to 0.95", c.DataShare)
	case c.RecordsPerObject < 0 || c.RecordsPerObject > maxPerObject:
		return fmt.Errorf("%d records in an object: give a number between 1 and %d", c.RecordsPerObject, maxPerObject)
	case c.Start.Nanosecond() != 0:
		return errors.New("the start of the trail is not a whole second")
	}
	for _, p := range []float64{c.Duplicates.SecondTrail, c.Duplicates.Repeat, c.Duplicates.Redelivery} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("a share of %g duplicates: give a number from 0 to 1", p)
		}
	}
	return nil
}

// Times are microseconds since the start of the trail.
const (
	second = int64(1_000_000)
	slot   = 300 * second
	hour   = 3600 * second
	day    = 24 * hour
)

// share is the share of a kind's bursts in the records.
func (c *Config) share(k kind) float64 {
	switch k {
	case dataUser:
		return c.DataShare
	case service:
		return (1 - c.DataShare) * c.ServiceShare
	default:
		return (1 - c.DataShare) * habits[k].share * (1 - c.ServiceShare) / (1 - habits[service].share)
	}
}

func (c *Config) end() int64    { return int64(c.Days) * day }
func (c *Config) window() int64 { return c.Window.Microseconds() }

// learning is the time in which most of what a principal does is seen first.
func (c *Config) learning() int64 { return min(day, c.end()/10) }

// scale shrinks the principals' lists of actions in trails of less than 10,000 records
// an account and day: otherwise the first sights alone would outnumber the records
// asked for.
func (c *Config) scale() float64 {
	rate := float64(c.Records) / float64(c.Accounts) / float64(c.Days)
	return min(1, math.Sqrt(rate/1e4))
}

// weights are the accounts' shares of the records.
func (c *Config) weights() []float64 {
	w := make([]float64, c.Accounts)
	var sum float64
	for i := range w {
		s := stream(hash(c.Seed, forWeight, uint64(i)))
		w[i] = math.Exp(1.2 * s.normal())
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
	}
	return w
}
