package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// AlertsCmd holds the commands about alerts.
type AlertsCmd struct {
	List   AlertsListCmd   `cmd:"" help:"List alerts, the latest first."`
	Show   AlertsShowCmd   `cmd:"" help:"Show everything about one alert."`
	Ack    AlertsAckCmd    `cmd:"" help:"Acknowledge alerts: somebody deals with them."`
	Close  AlertsCloseCmd  `cmd:"" help:"Close alerts."`
	Reopen AlertsReopenCmd `cmd:"" help:"Open alerts again."`
	Note   AlertsNoteCmd   `cmd:"" help:"Write a note about an alert."`
	Tag    AlertsTagCmd    `cmd:"" help:"Add and remove tags."`
	Assign AlertsAssignCmd `cmd:"" help:"Add and remove assignees."`
	Export AlertsExportCmd `cmd:"" help:"Write alerts to a file or to standard output, all of them."`
}

// alertFlags choose alerts.
type alertFlags struct {
	From      string   `placeholder:"T" help:"Alerts from this time on (RFC 3339, a date, or date math: now-7d)."`
	To        string   `placeholder:"T" help:"Alerts before this time."`
	Status    []string `placeholder:"STATUS" help:"open, acknowledged, closed. Repeatable."`
	Severity  []string `placeholder:"SEVERITY" help:"low, medium, high, critical. Repeatable."`
	Rule      []string `sep:"none" placeholder:"ID|NAME" help:"Of this rule. Repeatable."`
	Principal string   `placeholder:"ARN" help:"Of this principal."`
	Account   string   `placeholder:"ID" help:"Of this account."`
	Tagged    string   `name:"tagged" placeholder:"TAG" help:"With this tag."`
	Assignee  string   `placeholder:"NAME" help:"Assigned to this person."`
	Verdict   []string `placeholder:"VERDICT" help:"Investigated as: malicious, likely_malicious, suspicious, review, likely_benign. Repeatable."`
	MinScore  int      `name:"min-score" placeholder:"N" help:"Investigated with at least this score, 1 to 100."`
	Text      string   `placeholder:"TEXT" help:"With this text in who, what, where, principal or the rule's name."`
	Withheld  bool     `help:"Also those over max_signals, of which nobody was told."`
	Withdrawn bool     `help:"Also those that late events took the ground from."`
	Blocks    bool     `help:"Also building blocks."`
}

// any reports whether the flags choose something.
func (f *alertFlags) any() bool {
	return f.From != "" || f.To != "" || len(f.Status)+len(f.Severity)+len(f.Rule) > 0 ||
		f.Principal != "" || f.Account != "" || f.Tagged != "" || f.Assignee != "" || len(f.Verdict) > 0 || f.MinScore != 0 || f.Text != ""
}

func (f *alertFlags) query(env *Env) (*api.AlertQuery, error) {
	q := &api.AlertQuery{
		Status: f.Status, Severity: f.Severity, Rule: f.Rule, Principal: f.Principal, Account: f.Account, Tag: f.Tagged,
		Assignee: f.Assignee, Verdict: f.Verdict, MinScore: f.MinScore, Text: f.Text, Withheld: f.Withheld, Withdrawn: f.Withdrawn, Blocks: f.Blocks,
	}
	var err error
	if q.From, q.To, err = timesOf(env, f.From, f.To); err != nil {
		return nil, err
	}
	return q, nil
}

// timesOf reads --from and --to.
func timesOf(env *Env, from, to string) (first, end time.Time, err error) {
	if from != "" {
		if first, err = parseTime("--from", from, env.Now()); err != nil {
			return first, end, err
		}
	}
	if to != "" {
		if end, err = parseTime("--to", to, env.Now()); err != nil {
			return first, end, err
		}
	}
	if !first.IsZero() && !end.IsZero() && !first.Before(end) {
		return first, end, usagef("--from (%s) is not before --to (%s)", first.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	return first, end, nil
}

// values are the parameters of the list.
func (f *alertFlags) values(env *Env) (url.Values, error) {
	q, err := f.query(env)
	if err != nil {
		return nil, err
	}
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	setTimes(v, q.From, q.To)
	v["status"], v["severity"], v["rule"], v["verdict"] = q.Status, q.Severity, q.Rule, q.Verdict
	if q.MinScore != 0 {
		v.Set("min_score", strconv.Itoa(q.MinScore))
	}
	set("principal", q.Principal)
	set("account", q.Account)
	set("tag", q.Tag)
	set("assignee", q.Assignee)
	set("text", q.Text)
	for name, on := range map[string]bool{"withheld": q.Withheld, "withdrawn": q.Withdrawn, "blocks": q.Blocks} {
		if on {
			v.Set(name, "true")
		}
	}
	return v, nil
}

func setTimes(v url.Values, from, to time.Time) {
	if !from.IsZero() {
		v.Set("from", from.UTC().Format(time.RFC3339Nano))
	}
	if !to.IsZero() {
		v.Set("to", to.UTC().Format(time.RFC3339Nano))
	}
}

// AlertsListCmd lists alerts.
type AlertsListCmd struct {
	alertFlags
	serverFlags

	Limit  int    `default:"50" placeholder:"N" help:"At most so many; 0: all."`
	Oldest bool   `help:"The oldest first."`
	Sort   string `enum:"time,score" default:"time" help:"time, or score: what an investigation finds worst first, then what was not investigated."`
	Format string `enum:"table,ndjson,csv,markdown" default:"table" help:"table, ndjson, csv or markdown."`
}

// Help is shown below the flags.
func (*AlertsListCmd) Help() string {
	return `Examples:
  debut alerts list --status open --severity high,critical
  debut alerts list --from now-1d --format csv --limit 0
  debut alerts list --sort score --min-score 40
  debut alerts list --rule 2ff64f61-0331-441d-80a8-000941cac929 --text report-export`
}

// Run implements the command.
func (c *AlertsListCmd) Run(env *Env) error {
	if c.Limit < 0 {
		return usagef("--limit %d: give 0 for all, or a number above", c.Limit)
	}
	if c.Sort == "score" && (c.Oldest || c.Format == "ndjson") {
		return usagef("--sort score lists the highest score first, and not as NDJSON: leave --oldest and --format ndjson out")
	}
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	out := &output{Writer: env.Stdout}
	more, err := writeAlerts(env, cl, out, &c.alertFlags, c.Format, c.Limit, order{c.Oldest, c.Sort == "score"})
	if err = cmp.Or(err, cl.close()); err != nil {
		return err
	}
	if more {
		env.say("there are more alerts; --limit 0 shows all\n")
	}
	return nil
}

// AlertsExportCmd writes all alerts.
type AlertsExportCmd struct {
	alertFlags
	serverFlags

	Format string `enum:"ndjson,csv,markdown" default:"ndjson" help:"ndjson (as Kibana stores alerts, with workflow), csv or markdown."`
	Output string `short:"o" placeholder:"FILE" help:"Write to a file, which appears only when it is whole."`
}

// Help is shown below the flags.
func (*AlertsExportCmd) Help() string {
	return `Examples:
  debut alerts export --withheld --withdrawn --blocks -o alerts.ndjson
  debut alerts export --format csv --from now-30d > alerts.csv`
}

// Run implements the command.
func (c *AlertsExportCmd) Run(env *Env) error {
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	out, err := openOutput(env, c.Output)
	if err != nil {
		return cmp.Or(err, cl.close())
	}
	defer out.abandon()
	_, err = writeAlerts(env, cl, out, &c.alertFlags, c.Format, 0, order{oldest: true})
	if err = cmp.Or(err, cl.close()); err != nil {
		return err
	}
	return out.commit()
}

// order says in which order alerts are listed; the latest first without anything.
type order struct{ oldest, score bool }

// writeAlerts writes up to limit alerts, 0 for all, and reports whether there are more.
func writeAlerts(env *Env, cl *client, out *output, f *alertFlags, format string, limit int, by order) (more bool, err error) {
	v, err := f.values(env)
	if err != nil {
		return false, err
	}
	if by.oldest {
		v.Set("order", "asc")
	}
	if by.score {
		v.Set("sort", "score")
	}
	w := bufio.NewWriterSize(out, 64<<10)
	if format == "ndjson" {
		v.Set("format", "ndjson")
		if limit > 0 {
			v.Set("limit", strconv.Itoa(limit))
		}
		err = cl.lines("/alerts", v, func(line []byte) error {
			_, err := w.Write(append(line, '\n'))
			return err
		})
	} else {
		more, err = writeRows(env, cl, w, out.file == nil, v, format, limit)
	}
	if err = cmp.Or(err, w.Flush()); err != nil {
		if _, ok := errors.AsType[*ExitError](err); ok {
			return false, err
		}
		return false, fmt.Errorf("write the result: %w", err)
	}
	return more, nil
}

// maxAlertPage is as many as the API gives at once.
const maxAlertPage = 1000

// writeRows writes alerts as they come, page by page; a table is laid out whole as far
// as a page goes.
func writeRows(env *Env, cl *client, w io.Writer, terminal bool, v url.Values, format string, limit int) (more bool, err error) {
	for written := 0; ; {
		n := maxAlertPage
		if limit > 0 {
			n = min(n, limit-written)
		}
		v.Set("limit", strconv.Itoa(n))
		var page api.AlertPage
		if err := cl.call(http.MethodGet, "/alerts", v, nil, &page); err != nil {
			return false, err
		}
		first := written == 0
		written += len(page.Alerts)
		switch format {
		case "csv":
			err = alertCells(page.Alerts).CSV(w, first)
		case "markdown":
			err = alertRows(page.Alerts).Markdown(w, first)
		default:
			err = alertTable(env, w, page.Alerts, first, terminal)
		}
		if err != nil {
			return false, err
		}
		if page.Next == "" || limit > 0 && written >= limit {
			return page.Next != "", nil
		}
		v.Set("after", page.Next)
	}
}

func alertTable(env *Env, w io.Writer, list []*api.Alert, first, terminal bool) error {
	if len(list) == 0 && first {
		_, err := io.WriteString(w, "No alerts.\n")
		return err
	}
	o := report.Options{}
	if terminal {
		o = tableOptions(env)
	}
	return alertRows(list).Table(w, o)
}

const tableTime = "2006-01-02 15:04:05"

// alertRows are alerts for people.
func alertRows(list []*api.Alert) *report.List {
	l := &report.List{Header: []string{"TIME (UTC)", "SEVERITY", "STATUS", "ID", "TRIAGE", "RULE", "WHO", "WHAT", "FROM", "REMARKS"}, Severity: 1}
	for _, a := range list {
		l.Rows = append(l.Rows, []string{
			a.Time.UTC().Format(tableTime), a.Severity, a.Status, store.ShortID(a.Handle), triageOf(a), a.RuleName, a.Who, a.What, a.Where, remarks(a),
		})
	}
	return l
}

// triageOf is what the investigation of an alert has come to, in few words.
func triageOf(a *api.Alert) string {
	t := &a.Triage
	switch {
	case t.Version > 0:
		return fmt.Sprintf("%d %s", t.Score, verdictWords(t.Verdict))
	case t.Error != "":
		return "failed"
	case !t.Due.IsZero():
		return "waits"
	}
	return ""
}

// remarks are what a person should know of an alert at once.
func remarks(a *api.Alert) string {
	var out []string
	for _, r := range []struct {
		on   bool
		text string
	}{
		{a.Withdrawn, "withdrawn"},
		{a.JoinedInto != "", "joined"},
		{a.Withheld, "withheld"},
		{a.Provisional, "provisional"},
		{a.Cold, "cold"},
		{a.Manual, "backfill"},
		{a.BuildingBlock, "building block"},
		{len(a.Windows) > 0, "maintenance"},
		{a.Count > 0, plural(a.Count, "event", "events")},
		{a.Suppressed > 0, fmt.Sprintf("%d suppressed", a.Suppressed)},
		{len(a.Assignees) > 0, "assigned " + strings.Join(a.Assignees, " ")},
		{len(a.Tags) > 0, "#" + strings.Join(a.Tags, " #")},
		{len(a.Notes) > 0, plural(int64(len(a.Notes)), "note", "notes")},
	} {
		if r.on {
			out = append(out, r.text)
		}
	}
	return strings.Join(out, ", ")
}

// alertCells are alerts for programs. Columns are stable: new ones are added at the end.
func alertCells(list []*api.Alert) *report.List {
	l := &report.List{Header: []string{
		"time", "last", "severity", "risk_score", "status", "reason", "rule_id", "rule_type", "name", "principal", "account", "region", "who", "what", "where",
		"previously_seen", "assignees", "tags", "notes", "withheld", "cold", "withdrawn", "provisional", "manual", "building_block", "count", "suppressed",
		"created", "updated", "closed_at", "alert_id", "handle",
		"verdict", "score", "confidence", "report_version",
	}}
	for _, a := range list {
		l.Rows = append(l.Rows, append([]string{
			instant(a.Time), instant(a.Last), a.Severity, strconv.FormatFloat(a.RiskScore, 'f', -1, 64), a.Status, a.Reason, a.RuleID, a.Type, a.RuleName,
			a.Principal, a.Account, a.Region, a.Who, a.What, a.Where, instant(a.Previous),
			strings.Join(a.Assignees, " "), strings.Join(a.Tags, " "), strconv.Itoa(len(a.Notes)),
			strconv.FormatBool(a.Withheld), strconv.FormatBool(a.Cold), strconv.FormatBool(a.Withdrawn), strconv.FormatBool(a.Provisional),
			strconv.FormatBool(a.Manual), strconv.FormatBool(a.BuildingBlock), strconv.FormatInt(a.Count, 10), strconv.FormatInt(a.Suppressed, 10),
			instant(a.Created), instant(a.Updated), instant(a.ClosedAt), a.UUID, a.Handle,
		}, scoreCells(a)...))
	}
	return l
}

// scoreCells are those of an investigation; empty: there was none.
func scoreCells(a *api.Alert) []string {
	t := &a.Triage
	if t.Version == 0 {
		return []string{"", "", "", ""}
	}
	return []string{t.Verdict, strconv.Itoa(t.Score), strconv.FormatFloat(t.Confidence, 'f', -1, 64), strconv.Itoa(t.Version)}
}

// instant writes a time for programs.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// moment writes a time for people.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(tableTime)
}

// safeText is text of others on one line, for a message.
func safeText(s string) string { return report.Safe(s) }

// AlertsShowCmd shows one alert.
type AlertsShowCmd struct {
	serverFlags

	ID     string `arg:"" help:"Id of the alert, or its beginning."`
	Format string `enum:"table,json" default:"table" help:"table or json (with the document and the event)."`
}

// Help is shown below the flags.
func (*AlertsShowCmd) Help() string {
	return `Examples:
  debut alerts show 3f2a91
  debut alerts show --format json 3f2a91 | jq .event`
}

// Run implements the command.
func (c *AlertsShowCmd) Run(env *Env) error {
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	var view api.AlertView
	err = cl.call(http.MethodGet, "/alerts/"+url.PathEscape(c.ID), nil, nil, &view)
	if err = cmp.Or(err, cl.close()); err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(env, view)
	}
	var b bytes.Buffer
	if err := report.Facts(&b, view.Alert.RuleName, alertFacts(view.Alert), tableOptions(env)); err != nil {
		return fmt.Errorf("write the alert: %w", err)
	}
	return write(env, b.Bytes())
}

func alertFacts(a *api.Alert) [][2]string {
	status := a.Status
	if a.Reason != "" {
		status += ": " + a.Reason
	}
	last := ""
	if !a.Last.Equal(a.Time) {
		last = moment(a.Last)
	}
	facts := [][2]string{ //nolint:prealloc // a literal says more
		{"severity", fmt.Sprintf("%s, risk score %s", a.Severity, strconv.FormatFloat(a.RiskScore, 'f', -1, 64))},
		{"status", status},
		{"who", a.Who},
		{"principal", a.Principal},
		{"what", a.What},
		{"from", a.Where},
		{"account", strings.TrimSpace(a.Account + " " + a.Region)},
		{"time", moment(a.Time) + " UTC"},
		{"last", last},
		{"before", moment(a.Previous)},
		{"remarks", remarks(a)},
		{"triage", cmp.Or(a.Triage.Summary, a.Triage.Error)},
		{"rule", a.RuleID + " (" + a.Type + ")"},
		{"id", a.UUID},
		{"handle", a.Handle},
		{"former ids", strings.Join(a.Former, "\n")},
		{"joined into", a.JoinedInto},
		{"linked", strings.Join(a.Linked, "\n")},
		{"windows", strings.Join(a.Windows, "\n")},
	}
	for _, n := range a.Notes {
		facts = append(facts, [2]string{"note", moment(n.Time) + " " + n.By + ": " + n.Text})
	}
	for _, h := range a.History {
		facts = append(facts, [2]string{"history", moment(h.Time) + " " + h.By + ": " + h.What})
	}
	return facts
}

// chosenAlerts are those that a command changes: by id, or by flags.
type chosenAlerts struct {
	alertFlags
	serverFlags

	Yes bool `help:"Change the alerts that the flags choose, without ids."`
}

// maxChange is how many alerts one request changes.
const maxChange = 500

// change changes the chosen alerts.
func (c *chosenAlerts) change(env *Env, ids []string, change api.Change) error {
	switch {
	case len(ids) > 0 && c.any():
		return usagef("give either ids or flags that choose alerts, not both")
	case len(ids) == 0 && !c.any():
		return &ExitError{
			Code: ExitUsage, Err: errors.New("no alert is chosen"),
			Hint: "give ids, as 'debut alerts list' shows them, or flags such as --rule and --status",
		}
	}
	cl, err := c.connect(env, true)
	if err != nil {
		return err
	}
	matched, changed, err := c.send(env, cl, ids, change)
	if err = cmp.Or(err, cl.close()); err != nil {
		return err
	}
	env.say("%s changed", plural(int64(changed), "alert", "alerts"))
	if same := matched - changed; same > 0 {
		env.say(", %s already so", plural(int64(same), "was", "were"))
	}
	env.say("\n")
	return nil
}

func (c *chosenAlerts) send(env *Env, cl *client, ids []string, change api.Change) (matched, changed int, err error) {
	if len(ids) == 0 {
		return c.sendQuery(env, cl, change)
	}
	for part := range slices.Chunk(ids, maxChange) {
		var r api.BulkResult
		if err := cl.call(http.MethodPost, "/alerts/bulk", nil, api.BulkChange{IDs: part, Change: change}, &r); err != nil {
			return matched, changed, err
		}
		matched, changed = matched+r.Matched, changed+r.Changed
	}
	return matched, changed, nil
}

func (c *chosenAlerts) sendQuery(env *Env, cl *client, change api.Change) (matched, changed int, err error) {
	q, err := c.query(env)
	if err != nil {
		return 0, 0, err
	}
	if !c.Yes {
		v, err := c.values(env)
		if err != nil {
			return 0, 0, err
		}
		v.Set("limit", strconv.Itoa(maxAlertPage))
		var page api.AlertPage
		if err := cl.call(http.MethodGet, "/alerts", v, nil, &page); err != nil {
			return 0, 0, err
		}
		n := plural(int64(len(page.Alerts)), "alert", "alerts")
		if page.Next != "" {
			n = "more than " + n
		}
		return 0, 0, &ExitError{Code: ExitUsage, Err: fmt.Errorf("this would change %s; nothing was changed", n), Hint: "add --yes to do it"}
	}
	for after := ""; ; {
		var r api.BulkResult
		if err := cl.call(http.MethodPost, "/alerts/bulk", nil, api.BulkChange{Query: q, After: after, Change: change}, &r); err != nil {
			return matched, changed, err
		}
		matched, changed = matched+r.Matched, changed+r.Changed
		if after = r.Next; after == "" {
			return matched, changed, nil
		}
	}
}

// AlertsAckCmd acknowledges alerts.
type AlertsAckCmd struct {
	chosenAlerts

	IDs []string `arg:"" optional:"" name:"id" help:"Ids of alerts, or their beginnings."`
}

// Help is shown below the flags.
func (*AlertsAckCmd) Help() string {
	return `Examples:
  debut alerts ack 3f2a91 77b0c2
  debut alerts ack --rule 2ff64f61-0331-441d-80a8-000941cac929 --status open --yes`
}

// Run implements the command.
func (c *AlertsAckCmd) Run(env *Env) error {
	return c.change(env, c.IDs, api.Change{Status: store.Acknowledged})
}

// AlertsCloseCmd closes alerts.
type AlertsCloseCmd struct {
	chosenAlerts

	Reason string   `placeholder:"TEXT" help:"Why: false positive, duplicate, …"`
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of alerts, or their beginnings."`
}

// Help is shown below the flags.
func (*AlertsCloseCmd) Help() string {
	return `Examples:
  debut alerts close --reason "false positive" 3f2a91
  debut alerts close --reason "the new pipeline" --principal arn:aws:iam::111122223333:role/deploy --status open --yes`
}

// Run implements the command.
func (c *AlertsCloseCmd) Run(env *Env) error {
	return c.change(env, c.IDs, api.Change{Status: store.Closed, Reason: c.Reason})
}

// AlertsReopenCmd opens alerts again.
type AlertsReopenCmd struct {
	chosenAlerts

	IDs []string `arg:"" optional:"" name:"id" help:"Ids of alerts, or their beginnings."`
}

// Help is shown below the flags.
func (*AlertsReopenCmd) Help() string {
	return `Examples:
  debut alerts reopen 3f2a91`
}

// Run implements the command.
func (c *AlertsReopenCmd) Run(env *Env) error {
	return c.change(env, c.IDs, api.Change{Status: store.Open})
}

// AlertsNoteCmd writes a note.
type AlertsNoteCmd struct {
	serverFlags

	ID   string   `arg:"" help:"Id of the alert, or its beginning."`
	Text []string `arg:"" help:"The note; - reads it from standard input."`
}

// Help is shown below the flags.
func (*AlertsNoteCmd) Help() string {
	return `Examples:
  debut alerts note 3f2a91 Asked ana, it was her.
  debut alerts note 3f2a91 - < findings.txt`
}

// maxNote is more than the store keeps, so that the store says what is too long.
const maxNote = 128 << 10

// Run implements the command.
func (c *AlertsNoteCmd) Run(env *Env) error {
	text := strings.Join(c.Text, " ")
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(env.Stdin, maxNote))
		if err != nil {
			return fmt.Errorf("read the note: %w", err)
		}
		text = string(b)
	}
	if strings.TrimSpace(text) == "" {
		return usagef("the note is empty")
	}
	chosen := chosenAlerts{serverFlags: c.serverFlags}
	return chosen.change(env, []string{c.ID}, api.Change{Note: text})
}

// AlertsTagCmd changes tags.
type AlertsTagCmd struct {
	chosenAlerts

	Add    []string `placeholder:"TAG" help:"Add this tag. Repeatable."`
	Remove []string `placeholder:"TAG" help:"Remove this tag. Repeatable."`
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of alerts, or their beginnings."`
}

// Help is shown below the flags.
func (*AlertsTagCmd) Help() string {
	return `Examples:
  debut alerts tag --add incident-7 3f2a91 77b0c2
  debut alerts tag --remove incident-7 --tagged incident-7 --yes`
}

// Run implements the command.
func (c *AlertsTagCmd) Run(env *Env) error {
	if len(c.Add)+len(c.Remove) == 0 {
		return usagef("give --add or --remove")
	}
	return c.change(env, c.IDs, api.Change{AddTags: c.Add, RemoveTags: c.Remove})
}

// AlertsAssignCmd changes assignees.
type AlertsAssignCmd struct {
	chosenAlerts

	Add    []string `placeholder:"NAME" help:"Assign to this person. Repeatable."`
	Remove []string `placeholder:"NAME" help:"Assign to this person no more. Repeatable."`
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of alerts, or their beginnings."`
}

// Help is shown below the flags.
func (*AlertsAssignCmd) Help() string {
	return `Examples:
  debut alerts assign --add ana 3f2a91`
}

// Run implements the command.
func (c *AlertsAssignCmd) Run(env *Env) error {
	if len(c.Add)+len(c.Remove) == 0 {
		return usagef("give --add or --remove")
	}
	return c.change(env, c.IDs, api.Change{AddAssignees: c.Add, RemoveAssignees: c.Remove})
}
