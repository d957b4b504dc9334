package triage

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/debutsec/debut/ecs"
)

// A policy is what an event shows of a policy document.
type policy []statement

type statement struct {
	allow                          bool
	principals, actions, resources []string
	conditional                    bool
}

// policyOf reads a policy from a request: as CloudTrail has it, which is a tree or the
// text of one. The second result is false if there is none that can be read.
func policyOf(v any) (policy, bool) {
	if s, ok := v.(string); ok {
		if strings.HasPrefix(s, "%7B") {
			if plain, err := url.QueryUnescape(s); err == nil {
				s = plain
			}
		}
		v = nil
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			return nil, false
		}
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	list, ok := m["Statement"].([]any)
	if !ok {
		if m["Statement"] == nil {
			return nil, false
		}
		list = []any{m["Statement"]}
	}
	var p policy
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			continue
		}
		effect, _ := m["Effect"].(string)
		p = append(p, statement{
			allow: effect == "Allow", principals: textsOf(m["Principal"]), actions: textsOf(m["Action"]),
			resources: textsOf(m["Resource"]), conditional: m["Condition"] != nil,
		})
	}
	return p, true
}

// textsOf gathers the texts and numbers of a tree, whatever its form.
func textsOf(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case ecs.Number:
		return []string{string(v)}
	case []any:
		for _, e := range v {
			list = append(list, textsOf(e)...)
		}
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			list = append(list, textsOf(v[name])...)
		}
	}
	return list
}

// admin reports whether a policy gives everything, or everything of IAM.
func (p policy) admin() bool {
	return slices.ContainsFunc(p, func(s statement) bool {
		return s.allow && slices.Contains(s.resources, "*") && slices.ContainsFunc(s.actions, func(a string) bool {
			a = strings.ToLower(a)
			return a == "*" || a == "*:*" || a == "iam:*"
		})
	})
}

// outsiders are whom a policy lets in from outside of the organisation: accounts, or
// "everybody".
func (c *Case) outsiders(p policy) (list []string) {
	for _, s := range p {
		if !s.allow {
			continue
		}
		for _, who := range s.principals {
			switch account := accountIn(who); {
			case who == "*" && !s.conditional:
				list = append(list, everybody)
			case account != "" && !c.Ours(account):
				list = append(list, account)
			}
		}
	}
	return unique(list)
}

const everybody = "everybody"

// serves reports whether a policy lets a service in, such as "cloudtrail.amazonaws.com".
func (p policy) serves(service string) bool {
	return slices.ContainsFunc(p, func(s statement) bool { return s.allow && slices.Contains(s.principals, service) })
}

// accountIn returns the account of an ARN, or the account if the text is one, or "".
func accountIn(s string) string {
	if isAccount(s) {
		return s
	}
	if parts := strings.SplitN(s, ":", 6); len(parts) == 6 && parts[0] == "arn" && isAccount(parts[4]) {
		return parts[4]
	}
	return ""
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// How a bucket belongs to the organisation.
const (
	bucketOurs = iota + 1
	bucketForeign
	bucketUnknown
)

// bucket tells whose a bucket is: the event names the owner's account, or the settings
// list the organisation's buckets.
func (c *Case) bucket(e *Event, name string) int {
	for _, r := range e.resources() {
		if r.account != "" && (r.arn == "arn:aws:s3:::"+name || strings.HasSuffix(r.arn, ":s3:::"+name)) {
			if c.Ours(r.account) {
				return bucketOurs
			}
			return bucketForeign
		}
	}
	switch {
	case name == "" || len(c.Settings.Buckets) == 0:
		return bucketUnknown
	case oneOf(c.Settings.Buckets, name):
		return bucketOurs
	}
	return bucketForeign
}

type resource struct{ arn, account string }

// resources are those that CloudTrail itself adds to an event, with their owners.
func (e *Event) resources() (list []resource) {
	e.load()
	v := any(map[string]any(e.doc))
	for _, key := range []string{"aws", "cloudtrail", "resources"} {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	all, _ := v.([]any)
	for _, v := range all {
		if m, ok := v.(map[string]any); ok {
			arn, _ := m["arn"].(string)
			account, _ := m["account_id"].(string)
			list = append(list, resource{arn, account})
		}
	}
	return list
}
