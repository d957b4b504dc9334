// Package clients drives Debut's push source with a client that nobody here wrote: the
// official Go client of Elasticsearch. It is a module of its own, so that the client
// stays out of Debut's. Its first build takes minutes: the client has 900 packages.
//
// The tests are built with the tag integration:
//
//	cd test/clients && go test -tags integration ./...
package clients
