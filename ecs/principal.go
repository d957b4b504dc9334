package ecs

import "strings"

// Identity is what a stable principal is made of, from a record's userIdentity.
type Identity struct {
	Type, ARN, IssuerARN, Account, PrincipalID, OnBehalfOf, Provider, InvokedBy string
}

// Principal returns the stable principal: who acts, whatever the session. For a
// role it is the role, for a federated user the identity behind it
// (triage-and-response A.2). It is empty if the identity tells nothing.
func Principal(id Identity) string {
	switch id.Type {
	case "AssumedRole", "FederatedUser":
		if id.IssuerARN != "" {
			return id.IssuerARN
		}
		if role, ok := roleOfSession(id.ARN); ok {
			return role
		}
	case "Root":
		if id.ARN == "" && id.Account != "" {
			return "arn:aws:iam::" + id.Account + ":root"
		}
	case "IdentityCenterUser":
		if id.OnBehalfOf != "" {
			return id.OnBehalfOf
		}
	case "SAMLUser", "WebIdentityUser":
		if id.PrincipalID != "" {
			return join(id.Provider, id.PrincipalID)
		}
	case "AWSAccount":
		if id.Account != "" || id.PrincipalID != "" {
			return join(id.Account, id.PrincipalID)
		}
	case "AWSService":
		if id.InvokedBy != "" {
			return id.InvokedBy
		}
	}
	for _, s := range []string{id.ARN, id.OnBehalfOf, id.PrincipalID, id.InvokedBy, id.Account} {
		if s != "" {
			return s
		}
	}
	return ""
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "/" + b
}

// roleOfSession returns the role of an ARN of one of its sessions. The role's path
// is not in it.
func roleOfSession(arn string) (string, bool) {
	head, rest, ok := strings.Cut(arn, ":sts::")
	account, name, ok2 := strings.Cut(rest, ":assumed-role/")
	role, _, ok3 := strings.Cut(name, "/")
	if !ok || !ok2 || !ok3 {
		return "", false
	}
	return head + ":iam::" + account + ":role/" + role, true
}
