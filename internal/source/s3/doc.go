// Package s3 is the source of records in an S3 bucket. Start with [New].
//
// It finds objects in two ways that run beside each other:
//
//   - notifications in an SQS queue, which say within seconds what was written: S3's
//     own, through SNS (wrapped or raw) or not, EventBridge's, and those that CloudTrail
//     publishes itself. A message is deleted when everything in it is durable;
//   - listings, which find what no message told: today and yesterday at every
//     interval, seven days every hour, thirty days every day, and everything since the
//     start date once, newest first. CloudTrail's names of one minute differ by a
//     random suffix only, so an object that appears later can sort earlier: there is
//     no "last key" to go on from, and each day is listed whole.
//
// Digest files, found like other objects, say what must exist. What a digest names and
// was not read is fetched at once; what is missing or was changed is told through
// [source.Sink].Fail.
//
// An object is bucket, key and ETag. The same object found twice is read once: in
// flight the source joins the two, later the sink knows it.
//
// What it is not: it never writes to the bucket, decodes no record, and decides nothing
// by the time of arrival. Credentials come from the SDK's chain and nowhere else.
//
//	src, err := s3.New(ctx, s3.Options{
//		Name: "org", Bucket: "acme-trail", Region: "eu-central-1",
//		QueueURL: "https://sqs.eu-central-1.amazonaws.com/111122223333/debut",
//		Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Digests: true, Now: time.Now,
//	})
//	if err != nil {
//		return err // an option is wrong; New asks no server
//	}
//	return src.Run(ctx, sink) // until ctx ends
//
// docs/s3.md is the manual: how to wire the bucket, the permissions, what it costs.
package s3
