package cloudtrail

import (
	"slices"
	"strings"
	"time"
)

// A Key is what the name of an S3 object of CloudTrail tells:
// [prefix/]AWSLogs/[o-ORG/]ACCOUNT/KIND/REGION/YYYY/MM/DD/FILE. It is good for
// pruning; the records' own members decide what they are.
type Key struct {
	Org     string    // o-…, of an organisation trail; "" if unknown
	Account string    // 12 digits
	Kind    string    // CloudTrail, CloudTrail-Digest, CloudTrail-Insight, …
	Region  string    //
	Day     time.Time // the day of delivery, UTC
	File    string    // the last element
}

// ParseKey reads the name of an object, or the path of a file that was copied with
// its layout kept (both kinds of slashes count), from AWSLogs or from the account on.
// Where the folders do not tell, the file's own name does:
// ACCOUNT_KIND_REGION_YYYYMMDDTHHmmZ_…, of digests ACCOUNT_KIND_REGION_TRAIL_REGION_TIME.
func ParseKey(name string) (Key, bool) {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	for i, p := range slices.Backward(parts) {
		if p == "AWSLogs" {
			if k, ok := keyOf(parts[i+1:]); ok {
				return k, true
			}
		}
	}
	for i, p := range parts {
		if isKind(p) && i > 0 && isAccount(parts[i-1]) {
			if k, ok := keyOf(parts[i-1:]); ok {
				return k, true
			}
		}
	}
	if len(parts) == 0 {
		return Key{}, false
	}
	return keyOfFile(parts[len(parts)-1])
}

// keyOf reads what is below AWSLogs.
func keyOf(parts []string) (Key, bool) {
	var k Key
	if len(parts) > 0 && strings.HasPrefix(parts[0], "o-") {
		k.Org, parts = parts[0], parts[1:]
	}
	if len(parts) != 7 || !isAccount(parts[0]) || !isKind(parts[1]) {
		return Key{}, false
	}
	day, err := time.Parse("2006/01/02", strings.Join(parts[3:6], "/"))
	if err != nil {
		return Key{}, false
	}
	k.Account, k.Kind, k.Region, k.Day, k.File = parts[0], parts[1], parts[2], day, parts[6]
	return k, true
}

// keyOfFile reads a file's name. The name of a trail, in that of a digest, may hold
// underscores itself.
func keyOfFile(file string) (Key, bool) {
	stem, _, _ := strings.Cut(file, ".")
	parts := strings.Split(stem, "_")
	if len(parts) < 4 || !isAccount(parts[0]) || !isKind(parts[1]) {
		return Key{}, false
	}
	k := Key{Account: parts[0], Kind: parts[1], Region: parts[2], File: file}
	at := parts[3]
	if k.Digest() {
		at = parts[len(parts)-1]
	}
	if len(at) < len("20060102T") || at[8] != 'T' {
		return Key{}, false
	}
	day, err := time.Parse("20060102", at[:8])
	if err != nil {
		return Key{}, false
	}
	k.Day = day
	return k, true
}

func isKind(s string) bool { return s == "CloudTrail" || strings.HasPrefix(s, "CloudTrail-") }

func isAccount(s string) bool {
	_, ok := digits(s)
	return ok && len(s) == 12
}

// Digest reports whether the object is a digest file: hashes of log files, no
// records.
func (k *Key) Digest() bool { return k.Kind == "CloudTrail-Digest" }

// Before reports whether no record of the object can be at or after t: it was
// delivered before, with a day of slack.
func (k *Key) Before(t time.Time) bool { return k.Day.AddDate(0, 0, 2).Before(t) }

// After reports whether the records of the object should all be after t: it was
// delivered more than a day later. A record that CloudTrail delivers later than that
// is missed by who prunes with it.
func (k *Key) After(t time.Time) bool { return k.Day.AddDate(0, 0, -1).After(t) }
