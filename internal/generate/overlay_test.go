package generate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/generate"
)

// verdicts is what the truth must say about each principal of a case, in order of time:
// an action's initial, in capitals if it must alert.
var verdicts = map[string]struct{ pairs, sendCommand string }{
	"first":           {"C", "C"},
	"again":           {"Ccc", "CCc"}, // the second is another session
	"denied-first":    {"Cc", "cC"},
	"failed-first":    {"Cc", "cC"},
	"other-account":   {"C", "C"},
	"on-behalf":       {"C", "C"},
	"state-manager":   {"C", "c"}, // left out by the rule's query
	"twice":           {"C", "C"},
	"held-back":       {"Cc", "Cc"},
	"targets":         {"Ccc", "Ccc"},
	"around":          {"SDC", "C"},
	"same-second":     {"C", "C"},
	"return-short":    {"Cc", "Cc"},
	"return-long":     {"CC", "Cc"}, // seven days are not over
	"return-short-7d": {"CC", "Cc"},
	"return-long-7d":  {"CC", "CC"},
	"flood":           {"*", "cC"},
}

// letters names the overlay's actions.
var letters = map[string]string{"SendCommand": "c", "StartSession": "s", "DescribeInstanceInformation": "d"}

func TestOverlay(t *testing.T) {
	t.Parallel()
	cfg := generate.Default(15_000, 4)
	cfg.Accounts, cfg.Days, cfg.Overlay, cfg.Workers, cfg.RecordsPerObject = 15, 15, 5, 2, 500
	dir, sum := trail(t, cfg)
	lines := readLines[generate.Verdict](t, sum.Truth)

	type of struct{ name, principal, check string }
	got := map[of]string{}
	times := map[string][]generate.Verdict{} // of the SendCommand check, by case
	seen := map[string]int{}
	accounts := map[string]map[string]bool{}
	for i := range lines {
		v := &lines[i]
		_, ok := verdicts[v.Case]
		if !ok {
			continue
		}
		letter := letters[v.Action]
		if v.Case == "flood" && v.Check == generate.CheckPairs {
			letter = "*"
		}
		if v.Alert {
			letter = strings.ToUpper(letter)
		}
		k := of{v.Case, v.Principal, v.Check}
		got[k] += letter
		seen[v.Case]++
		if v.Check == generate.CheckSendCommand {
			times[v.Case] = append(times[v.Case], *v)
			if strings.Contains(v.Principal, "shared-operations") {
				_, name, _ := strings.Cut(v.Principal, "/")
				if accounts[name] == nil {
					accounts[name] = map[string]bool{}
				}
				accounts[name][v.Account] = true
			}
		}
	}
	for k, have := range got {
		want := verdicts[k.name].pairs
		if k.check == generate.CheckSendCommand {
			want = verdicts[k.name].sendCommand
		}
		if k.name == "flood" && k.check == generate.CheckPairs {
			want = strings.Repeat(want, 12)
		}
		if k.name == "state-manager" { // one principal for all of an account's
			want, have = want[:1], have[:1]
		}
		if have != want {
			t.Errorf("%s of %s by %s: got %s, want %s", k.check, k.name, k.principal, have, want)
		}
	}
	for name := range verdicts {
		if seen[name] == 0 {
			t.Errorf("no line for the case %s", name)
		}
	}
	for name, in := range accounts {
		if len(in) != 2 {
			t.Errorf("%s is in %d accounts, want 2", name, len(in))
		}
	}
	checkHeldBack(t, times["held-back"])
	checkSameSecond(t, times["same-second"])
	checkTwice(t, dir, times["twice"])
}

func parse(tb testing.TB, text string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

func checkHeldBack(t *testing.T, lines []generate.Verdict) {
	t.Helper()
	byPrincipal := map[string][]generate.Verdict{}
	for _, v := range lines {
		byPrincipal[v.Principal] = append(byPrincipal[v.Principal], v)
	}
	for who, v := range byPrincipal {
		if len(v) != 2 || v[0].Arrival <= v[1].Arrival {
			t.Errorf("the first call of %s is not held back: %+v", who, v)
			continue
		}
		if late := parse(t, v[0].Arrival).Sub(parse(t, v[0].EventTime)); late > 15*time.Minute {
			t.Errorf("the first call of %s comes after %s", who, late)
		}
	}
}

func checkSameSecond(t *testing.T, lines []generate.Verdict) {
	t.Helper()
	count := map[string]int{}
	for _, v := range lines {
		count[v.Account+v.EventTime]++
	}
	for at, n := range count {
		if n != 2 {
			t.Errorf("%d calls at %s, want 2", n, at)
		}
	}
}

func checkTwice(t *testing.T, dir string, lines []generate.Verdict) {
	t.Helper()
	var want, got []string
	for _, v := range lines {
		want = append(want, v.EventID)
	}
	copies := map[string]int{}
	readObjects(t, dir, func(o object) {
		for i := range o.records {
			if id := o.records[i].EventID; slices.Contains(want, id) {
				copies[id]++
			}
		}
	})
	for id, n := range copies {
		if n >= 2 {
			got = append(got, id)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-) that stand twice (+):\n%s", diff)
	}
}
