package s3test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"
)

// Region is where everything is.
const Region = "eu-west-1"

const (
	account = "123456789012" // moto's
	startup = 60 * time.Second
	uploads = 8 // at a time
	user    = "test"
	secret  = "testtesttest" // of servers that live as long as a test
)

// A Server is running until its test ends. Its methods fail the test if they cannot do
// what they say, and are safe for concurrent use.
type Server struct {
	Endpoint string // http://127.0.0.1:port
	S3       *s3.Client
	SQS      *sqs.Client
	t        testing.TB
}

// Start starts moto_server, for S3, SQS and STS, on a free port of the loopback
// interface. If it is not installed, the test fails and says how to install it. It takes
// some twenty requests a second.
func Start(t testing.TB) *Server {
	t.Helper()
	port := freePort(t)
	s := &Server{Endpoint: fmt.Sprintf("http://127.0.0.1:%d", port), t: t}
	s.run("moto_server", "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	return s
}

// StartS3 starts versitygw, for S3 only, which is twenty times as fast; its objects are
// files of a temporary folder. Queues are then those of another server.
func StartS3(t testing.TB) *Server {
	t.Helper()
	port := freePort(t)
	s := &Server{Endpoint: fmt.Sprintf("http://127.0.0.1:%d", port), t: t}
	s.run("versitygw", "--port", fmt.Sprintf("127.0.0.1:%d", port), "--region", Region, "--quiet", "posix", "--sidecar", t.TempDir(), t.TempDir())
	return s
}

// run starts a program that serves, and ends it with the test.
func (s *Server) run(name string, args ...string) {
	t := s.t
	t.Helper()
	program := find(t, name)
	var output bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) //nolint:gosec // a tool of the tests
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+user, "ROOT_SECRET_KEY="+secret)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); t.Failed() { // killed, unless it ended before
			t.Logf("%s: %v; its last words:\n%s", name, err, output.Bytes()[max(0, output.Len()-2000):])
		}
	})
	s.wait(name)
	keys := credentials.NewStaticCredentialsProvider(user, secret, "")
	s.S3 = s3.New(s3.Options{
		Region: Region, BaseEndpoint: &s.Endpoint, UsePathStyle: true, Credentials: keys,
		DisableLogOutputChecksumValidationSkipped: true, RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	s.SQS = sqs.New(sqs.Options{Region: Region, BaseEndpoint: &s.Endpoint, Credentials: keys})
}

// find looks where scripts/integration-deps installs, then in the PATH.
func find(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("DEBUT_DEPS")
	if dir == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(cache, "debut", "integration")
		}
	}
	installed := filepath.Join(dir, "bin", name)
	if _, err := os.Stat(installed); err == nil { //nolint:gosec // the one who tests names the folder
		return installed
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is neither in %s nor in the PATH: run scripts/integration-deps", name, filepath.Dir(installed))
	}
	return path
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *Server) wait(name string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startup)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/", http.NoBody)
		if err != nil {
			s.t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("%s does not answer after %v", name, startup)
		}
	}
}

// Env is what the environment of a process needs to reach the server.
func (s *Server) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + user, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_REGION=" + Region,
		"AWS_ENDPOINT_URL_STS=" + s.Endpoint, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// Setenv sets Env for this process.
func (s *Server) Setenv(t *testing.T) {
	t.Helper()
	for _, e := range s.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// Bucket makes a bucket.
func (s *Server) Bucket(name string) {
	s.t.Helper()
	_, err := s.S3.CreateBucket(s.t.Context(), &s3.CreateBucketInput{
		Bucket: &name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: Region},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// Queue makes a queue and returns its URL.
func (s *Server) Queue(name string) string {
	s.t.Helper()
	out, err := s.SQS.CreateQueue(s.t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := url.Parse(aws.ToString(out.QueueUrl))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Endpoint + u.Path
}

// Notify has S3 tell the queue of every object that is created in the bucket.
func (s *Server) Notify(bucket, queue string) {
	s.t.Helper()
	_, err := s.S3.PutBucketNotificationConfiguration(s.t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: &bucket, NotificationConfiguration: &s3types.NotificationConfiguration{QueueConfigurations: []s3types.QueueConfiguration{{
			QueueArn: aws.String("arn:aws:sqs:" + Region + ":" + account + ":" + queue), Events: []s3types.Event{"s3:ObjectCreated:*"},
		}}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// Put writes an object and returns its ETag, without quotes.
func (s *Server) Put(bucket, key string, body []byte, metadata map[string]string) string {
	s.t.Helper()
	etag, err := s.put(s.t.Context(), bucket, key, body, metadata)
	if err != nil {
		s.t.Fatal(err)
	}
	return etag
}

func (s *Server) put(ctx context.Context, bucket, key string, body []byte, metadata map[string]string) (string, error) {
	out, err := s.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: metadata})
	if err != nil {
		return "", fmt.Errorf("put %s: %w", key, err)
	}
	return strings.Trim(aws.ToString(out.ETag), `"`), nil
}

// Upload writes every file of dir whose key keep accepts, hidden folders left out, and
// returns how many. metadata may be nil.
func (s *Server) Upload(bucket, dir string, keep func(key string) bool, metadata func(key string) map[string]string) int {
	s.t.Helper()
	n := 0
	g, ctx := errgroup.WithContext(s.t.Context())
	g.SetLimit(uploads)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != dir && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		if keep != nil && !keep(key) {
			return nil
		}
		n++
		g.Go(func() error {
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var m map[string]string
			if metadata != nil {
				m = metadata(key)
			}
			_, err = s.put(ctx, bucket, key, body, m)
			return err
		})
		return ctx.Err()
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Send sends a message.
func (s *Server) Send(queueURL, body string) {
	s.t.Helper()
	if _, err := s.SQS.SendMessage(s.t.Context(), &sqs.SendMessageInput{QueueUrl: &queueURL, MessageBody: &body}); err != nil {
		s.t.Fatal(err)
	}
}

// Left is how many messages are in the queue, hidden ones included.
func (s *Server) Left(queueURL string) int {
	s.t.Helper()
	names := []sqstypes.QueueAttributeName{
		sqstypes.QueueAttributeNameApproximateNumberOfMessages, sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
	}
	out, err := s.SQS.GetQueueAttributes(s.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queueURL, AttributeNames: names})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		var k int
		if _, err := fmt.Sscan(out.Attributes[string(name)], &k); err != nil {
			s.t.Fatalf("attribute %s: %v", name, err)
		}
		n += k
	}
	return n
}

// An Object is what S3 announces.
type Object struct{ Key, ETag string }

// Message is what S3 sends about objects, many in one message.
func Message(bucket string, objects ...Object) string {
	type event struct {
		EventSource string `json:"eventSource"`
		EventName   string `json:"eventName"`
		S3          any    `json:"s3"`
	}
	var m struct{ Records []event }
	for _, o := range objects {
		m.Records = append(m.Records, event{"aws:s3", "ObjectCreated:Put", map[string]any{
			"bucket": map[string]string{"name": bucket}, "object": map[string]string{"key": url.QueryEscape(o.Key), "eTag": o.ETag},
		}})
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // of strings
	}
	return string(b)
}
