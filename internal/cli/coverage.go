package cli

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// CoverageCmd shows the coverage ledger.
type CoverageCmd struct {
	serverFlags

	Account string `placeholder:"ID" help:"Only this account."`
	Region  string `placeholder:"NAME" help:"Only this region."`
	From    string `default:"now-7d" placeholder:"T" help:"From this hour on (RFC 3339, a date, or date math)."`
	To      string `placeholder:"T" help:"Up to this hour; the one that is not over yet if not given."`
	By      string `enum:"auto,hour,day" default:"auto" help:"A block for each hour or day; by hour up to three days."`
	Failed  bool   `help:"List the objects that could not be read instead."`
	Format  string `enum:"table,csv,json" default:"table" help:"table (a picture), csv (a row for each block) or json."`
}

// Help is shown below the flags.
func (*CoverageCmd) Help() string {
	return `Shows for each account and region whether everything that must exist was read:

  █ all of it      · nothing came, and the account's trail delivered before and after
  ▁ to ▇ a part    ? nobody knows

What must exist is known from digest files, listings and notifications.

Examples:
  debut coverage
  debut coverage --account 111122223333 --from now-30d
  debut coverage --failed

Exit codes: 0 there is no gap, 1 there is one, 2 wrong usage.`
}

// Run implements the command.
func (c *CoverageCmd) Run(env *Env) error {
	if c.Failed {
		return c.failed(env)
	}
	from, to, err := timesOf(env, c.From, c.To)
	if err != nil {
		return err
	}
	end := to
	if end.IsZero() {
		end = env.Now()
	}
	by := c.By
	if by == "auto" {
		by = "hour"
		if end.Sub(from) > 73*time.Hour {
			by = "day"
		}
	}
	v := url.Values{"by": {by}}
	setTimes(v, from, to)
	c.zone(v)
	var cov api.Coverage
	if err := c.get(env, "/coverage", v, &cov); err != nil {
		return err
	}
	switch c.Format {
	case "json":
		err = writeJSON(env, cov)
	case "csv":
		err = coverageCSV(env, &cov)
	default:
		err = coveragePicture(env, &cov)
	}
	if err == nil && len(cov.Gaps) > 0 {
		err = &ExitError{Code: ExitFailed}
	}
	return err
}

func (c *CoverageCmd) zone(v url.Values) {
	if c.Account != "" {
		v.Set("account", c.Account)
	}
	if c.Region != "" {
		v.Set("region", c.Region)
	}
}

func (c *CoverageCmd) failed(env *Env) error {
	v := url.Values{"state": {"failed"}, "limit": {"1000"}}
	c.zone(v)
	var list api.ObjectList
	if err := c.get(env, "/objects", v, &list); err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(env, list)
	}
	l := &report.List{Header: []string{"SOURCE", "OBJECT", "ACCOUNT", "REGION", "DELIVERED (UTC)", "REASON"}}
	for _, o := range list.Objects {
		l.Rows = append(l.Rows, []string{o.Source, o.Name, o.Account, o.Region, moment(o.Hour), o.Reason})
	}
	if c.Format == "csv" {
		var b bytes.Buffer
		if err := l.CSV(&b, true); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
		return write(env, b.Bytes())
	}
	if err := writeList(env, l, "No object failed."); err != nil {
		return err
	}
	if list.More {
		env.say("there are more; narrow them down with --account and --region\n")
	}
	return nil
}

// maxGapLines is how many gaps are shown below the picture.
const maxGapLines = 20

func coveragePicture(env *Env, cov *api.Coverage) error {
	var b bytes.Buffer
	if len(cov.Zones) == 0 {
		return write(env, []byte("Nothing is known of that time: no account has delivered anything.\n"))
	}
	strips := make([]report.Strip, len(cov.Zones))
	for i := range cov.Zones {
		strips[i] = strip(&cov.Zones[i])
	}
	o := tableOptions(env)
	title := fmt.Sprintf("%s to %s UTC, a block for each %s", cov.From.Format("2006-01-02 15:04"), cov.To.Format("2006-01-02 15:04"), cov.By)
	if err := report.Strips(&b, title, strips, o); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	if len(cov.Gaps) > 0 {
		l := &report.List{Header: []string{"GAP", "ACCOUNT", "REGION", "FROM (UTC)", "TO (UTC)", "OBJECTS MISSING", "FAILED"}}
		for _, g := range cov.Gaps[:min(len(cov.Gaps), maxGapLines)] {
			l.Rows = append(l.Rows, []string{
				string(g.State), g.Account, g.Region, moment(g.From), moment(g.To), strconv.FormatInt(g.Missing, 10), strconv.FormatInt(g.Failed, 10),
			})
		}
		b.WriteByte('\n')
		if err := l.Table(&b, o); err != nil {
			return fmt.Errorf("write the gaps: %w", err)
		}
		if more := len(cov.Gaps) - maxGapLines + cov.MoreGaps; more > 0 {
			fmt.Fprintf(&b, "and %s; --format csv has every block\n", plural(int64(more), "more gap", "more gaps"))
		}
	}
	return write(env, b.Bytes())
}

func strip(z *api.Zone) report.Strip {
	s := report.Strip{
		Name: z.Account + " " + z.Region,
		// Rounding must not make a whole out of what is not.
		Note: fmt.Sprintf("%d %%, %s, %s", int(z.Share*100), plural(z.Read, "object", "objects"), plural(z.Records, "record", "records")),
	}
	if z.Failed > 0 {
		s.Note += fmt.Sprintf(", %d failed", z.Failed)
	}
	for i := range z.Cells {
		c := &z.Cells[i]
		cell := report.StripCell{Share: c.Share}
		switch c.State {
		case store.HourFailed, store.HourPartial:
			cell.Level = report.StripBad
		case store.HourUnknown:
			cell.Level = report.StripUnknown
			if c.Share > 0 { // a day with hours of both kinds
				cell.Level = report.StripBad
			}
		case store.HourQuiet:
			cell.Level = report.StripQuiet
			if c.Read > 0 || c.Records > 0 {
				cell.Level = report.StripGood
			}
		case store.HourObserved, store.HourFull:
		}
		s.Cells = append(s.Cells, cell)
	}
	return s
}

func coverageCSV(env *Env, cov *api.Coverage) error {
	l := &report.List{Header: []string{
		"account", "region", "time", "state", "share", "expected", "read", "unexpected", "failed", "rejected", "records", "duplicates", "late", "future",
		"max_delay_seconds", "mean_delay_seconds",
	}}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	float := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	for i := range cov.Zones {
		z := &cov.Zones[i]
		for j := range z.Cells {
			c := &z.Cells[j]
			l.Rows = append(l.Rows, []string{
				z.Account, z.Region, instant(c.Time), string(c.State), float(c.Share), number(c.Expected), number(c.Read), number(c.Unexpected), number(c.Failed),
				number(c.Rejected), number(c.Records), number(c.Duplicates), number(c.Late), number(c.Future), float(c.MaxDelay), float(c.MeanDelay),
			})
		}
	}
	var b bytes.Buffer
	if err := l.CSV(&b, true); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return write(env, b.Bytes())
}
