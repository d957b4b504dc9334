package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/source/files"
)

// ECSCmd prints ECS documents.
type ECSCmd struct {
	Paths  []string `arg:"" name:"path" help:"File, folder or glob with CloudTrail logs in any container; - for standard input."`
	GeoIP  []string `name:"geoip" placeholder:"FILE" help:"MaxMind-format database (city or ASN) for source.geo and source.as. Repeatable."`
	Output string   `short:"o" placeholder:"FILE" help:"Write to a file instead of standard output."`
	Strict bool     `help:"Check every record whole; exit with 1 if anything at all was rejected."`
}

// Help is shown below the flags.
func (*ECSCmd) Help() string {
	return `One line of JSON for each record, in the order read, duplicates included. What cannot be read is
named on standard error.

Examples:
  debut ecs trail.json.gz | jq .event.action
  debut ecs ./AWSLogs -o events.ndjson`
}

// Run implements the command.
func (c *ECSCmd) Run(env *Env) error {
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
	p := &ecsPrinter{
		env: env, out: bufio.NewWriterSize(out, 64<<10), cat: ecs.NewCatalogue(),
		decoder: cloudtrail.Decoder{Strict: c.Strict},
	}
	p.event = cloudtrail.NewEvent(p.cat, enricher)
	walk := files.New(files.Options{Stdin: env.Stdin})
	for o, err := range walk.Objects(env.Context, c.Paths) {
		if err := p.object(env.Context, o, err); err != nil {
			return err
		}
	}
	if err := p.out.Flush(); err != nil {
		return fmt.Errorf("write the documents: %w", err)
	}
	if err := out.commit(); err != nil {
		return err
	}
	if p.rejected > 0 && (c.Strict || p.printed == 0) {
		return &ExitError{Code: ExitFailed, Err: fmt.Errorf("%s rejected", plural(p.rejected, "part of the input was", "parts of the input were"))}
	}
	return nil
}

type ecsPrinter struct {
	env               *Env
	out               *bufio.Writer
	cat               *ecs.Catalogue
	event             *cloudtrail.Event
	decoder           cloudtrail.Decoder
	line              []byte
	name              string
	printed, rejected int64
}

func (p *ecsPrinter) object(ctx context.Context, o pipeline.Object, listErr error) error {
	var f *pipeline.Failure
	switch {
	case errors.As(listErr, &f):
		return p.problem(cloudtrail.Problem{Input: f.Path, Rejected: true, Code: f.Code, Message: f.Message})
	case listErr != nil:
		return listErr
	}
	p.name = o.Name
	rc, err := o.Open()
	if err != nil {
		return p.problem(cloudtrail.Problem{Input: o.Name, Rejected: true, Code: "unreadable", Message: err.Error()})
	}
	defer func() { _ = rc.Close() }() // only read from
	_, err = p.decoder.Decode(ctx, o.Name, rc, cloudtrail.Visitor{Record: p.record, Document: p.document, Problem: p.problem})
	return err //nolint:wrapcheck // of the printer itself
}

func (p *ecsPrinter) record(r *cloudtrail.Record) error {
	p.event.Reset(r)
	return p.print(p.event)
}

func (p *ecsPrinter) document(raw []byte) error {
	ev, err := ecs.ParseJSON(p.cat, raw)
	if err != nil {
		return p.problem(cloudtrail.Problem{Input: p.name, Rejected: true, Code: "bad-document", Message: err.Error()})
	}
	return p.print(ev)
}

func (p *ecsPrinter) print(ev ecs.Event) error {
	p.printed++
	p.line = append(ev.Document().AppendJSON(p.line[:0]), '\n')
	if _, err := p.out.Write(p.line); err != nil {
		return fmt.Errorf("write a document: %w", err)
	}
	return nil
}

// problem names what was rejected; remarks are the business of a scan.
func (p *ecsPrinter) problem(pr cloudtrail.Problem) error {
	if pr.Rejected {
		p.rejected++
		p.env.say("rejected %s:%d: %s [%s]\n", report.Safe(pr.Input), pr.Offset, report.Safe(pr.Message), pr.Code)
	}
	return nil
}

// newEnricher opens the databases of --geoip. The caller closes it.
func newEnricher(geoip []string) (*enrich.Enricher, error) {
	e, err := enrich.New(enrich.Options{GeoIP: geoip})
	if err != nil {
		return nil, &ExitError{Code: ExitUsage, Err: err, Hint: "--geoip takes City, Country or ASN databases in MaxMind's .mmdb format"}
	}
	return e, nil
}

// closeEnricher lets go of the databases. What was found damaged in one while it was
// used is absent from the events, and must be told.
func closeEnricher(env *Env, e *enrich.Enricher) {
	if err := e.Err(); err != nil {
		env.say("warning: %s; places and networks in the damaged part are missing\n", err)
	}
	_ = e.Close() // only read from
}
