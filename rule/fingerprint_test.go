package rule_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/debutsec/debut/rule"
)

const fingerprinted = `[rule]
rule_id = "11111111-2222-3333-4444-555555555555"
name = "A"
description = "a"
type = "new_terms"
severity = "low"
risk_score = 21
language = "kuery"
query = 'event.action: SendCommand and event.outcome: success'
new_terms = { value = ["user.name"], field = "new_terms_fields", history_window_start = [{ value = "now-7d", field = "history_window_start" }] }
`

func TestFingerprintFollowsWhatMatches(t *testing.T) {
	t.Parallel()
	base := fingerprintOf(t, fingerprinted, "")
	replace := func(from, to string) string { return replaceOnce(t, fingerprinted, from, to) }
	exception := func(value string) string {
		return "[metadata]\nrule_ids = [\"11111111-2222-3333-4444-555555555555\"]\n[[exceptions]]\n[exceptions.container]\nname = \"x\"\n" +
			"[[exceptions.items]]\nname = \"ana\"\ntype = \"simple\"\n[[exceptions.items.entries]]\n" +
			"field = \"user.name\"\ntype = \"match\"\noperator = \"included\"\nvalue = \"" + value + "\"\n"
	}
	for name, same := range map[string]string{
		"name":     replace(`name = "A"`, `name = "B"`),
		"severity": replace(`severity = "low"`, `severity = "high"`),
		"spaces":   replace(`event.action: SendCommand and`, `(event.action:SendCommand)   AND`),
	} {
		if fingerprintOf(t, same, "") != base {
			t.Errorf("another %s made another fingerprint", name)
		}
	}
	seen := map[string]string{base: "nothing"}
	for name, text := range map[string]string{
		"query":  replace("SendCommand", "StartSession"),
		"field":  replace(`"user.name"`, `"user.id"`),
		"window": replace("now-7d", "now-14d"),
	} {
		f := fingerprintOf(t, text, "")
		if other, dup := seen[f]; dup {
			t.Errorf("a change of the %s has the fingerprint of a change of %s", name, other)
		}
		seen[f] = name
	}
	for _, v := range []string{"ana", "bo"} {
		f := fingerprintOf(t, fingerprinted, exception(v))
		if other, dup := seen[f]; dup {
			t.Errorf("an exception for %s has the fingerprint of a change of %s", v, other)
		}
		seen[f] = "an exception for " + v
	}
}

func fingerprintOf(t *testing.T, text, exceptions string) string {
	t.Helper()
	fsys := fstest.MapFS{"a.toml": {Data: []byte(text)}}
	paths := []string{"a.toml"}
	if exceptions != "" {
		fsys["x.toml"] = &fstest.MapFile{Data: []byte(exceptions)}
		paths = append(paths, "x.toml")
	}
	set, err := rule.Load(fsys, paths...)
	if err != nil || len(set.Rules) != 1 {
		t.Fatalf("load: %v, %v", err, set.Diagnostics)
	}
	f, err := set.Fingerprint(set.Rules[0])
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func replaceOnce(t *testing.T, s, from, to string) string {
	t.Helper()
	before, after, ok := strings.Cut(s, from)
	if !ok {
		t.Fatalf("%q is not there", from)
	}
	return before + to + after
}
