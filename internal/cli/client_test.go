package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
	"github.com/debutsec/debut/internal/store/sqlite"
)

var clientNow = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return clientNow }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serverCommands are the commands that talk to a server or open its store.
type serverCommands struct {
	Alerts     AlertsCmd     `cmd:""`
	Exceptions ExceptionsCmd `cmd:""`
	Silences   SilencesCmd   `cmd:""`
	Coverage   CoverageCmd   `cmd:""`
	Runs       RunsCmd       `cmd:""`
	Tokens     TokensCmd     `cmd:""`
	Status     StatusCmd     `cmd:""`
}

// A office runs commands in an environment.
type office struct {
	testing.TB

	env map[string]string
	tty bool
	in  string
}

func (d *office) run(args ...string) (code int, stdout, stderr string) {
	d.Helper()
	var out, errs bytes.Buffer
	env := &Env{
		Context: context.Background(), Args: args, Stdin: strings.NewReader(d.in), Stdout: &out, Stderr: &errs, StdoutTTY: d.tty, Width: 100,
		Getenv: func(name string) string { return d.env[name] }, Now: clock,
	}
	parser, err := kong.New(&serverCommands{}, kong.Writers(&out, &errs), kong.Exit(func(int) {}), kong.Bind(env))
	if err != nil {
		d.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return finish(env, &ExitError{Code: ExitUsage, Err: err}), out.String(), errs.String()
	}
	return finish(env, ctx.Run(env)), out.String(), errs.String()
}

// ok runs a command that must succeed.
func (d *office) ok(args ...string) (stdout, stderr string) {
	d.Helper()
	code, stdout, stderr := d.run(args...)
	if code != ExitOK {
		d.Fatalf("debut %v: exit %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout, stderr
}

// fails runs a command that must fail with a code and a text.
func (d *office) fails(code int, text string, args ...string) {
	d.Helper()
	got, stdout, stderr := d.run(args...)
	if got != code || !strings.Contains(stderr, text) {
		d.Errorf("debut %v: exit %d, not %d with %q\n%s%s", args, got, code, text, stdout, stderr)
	}
}

// fillStore writes some alerts, with hostile text, and what belongs to them.
func fillStore(tb testing.TB, db store.DB) (ids []string) {
	tb.Helper()
	err := db.Update(context.Background(), func(tx store.Tx) error {
		for i := range 5 {
			uuid := fmt.Sprintf("%04x%060x", 0xa0a0+i, i)
			at := clientNow.Add(-time.Duration(10-i) * time.Hour)
			a := &store.Alert{
				Handle: uuid, UUID: uuid, RuleID: "rule-a", RuleName: "Rule A, with a comma", Type: "new_terms", Severity: []string{"low", "high"}[i%2], RiskScore: 21,
				Time: at, Last: at, Created: at, Updated: at, Principal: "arn:aws:iam::111122223333:user/ana", Account: "111122223333", Region: "eu-west-1",
				Who: "user/ana\x1b[2J", What: "=SendCommand|\u202e", Where: "203.0.113.7", Status: store.Open, Cold: i == 0,
			}
			ids = append(ids, uuid)
			doc := &store.AlertDocument{
				Document: fmt.Appendf(nil, `{"@timestamp":"2026-01-15T03:20:00.000Z","event":{"action":"SendCommand"},"source":{"ip":"203.0.113.%d"}}`, i),
				Kind:     store.KindRecord, Raw: []byte(`{"eventID":"e"}`),
			}
			if err := store.PutAlert(tx, a); err != nil {
				return err
			}
			if err := store.PutAlertDocument(tx, a.Handle, doc); err != nil {
				return err
			}
		}
		if err := store.PutRun(tx, &store.Run{
			ID: "0011223344556677", Kind: "backfill", By: "ana", Started: clientNow.Add(-time.Hour), Ended: clientNow.Add(-30 * time.Minute), Status: store.RunDone,
			From: clientNow.Add(-48 * time.Hour), To: clientNow, Rules: []string{"rule-a", "rule-b"}, Counts: map[string]int64{"events": 7, "alerts": 2},
		}); err != nil {
			return err
		}
		for i, state := range []store.ObjectState{store.ObjectRead, store.ObjectRead, store.ObjectFailed} {
			o := &store.Object{
				Source: "trail", Name: fmt.Sprint("bucket/key", i), Version: "etag", Account: "111122223333", Region: "eu-west-1",
				Hour: clientNow.Add(-time.Duration(3-i)*time.Hour).Unix() / 3600, State: state, Expected: true, Reason: map[store.ObjectState]string{store.ObjectFailed: "NoSuchKey"}[state],
			}
			if err := store.PutObject(tx, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

// A way is one of the ways in which a command reaches the store.
type way struct {
	name   string
	office *office
	db     store.DB // nil: it is opened for each command
	dir    string
}

// ways are a data folder that nobody has open, one that a server has open, and a
// server elsewhere.
func ways(t *testing.T) []way {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fillStore(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	local := memory.New()
	fillStore(t, local)
	localDir := t.TempDir()
	serve(t, server.Options{DB: local, DataDir: localDir})

	remote := memory.New()
	fillStore(t, remote)
	secret := server.NewSecret()
	err = remote.Update(t.Context(), func(tx store.Tx) error {
		return store.PutToken(tx, &store.Token{ID: "t", Name: "ana", Role: server.RoleAdmin, Hash: server.HashSecret(secret), Created: clientNow})
	})
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(server.New(server.Options{DB: remote, Now: clock}))
	t.Cleanup(ts.Close)

	user := map[string]string{"USER": "ana"}
	return []way{
		{"folder", &office{TB: t, env: map[string]string{"USER": "ana", "DEBUT_DATA_DIR": dir}}, nil, dir},
		{"local server", &office{TB: t, env: map[string]string{"USER": user["USER"], "DEBUT_DATA_DIR": localDir}}, local, localDir},
		{"server", &office{TB: t, env: map[string]string{"DEBUT_SERVER": ts.URL + "/", "DEBUT_TOKEN": "t." + secret}}, remote, ""},
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Now, o.Address = clock, "127.0.0.1:0"
	s := server.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Listen(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// Whichever way a command goes, it does and says the same.
func TestEveryWayIsTheSame(t *testing.T) {
	t.Parallel()
	commands := [][]string{
		{"alerts", "list"},
		{"alerts", "list", "--severity", "high", "--from", "2026-01-15T03:30:00Z", "--format", "csv"},
		{"alerts", "list", "--limit", "2", "--format", "markdown", "--oldest"},
		{"alerts", "list", "--limit", "2", "--format", "ndjson"},
		{"alerts", "list", "--rule", "Rule A, with a comma", "--text", "sendcommand", "--account", "111122223333", "--principal", "arn:aws:iam::111122223333:user/ana"},
		{"alerts", "list", "--status", "closed"},
		{"alerts", "ack", "a0a0", "a0a1"},
		{"alerts", "ack", "a0a0"},
		{"alerts", "close", "--reason", "false positive", "--status", "acknowledged", "--severity", "low"},
		{"alerts", "close", "--reason", "false positive", "--status", "acknowledged", "--severity", "low", "--yes"},
		{"alerts", "reopen", "a0a0"},
		{"alerts", "note", "a0a2", "asked", "ana"},
		{"alerts", "tag", "--add", "incident-7", "a0a2"},
		{"alerts", "assign", "--add", "ana", "a0a2"},
		{"alerts", "list", "--tagged", "incident-7", "--assignee", "ana"},
		{"alerts", "show", "ffff"},
		{"alerts", "show", "a0"},
		{"alerts", "show", "not-an-id"},
		{"alerts", "export"},
		{"alerts", "export", "--format", "csv"},
		{"exceptions", "test", "--rule", "rule-a", "--where", "source.ip is one of 203.0.113.1, 203.0.113.3"},
		{"exceptions", "test", "--rule", "rule-a", "--where", "source.ip is nonsense"},
		{"exceptions", "test", "--rule", "rule-a", "--where", "event.acton is x"},
		{"exceptions", "delete", "0123"},
		{"silences", "list"},
		{"coverage", "--from", "2026-01-15T08:00:00Z", "--to", "2026-01-15T12:00:00Z"},
		{"coverage", "--from", "2026-01-15T08:00:00Z", "--to", "2026-01-15T12:00:00Z", "--format", "csv"},
		{"coverage", "--failed"},
		{"coverage", "--from", "2026-01-15T12:00:00Z", "--to", "2026-01-15T08:00:00Z"},
		{"runs"},
		{"runs", "0011223344556677"},
		{"runs", "none"},
		{"runs", "--kind", "rebuild"},
		{"tokens", "delete", "none"},
		{"status"},
	}
	list := ways(t)
	for _, args := range commands {
		var want string
		for i, w := range list {
			code, stdout, stderr := w.office.run(args...)
			got := fmt.Sprintf("exit %d\n%s\n%s", code, stdout, stderr)
			if i == 0 {
				want = got
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%v: (-%s +%s)\n%s", args, list[0].name, w.name, diff)
			}
		}
		for _, r := range want {
			if r == 0x1b || r == 0x202e {
				t.Errorf("%v: hostile text came out as it was: %q", args, want)
				break
			}
		}
	}
	// And they write the same down, under the name of who did it.
	var audits []string
	for _, w := range list {
		db := w.db
		if db == nil {
			opened, err := sqlite.Open(t.Context(), w.dir, sqlite.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = opened.Close() }()
			db = opened
		}
		var b strings.Builder
		err := db.View(t.Context(), func(tx store.Tx) error {
			for e, err := range store.AuditBy(tx, time.Time{}, time.Time{}) {
				if err != nil {
					return err
				}
				fmt.Fprintln(&b, e.By, e.Action, e.Object, e.Detail)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		audits = append(audits, b.String())
	}
	if audits[0] == "" || audits[0] != audits[1] || audits[0] != audits[2] {
		t.Errorf("the audit logs differ:\n%s\n%s\n%s", audits[0], audits[1], audits[2])
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	d := ways(t)[0].office
	check := func(want string, args ...string) {
		t.Helper()
		_, got, _ := d.run(args...)
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got); diff != "" {
			t.Errorf("%v (-want +got)\n%s", args, diff)
		}
	}
	check(`
TIME (UTC)           SEVERITY  STATUS  ID            TRIAGE  RULE                  WHO              WHAT                 FROM         REMARKS
2026-01-15 06:00:00  low       open    a0a400000000          Rule A, with a comma  user/ana\x1b[2J  =SendCommand|\u202e  203.0.113.7
2026-01-15 04:00:00  low       open    a0a200000000          Rule A, with a comma  user/ana\x1b[2J  =SendCommand|\u202e  203.0.113.7
2026-01-15 02:00:00  low       open    a0a000000000          Rule A, with a comma  user/ana\x1b[2J  =SendCommand|\u202e  203.0.113.7  cold
`, "alerts", "list", "--severity", "low")
	d.ok("alerts", "close", "--reason", "expected", "a0a0")
	check(`
Rule A, with a comma
severity   low, risk score 21
status     closed: expected
who        user/ana\x1b[2J
principal  arn:aws:iam::111122223333:user/ana
what       =SendCommand|\u202e
from       203.0.113.7
account    111122223333 eu-west-1
time       2026-01-15 02:00:00 UTC
remarks    cold
rule       rule-a (new_terms)
id         a0a0000000000000000000000000000000000000000000000000000000000000
handle     a0a0000000000000000000000000000000000000000000000000000000000000
history    2026-01-15 12:00:00 ana: closed: expected
`, "alerts", "show", "a0a0")
	check(`
2026-01-15 08:00 to 2026-01-15 12:00 UTC, a block for each hour
111122223333 eu-west-1  ?██▁  50 %, 2 objects, 0 records, 1 failed

GAP      ACCOUNT       REGION     FROM (UTC)           TO (UTC)             OBJECTS MISSING  FAILED
failed   111122223333  eu-west-1  2026-01-15 11:00:00  2026-01-15 12:00:00  1                1
unknown  111122223333  eu-west-1  2026-01-15 08:00:00  2026-01-15 09:00:00  0                0
`, "coverage", "--from", "2026-01-15T08:00:00Z")
	check(`
SOURCE  OBJECT       ACCOUNT       REGION     DELIVERED (UTC)      REASON
trail   bucket/key2  111122223333  eu-west-1  2026-01-15 11:00:00  NoSuchKey
`, "coverage", "--failed")
	check(`
ID                KIND      STATUS  STARTED (UTC)        TOOK   OVER                                        RULES    COUNTS              BY
0011223344556677  backfill  done    2026-01-15 11:00:00  30m0s  2026-01-13 12:00:00 to 2026-01-15 12:00:00  2 rules  alerts 2, events 7  ana
`, "runs")

	id, said := d.ok("exceptions", "add", "--rule", "rule-a", "--where", "source.ip is 203.0.113.1", "--where", "user.name does not exist", "--expire", "now+30d")
	if !strings.Contains(said, "would have hidden 1 alert since 2025-12-16") {
		t.Errorf("said %q", said)
	}
	id = strings.TrimSpace(id)
	check(`
ID                NAME                                                   RULES   WHERE                                                  UNTIL                HIDES  BY   SINCE
`+id+`  source.ip is 203.0.113.1 and user.name does not exist  rule-a  source.ip is 203.0.113.1 and user.name does not exist  2026-02-14 12:00:00  1      ana  2026-01-15 12:00:00
`, "exceptions", "list")
	d.ok("exceptions", "delete", id)
	check("No exceptions.\n", "exceptions", "list")

	id, _ = d.ok("silences", "window", "patches", "--for", "2h", "--on", "sat,sun", "--zone", "Europe/Zurich", "--where", "kibana.alert.severity: low")
	snooze, _ := d.ok("silences", "snooze", "rule-a")
	id, snooze = strings.TrimSpace(id), strings.TrimSpace(snooze)
	out, _ := d.ok("silences", "list")
	for _, want := range []string{
		id + "  window  waits   patches  all alerts where kibana.alert.severity: low  2026-01-15 12:00:00  2026-01-15 14:00:00  Sat Sun, Europe/Zurich  ana",
		snooze + "  snooze  active  snoozed  rule-a                                       2026-01-15 12:00:00  never                                        ana",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	d.ok("silences", "delete", id, snooze)

	value, _ := d.ok("tokens", "create", "--role", "push", "--expire", "now+1d", "firehose")
	if id, secret, ok := strings.Cut(strings.TrimSpace(value), "."); !ok || len(secret) != 43 || len(id) != 16 {
		t.Errorf("the token is %q", value)
	}
	if out, _ := d.ok("tokens", "list"); !strings.Contains(out, "firehose  push  2026-01-15 12:00:00  2026-01-16 12:00:00  never") {
		t.Errorf("got\n%s", out)
	}
}

func TestExportFile(t *testing.T) {
	t.Parallel()
	d := ways(t)[0].office
	path := filepath.Join(t.TempDir(), "alerts.csv")
	d.ok("alerts", "export", "--format", "csv", "--output", path)
	b, err := os.ReadFile(path)
	if err != nil || bytes.Count(b, []byte("\n")) != 6 || !bytes.Contains(b, []byte("'=SendCommand")) {
		t.Errorf("got %s, %v", b, err)
	}
	d.env["DEBUT_DATA_DIR"] = "nowhere"
	d.fails(ExitUsage, "there is no store in nowhere", "alerts", "export", "--output", filepath.Join(filepath.Dir(path), "other"))
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestClientRefusals(t *testing.T) {
	t.Parallel()
	d := ways(t)[0].office
	dir := d.env["DEBUT_DATA_DIR"]
	for _, test := range []struct {
		code int
		text string
		args []string
	}{
		{ExitUsage, "no alert is chosen", []string{"alerts", "ack"}},
		{ExitUsage, "either ids or flags", []string{"alerts", "ack", "--status", "open", "a0a0"}},
		{ExitUsage, "would change 5 alerts", []string{"alerts", "close", "--status", "open"}},
		{ExitUsage, "the note is empty", []string{"alerts", "note", "a0a0", " "}},
		{ExitUsage, "--add or --remove", []string{"alerts", "tag", "a0a0"}},
		{ExitUsage, "is no condition", []string{"exceptions", "add", "--rule", "r", "--where", "source.ip = 1"}},
		{ExitUsage, "is no condition", []string{"exceptions", "add", "--rule", "r", "--where", "source.ip exists 1"}},
		{ExitUsage, "must end", []string{"silences", "window", "x"}},
		{ExitUsage, "is no day", []string{"silences", "window", "x", "--for", "1h", "--on", "m"}},
		{ExitUsage, "Mars", []string{"silences", "window", "x", "--for", "1h", "--daily", "--zone", "Mars"}},
		{ExitUsage, "must be one of", []string{"tokens", "create", "--role", "king", "x"}},
		{ExitUsage, "status is", []string{"alerts", "list", "--status", "done"}},
		{ExitUsage, "--limit", []string{"alerts", "list", "--limit", "-1"}},
		{ExitFailed, "needs the running server", []string{"status"}},
		{ExitUsage, "needs a token", []string{"alerts", "list", "--server", "https://example.com"}},
		{ExitUsage, "is not a URL", []string{"alerts", "list", "--server", "example.com"}},
		{ExitUsage, "does not go with --data and --config", []string{"alerts", "list", "--server", "https://example.com", "--token", "a.b", "--data", dir}},
		{ExitUsage, "name it with --server", []string{"alerts", "list", "--token", "a.b"}},
		{ExitUsage, "--ca", []string{"alerts", "list", "--server", "https://example.com", "--token", "a.b", "--ca", "none.pem"}},
	} {
		d.env = map[string]string{"DEBUT_DATA_DIR": dir}
		for _, a := range test.args {
			if a == "--server" {
				d.env = map[string]string{}
			}
		}
		d.fails(test.code, test.text, test.args...)
	}
	// A folder that was mistyped is no empty store; only a first token makes one.
	nowhere := filepath.Join(t.TempDir(), "new")
	d.env = map[string]string{"DEBUT_DATA_DIR": nowhere}
	d.fails(ExitUsage, "there is no store in", "alerts", "ack", "a0a0")
	d.fails(ExitUsage, "there is no store in", "tokens", "list")
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("a command made a folder")
	}
	d.ok("tokens", "create", "--role", "admin", "ana")
	d.ok("tokens", "list")
	// Who answers is no Debut, or sends the token elsewhere.
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	}))
	defer strange.Close()
	d.env = map[string]string{"DEBUT_SERVER": strange.URL, "DEBUT_TOKEN": "a.b"}
	d.fails(ExitFailed, "answers 302 Found", "alerts", "list")
}

// A server that was killed leaves its files behind; commands open the store then. One
// that is alive and has the folder open is asked.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	d := ways(t)[0].office
	dir := d.env["DEBUT_DATA_DIR"]
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, text := range map[string]string{server.AddressFile: gone.URL + "\n", server.TokenFile: "local.x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, _ := d.ok("alerts", "list", "--format", "csv"); strings.Count(out, "\n") != 6 {
		t.Errorf("got\n%s", out)
	}
	db, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	d.fails(ExitFailed, "in use by another process", "alerts", "ack", "a0a0")
	d.ok("alerts", "list") // reading beside another process is no harm
	serve(t, server.Options{DB: db, DataDir: dir})
	if _, said := d.ok("alerts", "ack", "a0a0"); said != "1 alert changed\n" {
		t.Errorf("said %q", said)
	}
	if err := os.Remove(filepath.Join(dir, server.TokenFile)); err != nil {
		t.Fatal(err)
	}
	d.fails(ExitFailed, "as the user of the server", "alerts", "list")
}

// The words of a condition and the condition are the same.
func TestConditions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]store.ExceptionEntry{
		"a is b c":            {Field: "a", Type: "match", Operator: "included", Values: []string{"b c"}},
		"a is not one of":     {Field: "a", Type: "match", Operator: "excluded", Values: []string{"one of"}},
		"a is not b":          {Field: "a", Type: "match", Operator: "excluded", Values: []string{"b"}},
		"a is one of b, c":    {Field: "a", Type: "match_any", Operator: "included", Values: []string{"b", "c"}},
		"a is not one of b":   {Field: "a", Type: "match_any", Operator: "excluded", Values: []string{"b"}},
		"a matches b*":        {Field: "a", Type: "wildcard", Operator: "included", Values: []string{"b*"}},
		"a does not match b*": {Field: "a", Type: "wildcard", Operator: "excluded", Values: []string{"b*"}},
		"a exists":            {Field: "a", Type: "exists", Operator: "included"},
		"a does not exist":    {Field: "a", Type: "exists", Operator: "excluded"},
		"a is isolated":       {Field: "a", Type: "match", Operator: "included", Values: []string{"isolated"}},
		"a is does not exist": {Field: "a", Type: "match", Operator: "included", Values: []string{"does not exist"}},
	} {
		got, err := parseCondition(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
		if back := words([]store.ExceptionEntry{got}); back != text {
			t.Errorf("%q is written back as %q", text, back)
		}
	}
}
