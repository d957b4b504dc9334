package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/notify"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/store"
)

// NotifyCmd holds the commands about notifications.
type NotifyCmd struct {
	Test NotifyTestCmd `cmd:"" help:"Send a test message to channels and print what they answer."`
	List NotifyListCmd `cmd:"" help:"List the messages that wait or were given up."`
}

// Notifying is what the commands about notifications need of a configuration, whose
// file may be empty for the default one.
type Notifying interface {
	// Channels returns the channels that are configured.
	Channels(config string) ([]notify.Channel, error)
	// Messages does what store.ListMessages does: in the server that runs, or else in
	// its store.
	Messages(ctx context.Context, config string, states []store.MessageState, channels []string, limit int) ([]store.Message, error)
}

// NotifyTestCmd tries channels.
type NotifyTestCmd struct {
	Channel []string `placeholder:"NAME" help:"Only this channel. Repeatable."`
	Config  string   `placeholder:"FILE" help:"Configuration file."`
}

// Help is shown below the flags.
func (*NotifyTestCmd) Help() string {
	return `The message says that it is a test. It goes the way of every message, but past the outbox: what waits
there is neither sent nor held up.

Examples:
  debut notify test
  debut notify test --channel ops --config /etc/debut/debut.toml

Exit codes: 0 every channel took it, 1 one did not, 2 wrong usage or configuration.`
}

// Run implements the command.
func (c *NotifyTestCmd) Run(env *Env, n Notifying) error {
	channels, err := n.Channels(c.Config)
	if err != nil {
		return err
	}
	if channels, err = chooseChannels(channels, c.Channel); err != nil {
		return err
	}
	rows := [][]string{{"CHANNEL", "TO", "RESULT", "ANSWER"}}
	failed := int64(0)
	for i := range channels {
		ch := &channels[i]
		answer, err := notify.Test(env.Context, ch, env.Now(), "debut/"+version)
		result := "ok"
		if err != nil {
			failed++
			result, answer = "failed", err.Error()
		}
		rows = append(rows, []string{ch.Name, ch.Target(), result, answer})
	}
	if err := report.Columns(env.Stdout, rows, tableOptions(env)); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if failed > 0 {
		return &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("%s did not take the message", plural(failed, "channel", "channels")),
			Hint: "docs/notify.md says what answers mean",
		}
	}
	return nil
}

// chooseChannels leaves the channels of those names, or all if there are none.
func chooseChannels(all []notify.Channel, names []string) ([]notify.Channel, error) {
	if len(all) == 0 {
		return nil, &ExitError{Code: ExitUsage, Err: errors.New("no channel is configured"), Hint: "docs/notify.md says how to configure one"}
	}
	have := make([]string, len(all))
	for i := range all {
		have[i] = all[i].Name
	}
	for _, name := range names {
		if !slices.Contains(have, name) {
			return nil, usagef("there is no channel %q; there is %s", name, strings.Join(have, ", "))
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(c notify.Channel) bool { return !slices.Contains(names, c.Name) }), nil
}

// NotifyListCmd lists the outbox.
type NotifyListCmd struct {
	Channel []string `placeholder:"NAME" help:"Only messages for this channel. Repeatable."`
	All     bool     `help:"Also what was sent."`
	Limit   int      `default:"1000" help:"At most so many messages."`
	Format  string   `enum:"table,json" default:"table" help:"table or json."`
	Config  string   `placeholder:"FILE" help:"Configuration file."`
}

// Help is shown below the flags.
func (*NotifyListCmd) Help() string {
	return `Messages that wait come first, in the order in which they are sent; then those that a digest speaks
for, those that were given up, and with --all those that were sent, the latest first.

Examples:
  debut notify list
  debut notify list --all --channel ops --format json`
}

// Run implements the command.
func (c *NotifyListCmd) Run(env *Env, n Notifying) error {
	if c.Limit < 1 {
		return usagef("--limit %d: it is at least 1", c.Limit)
	}
	channels, err := n.Channels(c.Config)
	if err != nil {
		return err
	}
	states := []store.MessageState{store.MessageWaiting, store.MessageDigested, store.MessageDead}
	if c.All {
		states = append(states, store.MessageSent)
	}
	list, err := n.Messages(env.Context, c.Config, states, c.Channel, c.Limit+1)
	if err != nil {
		return err
	}
	more := len(list) > c.Limit
	list = list[:min(len(list), c.Limit)]
	if c.Format == "json" {
		err = writeJSON(env, list)
	} else {
		err = c.table(env, list, channels)
	}
	if err == nil && more {
		env.say("there are more than %d messages; --limit shows more\n", c.Limit)
	}
	return err
}

func (*NotifyListCmd) table(env *Env, list []store.Message, channels []notify.Channel) error {
	if len(list) == 0 {
		env.say("no message waits, and none was given up\n")
		return nil
	}
	rows := [][]string{{"STATE", "CHANNEL", "KIND", "ABOUT", "QUEUED", "ATTEMPTS", "NEXT", "LAST ERROR"}}
	for i := range list {
		m := &list[i]
		failed := m.LastError
		if m.State == store.MessageWaiting && !slices.ContainsFunc(channels, func(c notify.Channel) bool { return c.Name == m.Channel }) {
			failed = strings.TrimSuffix("no channel of this name is configured; "+failed, "; ")
		}
		rows = append(rows, []string{
			string(m.State), m.Channel, string(m.Kind), aboutMessage(m), clockTime(m.Created), strconv.Itoa(m.Attempts), clockTime(m.Next), failed,
		})
	}
	var b bytes.Buffer
	if err := report.Columns(&b, rows, tableOptions(env)); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return write(env, b.Bytes())
}

func aboutMessage(m *store.Message) string {
	switch {
	case m.Alert != nil:
		return m.Alert.Handle[:min(len(m.Alert.Handle), 12)] + " " + m.Alert.Rule
	case m.Digest != nil:
		return plural(m.Digest.Count, "message", "messages")
	case m.Notice != nil:
		return m.Notice.Title
	}
	return ""
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}
