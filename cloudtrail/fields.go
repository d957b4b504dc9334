package cloudtrail

import (
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// A reader appends the values of one field of e's record to dst.
type reader func(e *Event, dst []string) []string

// resolve returns the reader of a field. It is called once for each field that is
// asked for.
func (e *Event) resolve(f *ecs.Field) reader {
	name := f.Name
	if f.Of != "" {
		name = f.Of
	}
	if f.Root != "" {
		return flattenedMember(f.Root, f.Path)
	}
	if read := readers()[name]; read != nil {
		return read
	}
	if e.holdsFields(name) {
		return fromDocument(name)
	}
	return func(_ *Event, dst []string) []string { return dst }
}

// holdsFields reports whether name is that of an object in documents, or of a member
// of aws.cloudtrail.resources, which keep what the mapping does not know.
func (e *Event) holdsFields(name string) bool {
	const resources = "aws.cloudtrail.resources"
	if name == resources || strings.HasPrefix(name, resources+".") {
		return true
	}
	for f := range e.cat.Known() {
		if strings.HasPrefix(f.Name, name+".") && f.Of == "" {
			return true
		}
	}
	return false
}

// fromDocument reads a field that rules do not ask for event by event.
func fromDocument(name string) reader {
	return func(e *Event, dst []string) []string { return append(dst, e.document().Values(name)...) }
}

// readers returns the reader of every field of the mapping that is not a sub-key of
// a flattened one.
//
//nolint:gochecknoglobals // a constant table
var readers = sync.OnceValue(func() map[string]reader {
	all := make(map[string]reader, 160)
	for _, m := range moves {
		all[m.target] = move(m.source)
	}
	for _, c := range constants {
		all[c.target] = func(_ *Event, dst []string) []string { return append(dst, c.value) }
	}
	for _, t := range texts {
		all[t.target] = func(e *Event, dst []string) []string { return e.rendered(dst, t.source) }
		all[t.flattened] = fromDocument(t.flattened)
	}
	maps.Copy(all, computed)
	return all
})

// move returns the reader of the member at a path.
func move(source string) reader {
	path := strings.Split(source, ".")
	m, _ := memberOf([]byte(path[0]))
	if m == UserIdentity {
		p, _ := partAt(path[1:])
		return func(e *Event, dst []string) []string { return e.scalars(dst, e.part(p)) }
	}
	if path = path[1:]; len(path) == 0 {
		return func(e *Event, dst []string) []string { return e.scalars(dst, e.rec.Value(m)) }
	}
	return func(e *Event, dst []string) []string {
		return e.scalars(dst, rawjson.Path(e.rec.Value(m), path...))
	}
}

// computed are the fields that are more than a move.
//
//nolint:gochecknoglobals // a constant table
var computed = map[string]reader{
	"@timestamp":       (*Event).timestamp,
	"cloud.account.id": (*Event).cloudAccount,
	"cloud.service.name": func(e *Event, dst []string) []string {
		return appendText(dst, serviceOf(e.first(e.rec.Value(EventSource))))
	},
	"debut.principal": (*Event).principal,
	"error.message":   func(e *Event, dst []string) []string { return appendText(dst, e.timeError()) },
	"event.category":  func(e *Event, dst []string) []string { return append(dst, e.category().category...) },
	"event.kind":      (*Event).eventKind,
	"event.outcome":   (*Event).outcome,
	"event.type":      func(e *Event, dst []string) []string { return append(dst, e.category().types...) },
	"service.name":    func(e *Event, dst []string) []string { return appendText(dst, e.actor().service()) },
	"source.address":  func(e *Event, dst []string) []string { return appendText(dst, e.sourceAddress()) },
	"source.ip":       (*Event).sourceIP,
	"user.email":      (*Event).userEmail,
	"user.id":         (*Event).userID,
	"user.name":       (*Event).userName,

	"aws.cloudtrail.console_login.additional_eventdata.login_to": func(e *Event, dst []string) []string {
		return e.scalars(dst, e.consoleLogin("LoginTo"))
	},
	"aws.cloudtrail.console_login.additional_eventdata.mfa_used": func(e *Event, dst []string) []string {
		return e.notNo(dst, e.consoleLogin("MFAUsed"))
	},
	"aws.cloudtrail.console_login.additional_eventdata.mobile_version": func(e *Event, dst []string) []string {
		return e.notNo(dst, e.consoleLogin("MobileVersion"))
	},
	"aws.cloudtrail.flattened.digest":          fromDocument("aws.cloudtrail.flattened.digest"),
	"aws.cloudtrail.flattened.insight_details": fromDocument("aws.cloudtrail.flattened.insight_details"),
	"aws.cloudtrail.management_event":          move("managementEvent"),
	"aws.cloudtrail.resources.account_id":      resourceField("aws.cloudtrail.resources.account_id", func(r *resource) []byte { return r.account }),
	"aws.cloudtrail.resources.arn":             resourceField("aws.cloudtrail.resources.arn", func(r *resource) []byte { return r.arn }),
	"aws.cloudtrail.resources.type":            resourceField("aws.cloudtrail.resources.type", func(r *resource) []byte { return r.kind }),
	"aws.cloudtrail.shared_event_id":           (*Event).sharedEventID,
	"aws.cloudtrail.tls_details.key_exchange": func(e *Event, dst []string) []string {
		return e.scalars(dst, e.tls("keyExchange"))
	},
	"aws.cloudtrail.user_identity.session_context.creation_date": (*Event).creationDate,
	"aws.cloudtrail.user_identity.session_context.web_id_federation_data.attributes": fromDocument(
		"aws.cloudtrail.user_identity.session_context.web_id_federation_data.attributes",
	),

	"tls.cipher":             func(e *Event, dst []string) []string { return e.scalars(dst, e.tls("cipherSuite")) },
	"tls.client.server_name": func(e *Event, dst []string) []string { return e.scalars(dst, e.tls("clientProvidedHostHeader")) },
	"tls.version": func(e *Event, dst []string) []string {
		_, version := tlsVersion(e.first(e.tls("tlsVersion")))
		return appendText(dst, version)
	},
	"tls.version_protocol": func(e *Event, dst []string) []string {
		protocol, _ := tlsVersion(e.first(e.tls("tlsVersion")))
		return appendText(dst, protocol)
	},

	"actor.entity.id":          func(e *Event, dst []string) []string { return appendText(dst, e.entity().actor) },
	"entity.id":                func(e *Event, dst []string) []string { return appendText(dst, e.entity().actorID[generic]) },
	"entity.target.id":         func(e *Event, dst []string) []string { return append(dst, e.entity().targetID[generic]...) },
	"host.entity.id":           func(e *Event, dst []string) []string { return appendText(dst, e.entity().actorID[host]) },
	"host.target.entity.id":    func(e *Event, dst []string) []string { return append(dst, e.entity().targetID[host]...) },
	"host.target.id":           func(e *Event, dst []string) []string { return append(dst, e.entity().hosts...) },
	"related.entity":           func(e *Event, dst []string) []string { return append(dst, e.entity().related...) },
	"service.entity.id":        func(e *Event, dst []string) []string { return appendText(dst, e.entity().actorID[service]) },
	"service.target.entity.id": func(e *Event, dst []string) []string { return append(dst, e.entity().targetID[service]...) },
	"target.entity.id":         func(e *Event, dst []string) []string { return append(dst, e.entity().targets...) },
	"user.entity.id":           func(e *Event, dst []string) []string { return appendText(dst, e.entity().actorID[user]) },
	"user.target.entity.id":    func(e *Event, dst []string) []string { return append(dst, e.entity().targetID[user]...) },

	"file.path":     fromDocument("file.path"),    // of digest files
	"related.hash":  fromDocument("related.hash"), // of digest files
	"related.hosts": (*Event).relatedHosts,
	"related.ip":    (*Event).relatedIP,
	"related.user":  (*Event).relatedUser,

	"source.as.number": func(e *Event, dst []string) []string {
		if asn := e.at().ASN; asn != 0 {
			return append(dst, strconv.FormatUint(uint64(asn), 10))
		}
		return dst
	},
	"source.as.organization.name": func(e *Event, dst []string) []string { return appendText(dst, e.at().ASOrg) },
	"source.geo.city_name":        func(e *Event, dst []string) []string { return appendText(dst, e.at().City) },
	"source.geo.continent_name":   func(e *Event, dst []string) []string { return appendText(dst, e.at().Continent) },
	"source.geo.country_iso_code": func(e *Event, dst []string) []string { return appendText(dst, e.at().CountryISO) },
	"source.geo.country_name":     func(e *Event, dst []string) []string { return appendText(dst, e.at().Country) },
	"source.geo.location": func(e *Event, dst []string) []string {
		return appendDegrees(appendDegrees(dst, e.at(), e.at().Lat), e.at(), e.at().Lon)
	},
	"source.geo.location.lat":    func(e *Event, dst []string) []string { return appendDegrees(dst, e.at(), e.at().Lat) },
	"source.geo.location.lon":    func(e *Event, dst []string) []string { return appendDegrees(dst, e.at(), e.at().Lon) },
	"source.geo.region_iso_code": func(e *Event, dst []string) []string { return appendText(dst, e.at().RegionISO) },
	"source.geo.region_name":     func(e *Event, dst []string) []string { return appendText(dst, e.at().Region) },

	"user_agent.device.name": func(e *Event, dst []string) []string { return appendText(dst, e.userAgent().Device) },
	"user_agent.name":        func(e *Event, dst []string) []string { return appendText(dst, e.userAgent().Name) },
	"user_agent.os.full":     func(e *Event, dst []string) []string { return appendText(dst, e.userAgent().OSFull) },
	"user_agent.os.name":     func(e *Event, dst []string) []string { return appendText(dst, e.userAgent().OSName) },
	"user_agent.os.version":  func(e *Event, dst []string) []string { return appendText(dst, e.userAgent().OSVersion) },
	"user_agent.version":     func(e *Event, dst []string) []string { return appendText(dst, e.userAgent().Version) },
}

// appendText appends s if there is one.
func appendText(dst []string, s string) []string {
	if s == "" {
		return dst
	}
	return append(dst, s)
}

func (e *Event) timestamp(dst []string) []string {
	if t := e.Time(); !t.IsZero() {
		return append(dst, e.date(t))
	}
	return dst
}

// date returns a time as documents print it.
func (e *Event) date(t time.Time) string {
	start := len(e.text)
	e.text = t.AppendFormat(e.text, ecs.TimeFormat)
	return e.made(start)
}

func (e *Event) creationDate(dst []string) []string {
	if t, ok := sessionTime(e.id(idCreationDate)); ok {
		return append(dst, e.date(t))
	}
	return dst
}

// sessionTime reads the time when a session began, which old records print without
// hyphens and colons.
func sessionTime(s string) (time.Time, bool) {
	if t, err := time.Parse("20060102T150405Z", s); err == nil {
		return t, true
	}
	return parseTime(s)
}

func (e *Event) eventKind(dst []string) []string {
	if e.timeError() != "" {
		return append(dst, "pipeline_error")
	}
	return append(dst, "event")
}

// outcome appends event.outcome: whether an error is named, except for sign-ins,
// which say it themselves.
func (e *Event) outcome(dst []string) []string {
	if e.first(e.rec.Value(EventName)) == consoleLogin {
		switch s := e.first(rawjson.Get(e.rec.Value(ResponseElements), consoleLogin)); s {
		case "":
		case "Success":
			return append(dst, success)
		case "Failure":
			return append(dst, failure)
		default:
			return append(dst, strings.ToLower(s))
		}
	}
	if e.first(e.rec.Value(ErrorCode)) != "" || e.first(e.rec.Value(ErrorMessage)) != "" {
		return append(dst, failure)
	}
	return append(dst, success)
}

const (
	consoleLogin = "ConsoleLogin"
	success      = "success"
	failure      = "failure"
)

func (e *Event) category() category { return categoryOf(e.first(e.rec.Value(EventName))) }

// consoleLogin returns a member of additionalEventData if the event is a sign-in.
func (e *Event) consoleLogin(name string) []byte {
	if e.first(e.rec.Value(EventName)) != consoleLogin {
		return nil
	}
	return rawjson.Get(e.rec.Value(AdditionalEventData), name)
}

// notNo appends true for any value but "No".
func (e *Event) notNo(dst []string, v []byte) []string {
	switch {
	case !present(v):
		return dst
	case kind(v) == '"' && rawjson.Equal(v, "No"):
		return append(dst, "false")
	default:
		return append(dst, "true")
	}
}

// present reports whether anything of v is left after pruning.
func present(v []byte) bool {
	switch kind(v) {
	case '{', '[':
		if c := rawjson.Walk(v); c.Next() && isScalar(c.Value()) {
			return true
		}
		return prune(parseTree(v)) != nil
	default:
		return isScalar(v)
	}
}

// isScalar reports whether v is a scalar that is not pruned.
func isScalar(v []byte) bool {
	switch kind(v) {
	case '"':
		return !empty(rawjson.String(v))
	case '0', 't':
		return true
	}
	return false
}

func (e *Event) sharedEventID(dst []string) []string {
	start := len(dst)
	if dst = e.scalars(dst, e.rec.Value(SharedEventID)); len(dst) == start {
		dst = e.scalars(dst, e.rec.Value(SharedEventIDAlt))
	}
	return dst
}

// tls returns a member of tlsDetails. Some producers write the name of the version
// for its value: then nothing there can be trusted.
func (e *Event) tls(name string) []byte {
	details := e.rec.Value(TLSDetails)
	if kind(details) != '{' || e.first(rawjson.Get(details, "tlsVersion")) == "tlsVersion" {
		return nil
	}
	return rawjson.Get(details, name)
}

// tlsVersion splits a version as CloudTrail writes it, TLSv1.3.
func tlsVersion(s string) (protocol, version string) {
	protocol, version, found := strings.Cut(s, "v")
	switch {
	case !found:
		return "", s
	case protocol == "TLS":
		return "tls", version
	}
	return strings.ToLower(protocol), version
}

// sourceAddress returns source.address, the text of a scalar.
func (e *Event) sourceAddress() string {
	v := e.rec.Value(SourceIPAddress)
	if kind(v) == '[' {
		return ""
	}
	return e.first(v)
}

func (e *Event) sourceIP(dst []string) []string {
	s := e.sourceAddress()
	if _, ok := parseAddr(s); ok {
		return append(dst, s)
	}
	return dst
}

// parseAddr reads an address if that is all that s holds: no zone, no port.
func parseAddr(s string) (netip.Addr, bool) {
	if s == "" {
		return netip.Addr{}, false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'f') && (s[i] < '0' || s[i] > '9') && s[i] != ':' && s[i] != '.' {
			return netip.Addr{}, false // a name: spare the error that ParseAddr makes
		}
	}
	addr, err := netip.ParseAddr(s)
	return addr, err == nil
}

// at returns what the enricher knows about source.ip.
func (e *Event) at() Place {
	if e.gens.place != e.gen {
		e.gens.place, e.place = e.gen, Place{}
		if addr, ok := parseAddr(e.sourceAddress()); ok && e.enr != nil {
			e.place = e.enr.Address(addr)
		}
	}
	return e.place
}

func appendDegrees(dst []string, p Place, degrees float64) []string {
	if !p.HasLocation {
		return dst
	}
	return append(dst, formatDegrees(degrees))
}

func formatDegrees(degrees float64) string { return strconv.FormatFloat(degrees, 'f', -1, 64) }

// userAgent returns what the enricher reads out of user_agent.original.
func (e *Event) userAgent() Agent {
	if e.gens.agent != e.gen {
		e.gens.agent, e.agent = e.gen, Agent{}
		if s := e.first(e.rec.Value(UserAgent)); s != "" && e.enr != nil {
			e.agent = e.enr.UserAgent(s)
		}
	}
	return e.agent
}

// rendered appends the text form of a member.
func (e *Event) rendered(dst []string, m Member) []string {
	v := e.rec.Value(m)
	if v == nil {
		return dst
	}
	hide := e.hidden(m) // may make strings of its own
	start := len(e.text)
	var ok bool
	if e.text, ok = e.render(e.text, v, hide); !ok {
		return dst
	}
	return append(dst, e.made(start))
}

// hidden returns the name of the member of m that was moved away, "" if none was.
func (e *Event) hidden(m Member) string {
	if m == AdditionalEventData && e.movedUserName() {
		return "UserName"
	}
	return ""
}
