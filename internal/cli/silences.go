package cli

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// SilencesCmd holds the commands about silences.
type SilencesCmd struct {
	List   SilencesListCmd   `cmd:"" help:"List maintenance windows and snoozes."`
	Window SilencesWindowCmd `cmd:"" help:"Add a maintenance window: alerts are stored and nobody is notified."`
	Snooze SilencesSnoozeCmd `cmd:"" help:"Hear nothing of rules for a while."`
	Delete SilencesDeleteCmd `cmd:"" help:"Delete silences."`
}

// SilencesListCmd lists silences.
type SilencesListCmd struct {
	serverFlags
	formatFlag

	All bool `help:"Also those that are over."`
}

// Help is shown below the flags.
func (*SilencesListCmd) Help() string {
	return `Examples:
  debut silences list --all`
}

// Run implements the command.
func (c *SilencesListCmd) Run(env *Env) error {
	var list api.SilenceList
	if err := c.get(env, "/silences", nil, &list); err != nil {
		return err
	}
	l := &report.List{Header: []string{"ID", "KIND", "STATE", "NAME", "FOR", "START (UTC)", "END (UTC)", "REPEATS", "BY"}}
	for i := range list.Silences {
		s := &list.Silences[i]
		state := "waits"
		switch {
		case s.Ended:
			state = "over"
		case s.Active:
			state = "active"
		}
		if s.Ended && !c.All {
			continue
		}
		what := "all alerts"
		if len(s.Rules) > 0 {
			what = strings.Join(s.Rules, " ")
		}
		if s.Query != "" {
			what += " where " + s.Query
		}
		l.Rows = append(l.Rows, []string{
			s.ID, string(s.Kind), state, s.Name, what, moment(s.Start), cmp.Or(moment(s.End), "never"), repeats(s.Repeat), s.By,
		})
	}
	return c.print(env, list, l, "No silences.")
}

func repeats(r *store.Repeat) string {
	if r == nil {
		return ""
	}
	days := make([]string, len(r.Days))
	for i, d := range r.Days {
		days[i] = d.String()[:3]
	}
	text := cmp.Or(strings.Join(days, " "), "every day") + ", " + r.Zone
	if !r.Until.IsZero() {
		text += ", until " + moment(r.Until)
	}
	return text
}

// SilencesWindowCmd adds a maintenance window.
type SilencesWindowCmd struct {
	serverFlags

	Name    string   `arg:"" help:"What it is for."`
	Start   string   `placeholder:"T" help:"When it begins; now if not given (RFC 3339, a date, or date math)."`
	End     string   `placeholder:"T" help:"When it ends."`
	For     string   `placeholder:"DURATION" help:"How long it lasts, instead of --end (90m, 8h, 2d)."`
	Rule    []string `placeholder:"ID" help:"Only alerts of this rule. Repeatable."`
	Where   string   `placeholder:"KQL" help:"Only alerts that this query matches."`
	Daily   bool     `help:"It comes back every day."`
	On      []string `placeholder:"DAY" help:"It comes back on this day: mon, tue, … Repeatable."`
	Zone    string   `default:"UTC" placeholder:"ZONE" help:"By the clocks of this zone, as Europe/Zurich."`
	Until   string   `placeholder:"T" help:"It comes back no more after this time."`
	Comment string   `placeholder:"TEXT" help:"More about it."`
}

// Help is shown below the flags.
func (*SilencesWindowCmd) Help() string {
	return `Examples:
  debut silences window "database migration" --for 4h
  debut silences window "patch night" --start 2026-01-31T22:00:00+01:00 --for 8h --on sat --zone Europe/Zurich`
}

// Run implements the command.
func (c *SilencesWindowCmd) Run(env *Env) error {
	in := api.SilenceInput{Name: c.Name, Kind: store.SilenceWindow, Rules: c.Rule, Query: c.Where, Comment: c.Comment, Start: env.Now().UTC()}
	var err error
	if c.Start != "" {
		if in.Start, err = parseTime("--start", c.Start, env.Now()); err != nil {
			return err
		}
	}
	if in.End, err = endOf(env, in.Start, c.End, c.For); err != nil {
		return err
	}
	if in.End.IsZero() {
		return usagef("give --end or --for: a maintenance window must end")
	}
	if c.Daily || len(c.On) > 0 {
		if in.Repeat, err = c.repeat(env); err != nil {
			return err
		}
	} else if c.Until != "" {
		return usagef("--until belongs to --daily or --on")
	}
	return c.add(env, &in)
}

func (c *SilencesWindowCmd) repeat(env *Env) (*store.Repeat, error) {
	r := &store.Repeat{Zone: c.Zone}
	if c.Daily && len(c.On) > 0 {
		return nil, usagef("give either --daily or --on")
	}
	for _, name := range c.On {
		day := -1
		for d := time.Sunday; d <= time.Saturday; d++ {
			if len(name) >= 3 && strings.HasPrefix(strings.ToLower(d.String()), strings.ToLower(name)) {
				day = int(d)
			}
		}
		if day < 0 {
			return nil, usagef("--on %q is no day: write mon, tue, wed, thu, fri, sat or sun", name)
		}
		r.Days = append(r.Days, time.Weekday(day))
	}
	if c.Until != "" {
		var err error
		if r.Until, err = parseTime("--until", c.Until, env.Now()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// endOf reads --end or --for; zero without either.
func endOf(env *Env, start time.Time, end, length string) (time.Time, error) {
	switch {
	case end != "" && length != "":
		return time.Time{}, usagef("give either --end or --for")
	case end != "":
		return parseTime("--end", end, env.Now())
	case length != "":
		d, err := parseDuration("--for", length)
		return start.Add(d), err
	}
	return time.Time{}, nil
}

func (f *serverFlags) add(env *Env, in *api.SilenceInput) error {
	var s api.Silence
	if err := f.send(env, http.MethodPost, "/silences", in, &s); err != nil {
		return err
	}
	until := "until it is deleted"
	if !s.End.IsZero() {
		until = "to " + moment(s.End) + " UTC"
	}
	env.say("%s stored: from %s UTC %s\n", s.Kind, moment(s.Start), until)
	return write(env, []byte(s.ID+"\n"))
}

// SilencesSnoozeCmd snoozes rules.
type SilencesSnoozeCmd struct {
	serverFlags

	Rules   []string `arg:"" name:"rule" help:"Ids of rules."`
	For     string   `placeholder:"DURATION" help:"How long (90m, 8h, 2d); until it is deleted if not given."`
	End     string   `placeholder:"T" help:"Until when, instead of --for."`
	Name    string   `default:"snoozed" placeholder:"TEXT" help:"Why."`
	Comment string   `placeholder:"TEXT" help:"More about it."`
}

// Help is shown below the flags.
func (*SilencesSnoozeCmd) Help() string {
	return `Examples:
  debut silences snooze --for 2d 2ff64f61-0331-441d-80a8-000941cac929`
}

// Run implements the command.
func (c *SilencesSnoozeCmd) Run(env *Env) error {
	in := api.SilenceInput{Name: c.Name, Kind: store.SilenceSnooze, Rules: c.Rules, Comment: c.Comment, Start: env.Now().UTC()}
	var err error
	if in.End, err = endOf(env, in.Start, c.End, c.For); err != nil {
		return err
	}
	return c.add(env, &in)
}

// SilencesDeleteCmd deletes silences.
type SilencesDeleteCmd struct {
	serverFlags

	IDs []string `arg:"" name:"id" help:"Ids of silences."`
}

// Help is shown below the flags.
func (*SilencesDeleteCmd) Help() string {
	return `Examples:
  debut silences delete 0123456789abcdef`
}

// Run implements the command.
func (c *SilencesDeleteCmd) Run(env *Env) error { return c.remove(env, "/silences/", "silence", c.IDs) }
