package main

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A fakeAWS is as much of S3 and SQS as a bucket that is read needs: a folder is the
// bucket, and each file of another one a message, once. Its extension is how often it
// was received before.
type fakeAWS struct {
	bucket, messages string

	mu    sync.Mutex
	taken map[string]bool
}

// s3sqs starts a fakeAWS and writes its address into a file, in place of AWS_URL.
// Usage: s3sqs BUCKET-DIR MESSAGE-DIR FILE.
func s3sqs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: s3sqs BUCKET-DIR MESSAGE-DIR FILE")
	}
	srv := httptest.NewServer(&fakeAWS{bucket: ts.MkAbs(args[0]), messages: ts.MkAbs(args[1]), taken: map[string]bool{}})
	ts.Defer(srv.Close)
	text := strings.ReplaceAll(ts.ReadFile(args[2]), "AWS_URL", srv.URL)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text), 0o600))
	ts.Setenv("AWS_ACCESS_KEY_ID", "key")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	ts.Setenv("AWS_REGION", "eu-west-1")
}

func (a *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, op, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "AmazonSQS."); ok {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_ = json.NewEncoder(w).Encode(a.sqs(r, op)) // the client is gone
		return
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if key == "" {
		a.list(w, r)
		return
	}
	b, err := os.ReadFile(filepath.Join(a.bucket, filepath.FromSlash(key)))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
		return
	}
	w.Header().Set("Etag", `"`+sum(b)+`"`)
	http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), strings.NewReader(string(b)))
}

func sum(b []byte) string {
	s := md5.Sum(b) // an ETag
	return hex.EncodeToString(s[:])
}

func (a *fakeAWS) sqs(r *http.Request, op string) any {
	if op != "ReceiveMessage" {
		return map[string]any{"Successful": []any{}, "Failed": []any{}}
	}
	for n := 0; ; n++ {
		if list := a.receive(); len(list) > 0 || n == 100 {
			return map[string]any{"Messages": list}
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// receive returns the messages that nobody had yet.
func (a *fakeAWS) receive() []map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	files, _ := os.ReadDir(a.messages) // there may be none
	var list []map[string]any
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(a.messages, f.Name()))
		if err != nil || a.taken[f.Name()] {
			continue
		}
		a.taken[f.Name()] = true
		id, receives, _ := strings.Cut(f.Name(), ".")
		list = append(list, map[string]any{
			"MessageId": id, "ReceiptHandle": id, "Body": string(b), "MD5OfBody": sum(b),
			"Attributes": map[string]string{"ApproximateReceiveCount": cmp.Or(receives, "1"), "SentTimestamp": "1700000000000"},
		})
	}
	return list
}

type contents struct {
	Key, LastModified, ETag string
	Size                    int
}

type commonPrefix struct{ Prefix string }

func (a *fakeAWS) list(w http.ResponseWriter, r *http.Request) {
	prefix, delimiter := r.URL.Query().Get("prefix"), r.URL.Query().Get("delimiter")
	out := struct {
		XMLName        xml.Name `xml:"ListBucketResult"`
		IsTruncated    bool
		Contents       []contents
		CommonPrefixes []commonPrefix
	}{}
	err := filepath.WalkDir(a.bucket, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(a.bucket, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		rest, ok := strings.CutPrefix(key, prefix)
		switch folder, _, deeper := strings.Cut(rest, "/"); {
		case !ok:
		case delimiter == "/" && deeper:
			if p := (commonPrefix{prefix + folder + "/"}); !slices.Contains(out.CommonPrefixes, p) {
				out.CommonPrefixes = append(out.CommonPrefixes, p)
			}
		default:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out.Contents = append(out.Contents, contents{key, "2026-01-01T00:00:00Z", `"` + sum(b) + `"`, len(b)})
		}
		return nil
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out) // the client is gone
}
