package generate

import (
	"context"
	"math"
)

// An event is a record before it is written.
type event struct {
	t       int64     // when, in microseconds since the trail's start
	pos     int64     // its place in an object: t, for some a little later
	id      [2]uint64 // of eventID
	seed    uint64    // address of the stream for what is in it; the first two values are id
	session uint64    // names the session, where the principal has many, and its key
	began   int64     // when the session began
	who     int32     // into account.members
	action  int32     // into catalog.actions
	call    int32     // into overlay.calls, or -1
	refused bool      // by the flood case
	copied  bool      // by a repeat: it stands in an earlier object already
}

func newEvent(seed uint64, t int64) event {
	s := stream(seed)
	ev := event{t: t, pos: t, seed: seed, call: -1, began: t}
	ev.id = [2]uint64{s.next(), s.next()}
	if j := stream(under(seed, forJitter)); j.chance(0.15) {
		ev.pos += int64(j.uniform() * 60 * float64(second))
	}
	return ev
}

// Addresses of the records that are planned.

func (a *account) touchSeed(p *principal, i int) uint64 {
	return hash(a.cfg.Seed, forTouch, p.addr, uint64(p.kind), uint64(i))
}

func (a *account) aliveSeed(p *principal, i int, n int32) uint64 {
	return hash(a.cfg.Seed, forAlive, p.addr, uint64(p.kind), uint64(i), uint64(n))
}

// lapseSeed is of the last regular use, n = 0, or of a return.
func (a *account) lapseSeed(p *principal, i int, n int32) uint64 {
	return hash(a.cfg.Seed, forLapse, p.addr, uint64(p.kind), uint64(i), uint64(n))
}

// planned makes the event of a planned record of a pair. It is a session of its own,
// where sessions come and go.
func (a *account) planned(who int, action int32, seed uint64, t int64) event {
	ev := newEvent(seed, t)
	ev.who, ev.action, ev.session = int32(who), action, seed
	return ev
}

// due is a planned record that is still to come.
type due struct {
	t    int64
	who  int32
	pair int32
	n    int32
	what uint8
}

const (
	dueTouch = iota
	dueAlive
	dueLapse
)

// A generator makes the events of one account in order of slots.
type generator struct {
	a       *account
	pending map[int64][]event // by slot
	due     map[int64][]due   // by slot
	add     func(*event)      // takes the events of a slot
	close   func(k int64) error
}

// run makes the whole trail of the account. After each slot all windows that end with
// it are closed.
func (g *generator) run(ctx context.Context) error {
	a := g.a
	g.pending, g.due = make(map[int64][]event), make(map[int64][]due)
	for who := range a.members {
		if a.members[who].kind == special { // the overlay makes its own
			continue
		}
		for i := range a.members[who].pairs {
			g.planPair(int32(who), int32(i))
		}
	}
	slots := a.cfg.end() / slot
	for s := range slots {
		if err := ctx.Err(); err != nil {
			return err
		}
		for k := range kinds {
			g.bursts(k, s)
		}
		g.scheduled(s)
		a.overlay.events(a, s, g.put)
		for i := range g.pending[s] {
			g.add(&g.pending[s][i])
		}
		delete(g.pending, s)
		if err := g.close(s + 1); err != nil {
			return err
		}
	}
	for k := slots + 1; k <= slots+3; k++ { // what is open still, and its repeats
		if err := g.close(k); err != nil {
			return err
		}
	}
	return nil
}

// put keeps an event for its slot; what is after the end of the trail is dropped.
func (g *generator) put(ev event) {
	if ev.t < g.a.cfg.end() {
		g.pending[ev.t/slot] = append(g.pending[ev.t/slot], ev)
	}
}

func (g *generator) schedule(d due) {
	if d.t < g.a.cfg.end() {
		g.due[d.t/slot] = append(g.due[d.t/slot], d)
	}
}

func (g *generator) planPair(who, i int32) {
	q := &g.a.members[who].pairs[i]
	g.schedule(due{t: q.touch, who: who, pair: i, what: dueTouch})
	g.keepAlive(due{t: q.touch, who: who, pair: i, what: dueAlive})
	if q.retire != noTime {
		g.schedule(due{t: q.retire, who: who, pair: i, what: dueLapse})
		for n := range q.returns {
			g.schedule(due{t: q.back[n], who: who, pair: i, n: int32(n) + 1, what: dueLapse})
		}
	}
}

// keepAlive schedules the next use of a pair after the one given, so that none lapses
// by chance.
func (g *generator) keepAlive(d due) {
	p := &g.a.members[d.who]
	d.n++
	s := stream(under(g.a.aliveSeed(p, int(d.pair), d.n), forAlive))
	d.t += int64((0.35 + 0.15*s.uniform()) * float64(g.a.cfg.window()))
	if d.t < p.pairs[d.pair].retire {
		g.schedule(d)
	}
}

func (g *generator) scheduled(s int64) {
	a := g.a
	list := g.due[s]
	delete(g.due, s)
	for _, d := range list {
		p := &a.members[d.who]
		var seed uint64
		switch d.what {
		case dueTouch:
			seed = a.touchSeed(p, int(d.pair))
		case dueAlive:
			seed = a.aliveSeed(p, int(d.pair), d.n)
			g.keepAlive(d)
		default:
			seed = a.lapseSeed(p, int(d.pair), d.n)
		}
		g.put(a.planned(int(d.who), p.pairs[d.pair].action, seed, d.t))
	}
}

// bursts makes the bursts of a kind that begin in a slot.
func (g *generator) bursts(k kind, at int64) {
	a := g.a
	if a.count[k] == 0 {
		return
	}
	h := &habits[k]
	rate := a.rate * a.cfg.share(k)
	address := hash(a.cfg.Seed, forBursts, a.addr, uint64(k), uint64(at))
	s := stream(address)
	for b := range s.poisson(rate / 288 * a.activity(h, at) / h.burstMean()) {
		g.burst(k, h, at, hash(a.cfg.Seed, forBurst, address, uint64(b)))
	}
}

// activity is a kind's hour factor.
func (a *account) activity(h *habit, at int64) float64 {
	local := at*slot/hour + int64(a.zone)
	f := h.flat + (1-h.flat)*byHour[(local+24)%24]
	if h.weekends {
		if d := a.cfg.Start.AddDate(0, 0, int(math.Floor(float64(local)/24))).Weekday(); d == 0 || d == 6 {
			f /= 4
		}
	}
	return f
}

func (g *generator) burst(k kind, h *habit, at int64, address uint64) {
	a := g.a
	s := stream(address)
	t := at*slot + int64(s.uniform()*float64(slot))
	j := s.zipf(a.count[k])
	if t < a.who(k, j).pairs[0].usable {
		j = 0
	}
	p := a.who(k, j)
	t = max(t, p.pairs[0].usable)
	var size int
	if h.geometric {
		size = s.geometric(h.size)
	} else {
		size = max(1, int(math.Round(s.lognormal(h.size, h.sigma))))
	}
	began := t
	group := s.geometric(h.group)
	for n := range min(size, burstCut) {
		if group == 0 {
			group = s.geometric(h.group)
			t += int64(h.pause(&s) * float64(second))
			if t >= a.cfg.end() {
				return
			}
		}
		group--
		ev := newEvent(under(address, uint64(n)), t)
		ev.who, ev.action = int32(a.first[k]+j), a.pick(p, t, &s)
		ev.session, ev.began = address, began
		g.put(ev)
	}
}

func (h *habit) pause(s *stream) float64 {
	if h.gapSigma > 0 {
		return s.lognormal(h.gap, h.gapSigma)
	}
	return s.exponential(h.gap)
}

// pick draws what a principal does at t, among what it has done before.
func (a *account) pick(p *principal, t int64, s *stream) int32 {
	if len(p.pairs) == 1 {
		return p.pairs[0].action
	}
	for unusable := 0; unusable <= 4; {
		q := &p.pairs[s.zipf(len(p.pairs))]
		switch {
		case t < q.usable || t >= q.retire:
			unusable++
		case p.kind != dataUser && !a.cat.actions[q.action].read && s.chance(0.75):
			// Reads are more frequent still than they are among the actions.
		default:
			return q.action
		}
	}
	return p.pairs[0].action
}
