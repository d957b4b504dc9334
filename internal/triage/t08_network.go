package triage

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/enrich"
)

// sourceNetwork is T8: where did the call come from?
func sourceNetwork() *Step {
	return &Step{
		ID: "T8", Weight: 2,
		Question: "Where did the call come from, and is that usual?",
		Run:      runSourceNetwork,
	}
}

func runSourceNetwork(c *Case, a *Asking) {
	e := c.Event
	this := []*Event{e}
	class := enrich.AddressClass(e.Address)
	switch {
	case class == enrich.AddressService:
		fromService(c, a)
		return
	case class == enrich.AddressInternal:
		a.Say(this, "The call came from inside of AWS; from where, the log does not tell.")
		a.Unknown("where the call came from: only \"AWS Internal\" is logged", "Look for the call of the same principal just before that made AWS do it.")
		a.Unanswered()
		return
	case class == enrich.AddressNone && e.Endpoint == "":
		a.Unknown("where the call came from: no address is logged", "")
		return
	case class == enrich.AddressInvalid && e.Endpoint == "":
		a.Say(this, "What is logged as the source is no address: %q.", shown(e.Address))
		a.Unknown("where the call came from: the logged source is no address", "")
		a.Unanswered()
		return
	}
	a.Uses(c.Baseline.Query)
	switch {
	case e.Endpoint != "":
		throughEndpoint(c, a)
	case class == enrich.AddressPrivate:
		a.Say(this, "The call came from the private address %s, of a network that the log does not name; %s.", e.Address, c.networkHistory())
	default:
		fromAddress(c, a)
	}
	findTravel(c, a)
}

// fromService looks at a call that an AWS service made for somebody.
func fromService(c *Case, a *Asking) {
	e := c.Event
	this := []*Event{e}
	by := ""
	if e.InvokedBy != "" && e.InvokedBy != e.Address {
		by = ", invoked by " + shown(e.InvokedBy)
	}
	a.Find("service", this, "the AWS service %s made the call", e.Address)
	for _, o := range slices.Backward(c.Before(c.Own())) {
		if o.Provider == e.Address && o.IP.IsValid() && !o.Reads() && o.Error == "" {
			a.Say([]*Event{e, o}, "The AWS service %s made the call%s. The principal's last call to that service was %s from %s, %s before: what is said here is about the service, that call is the one to judge.",
				e.Address, by, callOf(o), o.Address, lasting(e.Time.Sub(o.Time)))
			return
		}
	}
	a.Say(this, "The AWS service %s made the call%s.", e.Address, by)
	a.Unknown("which call made "+e.Address+" act", "Look for a schedule, an association or a stack that the service works for.")
}

// throughEndpoint looks at a call through an endpoint in a VPC.
func throughEndpoint(c *Case, a *Asking) {
	e := c.Event
	this := []*Event{e}
	owner := e.Value("aws.cloudtrail.vpc_endpoint_account_id")
	text := "The call came from " + cmp.Or(shown(e.Address), "an address that is not logged") + " through the VPC endpoint " + shown(e.Endpoint)
	if owner != "" {
		text += " of account " + shown(owner)
	}
	say := func(how string, events ...*Event) {
		a.Say(append(this, events...), "%s; %s; %s.", text, how, c.networkHistory())
	}
	if owner != "" && !c.Ours(owner) {
		say("that account is none of ours")
		a.Find("endpoint-unknown", this, "through the VPC endpoint %s of account %s, which is none of ours", shown(e.Endpoint), shown(owner))
		return
	}
	made := c.endpointBefore(a, owner)
	switch {
	case slices.Contains(c.Settings.Endpoints, e.Endpoint):
		say("it is on the list of our own")
		a.Find("endpoint-known", this, "through %s, an endpoint on the list of our own", e.Endpoint)
	case owner != "":
		say("that account is ours")
		a.Find("endpoint-known", this, "through %s, an endpoint of our account %s", e.Endpoint, owner)
	case made != nil:
		say("it was made or used by others here before", made)
		a.Find("endpoint-known", append(this, made), "through %s, an endpoint that was made or used by others here before", e.Endpoint)
	case len(c.Settings.Endpoints) > 0 || c.Baseline.Complete && !c.Cold:
		say("it is not known here")
		a.Find("endpoint-unknown", this, "through the VPC endpoint %s, which is not known here", shown(e.Endpoint))
	default:
		say("whose it is, is not known")
		a.Unknown("whose the VPC endpoint "+shown(e.Endpoint)+" is", "List the organisation's endpoints in the configuration.")
	}
}

// endpointBefore returns an event of the baseline that made the endpoint, or used it, if
// that is what tells whose it is. Its use by this principal alone makes it no better
// known.
func (c *Case) endpointBefore(a *Asking, owner string) *Event {
	e := c.Event
	if owner != "" || slices.Contains(c.Settings.Endpoints, e.Endpoint) {
		return nil
	}
	before := "(" + all(is("event.action", "CreateVpcEndpoint"), is(madeEndpoint, e.Endpoint)) + ") or " + is("aws.cloudtrail.vpc_endpoint_id", e.Endpoint)
	for _, o := range a.Events(before, c.Base, maxShown) {
		if o.Action == "CreateVpcEndpoint" || o.Principal != e.Principal {
			return o
		}
	}
	return nil
}

const madeEndpoint = "aws.cloudtrail.flattened.response_elements.CreateVpcEndpointResponse.vpcEndpoint.vpcEndpointId"

// fromAddress looks at a call from a public address.
func fromAddress(c *Case, a *Asking) {
	e := c.Event
	this := []*Event{e}
	here := c.place(e.IP)
	what := ""
	if here.ASN != 0 || here.ASOrg != "" {
		what = fmt.Sprintf("AS%d %s", here.ASN, shown(here.ASOrg))
	}
	if where := strings.Join(unique([]string{here.City, cmp.Or(here.Country, here.CountryISO)}), ", "); where != "" {
		what = strings.Join(unique([]string{what, where}), ", ")
	}
	switch {
	case what == "":
		a.Unknown("whose network "+e.Address+" is, and in which country", "Name databases of places and networks (MaxMind DB format) in the configuration.")
	case !c.PlacesDate.IsZero():
		what = " (" + what + "; databases of " + c.PlacesDate.UTC().Format(time.DateOnly) + ")"
	default:
		what = " (" + what + ")"
	}
	a.Say(this, "The call came from %s%s; %s.", e.Address, what, c.networkHistory())
	if inside(c.Settings.Networks, e.IP) {
		a.Find("egress", this, "%s is on the list of our own addresses", e.Address)
		return
	}
	seen := c.Baseline.Org.Networks[network(e)] != nil
	switch {
	case !c.Baseline.Complete:
	case !seen:
		a.Find("new-for-organisation", this, "the network of %s, %s by anybody here", e.Address, c.unseen())
	case e.Principal != "" && c.Baseline.Own.Networks[network(e)] == nil:
		a.Find("new-for-principal", this, "the network of %s, %s with this principal", e.Address, c.unseen())
	}
	findPlace(c, a)
	switch {
	case inside(c.Settings.Tor, e.IP):
		a.Find("tor", this, "%s is an exit of Tor", e.Address)
	case enrich.Amazon(here.ASN, here.ASOrg):
		switch {
		case seen:
		case len(c.Settings.Networks) > 0 || c.Baseline.Complete && !c.Cold:
			a.Find("foreign-aws", this, "%s is an address of AWS and none that is known as ours: another customer's machine, CloudShell or a function", e.Address)
		default:
			a.Unknown("whether the AWS address "+e.Address+" is one of ours", "List the organisation's addresses in the configuration.")
		}
	case inside(c.Settings.Hosting, e.IP) || enrich.Hosting(here.ASOrg):
		if who, why := c.actor(false); who == aPerson {
			a.Find("hosting", this, "%s is of a hosting provider or VPN, and the caller is a person (%s)", e.Address, why)
		}
	}
}

// maxLookedUp is how many networks of the baseline are looked up in the databases.
const maxLookedUp = 20_000

// findPlace compares the operator of the network with those of everybody's networks,
// and the country with those of the principal's.
func findPlace(c *Case, a *Asking) {
	here, b, this := c.place(c.Event.IP), c.Baseline, []*Event{c.Event}
	if !b.Complete || here.ASN == 0 && here.CountryISO == "" {
		return
	}
	if len(b.Org.Networks) > maxLookedUp {
		a.Unknown("whether the network's operator is new here: too many networks were in use", "")
		return
	}
	// Both are new only if there is something to compare with.
	operators, countries, operator, country := false, false, false, false
	for n := range b.Org.Networks {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			continue
		}
		there := c.place(p.Addr())
		own := b.Own.Networks[n] != nil
		operators, operator = operators || there.ASN != 0, operator || there.ASN == here.ASN
		countries, country = countries || own && there.CountryISO != "", country || own && there.CountryISO == here.CountryISO
	}
	if here.ASN != 0 && operators && !operator {
		a.Find("asn-new", this, "the network operator AS%d %s, %s by anybody here", here.ASN, shown(here.ASOrg), c.unseen())
	}
	if here.CountryISO != "" && countries && !country && c.Event.Principal != "" {
		a.Find("country-new", this, "the country %s, %s with this principal", cmp.Or(here.Country, here.CountryISO), c.unseen())
	}
}

// networkHistory tells since when the network of the event's address is in use.
func (c *Case) networkHistory() string {
	n := network(c.Event)
	own, org := c.Baseline.Own.Networks[n], c.Baseline.Org.Networks[n]
	n = shown(n)
	if org == nil {
		return "its network (" + cmp.Or(n, "none") + ") was " + c.unseen()
	}
	if own == nil {
		return fmt.Sprintf("with this principal, its network (%s) was %s; %s used it, since %s", n, c.unseen(),
			several(c.Baseline.Org.Principals(), "other principal", "other principals"), stamp(org.First))
	}
	text := fmt.Sprintf("the principal used its network (%s) %s, first at %s and last at %s", n, times(int(own.Count)), stamp(own.First), stamp(own.Last))
	if others := c.Baseline.Org.Principals() - 1; others > 0 {
		text += "; " + several(others, "other principal", "other principals") + " used it"
	}
	return text
}

// findTravel compares the place of the call with those of the other calls with the same
// credential. Networks that many people come out of far away from where they are, are
// left out.
func findTravel(c *Case, a *Asking) {
	e, w := c.Event, c.Weights
	hub := func(ip netip.Addr) bool {
		return inside(c.Settings.Networks, ip) || inside(c.Settings.Hosting, ip) || inside(c.Settings.Tor, ip)
	}
	if e.Credential == "" || !e.IP.IsValid() || hub(e.IP) {
		return
	}
	here := c.place(e.IP)
	var far *Event
	most := 0.0
	for _, o := range c.Related {
		if o.Credential != e.Credential || !o.IP.IsValid() || o.IP == e.IP || hub(o.IP) {
			continue
		}
		km, impossible := enrich.ImpossibleTravel(here, c.place(o.IP), e.Time.Sub(o.Time), w.Number("travel_speed"), w.Number("travel_distance"))
		if impossible && km > most {
			far, most = o, km
		}
	}
	if far == nil {
		return
	}
	there := c.place(far.IP)
	when := "before"
	if far.Time.After(e.Time) {
		when = "after"
	}
	a.Find("travel", []*Event{far, e}, "the same credential was used from %s (%s), %.0f km away, %s %s", far.Address,
		cmp.Or(strings.Join(unique([]string{there.City, cmp.Or(there.Country, there.CountryISO)}), ", "), "place not named"), most, lasting(e.Time.Sub(far.Time).Abs()), when)
}
