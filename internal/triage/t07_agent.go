package triage

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/enrich"
)

// userAgent is T7: with what program was it done?
func userAgent() *Step {
	return &Step{
		ID: "T7", Weight: 1,
		Question: "With what program was the call made, and does the principal use it?",
		Run:      runUserAgent,
	}
}

func runUserAgent(c *Case, a *Asking) {
	e := c.Event
	k := c.agentKind(e.Agent)
	this := []*Event{e}
	a.Uses(c.Baseline.Query)
	switch k.Class {
	case enrich.ClientNone:
		if !e.byAWS() {
			a.Say(this, "The call names no program.")
			a.Find("bare", this, "no user agent")
			break
		}
		a.Say(this, "No user agent is logged, as is usual for calls of AWS itself.")
	case enrich.ClientService:
		if enrich.AddressClass(e.Address) == enrich.AddressService {
			a.Say(this, "The AWS service %s made the call, from its own address.", k.Tool)
			a.Find("service", this, "the agent and the address are those of the service %s", e.Address)
			break
		}
		a.Say(this, "The agent names the service %s, but the call came from %s: anybody can write that.", k.Tool, cmp.Or(e.Address, "an address that is not logged"))
	default:
		u := c.usedClients()
		a.Say(this, "%s; %s.", agentText(&k), usedBefore(c, a, &k, u))
		findClient(c, a, &k, u)
		findSystem(c, a, &k)
		if k.Tool == "Mozilla" && !e.FromWeb && e.Service() != "signin" {
			a.Caveat("the agent is a browser's, but the log does not say that the session is of the console")
		}
	}
	findMark(c, a, &k)
	findInterleaved(c, a)
}

// byAWS reports whether AWS itself makes the call.
func (e *Event) byAWS() bool {
	class := enrich.AddressClass(e.Address)
	return e.Type == "AWSService" || class == enrich.AddressService || class == enrich.AddressInternal
}

// agentText is a client in words, such as "Command line aws-cli 2.17.60 on Linux".
func agentText(k *enrich.AgentKind) string {
	name := map[string]string{
		enrich.ClientConsole: "A browser or the console", enrich.ClientCLI: "The command line", enrich.ClientSDK: "An SDK", enrich.ClientIaC: "Infrastructure as code",
		enrich.ClientCI: "A client in an automated environment", enrich.ClientShell: "A client in a shell of AWS", enrich.ClientHostile: "An offensive tool",
		enrich.ClientAudit: "A test or audit tool", enrich.ClientTransfer: "A program for mass transfer", enrich.ClientBare: "A library's default agent",
	}[k.Class]
	text := cmp.Or(name, "A program that is not known here") + ", " + strings.TrimSpace(shown(k.Tool)+" "+k.Version)
	if k.OS != "" {
		text += " on " + k.OS
	}
	if k.ExecEnv != "" {
		text += ", in " + shown(k.ExecEnv)
	}
	if k.Command != "" {
		text += ", for " + shown(k.Command)
	}
	return text
}

// agentKind is what an agent says, found out once for each: many events have the same.
func (c *Case) agentKind(agent string) enrich.AgentKind {
	k, ok := c.agents[agent]
	if !ok {
		k = enrich.AgentClass(agent)
		c.agents[agent] = k
	}
	return k
}

// clientOf is the class of the program itself, wherever it runs: a command line in
// CloudShell is a command line.
func clientOf(k *enrich.AgentKind) string { return enrich.AgentClass(k.Tool).Class }

// maxAgents is how many agents of the baseline are looked at.
const maxAgents = 20_000

// usedClients counts by class of client what the principal did in the baseline. It is nil if
// that is not known.
func (c *Case) usedClients() map[string]int64 {
	own := c.Baseline.Own.Agents
	if c.Event.Principal == "" || len(own) > maxAgents {
		return nil
	}
	n := map[string]int64{}
	for name, s := range own {
		n[c.agentKind(name).Class] += s.Count
	}
	return n
}

// used counts what the principal did in the baseline with a class of clients.
func (c *Case) used(class string) int64 { return c.usedClients()[class] }

func usedBefore(c *Case, a *Asking, k *enrich.AgentKind, used map[string]int64) string {
	switch {
	case c.Event.Principal == "":
		return "who calls is not known, and so not what he uses"
	case used == nil:
		return "the principal uses so many agents that they are not compared"
	}
	class := clientOf(k)
	switch class {
	case enrich.ClientIaC:
		if days := daysShown(c, a, k.Tool); days > 0 {
			return fmt.Sprintf("the principal showed it on %s %s", amount(days, "day"), c.past())
		}
		return "with this principal it was " + c.unseen()
	case enrich.ClientOther:
		if s := c.Baseline.Own.Agents[agentName(c.Event)]; s != nil {
			return fmt.Sprintf("the principal used it %s %s", times(int(s.Count)), c.past())
		}
		return "with this principal it was " + c.unseen()
	}
	if n := used[class]; n > 0 {
		return fmt.Sprintf("the principal used this kind of client (%s) %s %s", class, times(int(n)), c.past())
	}
	return "with this principal, this kind of client (" + class + ") was " + c.unseen()
}

// findClient compares the client with those that the principal used.
func findClient(c *Case, a *Asking, k *enrich.AgentKind, used map[string]int64) {
	this := []*Event{c.Event}
	known := c.Event.Principal != ""
	switch class := clientOf(k); {
	case used == nil || !c.Baseline.Complete || used[class] > 0:
	case class == enrich.ClientCLI:
		a.Find("cli-new", this, "the AWS command line, %s with this principal", c.unseen())
	case class == enrich.ClientSDK:
		a.Find("sdk-new", this, "an AWS SDK (%s), %s with this principal", shown(k.Tool), c.unseen())
	}
	usual := int(c.Weights.Number("agent_days"))
	switch k.Class {
	case enrich.ClientIaC:
		if days := daysShown(c, a, k.Tool); known && days >= usual {
			a.Find("iac", this, "%s, as this principal showed on %s before", shown(k.Tool), amount(days, "day"))
		}
	case enrich.ClientCI:
		if days := daysShown(c, a, k.ExecEnv); known && days >= usual {
			a.Find("ci", this, "in %s, as this principal was on %s before", shown(k.ExecEnv), amount(days, "day"))
		}
	case enrich.ClientShell:
		if known && !a.seen("*CloudShell* or *cloudshell* or *Cloud9* or *cloud9*") {
			a.Find("cloudshell-new", this, "from %s, %s with this principal", shown(k.ExecEnv), c.unseen())
		}
	case enrich.ClientTransfer:
		a.Find("mass-transfer", this, "%s is made for moving many files", shown(k.Tool))
	case enrich.ClientBare:
		a.Find("bare", this, "%s is the default agent of a library that does not know AWS", shown(k.Tool))
	}
}

// maxShown is how many earlier events with a mark in their agent are read.
const maxShown = 200

// daysShown returns on how many days of the baseline the principal's agents had a mark
// in them.
func daysShown(c *Case, a *Asking, mark string) int {
	// A mark with characters that mean something in a query is not asked for.
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	if c.Event.Principal == "" || len(mark) < 3 || strings.ContainsFunc(mark, strange) {
		return 0
	}
	days := map[string]bool{}
	for _, e := range a.Events(all(is("debut.principal", c.Event.Principal), "user_agent.original: *"+mark+"*"), c.active(c.Event.Principal), maxShown) {
		days[e.Time.Format(time.DateOnly)] = true
	}
	return len(days)
}

// seen reports whether an agent of the principal in the baseline had one of some marks,
// which are a KQL expression. If the store cannot answer, the step fails.
func (a *Asking) seen(marks string) bool {
	if a.err != nil {
		return false
	}
	list, q, err := a.c.query(a.ctx, all(is("debut.principal", a.c.Event.Principal), "user_agent.original: ("+marks+")"), a.c.active(a.c.Event.Principal), 1)
	if err != nil {
		a.err = err
		return false
	}
	a.Uses(q)
	a.Cite(list...)
	return len(list) > 0
}

// systemMarks are what agents call operating systems, as queries.
var systemMarks = map[string]string{ //nolint:gochecknoglobals // a constant table
	"Linux": "*Linux* or *linux*", "Windows": "*Windows* or *windows* or *win32*", "macOS": "*macos* or *macOS* or *Darwin* or *darwin* or *OS X*",
	"Android": "*Android*", "iOS": "*iPhone* or *iPad* or *os/ios*", "FreeBSD": "*FreeBSD* or *freebsd*",
}

// findSystem tells an operating system that the principal never used.
func findSystem(c *Case, a *Asking, k *enrich.AgentKind) {
	marks := systemMarks[k.OS]
	if marks == "" || c.Event.Principal == "" || k.Class == enrich.ClientConsole && k.Tool != "Mozilla" {
		return // the console's own machines tell nothing about the caller's
	}
	if !a.seen(marks) {
		a.Find("os-new", []*Event{c.Event}, "%s, %s with this principal", k.OS, c.unseen())
	}
}

// findMark tells marks of tools: in the agent of the event, else in that of another
// event by the same session, key or principal.
func findMark(c *Case, a *Asking, k *enrich.AgentKind) {
	at, mark, audit := c.Event, k.Mark, k.Audit
	if mark == "" {
		for _, e := range c.Own() {
			if o := c.agentKind(e.Agent); o.Mark != "" && (mark == "" || audit && !o.Audit) {
				at, mark, audit = e, o.Mark, o.Audit
			}
		}
	}
	if mark == "" {
		return
	}
	where := "the agent"
	if at != c.Event {
		where = fmt.Sprintf("the agent of %s at %s, %s,", callOf(at), stamp(at.Time), c.Tied(at))
	}
	both := []*Event{at}
	if audit {
		a.Find("audit-tool", both, "%s names %s, a test or audit tool", where, mark)
		return
	}
	a.Find("offensive", both, "%s names %s, an offensive tool or system", where, mark)
}

// findInterleaved tells two kinds of client from two networks with one credential,
// within minutes. What services do on behalf of a caller is no client.
func findInterleaved(c *Case, a *Asking) {
	if c.Event.Credential == "" {
		return
	}
	within := c.Weights.Duration("interleaved_in")
	calls := keep(c.Related, func(e *Event) bool {
		class := c.agentKind(e.Agent).Class
		return e.Credential == c.Event.Credential && e.IP.IsValid() && class != enrich.ClientNone && class != enrich.ClientService
	})
	class, from := make([]string, len(calls)), make([]string, len(calls))
	for i, e := range calls {
		class[i], from[i] = c.agentKind(e.Agent).Class, network(e)
	}
	for i, e := range calls {
		for k := i + 1; k < len(calls) && k <= i+maxInterleaved && calls[k].Time.Sub(e.Time) <= within; k++ {
			if class[i] == class[k] || from[i] == from[k] {
				continue
			}
			pair, apart := []*Event{e, calls[k]}, lasting(calls[k].Time.Sub(e.Time))
			a.Say(pair, "The same credential was used from %s (%s) and, %s later, from %s (%s).", e.Address, class[i], apart, calls[k].Address, class[k])
			a.Find("interleaved", pair, "one credential, two kinds of client (%s, %s), two networks, within %s: it is shared or stolen", class[i], class[k], apart)
			return
		}
	}
}

// maxInterleaved bounds how many calls behind one it is compared with.
const maxInterleaved = 500
