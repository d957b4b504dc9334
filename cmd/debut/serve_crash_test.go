//go:build integration && unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/internal/source/s3/s3test"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
)

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A trail is pushed through S3 and SQS while the daemon is killed again and again. What
// is there in the end is what a scan of the trail finds: alerts with their ids, events
// once each, and a ledger without a gap. DEBUT_CRASH_RECORDS and DEBUT_CRASH_KILLS
// make it larger.
func TestKilledDaemonMissesAndRepeatsNothing(t *testing.T) {
	records, kills := setting(t, "DEBUT_CRASH_RECORDS", 60_000), setting(t, "DEBUT_CRASH_KILLS", 12)
	seed := uint64(setting(t, "DEBUT_CRASH_SEED", 1))
	t.Logf("%d records, %d kills, seed %d", records, kills, seed)
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test that can be repeated
	dir := t.TempDir()
	program := filepath.Join(dir, "debut")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}

	trail := filepath.Join(dir, "trail")
	cfg := generate.Default(int64(records), seed)
	cfg.Digests, cfg.Accounts, cfg.Days = true, setting(t, "DEBUT_CRASH_ACCOUNTS", 2), 1
	if _, err := generate.Run(t.Context(), cfg, trail, nil); err != nil {
		t.Fatal(err)
	}
	objects, digests, first := objectsOf(t, trail)
	t.Logf("%d log objects, %d digests", len(objects), len(digests))

	aws, sqs := s3test.StartS3(t), s3test.Start(t) // one is quick with objects, the other has queues
	aws.Bucket("trail")
	queue := sqs.Queue("notices")
	random.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	// The first tenth is there before anybody is told of anything: only listings find it.
	silent := len(objects) / 10
	put := func(key string) string {
		b, err := os.ReadFile(filepath.Join(trail, filepath.FromSlash(key)))
		if err != nil {
			t.Error(err)
			return ""
		}
		return aws.Put("trail", key, b, nil)
	}
	for _, key := range objects[:silent] {
		put(key)
	}

	data := filepath.Join(dir, "data")
	rules := `["shipped"]`
	if elastic, err := filepath.Abs("../../../shared/data/elastic-rules/aws"); err == nil {
		if _, err := os.Stat(elastic); err == nil {
			rules = fmt.Sprintf("[%q]", elastic)
		}
	}
	port := 20000 + random.IntN(20000)
	config := filepath.Join(dir, "debut.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `data_dir = %q
[rules]
paths = %s
watch = false
[engine]
cold_start = "alert"
[store]
compact_interval = "1s"
retention_age = "0s"
[[sources]]
type = "s3"
name = "trail"
bucket = "trail"
region = %q
endpoint = %q
path_style = true
queue_url = %q
visibility_timeout = "10s"
list_interval = "10s"
start = %q
digests = true
[server]
listen = "127.0.0.1:%d"
[log]
level = "warn"
`, data, rules, s3test.Region, aws.Endpoint, queue, first.Format(time.DateOnly), port), 0o600); err != nil {
		t.Fatal(err)
	}

	var uploads sync.WaitGroup
	uploads.Go(func() {
		// A notification tells of several objects, as S3's may: the server of the test gets
		// slow with many messages.
		for some := range slices.Chunk(append(slices.Clone(objects[silent:]), digests...), 20) {
			if t.Context().Err() != nil {
				return
			}
			var records []string
			for _, key := range some {
				records = append(records, notification(key, put(key)))
			}
			sqs.Send(queue, `{"Records":[`+strings.Join(records, ",")+`]}`)
		}
	})
	d := &child{t: t, program: program, config: config, env: append(os.Environ(), aws.Env()...), base: fmt.Sprintf("http://127.0.0.1:%d", port), data: data}
	for n := range kills {
		d.start()
		time.Sleep(time.Duration(100+rand.IntN(2500)) * time.Millisecond) //nolint:gosec // any moment
		d.kill()
		if n%10 == 9 {
			t.Logf("killed %d times", n+1)
		}
	}
	uploads.Wait()
	d.start()
	deadline := time.Now().Add(time.Duration(setting(t, "DEBUT_CRASH_WAIT", 120)) * time.Second)
	var cover struct {
		Share float64
		Zones []struct{ Expected, Read, Unexpected, Failed int64 }
	}
	for {
		if d.get("/api/v1/coverage?from="+first.AddDate(0, 0, -1).Format(time.RFC3339)+"&to="+first.AddDate(0, 0, 3).Format(time.RFC3339)+"&by=day", &cover) {
			read, expected, named := int64(0), int64(0), int64(0)
			for _, z := range cover.Zones {
				read, expected, named = read+z.Read, expected+z.Expected, named+z.Read-z.Unexpected
				if z.Failed > 0 {
					t.Logf("the ledger says %+v", z)
				}
			}
			if want := int64(len(objects)); read == want && expected == want && named == want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d objects were read; %d are expected, and %d of those read\n%s", read, len(objects), expected, named, d.log.String())
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	d.stop()
	if left := sqs.Left(queue); left > 0 {
		t.Logf("%d messages are left in the queue, of objects that were announced twice", left)
	}

	want := scanAlerts(t, program, rules, trail)
	got := storedAlerts(t, data)
	t.Logf("%d alerts", len(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-scan +serve):\n%.4000s", diff)
	}
	ids := idsOf(t, trail)
	events := storedEvents(t, data)
	if len(events) != len(ids) {
		t.Errorf("%d events are stored, %d were delivered", len(events), len(ids))
	}
	for id, n := range events {
		if n != 1 || !ids[id] {
			t.Errorf("event %s is stored %d times, delivered: %v", id, n, ids[id])
			break
		}
	}
}

// notification is what S3 says of a new object.
func notification(key, etag string) string {
	return fmt.Sprintf(`{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":%q,"eventTime":"2026-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put",`+
		`"s3":{"s3SchemaVersion":"1.0","bucket":{"name":"trail"},"object":{"key":%q,"size":1,"eTag":%q}}}`, s3test.Region, url.QueryEscape(key), etag)
}

// objectsOf lists a trail's log objects, its digests, and its first day.
func objectsOf(t *testing.T, root string) (logs, digests []string, first time.Time) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json.gz") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		key := filepath.ToSlash(rel)
		k, ok := cloudtrail.ParseKey(key)
		switch {
		case !ok:
			return err
		case k.Digest():
			digests = append(digests, key)
		default:
			logs = append(logs, key)
			if first.IsZero() || k.Day.Before(first) {
				first = k.Day
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return logs, digests, first
}

// A child is the daemon as a process.
type child struct {
	t                     *testing.T
	program, config, base string
	data                  string
	env                   []string
	cmd                   *exec.Cmd
	log                   bytes.Buffer
}

func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.CommandContext(context.WithoutCancel(c.t.Context()), c.program, "serve", "--config", c.config)
	c.cmd.Env = c.env
	c.log.Reset()
	c.cmd.Stderr = &c.log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) kill() {
	c.t.Helper()
	_ = c.cmd.Process.Kill() // it may have ended by itself: then Wait tells
	err := c.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		c.t.Fatalf("the daemon ended by itself: %v\n%s", err, c.log.String())
	}
}

func (c *child) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("stop: %v\n%s", err, c.log.String())
	}
}

// get asks the API; false: it does not answer yet.
func (c *child) get(path string, v any) bool {
	c.t.Helper()
	token, err := os.ReadFile(filepath.Join(c.data, "api.token"))
	if err != nil {
		return false
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		if c.cmd.ProcessState != nil {
			c.t.Fatalf("the daemon has ended:\n%s", c.log.String())
		}
		return false
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		c.t.Logf("%s: %s %s %v", path, res.Status, b, err)
		return false
	}
	if err := json.Unmarshal(b, v); err != nil {
		c.t.Fatal(err)
	}
	return true
}

// ofEvents is an alert document without what does not come from events.
func ofEvents(t *testing.T, text []byte) (uuid, rest string) {
	t.Helper()
	doc, err := ecs.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	for name := range doc {
		switch name {
		case "@timestamp", "kibana.alert.start", "kibana.alert.last_detected", "kibana.alert.intended_timestamp":
			delete(doc, name)
		}
		if strings.HasPrefix(name, "kibana.alert.rule.execution.") || strings.HasPrefix(name, "kibana.alert.workflow_") {
			delete(doc, name)
		}
	}
	if debut, ok := doc["debut"].(map[string]any); ok {
		if about, ok := debut["alert"].(map[string]any); ok {
			delete(about, "history_coverage")
			delete(about, "cold_baseline")
		}
	}
	uuid, _ = doc["kibana.alert.uuid"].(string)
	return uuid, string(doc.AppendJSON(nil))
}

func scanAlerts(t *testing.T, program, rules, trail string) map[string]string {
	t.Helper()
	args := []string{"scan", "--quiet", "--format", "ndjson"}
	var paths []string
	if err := json.Unmarshal([]byte(rules), &paths); err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		args = append(args, "--rules", p)
	}
	cmd := exec.CommandContext(t.Context(), program, append(args, trail)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scan: %v\n%s", err, errs.String())
	}
	alerts := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(out)); ; {
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			uuid, rest := ofEvents(t, bytes.Clone(s.Bytes()))
			alerts[uuid] = rest
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
		return alerts
	}
}

func storedAlerts(t *testing.T, data string) map[string]string {
	t.Helper()
	db, err := sqlite.Open(t.Context(), data, sqlite.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	alerts := map[string]string{}
	if err := db.View(t.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Withheld: true, Blocks: true}) {
			if err != nil {
				return err
			}
			if a.Type == "health" {
				continue
			}
			d, err := store.GetAlertDocument(tx, a.Handle)
			if err != nil {
				return err
			}
			uuid, rest := ofEvents(t, d.Document)
			if uuid != a.UUID || alerts[uuid] != "" {
				t.Errorf("alert %s has the uuid %s; twice: %v", a.Handle, a.UUID, alerts[uuid] != "")
			}
			alerts[uuid] = rest
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return alerts
}

func storedEvents(t *testing.T, data string) map[string]int {
	t.Helper()
	db, err := sqlite.Open(t.Context(), data, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cat := ecs.NewCatalogue()
	s, err := events.Open(events.Options{Dir: data, DB: db, Catalogue: cat, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := cat.Resolve("event.id")
	out := map[string]int{}
	for e, err := range s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[strings.Clone(e.Event.Values(id)[0])]++
	}
	return out
}

// idsOf reads the eventIDs of a trail.
func idsOf(t *testing.T, trail string) map[string]bool {
	t.Helper()
	logs, _, _ := objectsOf(t, trail)
	out := map[string]bool{}
	var d cloudtrail.Decoder
	for _, key := range logs {
		f, err := os.Open(filepath.Join(trail, filepath.FromSlash(key)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(t.Context(), key, f, cloudtrail.Visitor{Record: func(r *cloudtrail.Record) error {
			out[strings.Clone(r.Text(cloudtrail.EventID))] = true
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return out
}
