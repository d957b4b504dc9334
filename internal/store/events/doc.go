// Package events is the store of events on a disk: a log, which is the truth, and
// segments, Parquet files sorted by time that the log is compacted into and that
// other programs can open.
//
// Start with [Open]. Frames are encoded by whoever has time ([Encode]), appended with
// one sync, and can be searched at once. [Store.Compact], called now and then, turns
// what is in the log into segments; [Store.Expire] forgets what is too old.
//
//	frame, err := events.Encode(&store.Frame{Records: records})
//	if err != nil {
//		return err
//	}
//	ends, err := s.Append(ctx, []store.Encoded{frame})
//	if err != nil {
//		return err // nothing is known to be stored
//	}
//	for e, err := range s.Scan(ctx, store.Scan{From: dayAgo, Match: cond}) {
//		…
//	}
//
// docs/format/log.md and docs/format/segment.md describe what is on the disk.
package events
