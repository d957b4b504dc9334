package triage

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// An Event is a stored event as steps see it: what every step asks is read once, all
// else is a field of its document. It is read-only and owns its memory; the events of
// a case are of one goroutine.
type Event struct {
	ID       string // eventID; the hash of the content if it has none
	Time     time.Time
	Account  string // cloud.account.id: of the actor
	Owner    string // recipient account: where the record was delivered
	Region   string
	Provider string // such as "ssm.amazonaws.com"
	Action   string
	Error    string // errorCode; empty: it was done
	Message  string // errorMessage

	Principal  string // stable
	Type       string // userIdentity.type
	ARN        string
	UserID     string // userIdentity.principalId: "AROA…:session"
	UserName   string
	Credential string // access key id
	Created    time.Time
	MFA        string // "true", "false" or empty
	InvokedBy  string
	FromWeb    bool // sessionCredentialFromConsole

	Agent    string // as logged
	Address  string // as logged: an IP address, a service's name, or "AWS Internal"
	IP       netip.Addr
	Endpoint string // VPC endpoint
	SharedID string
	// AgentName is the name of the parsed agent (user_agent.name), or "".
	AgentName string

	// A field that is not above is read out of the record when a step asks for it. The
	// document is built when a step asks for a part of it: it costs twenty times that.
	raw               []byte // until then
	reader            *reader
	doc               ecs.Document
	request, response ecs.Document // flattened, parts of doc
	document          bool         // it came as an ECS document
}

// A reader makes events of stored ones. It knows where the fields are that every step
// asks for; to look them up by name in a document costs more than all else.
type reader struct {
	id, account, owner, region, provider, action, code, message                 *ecs.Field
	principal, kind, arn, userID, userName, credential, created, mfa, invokedBy *ecs.Field
	fromWeb, agent, agentName, address, ip, endpoint, shared                    *ecs.Field

	// What fields and documents are read with later.
	catalogue *ecs.Catalogue
	fields    map[string]*ecs.Field
	record    cloudtrail.Record
	event     *cloudtrail.Event
	current   *Event // whose record that is
}

func newReader(cat *ecs.Catalogue) *reader {
	const ct, identity = "aws.cloudtrail.", "aws.cloudtrail.user_identity."
	r := &reader{catalogue: cat, fields: map[string]*ecs.Field{}, event: cloudtrail.NewEvent(cat, nil)}
	for _, f := range []struct {
		dst  **ecs.Field
		name string
	}{
		{&r.id, "event.id"},
		{&r.account, "cloud.account.id"},
		{&r.owner, ct + "recipient_account_id"},
		{&r.region, "cloud.region"},
		{&r.provider, "event.provider"},
		{&r.action, "event.action"},
		{&r.code, ct + "error_code"},
		{&r.message, ct + "error_message"},
		{&r.principal, "debut.principal"},
		{&r.kind, identity + "type"},
		{&r.arn, identity + "arn"},
		{&r.userID, "user.id"},
		{&r.userName, "user.name"},
		{&r.credential, identity + "access_key_id"},
		{&r.created, identity + "session_context.creation_date"},
		{&r.mfa, identity + "session_context.mfa_authenticated"},
		{&r.invokedBy, identity + "invoked_by"},
		{&r.fromWeb, ct + "session_credential_from_console"},
		{&r.agent, "user_agent.original"},
		{&r.agentName, "user_agent.name"},
		{&r.address, "source.address"},
		{&r.ip, "source.ip"},
		{&r.endpoint, ct + "vpc_endpoint_id"},
		{&r.shared, ct + "shared_event_id"},
	} {
		*f.dst = cat.Resolve(f.name)
	}
	return r
}

// NewEvent returns a stored event as investigations see it. It belongs to one goroutine.
func NewEvent(cat *ecs.Catalogue, s *store.Stored) *Event { return newReader(cat).read(s) }

func (r *reader) read(s *store.Stored) *Event {
	get := func(f *ecs.Field) string { return strings.Clone(firstOf(s.Event.Values(f))) }
	e := &Event{
		ID: get(r.id), Time: time.Unix(0, s.Time).UTC(), Account: get(r.account), Owner: get(r.owner), Region: get(r.region),
		Provider: get(r.provider), Action: get(r.action), Error: get(r.code), Message: get(r.message),
		Principal: get(r.principal), Type: get(r.kind), ARN: get(r.arn), UserID: get(r.userID), UserName: get(r.userName),
		Credential: get(r.credential), MFA: get(r.mfa), InvokedBy: get(r.invokedBy), FromWeb: get(r.fromWeb) == "true",
		Agent: get(r.agent), AgentName: get(r.agentName), Address: get(r.address), Endpoint: get(r.endpoint), SharedID: get(r.shared),
		raw: bytes.Clone(s.Raw), reader: r, document: s.Kind == store.KindDocument,
	}
	if e.ID == "" {
		e.ID = s.ID.String()
	}
	if e.Owner == "" {
		e.Owner = e.Account
	}
	ip := get(r.ip)
	if ip == "" {
		ip = e.Address
	}
	if a, err := netip.ParseAddr(ip); err == nil {
		e.IP = a.Unmap().WithZone("")
	}
	if t, err := time.Parse(time.RFC3339Nano, get(r.created)); err == nil {
		e.Created = t.UTC()
	}
	return e
}

// load builds the document, if that was not done yet.
func (e *Event) load() {
	if e.raw == nil {
		return
	}
	e.doc = e.reader.build(e)
	e.raw = nil
	e.request, e.response = member(e.doc, "request_parameters"), member(e.doc, "response_elements")
}

// build builds the document of a stored record or document. It has nothing that only an
// enricher knows.
func (r *reader) build(e *Event) ecs.Document {
	if e.document {
		if ev, err := ecs.ParseJSON(r.catalogue, e.raw); err == nil {
			return ev.Document()
		}
	} else if r.turn(e) {
		return r.event.Document()
	}
	return ecs.Document{} // the store read it before: it cannot be
}

// Values returns the values of a field of the ECS document, as queries see it, but for
// what is known of agents and addresses: that is in AgentName, and [Case.place] tells it.
func (e *Event) Values(field string) []string {
	if e.raw != nil && !e.document {
		return e.reader.values(e, field)
	}
	e.load()
	return e.doc.Values(field)
}

// turn makes an event's record the one that is read, and reports whether it can be.
func (r *reader) turn(e *Event) bool {
	if r.current == e {
		return true
	}
	r.current = nil
	if _, err := r.record.Parse(e.raw); err != nil {
		return false
	}
	r.event.Reset(&r.record)
	r.current = e
	return true
}

// values reads a field of a record.
func (r *reader) values(e *Event, field string) []string {
	if !r.turn(e) {
		return nil
	}
	f := r.fields[field]
	if f == nil {
		f = r.catalogue.Resolve(field)
		r.fields[field] = f
	}
	list := slices.Clone(r.event.Values(f))
	for i := range list {
		list[i] = strings.Clone(list[i])
	}
	return list
}

// Value returns the first of them, or "".
func (e *Event) Value(field string) string { return firstOf(e.Values(field)) }

// Request returns the values at a path of the request's parameters, such as
// "instanceIds" or "targets.key"; lists are joined into one.
func (e *Event) Request(path string) []string {
	return e.part("aws.cloudtrail.flattened.request_parameters.", path, func() ecs.Document { return e.request })
}

// Response returns the values at a path of the response.
func (e *Event) Response(path string) []string {
	return e.part("aws.cloudtrail.flattened.response_elements.", path, func() ecs.Document { return e.response })
}

func (e *Event) part(name, path string, of func() ecs.Document) []string {
	if e.raw != nil && !e.document {
		return e.reader.values(e, name+path)
	}
	e.load()
	if d := of(); d != nil || !e.document {
		return d.Values(path)
	}
	return e.doc.Values(name + path) // its names may have dots, where nothing is nested
}

// RequestTree returns a part of the request's parameters with its structure: a
// map[string]any, a []any, a string or another scalar; nil if it is not there.
func (e *Event) RequestTree(name string) any {
	e.load()
	return e.request[name]
}

// ResponseTree returns a part of the response.
func (e *Event) ResponseTree(name string) any {
	e.load()
	return e.response[name]
}

func member(doc ecs.Document, part string) ecs.Document {
	v := map[string]any(doc)
	for _, key := range []string{"aws", "cloudtrail", "flattened", part} {
		m, ok := v[key].(map[string]any)
		if !ok {
			return nil
		}
		v = m
	}
	return v
}

// Session returns the name of a role's session, or "".
func (e *Event) Session() string {
	_, name, _ := strings.Cut(e.UserID, ":")
	return name
}

// Is reports whether the event is one of a service's actions. The service is its short
// name, such as "ssm".
func (e *Event) Is(service string, actions ...string) bool {
	return e.Service() == service && (len(actions) == 0 || slices.Contains(actions, e.Action))
}

// Service returns the short name of the service, such as "ssm".
func (e *Event) Service() string {
	name, _, _ := strings.Cut(e.Provider, ".")
	return name
}

// Denied reports whether the caller was not allowed.
func (e *Event) Denied() bool {
	return strings.Contains(e.Error, "AccessDenied") || strings.Contains(e.Error, "Unauthorized") ||
		strings.Contains(e.Error, "NotAuthorized") || strings.Contains(e.Error, "AuthorizationError")
}

// Reads reports whether the action only reads.
func (e *Event) Reads() bool {
	for _, p := range [...]string{"Get", "List", "Describe", "Lookup", "Search", "BatchGet", "Head"} {
		if strings.HasPrefix(e.Action, p) {
			return true
		}
	}
	return false
}

func (e *Event) evidence() Evidence {
	return Evidence{EventID: e.ID, Time: e.Time, Account: e.Account, Region: e.Region, Action: e.Action}
}
