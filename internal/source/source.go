package source

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/debutsec/debut/cloudtrail"
)

// A Source delivers what it finds until its context ends. It belongs to one Run at a
// time.
type Source interface {
	// Name is that of the configuration; alerts, coverage and messages use it.
	Name() string
	// Run delivers to sink until ctx ends, and then returns nil once every delivery
	// of its own is done. What fails for a while (a network, a server) is retried
	// with back-off for ever and told through Sink.Trouble; an error means that the
	// source can never work as it is configured.
	Run(ctx context.Context, sink Sink) error
}

// A Delivery is one input. The sink reads it from its beginning, maybe more than
// once.
type Delivery struct {
	Source string // name of the source
	Name   string // of the input, as a user would name it: s3://bucket/key, a path, push:10.0.0.7
	// Key is what the name tells, if it follows CloudTrail's layout, else nil.
	Key *cloudtrail.Key
	// Object identifies the input, so that it is read once; nil: it has no identity
	// (the body of a request) and is read whenever it comes.
	Object *Object
	// Arrived is when the input became readable: the object's modification time, the
	// arrival of the request. It measures delay and decides nothing.
	Arrived time.Time
	Open    func(context.Context) (io.ReadCloser, error)
	// Done is called exactly once, from any goroutine, and must not block. After an
	// Outcome without error everything in the input that could be read is durable,
	// its alerts too: the source may forget it.
	Done func(Outcome)
}

// An Object is the identity of an input.
type Object struct {
	Name string // bucket/key, or an absolute path
	// Version is the ETag, or size and modification time: another version is another
	// object. Expect and Fail may not know it; "" then stands for any version, and the
	// delivery of any settles it.
	Version string
}

// An Outcome is what became of a delivery.
type Outcome struct {
	// Err is that the input could not be opened or read to its end, or that the sink
	// is closing (context.Canceled) or cannot store (its disk is full): deliver it
	// again later. Damaged content is no error: it is among the Problems.
	Err      error
	Summary  cloudtrail.Summary
	Problems []cloudtrail.Problem // the first few
	// Seen: the object had been read already; nothing was done.
	Seen bool
}

// A Sink takes deliveries. It is safe for concurrent use.
type Sink interface {
	// Deliver hands over d and waits while the sink is busy. If it returns an error,
	// that of ctx, d was not taken and Done will not be called.
	Deliver(ctx context.Context, d Delivery) error
	// Has reports whether the object has been read, or is being read just now.
	Has(ctx context.Context, o Object) (bool, error)
	// Expect notes objects that must exist, for the coverage ledger. It is
	// idempotent, and an object that was read counts as expected too.
	Expect(ctx context.Context, list []Expected) error
	// Fail notes that an object could not be read after several attempts, and why. It
	// is shown as failed until it is delivered after all.
	Fail(ctx context.Context, o Object, key *cloudtrail.Key, reason string) error
	// Position and SetPositions keep what else a source must remember, by names of its
	// own choice. An absent position is nil. Positions are set together or not at all.
	Position(ctx context.Context, source, name string) ([]byte, error)
	SetPositions(ctx context.Context, source string, values map[string][]byte) error
	// Trouble tells the operator that the source cannot work at the moment, and why;
	// nil: it can again. It may be called with the same error again and again.
	Trouble(source string, err error)
}

// An Expected is an object that should be read, and where it counts.
type Expected struct {
	Object
	Account, Region string
	Hour            time.Time // of delivery, as the object's name tells
	By              string    // who says so: digest, listing, notification
}

// ErrBusy is the Outcome of an object that is being read by another delivery: what
// becomes of it is not known yet, so ask again.
var ErrBusy = errors.New("the object is being read already")
