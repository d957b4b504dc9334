package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// RunsCmd lists runs.
type RunsCmd struct {
	serverFlags
	formatFlag

	ID    string `arg:"" optional:"" help:"Show this one alone."`
	Kind  string `placeholder:"KIND" help:"Only backfill or reload."`
	Limit int    `default:"50" placeholder:"N" help:"At most so many, the latest first."`
}

// Help is shown below the flags.
func (*RunsCmd) Help() string {
	return `Backfills, and reloads of rules with how many of them were rebuilt.

Examples:
  debut runs --kind backfill
  debut runs 0123456789abcdef`
}

// Run implements the command.
func (c *RunsCmd) Run(env *Env) error {
	switch {
	case c.ID != "" && c.Kind != "":
		return usagef("give either an id or --kind")
	case c.ID != "":
		return c.one(env)
	}
	v := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	switch c.Kind {
	case "":
	case "backfill", "reload":
		v.Set("kind", c.Kind)
	default:
		return usagef("--kind %q is no kind of run: backfill or reload", c.Kind)
	}
	var list api.RunList
	if err := c.get(env, "/runs", v, &list); err != nil {
		return err
	}
	l := &report.List{Header: []string{"ID", "KIND", "STATUS", "STARTED (UTC)", "TOOK", "OVER", "RULES", "COUNTS", "BY"}}
	for _, r := range list.Runs {
		l.Rows = append(l.Rows, []string{
			r.ID, r.Kind, r.Status, moment(r.Started), took(env, r), over(r), rulesOf(r), countsOf(r), r.By,
		})
	}
	return c.print(env, list, l, "No runs.")
}

func (c *RunsCmd) one(env *Env) error {
	var r store.Run
	if err := c.get(env, "/runs/"+url.PathEscape(c.ID), nil, &r); err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(env, r)
	}
	var b bytes.Buffer
	err := report.Facts(&b, r.Kind+" "+r.ID, [][2]string{
		{"status", r.Status},
		{"error", r.Error},
		{"by", r.By},
		{"started", moment(r.Started)},
		{"ended", moment(r.Ended)},
		{"took", took(env, &r)},
		{"over", over(&r)},
		{"rules", strings.Join(r.Rules, "\n")},
		{"counts", countsOf(&r)},
	}, tableOptions(env))
	if err != nil {
		return fmt.Errorf("write the run: %w", err)
	}
	return write(env, b.Bytes())
}

func took(env *Env, r *store.Run) string {
	end := r.Ended
	if end.IsZero() {
		if r.Status != store.RunRunning {
			return ""
		}
		end = env.Now()
	}
	return end.Sub(r.Started).Round(time.Second).String()
}

func over(r *store.Run) string {
	if r.From.IsZero() && r.To.IsZero() {
		return ""
	}
	return cmp.Or(moment(r.From), "the beginning") + " to " + cmp.Or(moment(r.To), "now")
}

func rulesOf(r *store.Run) string {
	if len(r.Rules) == 1 {
		return r.Rules[0]
	}
	if len(r.Rules) == 0 {
		return "all"
	}
	return plural(int64(len(r.Rules)), "rule", "rules")
}

func countsOf(r *store.Run) string {
	parts := make([]string, 0, len(r.Counts))
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, r.Counts[name]))
	}
	return strings.Join(parts, ", ")
}

// StatusCmd shows how the server is.
type StatusCmd struct {
	serverFlags
	formatFlag
}

// Help is shown below the flags.
func (*StatusCmd) Help() string {
	return `Examples:
  debut status
  debut status --server https://debut.example.com:7780

Exit codes: 0 the server can do its work, 1 it cannot, or does not answer, 2 wrong usage.`
}

// Run implements the command.
func (c *StatusCmd) Run(env *Env) error {
	var st api.Status
	if err := c.get(env, "/status", nil, &st); err != nil {
		return err
	}
	var err error
	if c.Format == "json" {
		err = writeJSON(env, st)
	} else {
		err = writeStatus(env, &st)
	}
	if err == nil && !st.Ready {
		err = &ExitError{Code: ExitFailed, Err: fmt.Errorf("the server is not ready: %s", safeText(strings.Join(st.NotReady, "; ")))}
	}
	return err
}

// triageFacts tells how investigations are doing.
func triageFacts(t *api.TriageStatus) string {
	out := fmt.Sprintf("%s, %d with something new, %d failed", plural(t.Count, "investigation", "investigations"), t.Kept, t.Failed)
	if t.Count > 0 {
		out += fmt.Sprintf(", %.2f s each", t.Seconds/float64(t.Count))
	}
	switch {
	case !t.Enabled:
		out += "; by hand only"
	case t.Due > 0:
		out += fmt.Sprintf("; %s, the first since %s", plural(int64(t.Due), "alert waits", "alerts wait"), moment(t.Oldest))
	case !t.Next.IsZero():
		out += "; next at " + moment(t.Next)
	}
	return out
}

func writeStatus(env *Env, st *api.Status) error {
	alerts := map[string]int64{}
	for _, a := range st.Alerts {
		alerts[a.Status] += a.Count
	}
	ready := "yes"
	if !st.Ready {
		ready = "no: " + strings.Join(st.NotReady, "\n")
	}
	outbox := plural(st.Outbox.Waiting, "message waits", "messages wait")
	if !st.Outbox.Oldest.IsZero() {
		outbox += ", the oldest since " + moment(st.Outbox.Oldest)
	}
	if st.Outbox.Dead > 0 {
		outbox += fmt.Sprintf("; %d given up", st.Outbox.Dead)
	}
	rows := int64(0)
	for _, n := range st.Memory.Rows {
		rows += n
	}
	var b bytes.Buffer
	err := report.Facts(&b, "debut "+st.Version, [][2]string{
		{"ready", ready},
		{"up", (time.Duration(st.Uptime) * time.Second).String() + ", since " + moment(st.Started)},
		{"rules", ruleFacts(&st.Rules)},
		{"alerts", fmt.Sprintf("%d open, %d acknowledged, %d closed", alerts[store.Open], alerts[store.Acknowledged], alerts[store.Closed])},
		{"memory", fmt.Sprintf("%d rows, %d bytes", rows, st.Memory.Bytes)},
		{"log", fmt.Sprintf("%d bytes; %d to fold, %d to compact", st.Log.End, st.Log.End-st.Log.Folded, st.Log.End-st.Log.Compacted)},
		{"segments", fmt.Sprintf("%d, %d bytes, %d events", st.Log.Segments, st.Log.SegmentBytes, st.Log.Events)},
		{"triage", triageFacts(&st.Triage)},
		{"outbox", outbox},
	}, tableOptions(env))
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	l := &report.List{Header: []string{"SOURCE", "KIND", "STATE", "LAG", "OBJECTS", "RECORDS", "REJECTED", "FAILED", "PARKED", "TROUBLE"}}
	for _, s := range st.Sources {
		l.Rows = append(l.Rows, []string{
			s.Name, s.Kind, s.State, time.Duration(s.Lag * float64(time.Second)).Round(time.Second).String(),
			strconv.FormatInt(s.Objects, 10), strconv.FormatInt(s.Records, 10), strconv.FormatInt(s.Rejected, 10), strconv.FormatInt(s.Failed, 10),
			strconv.Itoa(s.Parked), s.Trouble,
		})
	}
	if len(l.Rows) > 0 {
		b.WriteByte('\n')
		if err := l.Table(&b, tableOptions(env)); err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
	}
	return write(env, b.Bytes())
}

// ruleFacts counts rules, and says what is wrong with their files.
func ruleFacts(c *api.RuleCounts) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d running, %d rebuilding, %d idle", c.Running, c.Rebuilding, c.Idle)
	if c.Kept > 0 {
		fmt.Fprintf(&b, "; %d as before, their files have errors", c.Kept)
	}
	for i := range c.Errors {
		x := &c.Errors[i]
		b.WriteString("\n" + x.File + ":")
		if x.Line > 0 {
			fmt.Fprintf(&b, "%d:", x.Line)
		}
		b.WriteString(" " + x.Message)
		if x.Hint != "" {
			b.WriteString(" (" + x.Hint + ")")
		}
	}
	if more := c.Wrong - len(c.Errors); more > 0 {
		fmt.Fprintf(&b, "\nand %d more: see 'debut rules check'", more)
	}
	return b.String()
}
