package store

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"
)

// HourState says how an hour of a zone is covered.
type HourState string

// States of an hour, from the worst to the best.
const (
	HourFailed   HourState = "failed"   // objects could not be read
	HourPartial  HourState = "partial"  // objects that must exist were not read yet
	HourUnknown  HourState = "unknown"  // nothing says whether there was anything
	HourQuiet    HourState = "quiet"    // nothing came, and the account's trail delivered before and after
	HourObserved HourState = "observed" // something was read, and nothing says that this was all
	HourFull     HourState = "full"     // everything that must exist was read
)

// delivered reports whether records came, and not only such as claim to be from the
// future.
func (h *Hour) delivered() bool { return h.Records > h.Future }

func hourStates() []HourState {
	return []HourState{HourFailed, HourPartial, HourUnknown, HourQuiet, HourObserved, HourFull}
}

// Worse reports whether s is a worse state than other.
func (s HourState) Worse(other HourState) bool {
	return slices.Index(hourStates(), s) < slices.Index(hourStates(), other)
}

// Missing is how many objects must exist and were not read, failed ones included.
func (h *Hour) Missing() int64 { return max(0, h.Expected-(h.Read-h.Unexpected)) }

// Coverage returns the state of an hour for which there is a line, and the covered
// share of it, 0 to 1: read ÷ expected where it is known what to expect.
func (h *Hour) Coverage() (HourState, float64) {
	missing := h.Missing()
	// What failed is missing too, unless nobody expected it.
	lost := max(missing, h.Failed)
	whole := h.Expected + h.Unexpected + lost - missing
	share := max(0, 1-float64(lost)/float64(max(whole, 1)))
	switch {
	case h.Failed > 0:
		return HourFailed, share
	case missing > 0:
		return HourPartial, share
	case h.Expected > 0:
		return HourFull, 1
	case h.Read > 0 || h.delivered():
		return HourObserved, 1
	}
	return HourUnknown, 0
}

// A ZoneCoverage is the coverage ledger of an account and a region for some time.
type ZoneCoverage struct {
	Account, Region string
	From, To        time.Time // whole hours, From ≤ hour < To
	// Hours has a line for every hour from From to To; those without anything have
	// only their time.
	Hours  []Hour
	States []HourState // of each hour
	// Share is the covered part of the time, 0 to 1.
	Share float64
}

// maxZones bounds how many accounts and regions are told of: hostile records can name
// any.
const maxZones = 10_000

// CoverageOf returns the coverage of the zones of an account and region ("" for all)
// from the hour of from up to that of to, by account and region.
func CoverageOf(tx Tx, account, region string, from, to time.Time) ([]ZoneCoverage, error) {
	from, to = from.UTC().Truncate(time.Hour), to.UTC().Truncate(time.Hour)
	zones, err := zonesOf(tx, account, region)
	if err != nil {
		return nil, err
	}
	spans := map[string]span{}
	var out []ZoneCoverage
	for _, z := range zones {
		s, ok := spans[z.Account]
		if !ok {
			if s, err = spanOf(tx, z.Account); err != nil {
				return nil, err
			}
			spans[z.Account] = s
		}
		z.From, z.To = from, to
		if err := z.fill(tx, s); err != nil {
			return nil, err
		}
		out = append(out, z)
	}
	return out, nil
}

// LedgerAccounts returns the accounts whose records are in the ledger, in order: those
// that records were delivered to, not those of their callers.
func LedgerAccounts(tx Tx) (list []string, err error) {
	zones, err := zonesOf(tx, "", "")
	for i := range zones {
		if n := len(list); n == 0 || list[n-1] != zones[i].Account {
			list = append(list, zones[i].Account)
		}
	}
	return list, err
}

// zonesOf finds the zones by jumping from each to the next: there are few of them and
// many hours.
func zonesOf(tx Tx, account, region string) ([]ZoneCoverage, error) {
	var from, end []byte
	if account != "" {
		from = keyText(nil, clean(account))
		end = Behind(from)
	}
	var out []ZoneCoverage
	for {
		h, key, err := firstHour(tx, from, end)
		if err != nil || h == nil {
			return out, err
		}
		if region == "" || region == h.Region {
			if len(out) == maxZones {
				return out, nil
			}
			out = append(out, ZoneCoverage{Account: h.Account, Region: h.Region})
		}
		from = Behind(key[:len(key)-8])
	}
}

func firstHour(tx Tx, from, end []byte) (*Hour, []byte, error) {
	for p, err := range tx.Range(Hours, from, end) {
		if err != nil {
			return nil, nil, err
		}
		if len(p.Key) < 8 {
			return nil, nil, fmt.Errorf("a key of table %s: %w", Hours, ErrDamaged)
		}
		h, err := decodeHour(p)
		return h, p.Key, err
	}
	return nil, nil, nil
}

// A span is the hours of an account, in any region, from the first in which records
// came to behind the last.
type span struct{ from, to time.Time }

func spanOf(tx Tx, account string) (span, error) {
	zones, err := zonesOf(tx, account, "")
	if err != nil {
		return span{}, err
	}
	var s span
	for _, z := range zones {
		prefix := keyText(keyText(nil, clean(account)), clean(z.Region))
		first, err := anyHour(tx.Range(Hours, prefix, Behind(prefix)))
		if err != nil {
			return span{}, err
		}
		last, err := anyHour(tx.Reverse(Hours, prefix, Behind(prefix)))
		if err != nil {
			return span{}, err
		}
		if first == nil || last == nil {
			continue
		}
		if s.from.IsZero() || first.Hour.Before(s.from) {
			s.from = first.Hour
		}
		if end := last.Hour.Add(time.Hour); end.After(s.to) {
			s.to = end
		}
	}
	return s, nil
}

// anyHour returns the first hour in which records came, nil if there is none.
func anyHour(pairs iter.Seq2[Pair, error]) (*Hour, error) {
	for p, err := range pairs {
		if err != nil {
			return nil, err
		}
		if h, err := decodeHour(p); err != nil || h.delivered() {
			return h, err
		}
	}
	return nil, nil //nolint:nilnil // none is an answer
}

func (z *ZoneCoverage) fill(tx Tx, s span) error {
	n := max(0, int(z.To.Sub(z.From)/time.Hour))
	z.Hours, z.States = make([]Hour, n), make([]HourState, n)
	for i := range z.Hours {
		hour := z.From.Add(time.Duration(i) * time.Hour)
		z.Hours[i] = Hour{Account: z.Account, Region: z.Region, Hour: hour}
		z.States[i] = HourUnknown
		if !hour.Before(s.from) && hour.Before(s.to) {
			z.States[i] = HourQuiet
		}
	}
	if n == 0 {
		return nil
	}
	shares := 0.0
	for i := range z.States {
		if z.States[i] == HourQuiet {
			shares++
		}
	}
	for h, err := range HoursOf(tx, z.Account, z.Region, z.From, z.To) {
		if err != nil {
			return err
		}
		i := int(h.Hour.Sub(z.From) / time.Hour)
		if i < 0 || i >= n || h.Account != z.Account || h.Region != z.Region {
			continue
		}
		state, share := h.Coverage()
		z.Hours[i] = *h
		if state == HourUnknown { // a line of zeros says nothing
			continue
		}
		if z.States[i] == HourQuiet {
			shares--
		}
		z.States[i] = state
		shares += share
	}
	z.Share = shares / float64(n)
	return nil
}

// A Gap is a stretch of hours of one zone that are not covered whole.
type Gap struct {
	Account, Region string
	From, To        time.Time
	State           HourState // the worst in it
	Missing         int64     // objects that must exist and were not read, failed ones included
	Failed          int64     // objects that could not be read
}

// Gaps returns the stretches of a zone that are not covered whole, by time.
func (z *ZoneCoverage) Gaps() []Gap {
	var out []Gap
	for i, s := range z.States {
		if s.Worse(HourQuiet) {
			h := &z.Hours[i]
			if n := len(out); n == 0 || !out[n-1].To.Equal(h.Hour) {
				out = append(out, Gap{Account: z.Account, Region: z.Region, From: h.Hour, State: s})
			}
			g := &out[len(out)-1]
			g.To = h.Hour.Add(time.Hour)
			g.Missing += h.Missing()
			g.Failed += h.Failed
			if s.Worse(g.State) {
				g.State = s
			}
		}
	}
	return out
}

// SortGaps sorts by what should be looked at first: failed before partial before
// unknown, then the latest.
func SortGaps(list []Gap) {
	slices.SortStableFunc(list, func(a, b Gap) int {
		states := hourStates()
		return cmp.Or(cmp.Compare(slices.Index(states, a.State), slices.Index(states, b.State)), b.To.Compare(a.To),
			cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
	})
}
