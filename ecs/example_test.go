package ecs_test

import (
	"fmt"

	"github.com/debutsec/debut/ecs"
)

func ExampleParseJSON() {
	cat := ecs.NewCatalogue()
	ev, err := ecs.ParseJSON(cat, []byte(`{"@timestamp":"2026-01-31T08:00:00Z","event":{"action":"SendCommand","type":["start"]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ev.Time())
	for _, name := range []string{"event.action", "event.type", "event.outcome"} {
		fmt.Println(name, ev.Values(cat.Resolve(name)))
	}
	// Output:
	// 2026-01-31 08:00:00 +0000 UTC
	// event.action [SendCommand]
	// event.type [start]
	// event.outcome []
}

func ExampleCatalogue() {
	cat := ecs.NewCatalogue()
	f := cat.Resolve("aws.cloudtrail.flattened.request_parameters.documentName")
	fmt.Println(f.Known, f.Root, f.Path)
	f = cat.Resolve("event.actoin")
	fmt.Println(f.Known, cat.Suggest(f.Name))
	// Output:
	// true aws.cloudtrail.flattened.request_parameters documentName
	// false event.action
}

func ExampleDocument() {
	doc := ecs.Document{}
	doc.Set("event.action", "SendCommand")
	doc.Set("host.target.id", []any{"i-1", "i-2"})
	fmt.Println(doc.Values("host.target.id"))
	fmt.Printf("%s\n", doc.AppendJSON(nil))
	// Output:
	// [i-1 i-2]
	// {"event":{"action":"SendCommand"},"host":{"target":{"id":["i-1","i-2"]}}}
}
