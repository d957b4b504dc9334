package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
)

// SourcesCmd holds the commands about what sources could not deal with.
type SourcesCmd struct {
	Parked SourcesParkedCmd `cmd:"" help:"List parked messages: what they are, and why."`
	Retry  SourcesRetryCmd  `cmd:"" help:"Try parked messages again."`
}

// SourcesParkedCmd lists parked messages.
type SourcesParkedCmd struct {
	serverFlags
	formatFlag

	Source string `placeholder:"NAME" help:"Only of this source."`
	Limit  int    `default:"100" placeholder:"N" help:"At most so many, of each source the latest first."`
}

// Help is shown below the flags.
func (*SourcesParkedCmd) Help() string {
	return `A message of a queue is parked if nobody understands it, or if what it announces cannot be read: it is
taken from the queue and kept here with the reason; json has its text too.

Examples:
  debut sources parked
  debut sources parked --source org --format json`
}

// Run implements the command.
func (c *SourcesParkedCmd) Run(env *Env) error {
	v := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Source != "" {
		v.Set("source", c.Source)
	}
	var list api.ParkedList
	if err := c.get(env, "/parked", v, &list); err != nil {
		return err
	}
	l := &report.List{Header: []string{"SOURCE", "ID", "PARKED (UTC)", "SENT (UTC)", "REASON"}}
	for i := range list.Messages {
		m := &list.Messages[i]
		l.Rows = append(l.Rows, []string{m.Source, m.ID, moment(m.Parked), moment(m.Sent), m.Reason})
	}
	if err := c.print(env, list, l, "No parked messages."); err != nil {
		return err
	}
	if list.More {
		env.say("there are more; raise --limit, or choose with --source\n")
	}
	return nil
}

// SourcesRetryCmd tries parked messages again.
type SourcesRetryCmd struct {
	serverFlags
	formatFlag

	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of parked messages."`
	All    bool     `help:"All parked messages."`
	Source string   `placeholder:"NAME" help:"Only of this source."`
}

// Help is shown below the flags.
func (*SourcesRetryCmd) Help() string {
	return `A message is gone once all that it announces is stored and evaluated. One that fails again stays, with the
new reason. One that takes longer than 20 seconds goes on: 'debut sources parked' lists it until it is done with.

Examples:
  debut sources retry 0f6c1a9e-5a3b-4f6e-9a44-0d7f8f3f1c11
  debut sources retry --all --source org

Exit codes: 0 none is parked again, 1 one is, or the work failed, 2 wrong usage.`
}

// Run implements the command.
func (c *SourcesRetryCmd) Run(env *Env) error {
	if c.All == (len(c.IDs) > 0) {
		return &ExitError{Code: ExitUsage, Err: errors.New("give either ids of messages or --all"), Hint: "'debut sources parked' lists them"}
	}
	var got api.RetryReport
	if err := c.send(env, http.MethodPost, "/parked/retry", api.RetryRequest{Source: c.Source, IDs: c.IDs, All: c.All}, &got); err != nil {
		return err
	}
	l := &report.List{Header: []string{"SOURCE", "ID", "STATE", "REASON"}}
	parked := int64(0)
	for _, m := range got.Messages {
		if m.State == "parked" {
			parked++
		}
		l.Rows = append(l.Rows, []string{m.Source, m.ID, m.State, m.Reason})
	}
	err := c.print(env, got, l, "No parked messages.")
	if parked > 0 {
		err = cmp.Or(err, error(&ExitError{Code: ExitFailed, Err: fmt.Errorf("%s parked again", plural(parked, "message is", "messages are"))}))
	}
	return err
}
