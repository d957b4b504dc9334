package ruletest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// A Runner runs cases. The zero value with a Catalogue is ready.
type Runner struct {
	Catalogue *ecs.Catalogue      // that the rules were compiled with
	Enricher  cloudtrail.Enricher // may be nil: then events have no fields of geography and networks
}

// A Result is what became of a case.
type Result struct {
	Case *Case
	// Diagnostics say what came out otherwise than expected, in order of the lines.
	Diagnostics query.Diagnostics
}

// Passed reports whether the rule did what the case expects.
func (r *Result) Passed() bool { return len(r.Diagnostics) == 0 }

// Run runs every case of the suite by itself: nothing is remembered from one to the
// next. Each runs twice, with its records as they stand and the other way round, for
// the order must not matter. The error is for what has nothing to do with the rule,
// such as a full disk.
func (r *Runner) Run(ctx context.Context, c rule.Compiled, s *Suite) ([]Result, error) {
	in := detect.Input{Rule: c.Rule, Query: c.Query}
	for _, x := range c.Exceptions {
		in.Exceptions = append(in.Exceptions, detect.Exception(x))
	}
	engine, err := detect.Compile(r.Catalogue, []detect.Input{in})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", s.File, err)
	}
	results := make([]Result, len(s.Cases))
	for i := range s.Cases {
		one := oneCase{Runner: r, engine: engine, suite: s, Case: &s.Cases[i], ruleID: c.Rule.ID}
		if results[i], err = one.run(ctx); err != nil {
			return nil, fmt.Errorf("run %s: %s: %w", s.File, s.Cases[i].Name, err)
		}
	}
	return results, nil
}

type oneCase struct {
	*Runner
	*Case
	engine *detect.Engine
	suite  *Suite
	ruleID string
}

func (c *oneCase) run(ctx context.Context) (Result, error) {
	res := Result{Case: c.Case}
	records := slices.Clone(c.Records)
	forward, problems, err := c.alerts(ctx, records)
	if err != nil {
		return res, err
	}
	slices.Reverse(records)
	backward, _, err := c.alerts(ctx, records)
	if err != nil {
		return res, err
	}
	res.Diagnostics = problems
	for i := range c.Records {
		rec := &c.Records[i]
		got := forward[rec.ID]
		switch {
		case got < rec.Alerts:
			res.add(c, rec, "no-alert", fmt.Sprintf("%s: %s with this record, expected %s", c.Name, alerts(got), alerts(rec.Alerts)))
		case got > rec.Alerts:
			res.add(c, rec, "unexpected-alert", fmt.Sprintf("%s: %s with this record, expected %s", c.Name, alerts(got), alerts(rec.Alerts)))
		}
		if got != backward[rec.ID] {
			res.add(c, rec, "order-matters", fmt.Sprintf("%s: %s with this record, but %s where the records are read the other way round", c.Name, alerts(got), alerts(backward[rec.ID])))
		}
	}
	slices.SortStableFunc(res.Diagnostics, func(a, b query.Diagnostic) int { return cmp.Compare(a.Line, b.Line) })
	return res, nil
}

func alerts(n int) string {
	if n == 1 {
		return "1 alert"
	}
	return fmt.Sprintf("%d alerts", n)
}

func (r *Result) add(c *oneCase, rec *Record, code, message string) {
	r.Diagnostics = append(r.Diagnostics, query.Diagnostic{
		Severity: query.Error, Code: code, File: c.suite.File, RuleID: c.ruleID,
		Line: rec.Line, Column: 1, Width: len([]rune(rec.Source)), Source: rec.Source, Message: message,
	})
}

// alerts runs records through the pipeline and counts the alerts by eventID.
func (c *oneCase) alerts(ctx context.Context, records []Record) (map[string]int, query.Diagnostics, error) {
	var input bytes.Buffer
	for i := range records {
		input.Write(records[i].JSON)
		input.WriteByte('\n')
	}
	var problems query.Diagnostics
	var lock sync.Mutex
	cfg := pipeline.Config{
		Engine: c.engine, Catalogue: c.Catalogue, Enricher: c.Enricher, Workers: 1, Memory: 1 << 20, Strict: true,
		Problem: func(p cloudtrail.Problem) {
			lock.Lock()
			defer lock.Unlock()
			d := query.Diagnostic{
				Severity: query.Error, Code: p.Code, File: c.suite.File, RuleID: c.ruleID, Line: c.Line,
				Message: fmt.Sprintf("%s: %s", c.Name, p.Message),
			}
			if n := int(p.Record); n > 0 && n <= len(records) {
				d.Line, d.Source = records[n-1].Line, records[n-1].Source
				d.Column, d.Width = 1, len([]rune(d.Source))
			}
			problems = append(problems, d)
		},
	}
	result, err := pipeline.Run(ctx, cfg, object(c.suite.File, input.Bytes()))
	if err != nil {
		return nil, nil, fmt.Errorf("run the records: %w", err)
	}
	defer result.Close() //nolint:errcheck // temporary files
	count := make(map[string]int)
	id := c.Catalogue.Resolve("event.id")
	for f, err := range result.Found() { //nolint:contextcheck // what was found is in memory, or in a file
		if err != nil {
			return nil, nil, fmt.Errorf("read the alerts: %w", err)
		}
		for _, v := range f.Event.Values(id) {
			count[v]++
		}
	}
	return count, problems, nil
}

// object gives the pipeline one input.
func object(name string, data []byte) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		yield(pipeline.Object{
			Name: name,
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		}, nil)
	}
}
