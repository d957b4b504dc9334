package daemon

import (
	"maps"
	"path"
	"slices"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

// A file that ran and has an error now is not taken away: what it said goes on until it
// is right again, or deleted. Else a slip of the pen would stop a rule, and forget what
// it has learned.

// keepFiles gives files with an error what they said before and do not say now: the
// rules that cannot be read any more, and all exceptions and value lists, since one that
// is missing would let through what it excludes. It returns the files.
func (l *loadedRules) keepFiles(files []*rule.File, skipped []string, before *loadedRules) []*rule.File {
	ids := map[string]bool{}
	for _, f := range files {
		for _, r := range f.Rules {
			ids[r.ID] = true
		}
	}
	moved := movedFiles(files, before)
	for i, f := range files {
		was := before.files[f.Name]
		if was == nil {
			was = moved[f.Name]
		}
		if was == nil {
			continue
		}
		c := *f
		if hollow(f) && !hollow(was) { // half written, perhaps
			c.Diagnostics = slices.Clone(c.Diagnostics)
			for i := range c.Diagnostics {
				c.Diagnostics[i].Severity = query.Error
			}
		}
		if !slices.ContainsFunc(c.Diagnostics, isError) {
			continue
		}
		c.Rules = slices.Clone(c.Rules)
		for _, r := range was.Rules {
			if !ids[r.ID] {
				ids[r.ID] = true
				c.Rules = append(c.Rules, r)
				l.keep(r.ID, c.Diagnostics)
			}
		}
		if len(was.Lists)+len(was.ValueLists) > 0 {
			c.Lists, c.ValueLists = was.Lists, was.ValueLists
			l.keptLists = append(l.keptLists, f.Name)
		}
		files[i] = &c
	}
	// A value list is read if an exception names it, and the one that does may be kept.
	for _, name := range skipped {
		if was := before.files[name]; was != nil && len(l.keptLists) > 0 {
			files = append(files, was)
		}
	}
	return files
}

// movedFiles returns what files said under another name before, by the name that they
// have now. A file that is broken does not say what it is, so one at a new path may be
// any of those that have gone in the same change: the one whose rule its errors name, or
// that was called the same, or, if nothing tells, any.
func movedFiles(files []*rule.File, before *loadedRules) map[string]*rule.File {
	there := map[string]bool{}
	var broken []*rule.File
	for _, f := range files {
		there[f.Name] = true
		if before.files[f.Name] == nil && (hollow(f) || slices.ContainsFunc(f.Diagnostics, isError)) {
			broken = append(broken, f)
		}
	}
	out := map[string]*rule.File{}
	if len(broken) == 0 {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(before.files)) {
		was := before.files[name]
		if there[name] || len(was.Rules) == 0 {
			continue
		}
		names := func(f *rule.File) bool {
			return slices.ContainsFunc(f.Diagnostics, func(x query.Diagnostic) bool {
				return slices.ContainsFunc(was.Rules, func(r *rule.Rule) bool { return r.ID == x.RuleID })
			})
		}
		i := slices.IndexFunc(broken, names)
		if i < 0 {
			i = slices.IndexFunc(broken, func(f *rule.File) bool { return path.Base(f.Name) == path.Base(name) })
		}
		f := broken[max(i, 0)]
		if out[f.Name] == nil {
			out[f.Name] = &rule.File{Name: f.Name}
		}
		out[f.Name].Rules = append(out[f.Name].Rules, was.Rules...)
	}
	return out
}

// hollow reports whether a file has nothing that acts.
func hollow(f *rule.File) bool {
	return len(f.Rules)+len(f.Deprecated)+len(f.Lists)+len(f.ValueLists) == 0
}

func isError(x query.Diagnostic) bool { return x.Severity == query.Error }

// keep notes that a rule goes on as it was, and why.
func (l *loadedRules) keep(id string, diags query.Diagnostics) {
	i := slices.IndexFunc(diags, func(x query.Diagnostic) bool { return isError(x) && x.RuleID == id })
	if i < 0 {
		i = slices.IndexFunc(diags, isError)
	}
	if l.kept == nil {
		l.kept = map[string]query.Diagnostic{}
	}
	l.kept[id] = diags[i]
}

// keepRules puts rules that ran, and of which the query does not compile now, in the
// place of what is in files, and reports whether there are any. diags are of the
// compiler; those about the rules are kept with them.
func (l *loadedRules) keepRules(files []*rule.File, before *loadedRules, diags query.Diagnostics) bool {
	ran := map[string]*rule.Rule{}
	for i := range before.rules {
		ran[before.rules[i].Rule.ID] = before.rules[i].Rule
	}
	for i := range l.rules {
		delete(ran, l.rules[i].Rule.ID)
	}
	found := false
	for i, f := range files {
		for j, r := range f.Rules {
			about := func(x query.Diagnostic) bool { return isError(x) && x.RuleID == r.ID }
			if ok, _ := r.Runnable(); !ok || ran[r.ID] == nil || !slices.ContainsFunc(diags, about) {
				continue
			}
			c := *files[i]
			c.Rules = slices.Clone(c.Rules)
			c.Rules[j] = ran[r.ID]
			files[i] = &c
			l.keep(r.ID, diags)
			found = true
		}
	}
	return found
}

// report logs what is wrong with the files, and what goes on as it was.
func (d *Daemon) report(l *loadedRules) {
	for _, x := range l.diags {
		if isError(x) {
			d.opt.Log.Error("an error in a rule or an exception", "error", x.Error(), "remedy", x.Hint)
		}
	}
	for id, x := range l.kept {
		d.opt.Log.Error("a rule goes on as it was: its file has an error", "rule", id, "error", x.Error())
	}
	for _, name := range l.keptLists {
		d.opt.Log.Error("exceptions and value lists go on as they were: their file has an error", "file", name)
	}
}

// shownErrors is how many errors of rules the status has.
const shownErrors = 20

// counts is what the status says about rules.
func (l *loadedRules) counts() api.RuleCounts {
	out := api.RuleCounts{Running: len(l.rules), Idle: len(l.list) - len(l.rules), Kept: len(l.kept)}
	var wrong query.Diagnostics
	for _, x := range l.diags {
		if isError(x) {
			wrong = append(wrong, x)
		}
	}
	out.Wrong = len(wrong)
	out.Errors = api.Diagnostics(wrong[:min(len(wrong), shownErrors)])
	return out
}
