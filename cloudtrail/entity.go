package cloudtrail

import (
	"slices"
	"strings"
)

// class is what an entity is.
type class uint8

// The classes. Each has fields of its own.
const (
	generic class = iota
	user
	host
	service
	numClasses
)

// entities are who acts, on what, and what else is named. The lists are sorted and
// without duplicates.
type entities struct {
	actor    string
	actorID  [numClasses]string // one at most: the actor's, by its class
	targets  []string
	targetID [numClasses][]string // targets by class
	hosts    []string             // ids of the instances among the targets
	related  []string
}

// entity returns the entities of the record.
func (e *Event) entity() *entities {
	if e.gens.entities != e.gen {
		e.gens.entities = e.gen
		e.entities = entitiesOf(e, subject{
			actor: e.actor(), action: e.first(e.rec.Value(EventName)), service: serviceOf(e.first(e.rec.Value(EventSource))),
			issuerARN: e.id(idIssuerARN), onBehalfOf: e.id(idOnBehalfOfUserID),
		})
	}
	return &e.entities
}

// subject is what entities depend on besides the paths of the tables.
type subject struct {
	actor                                  actor
	action, service, issuerARN, onBehalfOf string
}

// entitiesOf finds the entities of a record. Without an eventName there are none.
func entitiesOf(src follower, s subject) (all entities) {
	if s.action == "" {
		return all
	}
	all.setActor(s)
	collect := func(list *[]string, paths []path) {
		for _, p := range paths {
			src.each(p, func(v string) { *list = append(*list, v) })
		}
	}
	collect(&all.targets, targetPaths(s.service, s.action))
	if s.service == "ssm" && s.action == "SendCommand" {
		all.targets = commandTargets(src)
	}
	all.targets = sorted(all.targets)
	for _, t := range all.targets {
		c := classOf(t)
		all.targetID[c] = append(all.targetID[c], t)
		if c != host {
			continue
		}
		if id := t[strings.LastIndexByte(t, '/')+1:]; strings.HasPrefix(id, "i-") {
			all.hosts = append(all.hosts, id)
		}
	}
	all.hosts = sorted(all.hosts)

	collect(&all.related, relatedAlways)
	if s.actor.kind == "IdentityCenterUser" {
		collect(&all.related, relatedIdentityStore)
	}
	collect(&all.related, relatedPaths[s.service])
	all.related = sorted(append(all.related, all.targets...))
	return all
}

// setActor finds who acts: the caller, or in AssumeRole who calls for it.
func (all *entities) setActor(s subject) {
	kind := s.actor.kind
	all.actor = s.actor.arn
	if all.actor == "" {
		all.actor = s.onBehalfOf
	}
	if s.service == "sts" && s.action == "AssumeRole" {
		switch {
		case kind == "AWSService" && s.actor.invokedBy != "":
			all.actor = s.actor.invokedBy
		case kind == "AssumedRole" && s.issuerARN != "":
			all.actor = s.issuerARN
		}
	}
	if all.actor == "" {
		return
	}
	switch c := classOf(all.actor); {
	case kind == "AWSService" || isServiceLinked(all.actor):
		all.actorID[service] = all.actor
	case kind == "AssumedRole" && s.issuerARN != "":
		all.actorID[user] = s.issuerARN // a session is new every time
	case kind == "IAMUser", kind == "Root", kind == "AssumedRole", c == user:
		all.actorID[user] = all.actor
	case c == host:
		all.actorID[host] = all.actor
	default:
		all.actorID[generic] = all.actor
	}
}

func isServiceLinked(arn string) bool {
	return strings.Contains(arn, "/AWSServiceRoleFor") || strings.Contains(arn, "/aws-service-role/")
}

// sorted sorts the list and drops duplicates.
func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// commandTargets returns the targets of SendCommand: instances by id, or what tags
// and groups name; all of the account's if that is everything.
func commandTargets(src follower) (targets []string) {
	add := func(v string) { targets = append(targets, v) }
	src.each(commandInstances, add)
	if len(targets) > 0 {
		return targets
	}
	src.each(commandValues, add)
	if len(targets) == 1 && targets[0] == "*" {
		src.each(recipient, add)
	}
	return targets
}

// classOf returns what an ARN, an id or a name stands for.
func classOf(id string) class {
	parts := strings.SplitN(id, ":", 7)
	if parts[0] != "arn" || len(parts) < 6 {
		return classOfID(id)
	}
	if isServiceLinked(id) || parts[2] == "s3" {
		return service
	}
	word, _, _ := strings.Cut(parts[5], "/")
	return resourceClasses[word]
}

// classOfID is classOf for what is no ARN.
func classOfID(id string) class {
	switch {
	case strings.HasPrefix(id, "AKIA") && len(id) == 20:
		return user
	case strings.HasPrefix(id, "i-"):
		return host
	}
	prefix, _, found := strings.Cut(id, "-")
	if found && slices.Contains(serviceIDs, prefix) {
		return service
	}
	return generic
}

//nolint:gochecknoglobals // constant tables
var (
	serviceIDs      = strings.Fields("sg sgr eni vpc subnet acl rtb igw nat vpce tgw pcx")
	resourceClasses = func() map[string]class {
		all := map[string]class{"instance": host}
		for word := range strings.FieldsSeq("user role assumed-role federated-user instance-profile mfa serialNumber") {
			all[word] = user
		}
		for word := range strings.FieldsSeq(`stack stack-set trail configuration-recorder file-system mount-target rule
			detector key function log-group log-stream alarm db cluster global-cluster trust-anchor
			resolver-query-log-config secret parameter document session webacl rulegroup ipset topic model
			loadbalancer table group policy security-group network-interface vpc subnet network-acl dhcp-options`) {
			all[word] = service
		}
		return all
	}()
)

// targetPaths returns where an action names its targets.
func targetPaths(service, action string) []path {
	if service == "lambda" { // whose actions carry a date
		switch {
		case strings.Contains(action, "AddPermission"):
			return lambdaFunction
		case strings.Contains(action, "ListFunctions"):
			return []path{recipient}
		}
	}
	return targets[service+" "+action]
}

// newPaths reads the paths of a table's row: RES is every resource, ACC the account.
func newPaths(row string) (all []path) {
	for s := range strings.FieldsSeq(row) {
		switch s {
		case "RES":
			all = append(all, resourceARNs)
		case "ACC":
			all = append(all, recipient)
		default:
			all = append(all, newPath(s))
		}
	}
	return all
}
