package generate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A kind of principal: what share of the records it makes, and how.
type kind uint8

const (
	service  kind = iota // AWS services, without an ARN
	workload             // roles of machines
	scanner              // auditing tools
	deployer             // deployment roles
	human
	dataUser // the workloads again, as users of data events
	kinds
	special = kinds // principals of the overlay
)

// habit is how a kind behaves.
type habit struct {
	share, perSqrt, least float64 // principals: max(least, perSqrt·√(rate/10^4)) where perSqrt > 0
	lo, hi                int     // actions each
	geometric             bool    // burst size: geometric of mean size, else lognormal of median size
	size, sigma           float64
	group                 float64 // records in one second, mean
	gap                   float64 // seconds between groups: mean if exponential, else median
	gapSigma              float64 // > 0: lognormal
	flat                  float64 // hour factor: flat + (1-flat)·p(hour)
	weekends              bool    // a quarter of the activity on weekends
	newSession            bool    // each burst is a session of its own name
}

var habits = [kinds]habit{ //nolint:gochecknoglobals // a table
	service:  {share: 0.40, least: 8, lo: 1, hi: 1, geometric: true, size: 6, group: 4, gap: 4.5, flat: 1},
	workload: {share: 0.38, perSqrt: 4, least: 3, lo: 3, hi: 12, geometric: true, size: 4, group: 4, gap: 3, flat: 0.7},
	scanner:  {share: 0.12, least: 2, lo: 150, hi: 300, size: 400, sigma: 1, group: 4.3, gap: 1, flat: 1, newSession: true},
	deployer: {
		share: 0.06, perSqrt: 1, least: 1, lo: 20, hi: 60, size: 60, sigma: 1.2, group: 4.3, gap: 3, gapSigma: 2.2,
		flat: 0.2, weekends: true, newSession: true,
	},
	human: {
		share: 0.04, perSqrt: 3, least: 2, lo: 15, hi: 80, size: 25, sigma: 1.6, group: 4.3, gap: 3, gapSigma: 2.2,
		weekends: true,
	},
	dataUser: {perSqrt: 4, least: 3, lo: 2, hi: 2, geometric: true, size: 12, group: 4, gap: 3, flat: 0.7},
}

// burstCut is the largest burst.
const burstCut = 4000

func (h *habit) burstMean() float64 {
	if h.geometric {
		return h.size
	}
	return h.size * math.Exp(h.sigma*h.sigma/2)
}

// byHour is the activity of people by local hour, mean 1.
var byHour = [24]float64{ //nolint:gochecknoglobals // a table
	.6, .4, .25, .15, .1, .1, .2, .5, 1.2, 1.9, 2.1, 2.0, 1.7, 1.9, 2.1, 2.0, 1.8, 1.5, 1.1, .8, .6, .6, .5, .4,
}

// A principal is somebody who acts in an account.
type principal struct {
	kind    kind
	user    bool   // IAMUser, else a role; meaningless for services
	name    string // of the user, role or service
	path    string // of the role, with slashes
	session string // of a role with one session name only, else ""
	mail    bool   // sessions are e-mail addresses
	invoked string // a service on the principal's behalf, in every call
	region  uint8  // into account.regions
	start   int64
	addr    uint64 // stream for what is fixed
	pairs   []pair
	stable  string // the stable principal, see ecs.Principal
	fixed   fixedIdentity
}

// A pair is a principal's use of one action: the unit of the truth.
type pair struct {
	action  int32
	returns uint8
	touch   int64    // the first time
	retire  int64    // the last time of regular use; noTime: never
	back    [3]int64 // after that, the times of returns
	long    uint8    // bit i: return i comes after more than the window
	usable  int64    // from when on the sampler may use it: the second after the touch
}

const noTime = math.MaxInt64

// An account is everything that is decided about an account before any record.
type account struct {
	cfg     *Config
	cat     *catalog
	index   int
	id      string
	addr    uint64
	rate    float64   // management records a day
	regions [2]string // where 80 % and 20 % of the principals are
	zone    int       // hours east of UTC
	writers [2]int    // by region
	second  bool
	members []principal // all kinds, in the order of kinds
	first   [kinds]int  // where a kind's principals begin
	count   [kinds]int
	overlay overlay
}

// who names a principal of the account.
func (a *account) who(k kind, j int) *principal { return &a.members[a.first[k]+j] }

// A plan makes accounts.
type plan struct {
	cfg     *Config
	cat     *catalog
	weights []float64
	second  []bool // accounts with two trails
	org     string
}

func newPlan(cfg *Config) *plan {
	p := &plan{cfg: cfg, cat: newCatalog(), weights: cfg.weights()}
	org := stream(hash(cfg.Seed, forOrg))
	p.org = "o-" + lowerText(&org, 10)
	p.second = make([]bool, cfg.Accounts)
	order := make([]int, cfg.Accounts)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Compare(hash(cfg.Seed, forSecondTrail, uint64(i)), hash(cfg.Seed, forSecondTrail, uint64(j)))
	})
	for _, i := range order[:int(math.Round(cfg.Duplicates.SecondTrail*float64(cfg.Accounts)))] {
		p.second[i] = true
	}
	return p
}

// accountID is different for each account of a trail.
func (p *plan) accountID(i int) string {
	return fmt.Sprintf("%07d%05d", 1e6+hash(p.cfg.Seed, forAccount, uint64(i))%9e6, i)
}

var (
	// regionPairs are the regions that accounts use. One of them is where the global
	// services are.
	regionPairs = [...][2]string{ //nolint:gochecknoglobals // a table
		{global, "eu-west-1"}, {global, "us-west-2"}, {"eu-central-1", global}, {global, "ap-southeast-1"},
	}
	zones = [...]int{0, -5, 8} //nolint:gochecknoglobals // a table
)

// account plans account i.
func (p *plan) account(i int) *account {
	a := &account{cfg: p.cfg, cat: p.cat, index: i, id: p.accountID(i), second: p.second[i]}
	a.addr = hash(p.cfg.Seed, forAccount, uint64(i))
	s := stream(a.addr)
	a.rate = float64(p.cfg.Records) / float64(p.cfg.Days) * p.weights[i]
	a.zone = zones[s.below(len(zones))]
	a.regions = regionPairs[s.below(len(regionPairs))]
	for i, share := range [...]float64{0.8, 0.2} {
		a.writers[i] = min(heldBack, 2+int(math.Sqrt(40*share*a.rate/86400)))
	}
	for k := range kinds {
		a.first[k] = len(a.members)
		if k == dataUser && p.cfg.DataShare == 0 {
			continue
		}
		h := &habits[k]
		n := int(h.least)
		if h.perSqrt > 0 {
			n = int(max(h.least, h.perSqrt*math.Sqrt(a.rate/1e4)))
		}
		for j := range n {
			a.members = append(a.members, a.member(k, j))
		}
		a.count[k] = n
	}
	a.planOverlay()
	for i := range a.members {
		a.members[i].fix(a)
	}
	return a
}

const global = "us-east-1"

// regionOf is the place of an action's region in a.regions, for a principal at home in
// region home.
func (a *account) regionOf(home uint8, act *action) uint8 {
	if act.global {
		for i, r := range a.regions {
			if r == global {
				return uint8(i)
			}
		}
	}
	return home
}

// member plans the j-th principal of a kind, with its pairs.
func (a *account) member(k kind, j int) principal {
	cfg := a.cfg
	naming := k
	if k == dataUser {
		naming = workload // the same roles
	}
	p := principal{kind: k, addr: hash(cfg.Seed, forPrincipal, a.addr, uint64(naming), uint64(j))}
	s := stream(p.addr)
	p.region = uint8(min(1, int(s.uniform()*1.25)))
	p.start = int64(s.uniform() * float64(slot))
	late, at := s.chance(0.1), int64(s.uniform()*float64(cfg.end()))
	if late && j > 0 {
		p.start = at
	}
	a.name(&p, naming, j, &s)

	list := stream(hash(cfg.Seed, forList, a.addr, uint64(k), uint64(j)))
	switch k {
	case service:
		p.pairs = []pair{{action: int32(a.cat.services[j])}}
		if p.start < slot {
			// One account after the other, so that no two share the second in which a
			// service is first seen.
			p.start = min(int64(a.index)*second, slot-second)
		}
	case dataUser:
		p.pairs = []pair{{action: int32(a.cat.getObject)}, {action: int32(a.cat.putObject)}}
	default:
		h := &habits[k]
		n := int(math.Ceil(float64(list.between(h.lo, h.hi)) * cfg.scale()))
		actions := a.cat.sample(&list, k, n)
		p.pairs = make([]pair, len(actions))
		for i, act := range actions {
			p.pairs[i].action = int32(act)
		}
		for i := range p.pairs { // what everything falls back on is a read
			if a.cat.actions[p.pairs[i].action].read {
				p.pairs[0], p.pairs[i] = p.pairs[i], p.pairs[0]
				break
			}
		}
	}
	a.planPairs(&p, &list)
	return p
}

// planPairs decides when a principal's actions are first seen, lapse and return.
func (a *account) planPairs(p *principal, s *stream) {
	cfg, end := a.cfg, a.cfg.end()
	left := end - p.start
	for i := range p.pairs {
		q := &p.pairs[i]
		q.touch, q.retire = p.start, noTime
		if i > 0 {
			if s.chance(0.85) {
				q.touch += int64(s.uniform() * float64(min(left, cfg.learning())))
			} else {
				q.touch += int64(s.uniform() * float64(left))
			}
			if p.kind != dataUser && s.chance(0.05) {
				a.planLapse(q, s)
			}
		}
		q.usable = (q.touch/second + 1) * second
	}
}

// planLapse lets a pair retire and, while the trail lasts, come back up to three times,
// before or after the window is over.
func (a *account) planLapse(q *pair, s *stream) {
	end, window := a.cfg.end(), a.cfg.window()
	// A second at least, so that the last use is not in the second of the first.
	q.retire = q.touch + second + int64(s.uniform()*float64(end-q.touch))
	if q.retire >= end {
		q.retire = noTime
		return
	}
	at := q.retire
	for i := range q.back {
		long := s.chance(0.5)
		f := 0.80 + 0.18*s.uniform()
		if long {
			f = 1.02 + 0.5*s.uniform()
		}
		at += int64(f * float64(window))
		if at >= end {
			return
		}
		q.back[i] = at
		q.returns++
		if long {
			q.long |= 1 << i
		}
	}
}

// name gives a principal its name and the shape of its identity.
func (a *account) name(p *principal, k kind, j int, s *stream) {
	team := teams[s.below(len(teams))]
	switch k {
	case service:
		p.name = serviceCalls[j].by
	case workload:
		p.name = fmt.Sprintf("%s-%s-%02d", team, jobs[s.below(len(jobs))], j)
		p.session = "i-0" + hexText(s, 16)
	case scanner:
		p.name = [...]string{"SecurityAudit", "CloudInventory"}[j%2]
	case deployer:
		p.name = fmt.Sprintf("%s-deploy-%02d", team, j)
	default: // people
		if j%3 == 0 {
			p.user = true
			p.name = fmt.Sprintf("%s-%s-%d", team, lowerText(s, 4), j)
		} else {
			p.mail = true
			p.name = "AWSReservedSSO_" + access[j%len(access)] + "_" + hexText(s, 16)
			p.path = "/aws-reserved/sso.amazonaws.com/" + a.regions[0] + "/"
			p.session = fmt.Sprintf("%s.%s%d@example.com", team, lowerText(s, 5), j)
		}
	}
	a.setStable(p)
}

// setStable derives the stable principal.
func (a *account) setStable(p *principal) {
	path := p.path
	if path == "" {
		path = "/"
	}
	switch {
	case p.kind == service:
		p.stable = p.name
	case p.user:
		p.stable = "arn:aws:iam::" + a.id + ":user/" + p.name
	default:
		p.stable = "arn:aws:iam::" + a.id + ":role" + path + p.name
	}
}

// arn is the ARN of a principal's call: that of the session, for a role.
func (a *account) arn(p *principal, session uint64) string {
	switch {
	case p.kind == service:
		return ""
	case p.user:
		return p.stable
	}
	return "arn:aws:sts::" + a.id + ":assumed-role/" + p.name + "/" + string(p.appendSession(nil, session))
}

// appendSession appends the session name of a call of a role.
func (p *principal) appendSession(b []byte, session uint64) []byte {
	if p.session != "" {
		return append(b, p.session...)
	}
	s := stream(session)
	switch p.kind {
	case scanner:
		b = append(b, "aws-go-sdk-"...)
		return appendDigits(b, &s, 19)
	case deployer:
		b = append(b, "GitHubActions-"...)
		return appendDigits(b, &s, 10)
	default:
		b = append(b, "botocore-session-"...)
		return appendDigits(b, &s, 10)
	}
}

// Words for names.
var (
	teams  = strings.Fields("payments checkout search billing catalog orders identity media reports ledger pricing notify fraud portal gateway analytics") //nolint:gochecknoglobals // a table
	jobs   = strings.Fields("api worker web ingest batch cache queue stream indexer proxy cron render")                                                    //nolint:gochecknoglobals // a table
	access = strings.Fields("AdministratorAccess PowerUserAccess ReadOnlyAccess DeveloperAccess")                                                          //nolint:gochecknoglobals // a table
)

func hexText(s *stream, n int) string {
	const digits = "0123456789abcdef"
	return text(s, n, digits)
}

func lowerText(s *stream, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return text(s, n, letters)
}

func text(s *stream, n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.next()%uint64(len(alphabet))]
	}
	return string(b)
}

// appendDigits appends n digits, at most 19, the first not zero.
func appendDigits(b []byte, s *stream, n int) []byte {
	x := s.next()
	b = append(b, '1'+byte(x%9))
	x /= 9
	for range n - 1 {
		b = append(b, '0'+byte(x%10))
		x /= 10
	}
	return b
}
