package generate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A digester makes the hourly digest files of one account and region: what was delivered
// in the hour, with hashes, and the hash of the digest before.
type digester struct {
	a           *account
	region, org string
	hour        int64 // the next to be written
	files       []delivered
	before      string // the digest before, its hash and its signature
	hash, sig   string
	signer      *signer
	signed      *arrivals // collects signatures
}

// newDigesters makes those of an account, by region.
func newDigesters(a *account, org string, s *signer, signed *arrivals) []*digester {
	list := make([]*digester, len(a.regions))
	for i, region := range a.regions {
		list[i] = &digester{a: a, region: region, org: org, signer: s, signed: signed}
	}
	return list
}

// delivered is an object that was delivered.
type delivered struct {
	key         string
	hash        [sha256.Size]byte
	arrival     int64
	first, last int64 // of its records
}

const (
	bucket    = "debut-generated-trail"
	trailName = "management-events"
)

// digestFile is the content of a digest file, with the members in CloudTrail's order.
type digestFile struct {
	Account        string      `json:"awsAccountId"`
	Start          string      `json:"digestStartTime"`
	End            string      `json:"digestEndTime"`
	Bucket         string      `json:"digestS3Bucket"`
	Object         string      `json:"digestS3Object"`
	Fingerprint    string      `json:"digestPublicKeyFingerprint"`
	Algorithm      string      `json:"digestSignatureAlgorithm"`
	Newest         *string     `json:"newestEventTime"`
	Oldest         *string     `json:"oldestEventTime"`
	PreviousBucket *string     `json:"previousDigestS3Bucket"`
	PreviousObject *string     `json:"previousDigestS3Object"`
	PreviousHash   *string     `json:"previousDigestHashValue"`
	PreviousKind   *string     `json:"previousDigestHashAlgorithm"`
	PreviousSig    *string     `json:"previousDigestSignature"`
	LogFiles       []digestLog `json:"logFiles"`
}

type digestLog struct {
	Bucket string `json:"s3Bucket"`
	Object string `json:"s3Object"`
	Hash   string `json:"hashValue"` // of the content before compression
	Kind   string `json:"hashAlgorithm"`
	Newest string `json:"newestEventTime"`
	Oldest string `json:"oldestEventTime"`
}

func (d *digester) add(key string, raw []byte, arrival, first, last int64) {
	d.files = append(d.files, delivered{key: key, hash: sha256.Sum256(raw), arrival: arrival, first: first, last: last})
}

// until writes the digests of all hours that end by t, when no more objects can arrive
// in them.
func (d *digester) until(t int64, store func(key string, raw []byte) error) error {
	for ; (d.hour+1)*hour <= t; d.hour++ {
		raw, key, err := d.file()
		if err != nil {
			return err
		}
		if err := store(key, raw); err != nil {
			return err
		}
		sum := sha256.Sum256(raw)
		end := (d.hour + 1) * hour
		before := "null"
		if d.sig != "" {
			before = d.sig
		}
		d.before, d.hash = key, hex.EncodeToString(sum[:])
		if d.sig, err = d.signer.sign(d.a.cfg.at(end).Format(time.RFC3339) + "\n" + bucket + "/" + key + "\n" + d.hash + "\n" + before); err != nil {
			return err
		}
		d.signed.add(end, []byte(`","key":"`+key+`","signature":"`+d.sig+"\"}\n"))
	}
	return nil
}

func (d *digester) file() (raw []byte, key string, err error) {
	cfg := d.a.cfg
	end := cfg.at((d.hour + 1) * hour)
	key = fmt.Sprintf("AWSLogs/%s/%s/CloudTrail-Digest/%s/%s/%s_CloudTrail-Digest_%s_%s_%s_%s.json.gz", d.org, d.a.id, d.region,
		end.Format("2006/01/02"), d.a.id, d.region, trailName, d.a.regions[0], end.Format("20060102T150405Z"))
	f := digestFile{
		Account: d.a.id, Start: cfg.at(d.hour * hour).Format(time.RFC3339), End: end.Format(time.RFC3339),
		Bucket: bucket, Object: key, Fingerprint: d.signer.fingerprint, Algorithm: "SHA256withRSA", LogFiles: []digestLog{},
	}
	if d.before != "" {
		b, kind := bucket, "SHA-256"
		f.PreviousBucket, f.PreviousObject, f.PreviousHash, f.PreviousKind = &b, &d.before, &d.hash, &kind
		f.PreviousSig = &d.sig
	}
	slices.SortFunc(d.files, func(x, y delivered) int {
		return cmp.Or(cmp.Compare(x.arrival, y.arrival), cmp.Compare(x.key, y.key))
	})
	var oldest, newest int64
	n := 0
	for ; n < len(d.files) && d.files[n].arrival < (d.hour+1)*hour; n++ {
		l := &d.files[n]
		if n == 0 {
			oldest = l.first
		}
		oldest, newest = min(oldest, l.first), max(newest, l.last)
		f.LogFiles = append(f.LogFiles, digestLog{
			Bucket: bucket, Object: l.key, Hash: hex.EncodeToString(l.hash[:]), Kind: "SHA-256",
			Newest: cfg.at(l.last).Format(time.RFC3339), Oldest: cfg.at(l.first).Format(time.RFC3339),
		})
	}
	d.files = slices.Delete(d.files, 0, n)
	if n > 0 {
		o, w := cfg.at(oldest).Format(time.RFC3339), cfg.at(newest).Format(time.RFC3339)
		f.Oldest, f.Newest = &o, &w
	}
	raw, err = json.Marshal(f)
	return raw, key, err
}
