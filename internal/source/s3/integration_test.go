//go:build integration

package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/internal/source/s3/s3test"
)

// trail makes a generated trail with digests and returns its folder, and the signatures
// by key.
func trail(t *testing.T, records int64) (string, generate.Summary, map[string]string) {
	t.Helper()
	cfg := generate.Default(records, 7)
	cfg.Accounts, cfg.Days, cfg.Digests = 2, 1, true
	dir := filepath.Join(t.TempDir(), "trail")
	sum, err := generate.Run(t.Context(), cfg, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, generate.SideDir, generate.DigestsFile))
	if err != nil {
		t.Fatal(err)
	}
	signatures := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(b)); dec.More(); {
		var l struct{ Key, Signature string }
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		signatures[l.Key] = l.Signature
	}
	return dir, sum, signatures
}

// clock runs from a time on, so that a trail of the past is of today.
func clock(at time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return at.Add(time.Since(began)) }
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within five minutes", what)
		}
	}
}

func (s *fakeSink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.has)
}

// A whole trail through S3 and SQS: half of it was there before, half is announced
// while the source runs, through a proxy that fails, breaks bodies and stalls; digests
// are checked with their signatures. Every object is read once and whole.
func TestTrail(t *testing.T) {
	srv := s3test.Start(t)
	srv.Setenv(t)
	dir, sum, signatures := trail(t, 500)
	srv.Bucket("trail")
	queue := srv.Queue("notices")
	half := 0
	first := func(key string) bool { half++; return half%2 == 0 && !strings.Contains(key, "CloudTrail-Digest") }
	before := map[string]bool{}
	srv.Upload("trail", dir, func(key string) bool { before[key] = first(key); return before[key] }, nil)
	srv.Notify("trail", "notices")

	t.Logf("%d objects and %d digests; uploaded the first half", sum.Objects, len(signatures))
	proxy, faults := unreliable(t, srv.Endpoint)
	sink := newFakeSink(t)
	sink.busy = make(chan struct{}, 32)
	s, err := New(t.Context(), Options{
		Name: "org", Bucket: "trail", Region: s3test.Region, Endpoint: proxy, PathStyle: true, QueueURL: queue,
		RoleARN: "arn:aws:iam::123456789012:role/debut", ExternalID: "x",
		Start: sum.Config.Start, Digests: true, Verify: true, PublicKeyFiles: []string{filepath.Join(dir, generate.SideDir, generate.KeysFile)},
		VisibilityTimeout: 10 * time.Second, ListInterval: time.Minute, IdleTimeout: time.Second, Now: clock(sum.Config.Start.AddDate(0, 0, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, s, sink)
	digest := func(key string) bool { return strings.Contains(key, "CloudTrail-Digest") }
	n := srv.Upload("trail", dir, func(key string) bool { return !before[key] && !digest(key) }, nil)
	n += srv.Upload("trail", dir, digest, func(key string) map[string]string { return map[string]string{"signature": signatures[key]} })
	for _, b := range before {
		if b {
			n++
		}
	}
	srv.Send(queue, `{"Type":"Notification","Message":"CloudTrail validation message."}`)
	srv.Send(queue, `{"hello":"world"}`)
	t.Log("uploaded all")
	until(t, "objects", func() bool { return sink.count() == n })
	t.Log("read all")
	until(t, "messages", func() bool { return srv.Left(queue) == 0 })
	stop()

	if got := sink.reasons(); len(got) > 0 {
		t.Errorf("failed: %q", got)
	}
	logs := 0
	for name, content := range sink.content {
		key := strings.TrimPrefix(name, "s3://trail/")
		if len(content) != 1 {
			t.Errorf("%s was read %d times", key, len(content))
		}
		if digest(key) {
			continue // it is handed over without compression
		}
		logs++
		want, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key)))
		if err != nil || !bytes.Equal(want, content[0]) {
			t.Errorf("%s was not read whole: %v", key, err)
		}
	}
	if int64(logs) != sum.Objects {
		t.Errorf("%d log files were read, %d written", logs, sum.Objects)
	}
	st := s.Stats()
	if st.Digests != int64(len(signatures)) || st.Mismatches != 0 || st.Parked != 1 {
		t.Errorf("%+v", st)
	}
	t.Logf("%d objects, %d faults: %+v", n, faults.Load(), st)
}

// unreliable forwards to a server and spoils one in seven answers to GET.
func unreliable(t *testing.T, endpoint string) (string, *atomic.Int64) {
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // it is signed
	}}
	var n, faults atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || n.Add(1)%7 != 0 {
			forward.ServeHTTP(w, r)
			return
		}
		switch faults.Add(1) % 3 {
		case 0:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		case 1: // half of the answer, and the end of the connection
			rec := httptest.NewRecorder()
			forward.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			panic(http.ErrAbortHandler)
		case 2: // the same, but it stalls
			rec := httptest.NewRecorder()
			forward.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, &faults
}

// Thousands of objects in a second S3 server, announced fifty a message.
func TestManyObjects(t *testing.T) {
	bucket, queues := s3test.StartS3(t), s3test.Start(t)
	queues.Setenv(t)
	bucket.Bucket("trail")
	queue := queues.Queue("notices")
	const n = 2000
	at := time.Now().UTC().AddDate(0, 0, -40) // no listing finds them
	var objects []s3test.Object
	for i := range n {
		key := keyAt(account, at, fmt.Sprint(i))
		objects = append(objects, s3test.Object{Key: key, ETag: bucket.Put("trail", key, zipped(key), nil)})
	}
	for part := range slices.Chunk(objects, 50) {
		queues.Send(queue, s3test.Message("trail", part...))
	}
	sink := newFakeSink(t)
	sink.busy = make(chan struct{}, 32)
	s, err := New(t.Context(), Options{
		Name: "org", Bucket: "trail", Region: s3test.Region, Endpoint: bucket.Endpoint, PathStyle: true, QueueURL: queue, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, s, sink)
	until(t, "objects", func() bool { return sink.count() == n })
	until(t, "messages", func() bool { return queues.Left(queue) == 0 })
	stop()
	if st := s.Stats(); st.Read != n || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

// What is wrong with a configuration is told in words, and the source goes on trying.
func TestWrongConfiguration(t *testing.T) {
	srv := s3test.Start(t)
	srv.Setenv(t)
	srv.Bucket("trail")
	for _, f := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"bucket", func(o *Options) { o.Bucket = "trial" }, "list s3://trial/: there is no such bucket; check its name, and the endpoint"},
		{"queue", func(o *Options) { o.QueueURL = srv.Endpoint + "/123456789012/nothing" }, "there is no such queue; check its URL and region (listings go on)"},
		{"empty", func(*Options) {}, "no folder AWSLogs/ in it: is prefixes right?"},
		{"endpoint", func(o *Options) { o.Endpoint = "http://127.0.0.1:1" }, "connection refused"},
	} {
		t.Run(f.name, func(t *testing.T) {
			o := Options{Name: "org", Bucket: "trail", Region: s3test.Region, Endpoint: srv.Endpoint, PathStyle: true, Now: time.Now}
			f.change(&o)
			s, err := New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			sink := newFakeSink(t)
			stop := start(t, s, sink)
			until(t, "trouble", func() bool { return strings.Contains(sink.lastTrouble(), f.want) })
			stop()
			t.Log(sink.lastTrouble())
		})
	}
}
