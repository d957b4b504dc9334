package enrich

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Call is an event as far as a chain of credentials needs it: who called with which
// credential, and which credential the call handed out. It is read-only.
type Call struct {
	ID     string
	Time   time.Time
	Action string
	Failed bool
	Shared string // sharedEventID: the same in the copies of two accounts

	Principal  string // stable
	Type       string // userIdentity.type
	Account    string // of the caller
	Session    string // userIdentity.principalId, such as "AROA…:name"
	Credential string // access key id that the call was made with
	Created    time.Time
	Address    string
	Attributes []string // what is to be carried along, such as a source identity

	Issued   string // access key id that the call handed out
	IssuedTo string // the session that it opened, like Session
	// SwitchedFrom is the ARN of who switched to a role in the console. The caller of
	// such an event is the session that it opened.
	SwitchedFrom string
}

// Wanted asks for the calls that began something, in [From, To). One of the others is
// set.
type Wanted struct {
	Key      string // they handed out this access key
	Session  string // they opened this session, or signed in as it
	Shared   string // they have this sharedEventID
	From, To time.Time
}

// A Hop is one holder of credentials. Its call is the event that the chain begins with,
// or the one that gave the credentials of the hop before.
type Hop struct {
	*Call
	// Copy is the record of the same call in the account of the role, where the caller's
	// own was found too.
	Copy *Call
	// Broken says why the chain ends here although somebody stands behind. It is empty
	// where there is nobody: a long-term key, a service, a person signed in elsewhere.
	Broken string
}

// ChainLimits bound a search.
type ChainLimits struct {
	Depth  int           // hops behind the first
	Within time.Duration // of a session's beginning, in which the call that opened it is looked for
	Oldest time.Duration // how far back, if the event does not tell when the session began
}

// Chain follows the credential of a call back to where it came from: to the call that
// handed it out, then to the credential of that call, and so on. find is asked a few
// times per hop, always for a window of time; the order of what it returns, and what it
// returns too much, do not matter. The first hop is the call itself.
func Chain(from *Call, limits ChainLimits, find func(Wanted) []*Call) []Hop {
	hops := []Hop{{Call: from}}
	if from.SwitchedFrom != "" {
		hops = append(hops, Hop{Call: switcher(from)})
	}
	for {
		h := &hops[len(hops)-1]
		over, why := ends(h.Call)
		if over {
			h.Broken = why
			return hops
		}
		next, why := limits.opened(h.Call, find)
		switch {
		case next.Call == nil:
			h.Broken = why
			return hops
		case slices.ContainsFunc(hops, func(o Hop) bool { return sameHop(o.Call, next.Call) }):
			h.Broken = "the chain comes back to " + cmp.Or(next.Credential, next.ID)
			return hops
		case len(hops) > limits.Depth:
			h.Broken = fmt.Sprintf("the chain is longer than the %d steps that are followed", limits.Depth)
			return hops
		}
		hops = append(hops, next)
	}
}

// sameHop reports whether two calls are one, or were made with the same temporary key.
func sameHop(a, b *Call) bool {
	return a.ID == b.ID || a.Credential != "" && a.Credential == b.Credential
}

// ends reports whether nothing that AWS logs stands behind a caller, or nothing that
// can be found, and then why.
func ends(c *Call) (over bool, broken string) {
	switch {
	case strings.HasPrefix(c.Credential, "AKIA"):
		return true, ""
	case c.SwitchedFrom != "":
		if strings.Contains(c.SwitchedFrom, ":assumed-role/") {
			return true, "the switch of roles in the console does not tell which session it came from"
		}
		return true, ""
	}
	switch c.Type {
	case "AWSService", "SAMLUser", "WebIdentityUser", "IdentityCenterUser", "Directory":
		return true, ""
	case "AWSAccount":
		return true, fmt.Sprintf("the caller belongs to account %s, whose own record of the call is not stored", cmp.Or(c.Account, "unknown"))
	case "IAMUser", "Root":
		return c.Credential == "" && c.Created.IsZero(), "" // a password
	case "AssumedRole", "FederatedUser":
		if c.Credential == "" && c.Session == "" {
			return true, "the event has neither an access key nor a session"
		}
		return false, ""
	case "":
		return true, "the event does not tell what kind of identity called"
	}
	return c.Credential == "", ""
}

const consoleLogin = "ConsoleLogin"

// oldestSession is an age that no session reaches: a creation date beyond it, as one that
// is missing, tells nothing. Sessions last 36 hours at most.
const oldestSession = 30 * 24 * time.Hour

// opened finds the call that began the session of c.
func (l ChainLimits) opened(c *Call, find func(Wanted) []*Call) (hop Hop, broken string) {
	if c.Action == consoleLogin && c.Created.IsZero() { // it begins the session
		login := *c
		login.Created = c.Time
		c = &login
	}
	w := Wanted{From: c.Created.Add(-l.Within), To: c.Created.Add(l.Within)}
	if age := c.Time.Sub(c.Created); age < -l.Within || age > oldestSession {
		w = Wanted{From: c.Time.Add(-l.Oldest), To: c.Time.Add(time.Second)}
	}
	ask := func(more Wanted, match func(*Call) bool) []*Call {
		more.From, more.To = w.From, w.To
		list := slices.DeleteFunc(slices.Clone(find(more)), func(o *Call) bool {
			return o.Failed || o.ID == c.ID || !match(o)
		})
		slices.SortFunc(list, func(a, b *Call) int {
			return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
		})
		return slices.CompactFunc(list, func(a, b *Call) bool { return a.ID == b.ID })
	}
	var list []*Call
	if c.Credential != "" {
		list = ask(Wanted{Key: c.Credential}, func(o *Call) bool { return o.Issued == c.Credential })
	}
	var begun []*Call
	if c.Session != "" && !c.Created.IsZero() && (len(list) == 0 || list[0].Type == "AWSAccount") {
		begun = ask(Wanted{Session: c.Session}, func(o *Call) bool { return opens(o, c) })
	}
	if len(list) == 0 {
		list = slices.DeleteFunc(slices.Clone(begun), func(o *Call) bool { return o.SwitchedFrom != "" })
		if len(list) > 1 && slices.ContainsFunc(list, func(o *Call) bool { return o.Principal != list[0].Principal && o.Type != "AWSAccount" }) {
			return Hop{}, "several callers opened a session of this name at the same moment"
		}
	}
	if len(list) > 0 {
		hop.Call = list[0]
	}
	if hop.Call != nil && hop.Type == "AWSAccount" && hop.Shared != "" {
		shared := hop.Shared
		for _, o := range ask(Wanted{Shared: shared}, func(o *Call) bool { return o.Shared == shared && o.ID != hop.ID }) {
			if o.Type != "AWSAccount" && o.Type != "" {
				hop.Copy, hop.Call = hop.Call, o
				break
			}
		}
	}
	if hop.Call == nil || hop.Type == "AWSAccount" {
		for _, o := range begun {
			if o.SwitchedFrom != "" {
				hop.Copy, hop.Call = hop.Call, switcher(o)
				break
			}
		}
	}
	if hop.Call == nil {
		return hop, "no event is stored that handed out this credential"
	}
	return hop, ""
}

// rank puts a caller's own record before its copy in the account of the role.
func rank(c *Call) int {
	if c.Type == "AWSAccount" {
		return 1
	}
	return 0
}

// opens reports whether o opened the session of c, going by its name and its time. A
// session's creation date is the second in which it was opened; the console hands on
// credentials of its own, so keys do not tell.
func opens(o, c *Call) bool {
	const second = time.Second
	switch {
	case o.Action == "SwitchRole":
		return o.Session == c.Session && o.SwitchedFrom != ""
	case o.Action == consoleLogin:
		return o.Session == c.Session && (c.Type == "IAMUser" || c.Type == "Root")
	case o.IssuedTo != c.Session:
		return false
	case c.Action == consoleLogin: // the credentials came first, the browser's redirection after
		return !o.Time.After(c.Time)
	}
	return o.Time.Sub(c.Created).Abs() <= second
}

// switcher is who switched to a role: what the event says of its caller is the session
// that it opened.
func switcher(o *Call) *Call {
	s := *o
	s.Session, s.Credential, s.Created = "", "", time.Time{}
	s.Principal, s.Type = o.SwitchedFrom, "AssumedRole"
	part := strings.SplitN(o.SwitchedFrom, ":", 6)
	if len(part) != 6 {
		return &s
	}
	s.Account = part[4]
	switch {
	case strings.HasPrefix(part[5], "user/"):
		s.Type = "IAMUser"
	case part[5] == "root":
		s.Type = "Root"
	case part[2] == "sts" && strings.HasPrefix(part[5], "assumed-role/"):
		role, _, _ := strings.Cut(strings.TrimPrefix(part[5], "assumed-role/"), "/")
		_, s.Session, _ = strings.Cut(strings.TrimPrefix(part[5], "assumed-role/"), "/")
		s.Principal = strings.Join([]string{part[0], part[1], "iam", "", part[4], "role/" + role}, ":")
	}
	return &s
}
