package query_test

import (
	"fmt"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

func Example() {
	cat := ecs.NewCatalogue()
	send, err := query.Equal(cat.Resolve("event.action"), "SendCommand")
	if err != nil {
		panic(err)
	}
	failed := query.Exists(cat.Resolve("aws.cloudtrail.error_code"))
	cond := query.And(send, query.Not(failed))

	ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"action":"SendCommand"}}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(cond.Match(ev))

	// What is known of an event without reading all of it may be enough.
	onlyAction := func(action string) query.Known {
		return func(f *ecs.Field) ([]string, bool) { return []string{action}, f.Name == "event.action" }
	}
	fmt.Println(cond.Decide(onlyAction("GetObject")) == query.False, cond.Decide(onlyAction("SendCommand")) == query.Maybe)
	// Output:
	// true
	// true true
}

func ExampleDiagnostic_Render() {
	fmt.Print(query.Diagnostic{
		Severity: query.Warning, Code: "unknown-field", File: "rules/login.toml", Line: 7, Column: 10, Width: 9,
		Source: `query = 'user.nmae: root'`, Message: `no event has the field "user.nmae"`, Hint: `did you mean "user.name"?`,
	}.Render())
	// Output:
	// rules/login.toml:7:10: warning: no event has the field "user.nmae" [unknown-field]
	//     query = 'user.nmae: root'
	//              ^^^^^^^^^
	//     hint: did you mean "user.name"?
}

func ExampleParseDateMath() {
	now := time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC)
	for _, s := range []string{"now-7d", "now-1d/d", "2026-01-31||+1M"} {
		m, err := query.ParseDateMath(s)
		if err != nil {
			panic(err)
		}
		fmt.Println(m.At(now).Format(time.RFC3339), m.End(now).Format("2006-01-02T15:04:05.000Z"))
	}
	// Output:
	// 2026-02-25T10:20:30Z 2026-02-25T10:20:30.000Z
	// 2026-03-03T00:00:00Z 2026-03-03T23:59:59.999Z
	// 2026-02-28T00:00:00Z 2026-02-28T23:59:59.999Z
}

func ExamplePattern() {
	p := query.ParsePattern("arn:aws:iam::*:role/*", false, false)
	fmt.Println(p.Match("arn:aws:iam::123456789012:role/ops/deploy"), p.Match("arn:aws:iam::123456789012:user/ana"))
	// Output: true false
}
