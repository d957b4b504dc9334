package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
)

// storeCommands are those that work on a data folder.
type storeCommands struct {
	Search SearchCmd `cmd:""`
	Store  StoreCmd  `cmd:""`
}

func runStore(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &Env{
		Context: context.Background(), Args: args, Stdout: &out, Stderr: &errs, Now: clock,
		Getenv: func(name string) string { return map[string]string{"DEBUT_DATA_DIR": dir}[name] },
	}
	parser, err := kong.New(&storeCommands{}, kong.Writers(&out, &errs), kong.Exit(func(int) {}), kong.Bind(env))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return finish(env, ctx.Run(env)), out.String(), errs.String()
}

// storeRecord is the record of the nth minute.
func storeRecord(n int) store.Record {
	at := clientNow.Add(-time.Duration(n) * time.Minute)
	id := fmt.Sprintf("e%03d", n)
	raw := fmt.Sprintf("{\"eventTime\":%q,\n \"eventName\":\"Action%d\",\"eventSource\":\"ssm.amazonaws.com\",\"eventID\":%q,\"awsRegion\":\"eu-west-1\","+
		"\"sourceIPAddress\":\"198.18.0.%d\",\"recipientAccountId\":\"111122223333\",\"errorCode\":\"=\\u001b[31m\","+
		"\"userIdentity\":{\"type\":\"IAMUser\",\"arn\":\"arn:aws:iam::111122223333:user/ana\",\"accountId\":\"111122223333\",\"userName\":\"ana\"}}",
		at.Format(time.RFC3339), n%3, id, n%4)
	return store.Record{Kind: store.KindRecord, Time: at.UnixNano(), ID: ecs.HashID("111122223333", id), Raw: []byte(raw)}
}

// storeFolder makes a data folder with 240 events, half of them in segments.
func storeFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := events.Open(events.Options{Dir: dir, DB: db, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for half := range 2 {
		f := store.Frame{}
		for n := range 120 {
			f.Records = append(f.Records, storeRecord(120*half+n))
		}
		e, err := events.Encode(&f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), []store.Encoded{e}); err != nil {
			t.Fatal(err)
		}
		if half == 0 {
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Where an address was when its event was stored is not lost when somebody compacts.
func TestCompactKeepsPlaces(t *testing.T) {
	t.Parallel()
	dir, geoip := t.TempDir(), cityOf(t, "city.mmdb")
	write := func(n int) {
		t.Helper()
		enricher, err := newEnricher([]string{geoip})
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := events.Open(events.Options{Dir: dir, DB: db, Now: clock, Enricher: enricher, Places: daemon.Places([]string{geoip})})
		if err != nil {
			t.Fatal(err)
		}
		r := storeRecord(n)
		r.Raw = bytes.ReplaceAll(r.Raw, []byte("198.18.0."), []byte("203.0.113."))
		e, err := events.Encode(&store.Frame{Records: []store.Record{r}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), []store.Encoded{e}); err != nil {
			t.Fatal(err)
		}
		if n%10 < 9 { // the last is left to the command
			s.Folded(s.End())
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.Close(), db.Close(), enricher.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 8 { // as many as are merged
		write(n)
	}
	write(9)
	search := []string{"search", "source.geo.country_name: Iceland", "--format", "records"}
	code, _, errs := runStore(t, dir, "store", "compact")
	if code != 0 {
		t.Fatalf("code %d: %s", code, errs)
	}
	code, out, errs := runStore(t, dir, search...)
	if n := strings.Count(out, "\n"); code != 0 || n != 8 {
		t.Errorf("%d of 8 events have a place (the ninth nobody looked up), code %d: %s", n, code, errs)
	}
	config := filepath.Join(t.TempDir(), "debut.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "data_dir = %q\n[rules]\ngeoip = [%q]\n", dir, geoip), 0o600); err != nil {
		t.Fatal(err)
	}
	write(19)
	if code, _, errs := runStore(t, dir, "store", "compact", "--config", config); code != 0 {
		t.Fatalf("code %d: %s", code, errs)
	}
	code, out, errs = runStore(t, dir, search...)
	if n := strings.Count(out, "\n"); code != 0 || n != 9 {
		t.Errorf("with the databases of the configuration: %d of 9 events have a place, code %d: %s", n, code, errs)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	dir := storeFolder(t)
	for _, c := range []struct {
		args         []string
		code         int
		first, last  string // lines of the result
		lines        int
		stderrHolds  string
		stderrAbsent string
	}{
		{args: []string{}, first: "TIME", lines: 101, stderrHolds: "more than 100", last: "2026-01-15T09:40:00Z"},
		{args: []string{"--limit", "0"}, lines: 241, stderrAbsent: "more"},
		{args: []string{"--limit", "2", "--descending"}, lines: 3, last: "2026-01-15T11:59:00Z"},
		{args: []string{"event.action: Action1 and source.ip: 198.18.0.1", "--format", "csv", "--from", "now-1h"}, lines: 6, first: "@timestamp,debut.principal"},
		{args: []string{"event.action: Action1", "--format", "ndjson", "--from", "now-10m"}, lines: 4, first: `{"@timestamp":"2026-01-15T11:50:00.000Z"`},
		{args: []string{"--format", "records", "--from", "now-5m", "--to", "now"}, lines: 5, first: `{"eventTime":"2026-01-15T11:55:00Z",  "eventName":"Action2"`},
		{args: []string{"user.name: nobody"}, lines: 0, stderrHolds: "no event matches"},
		{args: []string{"event.action: (a or"}, code: ExitUsage, stderrHolds: "the query cannot be read"},
		{args: []string{"--from", "now", "--to", "now-1d"}, code: ExitUsage, stderrHolds: "is not before"},
		{args: []string{"--data", filepath.Join(dir, "none")}, code: ExitUsage, stderrHolds: "there is no store"},
		{args: []string{"--limit=-3"}, code: ExitUsage, stderrHolds: "--limit"},
	} {
		code, out, errs := runStore(t, dir, append([]string{"search"}, c.args...)...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if out == "" {
			lines = nil
		}
		if code != c.code || len(lines) != c.lines || !strings.Contains(errs, c.stderrHolds) || c.stderrAbsent != "" && strings.Contains(errs, c.stderrAbsent) {
			t.Errorf("%q: code %d, %d lines, want %d; %s", c.args, code, len(lines), c.lines, errs)
			continue
		}
		if strings.ContainsRune(out, 0x1b) || strings.Contains(out, ",=") {
			t.Errorf("%q: the result acts on its reader", c.args)
		}
		if len(lines) > 0 && (!strings.HasPrefix(lines[0], c.first) || !strings.HasPrefix(lines[len(lines)-1], c.last)) {
			t.Errorf("%q: first line %q, last %q", c.args, lines[0], lines[len(lines)-1])
		}
	}
}

func TestStoreCommands(t *testing.T) {
	t.Parallel()
	dir := storeFolder(t)
	code, out, errs := runStore(t, dir, "store", "check")
	if want := "checked  1 segment with 120 events; 2 frames of the log with 240 events; the database\n"; code != 0 || out != want {
		t.Errorf("check: code %d, %s%s", code, errs, cmp.Diff(want, out))
	}
	code, out, errs = runStore(t, dir, "store", "stats")
	for _, want := range []string{"segments", "events from 2026-01-15T08:01:00Z to 2026-01-15T12:00:00Z", "TABLE"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("stats: code %d, %s; no %q in\n%s", code, errs, want, out)
		}
	}
	if code, out, errs = runStore(t, dir, "store", "stats", "--format", "json"); code != 0 || !strings.Contains(out, `"segmentRecords"`) {
		t.Errorf("stats as JSON: code %d, %s%s", code, out, errs)
	}
	code, out, errs = runStore(t, dir, "store", "compact")
	if code != 0 || !strings.HasPrefix(out, "events    240 events in 2 segments of") || !strings.Contains(errs, "not evaluated yet") {
		t.Errorf("compact: code %d, %s%s", code, out, errs)
	}
	path := filepath.Join(dir, "segments", "000000000001.parquet")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs = runStore(t, dir, "store", "check")
	if code != ExitFailed || !strings.Contains(errs, path) || !strings.Contains(errs, "checksum") || !strings.Contains(errs, "hint:") {
		t.Errorf("check of damage: code %d, %s", code, errs)
	}
	code, out, errs = runStore(t, dir, "search", "--format", "records")
	if code != ExitFailed || strings.Count(out, "\n") != 120 || !strings.Contains(errs, path) {
		t.Errorf("search beside damage: code %d, %d lines, %s", code, strings.Count(out, "\n"), errs)
	}
}

// While a server has the store open it can be searched, and not compacted.
func TestSearchBesideServer(t *testing.T) {
	t.Parallel()
	dir := storeFolder(t)
	db, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if code, out, errs := runStore(t, dir, "search", "--limit", "0"); code != 0 || strings.Count(out, "\n") != 241 {
		t.Errorf("search: code %d, %d lines, %s", code, strings.Count(out, "\n"), errs)
	}
	if code, _, errs := runStore(t, dir, "store", "compact"); code != ExitFailed || !strings.Contains(errs, "stop it first") {
		t.Errorf("compact: code %d, %s", code, errs)
	}
}
