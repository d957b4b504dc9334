package cli

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/pelletier/go-toml/v2"

	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/triage/desk"
)

// ConfigCmd is about the configuration of the daemon.
type ConfigCmd struct {
	Check ConfigCheckCmd `cmd:"" help:"Say what is wrong with a configuration."`
	Show  ConfigShowCmd  `cmd:"" help:"Print what a configuration comes to, with all defaults; secrets are masked."`
}

// ConfigCheckCmd validates a configuration.
type ConfigCheckCmd struct {
	File string `arg:"" optional:"" help:"Configuration; default debut.toml, if it is there."`
}

// Help is shown below the flags.
func (*ConfigCheckCmd) Help() string {
	return `Examples:
  debut config check
  debut config check /etc/debut/debut.toml`
}

// Run implements the command.
func (c *ConfigCheckCmd) Run(env *Env) error {
	cfg, err := configFlag{c.File}.load(env)
	if err != nil {
		return err
	}
	if _, err := daemon.Channels(cfg, env.Getenv); err != nil {
		return &ExitError{Code: ExitUsage, Err: err}
	}
	var triage desk.Options
	if err := triage.Configure(&cfg.Triage, env.Getenv); err != nil {
		return &ExitError{Code: ExitUsage, Err: err}
	}
	name := cfg.File()
	if name == "" {
		name = "no file: the defaults"
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: sound; %s, %s\n", name,
		plural(int64(len(cfg.Sources)), "source", "sources"), plural(int64(len(cfg.Notify.Channels)), "channel", "channels"))
	return err //nolint:wrapcheck // of standard output
}

// ConfigShowCmd prints a configuration.
type ConfigShowCmd struct {
	File   string `arg:"" optional:"" help:"Configuration; default debut.toml, if it is there."`
	Format string `enum:"toml,json" default:"toml" help:"toml or json."`
}

// Help is shown below the flags.
func (*ConfigShowCmd) Help() string {
	return `Examples:
  debut config show
  DEBUT_SERVER_LISTEN=127.0.0.1:9000 debut config show --format json`
}

// Run implements the command.
func (c *ConfigShowCmd) Run(env *Env) error {
	cfg, err := configFlag{c.File}.load(env)
	if err != nil {
		return err
	}
	text, err := toml.Marshal(cfg.Masked())
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if c.Format == "json" {
		var tree map[string]any // the names of the file, not of Go
		if err := toml.Unmarshal(text, &tree); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		if text, err = json.Marshal(tree, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		text = append(text, '\n')
	}
	_, err = env.Stdout.Write(text)
	return err //nolint:wrapcheck // of standard output
}
