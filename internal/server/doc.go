// Package server is the HTTP API of Debut: alerts and their workflow, exceptions,
// silences, rules, runs, coverage, search, tokens, audit, status and metrics.
//
// It does no work of its own. Records are read and changed in transactions of a
// [store.DB]; what needs the daemon is asked of the small interfaces in [Options], and
// is unavailable without them. openapi.json describes every path and is served at
// /openapi.json; tests hold it and the handlers together.
//
//	s := server.New(server.Options{DB: db, DataDir: dir, Address: "127.0.0.1:7780", Now: time.Now})
//	err := s.Run(ctx)
//
// Commands use the same handlers where no server runs: [Server.As] returns them for
// somebody who has opened the store, without network and tokens. So a command and a
// request cannot differ in what they do.
package server
