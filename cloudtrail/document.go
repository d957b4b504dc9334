package cloudtrail

import (
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/ecs"
)

// A builder builds the document of one record, row by row of the mapping.
type builder struct {
	rec   *object // the record, pruned
	enr   Enricher
	doc   ecs.Document
	actor actor
}

// document returns the whole document of a record.
func document(r *Record, enr Enricher) ecs.Document {
	rec, _ := prune(parseTree(r.raw)).(*object)
	b := &builder{rec: rec, enr: enr, doc: make(ecs.Document)}
	for _, c := range constants {
		b.set(c.target, c.value)
	}
	for _, m := range moves {
		b.set(m.target, scalar(b.get(m.source)))
	}
	b.time(r)
	if r.isDigest() {
		b.digest()
	}
	b.identity()
	b.classify()
	b.network()
	b.texts()
	b.set("aws.cloudtrail.flattened.insight_details", flattened(b.get("insightDetails")))
	b.resources()
	b.related()
	b.entities()
	return b.doc
}

// set puts a value into the document, if it is one.
func (b *builder) set(name string, v any) {
	switch v := v.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		b.doc.Set(name, list)
		return
	}
	b.doc.Set(name, v)
}

// get returns the value at a path of names, through objects.
func (b *builder) get(path string) any {
	o := b.rec
	for {
		name, rest, more := strings.Cut(path, ".")
		v := o.get(name)
		if !more {
			return v
		}
		o, _ = v.(*object)
		path = rest
	}
}

// text returns the first text at a path.
func (b *builder) text(path string) string { return firstText(b.get(path)) }

func (b *builder) values(name string) []string { return b.doc.Values(name) }

func flattened(v any) any {
	if o, ok := v.(*object); ok {
		return cut(o, 0)
	}
	return nil
}

func (b *builder) time(r *Record) {
	stamp := b.text(r.timeMember().String())
	b.set("event.kind", "event")
	if t, ok := parseTime(stamp); ok {
		b.set("@timestamp", t.Format(ecs.TimeFormat))
	} else if stamp != "" {
		b.set("event.kind", "pipeline_error")
		b.set("error.message", timeError(stamp))
	}
	if t, ok := sessionTime(b.text("userIdentity.sessionContext.attributes.creationDate")); ok {
		b.set("aws.cloudtrail.user_identity.session_context.creation_date", t.Format(ecs.TimeFormat))
	}
}

// identity maps who acts.
func (b *builder) identity() {
	const issuer = "userIdentity.sessionContext.sessionIssuer."
	a := actor{
		kind: b.text("userIdentity.type"), arn: b.text("userIdentity.arn"),
		issuerARN: b.text(issuer + "arn"), invokedBy: b.text("userIdentity.invokedBy"),
	}
	b.actor = a
	b.set("service.name", a.service())
	if a.service() == "" {
		b.set("user.name", scalar(b.get("userIdentity.userName")))
		if a.issued() {
			b.set("user.name", scalar(b.get(issuer+"userName")))
		}
		b.set("user.id", scalar(b.get("userIdentity.principalId")))
	}
	if a.kind == "IdentityCenterUser" && b.values("user.id") == nil {
		b.set("user.id", scalar(b.get("userIdentity.onBehalfOf.userId")))
	}
	if b.text("eventName") == userAuthentication && b.values("user.name") == nil {
		b.set("user.name", scalar(b.get("additionalEventData.UserName")))
		if o, ok := b.get("additionalEventData").(*object); ok {
			o.names = slices.DeleteFunc(o.names, func(name string) bool { return name == "UserName" })
			delete(o.values, "UserName")
		}
	}
	if session := a.session(); strings.Contains(session, "@") {
		b.set("user.email", session)
	} else if name := first(b.values("user.name")); strings.Index(name, "@") > 0 {
		b.set("user.email", name)
	}
	b.set("aws.cloudtrail.user_identity.session_context.web_id_federation_data.attributes",
		flattened(b.get("userIdentity.sessionContext.webIdFederationData.attributes")))

	b.set("cloud.account.id", scalar(b.get("recipientAccountId")))
	b.set("cloud.account.id", scalar(b.get("userIdentity.accountId")))
	b.set("debut.principal", ecs.Principal(ecs.Identity{
		Type: a.kind, ARN: a.arn, IssuerARN: a.issuerARN, Account: first(b.values("cloud.account.id")),
		PrincipalID: first(b.values("user.id")), OnBehalfOf: b.text("userIdentity.onBehalfOf.userId"),
		Provider: b.text("userIdentity.identityProvider"), InvokedBy: a.invokedBy,
	}))
}

// classify maps what happened and how it ended.
func (b *builder) classify() {
	action := b.text("eventName")
	b.set("cloud.service.name", serviceOf(b.text("eventSource")))
	c := categoryOf(action)
	b.set("event.category", c.category)
	b.set("event.type", c.types)
	outcome := success
	if b.text("errorCode") != "" || b.text("errorMessage") != "" {
		outcome = failure
	}
	if action == consoleLogin {
		if said := b.text("responseElements.ConsoleLogin"); said != "" {
			outcome = strings.ToLower(said)
		}
		const target = "aws.cloudtrail.console_login.additional_eventdata."
		b.set(target+"login_to", scalar(b.get("additionalEventData.LoginTo")))
		for name, source := range map[string]string{"mfa_used": "MFAUsed", "mobile_version": "MobileVersion"} {
			if v := b.get("additionalEventData." + source); v != nil {
				b.set(target+name, v != any("No"))
			}
		}
	}
	b.set("event.outcome", outcome)

	management := scalar(b.get("managementEvent"))
	if yes, ok := management.(bool); ok {
		management = strconv.FormatBool(yes)
	}
	b.set("aws.cloudtrail.management_event", management)
	b.set("aws.cloudtrail.shared_event_id", scalar(b.get("sharedEventId")))
	b.set("aws.cloudtrail.shared_event_id", scalar(b.get("sharedEventID")))
}

// network maps from where and with what.
func (b *builder) network() {
	address := ""
	if _, list := b.get("sourceIPAddress").([]any); !list {
		address = b.text("sourceIPAddress")
	}
	b.set("source.address", address)
	if addr, ok := parseAddr(address); ok {
		b.set("source.ip", address)
		if b.enr != nil {
			b.place(b.enr.Address(addr))
		}
	}
	if agent := b.text("userAgent"); agent != "" && b.enr != nil {
		a := b.enr.UserAgent(agent)
		b.set("user_agent.name", a.Name)
		b.set("user_agent.version", a.Version)
		b.set("user_agent.device.name", a.Device)
		b.set("user_agent.os.name", a.OSName)
		b.set("user_agent.os.version", a.OSVersion)
		b.set("user_agent.os.full", a.OSFull)
	}
	tls, ok := b.get("tlsDetails").(*object)
	if !ok || b.text("tlsDetails.tlsVersion") == "tlsVersion" {
		return
	}
	protocol, version := tlsVersion(b.text("tlsDetails.tlsVersion"))
	b.set("tls.version_protocol", protocol)
	b.set("tls.version", version)
	b.set("tls.cipher", scalar(tls.get("cipherSuite")))
	b.set("tls.client.server_name", scalar(tls.get("clientProvidedHostHeader")))
	b.set("aws.cloudtrail.tls_details.key_exchange", scalar(tls.get("keyExchange")))
}

// place maps where the source is.
func (b *builder) place(p Place) {
	b.set("source.geo.city_name", p.City)
	b.set("source.geo.continent_name", p.Continent)
	b.set("source.geo.country_iso_code", p.CountryISO)
	b.set("source.geo.country_name", p.Country)
	b.set("source.geo.region_iso_code", p.RegionISO)
	b.set("source.geo.region_name", p.Region)
	if p.HasLocation {
		b.set("source.geo.location.lat", ecs.Number(formatDegrees(p.Lat)))
		b.set("source.geo.location.lon", ecs.Number(formatDegrees(p.Lon)))
	}
	if p.ASN != 0 {
		b.set("source.as.number", ecs.Number(strconv.FormatUint(uint64(p.ASN), 10)))
	}
	b.set("source.as.organization.name", p.ASOrg)
}

// texts maps requests and responses: as text, and as they are.
func (b *builder) texts() {
	for _, t := range texts {
		v := b.get(t.source.String())
		if v == nil {
			continue
		}
		if o, ok := v.(*object); ok && len(o.names) == 0 {
			continue // its only member was moved away
		}
		text := string(appendJava(nil, v))
		b.set(t.target, text)
		if utf16Length(text) < maxFlattened {
			b.set(t.flattened, flattened(v))
		}
	}
}

// resources maps the resources, each once, in the order of Java's hash map.
func (b *builder) resources() {
	list, ok := b.get("resources").([]any)
	if !ok {
		b.set("aws.cloudtrail.resources", whole(b.get("resources")))
		return
	}
	type element struct {
		key    string
		fields map[string]any
	}
	var elements []element
	seen := make(map[string]bool)
	for _, v := range list {
		o, ok := v.(*object)
		if !ok {
			continue
		}
		fields, _ := whole(o).(map[string]any)
		rename := func(from, to string) string {
			v := o.get(from)
			if v == nil {
				v = o.get(to)
			}
			delete(fields, from)
			delete(fields, to)
			if v = scalar(v); v != nil {
				fields[to] = v
			}
			return firstText(v)
		}
		key := rename("ARN", "arn") + "_" + rename("accountId", "account_id") + "_" + rename("type", "type")
		if !seen[key] {
			seen[key] = true
			elements = append(elements, element{key, fields})
		}
	}
	mask := tableSize(len(elements)) - 1
	slices.SortStableFunc(elements, func(x, y element) int { return int(javaHash(x.key)&mask) - int(javaHash(y.key)&mask) })
	var sorted []any
	for _, e := range elements {
		if len(e.fields) > 0 {
			sorted = append(sorted, e.fields)
		}
	}
	if sorted != nil {
		b.set("aws.cloudtrail.resources", sorted)
	}
}

// digest maps what only digest files have.
func (b *builder) digest() {
	b.set("cloud.account.id", scalar(b.get("awsAccountId")))
	b.set("file.path", scalar(b.get("digestS3Object")))
	b.set("related.hash", scalarTexts(b.get("previousDigestHashValue")))
	const target = "aws.cloudtrail.flattened.digest."
	for name, source := range map[string]string{
		"previous_s3_object": "previousDigestS3Object", "previous_signature": "previousDigestSignature",
		"previous_hash_value": "previousDigestHashValue", "s3_bucket": "digestS3Bucket",
		"previous_s3_bucket": "previousDigestS3Bucket", "previous_hash_algorithm": "previousDigestHashAlgorithm",
		"public_key_fingerprint": "digestPublicKeyFingerprint", "signature_algorithm": "digestSignatureAlgorithm",
		"log_files": "logFiles",
	} {
		b.set(target+name, cut(b.get(source), 1))
	}
	for name, source := range map[string]string{
		"start_time": "digestStartTime", "end_time": "digestEndTime",
		"newest_event_time": "newestEventTime", "oldest_event_time": "oldestEventTime",
	} {
		if t, ok := parseTime(b.text(source)); ok {
			b.set(target+name, t.Format(ecs.TimeFormat))
		}
	}
}

// related maps what has to do with the event.
func (b *builder) related() {
	var users, addresses, hosts []string
	add := func(list *[]string, texts ...string) {
		for _, s := range texts {
			*list = appendNew(*list, s)
		}
	}
	names := namesOfSession(b.actor.session())
	add(&users, names[:]...)
	add(&users, b.values("user.target.name")...)
	add(&users, b.values("user.changes.name")...)
	add(&users, b.values("user.target.id")...)
	add(&users, b.values("user.id")...)
	add(&users, b.values("user.name")...)
	add(&users, b.values("aws.cloudtrail.user_identity.on_behalf_of.user_id")...)
	b.set("related.user", users)

	add(&addresses, b.values("source.ip")...)
	if s := b.text("serviceEventDetails.sourceIpAddress"); s != "" {
		if _, ok := parseAddr(s); ok {
			add(&addresses, s)
		}
	}
	b.set("related.ip", addresses)

	for _, s := range b.values("tls.client.server_name") {
		if !strings.HasSuffix(s, amazonaws) {
			add(&hosts, s)
		}
	}
	for _, s := range b.values("source.address") {
		if isHostName(s) {
			add(&hosts, s)
		}
	}
	add(&hosts, scalarTexts(b.get("requestParameters.computerName"))...)
	b.each(resourceARNs, func(arn string) { add(&hosts, instanceOfARN(arn)) })
	for _, p := range instancePaths {
		b.each(p, func(s string) {
			if isInstance(s) {
				add(&hosts, s)
			}
		})
	}
	b.set("related.hosts", hosts)
}

// each implements [follower].
func (b *builder) each(p path, yield func(string)) {
	followTree(b.rec.get(p.member.String()), p.names, yield)
}

func followTree(v any, names []string, yield func(string)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			followTree(e, names, yield)
		}
	case *object:
		if len(names) > 0 {
			followTree(v.get(names[0]), names[1:], yield)
		}
	case nil:
	default:
		if len(names) == 0 {
			for _, s := range scalarTexts(v) {
				yield(s)
			}
		}
	}
}

// entities maps who acts on what.
func (b *builder) entities() {
	all := entitiesOf(b, subject{
		actor: b.actor, action: b.text("eventName"), service: serviceOf(b.text("eventSource")),
		issuerARN: b.actor.issuerARN, onBehalfOf: b.text("userIdentity.onBehalfOf.userId"),
	})
	one := func(s string) []string { return appendText(nil, s) }
	b.set("related.entity", all.related)
	b.set("actor.entity.id", one(all.actor))
	b.set("entity.id", one(all.actorID[generic]))
	b.set("user.entity.id", one(all.actorID[user]))
	b.set("host.entity.id", one(all.actorID[host]))
	b.set("service.entity.id", one(all.actorID[service]))
	b.set("target.entity.id", all.targets)
	b.set("entity.target.id", all.targetID[generic])
	b.set("user.target.entity.id", all.targetID[user])
	b.set("host.target.entity.id", all.targetID[host])
	b.set("service.target.entity.id", all.targetID[service])
	b.set("host.target.id", all.hosts)
}
