package triage

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// identity is T3: who is it, and how did he come to this credential?
func identity() *Step {
	return &Step{
		ID: "T3", Weight: 3,
		Question: "Who is the caller, how was the session opened, and through which roles?",
		Run:      runIdentity,
	}
}

func runIdentity(c *Case, a *Asking) {
	ch := c.follow(a)
	c.Chain = ch.links
	sayCaller(c, a, &ch)
	findKind(c, a)
	findSession(c, a, &ch)
	findEdges(c, a, &ch)
	findHops(c, a, &ch)
	findElsewhere(c, a)
	findNew(c, a, &ch)
}

// sayCaller names the caller, the way to him and his session.
func sayCaller(c *Case, a *Asking, ch *chain) {
	e := c.Event
	var path []string
	for i := range slices.Backward(ch.links) {
		if p := ch.name(i); len(path) == 0 || path[len(path)-1] != p {
			path = append(path, p)
		}
	}
	text := "The caller is " + cmp.Or(e.Principal, "somebody unknown")
	if e.Type != "" {
		text += " (" + e.Type + ")"
	}
	if len(path) > 1 {
		text += " via " + strings.Join(path, " → ")
	}
	if name := e.Session(); name != "" && e.Type != "AWSAccount" {
		text += ", session " + shown(name)
	}
	if !e.Created.IsZero() {
		text += ", opened " + lasting(e.Time.Sub(e.Created)) + " before"
		if len(ch.links) > 1 && ch.links[1].Action != "" {
			text += " by " + shown(ch.links[1].Action)
		}
	}
	switch {
	case e.MFA == "true":
		text += ", with MFA"
	case e.MFA == "false" && e.instance() == "" && !ch.federated() && ch.links[len(ch.links)-1].Type != "AWSService":
		text += ", without MFA"
	}
	a.Say(ch.all(), "%s.", text)
	var carried []string
	for i := range ch.links {
		carried = append(carried, ch.links[i].Attributes...)
	}
	if carried = unique(carried); len(carried) > 0 {
		a.Say(ch.all(), "The chain carries %s.", fewOf(carried, 10))
	}
	last := &ch.links[len(ch.links)-1]
	if last.Broken == "" {
		return
	}
	what, named := "who stands behind "+ch.name(len(ch.links)-1), false
	if last.Type == "IAMUser" || last.Type == "Root" {
		what, named = "how the session of "+shortPrincipal(last.Principal)+" was opened", true
	}
	a.Unknown(what+": "+last.Broken,
		"Look in the trail of the account and region in which the credential was handed out, and read it in if it is not stored.")
	if len(ch.links) == 1 && !named {
		a.Unanswered()
	}
}

// findKind judges the kind of identity.
func findKind(c *Case, a *Asking) {
	e, this := c.Event, []*Event{c.Event}
	switch {
	case e.Type == "Root":
		a.Find("root", this, "the root user of account %s acted", cmp.Or(e.Account, e.Owner))
	case e.Type == "AWSService":
		a.Find("service", this, "the service %s is the caller", cmp.Or(e.InvokedBy, e.Principal))
	case e.Type == "IAMUser" && strings.HasPrefix(e.Credential, "AKIA"):
		a.Find("long-term-key", this, "%s used the long-term key %s", shortPrincipal(e.Principal), e.Credential)
	}
	if e.Account != "" && e.Owner != "" && e.Account != e.Owner && e.Type != "AWSService" {
		whose := "of the organisation"
		if !c.Ours(e.Account) {
			whose = "outside the organisation"
		}
		a.Find("cross-account", this, "the caller is of account %s (%s) and acted in account %s", e.Account, whose, e.Owner)
	}
}

// findSession judges how the session was opened and how it began.
func findSession(c *Case, a *Asking, ch *chain) {
	e := c.Event
	if console(e, ch) {
		switch mfa := signedInWithMFA(e); {
		case mfa == "false" && ch.federated():
			a.Unknown("whether the person signed in with MFA: the session comes from an identity provider, which asks for it and does not tell AWS",
				"Look up the sign-in at the identity provider.")
		case mfa == "false":
			a.Find("no-mfa", ch.all(), "the console session of %s has no MFA", shortPrincipal(e.Principal))
		case mfa == "":
			a.Unknown("whether the console session has MFA: the event does not tell", "")
		}
	}
	if e.Created.IsZero() || e.Type == "AWSService" {
		return
	}
	age := e.Time.Sub(e.Created)
	if age < 0 || age >= c.Weights.Duration("session_young") {
		return
	}
	first := e
	for _, o := range c.Before(c.Related) {
		if c.Tie(o) == TieSession && !o.Time.Before(e.Created) {
			first = o
			break
		}
	}
	switch {
	case first == e:
		a.Find("young-session", []*Event{e}, "this is the first call of a session that was opened %s before", lasting(age))
	case first.Reads():
		a.Find("young-session", []*Event{first, e}, "the session was opened %s before and began with %s", lasting(age), callOf(first))
	}
}

// console reports whether a person sits at the console.
func console(e *Event, ch *chain) bool {
	if e.FromWeb || e.Is("signin", "ConsoleLogin") {
		return true
	}
	return len(ch.links) > 1 && (ch.links[1].Action == "SwitchRole" || ch.links[1].Action == "ConsoleLogin")
}

// signedInWithMFA returns "true", "false", or "" if it is not told.
func signedInWithMFA(e *Event) string {
	if e.Is("signin", "ConsoleLogin") {
		return e.Value("aws.cloudtrail.console_login.additional_eventdata.mfa_used")
	}
	return e.MFA
}

// federated reports whether an identity provider stands behind the caller. IAM reserves
// the path of Identity Center's roles.
func (ch *chain) federated() bool {
	return slices.ContainsFunc(ch.links, func(l Link) bool {
		return l.Type == "SAMLUser" || l.Type == "WebIdentityUser" || l.Type == "IdentityCenterUser" ||
			strings.Contains(l.Principal, ":role/aws-reserved/sso.amazonaws.com/")
	})
}

// findEdges looks whether each caller of the chain had assumed its role before.
func findEdges(c *Case, a *Asking, ch *chain) {
	for i := 1; i < len(ch.links); i++ {
		if !ch.hop(i) {
			continue
		}
		e, role := ch.events[i], shortPrincipal(ch.links[i-1].Principal)
		edge := ch.name(i) + " → " + role
		before, all := c.edgeBefore(a, ch, i)
		if n := len(before); n > 0 {
			a.Say(before[n-1:], "The edge %s was seen %s %s.", edge, times(n), c.past())
			continue
		}
		if !all {
			a.Unknown("whether the edge "+edge+" is new: too many took the role to read them all", "")
			continue
		}
		a.Say([]*Event{e}, "The edge %s was %s.", edge, c.unseen())
		if c.Baseline.Complete {
			a.Find("new-edge", []*Event{e}, "%s took %s: %s", ch.name(i), role, c.unseen())
		}
	}
}

// edgeBefore returns how often the caller of the i-th link took that role in the
// baseline, and whether that is all that there is.
func (c *Case) edgeBefore(a *Asking, ch *chain, i int) (list []*Event, all bool) {
	const most = 100
	from, to, e := ch.links[i], ch.links[i-1], ch.events[i]
	callers := []string{from.Principal}
	if o := ch.copies[i]; o != nil {
		callers = append(callers, o.Principal)
	}
	role := is(requestedRole, append(e.Request("roleArn"), to.Principal)...)
	who, same := is("debut.principal", callers...), func(*Event) bool { return true }
	q := who + " and " + role
	switch {
	case e.Action == "SwitchRole":
		q = "(" + q + ") or (" + is("debut.principal", to.Principal) + " and " + is(switchedFrom, e.Value(switchedFrom)) + ")"
	case from.Type == "WebIdentityUser":
		// A pipeline's subject names the branch or the tag, too: its repository counts.
		q = is("event.action", e.Action) + " and " + role
		const provider = "aws.cloudtrail.user_identity.identity_provider"
		same = func(o *Event) bool {
			return repository(o.UserName) == repository(e.UserName) && o.Value(provider) == e.Value(provider)
		}
	case !slices.ContainsFunc(callers, c.wasActive):
		a.Uses(c.Baseline.Query)
		return nil, true
	}
	list = a.Events(q, c.Base, most)
	return keep(list, func(o *Event) bool { return !o.call().Failed && same(o) }), len(list) < most
}

// repository is the part of an OIDC subject that names the repository, or all of it:
// "repo:example/infra" of "repo:example/infra:ref:refs/heads/main".
func repository(subject string) string {
	if rest, ok := strings.CutPrefix(subject, "repo:"); ok {
		name, _, _ := strings.Cut(rest, ":")
		return "repo:" + name
	}
	return subject
}

// wasActive reports whether a principal did anything in the baseline, as far as is known.
func (c *Case) wasActive(principal string) bool {
	return !c.Baseline.Complete || c.Baseline.Principals[principal] != nil ||
		principal == c.Event.Principal && c.Baseline.Own.Events > 0
}

// findHops judges how many roles were taken, how quickly, and through whose accounts.
func findHops(c *Case, a *Asking, ch *chain) {
	most, within := int(c.Weights.Number("chain_hops")), c.Weights.Duration("chain_hops_in")
	var hops []*Event // latest first
	for i := range ch.links {
		if ch.hop(i) {
			hops = append(hops, ch.events[i])
		}
	}
	for i := 0; most > 0 && i+most <= len(hops); i++ {
		run := hops[i:]
		for len(run) > most && hops[i].Time.Sub(run[len(run)-1].Time) > within {
			run = run[:len(run)-1]
		}
		if took := hops[i].Time.Sub(run[len(run)-1].Time); took <= within {
			a.Find("hops", run, "%s were taken one from the other within %s", amount(len(run), "role"), lasting(took))
			break
		}
	}
	for i, l := range ch.links {
		if l.Account != "" && l.Type != "AWSService" && !c.Ours(l.Account) {
			a.Find("external-chain", []*Event{ch.events[i]}, "%s in the chain belongs to account %s, outside the organisation", shortPrincipal(l.Principal), l.Account)
		}
	}
}

// instanceSession is the name that the sessions of an instance's role have.
var instanceSession = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// instance returns the instance whose role's credentials the event was made with, or "".
func (e *Event) instance() string {
	name := e.Session()
	if e.Type == "AssumedRole" && (instanceSession.MatchString(name) || e.Value(roleDelivery) != "") {
		return name
	}
	return ""
}

const roleDelivery = "aws.cloudtrail.user_identity.session_context.ec2_role_delivery"

// agentCalls are calls that the agent of Systems Manager makes from the instance.
//
//nolint:gochecknoglobals // a constant table
var agentCalls = []string{
	"UpdateInstanceInformation", "UpdateInstanceAssociationStatus", "ListInstanceAssociations", "PutInventory", "PutComplianceItems",
	"GetDeployablePatchSnapshotForInstance",
}

// findElsewhere compares where an instance's credentials are used with where it is.
func findElsewhere(c *Case, a *Asking) {
	e := c.Event
	id := e.instance()
	if id == "" {
		return
	}
	if !e.IP.IsValid() {
		a.Say([]*Event{e}, "These are credentials of instance %s; the event has no address to compare with the instance's.", id)
		return
	}
	known, evidence := c.instanceAddresses(id)
	known = keepAddresses(known, e)
	switch {
	case slices.Contains(known, e.Address), c.Baseline.Own.Networks[network(e)] != nil,
		c.ownNetwork(e.IP):
		a.Say([]*Event{e}, "These are credentials of instance %s, used from an address that is known for it.", id)
	case len(known) == 0:
		a.Unknown("whether instance "+id+" has the address "+e.Address+": no other address of it is stored",
			"Ask AWS for the addresses of the instance and of its NAT gateways: debut triage --live.")
	default:
		a.Say([]*Event{e}, "These are credentials of instance %s, used from elsewhere.", id)
		a.Find("instance-elsewhere", append(evidence, e), "credentials of instance %s used from %s; the instance itself calls from %s", id, e.Address, fewOf(known, 3))
	}
}

// instanceAddresses are those that the agent on the instance calls from, and those that
// AWS told. Through an endpoint it has another one than otherwise: only like is compared
// with like.
func (c *Case) instanceAddresses(id string) (list []string, evidence []*Event) {
	for _, o := range c.Related {
		if o.ID != c.Event.ID && o.Is("ssm", agentCalls...) && o.instance() == id && o.Principal == c.Event.Principal && o.IP.IsValid() &&
			(o.Endpoint == "") == (c.Event.Endpoint == "") {
			if !slices.Contains(list, o.Address) {
				list, evidence = append(list, o.Address), append(evidence, o)
			}
		}
	}
	if c.Live == nil {
		return list, evidence
	}
	for _, v := range c.Live.Instances.Value {
		switch {
		case v.ID != id:
		case c.Event.Endpoint == "":
			list = append(list, v.PublicIP)
		default:
			list = append(list, v.PrivateIP)
		}
	}
	return unique(list), evidence
}

// findNew looks for keys and passwords that were just made, and for a principal that is
// new altogether.
func findNew(c *Case, a *Asking, ch *chain) {
	e, w := c.Event, c.Weights
	if e.Type == "AWSService" || e.Principal == "" {
		return
	}
	user, account := "", ""
	for _, l := range slices.Backward(ch.links) {
		if l.Type == "IAMUser" {
			user, account = l.Principal, l.Account
			break
		}
	}
	name := user[strings.LastIndexByte(user, '/')+1:]
	own := e.Principal[strings.LastIndexByte(e.Principal, '/')+1:]
	const request, response = "aws.cloudtrail.flattened.request_parameters.", "aws.cloudtrail.flattened.response_elements."
	var whom []string
	for _, s := range []string{
		is(request+"userName", name, own), is(response+"accessKey.userName", name), is(request+"roleName", own), is("debut.principal", user),
	} {
		if s != "" {
			whom = append(whom, s)
		}
	}
	list := a.Events(all(is("event.provider", "iam.amazonaws.com"),
		is("event.action", "CreateAccessKey", "UpdateAccessKey", "CreateLoginProfile", "UpdateLoginProfile", "CreateUser", "CreateRole"),
		c.in(account, splitPrincipal(e.Principal).account), "("+strings.Join(whom, " or ")+")"), Span{e.Time.Add(-w.Duration("key_events_before")), e.Time}, 200)
	list, _ = split(list)
	var made, born *Event
	for _, o := range list {
		switch {
		case o.Is("iam", "CreateUser", "CreateRole"):
			if created := cmp.Or(o.Value(response+"user.arn"), o.Value(response+"role.arn")); created == e.Principal {
				born = o
			}
		case user != "" && o.Owner == account && whose(o) == name && o.Value(request+"status") != "Inactive":
			made = o
		}
	}
	if made != nil {
		age := e.Time.Sub(made.Time)
		text := fmt.Sprintf("%s for user %s by %s, %s before", callOf(made), name, shortPrincipal(made.Principal), lasting(age))
		if k := cmp.Or(made.Value(response+"accessKey.accessKeyId"), made.Value(request+"accessKeyId")); k != "" && k == e.Credential {
			text += ": the key used here"
		}
		if age < w.Duration("key_new") {
			a.Find("key-new", []*Event{made}, "%s", text)
		} else {
			a.Say([]*Event{made}, "Within the week there was %s.", text)
		}
	}
	c.findBorn(a, born)
}

// findBorn judges how long the principal has been there.
func (c *Case) findBorn(a *Asking, born *Event) {
	e, h, young := c.Event, &c.Baseline.Own, c.Weights.Duration("principal_new")
	a.Uses(c.Baseline.Query)
	switch {
	case born != nil && e.Time.Sub(born.Time) < young:
		a.Find("principal-new", []*Event{born}, "%s was created %s before, by %s", shortPrincipal(e.Principal), lasting(e.Time.Sub(born.Time)), shortPrincipal(born.Principal))
	case !c.Baseline.Complete:
	case h.Events == 0:
		first := e
		if own := keep(c.Related, func(o *Event) bool { return o.Principal == e.Principal }); len(own) > 0 {
			first = own[0]
		}
		a.Find("principal-new", []*Event{first}, "%s was %s", shortPrincipal(e.Principal), c.unseen())
	case e.Time.Sub(h.First) < young:
		a.Find("principal-new", []*Event{e}, "%s was first seen %s before", shortPrincipal(e.Principal), lasting(e.Time.Sub(h.First)))
	}
}

// whose returns the user that a key or a password was made for: without a name it is
// the caller's own.
func whose(o *Event) string {
	if n := firstOf(o.Request("userName")); n != "" {
		return n
	}
	if n := firstOf(o.Response("accessKey.userName")); n != "" {
		return n
	}
	return o.UserName
}
