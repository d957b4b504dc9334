package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// GapRule is the rule id of health alerts about coverage.
const GapRule = "debut.coverage"

// Reasons of a gap's alert that has closed itself.
const (
	gapFilled = "filled"
	gapJoined = "joined" // another alert is about the rest of it
)

// gapDays is for how many days back gaps are looked for.
const gapDays = 7

// gaps keeps a health alert for every stretch of time of which objects failed or are
// missing: it is raised, follows the stretch, closes itself when the stretch is filled,
// and opens again when it is not any more.
func (d *Daemon) gaps(ctx context.Context) error {
	c := d.opt.Config.Coverage
	if !c.Alerts {
		return nil
	}
	now := d.opt.Now().UTC()
	until := now.Add(-time.Duration(c.GapAfter))
	since := until.AddDate(0, 0, -gapDays)
	return d.db.Update(ctx, func(tx store.Tx) error {
		// After so long nothing is known of an object that may fill the gap.
		alerts, err := store.AlertsOfRule(tx, GapRule, now.Add(-objectsFor), now)
		if err != nil {
			return err
		}
		zones, err := store.CoverageOf(tx, "", "", since, until)
		if err != nil {
			return err
		}
		of := map[[2]string][]*store.Alert{}
		for _, a := range alerts {
			of[[2]string{a.Account, a.Region}] = append(of[[2]string{a.Account, a.Region}], a)
		}
		for i := range zones {
			z := &zones[i]
			k := gapKeeper{d: d, tx: tx, now: now, zone: z, since: since, alerts: of[[2]string{z.Account, z.Region}], taken: map[string]bool{}}
			if err := k.keep(until); err != nil {
				return err
			}
		}
		return nil
	})
}

// A gapKeeper brings the alerts of one account and region up to date.
type gapKeeper struct {
	d      *Daemon
	tx     store.Tx
	now    time.Time
	since  time.Time // of new alerts
	zone   *store.ZoneCoverage
	alerts []*store.Alert  // by time
	taken  map[string]bool // handles of those that follow a gap
}

func (k *gapKeeper) keep(until time.Time) error {
	// What is open is looked at from its beginning on.
	if i := slices.IndexFunc(k.alerts, func(a *store.Alert) bool { return a.Status != store.Closed }); i >= 0 && k.alerts[i].Time.Before(k.zone.From) {
		wide, err := store.CoverageOf(k.tx, k.zone.Account, k.zone.Region, k.alerts[i].Time, until)
		if err != nil {
			return err
		}
		if len(wide) == 1 {
			k.zone = &wide[0]
		}
	}
	gaps := slices.DeleteFunc(k.zone.Gaps(), func(g store.Gap) bool { return g.State != store.HourFailed && g.State != store.HourPartial })
	for i := range gaps {
		if err := k.follow(&gaps[i]); err != nil {
			return err
		}
	}
	for _, a := range k.alerts {
		if a.Status == store.Closed || k.taken[a.Handle] {
			continue
		}
		reason, why := gapFilled, fmt.Sprintf("it closed itself: no object of %s to %s failed or is missing any more", a.Time.Format(time.RFC3339), a.Last.Format(time.RFC3339))
		if i := slices.IndexFunc(gaps, func(g store.Gap) bool { return overlap(a, &g) }); i >= 0 {
			reason, why = gapJoined, "it closed itself: another alert is about the rest of this gap"
		}
		_ = a.AddNote(why, "debut", k.now) // unless it has too many
		a.Close(reason, "debut", k.now)
		if err := store.PutAlert(k.tx, a); err != nil {
			return err
		}
	}
	return nil
}

func overlap(a *store.Alert, g *store.Gap) bool { return a.Time.Before(g.To) && g.From.Before(a.Last) }

// follow brings the alert of a gap up to date: the open one, else the one that was
// closed, else a new one.
func (k *gapKeeper) follow(g *store.Gap) error {
	var a *store.Alert
	for _, x := range k.alerts {
		if !k.taken[x.Handle] && overlap(x, g) && (a == nil || a.Status == store.Closed && x.Status != store.Closed) {
			a = x
		}
	}
	what := fmt.Sprintf("%d objects missing, %d failed, %s to %s", g.Missing, g.Failed, g.From.Format(time.RFC3339), g.To.Format(time.RFC3339))
	if a == nil {
		if !k.since.Before(g.To) {
			return nil
		}
		return k.raise(g, what)
	}
	k.taken[a.Handle] = true
	reopened := a.Status == store.Closed && closedItself(a)
	if a.What == what && !reopened {
		return nil
	}
	a.What, a.Updated = what, k.now
	// The beginning of a closed one may lie before what is looked at.
	if g.From.After(k.zone.From) || g.From.Before(a.Time) {
		a.Time = g.From
	}
	a.Last = g.To
	if reopened {
		a.Reopen("debut", k.now)
		if err := k.tell(a, fmt.Sprintf("%s %d", a.Handle, k.now.Unix())); err != nil {
			return err
		}
	}
	return store.PutAlert(k.tx, a)
}

// closedItself reports whether no person closed the alert. The account on this machine
// that somebody works with may have the program's name.
func closedItself(a *store.Alert) bool {
	for _, c := range slices.Backward(a.History) {
		if strings.HasPrefix(c.What, "closed") {
			return c.By == "debut" && (a.Reason == gapFilled || a.Reason == gapJoined)
		}
	}
	return false
}

func (k *gapKeeper) raise(g *store.Gap, what string) error {
	name := fmt.Sprintf("gap %s %s %d", g.Account, g.Region, g.From.Unix())
	var uuid string
	for n := 0; ; n++ { // one that began here may have moved on
		uuid = store.NewHandle(name, n)
		if have, err := store.GetAlert(k.tx, uuid); err != nil {
			return err
		} else if have == nil {
			break
		}
	}
	a := &store.Alert{
		Handle: uuid, UUID: uuid, RuleID: GapRule, RuleName: "Records are missing", Type: "health", Severity: "medium", RiskScore: 47,
		Time: g.From, Last: g.To, Created: k.now, Updated: k.now, Account: g.Account, Region: g.Region, Status: store.Open,
		Who: g.Account + " " + g.Region, What: what,
	}
	doc := ecs.Document(map[string]any{
		"@timestamp": k.now.Format(ecs.TimeFormat), "kibana.alert.uuid": uuid, "kibana.alert.rule.rule_id": GapRule,
		"kibana.alert.rule.name": a.RuleName, "kibana.alert.severity": a.Severity, "kibana.alert.reason": what,
		"cloud": map[string]any{"account": map[string]any{"id": g.Account}, "region": g.Region},
	})
	if err := store.PutAlertDocument(k.tx, uuid, &store.AlertDocument{Document: doc.AppendJSON(nil), Kind: store.KindDocument, Raw: doc.AppendJSON(nil)}); err != nil {
		return err
	}
	if err := store.PutAlert(k.tx, a); err != nil {
		return err
	}
	return k.tell(a, uuid)
}

// tell puts the message about a gap into the outbox, once for an occasion.
func (k *gapKeeper) tell(a *store.Alert, occasion string) error {
	_, err := k.d.router.Notice(k.tx, store.MessageCoverage, store.Notice{
		Title: "records are missing: " + a.Who, Lines: []string{a.What}, RuleID: GapRule, Rule: a.RuleName, Severity: a.Severity,
		Hint: "debut coverage --account " + a.Account + " --region " + a.Region,
	}, occasion, k.now)
	return err //nolint:wrapcheck // of the store
}
