package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/rule"
)

// ledger answers from the coverage ledger of a store.
type ledger struct{ db store.DB }

const maxGaps = 10

// Covered implements [triage.Coverage]. It counts as the engine does: whole hours, those
// in which the window begins and ends included.
func (l ledger) Covered(ctx context.Context, account, region string, from, to time.Time) (triage.Covered, error) {
	var out triage.Covered
	first := from.UTC().Truncate(time.Hour)
	last := to.UTC().Add(time.Hour - time.Nanosecond).Truncate(time.Hour)
	if !first.Before(last) {
		last = first.Add(time.Hour)
	}
	err := l.db.View(ctx, func(tx store.Tx) error {
		zones, err := store.CoverageOf(tx, account, region, first, last)
		if err != nil || len(zones) == 0 {
			return err
		}
		z := &zones[0]
		out.Share = z.Share
		for i := range z.Hours {
			out.Late += z.Hours[i].Late
			out.Duplicates += z.Hours[i].Duplicates
		}
		for _, g := range z.Gaps() {
			if len(out.Gaps) == maxGaps {
				break
			}
			out.Gaps = append(out.Gaps, triage.Span{From: later(g.From, from.UTC()), To: earlier(g.To, to.UTC())})
		}
		for h, err := range store.HoursOf(tx, account, region, time.Time{}, last) {
			if err != nil {
				return err
			}
			if h.Account == account && h.Region == region && h.Records > h.Future {
				out.First = h.Hour
				break
			}
		}
		return nil
	})
	return out, err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// A summer makes sums by hour of the events themselves.
type summer struct {
	events      triage.Events
	fields      [5]*ecs.Field
	address, ip *ecs.Field
	agent, raw  *ecs.Field
}

func newSummer(events triage.Events, cat *ecs.Catalogue) *summer {
	s := &summer{
		events: events, address: cat.Resolve("source.address"), ip: cat.Resolve("source.ip"),
		agent: cat.Resolve("user_agent.name"), raw: cat.Resolve("user_agent.original"),
	}
	for i, name := range [...]string{"debut.principal", "event.provider", "event.action", "cloud.account.id", "cloud.region"} {
		s.fields[i] = cat.Resolve(name)
	}
	return s
}

// What of an agent without a class tells agents apart, and how many sums are held at
// once. Beyond, rows come in parts.
const (
	maxAgent = 128
	maxSums  = 50_000
)

type sumKey struct {
	hour                                                         int64
	principal, provider, action, account, region, network, agent string
}

// Sums implements [triage.Sums].
func (s *summer) Sums(ctx context.Context, from, to time.Time) iter.Seq2[*triage.Sum, error] {
	return func(yield func(*triage.Sum, error) bool) {
		sums := map[sumKey]*triage.Sum{}
		flush := func() bool {
			for _, row := range slices.SortedFunc(maps.Values(sums), compareSums) {
				if !yield(row, nil) {
					return false
				}
			}
			clear(sums)
			return true
		}
		for e, err := range s.events.Scan(ctx, store.Scan{From: from, To: to}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(sums) >= maxSums && !flush() {
				return
			}
			s.add(sums, e)
		}
		flush()
	}
}

func (s *summer) add(sums map[sumKey]*triage.Sum, e *store.Stored) {
	t := time.Unix(0, e.Time).UTC()
	var v [5]string
	for i, f := range s.fields {
		v[i] = firstOf(e.Event, f)
	}
	agent := firstOf(e.Event, s.agent)
	if agent == "" || agent == "Other" {
		agent = firstOf(e.Event, s.raw)
	}
	k := sumKey{t.Truncate(time.Hour).Unix(), v[0], v[1], v[2], v[3], v[4], s.network(e.Event), agent[:min(len(agent), maxAgent)]}
	row := sums[k]
	if row == nil {
		c := strings.Clone // an event's texts end with it
		k = sumKey{k.hour, c(k.principal), c(k.provider), c(k.action), c(k.account), c(k.region), c(k.network), c(k.agent)}
		row = &triage.Sum{
			Hour: t.Truncate(time.Hour), Principal: k.principal, Provider: k.provider, Action: k.action, Account: k.account, Region: k.region,
			Network: k.network, Agent: k.agent, First: t, Last: t,
		}
		sums[k] = row
	}
	row.First, row.Last = earlier(row.First, t), later(row.Last, t)
	row.Count++
}

func (s *summer) network(ev ecs.Event) string {
	ip := firstOf(ev, s.ip)
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return cmp.Or(ip, firstOf(ev, s.address))
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

func firstOf(ev ecs.Event, f *ecs.Field) string {
	if v := ev.Values(f); len(v) > 0 {
		return v[0]
	}
	return ""
}

func compareSums(a, b *triage.Sum) int {
	return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Provider, b.Provider),
		cmp.Compare(a.Action, b.Action), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region),
		cmp.Compare(a.Network, b.Network), cmp.Compare(a.Agent, b.Agent))
}

// past tells which alerts of a rule there were.
type past struct {
	db        store.DB
	catalogue *ecs.Catalogue
}

// maxPast is how many alerts an exception is tested against.
const maxPast = 5000

// Hidden implements [triage.Alerts]. An alert was judged bad if who closed it said so
// (true positive, malicious, incident), or if its own report does.
func (p *past) Hidden(ctx context.Context, ruleID, text string, since time.Time) (hidden, bad int, err error) {
	n, err := kql.Parse(text)
	if err != nil {
		return 0, 0, fmt.Errorf("the query %s: %w", text, err)
	}
	match, diags := kql.Compile(n, p.catalogue)
	if match == nil {
		return 0, 0, fmt.Errorf("the query %s: %w", text, diags)
	}
	err = p.db.View(ctx, func(tx store.Tx) error {
		looked := 0
		for a, err := range store.AlertsBy(tx, store.Filter{From: since, Rule: []string{ruleID}, Withheld: true, Blocks: true}) {
			if err != nil {
				return err
			}
			if looked++; looked > maxPast {
				return nil
			}
			d, err := store.GetAlertDocument(tx, a.Handle)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
				continue
			}
			if err != nil {
				return err
			}
			if ev := p.event(a, d); ev != nil && match.Match(ev) {
				hidden++
				if judgedBad(a) {
					bad++
				}
			}
		}
		return nil
	})
	return hidden, bad, err
}

// event makes the event of an alert again; nil if it cannot be read.
func (p *past) event(a *store.Alert, d *store.AlertDocument) ecs.Event {
	document := d.Document
	if d.Kind == store.KindDocument {
		document = d.Raw
	}
	if d.Kind == store.KindDocument || a.Type != string(rule.Threshold) {
		ev, err := ecs.ParseJSON(p.catalogue, document)
		if err != nil {
			return nil
		}
		return ev
	}
	var rec cloudtrail.Record
	if _, err := rec.Parse(d.Raw); err != nil {
		return nil
	}
	ev := cloudtrail.NewEvent(p.catalogue, nil)
	ev.Reset(&rec)
	return ev
}

func judgedBad(a *store.Alert) bool {
	said := strings.ToLower(a.Reason + " " + strings.Join(a.Tags, " "))
	for _, word := range []string{"true positive", "true-positive", "true_positive", "malicious", "incident"} {
		if strings.Contains(said, word) {
			return true
		}
	}
	return a.Triage.Verdict == triage.Malicious || a.Triage.Verdict == triage.LikelyMalicious
}
