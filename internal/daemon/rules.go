package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
	"github.com/debutsec/debut/rules"
)

// loadedRules is what the rule files and the stored exceptions come to.
type loadedRules struct {
	set   *rule.Set
	rules []serve.Rule
	list  []api.RuleStatus
	diags query.Diagnostics

	files     map[string]*rule.File       // by name, with what was kept
	kept      map[string]query.Diagnostic // by id of the rules that go on as they were: why
	keptLists []string                    // files of which exceptions and value lists do
}

// ruleState is the rules in place, for whoever asks.
type ruleState struct {
	mu     sync.Mutex
	loaded *loadedRules
}

func (s *ruleState) set(l *loadedRules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = l
}

func (s *ruleState) get() *loadedRules {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded
}

// sourcesOf are the places that paths name.
func sourcesOf(paths []string) ([]rule.Source, error) {
	var out []rule.Source
	for _, p := range paths {
		if p == "shipped" {
			out = append(out, rule.Source{FS: rules.FS, Path: "aws", Name: p})
			continue
		}
		matches := []string{p}
		if _, err := os.Stat(p); err != nil {
			found, globErr := filepath.Glob(p)
			if globErr != nil || len(found) == 0 {
				return nil, fmt.Errorf("load rules from %s: %w", p, err)
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

// load reads the rules, and exceptions from files and from the store.
func (d *Daemon) load(ctx context.Context) (*loadedRules, error) {
	c := &d.opt.Config.Rules
	sources, err := sourcesOf(slices.Concat(c.Paths, c.Exceptions))
	if err != nil {
		return nil, err
	}
	var stored []*store.Exception
	if err := d.db.View(ctx, func(tx store.Tx) error {
		for e, err := range store.AllExceptions(tx) {
			if err != nil {
				return err
			}
			stored = append(stored, e)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	more, err := store.ExceptionSources(stored)
	if err != nil {
		return nil, err
	}
	files, skipped, err := rule.LoadFiles(append(sources, more...)...)
	if err != nil {
		return nil, fmt.Errorf("load the rules: %w", err)
	}
	l, err := d.combine(files, skipped, d.rules.get())
	if err != nil {
		return nil, err
	}
	d.report(l)
	if len(l.rules) == 0 {
		return nil, errors.New("no rule runs: 'debut rules check' says why for each")
	}
	return l, nil
}

// combine makes rules of files. Of those that ran before, what has an error now goes on
// as it was.
func (d *Daemon) combine(files []*rule.File, skipped []string, before *loadedRules) (*loadedRules, error) {
	l := &loadedRules{files: map[string]*rule.File{}}
	if before != nil {
		files = l.keepFiles(files, skipped, before)
	}
	runs := func(r *rule.Rule) bool { return !r.EnabledSet || r.Enabled || d.opt.Config.Rules.Disabled }
	compile := func() (query.Diagnostics, error) {
		l.set = rule.NewSet(files...)
		var diags query.Diagnostics
		var err error
		l.rules, diags, err = serve.RulesOf(l.set, d.catalogue, "", runs)
		return diags, err
	}
	diags, err := compile()
	if err != nil {
		return nil, err
	}
	l.diags = append(slices.Clone(l.set.Diagnostics), diags...)
	if before != nil && l.keepRules(files, before, diags) {
		if _, err := compile(); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		l.files[f.Name] = f
	}
	maps.DeleteFunc(l.kept, func(id string, _ query.Diagnostic) bool {
		return !slices.ContainsFunc(l.rules, func(r serve.Rule) bool { return r.Rule.ID == id })
	})
	l.describe(runs)
	return l, nil
}

// describe lists every rule, with why it does not run.
func (l *loadedRules) describe(runs func(*rule.Rule) bool) {
	running := map[*rule.Rule]int{}
	for i := range l.rules {
		running[l.rules[i].Rule] = len(l.rules[i].Exceptions)
	}
	for _, r := range l.set.Rules {
		s := api.RuleStatus{ID: r.ID, Name: r.Name, Type: string(r.Type), Severity: r.Severity, RiskScore: float64(r.RiskScore), Status: "idle"}
		exceptions, is := running[r]
		switch ok, why := r.Runnable(); {
		case is:
			s.Status, s.Exceptions = "running", exceptions
			if x, kept := l.kept[r.ID]; kept {
				s.Kept = x.Error()
			}
		case !ok:
			s.Why = why
		case !runs(r):
			s.Why = "disabled in its file (rules.disabled runs them too)"
		default:
			s.Why = "the query does not compile"
		}
		l.list = append(l.list, s)
	}
}

// Rules implements server.Daemon.
func (d *Daemon) Rules() []api.RuleStatus {
	return slices.Clone(d.rules.get().list)
}

// Reload implements server.Daemon: rules, exceptions and silences are read again. It
// also ends when Run does, which waits for it.
func (d *Daemon) Reload(ctx context.Context, by string) (api.ReloadReport, error) {
	d.work.Add(1)
	defer d.work.Done()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(d.ctx, stop)() //nolint:contextcheck // of Run, on purpose
	d.reloading.Lock()
	defer d.reloading.Unlock()
	var report api.ReloadReport
	run := &store.Run{ID: store.NewID(), Kind: "reload", By: by, Started: d.opt.Now().UTC(), Status: store.RunRunning, Counts: map[string]int64{}}
	l, err := d.load(ctx)
	if err == nil {
		err = d.silences.load(ctx, d.db)
	}
	if err != nil {
		return report, fmt.Errorf("%w: %w; what ran goes on running", store.ErrInvalid, err)
	}
	before := d.rules.get()
	report.Added, report.Changed, report.Removed = difference(before.rules, l.rules)
	rebuilt, err := d.engine.Reload(ctx, l.rules)
	if err != nil {
		return report, fmt.Errorf("put the rules in place: %w", err)
	}
	d.rules.set(l)
	report.Running, report.Idle = len(l.rules), len(l.list)-len(l.rules)
	report.Kept = slices.Sorted(maps.Keys(l.kept))
	report.Diagnostics = api.Diagnostics(l.diags)
	run.Ended, run.Status = d.opt.Now().UTC(), store.RunDone
	run.Counts["rules"], run.Counts["rebuilt"] = int64(len(l.rules)), int64(rebuilt)
	d.opt.Log.Info("rules reloaded", "by", by, "rules", len(l.rules), "rebuilt", rebuilt)
	return report, d.db.Update(ctx, func(tx store.Tx) error { return store.PutRun(tx, run) })
}

// difference names the rules that came, changed and went.
func difference(old, now []serve.Rule) (added, changed, removed []string) {
	was := map[string]string{}
	for i := range old {
		was[old[i].Rule.ID] = old[i].Fingerprint
	}
	for i := range now {
		id := now[i].Rule.ID
		switch before, had := was[id]; {
		case !had:
			added = append(added, id)
		case before != now[i].Fingerprint:
			changed = append(changed, id)
		}
		delete(was, id)
	}
	for id := range was {
		removed = append(removed, id)
	}
	slices.Sort(removed)
	return added, changed, removed
}
