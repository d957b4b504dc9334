package s3

import (
	"context"
	"errors"
	"io"
	"time"
)

// A bucket is what the source needs of S3. Errors wrap one of the sentinels below
// where the reason is known; all others may pass by themselves. It is safe for
// concurrent use.
type bucket interface {
	// list returns one page of the objects and, with a delimiter, the folders below
	// prefix, in the order of names, strictly after the name after; token continues.
	list(ctx context.Context, q listing) (page, error)
	head(ctx context.Context, key string) (info, error)
	// get reads the object from an offset on. With an etag, it is that version or
	// errChanged.
	get(ctx context.Context, key, etag string, offset int64) (io.ReadCloser, info, error)
}

type listing struct {
	prefix, delimiter, after, token string
}

type page struct {
	objects []info
	folders []string
	next    string // token of the next page; "" after the last
}

// info is what S3 says about an object.
type info struct {
	key      string
	etag     string // without quotes
	size     int64  // of get: what is left from the offset on; -1 if it does not say
	modified time.Time
	// of get only: the signature of a digest file
	signature string
}

// A queue is what the source needs of SQS. It is safe for concurrent use.
type queue interface {
	// receive waits for messages, up to ten, for some seconds. None is no error.
	receive(ctx context.Context) ([]message, error)
	// remove deletes and extend makes invisible for d from now on, up to ten messages
	// by their receipts. The error is that of any of them.
	remove(ctx context.Context, receipts []string) error
	extend(ctx context.Context, receipts []string, d time.Duration) error
}

type message struct {
	id, receipt, body string
	receives          int // how often it was received, this time included; approximate
	sent              time.Time
}

// What the source tells apart.
var (
	errGone    = errors.New("it is not in the bucket")
	errChanged = errors.New("it was replaced while it was read")
	errDenied  = errors.New("access denied")
	errArchive = errors.New("it is archived: restore it from Glacier first")
)
