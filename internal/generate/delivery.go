package generate

import (
	"cmp"
	"math"
	"slices"
)

// CloudTrail writes an account's records of a region through several writers. Each
// gathers for five minutes, closes at its own phase, and the object is named by the next
// slot boundary.

const (
	maxWriters = 13 // twelve, and one whose objects are held back
	heldBack   = maxWriters - 1
	lanes      = 2 * 2 * 2 * maxWriters
	mostInOne  = 10_000 // records of one object
	latest     = 600 * second
)

// A lane is one writer of an account: of a region, of management or data events, of the
// first or the second trail.
type lane int

func newLane(region uint8, data bool, trail, writer int) lane {
	return lane(((int(region)*2+bit(data))*2+trail)*maxWriters + writer)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (l lane) writer() int { return int(l) % maxWriters }
func (l lane) trail() int  { return int(l) / maxWriters % 2 }
func (l lane) region() int { return int(l) / maxWriters / 4 }

// group is the number of the lane without its writer.
func (l lane) group() int { return int(l) / maxWriters }

// phase is how long before a slot boundary a lane closes.
func (a *account) phase(l lane) int64 {
	if l.writer() == heldBack {
		return 0
	}
	s := stream(hash(a.cfg.Seed, forWriter, a.addr, uint64(l)))
	return int64(math.Pow(s.uniform(), 1.6) * float64(slot))
}

// windowOf is the number of the slot boundary that names the object of a record, for a
// lane that closes phase before it.
func windowOf(t, phase int64) int64 { return (t+phase)/slot + 1 }

// arrival is when the object of a lane and window is there to be read.
func (a *account) arrival(l lane, phase, k int64) int64 {
	closed := k*slot - phase
	if l.writer() == heldBack {
		return closed + latest
	}
	s := stream(hash(a.cfg.Seed, forObject, a.addr, uint64(l), uint64(k)))
	after := s.lognormal(120, 0.7)
	if s.chance(0.004) {
		after += s.exponential(240)
	}
	return closed + min(int64(after*float64(second)), latest)
}

// lane finds the writer of an event in one of the account's trails.
func (a *account) lane(ev *event, trail int) lane {
	act := &a.cat.actions[ev.action]
	p := &a.members[ev.who]
	region := a.regionOf(p.region, act)
	w := int(hash(ev.id[0], ev.id[1]) % uint64(a.writers[region]))
	if ev.call >= 0 && a.overlay.calls[ev.call].late {
		w = heldBack
	}
	return newLane(region, p.kind == dataUser, trail, w)
}

// trails is how many trails get an event: only management events go to the second.
func (a *account) trails(ev *event) int {
	if a.second && a.members[ev.who].kind != dataUser {
		return 2
	}
	return 1
}

// arrives is when the first copy of an event is there to be read.
func (a *account) arrives(ev *event) int64 {
	first := int64(noTime)
	for trail := range a.trails(ev) {
		l := a.lane(ev, trail)
		phase := a.phase(l)
		first = min(first, a.arrival(l, phase, windowOf(ev.t, phase)))
	}
	return first
}

// A batch is the records of one object.
type batch struct {
	lane    lane
	window  int64
	part    int
	arrival int64
	events  []event
}

// A delivery gathers the events of one account into batches.
type delivery struct {
	a      *account
	phases [lanes]int64
	open   [4][lanes][]event // by window modulo 4
	packs  [lanes / maxWriters]pack
	emit   func(*batch) error // must not keep the batch
}

// A pack gathers a fixed number of records, of all writers of a region.
type pack struct {
	events, next []event // next: repeats, for the object after
	last         batch   // what the object is named by
	parts        int
}

func newDelivery(a *account, emit func(*batch) error) *delivery {
	d := &delivery{a: a, emit: emit}
	for l := range lane(lanes) {
		d.phases[l] = a.phase(l)
	}
	return d
}

func (d *delivery) add(ev *event) {
	twice := stream(under(ev.seed, forRepeat))
	again := twice.chance(d.a.cfg.Duplicates.Repeat) || ev.call >= 0 && d.a.overlay.calls[ev.call].twice
	for trail := range d.a.trails(ev) {
		l := d.a.lane(ev, trail)
		k := windowOf(ev.t, d.phases[l])
		open := &d.open[k%4][l]
		*open = append(*open, *ev)
		if again && trail == 0 {
			open = &d.open[(k+1)%4][l]
			*open = append(*open, *ev)
			(*open)[len(*open)-1].copied = true
		}
	}
}

// close emits all windows that are named by boundary k.
func (d *delivery) close(k int64) error {
	for l := range lane(lanes) {
		events := d.open[k%4][l]
		if len(events) == 0 {
			continue
		}
		d.open[k%4][l] = events[:0]
		slices.SortFunc(events, func(a, b event) int {
			return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.id[0], b.id[0]), cmp.Compare(a.id[1], b.id[1]))
		})
		b := batch{lane: l, window: k, arrival: d.a.arrival(l, d.phases[l], k)}
		if d.a.cfg.RecordsPerObject > 0 {
			if err := d.pack(&b, events); err != nil {
				return err
			}
			continue
		}
		for part := range slices.Chunk(events, mostInOne) {
			b.events = part
			if err := d.emit(&b); err != nil {
				return err
			}
			b.part++
		}
	}
	return nil
}

func (d *delivery) pack(b *batch, events []event) error {
	p := &d.packs[b.lane.group()]
	for i := range events {
		if events[i].copied {
			p.next = append(p.next, events[i])
			continue
		}
		p.events = append(p.events, events[i])
		b.arrival = max(b.arrival, p.last.arrival)
		p.last = *b
		for len(p.events) >= d.a.cfg.RecordsPerObject {
			if err := d.flush(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *delivery) flush(p *pack) error {
	if len(p.events) == 0 {
		return nil
	}
	b := p.last
	b.part, b.events = p.parts, p.events
	p.parts++
	err := d.emit(&b)
	n := min(len(p.next), d.a.cfg.RecordsPerObject)
	p.events = append(p.events[:0], p.next[:n]...)
	p.next = slices.Delete(p.next, 0, n)
	return err
}

// oldest is a time before which nothing of what is packed but not full can arrive.
func (d *delivery) oldest() int64 {
	t := int64(noTime)
	for i := range d.packs {
		if p := &d.packs[i]; len(p.events)+len(p.next) > 0 {
			t = min(t, p.last.arrival)
		}
	}
	return t
}

// end emits what is packed but not full.
func (d *delivery) end() error {
	for i := range d.packs {
		p := &d.packs[i]
		if len(p.events) == 0 {
			p.events, p.next = p.next, nil
		}
		for len(p.events) > 0 { // with the repeats after it
			if err := d.flush(p); err != nil {
				return err
			}
		}
	}
	return nil
}
