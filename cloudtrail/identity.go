package cloudtrail

import (
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// part is a member of userIdentity that the mapping reads, or of an object in it.
type part uint8

// The parts, those of one object together.
const (
	idType part = iota
	idPrincipalID
	idARN
	idAccountID
	idAccessKeyID
	idUserName
	idSessionContext
	idInvokedBy
	idIdentityProvider
	idOnBehalfOf
	idCredentialID
	idInScopeOf
	idInvokedByDelegate

	idSessionIssuer
	idWebIDFederationData
	idAttributes
	idSourceIdentity
	idEC2RoleDelivery
	idAssumedRoot
	idSignInSessionARN

	idMFAAuthenticated
	idCreationDate

	idIssuerType
	idIssuerPrincipalID
	idIssuerARN
	idIssuerAccountID
	idIssuerUserName

	idFederatedProvider
	idFederationAttributes

	idOnBehalfOfUserID
	idIdentityStoreARN

	idIssuerTypeOfScope
	idCredentialsIssuedTo
	idSourceARN
	idSourceAccount

	idDelegateAccountID
	numParts
)

// partNames is indexed by part, in the order in which CloudTrail writes them.
//
//nolint:gochecknoglobals // a constant table
var partNames = [numParts]string{
	"type", "principalId", "arn", "accountId", "accessKeyId", "userName", "sessionContext", "invokedBy",
	"identityProvider", "onBehalfOf", "credentialId", "inScopeOf", "invokedByDelegate",
	"sessionIssuer", "webIdFederationData", "attributes", "sourceIdentity", "ec2RoleDelivery", "assumedRoot", "signInSessionArn",
	"mfaAuthenticated", "creationDate",
	"type", "principalId", "arn", "accountId", "userName",
	"federatedProvider", "attributes",
	"userId", "identityStoreArn",
	"issuerType", "credentialsIssuedTo", "sourceArn", "sourceAccount",
	"accountId",
}

// numObjects is how many objects hold parts: userIdentity and those in it.
const numObjects = 8

// identityObjects says where each object is, and which parts are its members.
//
//nolint:gochecknoglobals // a constant table
var identityObjects = [numObjects]struct{ holder, from, to part }{
	{numParts, idType, idSessionIssuer}, // userIdentity itself
	{idSessionContext, idSessionIssuer, idMFAAuthenticated},
	{idAttributes, idMFAAuthenticated, idIssuerType},
	{idSessionIssuer, idIssuerType, idFederatedProvider},
	{idWebIDFederationData, idFederatedProvider, idOnBehalfOfUserID},
	{idOnBehalfOf, idOnBehalfOfUserID, idIssuerTypeOfScope},
	{idInScopeOf, idIssuerTypeOfScope, idDelegateAccountID},
	{idInvokedByDelegate, idDelegateAccountID, numParts},
}

// objectOf is indexed by part.
//
//nolint:gochecknoglobals // a constant table
var objectOf = func() (of [numParts]uint8) {
	for o, object := range identityObjects {
		for p := object.from; p < object.to; p++ {
			of[p] = uint8(o)
		}
	}
	return of
}()

// partAt returns the part that a path of names below userIdentity leads to.
func partAt(path []string) (part, bool) {
	object := 0
	for depth, name := range path {
		found := numParts
		for p := identityObjects[object].from; p < identityObjects[object].to; p++ {
			if partNames[p] == name {
				found = p
			}
		}
		if found == numParts || depth == len(path)-1 {
			return found, found < numParts
		}
		object = 0
		for o := range identityObjects {
			if identityObjects[o].holder == found {
				object = o
			}
		}
		if object == 0 {
			return 0, false
		}
	}
	return 0, false
}

// identity holds where the parts of a record's userIdentity are. Each object is
// passed over once at most, and no further than to the part that was asked for.
type identity struct {
	parts   [numParts][]byte
	objects [numObjects]struct {
		gen    uint32
		next   part // the one that probably comes next: members mostly come in our order
		cursor rawjson.Cursor
	}
}

// part returns the raw value of a part, nil if it is absent.
func (e *Event) part(p part) []byte {
	o := &e.identity.objects[objectOf[p]]
	if o.gen != e.gen {
		e.enter(objectOf[p])
	}
	for e.identity.parts[p] == nil && o.cursor.Next() {
		e.note(objectOf[p], o.cursor.Name(), o.cursor.Value())
	}
	return e.identity.parts[p]
}

// enter begins to pass over an object.
func (e *Event) enter(index uint8) {
	object := &identityObjects[index]
	clear(e.identity.parts[object.from:object.to])
	raw := e.rec.Value(UserIdentity)
	if object.holder < numParts {
		raw = e.part(object.holder)
	}
	if kind(raw) != '{' {
		raw = nil
	}
	o := &e.identity.objects[index]
	o.gen, o.next, o.cursor = e.gen, object.from, rawjson.Walk(raw)
}

// note keeps the value of a member if it is a part and the first of its name.
func (e *Event) note(index uint8, rawName, value []byte) {
	object, o := &identityObjects[index], &e.identity.objects[index]
	name := rawjson.String(rawName)
	for range object.to - object.from {
		p := o.next
		if o.next++; o.next == object.to {
			o.next = object.from
		}
		if partNames[p] == name {
			if e.identity.parts[p] == nil {
				e.identity.parts[p] = value
			}
			return
		}
	}
}

// id returns the first text of a part.
func (e *Event) id(p part) string { return e.first(e.part(p)) }

// actor is what the mapping decides by when it names who acts.
type actor struct {
	kind      string // userIdentity.type
	arn       string
	issuerARN string
	invokedBy string
}

func (e *Event) actor() actor {
	a := actor{kind: e.id(idType), arn: e.id(idARN)}
	switch a.kind {
	case "AssumedRole":
		a.issuerARN, a.invokedBy = e.id(idIssuerARN), e.id(idInvokedBy)
	case "AWSService":
		a.invokedBy = e.id(idInvokedBy)
	}
	return a
}

// service returns the name of the AWS service that acts, "" if it is none: such an
// actor has no user.name and no user.id.
func (a actor) service() string {
	switch a.kind {
	case "AWSService":
		return a.invokedBy
	case "AssumedRole":
		_, role, linked := strings.Cut(a.issuerARN, serviceRolePath)
		if !linked {
			return ""
		}
		if a.invokedBy != "" {
			return a.invokedBy
		}
		name, _, _ := strings.Cut(role, "/")
		return name
	}
	return ""
}

// serviceRolePath is in the ARN of every service-linked role, before the service.
const serviceRolePath = ":role/aws-service-role/"

// session returns the name of the session, which for people is often their address;
// "" if there is none.
func (a actor) session() string {
	switch a.kind {
	case "AssumedRole", "FederatedUser", "IdentityCenterUser":
		if i := strings.LastIndexByte(a.arn, '/'); i >= 0 && strings.Contains(a.arn, ":sts:") {
			return a.arn[i+1:]
		}
	}
	return ""
}

// issued reports whether user.name is the session issuer's, where it has one.
func (a actor) issued() bool { return a.kind == "AssumedRole" || a.kind == "FederatedUser" }

// userName appends user.name: of a role its own name, never the session's.
func (e *Event) userName(dst []string) []string {
	start := len(dst)
	if a := e.actor(); a.service() == "" {
		if a.issued() {
			dst = e.scalars(dst, e.part(idIssuerUserName))
		}
		if len(dst) == start {
			dst = e.scalars(dst, e.part(idUserName))
		}
	}
	if len(dst) == start && e.first(e.rec.Value(EventName)) == userAuthentication {
		dst = e.scalars(dst, rawjson.Get(e.rec.Value(AdditionalEventData), "UserName"))
	}
	return dst
}

// userAuthentication is the one event whose user is in additionalEventData, from
// where it is moved to user.name.
const userAuthentication = "UserAuthentication"

// movedUserName reports whether additionalEventData.UserName became user.name.
func (e *Event) movedUserName() bool {
	if e.first(e.rec.Value(EventName)) != userAuthentication {
		return false
	}
	if a := e.actor(); a.service() != "" {
		return true
	} else if a.issued() && e.id(idIssuerUserName) != "" {
		return false
	}
	return e.id(idUserName) == ""
}

func (e *Event) userID(dst []string) []string {
	start := len(dst)
	a := e.actor()
	if a.service() == "" {
		dst = e.scalars(dst, e.part(idPrincipalID))
	}
	if len(dst) == start && a.kind == "IdentityCenterUser" {
		dst = e.scalars(dst, e.part(idOnBehalfOfUserID))
	}
	return dst
}

func (e *Event) userEmail(dst []string) []string {
	if s := e.actor().session(); strings.Contains(s, "@") {
		return append(dst, s)
	}
	var space [1]string
	if name := first(e.userName(space[:0])); strings.Index(name, "@") > 0 {
		return append(dst, name)
	}
	return dst
}

// cloudAccount appends cloud.account.id: the caller's account, not the owner's of
// what was called.
func (e *Event) cloudAccount(dst []string) []string {
	start := len(dst)
	dst = e.scalars(dst, e.part(idAccountID))
	if len(dst) == start {
		dst = e.scalars(dst, e.rec.Value(RecipientAccountID))
	}
	return dst
}

// principal appends debut.principal.
func (e *Event) principal(dst []string) []string {
	var accounts, ids [1]string
	a := e.actor()
	p := ecs.Principal(ecs.Identity{
		Type: a.kind, ARN: a.arn, IssuerARN: e.id(idIssuerARN),
		Account: first(e.cloudAccount(accounts[:0])), PrincipalID: first(e.userID(ids[:0])),
		OnBehalfOf: e.id(idOnBehalfOfUserID), Provider: e.id(idIdentityProvider), InvokedBy: e.id(idInvokedBy),
	})
	if p == "" {
		return dst
	}
	return append(dst, p)
}
