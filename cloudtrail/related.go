package cloudtrail

import (
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// amazonaws ends the names of AWS's own hosts, and every event.provider.
const amazonaws = ".amazonaws.com"

// serviceOf returns cloud.service.name: ssm of ssm.amazonaws.com.
func serviceOf(eventSource string) string {
	name, found := strings.CutSuffix(eventSource, amazonaws)
	if !found {
		return ""
	}
	return name
}

// appendNew appends s if there is one and dst does not have it.
func appendNew(dst []string, s string) []string {
	if s == "" || slices.Contains(dst, s) {
		return dst
	}
	return append(dst, s)
}

// relatedUser appends related.user: whoever has to do with the event, in the order
// of the mapping.
func (e *Event) relatedUser(dst []string) []string {
	dst = dst[:0]
	for _, s := range namesOfSession(e.actor().session()) {
		dst = appendNew(dst, s)
	}
	var space [4]string
	add := func(list []string) {
		for _, s := range list {
			dst = appendNew(dst, s)
		}
	}
	request, response := e.rec.Value(RequestParameters), e.rec.Value(ResponseElements)
	renamed := rawjson.Get(request, "newUserName")
	add(e.scalars(space[:0], rawjson.Get(request, "userName")))
	add(e.scalars(space[:0], renamed))
	add(e.scalars(space[:0], rawjson.Path(response, "user", "userId")))
	add(e.userID(space[:0]))
	add(e.userName(space[:0]))
	add(e.scalars(space[:0], e.part(idOnBehalfOfUserID)))
	return dst
}

// namesOfSession returns the name of a session, and if it is an address the part of
// it that names the person.
func namesOfSession(session string) [2]string {
	local, _, found := strings.Cut(session, "@")
	if !found {
		local = ""
	}
	return [2]string{session, local}
}

// relatedIP appends related.ip.
func (e *Event) relatedIP(dst []string) []string {
	dst = e.sourceIP(dst)
	s := e.first(rawjson.Get(e.rec.Value(ServiceEventDetails), "sourceIpAddress"))
	if _, ok := parseAddr(s); ok {
		dst = appendNew(dst, s)
	}
	return dst
}

// relatedHosts appends related.hosts: names of hosts and ids of instances.
func (e *Event) relatedHosts(dst []string) []string {
	dst = dst[:0]
	var space [4]string
	for _, s := range e.scalars(space[:0], e.tls("clientProvidedHostHeader")) {
		if !strings.HasSuffix(s, amazonaws) {
			dst = appendNew(dst, s)
		}
	}
	if s := e.sourceAddress(); isHostName(s) {
		dst = appendNew(dst, s)
	}
	for _, s := range e.scalars(space[:0], rawjson.Get(e.rec.Value(RequestParameters), "computerName")) {
		dst = appendNew(dst, s)
	}
	e.each(resourceARNs, func(arn string) { dst = appendNew(dst, instanceOfARN(arn)) })
	for _, p := range instancePaths {
		e.each(p, func(s string) {
			if isInstance(s) {
				dst = appendNew(dst, s)
			}
		})
	}
	return dst
}

// isHostName reports whether a source address that is no address names a host that
// is not AWS's.
func isHostName(s string) bool {
	_, ok := parseAddr(s)
	return !ok && strings.Contains(s, ".") && !strings.Contains(s, " ") && !strings.HasSuffix(s, amazonaws)
}

// isInstance reports whether s looks like the id of an EC2 instance.
func isInstance(s string) bool { return len(s) >= 10 && strings.HasPrefix(s, "i-") }

// instanceOfARN returns the id of the instance that an ARN names, "" if it names none.
func instanceOfARN(arn string) string {
	if _, id, found := strings.Cut(arn, ":instance/"); found && isInstance(id) {
		return id
	}
	return ""
}

// instancePaths are where requests and responses name instances.
//
//nolint:gochecknoglobals // a constant table
var instancePaths = func() (all []path) {
	for _, root := range []string{"rq.", "rs."} {
		for _, name := range []string{"instanceId", "target", "resourceId", "instanceIds", "instancesSet.items.instanceId"} {
			all = append(all, newPath(root+name))
		}
	}
	return all
}()

// A resource is what the mapping reads of an element of resources.
type resource struct {
	key                string // what Java's hash map has it under
	hash               uint32
	arn, account, kind []byte
}

// resourceField returns the reader of one part of all resources.
func resourceField(name string, part func(*resource) []byte) reader {
	odd := fromDocument(name)
	return func(e *Event, dst []string) []string {
		if k := kind(e.rec.Value(Resources)); k != '[' && k != 0 {
			return odd(e, dst)
		}
		list := e.resourceList()
		for i := range list {
			dst = e.scalars(dst, part(&list[i]))
		}
		return dst
	}
}

// resourceList returns the resources in the order of documents, each once. It is
// valid until the next call.
func (e *Event) resourceList() []resource {
	e.resources = e.resources[:0]
	v := e.rec.Value(Resources)
	if kind(v) != '[' {
		return nil
	}
	for c := rawjson.Walk(v); c.Next(); {
		if kind(c.Value()) != '{' || !present(c.Value()) {
			continue
		}
		r := resource{
			arn:     either(c.Value(), "ARN", "arn"),
			account: either(c.Value(), "accountId", "account_id"),
			kind:    rawjson.Get(c.Value(), "type"),
		}
		arn, account, typ := e.first(r.arn), e.first(r.account), e.first(r.kind)
		start := len(e.text)
		e.text = append(append(append(append(append(e.text, arn...), '_'), account...), '_'), typ...)
		r.key = e.made(start)
		r.hash = javaHash(r.key)
		e.resources = append(e.resources, r)
	}
	e.resources = distinctResources(e.resources)
	mask := tableSize(len(e.resources)) - 1
	slices.SortStableFunc(e.resources, func(a, b resource) int { return int(a.hash&mask) - int(b.hash&mask) })
	return e.resources
}

func distinctResources(list []resource) []resource {
	if len(list) > 32 { // hostile lists are long
		seen := make(map[string]struct{}, len(list))
		return slices.DeleteFunc(list, func(r resource) bool {
			_, dup := seen[r.key]
			seen[r.key] = struct{}{}
			return dup
		})
	}
	kept := list[:0]
	for _, r := range list {
		if !slices.ContainsFunc(kept, func(k resource) bool { return k.key == r.key }) {
			kept = append(kept, r)
		}
	}
	return kept
}

// either returns the member that is renamed to what the other is called, else the
// other.
func either(object []byte, renamed, name string) []byte {
	if v := rawjson.Get(object, renamed); present(v) {
		return v
	}
	return rawjson.Get(object, name)
}
