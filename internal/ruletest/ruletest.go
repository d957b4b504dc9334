package ruletest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
)

// A Case is records that must, or must not, make a rule fire.
type Case struct {
	File    string // the archive
	Why     string
	Fires   bool
	Records string
}

// Load reads an archive of events. The error names the section that is wrong.
func Load(name string, data []byte) ([]Case, error) {
	a := txtar.Parse(data)
	cases := make([]Case, 0, len(a.Files))
	for _, f := range a.Files {
		kind, why, ok := strings.Cut(f.Name, ": ")
		if !ok || kind != "fires" && kind != "silent" || strings.TrimSpace(why) == "" {
			return nil, fmt.Errorf("%s: the section %q is neither \"fires: WHY\" nor \"silent: WHY\"", name, f.Name)
		}
		c := Case{File: name, Why: why, Fires: kind == "fires", Records: string(f.Data)}
		if c.Fires != strings.Contains(c.Records, `"eventID":"alert`) {
			return nil, fmt.Errorf("%s: %s: in a case that fires, and only there, an eventID begins with \"alert\"", name, f.Name)
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s: no section", name)
	}
	return cases, nil
}

// A Failure is a case that does not hold.
type Failure struct {
	Case    Case
	Message string
}

// String says which case it is and what it alerts on.
func (f *Failure) String() string {
	return fmt.Sprintf("%s: %s: %s", f.Case.File, f.Case.Why, f.Message)
}

// Run runs the cases of the rules in e, usually one, and returns those that fail.
func Run(ctx context.Context, e *detect.Engine, cat *ecs.Catalogue, cases []Case) ([]*Failure, error) {
	var failures []*Failure
	for _, c := range cases {
		want, got, err := c.run(ctx, e, cat)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", c.File, c.Why, err)
		}
		if !slices.Equal(want, got) {
			failures = append(failures, &Failure{c, fmt.Sprintf("alerts on %s, not on %s", list(got), list(want))})
		}
	}
	return failures, nil
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "nothing"
	}
	return strings.Join(ids, ", ")
}

// run returns the events that must be alerted and those that are, in order of id.
func (c *Case) run(ctx context.Context, e *detect.Engine, cat *ecs.Catalogue) (want, got []string, err error) {
	cfg := pipeline.Config{Engine: e, Catalogue: cat, Workers: 1, Strict: true, Problem: func(p cloudtrail.Problem) {
		err = fmt.Errorf("record %d: %s [%s]", p.Record, p.Message, p.Code)
	}}
	res, runErr := pipeline.Run(ctx, cfg, c.object())
	if runErr != nil {
		return nil, nil, fmt.Errorf("run: %w", runErr)
	}
	defer func() { _ = res.Close() }() // temporary files
	if err != nil {
		return nil, nil, err
	}
	id := cat.Resolve("event.id")
	for f, err := range res.Found() { //nolint:contextcheck // it reads what the run left in memory
		if err != nil {
			return nil, nil, fmt.Errorf("read an alert's event: %w", err)
		}
		got = append(got, strings.Clone(f.Event.Values(id)[0]))
	}
	slices.Sort(got)
	return c.alerted(), got, nil
}

// alerted returns the ids of the records that must be alerted.
func (c *Case) alerted() []string {
	var ids []string
	for rest := c.Records; ; {
		_, after, ok := strings.Cut(rest, `"eventID":"alert`)
		if !ok {
			break
		}
		id, tail, _ := strings.Cut(after, `"`)
		ids = append(ids, "alert"+id)
		rest = tail
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (c *Case) object() iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		yield(pipeline.Object{
			Name: c.File, Size: int64(len(c.Records)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.Records)), nil },
		}, nil)
	}
}
