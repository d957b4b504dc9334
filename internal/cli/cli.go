package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// commands is the command line.
type commands struct {
	Scan       ScanCmd       `cmd:"" help:"Run rules over CloudTrail logs, once."`
	Rules      RulesCmd      `cmd:"" help:"List, check, show and lint rules."`
	ECS        ECSCmd        `cmd:"" name:"ecs" help:"Print the ECS document of every record as NDJSON."`
	Generate   GenerateCmd   `cmd:"" help:"Make a synthetic trail whose first-seen events are known."`
	Serve      ServeCmd      `cmd:"" help:"Run rules for ever: sources, alerts, notifications, API."`
	Status     StatusCmd     `cmd:"" help:"Show how the server is."`
	Alerts     AlertsCmd     `cmd:"" help:"List, show, acknowledge and close alerts."`
	Triage     TriageCmd     `cmd:"" help:"Investigate an alert: what is known, how sure, and why."`
	Search     SearchCmd     `cmd:"" help:"Hunt in the stored events with KQL."`
	Exceptions ExceptionsCmd `cmd:"" help:"Exceptions of rules: list, test, add, delete."`
	Silences   SilencesCmd   `cmd:"" help:"Maintenance windows and snoozes."`
	Coverage   CoverageCmd   `cmd:"" help:"Show what was expected, read, failed and late, by account, region and hour."`
	Sources    SourcesCmd    `cmd:"" help:"Messages of queues that could not be dealt with: list, try again."`
	Backfill   BackfillCmd   `cmd:"" help:"Run rules over a time that has passed, into the same alerts."`
	Runs       RunsCmd       `cmd:"" help:"List backfills and reloads."`
	Store      StoreCmd      `cmd:"" help:"Check, measure or compact what is stored."`
	Notify     NotifyCmd     `cmd:"" help:"Test channels, and list what waits to be told."`
	Tokens     TokensCmd     `cmd:"" help:"Tokens of the API."`
	Config     ConfigCmd     `cmd:"" help:"Check or show the configuration of serve."`
	Version    VersionCmd    `cmd:"" help:"Print the version."`
}

const description = `Debut runs Elastic-format detection rules over AWS CloudTrail and finds the first time.

  debut scan ./AWSLogs                    the shipped rules over a folder of logs
  debut scan --rules ./rules trail.json.gz
  debut rules lint ./rules`

// exit is what kong panics with in place of ending the process.
type exit int

// Main runs the command line of env and returns the exit code.
func Main(env *Env) (code int) {
	defer func() {
		if v := recover(); v != nil {
			e, ok := v.(exit)
			if !ok {
				panic(v)
			}
			code = int(e)
		}
	}()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("debut"),
		kong.Description(description),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.UsageOnError(),
		kong.Bind(env),
		kong.BindTo(notifying{env}, (*Notifying)(nil)),
	)
	if err != nil {
		return finish(env, err)
	}
	args := env.Args
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return finish(env, &ExitError{Code: ExitUsage, Err: err, Hint: usageHint(err)})
	}
	return finish(env, ctx.Run(env))
}

func usageHint(err error) string {
	var pe *kong.ParseError
	if errors.As(err, &pe) && pe.Context != nil {
		words := strings.Fields(pe.Context.Command())
		if i := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "<[") }); i >= 0 {
			words = words[:i] // the rest are arguments
		}
		if len(words) > 0 {
			return fmt.Sprintf("see 'debut %s --help'", strings.Join(words, " "))
		}
	}
	return "see 'debut --help'"
}

// finish prints an error for a person and returns its exit code.
func finish(env *Env, err error) int {
	var e *ExitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &e) && e.Err == nil:
		return e.Code
	}
	env.say("error: %s\n", err)
	if e != nil && e.Hint != "" {
		env.say("hint: %s\n", e.Hint)
	}
	return exitCode(err)
}
