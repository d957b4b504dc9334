package kql_test

import (
	"errors"
	"fmt"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

func Example() {
	cat := ecs.NewCatalogue()
	n, err := kql.Parse(`event.action: (StartSession or Send*) and not user.name: "ops"`)
	if err != nil {
		panic(err)
	}
	cond, _ := kql.Compile(n, cat)

	ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"action":"SendCommand"}}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(cond.Match(ev)) // no user.name is not "ops"
	// Output: true
}

func ExampleParse() {
	n, err := kql.Parse("NOT (event.action:a AND event.action:b)OR user.name : c")
	fmt.Println(n, err)
	n, err = kql.Parse("NOT (event.action:a AND event.action:b) OR user.name : c")
	fmt.Println(n, err)
	// Output:
	// <nil> 1:40: error: "OR" cannot follow a complete condition [unexpected-text]
	// not (event.action: a and event.action: b) or user.name: c <nil>
}

func ExampleParse_error() {
	_, err := kql.Parse("event.provider: ssm.amazonaws.com and\nevent.action: not SendCommand")
	if ds, ok := errors.AsType[query.Diagnostics](err); ok {
		fmt.Print(ds[0].Render())
	}
	// Output:
	// 2:15: error: a value is missing before not [missing-operand]
	//     event.action: not SendCommand
	//                   ^^^
	//     hint: write not FIELD: VALUE, or FIELD: (not VALUE)
}

func ExampleCompile() {
	n, err := kql.Parse("event.acton: SendCommand and source.ip: localhost")
	if err != nil {
		panic(err)
	}
	_, ds := kql.Compile(n, ecs.NewCatalogue())
	for _, d := range ds {
		fmt.Print(d.Render())
	}
	// Output:
	// 1:1: warning: no event of CloudTrail has the field "event.acton" [unknown-field]
	//     event.acton: SendCommand and source.ip: localhost
	//     ^^^^^^^^^^^
	//     hint: did you mean "event.action"?
	// 1:41: warning: source.ip: "localhost" is neither an address nor a CIDR block; the condition never holds [value-type]
	//     event.acton: SendCommand and source.ip: localhost
	//                                             ^^^^^^^^^
}

func ExampleEqual() {
	a, _ := kql.Parse(`a: (b)  and  "c d": *`)
	b, _ := kql.Parse(`((a:b) and "c d":*)`)
	fmt.Println(kql.Equal(a, b))
	// Output: true
}
