package s3

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A chain writes digests as CloudTrail does.
type chain struct {
	b                       *fakeBucket
	key                     *rsa.PrivateKey // nil: without signature
	last, lastHash, lastSig string
}

type logFile struct{ key, content string }

func (c *chain) write(t *testing.T, at time.Time, suffix string, logs ...logFile) string {
	t.Helper()
	name := strings.Replace(digestKey(account, at), ".json.gz", suffix+".json.gz", 1)
	d := map[string]any{
		"awsAccountId": account, "digestStartTime": at.Add(-time.Hour).Format(time.RFC3339), "digestEndTime": at.Format(time.RFC3339),
		"digestS3Bucket": "trail", "digestS3Object": name, "digestPublicKeyFingerprint": "f1", "digestSignatureAlgorithm": "SHA256withRSA",
	}
	for member, value := range map[string]string{
		"previousDigestS3Object": c.last, "previousDigestHashValue": c.lastHash, "previousDigestSignature": c.lastSig,
	} {
		if d[member] = any(nil); value != "" {
			d[member] = value
		}
	}
	files := []map[string]string{}
	for _, l := range logs {
		sum := sha256.Sum256([]byte(l.content))
		files = append(files, map[string]string{"s3Bucket": "trail", "s3Object": l.key, "hashValue": hex.EncodeToString(sum[:]), "hashAlgorithm": "SHA-256"})
	}
	d["logFiles"] = files
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	signature := ""
	if c.key != nil {
		before := c.lastSig
		if before == "" {
			before = "null"
		}
		signed := sha256.Sum256([]byte(fmt.Sprintf("%s\ntrail/%s\n%x\n%s", at.Format(time.RFC3339), name, sum, before)))
		sig, err := rsa.SignPKCS1v15(nil, c.key, crypto.SHA256, signed[:])
		if err != nil {
			t.Fatal(err)
		}
		signature = hex.EncodeToString(sig)
	}
	c.b.mu.Lock()
	c.b.objects[name] = fakeObject{content: zipped(string(raw)), modified: time.Now(), signature: signature}
	c.b.mu.Unlock()
	if suffix == "" {
		c.last, c.lastHash, c.lastSig = name, hex.EncodeToString(sum[:]), signature
	}
	return name
}

func TestDigests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		c := &chain{b: b}
		s := newSource(testOptions(), b, q)
		b.put(keyAt(account, epoch, "early"), zipped("x"))
		stop := start(t, s, sink)
		time.Sleep(30 * time.Second)
		var logs []logFile
		for i := range 7 { // no message tells of them, and no listing is due
			l := logFile{keyAt(account, epoch.Add(time.Duration(i)*time.Minute), fmt.Sprint("x", i)), fmt.Sprint("content", i)}
			b.put(l.key, zipped(l.content))
			logs = append(logs, l)
		}
		b.put(keyAt(account, epoch.Add(3*time.Minute), "unnamed"), zipped("x"))
		q.send(b.notice(logs[3].key))
		time.Sleep(time.Minute)
		first := c.write(t, epoch.Add(time.Hour), "", logs...)
		q.send(b.notice(first))
		time.Sleep(time.Minute)
		second := c.write(t, epoch.Add(2*time.Hour), "")
		q.send(b.notice(second))
		backfill := c.write(t, epoch.Add(time.Hour), "_backfill", logFile{keyAt(account, epoch.Add(5*time.Minute), "gone"), "x"})
		q.send(b.notice(backfill))
		time.Sleep(time.Minute)
		for _, l := range logs {
			e, _ := sink.expectation(s.object(l.key, b.objects[l.key].etag()))
			if sink.times(l.key) != 1 || e.By != "digest" || e.Hour != epoch {
				t.Errorf("%s was read %d times, expected as %+v", l.key, sink.times(l.key), e)
			}
		}
		want := []string{"trail/" + keyAt(account, epoch.Add(5*time.Minute), "gone") + ": the digest s3://trail/" + backfill +
			" names it, and it is not in the bucket: it was deleted"}
		if diff := cmp.Diff(want, sink.reasons()); diff != "" {
			t.Error(diff)
		}
		if st := s.Stats(); st.Digests != 3 || st.Gaps != 6 || st.Mismatches != 1 {
			t.Errorf("%+v", st)
		}
		gets := s.Stats().Gets
		time.Sleep(50 * time.Hour)
		if st := s.Stats(); st.Gets != gets+1 || st.Digests != 3 { // the unnamed one
			t.Errorf("read again: %+v", st)
		}
		stop()
		if q.left() != 0 {
			t.Errorf("%d messages left", q.left())
		}
	})
}

func TestDigestsThatDoNotAgree(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	type bucketOf struct {
		b           *fakeBucket
		c           *chain
		log         logFile
		first, last string
	}
	for _, f := range []struct {
		name   string
		change func(t *testing.T, x *bucketOf)
		want   string // parts of the only reason, separated by …; "" if there should be none
	}{
		{"all is well", func(*testing.T, *bucketOf) {}, ""},
		{
			"log file changed", func(_ *testing.T, x *bucketOf) { x.b.put(x.log.key, zipped("changed")) },
			"_a.json.gz: its SHA-256 is …, and the digest …T010000Z.json.gz says …: it was changed",
		},
		{
			"log file damaged", func(_ *testing.T, x *bucketOf) { x.b.put(x.log.key, []byte("changed")) },
			"_a.json.gz: damaged: unexpected EOF, and the digest …T010000Z.json.gz says that its SHA-256 is …: it was changed",
		},
		{
			"log file deleted", func(_ *testing.T, x *bucketOf) { x.b.remove(x.log.key) },
			"_a.json.gz: the digest …T010000Z.json.gz names it, and it is not in the bucket: it was deleted",
		},
		{
			"digest deleted", func(_ *testing.T, x *bucketOf) { x.b.remove(x.first) },
			"T010000Z.json.gz: the digest …T020000Z.json.gz names it as the one before, and it is not in the bucket: it was deleted",
		},
		{"digest changed", func(_ *testing.T, x *bucketOf) {
			x.b.objects[x.first] = fakeObject{content: zipped(`{"digestS3Object":"` + x.first + `"}`), modified: time.Now()}
		}, "T010000Z.json.gz: its SHA-256 is …, and the digest after it, …T020000Z.json.gz, says …: one of the two was changed"},
		{"digest written again with another key", func(t *testing.T, x *bucketOf) {
			(&chain{b: x.b, key: other, last: x.c.last, lastHash: x.c.lastHash, lastSig: x.c.lastSig}).write(t, epoch.Add(3*time.Hour), "")
		}, "T030000Z.json.gz: its signature is wrong: it was changed"},
		{"digest without signature", func(t *testing.T, x *bucketOf) {
			(&chain{b: x.b, last: x.c.last, lastHash: x.c.lastHash}).write(t, epoch.Add(3*time.Hour), "")
		}, "T030000Z.json.gz: it has no signature in its metadata"},
		{"digest of another place", func(_ *testing.T, x *bucketOf) {
			x.b.objects[strings.Replace(x.last, "T02", "T05", 1)] = x.b.objects[x.last]
		}, "T050000Z.json.gz: the digest says that it is …T020000Z.json.gz: it was moved or copied over"},
		{
			"digest damaged", func(_ *testing.T, x *bucketOf) { x.b.put(digestKey(account, epoch.Add(4*time.Hour)), []byte("{}")) },
			"T040000Z.json.gz: …: damaged: unexpected EOF",
		},
		{
			"no digest", func(_ *testing.T, x *bucketOf) { x.b.put(digestKey(account, epoch.Add(4*time.Hour)), zipped("[]")) },
			"T040000Z.json.gz: it is named like a digest file but is none",
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, _, sink := newTest(t)
				x := &bucketOf{b: b, c: &chain{b: b, key: key}, log: logFile{keyAt(account, epoch, "a"), "content"}}
				b.put(x.log.key, zipped(x.log.content))
				x.first = x.c.write(t, epoch.Add(time.Hour), "", x.log)
				x.last = x.c.write(t, epoch.Add(2*time.Hour), "")
				f.change(t, x)
				o := testOptions()
				o.Verify = true
				s := newSource(o, b, nil)
				s.keys = map[string]*rsa.PublicKey{"f1": &key.PublicKey}
				stop := start(t, s, sink)
				time.Sleep(3 * time.Hour)
				stop()
				// A digest that was changed has a wrong signature, too.
				var got []string
				for _, reason := range sink.reasons() {
					if f.name == "digest changed" && strings.Contains(reason, "signature") {
						continue
					}
					if f.name == "digest of another place" && strings.Contains(reason, "one of the two") {
						continue
					}
					got = append(got, reason)
				}
				if f.want == "" {
					if len(got) > 0 {
						t.Errorf("%q", got)
					}
					return
				}
				if len(got) != 1 || !inOrder(got[0], strings.Split(f.want, "…")) {
					t.Errorf("got %q, want %s", got, f.want)
				}
			})
		})
	}
}

func inOrder(s string, parts []string) bool {
	for _, p := range parts {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	der := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	good := file("good.json", `{"PublicKeyList":[{"Value":"`+der+`","ValidityStartTime":"2020-01-01T00:00:00Z","Fingerprint":"f1"}]}`)
	keys, err := readPublicKeys([]string{good})
	if err != nil || !key.PublicKey.Equal(keys["f1"]) {
		t.Errorf("%v, %v", keys, err)
	}
	for name, f := range map[string]struct{ content, want string }{
		"no JSON": {"x", "it should be what aws cloudtrail list-public-keys prints"},
		"no keys": {"{}", "there is none in it"},
		"base64":  {`{"PublicKeyList":[{"Value":"!","Fingerprint":"f"}]}`, "key f: illegal base64"},
		"DER":     {`{"PublicKeyList":[{"Value":"AAAA","Fingerprint":"f"}]}`, "key f: "},
	} {
		if _, err := readPublicKeys([]string{file("bad", f.content)}); err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
