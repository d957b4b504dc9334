package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/source/files"
	"github.com/debutsec/debut/internal/triage"
)

// ScanCmd runs rules over logs, once.
type ScanCmd struct {
	Paths      []string    `arg:"" name:"path" help:"File, folder or glob with CloudTrail logs in any container; - for standard input."`
	Rules      []string    `placeholder:"PATH" help:"Rules to run: 'shipped', or a file or folder (TOML, NDJSON, JSON). Repeatable. Default: shipped."`
	Rule       []string    `placeholder:"ID|NAME" help:"Run only this rule, even if it is disabled. Repeatable."`
	Disabled   bool        `help:"Run rules that are disabled in their files too."`
	Exceptions []string    `placeholder:"FILE" help:"Exceptions (TOML, NDJSON) or a value list (text). Repeatable."`
	From       string      `placeholder:"T" help:"Alert on events from this time on; earlier ones are history (RFC 3339, a date, or date math: now-7d)."`
	To         string      `placeholder:"T" help:"Leave out events at or after this time."`
	Learn      string      `placeholder:"DURATION" help:"Learn for so long from the first event on, without alerting (7d, 12h)."`
	Format     string      `enum:"table,ndjson,csv,markdown,html" default:"table" help:"table, ndjson, csv, markdown or html."`
	Output     string      `short:"o" placeholder:"FILE" help:"Write the result to a file instead of standard output."`
	Problems   string      `placeholder:"FILE" help:"Write every part of the input that was rejected or noted to a file, as NDJSON."`
	FailOn     string      `placeholder:"SEVERITY" enum:",low,medium,high,critical" default:"" help:"Exit with 3 if there is an alert of this severity or above."`
	Strict     bool        `help:"Check every record whole; exit with 1 if anything at all was rejected."`
	Workers    int         `placeholder:"N" help:"Number of workers; default one per core. Never changes the result."`
	GeoIP      []string    `name:"geoip" placeholder:"FILE" help:"MaxMind-format database (city or ASN) for source.geo and source.as. Repeatable."`
	Triage     triageCount `placeholder:"N" help:"Investigate the N severest alerts, 50 if no number is given: --triage, --triage=200."`
	TriageDir  string      `name:"triage-dir" placeholder:"DIR" help:"Write a page for each investigated alert to a folder, with an index.html."`
	Store      string      `placeholder:"DIR" help:"Keep what was read as a data folder, for 'debut search' and 'debut triage'."`
	Config     string      `placeholder:"FILE" help:"Configuration whose [triage] says what is usual here; default debut.toml, if it is there."`
	Now        string      `placeholder:"T" help:"Take this as the current time, for output that can be compared."`
	Quiet      bool        `short:"q" help:"No summary and no progress."`
}

// Help is shown below the flags.
func (*ScanCmd) Help() string {
	return `Examples:
  debut scan ./AWSLogs
  debut scan --learn 7d --format html -o report.html ./AWSLogs
  debut scan --triage --triage-dir cases ./AWSLogs
  zcat trail.json.gz | debut scan --format ndjson -
  debut scan --rules ./detection-rules/rules/integrations/aws --from now-1d ./AWSLogs

Exit codes: 0 done, 1 failed (with --strict also: something was rejected), 2 wrong usage,
3 alerts at or above --fail-on.`
}

// Run implements the command.
func (c *ScanCmd) Run(env *Env) (err error) {
	clock := env.Now()
	configured, err := c.checkTriage(env)
	if err != nil {
		return err
	}
	s, err := c.prepare(env, clock)
	if err != nil {
		return err
	}
	defer closeEnricher(env, s.enricher)
	out, err := openOutput(env, c.Output)
	if err != nil {
		return err
	}
	defer out.abandon()
	problems, closeProblems, err := c.problemLog()
	if err != nil {
		return err
	}

	var kept *scanStore
	var each func(int, *pipeline.Each) error
	if c.Triage > 0 || c.Store != "" {
		if kept, err = newScanStore(env, c.Store, s.rules, s.enricher); err != nil {
			return err
		}
		each = kept.each
		defer func() { err = errors.Join(err, kept.close()) }()
	}

	walk := files.New(files.Options{From: s.readFrom, To: s.to, Stdin: env.Stdin})
	progress := &pipeline.Progress{}
	stop := c.showProgress(env, progress)
	result, err := pipeline.Run(env.Context, pipeline.Config{
		Engine: s.rules.engine, Catalogue: s.rules.catalogue, Enricher: s.enricher,
		Workers: c.Workers, From: s.from, To: s.to, Learn: s.learn, Strict: c.Strict,
		TempDir: os.TempDir(), Problem: problems, Progress: progress, Each: each,
	}, walk.Objects(env.Context, c.Paths))
	stop()
	if result != nil {
		defer func() { _ = result.Close() }() // temporary files; nothing left to save
	}
	if err = cmp.Or(err, closeProblems()); err != nil {
		return err
	}

	var reports map[string]*triage.Report
	investigable := 0
	if kept != nil {
		if reports, investigable, err = c.investigate(env, configured, kept, result, s); err != nil {
			return err
		}
	}

	scan, err := c.scan(report.Scan{
		Stats: &result.Stats, Rules: s.rules.lines(&result.Stats), NotLoaded: s.rules.failed,
		Skipped: walk.Skipped(), Paths: c.Paths, Now: s.now, Elapsed: env.Now().Sub(clock), Version: version,
		Alerts: alerts(result), Triage: reports, Investigable: investigable,
	})
	if err != nil {
		return err
	}
	if err := cmp.Or(c.write(env, out, scan), c.writePages(scan)); err != nil {
		return err
	}
	if !c.Quiet {
		if err := report.Summary(env.Stderr, scan, report.Options{Color: env.StderrTTY && env.Getenv("NO_COLOR") == "", Width: env.Width}); err != nil {
			return err
		}
	}
	return c.verdict(scan)
}

// setup is what a scan needs before it reads a byte of the logs.
type setup struct {
	rules    *ruleSet
	enricher *enrich.Enricher
	now      time.Time
	from, to time.Time
	learn    time.Duration
	// readFrom is how far back logs are read: the rules' history before from.
	readFrom time.Time
}

func (c *ScanCmd) prepare(env *Env, clock time.Time) (*setup, error) {
	s := &setup{now: clock}
	var err error
	if c.Now != "" {
		if s.now, err = parseTime("--now", c.Now, clock); err != nil {
			return nil, err
		}
	}
	if c.From != "" {
		if s.from, err = parseTime("--from", c.From, s.now); err != nil {
			return nil, err
		}
	}
	if c.To != "" {
		if s.to, err = parseTime("--to", c.To, s.now); err != nil {
			return nil, err
		}
	}
	if !s.from.IsZero() && !s.to.IsZero() && !s.from.Before(s.to) {
		return nil, usagef("--from (%s) is not before --to (%s): no event can be between them",
			s.from.Format(time.RFC3339), s.to.Format(time.RFC3339))
	}
	if c.Learn != "" {
		if s.learn, err = parseDuration("--learn", c.Learn); err != nil {
			return nil, err
		}
	}
	if c.Workers < 0 {
		return nil, usagef("--workers must be at least 1, not %d", c.Workers)
	}
	if s.rules, err = loadRules(ruleOptions{
		Paths: c.Rules, Only: c.Rule, Exceptions: c.Exceptions, Disabled: c.Disabled,
	}); err != nil {
		return nil, err
	}
	complain(env, s.rules.failed, "more error in rule files", "more errors in rule files")
	complain(env, s.rules.unapplied, "more warning about exceptions", "more warnings about exceptions")
	if len(s.rules.engine.Rules) == 0 {
		return nil, &ExitError{
			Code: ExitUsage, Err: fmt.Errorf("no rule to run: %d loaded, none can or may run", len(s.rules.set.Rules)),
			Hint: "'debut rules list PATH' says why for each; --disabled runs disabled rules too",
		}
	}
	if !s.from.IsZero() {
		s.readFrom = s.from
		for _, r := range s.rules.engine.Rules {
			if h := r.History(s.from); h.Before(s.readFrom) {
				s.readFrom = h
			}
		}
	}
	s.enricher, err = newEnricher(c.GeoIP)
	return s, err
}

// scan counts the alerts beforehand for a format that tells of the sums.
func (c *ScanCmd) scan(s report.Scan) (*report.Scan, error) {
	if c.Format == "ndjson" || c.Format == "csv" {
		return report.Stream(s), nil
	}
	scan, err := report.New(s)
	if err != nil {
		return nil, fmt.Errorf("count the alerts: %w", err)
	}
	return scan, nil
}

// alerts makes the alerts of a result, anew each time that they are gone through.
func alerts(result *pipeline.Result) iter.Seq2[*alert.Alert, error] {
	return func(yield func(*alert.Alert, error) bool) {
		for f, err := range result.Found() {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(alert.New(f.Rule, &f.Signal, f.Event, f.Coverage, f.Cold), nil) {
				return
			}
		}
	}
}

func (c *ScanCmd) write(env *Env, out *output, scan *report.Scan) error {
	w := bufio.NewWriterSize(out, 64<<10)
	var err error
	switch c.Format {
	case "ndjson":
		err = report.NDJSON(w, scan)
	case "csv":
		err = report.CSV(w, scan)
	case "markdown":
		err = report.Markdown(w, scan)
	case "html":
		err = report.HTML(w, scan)
	default:
		o := tableOptions(env)
		if out.file != nil {
			o = report.Options{}
		}
		err = cmp.Or(report.Table(w, scan, o), report.TriageBriefs(w, scan, o))
	}
	if err = cmp.Or(err, w.Flush()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return out.commit()
}

// verdict is the exit code of a scan that went through.
func (c *ScanCmd) verdict(scan *report.Scan) error {
	st := scan.Stats
	read := st.Records + st.Documents
	if read == 0 && st.Rejected > 0 {
		return &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("nothing could be read: %s rejected", plural(st.Rejected, "part", "parts")),
			Hint: "the summary says what and why; is this CloudTrail?",
		}
	}
	if c.Strict && (st.Rejected > 0 || len(scan.NotLoaded) > 0) {
		return &ExitError{Code: ExitFailed, Err: fmt.Errorf("--strict: %s of the input and %s of rules were rejected",
			plural(st.Rejected, "part", "parts"), plural(int64(len(scan.NotLoaded)), "part", "parts"))}
	}
	if c.FailOn != "" && scan.AtLeast(c.FailOn) > 0 {
		return &ExitError{Code: ExitAlerts}
	}
	return nil
}
