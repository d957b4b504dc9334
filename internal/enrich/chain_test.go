package enrich_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/enrich"
)

var noon = time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// role is a call by a session of a role that began at a minute.
func role(id string, minute int, name, key string, since int) *enrich.Call {
	return &enrich.Call{
		ID: id, Time: at(minute), Action: "AssumeRole", Type: "AssumedRole", Principal: "role/" + name,
		Session: "AROA" + name + ":s", Credential: key, Created: at(since),
	}
}

func user(id string, minute int, name string) *enrich.Call {
	return &enrich.Call{ID: id, Time: at(minute), Action: "AssumeRole", Type: "IAMUser", Principal: "user/" + name, Session: "AIDA" + name, Credential: "AKIA" + name}
}

func issuing(c *enrich.Call, key, to string) *enrich.Call {
	c.Issued, c.IssuedTo = key, to
	return c
}

var limits = enrich.ChainLimits{Depth: 5, Within: 5 * time.Minute, Oldest: 24 * time.Hour}

// search is a store of calls: it answers as a store would, in some order and with
// copies.
func search(t *testing.T, list []*enrich.Call, seed uint64) func(enrich.Wanted) []*enrich.Call {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	return func(w enrich.Wanted) (out []*enrich.Call) {
		if w.To.IsZero() || w.To.Sub(w.From) > limits.Oldest+time.Second {
			t.Errorf("the search is not bounded: %+v", w)
		}
		for _, c := range list {
			if c.Time.Before(w.From) || !c.Time.Before(w.To) {
				continue
			}
			if w.Key != "" && c.Issued == w.Key || w.Shared != "" && c.Shared == w.Shared ||
				w.Session != "" && (c.IssuedTo == w.Session || c.Session == w.Session) {
				out = append(out, c, c)
			}
		}
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		return out
	}
}

// printed writes a chain as one line.
func printed(hops []enrich.Hop) string {
	var parts []string
	for _, h := range hops {
		s := h.Principal
		if h.Copy != nil {
			s += " (copy " + h.Copy.ID + ")"
		}
		if h.Broken != "" {
			s += " [" + h.Broken + "]"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " <- ")
}

func TestChain(t *testing.T) {
	t.Parallel()
	shared := func(c *enrich.Call, id string) *enrich.Call { c.Shared = id; return c }
	failed := func(c *enrich.Call) *enrich.Call { c.Failed = true; return c }
	account := &enrich.Call{ID: "b", Time: at(0), Action: "AssumeRole", Type: "AWSAccount", Account: "444455556666", Principal: "444455556666/AIDAx", Shared: "s1", Issued: "ASIA1", IssuedTo: "AROAA:s"}
	switched := &enrich.Call{ID: "w", Time: at(0), Action: "SwitchRole", Type: "AssumedRole", Principal: "role/A", Session: "AROAA:s", SwitchedFrom: "arn:aws:iam::444455556666:user/ann"}
	again := *switched
	again.SwitchedFrom = "arn:aws:sts::444455556666:assumed-role/Base/ann"
	for _, test := range []struct {
		name string
		from *enrich.Call
		have []*enrich.Call
		want string
	}{
		{"a long-term key", user("e", 10, "ann"), nil, "user/ann"},
		{"a role", role("e", 10, "A", "ASIA1", 0), []*enrich.Call{issuing(user("a", 0, "ann"), "ASIA1", "AROAA:s")}, "role/A <- user/ann"},
		{
			"two roles",
			role("e", 10, "A", "ASIA1", 8),
			[]*enrich.Call{issuing(role("a", 8, "B", "ASIA2", 7), "ASIA1", "AROAA:s"), issuing(user("b", 7, "ann"), "ASIA2", "AROAB:s")},
			"role/A <- role/B <- user/ann",
		},
		{"nothing stored", role("e", 10, "A", "ASIA1", 0), nil, "role/A [no event is stored that handed out this credential]"},
		{
			"handed out long before the session began", role("e", 100, "A", "ASIA1", 90),
			[]*enrich.Call{issuing(user("a", 0, "ann"), "ASIA1", "AROAA:s")},
			"role/A [no event is stored that handed out this credential]",
		},
		{
			"the call failed", role("e", 10, "A", "ASIA1", 0),
			[]*enrich.Call{failed(issuing(user("a", 0, "ann"), "ASIA1", "AROAA:s"))},
			"role/A [no event is stored that handed out this credential]",
		},
		{
			"a cycle", role("e", 1, "A", "ASIA1", 0),
			[]*enrich.Call{issuing(role("a", 0, "B", "ASIA2", 0), "ASIA1", ""), issuing(role("b", 0, "A", "ASIA1", 0), "ASIA2", "")},
			"role/A <- role/B [the chain comes back to ASIA1]",
		},
		{
			"it hands itself out", role("e", 1, "A", "ASIA1", 0),
			[]*enrich.Call{issuing(role("a", 0, "A", "ASIA1", 0), "ASIA1", "AROAA:s")},
			"role/A [the chain comes back to ASIA1]",
		},
		{
			"another account, its trail not stored", role("e", 1, "A", "ASIA1", 0),
			[]*enrich.Call{account},
			"role/A <- 444455556666/AIDAx [the caller belongs to account 444455556666, whose own record of the call is not stored]",
		},
		{
			"another account, joined", role("e", 1, "A", "ASIA1", 0),
			[]*enrich.Call{account, shared(user("a", 0, "ann"), "s1"), shared(user("c", 0, "bob"), "s2")},
			"role/A <- user/ann (copy b)",
		},
		{
			"the console hands on its own key", role("e", 1, "A", "ASIA9", 0),
			[]*enrich.Call{issuing(user("a", 0, "ann"), "ASIA1", "AROAA:s"), issuing(user("b", 2, "bob"), "ASIA2", "AROAA:s")},
			"role/A <- user/ann",
		},
		{
			"two at the same moment", role("e", 1, "A", "ASIA9", 0),
			[]*enrich.Call{issuing(user("a", 0, "ann"), "ASIA1", "AROAA:s"), issuing(user("b", 0, "bob"), "ASIA2", "AROAA:s")},
			"role/A [several callers opened a session of this name at the same moment]",
		},
		{"switched from a user", role("e", 1, "A", "ASIA9", 0), []*enrich.Call{switched}, "role/A <- arn:aws:iam::444455556666:user/ann"},
		{"switched, and a copy", role("e", 1, "A", "ASIA9", 0), []*enrich.Call{switched, account}, "role/A <- arn:aws:iam::444455556666:user/ann (copy b)"},
		{
			"switched from a role", role("e", 1, "A", "ASIA9", 0),
			[]*enrich.Call{&again},
			"role/A <- arn:aws:iam::444455556666:role/Base [the switch of roles in the console does not tell which session it came from]",
		},
		{"the switch itself", switched, []*enrich.Call{account}, "role/A <- arn:aws:iam::444455556666:user/ann"},
		{
			"a login by SAML itself",
			&enrich.Call{ID: "l", Time: at(0), Action: "ConsoleLogin", Type: "AssumedRole", Principal: "role/A", Session: "AROAA:s"},
			[]*enrich.Call{
				{ID: "a", Time: at(-1), Action: "AssumeRoleWithSAML", Type: "SAMLUser", Principal: "idp/ann", Issued: "ASIA1", IssuedTo: "AROAA:s"},
				{ID: "b", Time: at(1), Action: "AssumeRoleWithSAML", Type: "SAMLUser", Principal: "idp/bob", Issued: "ASIA2", IssuedTo: "AROAA:s"},
			},
			"role/A <- idp/ann",
		},
		{
			"a user's session in the console",
			&enrich.Call{ID: "e", Time: at(9), Type: "IAMUser", Principal: "user/ann", Session: "AIDAann", Credential: "ASIA1", Created: at(0)},
			[]*enrich.Call{{ID: "l", Time: at(0), Action: "ConsoleLogin", Type: "IAMUser", Principal: "user/ann", Session: "AIDAann"}},
			"user/ann <- user/ann",
		},
		{
			"a service", role("e", 10, "A", "ASIA1", 0),
			[]*enrich.Call{{ID: "a", Time: at(0), Type: "AWSService", Principal: "ec2.amazonaws.com", Issued: "ASIA1"}},
			"role/A <- ec2.amazonaws.com",
		},
		{"no kind", &enrich.Call{ID: "e", Time: at(0)}, nil, " [the event does not tell what kind of identity called]"},
		{"no key, no session", &enrich.Call{ID: "e", Time: at(0), Type: "AssumedRole"}, nil, " [the event has neither an access key nor a session]"},
		{"it began after it was used", role("e", 10, "A", "ASIA1", 99), []*enrich.Call{issuing(user("a", 0, "ann"), "ASIA1", "AROAA:s")}, "role/A <- user/ann"},
		{"when it began is not known", &enrich.Call{ID: "e", Time: at(600), Type: "AssumedRole", Principal: "role/A", Credential: "ASIA1"}, []*enrich.Call{issuing(user("a", 0, "ann"), "ASIA1", "")}, "role/A <- user/ann"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				have := append(slices.Clone(test.have), test.from) // a store has the event itself, too
				if diff := cmp.Diff(test.want, printed(enrich.Chain(test.from, limits, search(t, have, seed)))); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

// TestChainDepth follows a chain of ten roles: five hops and no further.
func TestChainDepth(t *testing.T) {
	t.Parallel()
	var list []*enrich.Call
	for i := range 10 {
		list = append(list, issuing(role(fmt.Sprint("a", i), -i, fmt.Sprint(i+1), fmt.Sprint("ASIA", i+1), -i-1), fmt.Sprint("ASIA", i), ""))
	}
	hops := enrich.Chain(role("e", 1, "0", "ASIA0", 0), limits, search(t, list, 1))
	if len(hops) != 6 || hops[5].Broken != "the chain is longer than the 5 steps that are followed" {
		t.Errorf("%d hops: %s", len(hops), printed(hops))
	}
	if strings.Contains(printed(hops[:5]), "[") {
		t.Error(printed(hops))
	}
}
