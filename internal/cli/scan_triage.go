package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/desk"
)

type catalogue = *ecs.Catalogue

// usualTriage is how many alerts --triage investigates if nobody says how many.
const usualTriage = 50

// triageCount is a flag with or without a number: --triage, --triage=20.
type triageCount int

// IsBool implements kong.BoolMapperValue: the flag needs no value.
func (*triageCount) IsBool() bool { return true }

// Decode implements kong.MapperValue.
func (n *triageCount) Decode(ctx *kong.DecodeContext) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		*n = usualTriage
		return nil
	}
	text := fmt.Sprint(ctx.Scan.Pop().Value)
	if text == "true" { // what kong says of a flag without a value
		*n = usualTriage
		return nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return fmt.Errorf("%q is no number of alerts from 1 on", text)
	}
	*n = triageCount(v)
	return nil
}

// zone finds the account that received an event, and the region.
type zone struct{ recipient, account, region *ecs.Field }

func newZone(cat *ecs.Catalogue) zone {
	return zone{cat.Resolve("aws.cloudtrail.recipient_account_id"), cat.Resolve("cloud.account.id"), cat.Resolve("cloud.region")}
}

func (z zone) of(ev ecs.Event) (account, region string) {
	return cmp.Or(firstValue(ev, z.recipient), firstValue(ev, z.account)), firstValue(ev, z.region)
}

// investigate fills the store of a scan, investigates its gravest alerts if that is
// wanted, and keeps the folder if that is. Without --triage there are no reports.
func (c *ScanCmd) investigate(env *Env, o desk.Options, kept *scanStore, result *pipeline.Result, s *setup) (reports map[string]*triage.Report, all int, err error) {
	if err := kept.fill(env.Context, result, s.now); err != nil {
		return nil, 0, err
	}
	if c.Triage > 0 {
		if reports, all, err = c.triage(env, o, kept, s.enricher, s.now); err != nil {
			return nil, 0, err
		}
	}
	return reports, all, kept.commit()
}

// triage investigates the gravest alerts of a scan. It returns the reports by the uuid of
// the alert, and how many alerts there were to choose from.
func (c *ScanCmd) triage(env *Env, o desk.Options, s *scanStore, enricher *enrich.Enricher, now time.Time) (map[string]*triage.Report, int, error) {
	o.DB, o.Events, o.Catalogue, o.PlacesDate = s.db, s.events, s.catalogue, daemon.PlacesDate(c.GeoIP)
	o.Now = func() time.Time { return now }
	if len(c.GeoIP) > 0 {
		o.Places = enricher
	}
	chosen, all, err := gravest(env.Context, s.db, int(c.Triage))
	if err != nil {
		return nil, 0, err
	}
	d := desk.New(o)
	out := make(map[string]*triage.Report, len(chosen))
	for _, a := range chosen {
		res, err := d.Investigate(env.Context, a.Handle, desk.Request{Trigger: store.TriageAlert, By: "scan"})
		if errors.Is(err, desk.ErrGone) {
			env.say("not investigated: %s\n", report.Safe(err.Error()))
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		out[a.UUID] = res.Report
	}
	return out, all, nil
}

// gravest returns the alerts that notify, the severest first and among those the
// earliest, and how many there are.
func gravest(ctx context.Context, db store.DB, limit int) (list []*store.Alert, all int, err error) {
	compare := func(a, b *store.Alert) int {
		return cmp.Or(alert.SeverityRank(b.Severity)-alert.SeverityRank(a.Severity), cmp.Compare(b.RiskScore, a.RiskScore),
			a.Time.Compare(b.Time), cmp.Compare(a.Handle, b.Handle))
	}
	err = db.View(ctx, func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Ascending: true}) {
			if err != nil {
				return err
			}
			all++
			if list = append(list, a); len(list) >= 2*limit+1000 {
				slices.SortFunc(list, compare)
				list = slices.Delete(list, limit, len(list))
			}
		}
		return nil
	})
	slices.SortFunc(list, compare)
	return list[:min(len(list), limit)], all, err
}

// writePages writes a page for each report and an index of them.
func (c *ScanCmd) writePages(scan *report.Scan) error {
	if c.TriageDir == "" {
		return nil
	}
	if err := os.MkdirAll(c.TriageDir, 0o755); err != nil { //nolint:gosec // reports are made to be read
		return &ExitError{Code: ExitUsage, Err: fmt.Errorf("--triage-dir: %w", err)}
	}
	put := func(name string, render func(*bytes.Buffer) error) error {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(c.TriageDir, name), b.Bytes(), 0o644); err != nil { //nolint:gosec // a report is made to be read
			return fmt.Errorf("write a report: %w", err)
		}
		return nil
	}
	for _, r := range scan.Triage {
		if err := put(report.TriagePage(r), func(b *bytes.Buffer) error { return report.TriageHTML(b, r) }); err != nil {
			return err
		}
	}
	return put("index.html", func(b *bytes.Buffer) error { return report.TriageIndex(b, scan) })
}

// checkTriage says what is wrong with the flags about triage, before anything is read,
// and returns what is configured.
func (c *ScanCmd) checkTriage(env *Env) (o desk.Options, err error) {
	switch {
	case c.TriageDir != "" && c.Triage == 0:
		return o, usagef("--triage-dir is where reports go: it needs --triage")
	case c.Config != "" && c.Triage == 0:
		return o, usagef("--config is for what --triage knows of the organisation: it needs --triage")
	case c.Triage == 0:
		return o, nil
	}
	cfg, err := configFlag{c.Config}.load(env)
	if err != nil {
		return o, err
	}
	if err := o.Configure(&cfg.Triage, env.Getenv); err != nil {
		return o, &ExitError{Code: ExitUsage, Err: err}
	}
	o.AlwaysLive = false // a scan asks nobody
	return o, nil
}
