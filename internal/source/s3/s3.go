package s3

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/debutsec/debut/internal/source"
)

// Options say what to read and how. Name, Bucket and Now are needed.
type Options struct {
	Name   string // of the source
	Bucket string
	// Prefixes bound what is read: that of the trail, which stands before AWSLogs, or
	// anything longer, down to an account, kind, region or day. None: the whole bucket.
	Prefixes []string
	Region   string // of the bucket; "": what the SDK's chain finds
	// RoleARN is assumed with the credentials of the chain; ExternalID belongs to it.
	RoleARN, ExternalID string
	// Endpoint is that of a server that is not Amazon's, "" else. That of SQS is always
	// the host of QueueURL.
	Endpoint  string
	PathStyle bool // addresses like host/bucket/key, which such servers often need
	// QueueURL is that of the queue with the notifications; "": listings only.
	QueueURL string
	// Start is the first day of delivery, UTC, that is read. Zero: thirty days before
	// the first listing, as far as listings look back.
	Start time.Time
	// ListInterval is how often today and yesterday are listed. Zero: an hour with a
	// queue, five minutes without.
	ListInterval time.Duration
	// VisibilityTimeout is how long a received message is hidden from others; it is
	// extended while its objects are read. Zero: five minutes.
	VisibilityTimeout time.Duration
	// Concurrency bounds the objects that are handed over and not yet durable, and the
	// messages at work. Zero: 1,024.
	Concurrency int
	// IdleTimeout is how long an answer of the bucket may stand still before it is asked
	// for again.
	// Zero: a minute.
	IdleTimeout time.Duration
	// Digests reads digest files, too, and checks their chain.
	Digests bool
	// Verify reads every object that a digest names once more and compares its hash.
	Verify bool
	// PublicKeyFiles hold the output of `aws cloudtrail list-public-keys`. With any,
	// the signatures of digests are checked.
	PublicKeyFiles []string

	Now func() time.Time
	Log *slog.Logger // nil: none
}

const (
	maxVisibility = 12 * time.Hour // SQS's own
	horizonHourly = 7
	horizonDaily  = 30
	queueInterval = time.Hour
	listInterval  = 5 * time.Minute
)

// Validate reports all that is wrong with the options, nil if nothing is.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if o.Name == "" {
		bad("name is needed")
	}
	switch {
	case o.Bucket == "":
		bad("bucket is needed")
	case strings.ContainsAny(o.Bucket, "/:") && !strings.HasPrefix(o.Bucket, "arn:"):
		bad("bucket %q: give the bare name, without s3:// and without a prefix (that goes into prefixes)", o.Bucket)
	}
	if o.QueueURL != "" {
		if _, err := parseQueue(o.QueueURL); err != nil {
			errs = append(errs, err)
		}
	}
	if o.ExternalID != "" && o.RoleARN == "" {
		bad("external_id is given, but no role_arn that it belongs to")
	}
	if o.RoleARN != "" && !strings.HasPrefix(o.RoleARN, "arn:") {
		bad("role_arn %q: it must begin with arn:", o.RoleARN)
	}
	if o.Endpoint != "" && !strings.HasPrefix(o.Endpoint, "https://") && !strings.HasPrefix(o.Endpoint, "http://") {
		bad("endpoint %q: it must begin with https:// or http://", o.Endpoint)
	}
	if v := o.VisibilityTimeout; v != 0 && (v < 10*time.Second || v > maxVisibility) {
		bad("visibility_timeout %v: it must be between 10s and 12h", v)
	}
	if v := o.ListInterval; v != 0 && v < 10*time.Second {
		bad("list_interval %v: it must be at least 10s; listing costs money", v)
	}
	if o.Concurrency < 0 || o.Concurrency > 100_000 {
		bad("concurrency %d: it must be between 1 and 100000", o.Concurrency)
	}
	if o.IdleTimeout < 0 {
		bad("idle_timeout %v: it must not be negative", o.IdleTimeout)
	}
	if (o.Verify || len(o.PublicKeyFiles) > 0) && !o.Digests {
		bad("verify and public_keys need digests")
	}
	if o.Now == nil {
		bad("no clock was given")
	}
	return errors.Join(errs...)
}

// A Source is a bucket. Stats and Objects may be called at any time; Run belongs to one
// goroutine at a time.
type Source struct {
	o      Options
	bucket bucket
	queue  queue // nil without
	keys   map[string]*rsa.PublicKey
	log    *slog.Logger
	stats  counters
	again  chan again // parked messages to try again
	places places     // for messages about permissions
}

var _ source.Source = (*Source)(nil)

// New makes the source. It reads the SDK's configuration and the key files, but asks no
// server: a wrong option is an error, a bucket that does not answer is not.
func New(ctx context.Context, o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Name, err)
	}
	keys, err := readPublicKeys(o.PublicKeyFiles)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Name, err)
	}
	b, q, err := connect(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Name, err)
	}
	s := newSource(o, b, q)
	s.keys = keys
	return s, nil
}

// newSource fills in the defaults.
func newSource(o Options, b bucket, q queue) *Source {
	if o.ListInterval == 0 {
		o.ListInterval = listInterval
		if q != nil {
			o.ListInterval = queueInterval
		}
	}
	if o.VisibilityTimeout == 0 {
		o.VisibilityTimeout = 5 * time.Minute
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1024
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	o.Prefixes = cleanPrefixes(o.Prefixes)
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Source{o: o, bucket: b, queue: q, again: make(chan again), log: log.With("source", o.Name), places: placesOf(&o)}
}

// Name is that of the options.
func (s *Source) Name() string { return s.o.Name }

// url names an object as a user would.
func (s *Source) url(key string) string { return "s3://" + s.o.Bucket + "/" + key }

// object is the identity of a version.
func (s *Source) object(key, version string) source.Object {
	return source.Object{Name: s.o.Bucket + "/" + key, Version: version}
}

// Stats are counts since the program began.
type Stats struct {
	Messages, Deleted int64 // SQS messages received, and deleted
	Ignored           int64 // objects announced that are not ours: another bucket, prefix, kind or too old
	Parked            int64 // messages that could not be dealt with
	Listed            int64 // objects seen in listings
	Lists             int64 // requests to list
	Gets              int64 // requests to read, and for metadata
	Read              int64 // objects handed over that are durable
	Failed            int64 // objects given up for now
	Digests           int64 // digest files read
	Gaps              int64 // objects that only a digest told of
	Mismatches        int64 // digests or objects that are not what a digest says
}

type counters struct {
	messages, deleted, ignored, parked, listed, lists, gets, read, failed, digests, gaps, mismatches atomic.Int64
}

// Stats returns the counts.
func (s *Source) Stats() Stats {
	c := &s.stats
	return Stats{
		Messages: c.messages.Load(), Deleted: c.deleted.Load(), Ignored: c.ignored.Load(), Parked: c.parked.Load(),
		Listed: c.listed.Load(), Lists: c.lists.Load(), Gets: c.gets.Load(), Read: c.read.Load(), Failed: c.failed.Load(),
		Digests: c.digests.Load(), Gaps: c.gaps.Load(), Mismatches: c.mismatches.Load(),
	}
}
