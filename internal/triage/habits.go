package triage

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/enrich"
)

// network is the network of an event's address as the baseline has it: a /24 or /48,
// or the name of a service.
func network(e *Event) string {
	bits := 24
	switch {
	case !e.IP.IsValid():
		return e.Address
	case e.IP.Is6():
		bits = 48
	}
	return netip.PrefixFrom(e.IP, bits).Masked().String()
}

// agentName is the name of an event's agent as the baseline has it.
func agentName(e *Event) string {
	if n := e.AgentName; n != "" && n != "Other" {
		return n
	}
	return e.Agent
}

// keepAddresses returns the addresses of a list that can be compared with an event's:
// those of the same family.
func keepAddresses(list []string, e *Event) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err != nil || a.Unmap().Is4() != e.IP.Is4()
	})
}

// callOf is an action as a reader knows it, such as "ec2:DescribeInstances".
func callOf(e *Event) string { return e.Service() + ":" + e.Action }

// whatDone is an event's action as the baseline has it.
func whatDone(e *Event) string { return e.Provider + "/" + e.Action }

// global reports whether AWS, not the caller, chooses the region that a service's events
// are logged in.
func global(service string) bool {
	return slices.Contains([]string{
		"iam", "organizations", "route53", "route53domains", "cloudfront", "signin", "sts", "support", "account", "shield", "waf",
		"globalaccelerator", "health", "trustedadvisor", "ce", "budgets", "artifact", "billing", "sso",
	}, service)
}

// active is the part of the baseline in which a principal did anything, in full hours.
// It is empty if there was nothing.
func (c *Case) active(principal string) Span {
	b := c.Baseline
	first, last := b.Own.First, b.Own.Last
	if principal != c.Event.Principal {
		first, last = time.Time{}, time.Time{}
		if p := b.Principals[principal]; p != nil {
			first, last = p.First, p.Last
		}
	}
	switch {
	case !b.Complete:
		return c.Base
	case first.IsZero():
		return Span{c.Base.To, c.Base.To}
	}
	return Span{later(c.Base.From, first.Truncate(time.Hour)), earlier(c.Base.To, last.Truncate(time.Hour).Add(time.Hour))}
}

// place returns where an address is, as far as there are databases.
func (c *Case) place(addr netip.Addr) (p cloudtrail.Place) {
	if c.Places == nil || !addr.IsValid() {
		return p
	}
	return c.Places.Address(addr)
}

// recentHours is how many of the latest hours in which the principal did what it did now
// are read event by event; maxRecent is how many events.
const (
	recentHours = 20
	maxRecent   = 1000
)

// recent returns when the principal did what it did now: the alert's event, those of the
// case window, and those of the latest hours of the baseline.
func (c *Case) recent(a *Asking) []*Event {
	past := slices.SortedFunc(maps.Keys(c.Baseline.Own.Hours), time.Time.Compare)
	if len(past) == 0 || c.Event.Principal == "" {
		return nil
	}
	e := c.Event
	return a.same(Span{past[max(0, len(past)-recentHours)], e.Time.Add(1)}, maxRecent)
}

// maxSame is how many events are read at once in which the principal did the same.
const maxSame = 5000

// sameSpan is when the principal did what it did now, as far as that is asked.
func (c *Case) sameSpan() Span {
	return Span{c.since(c.Baseline.Own.Actions, whatDone(c.Event)), c.Window.To}
}

// same returns the events of a window in which the principal did what it did now, the
// latest if there are more than limit. Several steps ask that, of windows of their own:
// one question answers them all, unless there is too much for it.
func (a *Asking) same(window Span, limit int) []*Event {
	e, whole := a.c.Event, a.c.sameSpan()
	text := all(is("debut.principal", e.Principal), is("event.provider", e.Provider), is("event.action", e.Action))
	if a.err != nil || e.Principal == "" {
		return nil
	}
	list, q, err := a.c.query(a.ctx, text, whole, maxSame)
	if err != nil {
		a.err = err
		return nil
	}
	if q.Truncated && window != whole && window.From.Before(list[0].Time) {
		return a.Events(text, window, limit)
	}
	a.Uses(q)
	list = keep(list, func(o *Event) bool { return !o.Time.Before(window.From) && o.Time.Before(window.To) })
	if n := len(list) - limit; n > 0 || q.Truncated && window == whole {
		a.Caveat("more than %d events match %s; the latest are read", limit, text)
		list = list[max(0, n):]
	}
	return list
}

// doneBefore returns those of the baseline.
func (c *Case) doneBefore(a *Asking) []*Event {
	return keep(c.recent(a), func(o *Event) bool { return o.Time.Before(c.Base.To) })
}

// maxPlaces is how many networks of a principal are looked up. One that has more is at
// home everywhere.
const maxPlaces = 10_000

// A property is one thing that a principal does as always, or not.
type property struct {
	name, value string
	new         bool
}

// properties compares the alert's event with what the principal did in the baseline, as
// far as there is something to compare.
func (c *Case) properties() (list []property) {
	e, own := c.Event, &c.Baseline.Own
	add := func(name, value string, known bool) {
		if value != "" {
			list = append(list, property{name, value, !known})
		}
	}
	add("service", e.Service(), own.Providers[e.Provider] != nil)
	add("action", e.Action, own.Actions[whatDone(e)] != nil)
	if !global(e.Service()) {
		add("region", e.Region, own.Regions[e.Region] != nil)
	}
	kind := enrich.AgentClass(e.Agent)
	switch class := clientOf(&kind); class {
	case enrich.ClientOther, enrich.ClientNone:
		agent := agentName(e)
		add("agent", agent, own.Agents[agent] != nil)
	default:
		add("kind of client", class, c.used(class) > 0)
	}
	here := c.place(e.IP)
	if len(own.Networks) > maxPlaces {
		here = cloudtrail.Place{}
	}
	operators, countries := map[uint32]bool{}, map[string]bool{}
	if here.ASN != 0 || here.CountryISO != "" {
		for n := range own.Networks {
			if p, err := netip.ParsePrefix(n); err == nil {
				there := c.place(p.Addr())
				operators[there.ASN], countries[there.CountryISO] = true, true
			}
		}
	}
	if here.ASN != 0 {
		add("network operator", cmp.Or(here.ASOrg, "unnamed"), operators[here.ASN])
	} else {
		n := network(e)
		add("network", n, own.Networks[n] != nil)
	}
	if here.CountryISO != "" {
		add("country", cmp.Or(here.Country, here.CountryISO), countries[here.CountryISO])
	}
	return list
}

// peers are the principals that are like the alert's: of the same permission set, path
// or pattern of names.
func (c *Case) peers() (list []string) {
	me := splitPrincipal(c.Event.Principal)
	if me.name == "" {
		return nil
	}
	for p := range c.Baseline.Principals {
		if p != c.Event.Principal && me.like(splitPrincipal(p)) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// does returns those of the principals that did the alert's action.
func (c *Case) does(principals []string) (list []string) {
	for _, p := range principals {
		if c.Baseline.Principals[p].Does > 0 {
			list = append(list, p)
		}
	}
	return list
}

// A principalName is the ARN of a role or user, taken apart.
type principalName struct{ account, kind, path, name string }

func splitPrincipal(arn string) (n principalName) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[2] != "iam" {
		return n
	}
	kind, rest, _ := strings.Cut(part[5], "/")
	if kind != "role" && kind != "user" {
		return n
	}
	i := strings.LastIndexByte(rest, '/')
	return principalName{part[4], kind, rest[:i+1], rest[i+1:]}
}

// Paths that AWS makes: to share one tells nothing.
const (
	reservedPath    = "aws-reserved/sso.amazonaws.com/"
	serviceRolePath = "aws-service-role/"
	servicePath     = "service-role/"
)

// like reports whether two principals are of one kind.
func (n principalName) like(o principalName) bool {
	if n.kind != o.kind || o.name == "" {
		return false
	}
	if strings.HasPrefix(n.path, reservedPath) {
		return strings.HasPrefix(o.path, reservedPath) && permissionSet(n.name) != "" && permissionSet(n.name) == permissionSet(o.name)
	}
	if n.account != o.account || strings.HasPrefix(n.path, serviceRolePath) || strings.HasPrefix(o.path, serviceRolePath) {
		return false
	}
	if n.path == o.path && n.path != "" && n.path != servicePath {
		return true
	}
	return likeNames(n.name, o.name)
}

// permissionSet returns the permission set of a role of Identity Center, whose name is
// AWSReservedSSO_SET_HASH.
func permissionSet(name string) string {
	s, ok := strings.CutPrefix(name, "AWSReservedSSO_")
	i := strings.LastIndexByte(s, '_')
	if !ok || i < 0 {
		return ""
	}
	return s[:i]
}

// likeNames reports whether two names have the same words but for one: app-deploy-prod
// and app-deploy-dev.
func likeNames(a, b string) bool {
	words := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	}
	x, y := words(a), words(b)
	if len(x) != len(y) || len(x) < 2 {
		return false
	}
	different := 0
	for i := range x {
		if x[i] != y[i] {
			different++
		}
	}
	return different <= 1
}

// mostFirst returns the keys of counts, the largest first, equal ones by name.
func mostFirst(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
}
