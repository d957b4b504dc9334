package cli

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
	"github.com/debutsec/debut/rules"
)

// shipped names the rules in the binary where a path is expected.
const shipped = "shipped"

// ruleSources turns the paths of a command line into places to load from.
func ruleSources(paths []string) ([]rule.Source, error) {
	var out []rule.Source
	for _, p := range paths {
		if p == shipped {
			out = append(out, rule.Source{FS: rules.FS, Path: "aws", Name: shipped})
			continue
		}
		matches := []string{p}
		if _, err := os.Stat(p); err != nil {
			found, globErr := filepath.Glob(p)
			if globErr != nil || len(found) == 0 {
				return nil, &ExitError{
					Code: ExitUsage, Err: fmt.Errorf("load rules from %s: %w", p, pathError(err)),
					Hint: "give a rule file, a folder or a glob, or 'shipped' for the rules in the program",
				}
			}
			matches = found
		}
		for _, m := range matches {
			s := rule.Source{FS: os.DirFS(filepath.Dir(m)), Path: filepath.Base(m), Name: filepath.ToSlash(m)}
			if info, err := os.Stat(m); err == nil && info.IsDir() {
				s.FS, s.Path = os.DirFS(m), "."
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// pathError is the reason of a failed system call without its name and path, which
// the message has already.
func pathError(err error) error {
	if pe, ok := err.(*fs.PathError); ok { //nolint:errorlint // os.Stat returns just this
		return pe.Err
	}
	return err
}

// loadSet loads the rules at paths, by default the shipped ones, with the
// exceptions and value lists of other files.
func loadSet(paths, exceptions []string) (*rule.Set, error) {
	if len(paths) == 0 {
		paths = []string{shipped}
	}
	sources, err := ruleSources(paths)
	if err != nil {
		return nil, err
	}
	more, err := ruleSources(exceptions)
	if err != nil {
		return nil, err
	}
	set, err := rule.LoadSources(append(sources, more...)...)
	if err != nil {
		return nil, &ExitError{Code: ExitUsage, Err: err}
	}
	return set, nil
}

// ruleOptions choose what runs.
type ruleOptions struct {
	Paths, Exceptions []string
	Only              []string // rule ids or names
	Disabled          bool     // run rules whose file says enabled = false
}

// A ruleSet is the rules of a scan: loaded, chosen and compiled.
type ruleSet struct {
	set       *rule.Set
	catalogue *ecs.Catalogue
	engine    *detect.Engine
	idle      []report.RuleLine // that do not run, with the reason
	failed    query.Diagnostics // every error that kept a rule or an exception out
	unapplied query.Diagnostics // warnings about exceptions that do not act
}

func loadRules(o ruleOptions) (*ruleSet, error) {
	set, err := loadSet(o.Paths, o.Exceptions)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(set.Rules, o.Only)
	if err != nil {
		return nil, err
	}
	s := &ruleSet{set: set, catalogue: ecs.NewCatalogue()}
	compiled, diags := set.Compile(s.catalogue)
	s.take(set.Diagnostics)
	s.take(diags)
	runs := make(map[*rule.Rule]rule.Compiled, len(compiled))
	for _, c := range compiled {
		runs[c.Rule] = c
	}
	var inputs []detect.Input
	for _, r := range set.Rules {
		line := lineOf(r)
		ok, reason := r.Runnable()
		line.Runnable = ok
		switch {
		case len(o.Only) > 0 && !chosen[r]:
			line.Reason = "not chosen with --rule"
		case !ok:
			line.Reason = reason
		case r.EnabledSet && !r.Enabled && !o.Disabled && !chosen[r]:
			line.Reason = "disabled in its file (--disabled runs them too, --rule one)"
		default:
			if c, ok := runs[r]; ok {
				inputs = append(inputs, input(c))
				continue
			}
			line.Reason = "the query does not compile"
		}
		s.idle = append(s.idle, line)
	}
	if s.engine, err = detect.Compile(s.catalogue, inputs); err != nil {
		return nil, fmt.Errorf("compile the rules: %w", err)
	}
	return s, nil
}

func input(c rule.Compiled) detect.Input {
	in := detect.Input{Rule: c.Rule, Query: c.Query}
	for _, x := range c.Exceptions {
		in.Exceptions = append(in.Exceptions, detect.Exception(x))
	}
	return in
}

// take keeps what a scan has to say before it begins.
func (s *ruleSet) take(diags query.Diagnostics) {
	for _, d := range diags {
		switch {
		case d.Severity == query.Error:
			s.failed = append(s.failed, d)
		case d.Severity == query.Warning && slices.Contains([]string{
			"exception-not-applied", "missing-value-list", "unattached-exception-list", "empty-exception-list", "unknown-rule",
		}, d.Code):
			s.unapplied = append(s.unapplied, d)
		}
	}
}

// lines returns every rule for a report, those of the engine first.
func (s *ruleSet) lines(st *pipeline.Stats) []report.RuleLine {
	out := make([]report.RuleLine, 0, len(s.set.Rules))
	for i, r := range s.engine.Rules {
		line := lineOf(r.Rule)
		line.Runnable, line.Ran, line.Stats = true, true, st.Rules[i]
		out = append(out, line)
	}
	return append(out, s.idle...)
}

func lineOf(r *rule.Rule) report.RuleLine {
	return report.RuleLine{ID: r.ID, Name: r.Name, Type: string(r.Type), Severity: r.Severity}
}

// choose finds the rules that are asked for by id or name. Without any wish it
// chooses none.
func choose(list []*rule.Rule, only []string) (map[*rule.Rule]bool, error) {
	chosen := make(map[*rule.Rule]bool)
	for _, want := range only {
		found := false
		for _, r := range list {
			if r.ID == want || strings.EqualFold(r.Name, want) {
				chosen[r], found = true, true
			}
		}
		if !found {
			return nil, &ExitError{
				Code: ExitUsage, Err: fmt.Errorf("--rule: no rule has the id or name %q", want), Hint: nearest(list, want),
			}
		}
	}
	return chosen, nil
}

// nearest suggests a rule for one that is not there.
func nearest(list []*rule.Rule, want string) string {
	for _, r := range list {
		if len(want) > 3 && (strings.HasPrefix(r.ID, want) || strings.Contains(strings.ToLower(r.Name), strings.ToLower(want))) {
			return fmt.Sprintf("did you mean %s, %q?", r.ID, r.Name)
		}
	}
	return "'debut rules list' shows the ids and names"
}

// maxShown is how many diagnostics a scan prints before it begins.
const maxShown = 10

// complain prints what kept rules or exceptions out, before a scan begins; one and
// many name it.
func complain(env *Env, diags query.Diagnostics, one, many string) {
	for _, d := range diags[:min(len(diags), maxShown)] {
		_, _ = io.WriteString(env.Stderr, d.Render()) // nobody to tell
	}
	if more := len(diags) - maxShown; more > 0 {
		env.say("and %s; 'debut rules check' shows all\n", plural(int64(more), one, many))
	}
}

// byPlace orders diagnostics as somebody reads files.
func byPlace(diags query.Diagnostics) {
	slices.SortStableFunc(diags, func(a, b query.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
