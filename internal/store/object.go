package store

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// ObjectState says what became of an object.
type ObjectState byte

// States of an object. One that was read stays read.
const (
	ObjectExpected ObjectState = 'E' // it must exist, and was not read yet
	ObjectPartial  ObjectState = 'P' // Records of it are committed, and more will come
	ObjectRead     ObjectState = 'R'
	ObjectFailed   ObjectState = 'F' // several attempts failed, Reason says why
)

// An Object is an input of a source: one that was read, that something says must
// exist, or that failed. It answers "was this read?" and is the base of coverage.
type Object struct {
	Source          string
	Name            string // bucket/key or path
	Version         string // ETag, or size and time; "" where only the name is known (a digest)
	Account, Region string
	Hour            int64 // of delivery, hours since 1970
	State           ObjectState
	Expected        bool  // a digest, a listing or a notification names it
	Records         int64 // committed
	Rejected        int64 // parts that could not be used
	Arrived         int64 // nanoseconds since 1970; 0: unknown
	Read            int64
	Reason          string
}

// ObjectID is the key of an object: name and version.
func ObjectID(name, version string) [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(name), name, version))
	return [16]byte(sum[:16])
}

func encodeObject(o *Object) []byte {
	b := []byte{byte(o.State), 0}
	if o.Expected {
		b[1] = 1
	}
	for _, n := range []int64{o.Hour, o.Records, o.Rejected, o.Arrived, o.Read} {
		b = putInt(b, n)
	}
	for _, s := range []string{o.Source, o.Name, o.Version, o.Account, o.Region, o.Reason} {
		b = putText(b, s)
	}
	return b
}

func decodeObject(b []byte, o *Object) error {
	d := decoder{b: b}
	o.State, o.Expected = ObjectState(d.byte()), d.byte() != 0
	for _, n := range []*int64{&o.Hour, &o.Records, &o.Rejected, &o.Arrived, &o.Read} {
		*n = d.int()
	}
	for _, s := range []*string{&o.Source, &o.Name, &o.Version, &o.Account, &o.Region, &o.Reason} {
		*s = d.string()
	}
	return d.err(Objects)
}

// objectKey puts the objects of one account, region and hour of delivery side by
// side? No: the look-up by name comes far more often, and an hour's sums are in table
// Hours.
func objectKey(id [16]byte) []byte { return id[:] }

// GetObject returns an object, nil if it is not known.
func GetObject(tx Tx, name, version string) (*Object, error) {
	b, err := tx.Get(Objects, objectKey(ObjectID(name, version)))
	if err != nil || b == nil {
		return nil, err
	}
	var o Object
	return &o, decodeObject(b, &o)
}

// PutObject stores an object and moves the sums of its hour by what changed. A
// digest names an object without its version: when the object itself is stored, what
// was expected under the bare name becomes it.
func PutObject(tx Tx, o *Object) error {
	old, err := GetObject(tx, o.Name, o.Version)
	if err != nil {
		return err
	}
	if o.Version != "" {
		bare, err := GetObject(tx, o.Name, "")
		if err != nil {
			return err
		}
		// The bare name answers for every version: a digest may come later.
		if bare == nil || bare.State != ObjectRead || !bare.Expected && o.Expected {
			alias := *o
			alias.Version = ""
			if bare != nil {
				alias.Expected = alias.Expected || bare.Expected
				o.Expected = alias.Expected
			}
			if err := tx.Put(Objects, objectKey(ObjectID(o.Name, "")), encodeObject(&alias)); err != nil {
				return err
			}
		}
		if old == nil {
			old = bare
		}
	} else if old != nil && old.State == ObjectRead {
		// A digest names what has been read: it was expected, then.
		read := *old
		read.Expected = true
		*o = read
	}
	if err := moveHour(tx, old, o); err != nil {
		return err
	}
	return tx.Put(Objects, objectKey(ObjectID(o.Name, o.Version)), encodeObject(o))
}

// AllObjects yields every object once, in no order that means anything.
func AllObjects(tx Tx) iter.Seq2[*Object, error] {
	return func(yield func(*Object, error) bool) {
		for p, err := range tx.Range(Objects, nil, nil) {
			var o Object
			if err == nil {
				err = decodeObject(p.Value, &o)
			}
			if err == nil && o.Version == "" && o.State == ObjectRead {
				continue // the version that was read is there too
			}
			if !yield(&o, err) || err != nil {
				return
			}
		}
	}
}

// ForgetObjects deletes what is known of up to n objects that were read before a time,
// and returns how many it deleted. The sums of their hours stay. Files stay known: a
// folder is listed for ever, a bucket for as long as listings go back.
func ForgetObjects(tx Tx, before time.Time, n int) (int, error) {
	var keys [][]byte
	for p, err := range tx.Range(Objects, nil, nil) {
		if err != nil {
			return 0, err
		}
		var o Object
		if err := decodeObject(p.Value, &o); err != nil {
			return 0, err
		}
		if o.State == ObjectRead && o.Read < before.UnixNano() && !strings.HasPrefix(o.Name, "/") {
			if keys = append(keys, p.Key); len(keys) == n {
				break
			}
		}
	}
	for _, key := range keys {
		if err := tx.Delete(Objects, key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// An Hour is the coverage ledger's line for an account, a region and an hour. Objects
// count in the hour in which they were delivered, records in the hour of the event.
type Hour struct {
	Account, Region string
	Hour            time.Time

	Expected   int64 // objects that a digest, a listing or a notification names
	Read       int64 // of those and others
	Unexpected int64 // of Read: nobody named them
	Failed     int64
	Rejected   int64 // parts of objects that could not be used

	Records    int64
	Duplicates int64 // records that had been stored before, as far as that was noticed
	Late       int64 // records that came more than 15 minutes after the event
	MaxDelay   time.Duration
	SumDelay   time.Duration // of all records
	Future     int64         // records from more than 15 minutes ahead
}

func hourKey(account, region string, hour int64) []byte {
	return keyTime(keyText(keyText(nil, clean(account)), clean(region)), hour)
}

func (h *Hour) numbers() []*int64 {
	return []*int64{
		&h.Expected, &h.Read, &h.Unexpected, &h.Failed, &h.Rejected, &h.Records, &h.Duplicates, &h.Late,
		(*int64)(&h.MaxDelay), (*int64)(&h.SumDelay), &h.Future,
	}
}

func decodeHour(p Pair) (*Hour, error) {
	var h Hour
	d := decoder{b: p.Value}
	h.Account, h.Region = d.string(), d.string()
	h.Hour = time.Unix(d.int()*3600, 0).UTC()
	for _, n := range h.numbers() {
		*n = d.int()
	}
	return &h, d.err(Hours)
}

// AddHour adds to the line of an hour. Sums add; MaxDelay is the greater one.
func AddHour(tx Tx, add *Hour) error {
	hour := floorDiv(add.Hour.Unix(), 3600)
	key := hourKey(add.Account, add.Region, hour)
	b, err := tx.Get(Hours, key)
	if err != nil {
		return err
	}
	sum := &Hour{}
	if b != nil {
		if sum, err = decodeHour(Pair{key, b}); err != nil {
			return err
		}
	}
	longest := max(sum.MaxDelay, add.MaxDelay)
	have, more := sum.numbers(), add.numbers()
	for i := range have {
		*have[i] += *more[i]
	}
	sum.MaxDelay = longest
	b = putInt(putText(putText(nil, clean(add.Account)), clean(add.Region)), hour)
	for _, n := range have {
		b = putInt(b, *n)
	}
	return tx.Put(Hours, key, b)
}

// moveHour takes out of the sums what an object counted before, and adds what it
// counts now.
func moveHour(tx Tx, old, o *Object) error {
	if o.Account == "" { // nothing says where it would count
		return nil
	}
	now := counts(o)
	if old != nil {
		was := counts(old)
		if old.Account == o.Account && old.Region == o.Region && old.Hour == o.Hour {
			have, less := now.numbers(), was.numbers()
			changed := false
			for i := range have {
				*have[i] -= *less[i]
				changed = changed || *have[i] != 0
			}
			if !changed {
				return nil
			}
		} else {
			for _, n := range was.numbers() {
				*n = -*n
			}
			if err := AddHour(tx, was); err != nil {
				return err
			}
		}
	}
	return AddHour(tx, now)
}

func counts(o *Object) *Hour {
	h := &Hour{Account: o.Account, Region: o.Region, Hour: time.Unix(o.Hour*3600, 0).UTC(), Rejected: o.Rejected}
	if o.Expected {
		h.Expected = 1
	}
	switch o.State {
	case ObjectRead:
		h.Read = 1
		if !o.Expected {
			h.Unexpected = 1
		}
	case ObjectFailed:
		h.Failed = 1
	case ObjectExpected, ObjectPartial:
	}
	return h
}

// HoursOf yields the lines of an account and region ("" for all) with from ≤ hour <
// to, by account, region and hour.
func HoursOf(tx Tx, account, region string, from, to time.Time) iter.Seq2[*Hour, error] {
	var first, end []byte
	if account != "" {
		prefix := keyText(nil, clean(account))
		if region != "" {
			prefix = keyText(prefix, clean(region))
			first = keyTime(slices.Clip(prefix), floorDiv(from.Unix(), 3600))
			if !to.IsZero() {
				end = keyTime(slices.Clip(prefix), floorDiv(to.Unix()+3599, 3600))
			}
		}
		if first == nil {
			first = prefix
		}
		if end == nil {
			end = Behind(prefix)
		}
	}
	return func(yield func(*Hour, error) bool) {
		for p, err := range tx.Range(Hours, first, end) {
			var h *Hour
			if err == nil {
				h, err = decodeHour(p)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !from.IsZero() && h.Hour.Add(time.Hour).Before(from) || !to.IsZero() && !h.Hour.Before(to) {
				continue
			}
			if !yield(h, nil) {
				return
			}
		}
	}
}

// floorDiv rounds down, also what is before 1970.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
