package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/desk"
	"github.com/debutsec/debut/internal/triage/live"
)

// TriageCmd holds the commands about investigations.
type TriageCmd struct {
	Run  TriageRunCmd  `cmd:"" default:"withargs" help:"Investigate an alert now."`
	Diff TriageDiffCmd `cmd:"" help:"Show what changed between two versions of a report."`
}

// Help is shown below the commands.
func (*TriageCmd) Help() string {
	return `debut triage ALERT is short for debut triage run ALERT, whose flags debut triage run --help lists.

Examples:
  debut triage 3f2a91
  debut triage 3f2a91 --format html -o case.html
  debut triage diff 3f2a91`
}

// TriageRunCmd investigates an alert.
type TriageRunCmd struct {
	serverFlags

	ID           string `arg:"" optional:"" name:"alert" help:"Id of the alert, or its beginning."`
	Version      int    `default:"-1" placeholder:"N" help:"Show this version, as it is stored, in place of investigating; 0: the latest."`
	Versions     bool   `help:"List the versions that are stored."`
	Weights      string `placeholder:"FILE" help:"Weigh with this table over the program's own. The report is not kept."`
	AsOf         string `name:"as-of" placeholder:"T" help:"Investigate for that time: nothing later is read. The report is not kept."`
	Live         bool   `help:"Ask AWS too, reading only: with the credentials that the AWS SDK finds, or triage.live_role."`
	Format       string `enum:"text,json,markdown,html,csv" default:"text" help:"text, json (triage.v1), markdown, html, or csv: the timeline."`
	Output       string `short:"o" placeholder:"FILE" help:"Write to a file, which appears only when it is whole."`
	PrintPolicy  bool   `help:"Print the IAM policy that --live needs, and end."`
	PrintWeights bool   `help:"Print the table of weights, and end."`
}

// Help is shown below the flags.
func (*TriageRunCmd) Help() string {
	return `Answers the questions of an investigation from the stored events: seventeen steps, each with its
evidence, what it is worth and what is not known. A report that says something new is kept as
the alert's next version.

Examples:
  debut triage 3f2a91
  debut triage 3f2a91 --format html -o case.html
  debut triage 3f2a91 --version 1
  debut triage diff 3f2a91
  debut triage --print-weights > weights.toml`
}

// Run implements the command.
func (c *TriageRunCmd) Run(env *Env) error {
	switch {
	case c.Output != "" && (c.PrintPolicy || c.PrintWeights || c.Versions):
		return usagef("--output is for a report: --print-policy, --print-weights and --versions are printed")
	case c.PrintPolicy:
		return write(env, append(live.Policy(), '\n'))
	case c.PrintWeights:
		return write(env, []byte(triage.DefaultWeights()))
	case c.ID == "":
		return &ExitError{Code: ExitUsage, Err: errors.New("no alert is named"), Hint: "'debut alerts list' lists them with their ids"}
	case c.Version < -1:
		return usagef("--version %d: give a version from 1 on, or 0 for the latest", c.Version)
	case (c.Version >= 0 || c.Versions) && (c.Weights != "" || c.AsOf != "" || c.Live):
		return usagef("--version and --versions show what is stored: they do not go with --weights, --as-of and --live")
	case c.Versions && c.Format != "text" && c.Format != "json":
		return usagef("--versions is a list, as text or json, not %s", c.Format)
	}
	if c.Versions {
		return c.list(env)
	}
	body, err := c.request(env)
	if err != nil {
		return err
	}
	out, err := openOutput(env, c.Output)
	if err != nil {
		return err
	}
	defer out.abandon()
	rep, err := c.report(env, body)
	if err != nil {
		return err
	}
	if err := writeTriage(env, out, rep, c.Format); err != nil {
		return err
	}
	return out.commit()
}

// request is what the flags ask for.
func (c *TriageRunCmd) request(env *Env) (*api.TriageRequest, error) {
	r := &api.TriageRequest{Live: c.Live}
	if c.AsOf != "" {
		t, err := parseTime("--as-of", c.AsOf, env.Now())
		if err != nil {
			return nil, err
		}
		r.AsOf = t.UTC()
	}
	if c.Weights != "" {
		b, err := desk.ReadWeights(c.Weights)
		if err == nil {
			_, err = triage.ParseWeights(b)
		}
		if err != nil {
			return nil, &ExitError{Code: ExitUsage, Err: fmt.Errorf("--weights %s: %w", c.Weights, err), Hint: "'debut triage --print-weights' prints the table with what each row means"}
		}
		r.Weights = string(b)
	}
	return r, nil
}

// report investigates, or reads the version that was asked for.
func (c *TriageRunCmd) report(env *Env, body *api.TriageRequest) (*triage.Report, error) {
	path := "/alerts/" + url.PathEscape(c.ID) + "/triage"
	if c.Version >= 0 {
		cl, err := c.connect(env, false)
		if err != nil {
			return nil, err
		}
		rep, err := readReport(cl, path, c.Version)
		return rep, cmp.Or(err, cl.close())
	}
	trial := body.Weights != "" || !body.AsOf.IsZero()
	cl, err := c.connectDesk(env, !trial)
	if err != nil {
		return nil, err
	}
	res, err := cl.do(http.MethodPost, api.Prefix+path, nil, body)
	var rep *triage.Report
	if err == nil {
		if rep, err = decodeReport(cl, res); err == nil && res.Header.Get(server.ReportHeader) == "kept" {
			env.say("kept as version %d\n", rep.Version)
		}
	}
	return rep, cmp.Or(err, cl.close())
}

// readReport reads a stored version; 0: the latest.
func readReport(cl *client, path string, version int) (*triage.Report, error) {
	v := url.Values{}
	if version > 0 {
		v.Set("version", strconv.Itoa(version))
	}
	res, err := cl.do(http.MethodGet, api.Prefix+path, v, nil)
	if err != nil {
		return nil, err
	}
	return decodeReport(cl, res)
}

// maxReport bounds a report that somebody else sends.
const maxReport = 256 << 20

func decodeReport(cl *client, res *http.Response) (*triage.Report, error) {
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReport))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", cl.base, err)
	}
	rep, err := report.ReadTriage(b)
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", cl.base, err)
	}
	return rep, nil
}

func writeTriage(env *Env, out *output, rep *triage.Report, format string) error {
	var b bytes.Buffer
	var err error
	switch format {
	case "json":
		err = report.TriageJSON(&b, rep)
	case "html":
		err = report.TriageHTML(&b, rep)
	case "markdown":
		err = report.TriageMarkdown(&b, rep)
	case "csv":
		err = report.TriageCSV(&b, rep)
	default:
		o := tableOptions(env)
		if out.file != nil {
			o = report.Options{}
		}
		err = report.Triage(&b, rep, o)
	}
	if err == nil {
		_, err = out.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (c *TriageRunCmd) list(env *Env) error {
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	list, err := versionsOf(cl, c.ID)
	if err = cmp.Or(err, cl.close()); err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(env, list)
	}
	rows := [][]string{{"VERSION", "AS OF (UTC)", "WHY", "VERDICT", "SCORE", "CONFIDENCE", "REMARKS"}}
	for _, v := range list.Versions {
		remark := ""
		if !v.Kept {
			remark = "not kept"
		}
		rows = append(rows, []string{
			strconv.Itoa(v.Version), moment(v.AsOf), v.Trigger, verdictWords(v.Verdict), strconv.Itoa(v.Score), fmt.Sprintf("%.2f", v.Confidence), remark,
		})
	}
	var b bytes.Buffer
	if err := report.Columns(&b, rows, tableOptions(env)); err != nil {
		return fmt.Errorf("write the versions: %w", err)
	}
	switch {
	case list.Error != "":
		fmt.Fprintf(&b, "\nthe last attempt failed: %s\n", safeText(list.Error))
	case !list.Due.IsZero():
		fmt.Fprintf(&b, "\ninvestigated again at %s UTC\n", moment(list.Due))
	}
	return write(env, b.Bytes())
}

func versionsOf(cl *client, id string) (*api.TriageVersions, error) {
	var list api.TriageVersions
	return &list, cl.call(http.MethodGet, "/alerts/"+url.PathEscape(id)+"/triage/versions", nil, nil, &list)
}

// connectDesk is connect, with somebody who can investigate: the server, or a desk over
// the store that this process opens.
func (f *serverFlags) connectDesk(env *Env, writes bool) (*client, error) {
	return f.connectWith(env, writes, false, func(db store.DB, dir string, o *server.Options) (func() error, error) {
		cfg, err := f.load(env)
		if err != nil {
			return nil, err
		}
		d, closeDesk, err := openDesk(env, db, dir, cfg.Rules.GeoIP, func(o *desk.Options) error { return o.Configure(&cfg.Triage, env.Getenv) })
		if err != nil {
			return nil, err
		}
		o.Triage = d
		return closeDesk, nil
	})
}

// openDesk opens the events beside a store and makes a desk of both.
func openDesk(env *Env, db store.DB, dir string, geoip []string, configure func(*desk.Options) error) (*desk.Desk, func() error, error) {
	cat := ecs.NewCatalogue()
	enricher, err := newEnricher(geoip)
	if err != nil {
		return nil, nil, err
	}
	s, err := events.Open(events.Options{
		Dir: dir, DB: db, Catalogue: cat, Enricher: enricher, Now: env.Now, ReadOnly: true,
		Log: slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, nil, errors.Join(err, enricher.Close())
	}
	closeAll := func() error { return errors.Join(s.Close(), enricher.Close()) }
	o := desk.Options{DB: db, Events: s, Catalogue: cat, Now: env.Now, PlacesDate: daemon.PlacesDate(geoip)}
	if len(geoip) > 0 {
		o.Places = enricher
	}
	if err := configure(&o); err != nil {
		return nil, nil, errors.Join(&ExitError{Code: ExitUsage, Err: err}, closeAll())
	}
	return desk.New(o), closeAll, nil
}

// TriageDiffCmd shows what changed between versions.
type TriageDiffCmd struct {
	serverFlags

	ID     string `arg:"" name:"alert" help:"Id of the alert, or its beginning."`
	From   int    `placeholder:"N" help:"The version to compare with; default the one before --to."`
	To     int    `placeholder:"N" help:"The version that is compared; default the latest."`
	Format string `enum:"text,json,markdown" default:"text" help:"text, json or markdown."`
	Output string `short:"o" placeholder:"FILE" help:"Write to a file, which appears only when it is whole."`
}

// Help is shown below the flags.
func (*TriageDiffCmd) Help() string {
	return `Examples:
  debut triage diff 3f2a91
  debut triage diff 3f2a91 --from 1 --to 3`
}

// Run implements the command.
func (c *TriageDiffCmd) Run(env *Env) error {
	if c.From < 0 || c.To < 0 {
		return usagef("--from and --to are versions, from 1 on")
	}
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	old, now, err := c.pair(cl)
	if err = cmp.Or(err, cl.close()); err != nil {
		return err
	}
	out, err := openOutput(env, c.Output)
	if err != nil {
		return err
	}
	defer out.abandon()
	var b bytes.Buffer
	d, err := report.DiffTriage(old, now)
	if err != nil {
		return fmt.Errorf("compare the reports: %w", err)
	}
	switch c.Format {
	case "json":
		err = report.TriageDiffJSON(&b, d)
	case "markdown":
		err = report.TriageDiffMarkdown(&b, d)
	default:
		o := tableOptions(env)
		if out.file != nil {
			o = report.Options{}
		}
		err = report.TriageDiffText(&b, d, o)
	}
	if err == nil {
		_, err = out.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write the difference: %w", err)
	}
	return out.commit()
}

// pair reads the two reports.
func (c *TriageDiffCmd) pair(cl *client) (old, now *triage.Report, err error) {
	path := "/alerts/" + url.PathEscape(c.ID) + "/triage"
	if now, err = readReport(cl, path, c.To); err != nil {
		return nil, nil, err
	}
	from := c.From
	if from == 0 {
		if from = now.Version - 1; from == 0 {
			return nil, nil, &ExitError{
				Code: ExitUsage, Err: fmt.Errorf("there is one version of the report of alert %s: nothing to compare it with", safeText(c.ID)),
				Hint: "'debut triage " + safeText(c.ID) + "' investigates again, and keeps a report that says something new",
			}
		}
	}
	old, err = readReport(cl, path, from)
	return old, now, err
}

// verdictWords writes a verdict for people.
func verdictWords(v string) string { return strings.ReplaceAll(v, "_", " ") }
