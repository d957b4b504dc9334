package triage

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// An Event is a stored event as steps see it: what every step asks is read once, all
// else is a field of its document. It is read-only and owns its memory.
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

	doc ecs.Document
}

func newEvent(s *store.Stored) *Event {
	doc := s.Event.Document()
	get := func(name string) string { return firstOf(doc.Values(name)) }
	const identity = "aws.cloudtrail.user_identity."
	e := &Event{
		ID: get("event.id"), Time: time.Unix(0, s.Time).UTC(), Account: get("cloud.account.id"),
		Owner: get("aws.cloudtrail.recipient_account_id"), Region: get("cloud.region"),
		Provider: get("event.provider"), Action: get("event.action"),
		Error: get("aws.cloudtrail.error_code"), Message: get("aws.cloudtrail.error_message"),
		Principal: get("debut.principal"), Type: get(identity + "type"), ARN: get(identity + "arn"),
		UserID: get("user.id"), UserName: get("user.name"), Credential: get(identity + "access_key_id"),
		MFA: get(identity + "session_context.mfa_authenticated"), InvokedBy: get(identity + "invoked_by"),
		FromWeb: get("aws.cloudtrail.session_credential_from_console") == "true",
		Agent:   get("user_agent.original"), Address: get("source.address"),
		Endpoint: get("aws.cloudtrail.vpc_endpoint_id"), SharedID: get("aws.cloudtrail.shared_event_id"),
		doc: doc,
	}
	if e.ID == "" {
		e.ID = s.ID.String()
	}
	if e.Owner == "" {
		e.Owner = e.Account
	}
	if a, err := netip.ParseAddr(firstOf(append(doc.Values("source.ip"), e.Address))); err == nil {
		e.IP = a.Unmap().WithZone("")
	}
	if t, err := time.Parse(time.RFC3339Nano, get(identity+"session_context.creation_date")); err == nil {
		e.Created = t.UTC()
	}
	return e
}

// Values returns the values of a field of the ECS document, as queries see it.
func (e *Event) Values(field string) []string { return e.doc.Values(field) }

// Value returns the first of them, or "".
func (e *Event) Value(field string) string { return firstOf(e.doc.Values(field)) }

// Request returns the values at a path of the request's parameters, such as
// "instanceIds" or "targets.key"; lists are joined into one.
func (e *Event) Request(path string) []string {
	return e.doc.Values("aws.cloudtrail.flattened.request_parameters." + path)
}

// Response returns the values at a path of the response.
func (e *Event) Response(path string) []string {
	return e.doc.Values("aws.cloudtrail.flattened.response_elements." + path)
}

// RequestTree returns a part of the request's parameters with its structure: a
// map[string]any, a []any, a string or another scalar; nil if it is not there.
func (e *Event) RequestTree(name string) any { return member(e.doc, "request_parameters", name) }

// ResponseTree returns a part of the response.
func (e *Event) ResponseTree(name string) any { return member(e.doc, "response_elements", name) }

func member(doc ecs.Document, part, name string) any {
	v := any(map[string]any(doc))
	for _, key := range []string{"aws", "cloudtrail", "flattened", part, name} {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
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

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
