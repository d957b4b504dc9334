package generate

import (
	"fmt"
	"slices"
	"strings"
)

// The overlay lays calls of SendCommand over the trail, by principals of its own, whose
// verdicts are interesting.

// How a call of the overlay ends.
type outcome uint8

const (
	succeeds outcome = iota
	denied           // AccessDenied
	fails            // in the service: InvalidInstanceId
)

// A call is one record of the overlay.
type call struct {
	t       int64
	who     int32
	action  int32
	session uint64
	name    string // of the case
	outcome outcome
	targets int
	late    bool // held back
	twice   bool // also in the writer's next object
	poll    bool // one of many DescribeInstanceInformation
	seed    uint64
}

// A flood is one principal that makes 30 % of the account's records for six hours.
type flood struct {
	who   int32
	start int64
	n     int64
	addr  uint64
}

type overlay struct {
	calls  []call // in order of time
	floods []flood
}

// A sketch is a case being laid over an account.
type sketch struct {
	a        *account
	name     string
	instance int
	s        stream
	seed     uint64 // extended by the number of the call
	made     int
	start    int64
}

// A scenario is one case of the overlay. It needs room after its start.
type scenario struct {
	name  string
	need  func(cfg *Config) int64
	place func(*sketch)
	twin  bool // stands in a second account too, later
}

func within(d int64) func(*Config) int64 { return func(*Config) int64 { return d } }

// longWindow is the history of the shipped rule on SendCommand.
const longWindow = 7 * day

func scenarios() []scenario {
	return []scenario{
		{name: "first", need: within(hour), place: func(k *sketch) { k.send(k.user(0), 0, 0, succeeds) }},
		{name: "again", need: within(10 * hour), place: placeAgain},
		{name: "denied-first", need: within(hour), place: func(k *sketch) { k.refused(denied) }},
		{name: "failed-first", need: within(hour), place: func(k *sketch) { k.refused(fails) }},
		{name: "other-account", need: within(3 * hour), place: placeTwin, twin: true},
		{name: "on-behalf", need: within(hour), place: func(k *sketch) {
			k.send(k.role(principal{invoked: "ssm.amazonaws.com", session: "Automation"}), 0, 0, succeeds)
		}},
		{name: "state-manager", need: within(hour), place: func(k *sketch) {
			k.send(k.member(principal{
				name: "AWSServiceRoleForAmazonSSM", path: "/aws-service-role/ssm.amazonaws.com/",
				session: "StateManagerService", invoked: "ssm.amazonaws.com",
			}), 0, 0, succeeds)
		}},
		{name: "twice", need: within(hour), place: func(k *sketch) { k.send(k.user(0), 0, 0, succeeds).twice = true }},
		{name: "held-back", need: within(hour), place: placeHeldBack},
		{name: "targets", need: within(4 * hour), place: func(k *sketch) {
			who := k.user(0)
			for i, n := range []int{1, 3, 50} {
				k.send(who, int64(i)*hour, 0, succeeds).targets = n
			}
		}},
		{name: "around", need: within(2 * hour), place: placeAround},
		{name: "same-second", need: within(hour), place: func(k *sketch) {
			k.send(k.user(0), 0, 0, succeeds)
			k.send(k.user(1), 0, 0, succeeds)
		}},
		returning("return-short", 0.98, func(cfg *Config) int64 { return cfg.window() }),
		returning("return-long", 1.02, func(cfg *Config) int64 { return cfg.window() }),
		returning("return-short-7d", 0.98, within(longWindow)),
		returning("return-long-7d", 1.02, within(longWindow)),
	}
}

func returning(name string, f float64, window func(*Config) int64) scenario {
	gap := func(cfg *Config) int64 { return int64(f*float64(window(cfg))) / second * second }
	return scenario{
		name: name, need: func(cfg *Config) int64 { return gap(cfg) + hour },
		place: func(k *sketch) {
			who := k.user(0)
			k.send(who, 0, 0, succeeds)
			k.send(who, gap(k.a.cfg), 0, succeeds)
		},
	}
}

func placeAgain(k *sketch) {
	who := k.role(principal{})
	a, b := under(k.seed, 1), under(k.seed, 2)
	k.send(who, 0, a, succeeds)
	k.send(who, k.minutes(5, 120), b, succeeds)
	k.send(who, k.minutes(150, 300), a, succeeds)
}

func (k *sketch) refused(how outcome) {
	who := k.user(0)
	k.send(who, 0, 0, how)
	k.send(who, k.minutes(1, 10), 0, succeeds)
}

// placeTwin is called for the first account and then, two hours later, for the second.
func placeTwin(k *sketch) {
	k.send(k.member(principal{name: fmt.Sprintf("shared-operations-%d", k.instance)}), 0, under(k.seed, 1), succeeds)
}

// placeHeldBack makes a first call whose object comes after that of the second.
func placeHeldBack(k *sketch) {
	who := k.user(0)
	k.start = k.start/slot*slot + 2*second // early in its window, so that it waits longest
	k.send(who, 0, 0, succeeds).late = true
	again := k.send(who, 40*second, 0, succeeds)
	o := &k.a.overlay
	n := len(o.calls)
	arrives := func(i int) int64 { ev := o.event(i); return k.a.arrives(&ev) }
	for try := range uint64(320) {
		if arrives(n-1) < arrives(n-2) {
			return
		}
		again.seed = under(again.seed, try) // by another writer
		if try%32 == 31 {                   // all of them are slow: later
			o.calls[n-2].t += slot
			o.calls[n-1].t += slot
		}
	}
}

func placeAround(k *sketch) {
	who := k.user(0)
	at := k.start
	poll := func() {
		for range k.s.between(15, 60) {
			at += int64(1+k.s.below(20)) * second
			k.call(who, at, 0, k.a.cat.describeII).poll = true
		}
	}
	k.call(who, at, 0, k.a.cat.startSession)
	poll()
	at += 30 * second
	k.call(who, at, 0, k.a.cat.sendCommand)
	poll()
}

func (k *sketch) minutes(lo, hi int) int64 { return int64(k.s.between(lo, hi)) * 60 * second }

// send adds a call of SendCommand some time after the case's start. The result may be
// changed until the next call is added.
func (k *sketch) send(who int32, after int64, session uint64, how outcome) *call {
	c := k.call(who, k.start+after, session, k.a.cat.sendCommand)
	c.outcome = how
	return c
}

func (k *sketch) call(who int32, at int64, session uint64, action int) *call {
	k.made++
	o := &k.a.overlay
	o.calls = append(o.calls, call{
		t: at, who: who, action: int32(action), session: session, name: k.name,
		targets: [3]int{1, 3, 50}[k.instance%3], seed: hash(k.seed, uint64(k.made)),
	})
	return &o.calls[len(o.calls)-1]
}

// user adds a user of the case's own.
func (k *sketch) user(i int) int32 {
	return k.member(principal{user: true, name: fmt.Sprintf("operator-%s-%d-%d", k.name, k.instance, i)})
}

// role adds a role of the case's own.
func (k *sketch) role(p principal) int32 {
	p.name = fmt.Sprintf("operations-%s-%d", k.name, k.instance)
	return k.member(p)
}

func (k *sketch) member(p principal) int32 {
	a := k.a
	p.kind = special
	a.setStable(&p)
	for i := range a.members {
		if a.members[i].stable == p.stable {
			return int32(i)
		}
	}
	p.addr = hash(a.cfg.Seed, forOverlay, a.addr, uint64(len(a.members)))
	a.members = append(a.members, p)
	return int32(len(a.members) - 1)
}

// planOverlay plans the account's part of the overlay.
func (a *account) planOverlay() {
	cfg := a.cfg
	from := cfg.learning()
	for c, sc := range scenarios() {
		room := cfg.end() - from - sc.need(cfg)
		if room <= 0 {
			continue
		}
		for i := range cfg.Overlay {
			seed := hash(cfg.Seed, forOverlay, uint64(c), uint64(i))
			s := stream(seed)
			home := s.below(cfg.Accounts)
			twin := (home + 1 + s.below(max(1, cfg.Accounts-1))) % cfg.Accounts
			start := from + int64(s.uniform()*float64(room))
			k := &sketch{a: a, name: sc.name, instance: i, s: s, seed: hash(seed, a.addr), start: start}
			switch {
			case sc.twin && cfg.Accounts < 2: // there is no other account
			case a.index == home:
				sc.place(k)
			case sc.twin && a.index == twin:
				k.start += 2 * hour
				sc.place(k)
			}
		}
	}
	a.planFloods()
	slices.SortStableFunc(a.overlay.calls, func(x, y call) int { return int(min(max(x.t-y.t, -1), 1)) })
}

// A flood makes twelve actions in turns, each first refused and then granted.
const floodActions = 12

// floodPace is the time between the first calls of a flood: each in a second of its
// own.
const floodPace = 2 * second

func (a *account) planFloods() {
	cfg := a.cfg
	n := min(cfg.Overlay, cfg.Accounts)
	base := int(hash(cfg.Seed, forFlood) % uint64(cfg.Accounts))
	i := (a.index - base + cfg.Accounts) % cfg.Accounts
	if i >= n {
		return
	}
	s := stream(hash(cfg.Seed, forFlood, a.addr))
	who := int32(len(a.members))
	m := principal{kind: special, user: true, name: fmt.Sprintf("flood-%d", i), addr: hash(cfg.Seed, forFlood, a.addr, 1)}
	a.setStable(&m)
	list := append([]int{a.cat.sendCommand}, a.cat.sample(&s, scanner, floodActions-1)...)
	m.start = cfg.learning() + int64(s.uniform()*float64(cfg.end()-cfg.learning()-6*hour))/second*second
	f := flood{who: who, start: m.start, n: max(2*floodActions, int64(a.rate/4*0.3/0.7)), addr: m.addr}
	for k, act := range list {
		m.pairs = append(m.pairs, pair{action: int32(act), touch: f.at(int64(2 * k)), retire: noTime})
	}
	a.members = append(a.members, m)
	a.overlay.floods = append(a.overlay.floods, f)
}

// at is the time of the i-th record of a flood.
func (f *flood) at(i int64) int64 {
	const firsts = 2 * floodActions
	if i < firsts {
		return f.start + i*floodPace
	}
	s := stream(under(f.seed(i), forFlood))
	begin, rest := f.start+firsts*floodPace, f.n-firsts
	return begin + int64((float64(i-firsts)+s.uniform())/float64(rest)*float64(6*hour-firsts*floodPace))
}

func (f *flood) seed(i int64) uint64 { return hash(f.addr, uint64(i)) }

// event makes the i-th record of a flood. Every other one is refused.
func (f *flood) event(a *account, i int64) event {
	ev := newEvent(f.seed(i), f.at(i))
	ev.who, ev.refused = f.who, i%2 == 0
	ev.action = a.members[f.who].pairs[i/2%floodActions].action
	return ev
}

// events gives the records of the overlay that fall into a slot.
func (o *overlay) events(a *account, at int64, put func(event)) {
	from, to := at*slot, (at+1)*slot
	first, _ := slices.BinarySearchFunc(o.calls, from, func(c call, t int64) int { return int(min(max(c.t-t, -1), 1)) })
	for i := first; i < len(o.calls) && o.calls[i].t < to; i++ {
		put(o.event(i))
	}
	for fi := range o.floods {
		f := &o.floods[fi]
		if to <= f.start || from >= f.start+6*hour {
			continue
		}
		// The times go up with i.
		lo, hi := int64(0), f.n
		for lo < hi {
			if mid := (lo + hi) / 2; f.at(mid) < from {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		for i := lo; i < f.n && f.at(i) < to; i++ {
			put(f.event(a, i))
		}
	}
}

func (o *overlay) event(i int) event {
	c := &o.calls[i]
	ev := newEvent(c.seed, c.t)
	ev.who, ev.action, ev.call, ev.session = c.who, c.action, int32(i), c.session
	return ev
}

// filtered reports whether the shipped rule's query leaves a caller out.
func filtered(arn string) bool {
	return strings.Contains(arn, "AWSServiceRoleForAmazonSSM/StateManagerService")
}

// skippedScenarios names the cases for which the trail is too short or has too few
// accounts.
func (c *Config) skippedScenarios() []string {
	skipped := []string{}
	for _, sc := range scenarios() {
		if c.Overlay == 0 || c.end()-c.learning()-sc.need(c) <= 0 || sc.twin && c.Accounts < 2 {
			skipped = append(skipped, sc.name)
		}
	}
	return skipped
}
