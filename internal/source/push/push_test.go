package push_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/source/push"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	bomb := strings.Repeat(record("a")+"\n", 20_000)
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
		events []string
		want   string // part of the answer
	}{
		"a log object":         {body: `{"Records":[` + record("a") + `,` + record("b") + `]}`, status: 200, events: []string{"a", "b"}, want: `"records":2`},
		"lines":                {body: record("a") + "\n" + record("b"), status: 200, events: []string{"a", "b"}},
		"one document":         {body: document("a"), status: 200, events: []string{"a"}, want: `"documents":1`},
		"gzip by header":       {body: gzipped(t, record("a")), header: []string{"Content-Encoding: gzip"}, status: 200, events: []string{"a"}},
		"gzip by content":      {body: gzipped(t, record("a")), status: 200, events: []string{"a"}},
		"zstd":                 {body: zstandard(t, record("a")), header: []string{"Content-Encoding: zstd"}, status: 200, events: []string{"a"}},
		"any content type":     {body: record("a"), header: []string{"Content-Type: text/html"}, status: 200, events: []string{"a"}},
		"partly usable":        {body: record("a") + "\n{\"x\":1}\n", status: 200, events: []string{"a"}, want: `"code":"not-a-record"`},
		"a control message":    {body: `{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"1","message":"CWL CONTROL MESSAGE"}]}`, status: 200, events: []string{}, want: `"skipped":1`},
		"nothing usable":       {body: `{"x":1}`, status: 400, events: []string{}, want: `"error":{"code":"not-a-record"`},
		"no JSON":              {body: "hello", status: 400, events: []string{}},
		"empty":                {body: "", status: 400, events: []string{}, want: `"code":"empty"`},
		"unknown encoding":     {body: "x", header: []string{"Content-Encoding: br"}, status: 415, events: []string{}},
		"two encodings":        {body: "x", header: []string{"Content-Encoding: gzip, gzip"}, status: 415, events: []string{}},
		"too large":            {body: strings.Repeat(" ", 1<<20+1), status: 413, events: []string{}, want: `"code":"too-large"`},
		"too large inside":     {body: gzipped(t, bomb), status: 413, events: []string{}},
		"too large in zstd":    {body: zstandard(t, bomb), status: 413, events: []string{}},
		"a long key":           {body: record("a"), header: []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, status: 400, events: []string{}},
		"damaged gzip":         {body: gzipped(t, record("a"))[:60], status: 400, events: []string{}},
		"deep JSON":            {body: strings.Repeat(`{"a":`, 100_000), status: 400, events: []string{}},
		"a record with quotes": {body: record("a\"\\\n"), status: 200, events: []string{"a\"\\\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newSink()
			s := start(t, push.Options{MaxBody: 1 << 20, MaxDecoded: 2 << 20}, to)
			w := do(s, http.MethodPost, "/v1/records", test.body, test.header...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s, want %d and %s in it", w.Code, w.Body, test.status, test.want)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("the answer is not JSON: %s", w.Body)
			}
			if diff := cmp.Diff(test.events, to.got()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if st := s.Stats(); st.Pending != 0 || st.Open != 0 {
				t.Errorf("something is left behind: %+v", st)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	to := newSink()
	s := start(t, push.Options{}, to)
	for i, want := range []string{`"records":1`, `"seen":true`} {
		w := do(s, http.MethodPost, "/v1/records", record("a"), "Idempotency-Key: k")
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
	// The same key with another body is another request: nothing is lost.
	if w := do(s, http.MethodPost, "/v1/records", record("b"), "Idempotency-Key: k"); !strings.Contains(w.Body.String(), `"records":1`) {
		t.Errorf("another body: %d %s", w.Code, w.Body)
	}
	if diff := cmp.Diff([]string{"a", "b"}, to.got()); diff != "" {
		t.Error(diff)
	}
}

func TestIdempotencyKeyUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		to.hold = make(chan struct{})
		s := start(t, push.Options{}, to)
		first := make(chan int)
		go func() { first <- do(s, http.MethodPost, "/v1/records", record("a"), "Idempotency-Key: k").Code }()
		synctest.Wait()
		if w := do(s, http.MethodPost, "/v1/records", record("a"), "Idempotency-Key: k"); w.Code != 409 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		close(to.hold)
		if code := <-first; code != 200 {
			t.Errorf("the first got %d", code)
		}
	})
}

func TestPressure(t *testing.T) {
	t.Parallel()
	busy := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	bulkBody := "{\"index\":{}}\n" + record("a") + "\n"
	t.Run("the sink is busy", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := newSink()
			s := start(t, push.Options{Wait: time.Second}, to)
			to.before = busy
			for target, body := range map[string]string{"/v1/records": record("a"), "/_bulk": bulkBody, "/v1/eventbridge": record("a"), "/v1/firehose": `{"records":[]}`} {
				w := do(s, http.MethodPost, target, body)
				if w.Code != 429 || w.Header().Get("Retry-After") != "1" {
					t.Errorf("%s: got %d %s", target, w.Code, w.Body)
				}
			}
			if st := s.Stats(); st.Pending != 0 || st.Open != 0 || st.Endpoints["bulk"].Busy != 1 {
				t.Errorf("left behind: %+v", st)
			}
		})
	})
	t.Run("bodies wait for the disk", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := newSink()
			s := start(t, push.Options{MaxBody: 64 << 10, MaxPending: 128 << 10}, to)
			to.hold = make(chan struct{})
			codes := make(chan int)
			for range 2 {
				go func() { codes <- do(s, http.MethodPost, "/v1/records", record("a")).Code }()
			}
			synctest.Wait()
			w := do(s, http.MethodPost, "/v1/records", record("b"))
			if w.Code != 429 || !strings.Contains(w.Body.String(), `"pressure"`) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			close(to.hold)
			for range 2 {
				if code := <-codes; code != 200 {
					t.Errorf("a body that was taken got %d", code)
				}
			}
			if w := do(s, http.MethodPost, "/v1/records", record("b")); w.Code != 200 {
				t.Errorf("afterwards: %d %s", w.Code, w.Body)
			}
		})
	})
	t.Run("too many bytes a second", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := start(t, push.Options{Rate: 100}, newSink())
			if w := do(s, http.MethodPost, "/v1/records", record("a")); w.Code != 200 {
				t.Errorf("the first: %d", w.Code)
			}
			w := do(s, http.MethodPost, "/v1/records", record("b"))
			if w.Code != 429 || w.Header().Get("Retry-After") != "2" {
				t.Errorf("the second: %d, again in %q", w.Code, w.Header().Get("Retry-After"))
			}
			time.Sleep(2 * time.Second)
			if w := do(s, http.MethodPost, "/v1/records", record("b")); w.Code != 200 {
				t.Errorf("after the wait: %d", w.Code)
			}
		})
	})
	t.Run("it takes too long", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := newSink()
			s := start(t, push.Options{AckTimeout: 5 * time.Second}, to)
			to.hold = make(chan struct{})
			w := do(s, http.MethodPost, "/v1/records", record("a"))
			if w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if st := s.Stats(); st.Open != 1 || st.Pending == 0 {
				t.Errorf("the body is still needed: %+v", st)
			}
			close(to.hold)
		})
	})
}

type sqliteError struct{}

func (sqliteError) Error() string { return "database or disk is full" }
func (sqliteError) Code() int     { return 13 }

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
	}{
		"no room":          {fmt.Errorf("append: %w", syscall.ENOSPC), 507},
		"no room in a DB":  {fmt.Errorf("commit: %w", sqliteError{}), 507},
		"over quota":       {syscall.EDQUOT, 507},
		"closing":          {fmt.Errorf("append: %w", context.Canceled), 503},
		"some other error": {errors.New("the disk is on fire: /secret/path"), 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newSink()
			s := start(t, push.Options{}, to)
			to.err = test.err
			for target, body := range map[string]string{
				"/v1/records": record("a"), "/_bulk": "{\"index\":{}}\n" + record("a") + "\n", "/v1/firehose": `{"requestId":"r","timestamp":1,"records":[]}`, "/v1/eventbridge": record("a"),
			} {
				w := do(s, http.MethodPost, target, body)
				if w.Code != test.status || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret") {
					t.Errorf("%s: got %d %s", target, w.Code, w.Body)
				}
			}
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("refuses before and after", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := push.New(push.Options{Now: time.Now})
			if w := do(s, http.MethodPost, "/v1/records", record("a")); w.Code != 503 || w.Header().Get("Retry-After") != "5" {
				t.Errorf("before: %d", w.Code)
			}
			to := newSink()
			to.hold = make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx, to) }()
			synctest.Wait()
			if err := s.Run(ctx, to); err == nil {
				t.Error("it ran twice")
			}
			code := make(chan int, 1)
			go func() { code <- do(s, http.MethodPost, "/v1/records", record("a")).Code }()
			synctest.Wait()
			cancel()
			synctest.Wait()
			select {
			case err := <-ended:
				t.Error("Run ended before what it had delivered was done", err)
			default:
			}
			if w := do(s, http.MethodPost, "/v1/records", record("b")); w.Code != 503 {
				t.Errorf("while closing: %d", w.Code)
			}
			close(to.hold)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if c := <-code; c != 200 {
				t.Errorf("what was taken before got %d", c)
			}
			if diff := cmp.Diff([]string{"a"}, to.got()); diff != "" {
				t.Error(diff)
			}
		})
	})
	t.Run("frees who waits for the sink", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := push.New(push.Options{Now: time.Now, Wait: time.Hour})
			to := newSink()
			to.before = func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx, to) }()
			synctest.Wait()
			code := make(chan int, 1)
			go func() { code <- do(s, http.MethodPost, "/v1/records", record("a")).Code }()
			synctest.Wait()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if c := <-code; c != 503 {
				t.Errorf("got %d", c)
			}
		})
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	check := func(_ context.Context, token string) error {
		switch token {
		case "good":
			return nil
		case "reader":
			return fmt.Errorf("role read: %w", push.ErrForbidden)
		}
		return errors.New("unknown")
	}
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	s := start(t, push.Options{Token: nil}, newSink())
	if w := do(s, http.MethodGet, "/", ""); w.Code != 200 {
		t.Errorf("without a check: %d", w.Code)
	}
	s = push.New(push.Options{Now: time.Now, Token: check})
	for header, want := range map[string]int{
		"":                             401,
		"Authorization: Bearer good":   200,
		"Authorization: bearer good":   200,
		"Authorization: Bearer bad":    401,
		"Authorization: Bearer":        401,
		"Authorization: Bearer reader": 403,
		"Authorization: Basic " + encoded("elastic:good"): 200,
		"Authorization: Basic " + encoded("good:bad"):     401,
		"Authorization: Basic " + encoded("good"):         401,
		"Authorization: Basic !!!":                        401,
		"Authorization: ApiKey " + encoded("id:good"):     200,
		"Authorization: ApiKey good":                      200,
		"Authorization: ApiKey " + encoded("id:"):         401,
		"Authorization: Digest good":                      401,
		"X-Amz-Firehose-Access-Key: good":                 200,
		"Api-Key: good":                                   200,
		"X-Api-Key: good":                                 200,
		"X-Api-Key: bad":                                  401,
	} {
		var headers []string
		if header != "" {
			headers = append(headers, header)
		}
		w := do(s, http.MethodGet, "/", "", headers...)
		if w.Code != want {
			t.Errorf("%q: got %d, want %d", header, w.Code, want)
		}
		if got := w.Header().Get("X-Elastic-Product"); got != "Elasticsearch" {
			t.Errorf("%q: X-Elastic-Product is %q", header, got)
		}
		if want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%q: no challenge", header)
		}
	}
	for _, target := range []string{"/v1/records", "/v1/firehose", "/v1/eventbridge", "/_bulk", "/x/_bulk", "/_nodes", "/whatever"} {
		if w := do(s, http.MethodPost, target, record("a")); w.Code != 401 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: got %d %s", target, w.Code, w.Body)
		}
	}
	if st := s.Stats(); st.Endpoints["firehose"].Unauthorized != 1 {
		t.Errorf("got %+v", st.Endpoints["firehose"])
	}
}

func TestFirehose(t *testing.T) {
	t.Parallel()
	data := func(parts ...string) string {
		list := make([]string, len(parts))
		for i, p := range parts {
			list[i] = fmt.Sprintf(`{"data":%q}`, base64.StdEncoding.EncodeToString([]byte(p)))
		}
		return `{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090901599,"records":[` + strings.Join(list, ",") + `]}`
	}
	subscription := func(ids ...string) string {
		var list []string
		for _, id := range ids {
			text, _ := json.Marshal(record(id))
			list = append(list, fmt.Sprintf(`{"id":"1","timestamp":1,"message":%s}`, text))
		}
		return `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[` + strings.Join(list, ",") + `]}`
	}
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
		events []string
		want   string
	}{
		"plain records":       {body: data(record("a"), record("b")+"\n"+record("c")), status: 200, events: []string{"a", "b", "c"}},
		"a gzip subscription": {body: data(gzipped(t, subscription("a", "b"))), status: 200, events: []string{"a", "b"}},
		"EventBridge inside":  {body: data(`{"detail-type":"AWS API Call via CloudTrail","detail":` + record("a") + `}`), status: 200, events: []string{"a"}},
		"gzip around":         {body: gzipped(t, data(record("a"))), header: []string{"Content-Encoding: gzip"}, status: 200, events: []string{"a"}},
		"a control message":   {body: data(gzipped(t, `{"messageType":"CONTROL_MESSAGE","logEvents":[]}`)), status: 200, events: []string{}},
		"no records":          {body: data(), status: 200, events: []string{}},
		"partly usable":       {body: data(record("a"), "hello"), status: 200, events: []string{"a"}},
		"nothing usable":      {body: data("hello"), status: 400, events: []string{}, want: `"errorMessage":"nothing in the body could be used`},
		"not base64":          {body: `{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1,"records":[{"data":"!"}]}`, status: 400, events: []string{}},
		"a bomb":              {body: data(gzipped(t, strings.Repeat(record("a")+"\n", 20_000))), status: 413, events: []string{}},
		"no JSON":             {body: "hello", header: []string{"X-Amz-Firehose-Request-Id: ed4acda5-034f-9f42-bba1-f29aea6d7d8f"}, status: 400, events: []string{}},
		"no list":             {body: `{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","records":{}}`, status: 400, events: []string{}},
		"something behind":    {body: data() + "{}", header: []string{"X-Amz-Firehose-Request-Id: ed4acda5-034f-9f42-bba1-f29aea6d7d8f"}, status: 400, events: []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newSink()
			s := start(t, push.Options{MaxBody: 1 << 20, MaxDecoded: 2 << 20}, to)
			w := do(s, http.MethodPost, "/v1/firehose", test.body, test.header...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.status)
			}
			var reply struct {
				RequestID string `json:"requestId"`
				Timestamp int64  `json:"timestamp"`
				Error     string `json:"errorMessage"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
				t.Fatal(err)
			}
			if reply.RequestID != "ed4acda5-034f-9f42-bba1-f29aea6d7d8f" || reply.Timestamp < 1e12 || (reply.Error == "") != (w.Code == 200) {
				t.Errorf("got %+v", reply)
			}
			if w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("Firehose takes no answer of type %q", w.Header().Get("Content-Type"))
			}
			if diff := cmp.Diff(test.events, to.got()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFirehoseSendsBackNoHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, push.Options{}, newSink())
	w := do(s, http.MethodPost, "/v1/firehose", `{"requestId":"a\r\nSet-Cookie: x","timestamp":1,"records":[]}`)
	if w.Code != 200 || w.Header().Get("Set-Cookie") != "" || !strings.Contains(w.Body.String(), `"requestId":"a\r\nSet-Cookie: x"`) {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = do(s, http.MethodPost, "/v1/firehose", "", "X-Amz-Firehose-Request-Id: "+strings.Repeat("x", 100_000))
	if w.Body.Len() > 1000 {
		t.Errorf("%d bytes were sent back", w.Body.Len())
	}
}

func TestEventBridge(t *testing.T) {
	t.Parallel()
	to := newSink()
	s := start(t, push.Options{}, to)
	event := `{"version":"0","id":"1","detail-type":"AWS API Call via CloudTrail","source":"aws.ssm","account":"111122223333","time":"2026-01-31T08:00:00Z","region":"eu-west-1","resources":[],"detail":` + record("a") + `}`
	if w := do(s, http.MethodPost, "/v1/eventbridge", event, "Content-Type: application/json; charset=utf-8"); w.Code != 200 || !strings.Contains(w.Body.String(), `"records":1`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	other := `{"version":"0","id":"1","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{"state":"running"}}`
	if w := do(s, http.MethodPost, "/v1/eventbridge", other); w.Code != 400 {
		t.Errorf("an event that is no call: %d %s", w.Code, w.Body)
	}
	if w := do(s, http.MethodGet, "/v1/eventbridge", ""); w.Code != 405 || w.Header().Get("Allow") != "POST, PUT" {
		t.Errorf("GET: %d, allowed %q", w.Code, w.Header().Get("Allow"))
	}
	if diff := cmp.Diff([]string{"a"}, to.got()); diff != "" {
		t.Error(diff)
	}
	if !to.names["push:192.0.2.1"] {
		t.Errorf("the input is named %v", to.names)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := start(t, push.Options{}, newSink())
	do(s, http.MethodPost, "/v1/eventbridge", record("a"))
	do(s, http.MethodPost, "/v1/eventbridge", `{"x":1}`)
	do(s, http.MethodDelete, "/v1/eventbridge", "")
	want := push.EndpointStats{Requests: 3, Bytes: int64(len(record("a")) + 7), Records: 1, Rejected: 1, Refused: 2}
	if diff := cmp.Diff(want, s.Stats().Endpoints["eventbridge"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
