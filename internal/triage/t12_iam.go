package triage

import (
	"fmt"
	"slices"
	"strings"
)

// identities is T12: were rights given, credentials made, or roles taken?
func identities() *Step {
	return &Step{
		ID: "T12", Weight: 1,
		Question: "Were rights given, credentials made or secrets read around the event?",
		Run:      runIdentities,
	}
}

func runIdentities(c *Case, a *Asking) {
	near := a.nearby()
	var done, denied []*Event
	n := 0
	for _, d := range rightsDeeds() {
		list, failed := d.pick(c, near)
		if len(list) > 0 {
			n++
			a.Say(list, "%s. %s", c.deed(list), d.why)
			done = append(done, list...)
		}
		if len(failed) > 0 {
			n++
			a.failed(failed)
			denied = append(denied, keep(failed, (*Event).Denied)...)
		}
	}
	a.rights("persistence", done)
	a.rights("denied", denied)
	n += a.tell(credentialDeeds(), near)
	n += a.roles(near)
	n += a.secrets(near)
	if n == 0 {
		a.nothing("No administrator was made, no credentials created and no secrets read")
	}
}

// rights finds a weight once for each kind of action.
func (a *Asking) rights(key string, events []*Event) {
	if len(events) == 0 {
		return
	}
	slices.SortStableFunc(events, compareEvents)
	kinds := len(onePerAction(events))
	a.FindTimes(key, kinds, events, "%s", a.c.fact(events))
}

// rightsDeeds give rights or make credentials that stay.
func rightsDeeds() []deed {
	iam := []string{"iam"}
	return []deed{
		{"", iam, []string{"CreateUser"}, "A new user stays when a session ends.", nil, true},
		{"", iam, []string{"CreateAccessKey", "CreateServiceSpecificCredential", "UploadSSHPublicKey", "UploadSigningCertificate"}, "A new credential stays when a session ends.", nil, true},
		{"", iam, []string{"CreateLoginProfile", "UpdateLoginProfile"}, "A new password opens the console.", nil, true},
		{"", iam, []string{"AttachUserPolicy", "AttachRolePolicy", "AttachGroupPolicy", "PutUserPolicy", "PutRolePolicy", "PutGroupPolicy"}, "The policy makes an administrator.", givesAdmin, true},
		{"", iam, []string{"CreatePolicyVersion", "SetDefaultPolicyVersion"}, "What an existing policy allows was changed.", func(_ *Case, e *Event) bool {
			return e.Action == "SetDefaultPolicyVersion" || slices.Contains(e.Request("setAsDefault"), "true")
		}, true},
		{"", iam, []string{"AddUserToGroup"}, "A user got the rights of a group.", nil, true},
		{"", iam, []string{"UpdateAssumeRolePolicy"}, "Who may take the role was changed.", func(c *Case, e *Event) bool { return len(c.trusted(e, "policyDocument")) == 0 }, true},
		{"", iam, []string{"UpdateAssumeRolePolicy"}, "Somebody outside the organisation may take the role.", func(c *Case, e *Event) bool { return len(c.trusted(e, "policyDocument")) > 0 }, true},
		{"", iam, []string{"CreateRole"}, "Somebody outside the organisation may take the new role.", func(c *Case, e *Event) bool { return len(c.trusted(e, "assumeRolePolicyDocument")) > 0 }, true},
		{"", iam, []string{"CreateSAMLProvider", "UpdateSAMLProvider", "CreateOpenIDConnectProvider", "AddClientIDToOpenIDConnectProvider"}, "Whoever runs the provider can sign in.", nil, true},
		{"", []string{"rolesanywhere"}, []string{"CreateTrustAnchor", "CreateProfile"}, "Whoever has a certificate of the authority gets credentials.", nil, true},
		{"", iam, []string{"DeactivateMFADevice", "DeleteVirtualMFADevice"}, "A second factor is no longer asked for.", nil, true},
		{"", iam, []string{"AddRoleToInstanceProfile"}, "Instances with the profile get the rights of the role.", nil, true},
		{"", []string{"ec2", "lambda", "ecs", "glue", "sagemaker", "cloudformation", "codebuild"}, []string{"RunInstances", "CreateFunction*", "RunTask", "CreateDevEndpoint", "CreateNotebookInstance", "CreateStack", "CreateProject"}, "New compute got a role, from a principal that had not started any in the weeks before.", passesRole, true},
	}
}

// givesAdmin reports whether a policy that was attached or written gives everything.
func givesAdmin(_ *Case, e *Event) bool {
	arn := firstOf(e.Request("policyArn"))
	for _, name := range [...]string{"AdministratorAccess", "IAMFullAccess", "PowerUserAccess"} {
		if strings.HasPrefix(arn, "arn:") && strings.HasSuffix(arn, ":iam::aws:policy/"+name) {
			return true
		}
	}
	p, ok := policyOf(e.RequestTree("policyDocument"))
	return ok && p.admin()
}

// trusted are those outside the organisation whom a trust policy lets in.
func (c *Case) trusted(e *Event, name string) []string {
	p, _ := policyOf(e.RequestTree(name))
	return c.outsiders(p)
}

// passesRole reports whether new compute is given a role by a principal that did not do
// so in the weeks before. Where they are not covered nobody knows.
func passesRole(c *Case, e *Event) bool {
	if c.Cold || e.Principal != c.Event.Principal || c.usual(e) {
		return false
	}
	for _, path := range [...]string{
		"iamInstanceProfile.name", "iamInstanceProfile.arn", "role", "roleArn", "roleARN", "serviceRole", "overrides.taskRoleArn", "overrides.executionRoleArn",
	} {
		if len(e.Request(path)) > 0 {
			return true
		}
	}
	return false
}

// credentialDeeds make temporary credentials, or matter and have no weight.
func credentialDeeds() []deed {
	return []deed{
		{"session-token", []string{"sts"}, []string{"GetSessionToken", "GetFederationToken"}, "The new credentials outlive a key that is disabled.", nil, true},
		{"", []string{"lambda"}, []string{"AddPermission*"}, "Somebody outside the organisation may call the function.", func(c *Case, e *Event) bool {
			who := firstOf(e.Request("principal"))
			account := accountIn(who)
			return who == "*" || account != "" && !c.Ours(account)
		}, true},
		{"", []string{"lambda"}, []string{"UpdateFunctionCode*", "UpdateFunctionConfiguration*"}, "What runs with the role of the function was changed.", nil, true},
		{"", []string{"organizations"}, []string{"CreateAccount", "InviteAccountToOrganization", "CreatePolicy", "UpdatePolicy", "RegisterDelegatedAdministrator"}, "The organisation itself was changed.", nil, true},
		{"", []string{"kms"}, []string{"CreateGrant", "PutKeyPolicy"}, "Who may use a key was changed.", nil, true},
	}
}

// roles says who it was asked, and which roles were taken.
func (a *Asking) roles(near []*Event) (n int) {
	c := a.c
	who := keep(c.byPrincipal(near), func(e *Event) bool { return e.Is("sts", "GetCallerIdentity") })
	if len(who) > 0 {
		n++
		const action = "sts.amazonaws.com/GetCallerIdentity"
		if seen := c.Baseline.Own.Actions[action]; seen != nil {
			a.Say(who, "%s; in the weeks before %s too.", c.deed(who), times(int(seen.Count)))
		} else {
			a.Say(who, "%s. Who asks who it is does not know its credentials yet; this principal had not asked in the history that is stored.", c.deed(who))
			a.Find("who-am-i", who, "asked who it is, not seen before: %s", c.fact(who))
		}
	}
	taken := keep(near, func(e *Event) bool {
		return e.Service() == "sts" && strings.HasPrefix(e.Action, "AssumeRole") && c.Tie(e) != TieAddress
	})
	if len(taken) > 0 {
		n++
		roles := len(parametersOf(taken, "roleArn"))
		outcome := ""
		if _, bad := split(taken); len(bad) > 0 {
			outcome = fmt.Sprintf("; %d of %d calls failed (%s)", len(bad), len(taken), fewOf(errorsOf(bad), 3))
		}
		a.Say(taken, "%s: %s%s.", c.deed(taken), amount(roles, "different role"), outcome)
		if float64(roles) >= c.Weights.Number("assume_fanout") {
			a.Find("fan-out", taken, "%s were assumed or tried: %s", amount(roles, "role"), c.fact(taken))
		}
	}
	return n
}

// secrets says which secrets of Secrets Manager were read. A batch that is chosen by a
// filter counts as many: which they are is not logged.
func (a *Asking) secrets(near []*Event) (n int) {
	c := a.c
	read := keep(c.byPrincipal(near), func(e *Event) bool { return e.Is("secretsmanager", "GetSecretValue", "BatchGetSecretValue") })
	done, failed := split(read)
	if len(done) > 0 {
		n++
		names := parametersOf(done, "secretId", "secretIdList")
		old := a.before(c.Event.Principal, all(is("event.provider", "secretsmanager.amazonaws.com")), []string{"secretId", "secretIdList"}, names)
		fresh := 0
		for _, name := range names {
			if !old[name] {
				fresh++
			}
		}
		batches := keep(done, func(e *Event) bool {
			return e.Action == "BatchGetSecretValue" && len(e.Request("secretIdList")) == 0 && !c.usual(e)
		})
		const unread = "that this principal had not read in the history that is stored"
		if len(names) > 0 {
			a.Say(done, "%s. Secrets were read: %d, of them %d %s.", c.deed(done), len(names), fresh, unread)
		} else {
			a.Say(done, "%s. Secrets were read; which, the log does not tell.", c.deed(done))
		}
		switch {
		case fresh >= int(c.Weights.Number("secrets_new")):
			a.Find("secrets", done, "%d secrets were read %s: %s", fresh, unread, c.fact(done))
		case len(batches) > 0:
			a.Find("secrets", batches, "secrets were read by a filter, as this principal had not done in the history that is stored: %s", c.fact(batches))
		}
	}
	if len(failed) > 0 {
		n++
		a.failed(failed)
	}
	changed := keep(near, func(e *Event) bool {
		return e.Is("secretsmanager", "DeleteSecret", "PutResourcePolicy") && e.Error == ""
	})
	if len(changed) > 0 {
		n++
		a.Say(changed, "%s. Secrets were removed, or opened to others.", c.deed(changed))
	}
	return n
}
