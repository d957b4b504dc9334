package serve

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// replay folds what the log has and the database has not.
func (e *Engine) replay(ctx context.Context) error {
	c := e.committer
	from := c.remembered
	if e.opt.Events.End() == from {
		return nil
	}
	e.opt.Log.Info("folding the event log", "from", from, "to", e.opt.Events.End())
	set := e.rules.Load()
	if err := c.refold(ctx, set, from, e.opt.Events.End(), work{counts: true}); err != nil {
		return fmt.Errorf("fold the event log from %d: %w", from, err)
	}
	return c.flush(ctx)
}

// refold applies the frames of the log between two offsets.
func (c *committer) refold(ctx context.Context, set *ruleset, from, to int64, w work) error {
	m := set.engine.NewMatcher()
	var group []*chunk
	size := 0
	for l, err := range c.e.opt.Events.Replay(ctx, from) {
		if err != nil {
			return err
		}
		if l.End > to {
			break
		}
		ch := &chunk{end: l.End}
		if err := ch.meta.decode(l.Meta); err != nil {
			return err
		}
		for _, r := range l.Records {
			r.Raw = ch.keep(r.Raw)
			ch.records = append(ch.records, r)
			ch.fresh = append(ch.fresh, recentKey{r.ID, maphash.Bytes(c.e.seed, r.Raw)})
		}
		size += ch.size
		if err := c.view.match(ch, set, m); err != nil {
			return err
		}
		c.e.recent.add(ch.fresh)
		group = append(group, ch)
		if size >= groupBytes || len(group) >= groupChunks {
			if err := c.apply(ctx, set, group, w); err != nil {
				return err
			}
			group, size = nil, 0
		}
	}
	if len(group) == 0 {
		return nil
	}
	return c.apply(ctx, set, group, w)
}

// plan finds the versions of rules in the store. Of a new store everything is known;
// otherwise a version that was never here is missing, and so is one that another had
// taken over from: its memory has to be rebuilt.
func (e *Engine) plan(ctx context.Context, rules []Rule) (set *ruleset, missing []int, err error) {
	var known []Rule
	e.keys = nil
	err = e.opt.DB.Update(ctx, func(tx store.Tx) error {
		for i := range rules {
			r := &rules[i]
			k, err := store.GetRuleKey(tx, r.Rule.ID, r.Fingerprint)
			switch {
			case err != nil:
				return err
			case k == nil && e.opt.Events.End() == 0:
				k = &store.RuleKey{
					RuleID: r.Rule.ID, Name: r.Rule.Name, Fingerprint: r.Fingerprint, Since: e.opt.Now().UTC(), Rebuilt: true,
				}
				if err := store.PutRuleKey(tx, k); err != nil {
					return err
				}
			case k == nil, k.Retired, !k.Rebuilt:
				missing = append(missing, i)
				continue
			}
			known, e.keys = append(known, *r), append(e.keys, *k)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	set, err = newRuleset(e.opt.Catalogue, known, e.keys, e.start)
	return set, missing, err
}

// Reload puts other rules in place of those that run. Rules of which nothing changed
// that memory depends on go on with it; the others are rebuilt from stored events,
// while their old versions go on alerting, and raise no alert for what was one before
// now. It returns how many were rebuilt.
func (e *Engine) Reload(ctx context.Context, rules []Rule) (rebuilt int, err error) {
	e.reload.Lock()
	defer e.reload.Unlock()
	between := func(f func() error) error { return e.between(ctx, f) }
	if !e.running.Load() {
		between = func(f func() error) error { return f() }
	}
	var missing []int
	if err := between(func() error {
		keys := e.keys
		set, m, err := e.plan(ctx, rules)
		if err != nil {
			e.keys = keys
			return err
		}
		if missing = m; len(m) > 0 {
			e.keys = keys // the rules in place go on until the others are ready
			return nil
		}
		return e.swap(ctx, rules, set)
	}); err != nil || len(missing) == 0 {
		return 0, err
	}
	return len(missing), e.rebuild(ctx, rules, missing, between)
}

// swap puts a set in place, and retires the versions of rules that are not in it.
func (e *Engine) swap(ctx context.Context, rules []Rule, set *ruleset) error {
	if err := e.committer.flush(ctx); err != nil {
		return err
	}
	err := e.opt.DB.Update(ctx, func(tx store.Tx) error {
		var retired []*store.RuleKey
		for k, err := range store.RuleVersions(tx, "") {
			if err != nil {
				return err
			}
			if !k.Retired && set.index(k.Number) < 0 {
				retired = append(retired, k)
			}
		}
		for _, k := range retired {
			k.Retired = true
			if err := store.PutRuleKey(tx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.opt.Rules = rules
		e.rules.Store(set)
	}
	return err
}

// rebuild makes the memory of the rules that are missing from stored events, then puts
// all rules in place. What needs the committer runs through between.
func (e *Engine) rebuild(ctx context.Context, rules []Rule, missing []int, between func(func() error) error) error {
	now := e.opt.Now().UTC()
	fresh := make([]Rule, 0, len(missing))
	var keys []store.RuleKey
	for _, i := range missing {
		fresh = append(fresh, rules[i])
	}
	end := int64(0)
	err := between(func() error {
		end = e.opt.Events.End()
		return e.opt.DB.Update(ctx, func(tx store.Tx) error {
			for _, r := range fresh {
				// A number of its own: what is left of an earlier attempt is not looked at.
				// CloudTrail's clock has whole seconds.
				k := store.RuleKey{
					RuleID: r.Rule.ID, Name: r.Rule.Name, Fingerprint: r.Fingerprint, Since: now, Start: now.Truncate(time.Second),
				}
				if err := store.PutRuleKey(tx, &k); err != nil {
					return err
				}
				keys = append(keys, k)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	set, err := newRuleset(e.opt.Catalogue, fresh, keys, e.start)
	if err != nil {
		return err
	}
	set.adopts = true
	e.opt.Log.Info("rebuilding the memory of rules", "rules", len(fresh))
	if err := e.relearn(ctx, set, now, between); err != nil {
		return fmt.Errorf("rebuild the memory of rules: %w", err)
	}
	return between(func() error {
		c := e.committer
		// What has come since the events were read.
		if err := c.refold(ctx, set, end, e.opt.Events.End(), work{}); err != nil {
			return err
		}
		if err := c.flush(ctx); err != nil {
			return err
		}
		if err := e.opt.DB.Update(ctx, func(tx store.Tx) error {
			for i := range keys {
				keys[i].Rebuilt = true
				if err := store.PutRuleKey(tx, &keys[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		all, left, err := e.plan(ctx, rules)
		if err == nil && len(left) > 0 {
			err = errors.New("rules were rebuilt and are missing all the same")
		}
		if err != nil {
			return err
		}
		return e.swap(ctx, rules, all)
	})
}

// Release ends the time in which new-terms alerts are provisional: those that still
// stand are told.
func (e *Engine) Release(ctx context.Context) error {
	if !e.provisional.Load() {
		return nil
	}
	return e.between(ctx, func() error {
		err := e.opt.DB.Update(ctx, func(tx store.Tx) error {
			if err := store.PutFact(tx, store.FactProvisional, false); err != nil {
				return err
			}
			var list []*store.Alert
			for al, err := range store.AlertsBy(tx, store.Filter{Withheld: true, Withdrawn: true, Blocks: true, Ascending: true}) {
				if err != nil {
					return err
				}
				if al.Provisional {
					list = append(list, al)
				}
			}
			a := newApplier(ctx, e.committer, tx, e.rules.Load(), nil, work{})
			for _, al := range list {
				p := &pending{Alert: al, was: *al, changed: true}
				al.Provisional = false
				al.Changed(e.opt.Now().UTC(), "no longer provisional: its history has been read")
				if !al.Withdrawn && !al.Withheld {
					p.tell = "new"
				}
				a.alerts[al.Handle] = p
			}
			return a.write()
		})
		if err == nil {
			e.provisional.Store(false)
		}
		return err
	})
}
