package s3

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What a server answers is told in words, with what to do about it.
func TestAnswers(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	var status int
	var header, code string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if header != "" {
			w.Header().Set("X-Amz-Bucket-Region", header)
		}
		if r.Header.Get("X-Amz-Target") != "" { // SQS
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#%s","message":"m"}`, code)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.URL.Path == "/" { // STS
			_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>m</Message></Error></ErrorResponse>`, code)
		} else if r.Method != http.MethodHead {
			_, _ = fmt.Fprintf(w, `<Error><Code>%s</Code><Message>m</Message></Error>`, code)
		}
	}))
	defer srv.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", srv.URL)
	list := func(s *Source) error { _, err := s.bucket.list(t.Context(), listing{prefix: "p/"}); return err }
	head := func(s *Source) error { _, err := s.bucket.head(t.Context(), "k"); return err }
	get := func(s *Source) error { _, _, err := s.bucket.get(t.Context(), "k", "e", 5); return err }
	receive := func(s *Source) error { _, err := s.queue.receive(t.Context()); return err }
	remove := func(s *Source) error { return s.queue.remove(t.Context(), []string{"r"}) }
	extend := func(s *Source) error { return s.queue.extend(t.Context(), []string{"r"}, time.Minute) }
	for _, f := range []struct {
		call         func(*Source) error
		status       int
		code, header string
		want         string
	}{
		{list, 404, "NoSuchBucket", "", "list s3://trail/p/: there is no such bucket; check its name, and the endpoint"},
		{list, 403, "AccessDenied", "", `list s3://trail/p/: access denied: the policy of the role lacks {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::trail"}`},
		{list, 403, "InvalidAccessKeyId", "", "list s3://trail/p/: access denied: the credentials are not accepted (InvalidAccessKeyId)"},
		{list, 301, "PermanentRedirect", "us-east-2", "list s3://trail/p/: the bucket is in region us-east-2: set region accordingly"},
		{list, 400, "AuthorizationHeaderMalformed", "", "list s3://trail/p/: the bucket is in another region: set region accordingly"},
		{list, 503, "SlowDown", "", "SlowDown"},
		{head, 404, "", "", "look up s3://trail/k: it is not in the bucket"},
		{head, 403, "", "", `"Action": "s3:GetObject", "Resource": "arn:aws:s3:::trail/*"}`},
		{get, 404, "NoSuchKey", "", "read s3://trail/k: it is not in the bucket"},
		{get, 412, "PreconditionFailed", "", "read s3://trail/k: it was replaced while it was read"},
		{get, 403, "InvalidObjectState", "", "read s3://trail/k: it is archived: restore it from Glacier first"},
		{get, 400, "KMS.DisabledException", "", "KMS.DisabledException"},
		{receive, 400, "QueueDoesNotExist", "", "/1/q: there is no such queue; check its URL and region"},
		{receive, 403, "AccessDeniedException", "", `lacks {"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"], "Resource": "arn:aws:sqs:eu-west-1:1:q"}`},
		{remove, 400, "QueueDoesNotExist", "", "delete from "},
		{extend, 400, "QueueDoesNotExist", "", "keep messages of "},
	} {
		status, code, header = f.status, f.code, f.header
		o := testOptions()
		o.Endpoint, o.PathStyle, o.QueueURL, o.Region = srv.URL, true, srv.URL+"/1/q", "eu-west-1"
		s, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.call(s); err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("%d %s: %v, want %s", f.status, f.code, err, f.want)
		}
	}

	o := testOptions()
	o.Endpoint, o.PathStyle, o.RoleARN = srv.URL, true, "arn:aws:iam::111122223333:role/debut"
	status, code = 403, "AccessDenied"
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := list(s); err == nil || !strings.Contains(err.Error(), "assume role arn:aws:iam::111122223333:role/debut: access denied (AccessDenied)") {
		t.Errorf("assume role: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	o.RoleARN = ""
	if s, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := list(s); err == nil || !strings.Contains(err.Error(), "list s3://trail/p/: no credentials: set them") {
		t.Errorf("no credentials: %v", err)
	}
	t.Setenv("AWS_REGION", "")
	if _, err = New(t.Context(), o); err == nil || err.Error() != "source org: no region: set region, or AWS_REGION in the environment" {
		t.Errorf("no region: %v", err)
	}
}
