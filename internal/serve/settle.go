package serve

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/store"
)

// pending is an alert that the transaction has looked at.
type pending struct {
	*store.Alert
	was     store.Alert // as it was when it was loaded
	isNew   bool
	changed bool
	made    *alert.Alert // made anew from its event; nil: the document stays
	kind    byte         // of the event, and its text
	raw     []byte
	tell    string // the kind of notice, "" none
}

// load returns an alert by its handle.
func (a *applier) load(handle string) (*pending, error) {
	if p := a.alerts[handle]; p != nil {
		return p, nil
	}
	al, err := store.GetAlert(a.tx, handle)
	if err != nil {
		return nil, err
	}
	if al == nil {
		return nil, fmt.Errorf("alert %s of a finding: %w", handle, store.ErrNotFound)
	}
	p := &pending{Alert: al, was: *al}
	a.alerts[al.Handle] = p
	return p, nil
}

// settle makes one alert stand for a signal, of those that stood for what it has
// become of, or a new one; s is nil if no finding is left for them. It returns the
// handle.
func (a *applier) settle(index int, s *detect.Signal, handles []string) (string, error) {
	candidates := make([]*pending, 0, len(handles))
	for _, h := range handles {
		p, err := a.load(h)
		if err != nil {
			return "", err
		}
		if !slices.Contains(candidates, p) {
			candidates = append(candidates, p)
		}
	}
	if s == nil {
		for _, p := range candidates {
			a.withdraw(p, "", "late events changed what it was raised for")
		}
		return "", nil
	}
	// What a person has dealt with stays; else the earliest.
	slices.SortStableFunc(candidates, func(x, y *pending) int {
		return cmp.Or(-compareBool(x.Touched(), y.Touched()), compareBool(x.Withdrawn, y.Withdrawn),
			x.Time.Compare(y.Time), cmp.Compare(x.Handle, y.Handle))
	})
	var keeper *pending
	if len(candidates) > 0 {
		keeper = candidates[0]
		for _, p := range candidates[1:] {
			a.join(keeper, p)
		}
	}
	return a.stand(index, s, keeper)
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// join takes p back, since keeper stands for its finding too. Two that persons have
// dealt with both stay, linked.
func (a *applier) join(keeper, p *pending) {
	if !p.Touched() || p.Withdrawn {
		a.withdraw(p, keeper.Handle, "joined into alert "+store.ShortID(keeper.Handle)+": late events showed that both are one")
		return
	}
	if slices.Contains(p.Linked, keeper.Handle) {
		return
	}
	p.Linked = append(p.Linked, keeper.Handle)
	keeper.Linked = append(keeper.Linked, p.Handle)
	p.Changed(a.now, "linked to alert "+store.ShortID(keeper.Handle)+": late events showed that both are one")
	keeper.Changed(a.now, "linked to alert "+store.ShortID(p.Handle))
	p.changed, keeper.changed = true, true
}

func (a *applier) withdraw(p *pending, into, why string) {
	if p.Withdrawn && p.JoinedInto == into {
		return
	}
	p.Withdrawn, p.JoinedInto = true, into
	p.Triage.Due, p.Triage.Why = time.Time{}, "" // there is nothing to investigate
	p.Changed(a.now, "withdrawn: "+why)
	p.changed = true
	p.tell = "withdrawn"
	a.touch(p.Rule, p.Time)
	a.e.stats.withdrawn.Add(1)
}

// stand makes the alert of a signal, or brings the one that stands for it up to date.
func (a *applier) stand(index int, s *detect.Signal, keeper *pending) (string, error) {
	if keeper != nil && keeper.Group == s.Group && !keeper.Previous.IsZero() {
		// What was seen before was seen, though a rebuild does not reach so far back.
		if t := keeper.Previous.UnixNano(); t < s.Time && (!s.Recurs || t > s.Previous) {
			s.Recurs, s.Previous = true, t
		}
	}
	if a.stands(index, keeper, s) {
		return keeper.Handle, nil
	}
	handle := ""
	if keeper != nil {
		handle = keeper.Handle
	} else if a.full(index, s) {
		a.e.stats.dropped.Add(1)
		return "", nil
	}
	o, err := a.event(&s.Hit, handle)
	if errors.Is(err, store.ErrNotFound) && keeper != nil {
		// The event is not kept any more: the alert stays what it was.
		a.e.opt.Log.Warn("an alert cannot be brought up to date: its event is not stored any more", "alert", handle)
		return handle, nil
	}
	if err != nil {
		return "", err
	}
	share := 1.0
	r := a.set.engine.Rules[index]
	account, region := a.e.zone.of(o.ev)
	if r.Folds() {
		t := time.Unix(0, s.Time).UTC()
		if share, err = a.cover.share(account, region, r.History(t), t); err != nil {
			return "", err
		}
	}
	made := alert.New(r, s, o.ev, share, share < coldBelow)
	if keeper == nil {
		if keeper, err = a.existing(made.UUID); err != nil {
			return "", err
		}
		if a.stands(index, keeper, s) {
			return keeper.Handle, nil
		}
	}
	if keeper == nil {
		unused, err := a.newHandle(made.UUID)
		if err != nil {
			return "", err
		}
		keeper = &pending{isNew: true, Alert: &store.Alert{
			Handle: unused, UUID: made.UUID, Created: a.now, Updated: a.now, Status: store.Open, Manual: a.work.manual,
			Provisional: a.e.provisional.Load() && r.Folds() && !a.work.manual,
		}}
		keeper.tell = "new"
		a.alerts[keeper.Handle] = keeper
		a.e.stats.alert(made.Severity)
	}
	keeper.made, keeper.kind, keeper.raw = made, o.kind, bytes.Clone(o.raw)
	a.describe(keeper, index, s, account, region)
	return keeper.Handle, nil
}

// existing returns the alert with that uuid, which another version of the rule, or a
// backfill, has made; nil if there is none.
func (a *applier) existing(uuid string) (*pending, error) {
	for _, p := range a.alerts {
		if p.UUID == uuid {
			return p, nil
		}
	}
	al, err := store.GetAlert(a.tx, uuid)
	if err != nil || al == nil || al.UUID != uuid {
		return nil, err
	}
	if p, err := a.load(al.Handle); err != nil || p.UUID == uuid {
		return p, err
	}
	return nil, nil //nolint:nilnil // it has just moved on
}

// newHandle returns a handle that no alert has.
func (a *applier) newHandle(uuid string) (string, error) {
	for n := 0; ; n++ {
		handle := store.NewHandle(uuid, n)
		al, err := store.GetAlert(a.tx, handle)
		if err != nil {
			return "", err
		}
		if al == nil && a.alerts[handle] == nil {
			return handle, nil
		}
	}
}

// stands reports whether an alert needs no change but, perhaps, the version of its rule:
// what it said when another version made it stays.
func (a *applier) stands(index int, p *pending, s *detect.Signal) bool {
	if p == nil || p.Withdrawn || !a.upToDate(p, s) {
		return false
	}
	if number := a.set.number[index]; p.Rule != number {
		p.Rule, p.changed = number, true
	}
	return true
}

// upToDate reports whether an alert says what the signal does.
func (*applier) upToDate(p *pending, s *detect.Signal) bool {
	return p.EventID == s.ID && p.Group == s.Group && p.Time.UnixNano() == s.Time && p.Count == s.Count &&
		p.Suppressed == s.Suppressed && p.SuppressedEnd == s.SuppressedEnd && p.Last.UnixNano() == s.Last && p.Content == s.Content && p.Conflict == s.Conflict &&
		p.Distinct == s.Distinct &&
		p.PrincipalID == s.Principal && !p.Previous.IsZero() == s.Recurs && (!s.Recurs || p.Previous.UnixNano() == s.Previous)
}

// describe writes into the row what the made alert says.
func (a *applier) describe(p *pending, index int, s *detect.Signal, account, region string) {
	m := p.made
	p.changed = true
	switch {
	case p.isNew:
	case p.Withdrawn:
		p.Withdrawn, p.JoinedInto = false, ""
		why := "late events gave its ground back"
		if a.work.manual {
			why = "a backfill found it"
		}
		p.Changed(a.now, "stands again: "+why)
		p.tell = "new"
	case p.UUID != m.UUID:
		p.Changed(a.now, "moved: an earlier event came late, of "+m.Time.Format(time.RFC3339))
	case s.Count > p.Count || s.Suppressed > p.Suppressed:
		p.Updated = a.now
		if p.Status == store.Closed && !a.set.adopts { // a rebuild finds again what there was
			p.Status, p.Reason, p.ClosedAt = store.Open, "", time.Time{}
			p.Changed(a.now, "reopened: it grew after it was closed")
			p.tell = "reopened"
		}
	default:
		p.Updated = a.now
	}
	if p.UUID != m.UUID {
		if !slices.Contains(p.Former, p.UUID) {
			p.Former = append(p.Former, p.UUID)
		}
		p.UUID = m.UUID
	}
	if !p.isNew {
		a.touch(p.Rule, p.Time)
	}
	words := m.Summary()
	p.RuleID, p.RuleName, p.Type = m.Rule.ID, m.Name, string(m.Rule.Type)
	p.Severity, p.RiskScore = m.Severity, m.RiskScore
	p.Previous = m.Previous
	p.Time, p.Last, p.Principal, p.Account, p.Region = m.Time, m.Last, m.Principal, account, region
	p.Who, p.What, p.Where = words.Who, words.What, words.Where
	p.Cold, p.BuildingBlock, p.Count, p.Distinct, p.Suppressed = m.Cold, m.Rule.BuildingBlock, s.Count, s.Distinct, s.Suppressed
	p.SuppressedEnd = s.SuppressedEnd
	p.Rule, p.Group, p.EventID, p.PrincipalID = a.set.number[index], s.Group, s.ID, s.Principal
	p.Content, p.Conflict = s.Content, s.Conflict
	a.touch(p.Rule, p.Time)
}

// adopt returns the alert that another version of the rule has made for a finding
// that would be learned.
func (a *applier) adopt(index int, f *store.Finding) ([]string, error) {
	o, err := a.event(&f.Hit, "")
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // nobody can tell any more
	}
	if err != nil {
		return nil, err
	}
	uuid := alert.UUID(a.set.engine.Rules[index], &f.Hit, o.ev)
	al, err := store.GetAlert(a.tx, uuid)
	if err != nil || al == nil || al.Withdrawn || al.UUID != uuid {
		return nil, err // one that began there once begins earlier: this is not all of it
	}
	return []string{al.Handle}, nil
}

// hiddenWait is how long alerts that nobody is told of wait to be investigated: the
// others come first, however many of these there are.
const hiddenWait = 10 * time.Minute

// investigate makes an alert due to be investigated, if there is something new about it
// and its history is not still being read.
func (a *applier) investigate(p *pending) {
	if !a.e.opt.Triage || p.Withdrawn || p.Provisional {
		return
	}
	switch now := a.now; {
	case p.Triage.Version == 0 && p.Triage.Due.IsZero() && p.Triage.Error == "" && (p.isNew || p.was.Provisional || p.was.Withdrawn):
		if p.Withheld || p.BuildingBlock {
			now = now.Add(hiddenWait)
		}
		p.Triage.Wants(now, store.TriageAlert)
	case !p.isNew && (p.was.EventID != p.EventID || p.was.Count != p.Count || p.was.Suppressed != p.Suppressed):
		if soon := p.Triage.Done.Add(store.TriagePause); soon.After(now) {
			now = soon
		}
		p.Triage.Wants(now, store.TriageNewEvents)
	}
}

// usualDocument is how many bytes most documents of alerts have room in: the rule's guide
// is most of them.
const usualDocument = 24 << 10

// write stores what became of the alerts, and puts what is to be told in the outbox.
func (a *applier) write() error {
	for _, handle := range slices.Sorted(maps.Keys(a.alerts)) {
		p := a.alerts[handle]
		if !p.changed {
			continue
		}
		a.investigate(p)
		if p.made != nil {
			p.made.Withheld = p.Withheld
			doc := p.made.Document(p.Created)
			if a.work.manual {
				doc["kibana.alert.rule.execution.type"] = "manual"
			} else {
				doc["kibana.alert.rule.execution.type"] = "scheduled"
			}
			d := &store.AlertDocument{Document: doc.AppendJSON(make([]byte, 0, usualDocument)), Kind: p.kind, Raw: p.raw}
			if err := store.PutAlertDocument(a.tx, handle, d); err != nil {
				return err
			}
			if err := a.tell(p, d.Document); err != nil {
				return err
			}
		} else if err := a.tell(p, nil); err != nil {
			return err
		}
		if err := store.PutAlert(a.tx, p.Alert); err != nil {
			return err
		}
	}
	for _, n := range a.notices {
		if err := a.route(n); err != nil {
			return err
		}
	}
	return nil
}

// tell routes the notice about an alert, if there is one and it may be told.
func (a *applier) tell(p *pending, document []byte) error {
	kind := p.tell
	if kind == "" && p.was.Withheld && !p.Withheld && !p.Withdrawn {
		kind = "new" // it was over max_signals, and late events made room
	}
	switch {
	case kind == "", p.BuildingBlock, p.Manual, a.work.manual, a.work.quiet, p.Provisional,
		kind == "new" && p.Withheld, kind == "withdrawn" && p.isNew:
		return nil
	}
	if document == nil {
		d, err := store.GetAlertDocument(a.tx, p.Handle)
		if err != nil {
			return err
		}
		document = d.Document
	}
	return a.route(Notice{Kind: kind, Alert: p.Alert, Document: document})
}

func (a *applier) route(n Notice) error {
	if a.e.opt.Route == nil {
		return nil
	}
	return a.e.opt.Route(a.tx, n)
}

// lastEvent is how a document says when the episode last saw an event.
const lastEvent = `"last_event":"`

// writeDirty writes the ends of episodes, those of their alerts too.
func (c *committer) writeDirty(tx store.Tx) error {
	for id, last := range c.dirty {
		h := detect.Hit{Rule: id.rule, Group: id.group, Time: id.time, ID: id.id}
		f, err := store.GetFinding(tx, &h)
		if err != nil {
			return err
		}
		if f == nil || f.Last >= last {
			continue
		}
		f.Last = last
		if err := store.PutFinding(tx, f); err != nil {
			return err
		}
		if f.Handle != "" {
			if err := extend(tx, f.Handle, last); err != nil {
				return err
			}
		}
	}
	return nil
}

// extend moves the end of an alert. The document has it in one place, in fixed width.
func extend(tx store.Tx, handle string, last int64) error {
	al, err := store.GetAlert(tx, handle)
	if err != nil || al == nil {
		return err
	}
	al.Last = time.Unix(0, last).UTC()
	d, err := store.GetAlertDocument(tx, handle)
	if err != nil {
		return err
	}
	stamp := al.Last.Format(ecs.TimeFormat)
	if i := bytes.LastIndex(d.Document, []byte(lastEvent)); i >= 0 && i+len(lastEvent)+len(stamp) <= len(d.Document) {
		copy(d.Document[i+len(lastEvent):], stamp)
	}
	return cmp.Or(store.PutAlertDocument(tx, handle, d), store.PutAlert(tx, al))
}
