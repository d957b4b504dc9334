// Package generate writes synthetic CloudTrail trails of any size whose first-seen
// events are known beforehand.
//
// A trail looks like one of an organisation in S3: gzip objects under AWSLogs, by
// account, region and day of delivery, with the sizes, bursts, delays and duplicates
// of real trails. Beside it, in the hidden folder [SideDir] so that a scan of the whole
// folder does not take them for logs, lie the truth (every first sight and every
// return, with the verdict that a detector must reach), the times at which the objects
// arrive, and the parameters. docs/format/trail.md describes the files.
//
// Every number is drawn from a stream whose address is what it is for, never from a
// shared sequence. So an account can be made without the others, the truth can be
// written without the trail, and the same configuration gives the same bytes for any
// number of workers. Memory is bounded by the open windows of the accounts in work.
//
// Start with [Default] and [Run]:
//
//	cfg := generate.Default(1_000_000, 42)
//	sum, err := generate.Run(ctx, cfg, "trail", nil)
//
// What it is not: a simulation of attacks. It is made to measure and to check
// detectors, and its mix of services and callers is chosen, not measured.
package generate
