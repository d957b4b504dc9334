//go:build integration

package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/source/push"
)

// rsyslogConfig ships a file line by line, with what stands in DIR, PORT and TOKEN.
const rsyslogConfig = `
global(workDirectory="DIR" maxMessageSize="256k")
module(load="imfile" mode="inotify")
module(load="omelasticsearch")
template(name="line" type="string" string="%msg%")
input(type="imfile" File="DIR/trail.ndjson" Tag="cloudtrail" ruleset="ship")
ruleset(name="ship") {
  action(type="omelasticsearch" server="127.0.0.1" serverport="PORT" uid="debut" pwd="TOKEN"
         searchIndex="cloudtrail" searchType="" template="line" bulkmode="on" errorfile="DIR/errors.json"
         queue.type="LinkedList" queue.dequeuebatchsize="300" action.resumeRetryCount="-1" action.resumeInterval="1")
}
syslog.* action(type="omfile" file="DIR/rsyslog.log")
`

// rsyslog's omelasticsearch ships a file: each record arrives exactly once, also where
// requests are refused for a while, and where some lines are no records, which rsyslog
// notes in its error file.
func TestRsyslog(t *testing.T) {
	t.Parallel()
	rsyslogd, err := exec.LookPath("rsyslogd")
	if err != nil {
		rsyslogd = "/usr/sbin/rsyslogd"
	}
	modules, _ := filepath.Glob("/usr/lib/*/rsyslog/omelasticsearch.so")
	if _, err := os.Stat(rsyslogd); err != nil || len(modules) == 0 {
		t.Skip("rsyslogd with omelasticsearch is not installed: apt-get install rsyslog rsyslog-elasticsearch")
	}
	t.Run("in peace", func(t *testing.T) {
		t.Parallel()
		if repeated, _ := ship(t, rsyslogd, 0, false); repeated != 0 {
			t.Errorf("%d events arrived more than once", repeated)
		}
	})
	t.Run("under pressure", func(t *testing.T) {
		t.Parallel()
		repeated, refused := ship(t, rsyslogd, 30, false)
		if refused == 0 || repeated != 0 {
			t.Errorf("%d requests were refused, %d events arrived more than once", refused, repeated)
		}
	})
	t.Run("with lines that are no records", func(t *testing.T) {
		t.Parallel()
		if repeated, _ := ship(t, rsyslogd, 0, true); repeated != 0 {
			t.Errorf("%d events arrived more than once", repeated)
		}
	})
}

// ship has rsyslogd send records, refusing every third of the first requests, and
// returns how many came more than once, and how many requests were refused.
func ship(t *testing.T, rsyslogd string, pressed int64, junk bool) (repeated int, refused int64) {
	t.Helper()
	const messages, token = 5000, "a-token-of-the-test"
	to := newSink()
	var offered atomic.Int64
	to.before = func(ctx context.Context) error {
		if n := offered.Add(1); n <= pressed && n%3 == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	to.arrived = make(chan struct{}, 1)
	in := start(t, push.Options{Wait: 10 * time.Millisecond, MaxBody: 1 << 20, Token: func(_ context.Context, got string) error {
		if got != token {
			return errors.New("unknown")
		}
		return nil
	}}, to)
	server := httptest.NewServer(in.Handler())
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	var want []string
	var lines bytes.Buffer
	for i := range messages {
		id := fmt.Sprintf("%04d", i)
		want = append(want, id)
		if i%2 == 0 {
			lines.WriteString(record(id) + "\n")
		} else {
			lines.WriteString(document(id) + "\n")
		}
		if junk && i%500 == 250 {
			lines.WriteString("{\"no\":\"event\"}\n")
		}
	}
	config := strings.NewReplacer("DIR", dir, "PORT", address.Port(), "TOKEN", token).Replace(rsyslogConfig)
	if err := errors.Join(os.WriteFile(path("rsyslog.conf"), []byte(config), 0o600), os.WriteFile(path("trail.ndjson"), lines.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), rsyslogd, "-n", "-f", path("rsyslog.conf"), "-i", path("rsyslogd.pid"))
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	arrive(t, to, messages)
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Error(err)
	}
	got := to.got()
	all := len(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("%d of %d records have arrived", len(got), len(want))
	}
	failed, _ := os.ReadFile(path("errors.json"))
	if junk != strings.Contains(string(failed), "document_parsing_exception") {
		t.Errorf("rsyslog's error file says: %s", failed)
	}
	if t.Failed() {
		log, _ := os.ReadFile(path("rsyslog.log"))
		t.Logf("rsyslogd says:\n%s\n%s\n%+v", output.Bytes(), log, in.Stats())
	}
	return all - len(got), in.Stats().Endpoints["bulk"].Busy
}

// arrive waits until so many different events have arrived.
func arrive(t *testing.T, to *sink, n int) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		have := len(slices.Compact(to.got()))
		if have >= n {
			return
		}
		select {
		case <-to.arrived:
		case <-deadline:
			t.Errorf("after two minutes only %d of %d have arrived", have, n)
			return
		}
	}
}
