// Package api is what the HTTP API says: the types of its bodies and its errors, shared
// by the server, the commands that talk to it, and the daemon behind it. It does
// nothing, and imports only the records of the store.
//
// internal/server/openapi.json describes the same, and the server's tests hold the two
// together. A body in Go:
//
//	change := api.Change{Status: store.Closed, Reason: "false positive"}
//	body, err := json.Marshal(change)
//
// Everything in it that comes from a log is hostile text: whoever shows it escapes it.
package api
