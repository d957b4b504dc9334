package s3

import (
	"compress/gzip"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

// A digestFile is what CloudTrail writes every hour for an account and region: what it
// delivered, and the hash of its predecessor. All hashes are of contents before
// compression.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
type digestFile struct {
	EndTime           string  `json:"digestEndTime"`
	Bucket            string  `json:"digestS3Bucket"`
	Object            string  `json:"digestS3Object"`
	Fingerprint       string  `json:"digestPublicKeyFingerprint"`
	PreviousObject    *string `json:"previousDigestS3Object"`
	PreviousHash      *string `json:"previousDigestHashValue"`
	PreviousSignature *string `json:"previousDigestSignature"`
	LogFiles          []struct {
		Bucket string `json:"s3Bucket"`
		Object string `json:"s3Object"`
		Hash   string `json:"hashValue"`
	} `json:"logFiles"`
}

const (
	maxDigest = 64 << 20 // bytes before compression
	maxLog    = 4 << 30  // of a log file, the same
)

// readDigest reads a digest file, notes what it expects, and fetches what is not there
// yet. Then the digest itself is handed over, so that the sink knows that it was read.
func (r *run) readDigest(ctx context.Context, it *item) error {
	content, i, err := r.readAll(ctx, it.key, it.etag)
	switch {
	case errors.Is(err, errContent):
		r.mismatch(ctx, it.key, it.etag+" content", err.Error())
		return r.deliver(ctx, it, nil) // the sink tells of the damage, too
	case err != nil:
		return err
	}
	var d digestFile
	if err := json.Unmarshal(content, &d); err != nil || d.Object == "" {
		r.mismatch(ctx, it.key, it.etag+" content", "it is named like a digest file but is none")
		return r.deliver(ctx, it, content)
	}
	sum := sha256.Sum256(content)
	r.hashes.put(it.key, sum)
	if err := r.check(ctx, it, &d, i.signature, sum); err != nil {
		return err
	}
	if err := r.expectAll(ctx, it, &d); err != nil {
		return err
	}
	if err := r.deliver(ctx, it, content); err != nil {
		return err
	}
	r.stats.digests.Add(1)
	return nil
}

// check compares a digest with its place, its signature and its predecessor. The error
// is that the predecessor could not be read at the moment; what does not agree is noted.
func (r *run) check(ctx context.Context, it *item, d *digestFile, signature string, sum [sha256.Size]byte) error {
	if d.Object != it.key {
		r.mismatch(ctx, it.key, "place", fmt.Sprintf("the digest says that it is s3://%s/%s: it was moved or copied over", d.Bucket, d.Object))
	}
	if len(r.keys) > 0 {
		if err := r.verify(d, signature, sum); err != nil {
			r.mismatch(ctx, it.key, "signature", err.Error())
		}
	}
	if d.PreviousObject == nil || d.PreviousHash == nil {
		return nil // the first of a trail, or validation was off
	}
	before := *d.PreviousObject
	k, ok := r.readable(before)
	if !ok || !k.Digest() {
		return nil // before the start date
	}
	got, ok := r.hashes.get(before)
	if !ok {
		content, _, err := r.readAll(ctx, before, "")
		switch {
		case errors.Is(err, errGone):
			r.mismatch(ctx, before, "sha256:"+*d.PreviousHash, fmt.Sprintf("the digest %s names it as the one before, and it is not in the bucket: it was deleted", r.url(it.key)))
			return nil
		case errors.Is(err, errContent):
			got = [sha256.Size]byte{} // no digest has this hash
		case err != nil:
			return err
		default:
			got = sha256.Sum256(content)
			r.hashes.put(before, got)
		}
	}
	if !strings.EqualFold(hex.EncodeToString(got[:]), *d.PreviousHash) {
		r.mismatch(ctx, before, "sha256:"+*d.PreviousHash, fmt.Sprintf("its SHA-256 is %x, and the digest after it, %s, says %s: one of the two was changed", got, r.url(it.key), *d.PreviousHash))
	}
	return nil
}

// mismatch notes that an object is not what a digest says. It gets an identity of its
// own, by what was claimed, so that reading the object does not make it good.
func (r *run) mismatch(ctx context.Context, key, claim, reason string) {
	r.stats.mismatches.Add(1)
	r.log.Error("digest does not agree", "object", r.url(key), "reason", reason)
	var k *cloudtrail.Key
	if parsed, ok := cloudtrail.ParseKey(key); ok {
		k = &parsed
	}
	if err := r.sink.Fail(ctx, r.object(key, claim), k, reason); err != nil {
		r.log.Error("failure not noted in the ledger", "object", r.url(key), "err", err)
	}
}

// expectAll notes the log files of a digest and fetches those that were not read. The
// digest tells names only; a listing from the first to the last of them tells versions
// and what is missing.
func (r *run) expectAll(ctx context.Context, it *item, d *digestFile) error {
	claims := map[string]string{} // hash by name
	folders := map[string][]string{}
	for _, l := range d.LogFiles {
		if l.Bucket != d.Bucket { // the trail's bucket was changed in this hour; a copied bucket has the old name in both
			continue
		}
		if k, ok := r.readable(l.Object); !ok || k.Digest() || !r.inPrefix(l.Object) || !strings.Contains(l.Object, "/") {
			continue
		}
		claims[l.Object] = l.Hash
		folder := l.Object[:strings.LastIndexByte(l.Object, '/')+1]
		folders[folder] = append(folders[folder], l.Object)
	}
	for folder, names := range folders {
		slices.Sort(names)
		names = slices.Compact(names)
		found, err := r.find(ctx, folder, names)
		if err != nil {
			return err
		}
		if err := r.missing(ctx, it, names, found); err != nil {
			return sinkError{err}
		}
		for part := range slices.Chunk(found, 1000) {
			fetched, err := r.take(ctx, part, "digest", true)
			if err != nil {
				return sinkError{err}
			}
			r.stats.gaps.Add(int64(fetched))
		}
		if r.o.Verify {
			for i := range found {
				if err := r.compare(ctx, it, found[i].key, found[i].etag, claims[found[i].key]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// find lists from the first to the last of sorted names and returns those that exist.
func (r *run) find(ctx context.Context, folder string, names []string) ([]info, error) {
	first, last := names[0], names[len(names)-1]
	var found []info
	for p, err := range r.pages(ctx, listing{prefix: folder, after: first[:len(first)-1]}) {
		if err != nil {
			return nil, err
		}
		for _, o := range p.objects {
			if o.key > last {
				return found, nil
			}
			if _, ok := slices.BinarySearch(names, o.key); ok {
				found = append(found, o)
			}
		}
	}
	return found, nil
}

// missing notes what a digest names and the bucket does not have.
func (r *run) missing(ctx context.Context, it *item, names []string, found []info) error {
	for _, name := range names {
		if _, ok := slices.BinarySearchFunc(found, name, func(o info, name string) int { return strings.Compare(o.key, name) }); ok {
			continue
		}
		k, _ := r.readable(name)
		id := r.object(name, "")
		if err := r.sink.Expect(ctx, []source.Expected{r.expected(item{key: name, k: k, foundBy: "digest"}, id)}); err != nil {
			return err
		}
		reason := fmt.Sprintf("the digest %s names it, and it is not in the bucket: it was deleted", r.url(it.key))
		if err := r.sink.Fail(ctx, id, k, reason); err != nil {
			return err
		}
		r.stats.mismatches.Add(1)
		r.log.Error("log file missing", "object", r.url(name), "digest", r.url(it.key))
	}
	return nil
}

// compare reads a log file and compares its hash.
func (r *run) compare(ctx context.Context, it *item, key, etag, claim string) error {
	b, _, err := r.openBody(ctx, key, etag, func(error) {})
	if err != nil {
		if errors.Is(err, errGone) || errors.Is(err, errChanged) {
			return nil // it was there a moment ago; the next listing sees what became of it
		}
		return err
	}
	defer b.hangUp()
	h := sha256.New()
	err = unzip(h, b, maxLog)
	got := hex.EncodeToString(h.Sum(nil))
	switch {
	case errors.Is(err, errContent):
		r.mismatch(ctx, key, "sha256:"+claim, fmt.Sprintf("%v, and the digest %s says that its SHA-256 is %s: it was changed", err, r.url(it.key), claim))
	case err != nil:
		return err
	case !strings.EqualFold(got, claim):
		r.mismatch(ctx, key, "sha256:"+claim, fmt.Sprintf("its SHA-256 is %s, and the digest %s says %s: it was changed", got, r.url(it.key), claim))
	}
	return nil
}

// errContent is an object that was read and is not what it should be.
var errContent = errors.New("damaged")

// readAll reads and decompresses a digest.
func (r *run) readAll(ctx context.Context, key, etag string) ([]byte, info, error) {
	b, i, err := r.openBody(ctx, key, etag, func(error) {})
	if err != nil {
		return nil, info{}, err
	}
	defer b.hangUp()
	var w writer
	if err := unzip(&w, b, maxDigest); err != nil {
		return nil, info{}, fmt.Errorf("read %s: %w", r.url(key), err)
	}
	r.successes.Add(1)
	return w, i, nil
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// unzip decompresses at most so many bytes. What is wrong with the content is an
// errContent, all else is of the body.
func unzip(w io.Writer, b *body, most int64) error {
	damaged := func(err error) error {
		if b.err != nil && !errors.Is(b.err, io.EOF) {
			return b.err
		}
		return fmt.Errorf("%w: %w", errContent, err)
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return damaged(err)
	}
	n, err := io.Copy(w, io.LimitReader(z, most+1))
	if err != nil {
		return damaged(err)
	}
	if n > most {
		return damaged(fmt.Errorf("it is over %d MB long", most>>20))
	}
	return nil
}

// verify checks the signature of a digest:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html
func (s *Source) verify(d *digestFile, signature string, sum [sha256.Size]byte) error {
	key := s.keys[d.Fingerprint]
	if key == nil {
		return fmt.Errorf("its signature is by the key %q, which is not in the files of public_keys: fetch them again with aws cloudtrail list-public-keys", d.Fingerprint)
	}
	sig, err := hex.DecodeString(signature)
	if err != nil || len(sig) == 0 {
		return errors.New("it has no signature in its metadata (x-amz-meta-signature): it was not written by CloudTrail, or copied without metadata")
	}
	signed := sha256.Sum256([]byte(stringToSign(d, sum)))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, signed[:], sig) != nil {
		return errors.New("its signature is wrong: it was changed")
	}
	return nil
}

func stringToSign(d *digestFile, sum [sha256.Size]byte) string {
	before := "null"
	if d.PreviousSignature != nil {
		before = *d.PreviousSignature
	}
	return d.EndTime + "\n" + d.Bucket + "/" + d.Object + "\n" + hex.EncodeToString(sum[:]) + "\n" + before
}

// readPublicKeys reads what `aws cloudtrail list-public-keys` prints.
func readPublicKeys(files []string) (map[string]*rsa.PublicKey, error) {
	keys := map[string]*rsa.PublicKey{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var list struct {
			PublicKeyList []struct{ Value, Fingerprint string }
		}
		if err := json.Unmarshal(b, &list); err != nil {
			return nil, fmt.Errorf("public keys %s: %w; it should be what aws cloudtrail list-public-keys prints", name, err)
		}
		if len(list.PublicKeyList) == 0 {
			return nil, fmt.Errorf("public keys %s: there is none in it; it should be what aws cloudtrail list-public-keys prints", name)
		}
		for _, k := range list.PublicKeyList {
			der, err := base64.StdEncoding.DecodeString(k.Value)
			if err != nil {
				return nil, fmt.Errorf("public keys %s: key %s: %w", name, k.Fingerprint, err)
			}
			key, err := x509.ParsePKCS1PublicKey(der)
			if err != nil {
				return nil, fmt.Errorf("public keys %s: key %s: %w", name, k.Fingerprint, err)
			}
			keys[k.Fingerprint] = key
		}
	}
	return keys, nil
}

// hashes are those of digests read lately, so that a chain is checked without reading
// each digest twice. It is safe for concurrent use.
type hashes struct {
	mu       sync.Mutex
	now, old map[string][sha256.Size]byte
}

const maxHashes = 10_000 // of a generation

func (h *hashes) put(key string, sum [sha256.Size]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil || len(h.now) >= maxHashes {
		h.old, h.now = h.now, map[string][sha256.Size]byte{}
	}
	h.now[key] = sum
}

func (h *hashes) get(key string) ([sha256.Size]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sum, ok := h.now[key]; ok {
		return sum, true
	}
	sum, ok := h.old[key]
	return sum, ok
}
