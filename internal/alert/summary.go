package alert

import (
	"slices"
	"strconv"
	"strings"
)

// A Summary is an alert in the few words that a line has room for. Every word may
// come from a log: whoever prints it escapes it.
type Summary struct {
	Who   string // stable principal, shortened to what a person would say
	What  string // the action, and on what
	Where string // address, with country and network owner where known
}

// Summary returns who did what and from where.
func (a *Alert) Summary() Summary {
	s := Summary{Who: ShortPrincipal(a.Principal), What: a.what(), Where: a.where()}
	if s.Who == "" {
		s.Who = first(a.Event.Values("user.name"))
	}
	if a.Threshold != nil {
		s.What = strconv.FormatInt(a.Threshold.Count, 10) + " × " + s.What
	}
	return s
}

// what names the action, then the document and the targets if it has any.
func (a *Alert) what() string {
	parts := []string{first(a.Event.Values("event.action"))}
	if parts[0] == "" {
		parts[0] = a.Name
	}
	const request = "aws.cloudtrail.flattened.request_parameters."
	document := first(a.Event.Values(request + "documentName"))
	if document != "" {
		parts = append(parts, document)
	}
	targets := a.Targets()
	targets = slices.DeleteFunc(targets, func(t string) bool { return t == document })
	if len(targets) > 0 {
		parts = append(parts, "on "+strings.Join(targets, ", "))
	}
	if code := first(a.Event.Values("aws.cloudtrail.error_code")); code != "" {
		parts = append(parts, "("+code+")")
	}
	return strings.Join(parts, " ")
}

// Targets returns what the event's action was done to.
func (a *Alert) Targets() []string {
	return slices.Clone(a.Event.Values("target.entity.id"))
}

func (a *Alert) where() string {
	parts := []string{first(a.Event.Values("source.address"))}
	if c := first(a.Event.Values("source.geo.country_iso_code")); c != "" {
		parts = append(parts, c)
	}
	if o := first(a.Event.Values("source.as.organization.name")); o != "" {
		parts = append(parts, o)
	}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
}

// ShortPrincipal cuts an ARN to what tells principals of one account apart:
// "arn:aws:iam::111122223333:role/path/deploy" becomes "role/path/deploy
// (111122223333)". Anything else is returned as it is.
func ShortPrincipal(p string) string {
	parts := strings.SplitN(p, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[5] == "" {
		return p
	}
	if parts[4] == "" {
		return parts[5]
	}
	return parts[5] + " (" + parts[4] + ")"
}
