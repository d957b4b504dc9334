// Package s3test starts AWS-compatible servers for tests of what reads S3 and SQS:
// moto_server for both, and versitygw for many objects. scripts/integration-deps installs
// them. It is used by integration tests only (go test -tags integration).
//
//	srv := s3test.Start(t)             // on a port of its own, ended with the test
//	srv.Bucket("trail")
//	url := srv.Queue("notices")
//	srv.Notify("trail", "notices")     // S3 tells the queue of new objects
//	srv.Put("trail", key, body, nil)
//	src, err := s3.New(ctx, s3.Options{
//		Bucket: "trail", QueueURL: url, Region: s3test.Region, Endpoint: srv.Endpoint, PathStyle: true, …
//	})
//
// A child process finds its credentials with [Server.Env].
package s3test
