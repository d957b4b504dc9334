package alert

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Summary is an alert in the few words that a line has room for. Every word may
// come from a log: whoever prints it escapes it.
type Summary struct {
	Who   string // stable principal, shortened to what a person would say
	What  string // the action, and on what
	Where string // address, with country and network owner where known
}

const (
	maxTargets = 3   // that a summary names
	maxWord    = 120 // bytes of one of its values
)

// Summary returns who did what and from where. Of a threshold's alert, which stands
// for many events, it says only what is true of all of them, and what the first one
// was.
func (a *Alert) Summary() Summary {
	if a.Threshold != nil {
		return a.thresholdSummary()
	}
	s := Summary{Who: word(ShortPrincipal(a.Principal)), What: a.what(), Where: a.where()}
	if s.Who == "" {
		s.Who = a.word("user.name")
	}
	return s
}

// what names the action, then the document and the targets if it has any.
func (a *Alert) what() string {
	parts := []string{a.word("event.action")}
	if parts[0] == "" {
		parts[0] = word(a.Name)
	}
	document := first(a.Event.Values("aws.cloudtrail.flattened.request_parameters.documentName"))
	if document != "" {
		parts = append(parts, word(document))
	}
	targets := slices.DeleteFunc(a.Targets(), func(t string) bool { return t == document })
	if len(targets) > 0 {
		parts = append(parts, "on "+fewWords(targets))
	}
	if code := a.word("aws.cloudtrail.error_code"); code != "" {
		parts = append(parts, "("+code+")")
	}
	return strings.Join(parts, " ")
}

// Targets returns what the event's action was done to.
func (a *Alert) Targets() []string {
	return slices.Clone(a.Event.Values("target.entity.id"))
}

func (a *Alert) where() string {
	return spaced(a.word("source.address"), a.word("source.geo.country_iso_code"), a.word("source.as.organization.name"))
}

func (a *Alert) thresholdSummary() Summary {
	s := Summary{Who: word(ShortPrincipal(a.Principal))}
	action := ""
	var others []string
	for _, t := range a.Terms {
		v := word(t.Value)
		switch t.Field {
		case "event.action":
			action = v
		case "source.ip", "source.address":
			s.Where = v
		case "debut.principal", "aws.cloudtrail.user_identity.arn":
			if s.Who == "" {
				s.Who = word(ShortPrincipal(t.Value))
			}
		case "user.name", "user.id":
			if s.Who == "" {
				s.Who = v
			}
		default:
			others = append(others, t.Field+" "+v)
		}
	}
	if s.Who == "" && a.Principal == "" && len(a.Event.Values("debut.principal")) > 0 {
		s.Who = "several principals"
	}
	count := strconv.FormatInt(a.Threshold.Count, 10)
	switch {
	case action != "":
		s.What = count + " × " + action
	case a.word("event.action") != "":
		s.What = count + " events, the first " + a.word("event.action")
	default:
		s.What = count + " events"
	}
	if len(others) > 0 {
		s.What += ", of " + strings.Join(others, ", ")
	}
	return s
}

// word returns the first value of a field, shortened.
func (a *Alert) word(field string) string { return word(first(a.Event.Values(field))) }

// word shortens a value to what a line has room for.
func word(s string) string {
	if len(s) <= maxWord {
		return s
	}
	end := maxWord
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// fewWords lists the first few values and counts the others.
func fewWords(list []string) string {
	parts := slices.Clone(list[:min(len(list), maxTargets)])
	for i := range parts {
		parts[i] = word(parts[i])
	}
	text := strings.Join(parts, ", ")
	if n := len(list) - maxTargets; n > 0 {
		text += " and " + strconv.Itoa(n) + " more"
	}
	return text
}

// spaced joins what is not empty.
func spaced(parts ...string) string {
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

// Reason says in one line what the alert is about, from the fields that are there
// and in the order of Kibana's reasons: the same for all types of rules.
func (a *Alert) Reason() string {
	one := func(field string) string {
		v := first(a.values(field))
		if v == "-" {
			return ""
		}
		return oneLine(v)
	}
	named := func(label, value string) string {
		if value == "" {
			return ""
		}
		return label + " " + value
	}
	address := func(field string) string {
		ip, port := one(field+".ip"), one(field+".port")
		if ip == "" {
			ip = one(field + ".address")
		}
		if ip != "" && port != "" {
			ip += ":" + port
		}
		return ip
	}
	with := strings.Join(slices.DeleteFunc([]string{
		named("process", one("process.name")), named("parent process", one("process.parent.name")),
		named("file", one("file.name")), named("source", address("source")), named("destination", address("destination")),
	}, func(s string) bool { return s == "" }), ", ")
	if with != "" {
		with = "with " + with
	}
	return spaced(
		oneLine(strings.Join(a.values("event.category"), ", ")), "event", with,
		named("by", one("user.name")), named("on", one("host.name")),
		"created "+a.Severity+" alert "+oneLine(a.Name)+".",
	)
}

// oneLine makes one line of a text.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}
