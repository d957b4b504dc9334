package push_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/source/push"
)

// dial opens a connection to a server around s and sends text.
func dial(t *testing.T, s *push.Source, text string) net.Conn {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func answered(t *testing.T, r *bufio.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestBodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/v1/records", "/_bulk", "/v1/firehose"} {
		s := start(t, push.Options{BodyTimeout: 20 * time.Millisecond}, newSink())
		conn := dial(t, s, "POST "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"half")
		if status, body := answered(t, bufio.NewReader(conn)); status != 408 {
			t.Errorf("%s: got %d %s", target, status, body)
		}
		if st := s.Stats(); st.Pending != 0 {
			t.Errorf("%s: %d bytes are held for nothing", target, st.Pending)
		}
	}
}

func TestBodyIsCutOff(t *testing.T) {
	t.Parallel()
	to := newSink()
	s := start(t, push.Options{}, to)
	conn := dial(t, s, "POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"index\":{}}\n"+record("a")+"\n")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if status, body := answered(t, bufio.NewReader(conn)); status != 400 {
		t.Errorf("got %d %s", status, body)
	}
	if got := to.got(); len(got) > 0 {
		t.Errorf("%v arrived of a request that did not", got)
	}
}

// The deadline of a body ends with it: a connection serves the next request, and a wait
// for the sink may last longer.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	t.Parallel()
	to := newSink()
	s := start(t, push.Options{BodyTimeout: 30 * time.Millisecond}, to)
	to.hold = make(chan struct{})
	request := func(id string) string {
		return fmt.Sprintf("POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(record(id)), record(id))
	}
	conn := dial(t, s, request("a"))
	time.AfterFunc(90*time.Millisecond, func() { close(to.hold) })
	r := bufio.NewReader(conn)
	if status, body := answered(t, r); status != 200 {
		t.Errorf("got %d %s", status, body)
	}
	if _, err := io.WriteString(conn, request("b")); err != nil {
		t.Fatal(err)
	}
	if status, body := answered(t, r); status != 200 || !strings.Contains(body, `"records":1`) {
		t.Errorf("the second got %d %s", status, body)
	}
}

// A client that goes away does not take what it has sent with it.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	to := newSink()
	s := start(t, push.Options{}, to)
	to.hold = make(chan struct{})
	taken := make(chan struct{})
	hold := to.hold
	to.taken = func() { close(taken) }
	conn := dial(t, s, fmt.Sprintf("POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(record("a")), record("a")))
	<-taken
	_ = conn.Close()
	close(hold)
	to.wg.Wait()
	if got := to.got(); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// Templates are larger than what a server reads of its own accord.
func TestLargeTemplate(t *testing.T) {
	t.Parallel()
	s := start(t, push.Options{}, newSink())
	body := strings.Repeat("x", 2<<20)
	conn := dial(t, s, fmt.Sprintf("PUT /_index_template/filebeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	r := bufio.NewReader(conn)
	if status, text := answered(t, r); status != 200 || text != "{\"acknowledged\":true}\n" {
		t.Errorf("got %d %s", status, text)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, _ := answered(t, r); status != 200 {
		t.Errorf("the next request got %d", status)
	}
	conn = dial(t, s, fmt.Sprintf("PUT /_index_template/filebeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<40))
	go func() { _, _ = io.Copy(conn, strings.NewReader(strings.Repeat("x", 17<<20))) }()
	if status, _ := answered(t, bufio.NewReader(conn)); status != 413 {
		t.Errorf("an endless one got %d", status)
	}
}

// rsyslog, which names itself nowhere, drops a batch that is answered with an error, and
// sends one again that is not answered at all.
func TestHangsUpOnRsyslog(t *testing.T) {
	t.Parallel()
	body := "{\"index\":{}}\n" + record("a") + "\n"
	request := func(header string) string {
		return fmt.Sprintf("POST /_bulk HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
	}
	s := push.New(push.Options{Now: time.Now}) // it does not run: come again
	if text, err := io.ReadAll(dial(t, s, request(""))); err != nil || len(text) > 0 {
		t.Errorf("got %q %v", text, err)
	}
	if status, _ := answered(t, bufio.NewReader(dial(t, s, request("User-Agent: x\r\n")))); status != 503 {
		t.Errorf("who says a name gets %d", status)
	}
	if n := s.Stats().Endpoints["bulk"].Failed; n != 2 {
		t.Errorf("%d are counted", n)
	}
}

func BenchmarkPush(b *testing.B) {
	var lines, docs strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "{\"index\":{}}\n%s\n", record(fmt.Sprint(i)))
		fmt.Fprintf(&docs, "{\"index\":{}}\n%s\n", document(fmt.Sprint(i)))
	}
	for name, body := range map[string]string{"records": lines.String(), "documents": docs.String()} {
		b.Run("bulk/"+name, func(b *testing.B) {
			s := start(b, push.Options{}, &sink{names: map[string]bool{}, discard: true})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if w := do(s, http.MethodPost, "/_bulk", body); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
