package triage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/enrich"
)

// Prefixes of a link's attributes.
const (
	SourceIdentity = "source identity "
	SAMLSubject    = "SAML subject "
	OIDCSubject    = "OIDC subject "
	PrincipalTag   = "tag "
)

// Fields that tell which credential a call handed out, and to which session.
const (
	issuedKey       = "aws.cloudtrail.flattened.response_elements.credentials.accessKeyId"
	issuedRole      = "aws.cloudtrail.flattened.response_elements.assumedRoleUser.assumedRoleId"
	issuedFederated = "aws.cloudtrail.flattened.response_elements.federatedUser.federatedUserId"
	switchedFrom    = "aws.cloudtrail.flattened.additional_eventdata.SwitchFrom"
	requestedRole   = "aws.cloudtrail.flattened.request_parameters.roleArn"
)

const maxIssued = 50

// A chain is how the caller came to the credential of the alert's event.
type chain struct {
	hops   []enrich.Hop
	links  []Link
	events []*Event // of the hops: that which handed out the credential, nil for none
	copies []*Event // of their records in the account of the role
}

// follow finds the chain of the alert's event.
func (c *Case) follow(a *Asking) chain {
	known := map[string]*Event{c.Event.ID: c.Event}
	find := func(w enrich.Wanted) (calls []*enrich.Call) {
		q := cmp.Or(is(issuedKey, w.Key), is("aws.cloudtrail.shared_event_id", w.Shared))
		if w.Session != "" {
			q = strings.Join([]string{
				is(issuedRole, w.Session), is(issuedFederated, w.Session),
				"(" + all(is("event.action", "SwitchRole", "ConsoleLogin"), is("user.id", w.Session)) + ")",
			}, " or ")
		}
		for _, e := range a.Events(q, Span{w.From, w.To}, maxIssued) {
			known[e.ID] = e
			calls = append(calls, e.call())
		}
		return calls
	}
	w := c.Weights
	limits := enrich.ChainLimits{Depth: int(w.Number("chain_depth")), Within: w.Duration("chain_within"), Oldest: w.Duration("case_before")}
	ch := chain{hops: enrich.Chain(c.Event.call(), limits, find)}
	for i, h := range ch.hops {
		l := Link{
			Principal: h.Principal, Type: h.Type, Credential: h.Credential, Session: sessionName(h.Call), Account: h.Account, Address: h.Address,
			Attributes: h.Attributes, Broken: h.Broken,
		}
		var copied *Event
		if h.Copy != nil {
			copied = known[h.Copy.ID]
			l.Attributes = unique(append(slices.Clone(l.Attributes), h.Copy.Attributes...))
		}
		event := known[h.ID]
		if i > 0 {
			l.Time, l.EventID, l.Action = h.Time, h.ID, h.Action
		}
		ch.links, ch.events, ch.copies = append(ch.links, l), append(ch.events, event), append(ch.copies, copied)
	}
	return ch
}

// all returns every event that the chain rests on.
func (ch *chain) all() (list []*Event) {
	for _, e := range slices.Concat(ch.events, ch.copies) {
		if e != nil {
			list = append(list, e)
		}
	}
	return list
}

// hop reports whether the i-th link took the role of the one before it. A service that
// gives a role to an instance or a function is no hop, nor are other credentials for the
// same principal.
func (ch *chain) hop(i int) bool {
	return i > 0 && ch.links[i].Type != "AWSService" && ch.links[i-1].Type == "AssumedRole" && ch.links[i].Principal != ch.links[i-1].Principal
}

// name is what a reader knows the i-th link by: of a person or pipeline that signed in
// elsewhere the name it has there.
func (ch *chain) name(i int) string {
	l := ch.links[i]
	if e := ch.events[i]; e != nil && e.UserName != "" && (l.Type == "SAMLUser" || l.Type == "WebIdentityUser") {
		return cut(e.UserName, maxAttribute)
	}
	return shortPrincipal(l.Principal)
}

func sessionName(c *enrich.Call) string {
	if _, name, ok := strings.Cut(c.Session, ":"); ok {
		return name
	}
	return ""
}

// call is an event as far as a chain of credentials needs it.
func (e *Event) call() *enrich.Call {
	c := &enrich.Call{
		ID: e.ID, Time: e.Time, Action: e.Action, Failed: e.Error != "" || e.Value("event.outcome") == "failure", Shared: e.SharedID,
		Principal: e.Principal, Type: e.Type, Account: e.Account, Session: e.UserID, Credential: e.Credential, Created: e.Created,
		Address: e.Address, Attributes: e.attributes(),
		Issued: e.Value(issuedKey), IssuedTo: cmp.Or(e.Value(issuedRole), e.Value(issuedFederated)),
	}
	if e.Action == "SwitchRole" {
		c.SwitchedFrom = e.Value(switchedFrom)
	}
	return c
}

const (
	maxTags      = 20
	maxAttribute = 200 // runes
)

// attributes are what a session carries along: who it is for elsewhere.
func (e *Event) attributes() (list []string) {
	add := func(prefix string, values ...string) {
		for _, v := range values {
			if v != "" {
				list = append(list, prefix+cut(v, maxAttribute))
			}
		}
	}
	add(SourceIdentity, e.Value("aws.cloudtrail.user_identity.session_context.source_identity"))
	add(SourceIdentity, e.Request("sourceIdentity")...)
	switch e.Action {
	case "AssumeRoleWithSAML":
		add(SAMLSubject, e.Response("subject")...)
	case "AssumeRoleWithWebIdentity":
		add(OIDCSubject, e.Response("subjectFromWebIdentityToken")...)
	}
	if e.Type == "WebIdentityUser" {
		add(OIDCSubject, e.UserName)
	}
	var tags []string
	if m, ok := e.RequestTree("principalTags").(map[string]any); ok {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			tags = append(tags, fmt.Sprint(k, "=", m[k]))
		}
	}
	if l, ok := e.RequestTree("tags").([]any); ok && e.Service() == "sts" {
		for _, v := range l {
			if m, ok := v.(map[string]any); ok {
				tags = append(tags, fmt.Sprint(m["key"], "=", m["value"]))
			}
		}
	}
	add(PrincipalTag, atMost(tags, maxTags)...)
	return unique(list)
}
