package triage

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// compute is T13: what was done to instances and networks?
func compute() *Step {
	return &Step{
		ID: "T13", Weight: 1,
		Question: "Were ports, disks or ways into instances opened, or instances started or stopped, around the event?",
		Run:      runCompute,
	}
}

func runCompute(_ *Case, a *Asking) {
	near := a.nearby()
	n := a.tell(computeDeeds(), near)
	n += a.launches(near)
	if n == 0 {
		a.nothing("Nothing that matters was done to instances, disks or ports")
	}
}

// computeDeeds are the deeds of T13.
func computeDeeds() []deed {
	ec2 := []string{"ec2"}
	atTarget := func(yes bool) func(*Case, *Event) bool {
		return func(c *Case, e *Event) bool { return c.atTarget(e) == yes }
	}
	return []deed{
		{"ingress", ec2, []string{"AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules"}, "Anybody on the internet reaches the port.", opensWorld, true},
		{"ingress", ec2, []string{"AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules"}, "An administrator's port is open to public addresses.", func(c *Case, e *Event) bool { return !opensWorld(c, e) && opensAdmin(e) }, true},
		{"user-data", ec2, []string{"ModifyInstanceAttribute"}, "It runs as root at the next start.", func(_ *Case, e *Event) bool { return hasMember(e, "userData") }, true},
		{"profile", ec2, []string{"AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation"}, "What runs on the target has other rights now.", atTarget(true), true},
		{"", ec2, []string{"AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation"}, "What runs on the instance has other rights now; it is no target of the event.", atTarget(false), true},
		{"shared-disk", ec2, []string{"ModifySnapshotAttribute", "ModifyImageAttribute"}, "Somebody outside the organisation can copy it.", sharesDisk, true},
		{"", []string{"rds"}, []string{"ModifyDBSnapshotAttribute", "ModifyDBClusterSnapshotAttribute"}, "Somebody outside the organisation can restore the database.", sharesDatabase, true},
		{"instance-access", []string{"ec2", "ec2-instance-connect"}, []string{"GetPasswordData", "SendSSHPublicKey", "SendSerialConsoleSSHPublicKey", "GetConsoleScreenshot"}, "It is a way into an instance that needs no key of it.", nil, true},
		{"stopped", ec2, []string{"StopInstances", "TerminateInstances"}, "What was on the targets can no longer be looked into, or only on their disks.", atTarget(true), true},
		{"", ec2, []string{"StopInstances", "TerminateInstances"}, "They are no targets of the event, as far as it names them.", atTarget(false), true},
		{"metadata", ec2, []string{"ModifyInstanceMetadataOptions", "ModifyInstanceMetadataDefaults"}, "A single request to the instance is then enough to take its credentials.", optionalTokens, true},
		{"", ec2, []string{"GetConsoleOutput", "EnableSerialConsoleAccess", "CreateInstanceConnectEndpoint", "CreateReplaceRootVolumeTask", "ImportKeyPair", "CreateKeyPair"}, "It can be a way into instances.", nil, false},
	}
}

// atTarget reports whether an event is about one of the instances of the alert's event.
func (c *Case) atTarget(e *Event) bool {
	targets := c.Event.Instances()
	list := slices.Concat(
		e.Instances(), e.Request("AssociateIamInstanceProfileRequest.InstanceId"),
		e.Response("AssociateIamInstanceProfileResponse.iamInstanceProfileAssociation.instanceId"),
		e.Response("ReplaceIamInstanceProfileAssociationResponse.iamInstanceProfileAssociation.instanceId"),
		e.Response("iamInstanceProfileAssociation.instanceId"),
	)
	return slices.ContainsFunc(list, func(id string) bool { return slices.Contains(targets, id) })
}

func hasMember(e *Event, name string) bool { return e.RequestTree(name) != nil }

// A rule lets a range of addresses reach a range of ports.
type opening struct {
	from   netip.Prefix
	lo, hi int
}

// openings are what a request opens, in its older and its newer form.
func openings(e *Event) (list []opening) {
	rule := func(m map[string]any, cidrs []string) {
		lo, hi := portOf(m, "fromPort", "FromPort"), portOf(m, "toPort", "ToPort")
		if p := firstOf(textsOf(pickMember(m, "ipProtocol", "IpProtocol"))); p == "-1" || p == "" && lo < 0 {
			lo, hi = 0, 65535
		}
		for _, s := range cidrs {
			if p, err := netip.ParsePrefix(s); err == nil {
				list = append(list, opening{p.Masked(), lo, hi})
			}
		}
	}
	flat := map[string]any{}
	for _, name := range []string{"fromPort", "toPort", "ipProtocol"} {
		flat[name] = e.RequestTree(name)
	}
	rule(flat, slices.Concat(e.Request("cidrIp"), e.Request("cidrIpv6")))
	for _, name := range []string{"ipPermissions", "ModifySecurityGroupRulesRequest"} {
		eachMap(e.RequestTree(name), func(m map[string]any) {
			cidrs := slices.Concat(
				membersOf(m["ipRanges"], "cidrIp"), membersOf(m["ipv6Ranges"], "cidrIpv6"),
				textsOf(m["CidrIpv4"]), textsOf(m["CidrIpv6"]),
			)
			if len(cidrs) > 0 {
				rule(m, cidrs)
			}
		})
	}
	return list
}

// eachMap visits every object of a tree.
func eachMap(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			eachMap(e, f)
		}
	case map[string]any:
		f(v)
		for _, e := range v {
			eachMap(e, f)
		}
	}
}

// membersOf are the texts of a member of the objects of a tree.
func membersOf(v any, name string) (list []string) {
	eachMap(v, func(m map[string]any) { list = append(list, textsOf(m[name])...) })
	slices.Sort(list)
	return list
}

func pickMember(m map[string]any, names ...string) any {
	for _, n := range names {
		if v := m[n]; v != nil {
			return v
		}
	}
	return nil
}

// portOf returns a port, or -1.
func portOf(m map[string]any, names ...string) int {
	for _, s := range textsOf(pickMember(m, names...)) {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	}
	return -1
}

func opensWorld(_ *Case, e *Event) bool {
	return slices.ContainsFunc(openings(e), func(o opening) bool { return o.from.Bits() == 0 })
}

// adminPorts are SSH, RDP, WinRM, SMB, Telnet, VNC and the Docker and Kubernetes APIs.
var adminPorts = []int{22, 23, 445, 2375, 2376, 3389, 5900, 5985, 5986, 6443, 10250} //nolint:gochecknoglobals // a constant table

func opensAdmin(e *Event) bool {
	return slices.ContainsFunc(openings(e), func(o opening) bool {
		return !o.from.Addr().IsPrivate() && slices.ContainsFunc(adminPorts, func(p int) bool { return o.lo <= p && p <= o.hi })
	})
}

// sharesDisk reports whether a snapshot or image is shared with everybody or with an
// account that is not the organisation's.
func sharesDisk(c *Case, e *Event) bool {
	for _, name := range []string{"createVolumePermission", "launchPermission"} {
		if slices.Contains(e.Request(name+".add.items.group"), "all") ||
			slices.ContainsFunc(e.Request(name+".add.items.userId"), func(s string) bool { return !c.Ours(s) }) ||
			len(e.Request(name+".add.items.organizationArn")) > 0 {
			return true
		}
	}
	return false
}

func sharesDatabase(c *Case, e *Event) bool {
	return slices.ContainsFunc(e.Request("valuesToAdd"), func(s string) bool { return s == "all" || isAccount(s) && !c.Ours(s) })
}

func optionalTokens(_ *Case, e *Event) bool {
	for _, path := range []string{
		"ModifyInstanceMetadataOptionsRequest.HttpTokens", "ModifyInstanceMetadataDefaultsRequest.HttpTokens", "httpTokens",
	} {
		if slices.Contains(e.Request(path), "optional") {
			return true
		}
	}
	return false
}

// launches says which instances were started, in a region where there were none, or
// large ones, several at once.
func (a *Asking) launches(near []*Event) (n int) {
	c := a.c
	all := keep(near, func(e *Event) bool { return e.Is("ec2", "RunInstances", "RequestSpotInstances", "CreateFleet") })
	fresh := keep(all, func(e *Event) bool {
		return !c.Cold && e.Account == c.Event.Account && c.Baseline.Regions[e.Region] == 0
	})
	large := keep(all, isLarge)
	count := 0
	for _, e := range large {
		count += wanted(e)
	}
	enough := float64(count) >= c.Weights.Number("burst_instances")
	for _, list := range []struct {
		events []*Event
		counts bool
		why    string
	}{
		{fresh, true, "The account did nothing in this region in the weeks before"},
		{large, enough, amount(count, "large or GPU instance") + " asked for: such are dear, and good for mining"},
	} {
		done, bad := split(list.events)
		if len(done) > 0 {
			n++
			a.Say(done, "%s, %s. %s.", c.deed(done), kindsOf(done), list.why)
			if list.counts {
				a.Find("instances", done, "%s, %s", c.fact(done), kindsOf(done))
			}
		}
		if len(bad) > 0 {
			n++
			a.Say(bad, "%s, %s, without success (%s). %s.", c.deed(bad), kindsOf(bad), fewOf(errorsOf(bad), 3), list.why)
		}
	}
	if rest, _ := split(without(without(all, fresh), large)); len(rest) > 0 {
		n++
		why := "The types are ordinary and the region was in use."
		if c.Cold {
			why = "The types are ordinary; whether the region was in use before is not known."
		}
		a.Say(rest, "%s, %s. %s", c.deed(rest), kindsOf(rest), why)
	}
	return n
}

// kindsOf names the types and regions of instances that were asked for.
func kindsOf(events []*Event) string {
	types, regions := make([]string, len(events)), make([]string, len(events))
	for i, e := range events {
		types[i], regions[i] = firstOf(e.Request("instanceType")), e.Region
	}
	text := "in " + fewOf(unique(regions), 3)
	if types = unique(types); len(types) > 0 {
		text = "type " + fewOf(types, 3) + " " + text
	}
	return text
}

// isLarge reports whether instances have a GPU or another accelerator, or are the
// largest of their kind.
func isLarge(e *Event) bool {
	kind, size, _ := strings.Cut(firstOf(e.Request("instanceType")), ".")
	family := strings.TrimRight(kind, "abcdefghijklmnopqrstuvwxyz-")
	family = strings.TrimRight(family, "0123456789")
	if slices.Contains([]string{"p", "g", "gr", "inf", "trn", "dl", "f", "vt", "u"}, family) {
		return true
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, "xlarge"))
	return strings.HasPrefix(size, "metal") || err == nil && strings.HasSuffix(size, "xlarge") && n >= 12
}

// wanted is for how many instances a call asked, at most.
func wanted(e *Event) int {
	for _, s := range e.Request("instancesSet.items.maxCount") {
		if n, err := strconv.Atoi(s); err == nil && n > 0 {
			return min(n, 100_000)
		}
	}
	return 1
}
