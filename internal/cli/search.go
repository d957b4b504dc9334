package cli

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// SearchCmd searches the stored events.
type SearchCmd struct {
	Query string `arg:"" optional:"" help:"What events must match, in KQL; all without it."`
	dataFlag
	remoteFlags

	From       string   `placeholder:"T" help:"From this time on (RFC 3339, a date, or date math: now-7d)."`
	To         string   `placeholder:"T" help:"Before this time."`
	Limit      int      `default:"-1" placeholder:"N" help:"At most so many events; 0: all. Default: 100 in a table, else all."`
	Descending bool     `help:"The latest first."`
	Format     string   `enum:"table,ndjson,csv,records" default:"table" help:"table, ndjson (ECS documents), csv or records (as they came)."`
	Output     string   `short:"o" placeholder:"FILE" help:"Write the result to a file instead of standard output."`
	GeoIP      []string `name:"geoip" placeholder:"FILE" help:"MaxMind-format database for events that were stored without. Repeatable."`
}

// Help is shown below the flags.
func (*SearchCmd) Help() string {
	return `Give --from and --to: only the files of that time are read then.

Examples:
  debut search 'event.action: SendCommand and not user.name: deploy' --from now-7d
  debut search 'aws.cloudtrail.user_identity.access_key_id: AKIAIOSFODNN7EXAMPLE' --format ndjson
  debut search 'event.outcome: failure' --from 2025-01-06 --to 2025-01-07 --format records -o day.ndjson
  debut search 'user.name: deploy' --server https://debut.example.com:7780

Exit codes: 0 done, also if nothing matches, 1 failed, or a part of the store could not be read,
2 wrong usage.`
}

// tableLimit is how many events a table has if nobody says how many.
const tableLimit = 100

// Run implements the command.
func (c *SearchCmd) Run(env *Env) error {
	from, to, err := timesOf(env, c.From, c.To)
	if err != nil {
		return err
	}
	if c.Limit < -1 {
		return usagef("--limit must be at least 1, or 0 for all, not %d", c.Limit)
	}
	base, err := c.base(env, c.Data, c.Config)
	if err != nil {
		return err
	}
	cat := ecs.NewCatalogue()
	match, err := c.compile(env, cat)
	if err != nil {
		return err
	}
	enricher, err := newEnricher(c.GeoIP)
	if err != nil {
		return err
	}
	defer closeEnricher(env, enricher)
	out, err := openOutput(env, c.Output)
	if err != nil {
		return err
	}
	defer out.abandon()
	limit := c.Limit
	if limit < 0 && c.Format == "table" {
		limit = tableLimit + 1 // one more tells that there are more
	}
	damaged := map[string]bool{}
	q := store.Scan{From: from, To: to, Match: match, Limit: max(limit, 0), Descending: c.Descending, Damaged: func(name string, err error) {
		if !damaged[name] {
			env.say("cannot be read: %s: %s\n", report.Safe(name), report.Safe(err.Error()))
		}
		damaged[name] = true
	}}
	p := c.printer(env, out, cat)
	var partly error // what there is was printed
	if base != "" {
		err = c.ask(env, base, cat, &q, p)
		if _, ok := errors.AsType[partlyError](err); ok {
			partly, err = err, nil
		}
	} else {
		err = c.search(env, cat, enricher, q, p)
	}
	if err != nil {
		return err
	}
	if err := cmp.Or(p.end(), out.commit()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if partly != nil {
		return partly
	}
	if len(damaged) > 0 {
		return &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("%s of the store could not be read; the result lacks what is in there", plural(int64(len(damaged)), "part", "parts")),
			Hint: "'debut store check' says what is damaged",
		}
	}
	return nil
}

func (c *SearchCmd) compile(env *Env, cat *ecs.Catalogue) (query.Expr, error) {
	if c.Query == "" {
		return nil, nil
	}
	x, diags := kql.CompileText(c.Query, cat)
	if x == nil {
		return nil, queryError(env, diags)
	}
	complain(env, diags, "more remark about the query", "more remarks about the query")
	return x, nil
}

// queryError prints what is wrong with a query and returns that it is.
func queryError(env *Env, err error) error {
	if diags, ok := errors.AsType[query.Diagnostics](err); ok {
		complain(env, diags, "more error in the query", "more errors in the query")
	}
	return &ExitError{Code: ExitUsage, Err: errors.New("the query cannot be read"), Hint: "docs/kql.md describes the language"}
}

// ask lets a server search and prints what it finds.
func (c *SearchCmd) ask(env *Env, base string, cat *ecs.Catalogue, q *store.Scan, p eventPrinter) error {
	if c.Format == "records" || len(c.GeoIP) > 0 {
		return usagef("a server gives events as ECS documents: --format records and --geoip need the data folder")
	}
	cl := &client{env: env, user: userName(env)}
	if err := cl.remote(&c.remoteFlags, base); err != nil {
		return err
	}
	v := url.Values{}
	for name, value := range map[string]string{"q": c.Query, "from": stampOf(q.From), "to": stampOf(q.To)} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Descending {
		v.Set("order", "desc")
	}
	return cl.lines("/search", v, func(line []byte) error {
		ev, err := ecs.ParseJSON(cat, line)
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", base, err)
		}
		return p.event(&store.Stored{Record: store.Record{Kind: store.KindDocument, Raw: line}, Event: ev})
	})
}

// stampOf is a time for a request; empty: none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// search opens the store and prints what it finds. If the server removes a file before
// anything was printed, it begins again.
func (c *SearchCmd) search(env *Env, cat *ecs.Catalogue, enricher *enrich.Enricher, q store.Scan, p eventPrinter) error {
	const tries = 10
	for try := 1; ; try++ {
		n, err := c.scan(env, cat, enricher, q, p)
		switch {
		case errors.Is(err, events.ErrChanged) && n == 0 && try < tries:
			continue
		case errors.Is(err, events.ErrChanged):
			return &ExitError{Code: ExitFailed, Err: err, Hint: "the server put its files in order meanwhile: search again"}
		}
		return err
	}
}

func (c *SearchCmd) scan(env *Env, cat *ecs.Catalogue, enricher *enrich.Enricher, q store.Scan, p eventPrinter) (n int, err error) {
	s, _, closeStore, err := openEvents(env, c.dataFlag, true, events.Options{Catalogue: cat, Enricher: enricher})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	for e, err := range s.Scan(env.Context, q) {
		if err == nil {
			err = p.event(e)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// openEvents opens the event store in a data folder, and its database.
func openEvents(env *Env, data dataFlag, readOnly bool, o events.Options) (*events.Store, *sqlite.DB, func() error, error) {
	dir, err := data.folder(env)
	if err != nil {
		return nil, nil, nil, err
	}
	// A folder that was mistyped would look like an empty store.
	if isAbsent(filepath.Join(dir, sqlite.File)) {
		return nil, nil, nil, noStore(dir, "name the data folder with --data; 'debut serve' makes a store")
	}
	db, err := sqlite.Open(env.Context, dir, sqlite.Options{ReadOnly: readOnly, Program: "debut " + version})
	switch {
	case errors.Is(err, store.ErrInUse):
		return nil, nil, nil, &ExitError{Code: ExitFailed, Err: err, Hint: "the server that has it open does this by itself; else stop it first"}
	case err != nil:
		return nil, nil, nil, err
	}
	o.Dir, o.DB, o.Now, o.ReadOnly = dir, db, env.Now, readOnly
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler) // a search tells of damage itself
	}
	s, err := events.Open(o)
	if err != nil {
		return nil, nil, nil, errors.Join(err, db.Close())
	}
	return s, db, func() error { return errors.Join(s.Close(), db.Close()) }, nil
}

// An eventPrinter writes events in one format.
type eventPrinter interface {
	event(e *store.Stored) error
	end() error
}

func (c *SearchCmd) printer(env *Env, out *output, cat *ecs.Catalogue) eventPrinter {
	w := bufio.NewWriterSize(out, 64<<10)
	switch c.Format {
	case "ndjson":
		return &linePrinter{w: w, line: func(dst []byte, e *store.Stored) []byte { return e.Event.Document().AppendJSON(dst) }}
	case "records":
		return &linePrinter{w: w, line: func(dst []byte, e *store.Stored) []byte { return appendLine(dst, e.Raw) }}
	case "csv":
		return newCSVPrinter(w, cat)
	}
	o := tableOptions(env)
	if out.file != nil {
		o = report.Options{}
	}
	return &tablePrinter{w: w, o: o, env: env, fields: eventFields(cat), open: c.Limit < 0}
}

// appendLine appends a JSON text as one line: line breaks in it stand between values.
func appendLine(dst, raw []byte) []byte {
	start := len(dst)
	dst = append(dst, raw...)
	for i, c := range dst[start:] {
		if c == '\n' || c == '\r' {
			dst[start+i] = ' '
		}
	}
	return dst
}

type linePrinter struct {
	w    *bufio.Writer
	line func(dst []byte, e *store.Stored) []byte
	buf  []byte
}

func (p *linePrinter) event(e *store.Stored) error {
	p.buf = append(p.line(p.buf[:0], e), '\n')
	_, err := p.w.Write(p.buf)
	return err //nolint:wrapcheck // of our own buffer
}

func (p *linePrinter) end() error { return p.w.Flush() }

// eventColumns are the columns of a table and of CSV, and their fields.
var eventColumns = [][2]string{ //nolint:gochecknoglobals // a constant table
	{"PRINCIPAL", "debut.principal"},
	{"ACTION", "event.action"},
	{"SERVICE", "event.provider"},
	{"ERROR", "aws.cloudtrail.error_code"},
	{"SOURCE", "source.address"},
	{"ACCOUNT", "cloud.account.id"},
	{"REGION", "cloud.region"},
}

func eventFields(cat *ecs.Catalogue) []*ecs.Field {
	fields := make([]*ecs.Field, len(eventColumns))
	for i, c := range eventColumns {
		fields[i] = cat.Resolve(c[1])
	}
	return fields
}

func firstValue(ev ecs.Event, f *ecs.Field) string {
	if v := ev.Values(f); len(v) > 0 {
		return v[0]
	}
	return ""
}

// tablePrinter prints a row for each event, once it has all: the columns are as wide as
// what is in them.
type tablePrinter struct {
	w      io.Writer
	o      report.Options
	env    *Env
	fields []*ecs.Field
	open   bool // nobody said how many
	rows   [][]string
}

func (p *tablePrinter) event(e *store.Stored) error {
	row := make([]string, 0, 1+len(p.fields))
	row = append(row, e.Event.Time().UTC().Format(time.RFC3339))
	for _, f := range p.fields {
		row = append(row, string([]byte(firstValue(e.Event, f)))) // the event is gone by the end
	}
	p.rows = append(p.rows, row)
	return nil
}

func (p *tablePrinter) end() error {
	more := p.open && len(p.rows) > tableLimit
	if more {
		p.rows = p.rows[:tableLimit]
	}
	if len(p.rows) == 0 {
		p.env.say("no event matches\n")
		return nil
	}
	header := []string{"TIME"}
	for _, c := range eventColumns {
		header = append(header, c[0])
	}
	if err := report.Columns(p.w, append([][]string{header}, p.rows...), p.o); err != nil {
		return err
	}
	if more {
		p.env.say("there are more than %d events; --limit 0 shows all\n", tableLimit)
	}
	w, _ := p.w.(*bufio.Writer)
	return w.Flush()
}

type csvPrinter struct {
	w      *csv.Writer
	out    *bufio.Writer
	fields []*ecs.Field
	row    []string
}

func newCSVPrinter(w *bufio.Writer, cat *ecs.Catalogue) *csvPrinter {
	p := &csvPrinter{w: csv.NewWriter(w), out: w, fields: eventFields(cat)}
	id := cat.Resolve("event.id")
	p.fields = append(p.fields, cat.Resolve("event.outcome"), cat.Resolve("user_agent.original"), id)
	header := make([]string, 0, 1+len(p.fields))
	header = append(header, "@timestamp")
	for _, f := range p.fields {
		header = append(header, f.Name)
	}
	_ = p.w.Write(header) // an error comes again from end
	return p
}

func (p *csvPrinter) event(e *store.Stored) error {
	p.row = append(p.row[:0], e.Event.Time().UTC().Format(time.RFC3339Nano))
	for _, f := range p.fields {
		p.row = append(p.row, report.Cell(firstValue(e.Event, f)))
	}
	return p.w.Write(p.row) //nolint:wrapcheck // of our own buffer
}

func (p *csvPrinter) end() error {
	p.w.Flush()
	return cmp.Or(p.w.Error(), p.out.Flush())
}
