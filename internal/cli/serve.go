package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
)

// ServeCmd runs rules for ever.
type ServeCmd struct {
	Config configFlag `embed:""`
	Data   string     `placeholder:"DIR" help:"Data folder, in place of the configuration's."`
	Listen string     `placeholder:"ADDRESS" help:"Address of the API, in place of the configuration's."`
	Check  bool       `help:"Open everything, then end: shows whether it would run."`
}

// Help is shown below the flags.
func (*ServeCmd) Help() string {
	return `Examples:
  debut serve                          with debut.toml of this folder, if there is one
  debut serve --config /etc/debut/debut.toml
  DEBUT_SERVER_LISTEN=127.0.0.1:9000 debut serve

SIGHUP reads rules and exceptions again; SIGINT and SIGTERM end it in order.
docs/config.md describes the configuration, docs/serve.md everything else.

Exit codes: 0 ended in order, 1 failed, 2 wrong usage or configuration.`
}

// configFlag names the configuration.
type configFlag struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration; default debut.toml, if it is there."`
}

// defaultConfig is read when no file is named and it is there.
const defaultConfig = "debut.toml"

// load reads the configuration and says what is wrong with it.
func (f configFlag) load(env *Env) (*config.Config, error) {
	path := f.Config
	if path == "" {
		if _, err := os.Stat(defaultConfig); err == nil {
			path = defaultConfig
		}
	}
	c, err := config.Load(path, env.Getenv)
	var diags query.Diagnostics
	switch {
	case errors.As(err, &diags):
		for _, d := range diags {
			env.say("%s", d.Render())
		}
		return nil, &ExitError{Code: ExitUsage, Err: fmt.Errorf("the configuration has %s", plural(int64(len(diags)), "error", "errors")), Hint: "docs/config.md describes every key"}
	case err != nil:
		return nil, &ExitError{Code: ExitUsage, Err: err}
	}
	return c, nil
}

// Run implements the command.
func (c *ServeCmd) Run(env *Env) error {
	cfg, err := c.Config.load(env)
	if err != nil {
		return err
	}
	if c.Data != "" {
		cfg.DataDir = c.Data
	}
	if c.Listen != "" {
		cfg.Server.Listen = c.Listen
	}
	reload, stop := hangups()
	defer stop()
	d, err := daemon.Open(env.Context, daemon.Options{
		Config: cfg, Getenv: env.Getenv, Now: env.Now, Log: logger(env, cfg), Version: version, Reload: reload,
	})
	if err != nil {
		return explainOpen(err)
	}
	if c.Check {
		env.say("everything opens: the API would be at %s\n", d.URL())
		return d.Close()
	}
	err = d.Run(env.Context)
	return errors.Join(err, d.Close())
}

// explainOpen gives what keeps the daemon from starting its exit code and a hint.
func explainOpen(err error) error {
	switch {
	case errors.Is(err, server.ErrConfig):
		return &ExitError{Code: ExitUsage, Err: err}
	case errors.Is(err, store.ErrInUse):
		return &ExitError{Code: ExitFailed, Err: err, Hint: "end the other one, or give this one a data folder of its own with --data"}
	case errors.Is(err, store.ErrInvalid):
		return &ExitError{Code: ExitUsage, Err: errors.New(strings.TrimPrefix(err.Error(), store.ErrInvalid.Error()+": "))}
	}
	return err
}

// hangups turns SIGHUP into requests to reload.
func hangups() (reload <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	out, done := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				select {
				case out <- struct{}{}:
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(signals)
		close(done)
	}
}

// logger writes what the daemon says of itself to standard error.
func logger(env *Env, c *config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // validated; else info
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(env.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(env.Stderr, o))
}
