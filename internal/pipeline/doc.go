// Package pipeline carries records from a source through matching and detection to
// findings, once: the work behind a scan.
//
//	objects ──▶ workers: decode, match ──▶ hits, sorted by rule and group ──▶ reduce ──▶ findings by time
//
// It is map, shuffle, reduce on one machine. Workers share nothing: each folds its
// new-terms hits and sorts the others in bounded memory, with temporary files beyond
// it. Merged, the hits of one rule and group stand together in order of time, and
// the detector sees each group whole. So the result is a function of the set of
// events; start at [Run].
//
//	result, err := pipeline.Run(ctx, pipeline.Config{Engine: engine, Catalogue: catalogue}, objects)
//	if err != nil {
//		return err
//	}
//	defer result.Close()
//	for f, err := range result.Found() {
//		… f.Rule, f.Event, f.Time, f.Withheld
//	}
//
// Nothing is held that grows with the input: hits, findings and the result are
// sorted on disk beyond Config.Memory, the records that alerts may need are spooled,
// what is counted by name is bounded. Temporary files are readable by their owner
// only and unlinked at once.
package pipeline
