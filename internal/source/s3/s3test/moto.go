package s3test

import (
	"bytes"
	"context"
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
	account  = "123456789012" // moto's
	startup  = 60 * time.Second
	uploads  = 8 // at a time
	testUser = "test"
)

// A Server is running until its test ends. Its methods fail the test if they cannot do
// what they say, and are safe for concurrent use.
type Server struct {
	Endpoint string // http://127.0.0.1:port, for S3, SQS and STS
	S3       *s3.Client
	SQS      *sqs.Client
	t        testing.TB
}

// Start starts a server on a free port of the loopback interface. If moto_server is not
// installed, the test fails and says how to install it.
func Start(t testing.TB) *Server {
	t.Helper()
	program := find(t)
	port := freePort(t)
	s := &Server{Endpoint: fmt.Sprintf("http://127.0.0.1:%d", port), t: t}
	var output bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-H", "127.0.0.1", "-p", strconv.Itoa(port)) //nolint:gosec // a tool of the tests
	cmd.Stderr = &output
	cmd.Env = append(os.Environ(), "MOTO_S3_DEFAULT_MAX_KEYS=1000", "PYTHONWARNINGS=ignore")
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); t.Failed() { // killed, unless it ended before
			t.Logf("moto_server: %v; its last words:\n%s", err, output.Bytes()[max(0, output.Len()-2000):])
		}
	})
	s.wait(&output)
	s.S3 = s3.New(s3.Options{
		Region: Region, BaseEndpoint: &s.Endpoint, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(testUser, testUser, ""),
		DisableLogOutputChecksumValidationSkipped: true, RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	s.SQS = sqs.New(sqs.Options{Region: Region, BaseEndpoint: &s.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(testUser, testUser, "")})
	return s
}

// find looks where scripts/integration-deps installs, then in the PATH.
func find(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DEBUT_DEPS")
	if dir == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(cache, "debut", "integration")
		}
	}
	installed := filepath.Join(dir, "bin", "moto_server")
	if _, err := os.Stat(installed); err == nil { //nolint:gosec // the one who tests names the folder
		return installed
	}
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Fatalf("moto_server is neither in %s nor in the PATH: run scripts/integration-deps", filepath.Dir(installed))
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

func (s *Server) wait(output *bytes.Buffer) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startup)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/moto-api/data.json", http.NoBody)
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
			s.t.Fatalf("moto_server does not answer after %v:\n%s", startup, output)
		}
	}
}

// Env is what the environment of a process needs to reach the server.
func (s *Server) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + testUser, "AWS_SECRET_ACCESS_KEY=" + testUser, "AWS_REGION=" + Region,
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
