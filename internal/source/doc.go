// Package source is what a source of CloudTrail records promises to whoever takes
// them, for ever: see its subpackages for the sources themselves.
//
// A source finds inputs (objects of a bucket, files, bodies of requests), and hands
// each over as a [Delivery] to a [Sink]. The sink reads it, stores its records,
// commits what they mean, and only then calls [Delivery.Done]: what was not done is
// delivered again, also after a crash, and so nothing is lost. That nothing is
// repeated is the sink's part: it knows every object that it has read, by name and
// version, in the same transaction that holds the alerts.
//
//	func (s *Folder) Run(ctx context.Context, sink source.Sink) error {
//		for path := range s.finished(ctx) {
//			obj := source.Object{Name: path, Version: version(path)}
//			if has, err := sink.Has(ctx, obj); err != nil || has {
//				continue
//			}
//			err := sink.Deliver(ctx, source.Delivery{Object: &obj, Name: path, Open: open(path), Done: s.done})
//			…
//
// internal/source/files, which lists what a scan reads once, is no such source.
package source
