package serve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/rule"
)

// An applier folds chunks in one transaction: hits into findings, findings into
// alerts, alerts into messages. Each step looks only at what the one before has
// changed.
type applier struct {
	*committer
	ctx    context.Context //nolint:containedctx // of the transaction
	tx     store.Tx
	set    *ruleset
	chunks []*chunk
	work   work
	now    time.Time
	end    int64 // of the log, behind the chunks

	grown   map[findingID]int64 // episodes of which only the end moved
	written []findingID         // findings that were written whole

	units   map[unitID]*unit
	alerts  map[string]*pending // by handle
	touched map[intervalID]bool
	cover   *coverage
	notices []Notice
}

func newApplier(ctx context.Context, c *committer, tx store.Tx, set *ruleset, chunks []*chunk, w work) *applier {
	return &applier{
		committer: c, ctx: ctx, tx: tx, set: set, chunks: chunks, work: w, now: c.e.opt.Now().UTC(), end: c.folded,
		grown: map[findingID]int64{}, units: map[unitID]*unit{}, alerts: map[string]*pending{},
		touched: map[intervalID]bool{}, cover: newCoverage(tx),
	}
}

func (a *applier) run() error {
	var hits []detect.Hit
	for i, c := range a.chunks {
		a.end = max(a.end, c.end)
		for _, h := range c.hits {
			h.Ref.Log = uint32(i + 1) // 0 is a hit that was stored
			hits = append(hits, h)
		}
		lowest := int64(maxTime)
		for j := range c.records {
			lowest = min(lowest, c.records[j].Time)
			if t := c.records[j].Time; t > a.e.watermark.Load() && t <= c.meta.Ingested.UnixNano()+int64(a.e.opt.MaxFuture) {
				a.e.watermark.Store(t)
			}
		}
		if a.work.counts {
			a.e.late.came(a.now, lowest)
		}
	}
	a.e.stats.hits.Add(int64(len(hits)))
	// What is remembered is read before anything is written: a transaction reads faster
	// as long as it has not written.
	groups, err := a.remembered(hits)
	if err != nil {
		return err
	}
	if err := a.recall(groups); err != nil {
		return err
	}
	if a.work.counts {
		// Before the alerts: their coverage counts what came with them.
		if err := a.count(); err != nil {
			return err
		}
	}
	for i := range groups {
		if err := a.group(&groups[i]); err != nil {
			return err
		}
	}
	for id, u := range a.units {
		if err := a.unit(id, u); err != nil {
			return err
		}
	}
	if err := a.limit(); err != nil {
		return err
	}
	if err := a.write(); err != nil {
		return err
	}
	if a.work.counts {
		return store.PutFact(a.tx, store.FactFolded, a.end)
	}
	return nil
}

// A group is the hits of a batch in one group of a rule, and what is remembered of it.
type group struct {
	index int // of the rule
	hits  []detect.Hit
	old   []store.Finding

	// Of a threshold: the time that the hits reach over, and what was forgotten of it.
	from, to int64
	recalled []detect.Hit
}

// remembered sorts hits by group and reads what is remembered of each.
func (a *applier) remembered(hits []detect.Hit) ([]group, error) {
	slices.SortFunc(hits, func(x, y detect.Hit) int { return x.Compare(&y) })
	var groups []group
	for len(hits) > 0 {
		n := 1
		for n < len(hits) && hits[n].SameGroup(&hits[0]) {
			n++
		}
		g := group{index: int(hits[0].Rule), hits: hits[:n:n]}
		hits = hits[n:]
		number := a.set.number[g.index]
		for i := range g.hits {
			g.hits[i].Rule = number
		}
		var err error
		if g.old, err = store.FindingsOf(a.tx, number, g.hits[0].Group); err != nil {
			return nil, err
		}
		for i := range g.old {
			g.old[i].Last = max(g.old[i].Last, a.dirty[idOf(&g.old[i])])
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// group gives the hits of a batch to their detector, with all that it remembers of the
// group as far as the hits can reach, and keeps what comes out.
func (a *applier) group(g *group) error {
	r, hits, old := a.set.engine.Rules[g.index], g.hits, g.old
	refs := make(map[refKey]detect.Ref, len(hits))
	for i := range hits {
		refs[refKey{hits[i].ID, hits[i].Content}] = hits[i].Ref
	}
	var err error
	var input []detect.Hit
	if r.Type == rule.Threshold {
		if input, err = a.window(g); err != nil {
			return err
		}
	} else {
		input = make([]detect.Hit, 0, len(old)+len(hits))
		for i := range old {
			h := old[i].Hit
			h.Recurs, h.Previous = false, 0
			input = append(input, h)
		}
		input = append(input, hits...)
		slices.SortFunc(input, func(x, y detect.Hit) int { return x.Compare(&y) })
	}
	var found []store.Finding
	r.Reduce(func(yield func(*detect.Hit) bool) {
		for i := range input {
			if !yield(&input[i]) {
				return
			}
		}
	}, func(h detect.Hit) {
		h.Ref = refs[refKey{h.ID, h.Content}]
		found = append(found, store.Finding{Hit: h})
	})
	switch {
	case r.Type == rule.Threshold:
		found = stand(old, found, input)
	case r.Folds():
		recur(old, found)
	}
	return a.change(g.index, old, found)
}

// recur keeps what is known of the episode before the first that is remembered, when it
// has been forgotten itself.
func recur(old, found []store.Finding) {
	if len(old) == 0 || !old[0].Recurs {
		return
	}
	for i := range found {
		f := &found[i]
		if f.Time <= old[0].Time && f.Last >= old[0].Time && old[0].Previous < f.Time {
			f.Recurs, f.Previous = true, max(f.Previous, old[0].Previous)
			return
		}
	}
}

type refKey struct {
	id      ecs.ID
	content uint64
}

// change writes how the findings of a group differ from those before, and passes on
// what that means for alerts.
func (a *applier) change(index int, old, found []store.Finding) error {
	kept := make([]bool, len(old))
	for i := range found {
		f := &found[i]
		handles := a.inherited(old, f)
		j, same := slices.BinarySearchFunc(old, f, func(o store.Finding, f *store.Finding) int {
			return cmp.Or(cmp.Compare(o.Time, f.Time), bytes.Compare(o.ID[:], f.ID[:]))
		})
		if same {
			o := &old[j]
			kept[j] = true
			f.Learned, f.Instance, f.Handle, f.SuppressedEnd = o.Learned, o.Instance, o.Handle, o.SuppressedEnd
			if (len(handles) == 0 || len(handles) == 1 && handles[0] == o.Handle) && a.onlyGrown(index, o, f) {
				continue
			}
		}
		if !same {
			learned, err := a.learned(index, old, f, handles)
			if err != nil {
				return err
			}
			f.Learned = learned
		}
		if err := a.settleFinding(index, f, same && old[j].Content == f.Content, handles); err != nil {
			return err
		}
	}
	for j := range old {
		if kept[j] {
			continue
		}
		if err := a.remove(index, &old[j], found); err != nil {
			return err
		}
	}
	return nil
}

// onlyGrown reports whether nothing about a finding changed but, perhaps, its end,
// which is then noted.
func (a *applier) onlyGrown(index int, old, f *store.Finding) bool {
	if old.Content != f.Content || old.Conflict != f.Conflict || old.Recurs != f.Recurs || old.Previous != f.Previous ||
		old.Count != f.Count || old.Distinct != f.Distinct || old.Principal != f.Principal {
		return false
	}
	if old.Last == f.Last {
		return true
	}
	if !a.set.engine.Rules[index].Folds() {
		return false
	}
	a.grown[idOf(f)] = f.Last
	return true
}

// inherited returns the alerts of the findings before that f now covers.
func (a *applier) inherited(old []store.Finding, f *store.Finding) []string {
	var out []string
	for j := range old {
		if o := &old[j]; o.Handle != "" && o.Time >= f.Time && o.Time <= f.Last {
			out = append(out, o.Handle)
		}
	}
	return out
}

// learned reports whether a finding began before the start of alerting. A version of a
// rule that came into use later alerts from then on, but keeps the alerts that another
// one has made; and what a backfill has raised stays. A threshold that is crossed only
// after a version came into use is news, though its first event is not.
func (a *applier) learned(index int, old []store.Finding, f *store.Finding, inherited []string) (bool, error) {
	if len(inherited) == 0 {
		if a.set.engine.Rules[index].Type != rule.Threshold || f.Time < a.e.start {
			return f.Time < a.set.start[index], nil
		}
		return f.Last < a.set.start[index] || slices.ContainsFunc(old, func(o store.Finding) bool {
			return o.Learned && o.Time >= f.Time && o.Time <= f.Last
		}), nil
	}
	for _, handle := range inherited {
		p, err := a.load(handle)
		if err != nil || p.Manual {
			return false, err
		}
	}
	return f.Time < a.e.start, nil
}

// settleFinding finds the suppression group of a finding and writes it; without one,
// it is a unit by itself and gets its alert at once.
func (a *applier) settleFinding(index int, f *store.Finding, sameEvent bool, handles []string) error {
	sup := a.set.suppression[index]
	a.written = append(a.written, idOf(f))
	adopts := a.set.adoptsFor(index, f)
	if f.Learned && adopts {
		adopted, err := a.adopt(index, f)
		if err != nil {
			return err
		}
		handles = append(handles, adopted...)
		f.Learned = len(adopted) == 0
	}
	// What is learned is in no suppression group; but while alerts are adopted, one of them
	// may have suppressed it.
	if sup == nil || f.Learned && !adopts {
		return a.settleAlone(index, f, handles)
	}
	if !sameEvent || sup.NeedsEvent() && f.Instance == (ecs.ID{}) {
		var ev ecs.Event
		if sup.NeedsEvent() {
			e, err := a.event(&f.Hit, "")
			if err != nil {
				return err
			}
			ev = e.ev
		}
		s := sup.Signal(&f.Hit, ev)
		f.Instance, f.SuppressedEnd = s.Instance, s.SuppressedEnd
	} else {
		s := sup.Signal(&f.Hit, nothing{})
		if !sup.NeedsEvent() {
			f.Instance = s.Instance
		}
		f.SuppressedEnd = s.SuppressedEnd
	}
	if f.Instance == (ecs.ID{}) { // doNotSuppress
		return a.settleAlone(index, f, handles)
	}
	u := a.unitOf(index, f)
	u.handles = append(u.handles, handles...)
	u.refs[refKey{f.ID, f.Content}] = f.Ref
	return store.PutFinding(a.tx, f)
}

// settleAlone gives a finding an alert of its own, unless it is learned.
func (a *applier) settleAlone(index int, f *store.Finding, handles []string) error {
	var s *detect.Signal
	if !f.Learned {
		s = &detect.Signal{Hit: f.Hit}
	}
	handle, err := a.settle(index, s, handles)
	if err != nil {
		return err
	}
	f.Handle = handle
	return store.PutFinding(a.tx, f)
}

// nothing is an event without values.
type nothing struct{ ecs.Event }

func (nothing) Values(*ecs.Field) []string { return nil }

// remove forgets a finding that is none any more. Its alert goes to the finding that
// covers it now, if there is one.
func (a *applier) remove(index int, o *store.Finding, found []store.Finding) error {
	if err := store.DeleteFinding(a.tx, o); err != nil {
		return err
	}
	a.written = append(a.written, idOf(o))
	delete(a.grown, idOf(o))
	covered := slices.ContainsFunc(found, func(f store.Finding) bool { return o.Time >= f.Time && o.Time <= f.Last })
	if o.Instance != (ecs.ID{}) {
		u := a.unitOf(index, o)
		if !covered && o.Handle != "" {
			u.handles = append(u.handles, o.Handle)
		}
		return nil
	}
	if o.Handle == "" || covered {
		return nil
	}
	_, err := a.settle(index, nil, []string{o.Handle})
	return err
}

// A unit is what one alert can stand for: the findings of a suppression group in one
// bucket of time.
type unit struct {
	handles []string // of findings that moved, or are gone
	refs    map[refKey]detect.Ref
}

type unitID struct {
	index    int
	instance ecs.ID
	bucket   int64
}

func (a *applier) unitOf(index int, f *store.Finding) *unit {
	id := unitID{index, f.Instance, floorDiv(f.Time, a.set.suppression[index].Length())}
	u := a.units[id]
	if u == nil {
		u = &unit{refs: map[refKey]detect.Ref{}}
		a.units[id] = u
	}
	return u
}

// unit suppresses anew, and settles what is left.
func (a *applier) unit(id unitID, u *unit) error {
	sup := a.set.suppression[id.index]
	from := id.bucket * sup.Length()
	findings, err := store.FindingsOfInstance(a.tx, a.set.number[id.index], id.instance, from, from+sup.Length())
	if err != nil {
		return err
	}
	// What was learned is not counted, but for what the alert of another version of the
	// rule, which came before it, has suppressed.
	first := slices.IndexFunc(findings, func(f store.Finding) bool { return !f.Learned })
	if first < 0 {
		first = len(findings)
	}
	findings = findings[first:]
	handles := u.handles
	for i := range findings {
		f := &findings[i]
		f.Last = max(f.Last, a.dirty[idOf(f)], a.grown[idOf(f)])
		f.Ref = u.refs[refKey{f.ID, f.Content}]
		if f.Handle != "" && !slices.Contains(handles, f.Handle) {
			handles = append(handles, f.Handle)
		}
	}
	var left *detect.Signal
	sup.Reduce(func(yield func(*detect.Signal) bool) {
		signals := make([]detect.Signal, len(findings))
		for i := range findings {
			f := &findings[i]
			signals[i] = detect.Signal{Hit: f.Hit, Instance: f.Instance, SuppressedEnd: f.SuppressedEnd}
		}
		slices.SortFunc(signals, func(x, y detect.Signal) int { return x.CompareInstance(&y) })
		for i := range signals {
			if !yield(&signals[i]) {
				return
			}
		}
	}, func(s detect.Signal) { left = &s })
	handle, err := a.settle(id.index, left, handles)
	if err != nil {
		return err
	}
	for i := range findings {
		f := &findings[i]
		want := ""
		if left != nil && f.ID == left.ID && f.Group == left.Group && f.Time == left.Time {
			want = handle
		}
		if f.Handle != want || f.Learned {
			f.Handle, f.Learned = want, false
			if err := store.PutFinding(a.tx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// An occurrence is an event with its text.
type occurrence struct {
	ev   ecs.Event
	kind byte
	raw  []byte
}

// event returns the event of a hit: from the batch, from the alert that has it, or
// from the event store. It is valid until the next.
func (a *applier) event(h *detect.Hit, handle string) (occurrence, error) {
	if h.Ref.Log > 0 {
		r := &a.chunks[h.Ref.Log-1].records[h.Ref.Offset]
		ev, err := a.view.view(r.Kind, r.Raw)
		return occurrence{ev, r.Kind, r.Raw}, err
	}
	if handle != "" {
		doc, err := store.GetAlertDocument(a.tx, handle)
		if err == nil && content(doc.Raw) == h.Content {
			ev, err := a.view.view(doc.Kind, doc.Raw)
			return occurrence{ev, doc.Kind, doc.Raw}, err
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return occurrence{}, err
		}
	}
	s, err := a.e.opt.Events.Find(a.ctx, time.Unix(0, h.Time).UTC(), h.ID)
	if err != nil {
		return occurrence{}, fmt.Errorf("the event of a finding: %w", err)
	}
	raw := bytes.Clone(s.Raw)
	ev, err := a.view.view(s.Kind, raw)
	return occurrence{ev, s.Kind, raw}, err
}

// count moves the coverage ledger and notes the objects that were read.
func (a *applier) count() error {
	for _, c := range a.chunks {
		if c.end == 0 || c.end <= a.folded {
			continue // counted before a crash, or without a frame
		}
		for _, h := range c.meta.Hours {
			if err := store.AddHour(a.tx, &store.Hour{
				Account: h.Account, Region: h.Region, Hour: time.Unix(h.Hour*3600, 0).UTC(),
				Records: h.Records, Duplicates: h.Duplicates, Late: h.Late, Future: h.Future,
				MaxDelay: time.Duration(h.MaxDelay) * time.Millisecond, SumDelay: time.Duration(h.SumDelay) * time.Millisecond,
			}); err != nil {
				return err
			}
		}
		if c.meta.Object == "" {
			continue
		}
		o, err := store.GetObject(a.tx, c.meta.Object, c.meta.Version)
		if err != nil {
			return err
		}
		if o == nil {
			o = &store.Object{Name: c.meta.Object, Version: c.meta.Version}
		}
		o.Source, o.Account, o.Region, o.Hour = c.meta.Source, c.meta.Account, c.meta.Region, c.meta.Hour
		o.State, o.Reason = store.ObjectPartial, ""
		if c.meta.Last {
			o.State = store.ObjectRead
		}
		o.Records = c.meta.Done
		o.Rejected += c.meta.Rejected
		o.Read = c.meta.Ingested.UnixNano()
		if !c.meta.Arrived.IsZero() {
			o.Arrived = c.meta.Arrived.UnixNano()
		}
		if err := store.PutObject(a.tx, o); err != nil {
			return err
		}
	}
	return nil
}
