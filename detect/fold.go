package detect

import (
	"bytes"
	"iter"

	"github.com/debutsec/debut/ecs"
)

// A Fold keeps the episodes of one worker's new-terms hits: for each combination
// the first event and the time of the last, however many there are in between. The
// zero Fold is not usable; see [Engine.NewFold]. It belongs to one goroutine.
type Fold struct {
	engine   *Engine
	groups   map[ecs.ID]chain
	episodes []episode
	free     int32 // head of the list of unused episodes; -1: none
}

// chain is the episodes of a group. Hits mostly come in order of time, so the
// episode touched last is where the next one belongs.
type chain struct{ head, near int32 }

// episode is a folded Hit without what is the same for all of its group.
type episode struct {
	time, last int64
	id         ecs.ID
	content    uint64
	principal  ecs.ID
	ref        Ref
	rule       int32
	next       int32 // the group's next episode in time; -1: none
	conflict   bool
}

// NewFold returns an empty Fold.
func (e *Engine) NewFold() *Fold {
	return &Fold{engine: e, groups: make(map[ecs.ID]chain), free: -1}
}

// EpisodeSize is about how many bytes one episode takes, the index included.
const EpisodeSize = 160

// Len returns the number of episodes that there is room for.
func (f *Fold) Len() int { return len(f.episodes) }

// A Keeper keeps the record of the event that is being folded.
type Keeper interface {
	// Content returns a hash of the record, stable across runs and never 0.
	Content() uint64
	// Keep stores the record, or finds that it is stored already.
	Keep() (Ref, error)
}

// Add folds a hit of a new-terms rule; h.Ref and h.Content are not looked at. The
// record is kept only if h becomes the first event of an episode. An error is that
// of the Keeper; the Fold is then of no more use.
func (f *Fold) Add(h *Hit, k Keeper) error {
	d := f.engine.Rules[h.Rule].detector.(*newTerms)
	c, ok := f.groups[h.Group]
	if !ok {
		c = chain{-1, -1}
	}
	// Find the first episode that can contain, touch or follow the hit.
	since := d.since(h.Time)
	before, at := int32(-1), c.head
	if c.near >= 0 && f.episodes[c.near].last < since {
		before, at = c.near, f.episodes[c.near].next
	}
	for at >= 0 && f.episodes[at].last < since {
		before, at = at, f.episodes[at].next
	}
	if at < 0 || h.Last < d.since(f.episodes[at].time) {
		ref, err := k.Keep()
		if err != nil {
			return err
		}
		at = f.alloc(episode{
			time: h.Time, last: h.Last, id: h.ID, content: k.Content(), principal: h.Principal, ref: ref,
			rule: h.Rule, next: at,
		})
		if before < 0 {
			c.head = at
		} else {
			f.episodes[before].next = at
		}
	} else if err := f.join(d, at, h, k); err != nil {
		return err
	}
	if c.near != at || !ok {
		c.near = at
		f.groups[h.Group] = c
	}
	return nil
}

// join adds a hit to an episode that it is in reach of.
func (f *Fold) join(d *newTerms, at int32, h *Hit, k Keeper) error {
	ep := &f.episodes[at]
	if h.Time < ep.time || h.Time == ep.time && bytes.Compare(h.ID[:], ep.id[:]) <= 0 {
		if err := ep.first(h, k); err != nil {
			return err
		}
	}
	ep.last = max(ep.last, h.Last)
	// The hit may have closed the gap to the episodes behind.
	for next := ep.next; next >= 0; next = ep.next {
		n := &f.episodes[next]
		if ep.last < d.since(n.time) {
			break
		}
		ep.last = max(ep.last, n.last)
		ep.next = n.next
		n.next, f.free = f.free, next
	}
	return nil
}

// first makes h the first event of the episode, unless it is a copy of that event
// that does not speak. What was first until now counts as seen: last covers it.
func (ep *episode) first(h *Hit, k Keeper) error {
	content := k.Content()
	conflict := false
	if h.Time == ep.time && h.ID == ep.id {
		if content == ep.content {
			return nil
		}
		conflict = true
		if content > ep.content {
			ep.conflict = true
			return nil
		}
	}
	ref, err := k.Keep()
	if err != nil {
		return err
	}
	ep.time, ep.id, ep.principal = h.Time, h.ID, h.Principal
	ep.content, ep.ref, ep.conflict = content, ref, conflict
	return nil
}

func (f *Fold) alloc(ep episode) int32 {
	if at := f.free; at >= 0 {
		f.free = f.episodes[at].next
		f.episodes[at] = ep
		return at
	}
	f.episodes = append(f.episodes, ep)
	return int32(len(f.episodes) - 1)
}

// Drain yields every episode, in no order, and empties the Fold. A Hit is valid
// until the next.
func (f *Fold) Drain() iter.Seq[*Hit] {
	return func(yield func(*Hit) bool) {
		for group, c := range f.groups {
			for at := c.head; at >= 0; at = f.episodes[at].next {
				ep := &f.episodes[at]
				if !yield(&Hit{
					Rule: ep.rule, Group: group, Time: ep.time, ID: ep.id, Last: ep.last,
					Content: ep.content, Principal: ep.principal, Ref: ep.ref, Conflict: ep.conflict,
				}) {
					return
				}
			}
		}
		clear(f.groups)
		f.episodes, f.free = f.episodes[:0], -1
	}
}
