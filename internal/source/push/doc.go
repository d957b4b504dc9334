// Package push is the source whose records are sent to it over HTTP.
//
// Start with [New]: a [Source] runs like any other, and its [Source.Handler] is mounted
// by whoever serves HTTP, as the fallback of a mux or below a prefix:
//
//	in := push.New(push.Options{Name: "push", Now: now, Token: tokens.Check})
//	mux.Handle("/", in.Handler())
//	go in.Run(ctx, sink)
//
// It answers
//
//   - POST /v1/records: CloudTrail in any container, see [cloudtrail.Decoder];
//   - POST /v1/firehose: Amazon Data Firehose's HTTP endpoint, format version 1.0;
//   - POST /v1/eventbridge: an EventBridge API destination, one event a request;
//   - POST /_bulk and /INDEX/_bulk: Elasticsearch's bulk API, with what its clients ask
//     before they send anything. Nothing that they set up is kept.
//
// An answer of success means that everything that was taken is durable. Memory is
// bounded by [Options.MaxPending] whatever the clients do: what is more is answered
// with 429 and Retry-After. docs/push.md is the manual.
//
// What it is not: a server. TLS, time limits for headers and idle connections are the
// matter of the [http.Server] around it; a deadline for the body is set here.
package push
