package serve

import (
	"bytes"
	"slices"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// maxWithheld is how many alerts over max_signals are kept for an interval.
const maxWithheld = 10_000

// maxIntervals and maxEntries bound what is known of intervals by heart.
const (
	maxIntervals = 1 << 14
	maxEntries   = 1 << 18
)

// intervalID is an interval of a rule: floor(time ÷ interval).
type intervalID struct {
	rule   int32
	bucket int64
}

// An entry is what max_signals wants to know of an alert.
type entry struct {
	time      int64
	id, group ecs.ID
	principal ecs.ID
	withheld  bool
}

// intervals knows the alerts of the intervals last looked at, by handle.
type intervals struct {
	list    map[intervalID]map[string]entry
	entries int
}

func newIntervals() *intervals { return &intervals{list: map[intervalID]map[string]entry{}} }

// of returns the alerts of an interval as they were before the transaction.
func (a *applier) interval(id intervalID) (map[string]entry, error) {
	if have, ok := a.intervals.list[id]; ok {
		return have, nil
	}
	index := a.set.index(id.rule)
	length := a.set.interval(index)
	from := time.Unix(0, id.bucket*length).UTC()
	list, err := store.AlertsOfRule(a.tx, a.set.engine.Rules[index].Rule.ID, from, from.Add(time.Duration(length)))
	if err != nil {
		return nil, err
	}
	if len(a.intervals.list) >= maxIntervals || a.intervals.entries > maxEntries {
		*a.intervals = *newIntervals()
	}
	have := map[string]entry{}
	for _, al := range list {
		if !al.Withdrawn && !al.Manual {
			have[al.Handle] = entryOf(al)
		}
	}
	a.intervals.list[id] = have
	a.intervals.entries += len(have)
	return have, nil
}

func entryOf(al *store.Alert) entry {
	return entry{al.Time.UnixNano(), al.EventID, al.Group, al.PrincipalID, al.Withheld}
}

// touch notes that the alerts of a rule change about a time.
func (a *applier) touch(rule int32, t time.Time) {
	if index := a.set.index(rule); index >= 0 {
		a.touched[intervalID{rule, floorDiv(t.UnixNano(), a.set.interval(index))}] = true
	}
}

// full reports whether an interval has so many alerts that another would only be
// counted: its principal was told of, or so many principals were.
func (a *applier) full(index int, s *detect.Signal) bool {
	if a.work.manual {
		return false
	}
	id := intervalID{a.set.number[index], floorDiv(s.Time, a.set.interval(index))}
	have, err := a.interval(id)
	return err == nil && len(have) >= a.limitOf(index)+maxWithheld
}

func (a *applier) limitOf(index int) int {
	n := a.set.engine.Rules[index].MaxSignals
	if n <= 0 {
		n = 100
	}
	return min(n, maxWithheld)
}

// limit applies max_signals to the intervals that changed. It only says who is
// notified: an alert that is over it exists all the same.
func (a *applier) limit() error {
	for id := range a.touched {
		have, err := a.interval(id)
		if err != nil {
			return err
		}
		index := a.set.index(id.rule)
		length := a.set.interval(index)
		before := len(have)
		for handle, p := range a.alerts {
			delete(have, handle)
			if p.Rule == id.rule && !p.Withdrawn && !p.Manual && floorDiv(p.Time.UnixNano(), length) == id.bucket {
				have[handle] = entryOf(p.Alert)
			}
		}
		a.intervals.entries += len(have) - before
		if len(have) <= a.limitOf(index) {
			for handle, e := range have {
				if e.withheld {
					if err := a.withhold(handle, false, have); err != nil {
						return err
					}
				}
			}
			continue
		}
		if err := a.cap(index, have); err != nil {
			return err
		}
	}
	return nil
}

// cap asks the limiter which alerts of an interval notify.
func (a *applier) cap(index int, have map[string]entry) error {
	type signal struct {
		detect.Signal
		handle string
	}
	list := make([]signal, 0, len(have))
	for handle, e := range have {
		s := signal{handle: handle}
		s.Hit = detect.Hit{Rule: int32(index), Time: e.time, ID: e.id, Group: e.group, Principal: e.principal}
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y signal) int { return x.CompareTime(&y.Signal) })
	passes := map[[2]ecs.ID]bool{} // by event and group
	var told detect.Capped
	l := a.set.engine.NewLimiter(int32(index), func(s detect.Signal) error {
		passes[[2]ecs.ID{s.ID, s.Group}] = !s.Withheld
		return nil
	}, func(c detect.Capped) { told = c })
	for i := range list {
		if err := l.Add(&list[i].Signal); err != nil {
			return err
		}
	}
	if err := l.Flush(); err != nil {
		return err
	}
	first := true
	var principals []string
	for _, s := range list {
		withheld := !passes[[2]ecs.ID{s.ID, s.Group}]
		was := have[s.handle].withheld
		first = first && !was
		if withheld != was {
			if err := a.withhold(s.handle, withheld, have); err != nil {
				return err
			}
		}
		if p := a.alerts[s.handle]; withheld && p != nil && p.Principal != "" && len(principals) < 5 && !slices.Contains(principals, p.Principal) {
			principals = append(principals, p.Principal)
		}
	}
	if first && !a.work.quiet && !a.work.manual { // once for an interval
		r := a.set.engine.Rules[index]
		a.notices = append(a.notices, Notice{Kind: "capped", Capped: &Capped{
			RuleID: r.Rule.ID, RuleName: r.Name, Start: told.Start, Signals: told.Signals, Withheld: told.Withheld, Principals: principals,
		}})
	}
	return nil
}

func (a *applier) withhold(handle string, withheld bool, have map[string]entry) error {
	p, err := a.load(handle)
	if err != nil {
		return err
	}
	p.Withheld, p.changed = withheld, true
	e := have[handle]
	e.withheld = withheld
	have[handle] = e
	if p.made == nil {
		return a.remake(p)
	}
	return nil
}

// remake changes what a stored document says of being withheld.
func (a *applier) remake(p *pending) error {
	d, err := store.GetAlertDocument(a.tx, p.Handle)
	if err != nil {
		return err
	}
	d.Document = replaceLast(d.Document, p.Withheld)
	return store.PutAlertDocument(a.tx, p.Handle, d)
}

// replaceLast sets the last "withheld" of a document: debut.alert.withheld, which is
// behind whatever an event could hold under that name, since names are in order and
// the alert writes it itself.
func replaceLast(doc []byte, withheld bool) []byte {
	const name = `"withheld":`
	old, now := name+"false", name+"true"
	if !withheld {
		old, now = now, old
	}
	i := bytes.LastIndex(doc, []byte(old))
	if i < 0 {
		return doc
	}
	out := append([]byte{}, doc[:i]...)
	return append(append(out, now...), doc[i+len(old):]...)
}
