package cli

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// BackfillCmd runs rules over the past.
type BackfillCmd struct {
	serverFlags `embed:""`

	From   string   `required:"" placeholder:"T" help:"Alert on events from this time on (RFC 3339, a date, or date math: now-7d)."`
	To     string   `placeholder:"T" help:"And before this one; default now."`
	Rule   []string `placeholder:"ID|NAME" help:"Only this rule. Repeatable."`
	Source string   `placeholder:"NAME" help:"Read the history from this s3 source; default the stored events."`
	Wait   bool     `default:"true" negatable:"" help:"Wait until the run has ended."`
}

// Help is shown below the flags.
func (*BackfillCmd) Help() string {
	return `Alerts that are there already stay as they are; the others are added, marked as manual, and nobody is
notified of them. It needs the server that has the data folder open.

Examples:
  debut backfill --from now-30d
  debut backfill --from 2026-01-01 --to 2026-02-01 --rule "SSM SendCommand by an identity not seen in 7 days" --source org

Exit codes: 0 done, 1 failed, 2 wrong usage.`
}

// backfillPoll is how often a run is looked at.
const backfillPoll = time.Second

// Run implements the command.
func (c *BackfillCmd) Run(env *Env) error {
	now := env.Now()
	from, err := parseTime("--from", c.From, now)
	if err != nil {
		return err
	}
	to := now
	if c.To != "" {
		if to, err = parseTime("--to", c.To, now); err != nil {
			return err
		}
	}
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	defer func() { _ = cl.close() }() // only read from
	var started api.Started
	if err := cl.call(http.MethodPost, "/backfills", nil, api.BackfillRequest{From: from, To: to, Rules: c.Rule, Source: c.Source}, &started); err != nil {
		return err
	}
	if !c.Wait {
		_, err := fmt.Fprintf(env.Stdout, "run %s has begun; 'debut runs' shows it\n", started.Run)
		return err //nolint:wrapcheck // of standard output
	}
	env.say("run %s has begun\n", started.Run)
	tick := time.NewTicker(backfillPoll)
	defer tick.Stop()
	for {
		var list api.RunList
		if err := cl.call(http.MethodGet, "/runs", nil, nil, &list); err != nil {
			return err
		}
		i := slices.IndexFunc(list.Runs, func(r *store.Run) bool { return r.ID == started.Run })
		if i >= 0 && list.Runs[i].Status != store.RunRunning {
			r := list.Runs[i]
			if r.Status != store.RunDone {
				return &ExitError{Code: ExitFailed, Err: fmt.Errorf("run %s %s: %s", r.ID, r.Status, safeText(r.Error))}
			}
			_, err := fmt.Fprintf(env.Stdout, "%s: %d alerts, %d of them added, from %d records\n", r.ID, r.Counts["alerts"], r.Counts["added"], r.Counts["records"])
			return err //nolint:wrapcheck // of standard output
		}
		select {
		case <-tick.C:
		case <-env.Context.Done():
			return env.Context.Err() //nolint:wrapcheck // interrupted: the run goes on
		}
	}
}
