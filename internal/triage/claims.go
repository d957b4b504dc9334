package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/debutsec/debut/internal/enrich"
)

// claims is step F: is there a harmless explanation? It comes last: a claim may rest on
// what the others found. Each claim is proven only by what the caller cannot choose;
// names, agents and times alone never prove one.
func claims() *Step {
	return &Step{
		ID: "F", Weight: 0,
		Question: "Is there a harmless explanation?",
		Run:      runClaims,
	}
}

// A claim is one harmless explanation.
type claim struct {
	name string // as the report has it
	key  string // of its row
	// parts is how much must be proven of it to be worth a sentence: that a service made
	// the call fits several claims.
	parts int
	live  bool // AWS can tell
	test  func(c *Case, a *Asking, p *proof)
}

func allClaims() []claim {
	return []claim{
		{"State Manager", "state-manager", 1, true, stateManager},
		{"Patch Manager", "patch-manager", 3, false, patchManager},
		{"maintenance window", "maintenance-window", 2, true, maintenanceWindow},
		{"known agent", "agent", 2, false, knownAgent},
		{"pipeline", "ci", 1, false, pipeline},
		{"approved change", "change", 1, false, approvedChange},
		{"person on call", "on-call", 2, false, personOnCall},
		{"exercise", "exercise", 1, false, exercise},
	}
}

// A proof collects what speaks for a claim, what is still wanted, and what rules it out.
type proof struct {
	have, wanted, against []string
	events                []*Event
	to                    time.Time // when what it rests on ends; zero: it does not
}

func (p *proof) has(text string, events ...*Event) {
	p.have, p.events = append(p.have, text), append(p.events, events...)
}

func (p *proof) want(format string, args ...any) {
	p.wanted = append(p.wanted, fmt.Sprintf(format, args...))
}

func (p *proof) ruleOut(format string, args ...any) {
	p.against = append(p.against, fmt.Sprintf(format, args...))
}

func (p *proof) status() string {
	switch {
	case len(p.against) > 0:
		return Contradicted
	case len(p.have) > 0 && len(p.wanted) == 0:
		return Proven
	}
	return NotProven
}

func runClaims(c *Case, a *Asking) {
	var proven, out []string
	var near []func()
	for _, cl := range allClaims() {
		p := &proof{}
		cl.test(c, a, p)
		if a.err != nil {
			return
		}
		p.events = append(p.events, c.Event)
		have := strings.Join(p.have, "; ")
		r := Claim{Name: cl.name, Status: p.status(), Proof: p.have, Wanted: p.wanted, Events: ids(p.events)}
		switch r.Status {
		case Contradicted:
			r.Proof, r.Wanted = p.against, nil
			out = append(out, cl.name)
		case Proven:
			proven = append(proven, cl.name)
			if !p.to.IsZero() && (c.provenTo.IsZero() || p.to.Before(c.provenTo)) {
				c.provenTo = p.to
			}
			a.Say(p.events, "%s is proven: %s.", capital(cl.name), have)
			a.Find(cl.key, p.events, "%s: %s", cl.name, have)
		case NotProven:
			if len(p.have) >= cl.parts {
				near = append(near, func() {
					a.Say(p.events, "%s is not proven: %s; what is wanted is %s.", capital(cl.name), have, strings.Join(p.wanted, "; "))
					remedy := ""
					if cl.live && c.Live == nil {
						remedy = "Ask AWS for its schedules: debut triage --live."
					}
					a.Unknown("whether it is explained by: "+cl.name, remedy)
				})
			}
		}
		c.Claims = append(c.Claims, r)
	}
	if len(proven) == 0 {
		for _, say := range near {
			say()
		}
		a.Say([]*Event{c.Event}, "None of %d harmless explanations is proven.", len(c.Claims))
	}
	if len(out) > 0 {
		a.Say([]*Event{c.Event}, "Ruled out: %s.", strings.Join(out, ", "))
	}
}

// agentDocuments are documents that agents of AWS's own run, with wildcards. Names like
// these are reserved for AWS, but who runs the document is not told by its name.
var agentDocuments = []string{ //nolint:gochecknoglobals // a constant table
	"AmazonInspector2-*", "AWSQuickSetup*", "AWS-QuickSetup*", "AmazonCloudWatch-ManageAgent", "AmazonGuardDuty-*", "AWS-UpdateSSMAgent",
	"AWS-GatherSoftwareInventory", "AWSEC2-*Vss*",
}

// knownAgent is proven by a role that only AWS can use, a known document and the address
// of a service, together.
func knownAgent(c *Case, _ *Asking, p *proof) {
	e := c.Event
	document := documentRun(e)
	if document == "" {
		p.ruleOut("the call runs no document")
		return
	}
	if enrich.AddressClass(e.Address) == enrich.AddressPublic {
		p.ruleOut("the call came from %s, not from a service", e.Address)
		return
	}
	known := !foreignName(c, document) && oneOf(slices.Concat(agentDocuments, c.Settings.Agents), documentOf(document))
	role := strings.Contains(e.Principal, ":role/aws-service-role/") || e.Type == "AWSService"
	service := enrich.AddressClass(e.Address) == enrich.AddressService
	if !known {
		p.want("a role of a service, the document of an agent that is known here, and the address of a service, together")
		return
	}
	p.has("the document "+shown(document)+" is one of a known agent", e)
	p.need(role, shortPrincipal(e.Principal)+" is used by AWS alone", "a role that AWS alone can use", e)
	p.need(service, "the call came from "+e.Address, "the address of a service", e)
}

// need takes one part of a proof: what there is, or what is wanted.
func (p *proof) need(ok bool, have, wanted string, events ...*Event) {
	if ok {
		p.has(have, events...)
		return
	}
	p.want("%s", wanted)
}

// maxDeployments is how many earlier calls of a pipeline are read.
const maxDeployments = 1000

// pipeline is proven by the identity of a repository behind the session, and by earlier
// deployments that were alike in all that can be compared.
func pipeline(c *Case, a *Asking, p *proof) {
	e := c.Event
	if e.Type != "AssumedRole" {
		p.ruleOut("the caller is no session of a role (%s)", cmp.Or(e.Type, "type not logged"))
		return
	}
	if e.byAWS() {
		p.ruleOut("an AWS service made the call")
		return
	}
	least := int(c.Weights.Number("deployments"))
	earlier := a.same(c.Base, maxDeployments)
	class := enrich.AgentClass(e.Agent)
	sessions := map[string]bool{}
	var alike []*Event
	for _, o := range earlier {
		k := c.agentKind(o.Agent)
		if o.Error != "" || k.Class != class.Class || k.Tool != class.Tool || network(o) != network(e) || documentFamily(documentRun(o)) != documentFamily(documentRun(e)) {
			continue
		}
		// The name of a session is chosen by the caller; when it began is not.
		began := o.Created
		if began.IsZero() {
			began = o.Time.Truncate(time.Hour)
		}
		if !sessions[began.String()] {
			sessions[began.String()] = true
			alike = append(alike, o)
		}
	}
	text := fmt.Sprintf("%s by this role with the same program, network and kind of document %s", amount(len(alike), "earlier deployment"), c.past())
	subject, from := deployer(c, a)
	if len(alike) == 0 && subject == "" {
		p.want("%d earlier deployments by this role with the same program, network and kind of document", least)
	} else {
		p.need(len(alike) >= least, text, fmt.Sprintf("%d earlier deployments with the same program, network and kind of document; there are %d", least, len(alike)), atMost(alike, least)...)
	}
	switch {
	case subject != "" && from == nil:
		p.want("that the provider which vouches for %s did so %s too: who makes a provider chooses its subjects", shown(subject), c.past())
	case subject != "":
		p.has("the session was opened for "+shown(subject)+", which is listed as deploying", from...)
	case len(c.Settings.Subjects) == 0:
		p.want("the identity of the repository: the subjects that deploy are not listed in the configuration")
	default:
		p.want("an OIDC subject that is listed as deploying, behind the session")
	}
}

// providerBefore returns an event of the baseline in which the same provider of
// identities opened a session of the alert's role for a listed subject. Who may make
// providers may give out any subject.
func (c *Case) providerBefore(a *Asking, opened []*Event) *Event {
	if len(opened) == 0 {
		return nil
	}
	provider := providerOf(opened[0])
	role := firstOf(opened[0].Request("roleArn"))
	if provider == "" || role == "" {
		return nil
	}
	const action = "AssumeRoleWithWebIdentity"
	list := a.Events(all(is("event.action", action), is("aws.cloudtrail.flattened.request_parameters.roleArn", role)),
		Span{c.since(c.Baseline.Org.Actions, "sts.amazonaws.com/"+action), c.Base.To}, maxDeployments)
	for _, o := range slices.Backward(list) {
		subject := cmp.Or(firstOf(o.Response("subjectFromWebIdentityToken")), o.UserName)
		if o.Error == "" && providerOf(o) == provider && oneOf(c.Settings.Subjects, subject) {
			return o
		}
	}
	return nil
}

// providerOf is the provider of identities that vouched for a caller, as AWS logs it.
func providerOf(e *Event) string {
	return cmp.Or(e.Value("aws.cloudtrail.user_identity.identity_provider"), firstOf(e.Response("provider")))
}

// deployer returns the listed OIDC subject that is behind the caller's session: AWS
// checked its token. The events are nil if its provider did not vouch for one here
// before. The chain of roles is T3's.
func deployer(c *Case, a *Asking) (subject string, from []*Event) {
	for _, l := range c.Chain {
		if l.Action != "AssumeRoleWithWebIdentity" && l.Type != "WebIdentityUser" {
			continue
		}
		for _, at := range l.Attributes {
			s, ok := strings.CutPrefix(at, OIDCSubject)
			if !ok || !oneOf(c.Settings.Subjects, s) || l.EventID == "" {
				continue
			}
			from = a.Events(is("event.id", l.EventID), Span{l.Time, l.Time.Add(1)}, 1)
			if before := c.providerBefore(a, from); before != nil {
				return s, append(from, before)
			}
			return s, nil
		}
	}
	return "", nil
}

// documentFamily is what documents are alike in: those that run any code are one, those
// of one purpose with several versions are one, others are their name.
func documentFamily(name string) string {
	switch name = documentOf(name); name {
	case "AWS-RunShellScript", "AWS-RunPowerShellScript":
		return "any code"
	case patchAssociation:
		return patchDocument
	}
	return name
}

// approvedChange is proven by a change on the list, inside its dates, that the comment
// names. A comment alone is a text like any other.
func approvedChange(c *Case, _ *Asking, p *proof) {
	e := c.Event
	comment := firstOf(e.Request("comment"))
	ticket := ticketIn(comment)
	for _, ch := range c.Settings.Changes {
		if ch.ID == "" || !hasToken(comment, ch.ID) {
			continue
		}
		ticket = ch.ID
		switch {
		case ch.Who == "" || ch.Who == e.Account:
			p.want("for which principal %s is approved: everybody can write its number in a comment", shown(ch.ID))
		case ch.Who != e.Principal:
			p.want("a change that is approved for this principal: %s is for %s", shown(ch.ID), shown(ch.Who))
		case e.Time.Before(ch.From) || !e.Time.Before(ch.To):
			p.want("a change that is approved for this time: %s is for %s to %s", shown(ch.ID), stamp(ch.From), stamp(ch.To))
		default:
			p.wanted, p.to = nil, ch.To
			p.has(fmt.Sprintf("the comment names the change %s, which is approved from %s to %s", shown(ch.ID), stamp(ch.From), stamp(ch.To)), e)
			return
		}
	}
	switch {
	case len(p.wanted) > 0:
	case ticket != "":
		p.want("a system of changes in which %s can be looked up: the comment alone is a text that the caller chose", shown(ticket))
	default:
		p.want("a reference to an approved change")
	}
}

// ticketIn returns the first word of a text that looks like the number of a ticket.
func ticketIn(s string) string {
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }) {
		head, tail, ok := strings.Cut(word, "-")
		if ok && head != "" && tail != "" && strings.ContainsFunc(head, unicode.IsLetter) && !strings.ContainsFunc(tail, func(r rune) bool { return !unicode.IsDigit(r) }) {
			return word
		}
	}
	return ""
}

// hasToken reports whether a text has a token with neither a letter nor a digit right
// before or behind it.
func hasToken(s, token string) bool {
	part := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for i := strings.Index(s, token); i >= 0; {
		before, after := []rune(s[:i]), []rune(s[i+len(token):])
		if (len(before) == 0 || !part(before[len(before)-1])) && (len(after) == 0 || !part(after[0])) {
			return true
		}
		next := strings.Index(s[i+1:], token)
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// personOnCall is proven by the rota, a known address and MFA, together.
func personOnCall(c *Case, _ *Asking, p *proof) {
	e := c.Event
	if e.byAWS() {
		p.ruleOut("an AWS service made the call")
		return
	}
	var on *Duty
	named := false
	for i := range c.Settings.Rota {
		d := &c.Settings.Rota[i]
		if e.Time.Before(d.From) || !e.Time.Before(d.To) {
			continue
		}
		switch {
		case c.isPerson(d.Who):
			on = d
		case d.Who != "" && d.Who == e.Session():
			named = true
		}
	}
	switch {
	case on != nil:
		p.to = on.To
		p.has(fmt.Sprintf("%s is on call from %s to %s", shown(shortPrincipal(on.Who)), stamp(on.From), stamp(on.To)), e)
	case named:
		p.want("who opened the session: its name is that of somebody on call, but the caller chose it")
	default:
		p.want("an entry of the rota for this principal at this time")
		return
	}
	p.need(inside(c.Settings.Networks, e.IP) && enrich.AddressClass(e.Address) == enrich.AddressPublic, e.Address+" is on the list of our own addresses", "an address that is on the list of our own", e)
	p.need(signedInWithMFA(e) == "true", "the session has MFA", "a session with MFA", e)
}

// isPerson reports whether somebody on the rota is behind the call: as the principal, as
// one in the chain of roles, or by the name of a session that Identity Center gave.
func (c *Case) isPerson(who string) bool {
	e := c.Event
	if who == "" {
		return false
	}
	return who == e.Principal || slices.ContainsFunc(c.Chain, func(l Link) bool { return l.Principal == who }) ||
		who == e.Session() && strings.Contains(e.Principal, ":role/aws-reserved/sso.amazonaws.com/")
}

// exercise is proven by the list of exercises: the account, or the id of a detonation,
// inside the dates. The name of a tool proves nothing.
func exercise(c *Case, _ *Asking, p *proof) {
	e := c.Event
	for _, x := range c.Settings.Exercises {
		shows := slices.IndexFunc(x.Marks, func(m string) bool {
			return m != "" && (strings.Contains(e.Agent, m) || strings.Contains(e.Session(), m))
		})
		account := slices.Contains(x.Accounts, e.Account) || slices.Contains(x.Accounts, e.Owner)
		if shows < 0 && !account {
			continue
		}
		name := shown(x.Name)
		switch {
		case e.Time.Before(x.From) || !e.Time.Before(x.To):
			if shows >= 0 {
				p.ruleOut("the exercise %s, whose mark it shows, is from %s to %s", name, stamp(x.From), stamp(x.To))
			}
		case len(x.Accounts) > 0 && !account:
			p.want("an account of the exercise %s", name)
		case len(x.Marks) > 0 && shows < 0:
			p.want("a mark of the exercise %s in the agent or the session", name)
		case !account && !isDetonation(x.Marks[shows]):
			p.want("the account or the id of a detonation of the exercise %s: %s may be written by anybody", name, shown(x.Marks[shows]))
		default:
			p.have, p.wanted, p.against, p.to = nil, nil, nil, x.To
			p.has(fmt.Sprintf("the exercise %s is from %s to %s", name, stamp(x.From), stamp(x.To)), e)
			if account {
				p.has("the account "+e.Account+" is on its list", e)
			}
			if shows >= 0 {
				p.has("the call shows its mark "+shown(x.Marks[shows]), e)
			}
			return
		}
	}
	if len(p.wanted) == 0 && len(p.against) == 0 {
		p.want("an exercise on the list, of this account or with an id that the call shows, at this time")
	}
}

// isDetonation reports whether a mark is the id of one detonation, which nobody guesses,
// rather than the name of a tool.
func isDetonation(mark string) bool {
	digits := 0
	for _, r := range mark {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	return len(mark) >= 8 && digits >= 4
}
