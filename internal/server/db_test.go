package server_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
)

// memDB is a store in memory that can fail.
type memDB struct {
	*memory.DB

	err error // every transaction fails with it
}

func (db *memDB) View(ctx context.Context, f func(store.Tx) error) error {
	if db.err != nil {
		return db.err
	}
	return db.DB.View(ctx, f)
}

func (db *memDB) Update(ctx context.Context, f func(store.Tx) error) error {
	if db.err != nil {
		return db.err
	}
	return db.DB.Update(ctx, f)
}

var testNow = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// sampleAlert makes the i-th alert; every one is a minute after the one before.
func sampleAlert(i int) *store.Alert {
	uuid := fmt.Sprintf("%032x%032x", i*7919+1, i)
	at := testNow.Add(-48 * time.Hour).Add(time.Duration(i) * time.Minute)
	return &store.Alert{
		Handle: uuid, UUID: uuid, RuleID: "rule-" + string(rune('a'+i%3)), RuleName: "Rule " + string(rune('A'+i%3)), Type: "new_terms",
		Severity: []string{"low", "medium", "high", "critical"}[i%4], RiskScore: 21, Time: at, Last: at, Created: at, Updated: at,
		Principal: "arn:aws:iam::111122223333:user/ana", Account: "111122223333", Region: "eu-west-1",
		Who: "user/ana", What: "SendCommand", Where: "203.0.113.7", Status: store.Open,
		Rule: 1, Group: ecs.ID{1}, EventID: ecs.ID{byte(i), byte(i >> 8)},
	}
}

const sampleRecord = `{"eventVersion":"1.08","eventID":"e-%d","eventTime":"2026-01-14T03:17:25Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","awsRegion":"eu-west-1","sourceIPAddress":"203.0.113.7","recipientAccountId":"111122223333"}`

func sampleDocument(i int) *store.AlertDocument {
	return &store.AlertDocument{
		Document: fmt.Appendf(nil, `{"@timestamp":"2026-01-14T03:20:00.000Z","event":{"action":"SendCommand","kind":"signal"},"source":{"ip":"203.0.113.%d"},`+
			`"kibana.alert.uuid":"x","kibana.alert.workflow_status":"open","debut":{"alert":{"withheld":false,"cold_baseline":true},"principal":"p"},"big":12345678901234567890}`, i%256),
		Kind: store.KindRecord, Raw: fmt.Appendf(nil, sampleRecord, i),
	}
}

func putSamples(tb testing.TB, db store.DB, n int) []*store.Alert {
	tb.Helper()
	var list []*store.Alert
	update(tb, db, func(tx store.Tx) error {
		for i := range n {
			a := sampleAlert(i)
			list = append(list, a)
			if err := store.PutAlert(tx, a); err != nil {
				return err
			}
			if err := store.PutAlertDocument(tx, a.Handle, sampleDocument(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return list
}

func update(tb testing.TB, db store.DB, f func(store.Tx) error) {
	tb.Helper()
	if err := db.Update(context.Background(), f); err != nil {
		tb.Fatal(err)
	}
}

// putToken stores a token and returns its value.
func putToken(tb testing.TB, db store.DB, role string) string {
	tb.Helper()
	secret := server.NewSecret()
	t := &store.Token{ID: store.NewID(), Name: "the " + role, Role: role, Hash: server.HashSecret(secret), Created: testNow}
	update(tb, db, func(tx store.Tx) error { return store.PutToken(tx, t) })
	return t.ID + "." + secret
}

// daemon is a daemon that does nothing.
type daemon struct {
	notReady  []string
	reloads   int
	retried   []string
	err       error
	searched  api.EventQuery
	failAfter int
	pad       int
	wait      func()                      // before the second event
	asked     func(context.Context) error // by a reload or a backfill; nil: nothing
}

func (d *daemon) Status() api.Status {
	return api.Status{
		NotReady: d.notReady,
		Sources: []api.SourceStatus{{
			Name: "trail", Kind: "s3", State: "trouble", Trouble: "no such bucket", TroubleSince: testNow, Lag: 3, Last: testNow,
			Objects: 1, Records: 2, Bytes: 3, Rejected: 4, Failed: 5, Parked: 6,
		}},
		Commits: api.CommitStatus{Count: 7, Seconds: 0.5, Latency: map[float64]uint64{0.001: 4, 0.1: 6}},
		Rules: api.RuleCounts{
			Running: 1, Idle: 1, Kept: 1, Wrong: 2, Errors: []api.Diagnostic{{
				Severity: "error", Code: "syntax", File: "rules/a.toml", RuleID: "rule-a", Line: 3, Message: "expected )", Hint: "close it",
			}},
		}, Memory: api.MemoryStatus{Rows: map[string]int64{"findings": 3}, Bytes: 4096},
		Outbox: api.OutboxStatus{Waiting: 1, Oldest: testNow.Add(-time.Minute)}, Log: api.LogStatus{End: 10, Folded: 9, Compacted: 8, Segments: 1},
	}
}

func (d *daemon) Rules() []api.RuleStatus {
	return []api.RuleStatus{
		{ID: "rule-a", Name: "Rule A", Type: "new_terms", Severity: "low", RiskScore: 21, Status: "running", Since: testNow, Version: 1},
		{ID: "rule-b", Name: "Rule B", Type: "eql", Severity: "low", RiskScore: 21, Status: "idle", Why: "eql does not run yet"},
	}
}

func (d *daemon) Reload(ctx context.Context, _ string) (api.ReloadReport, error) {
	d.reloads++
	if d.asked != nil {
		return api.ReloadReport{}, d.asked(ctx)
	}
	return api.ReloadReport{Running: 1, Added: []string{"rule-a"}, Diagnostics: []api.Diagnostic{{Severity: "warning", Code: "unknown-rule", Message: "m"}}}, d.err
}

func (d *daemon) Retry(_ context.Context, source string, ids []string) (map[string]error, error) {
	if source != "trail" {
		return nil, fmt.Errorf("%w: no source is called %q", store.ErrInvalid, source)
	}
	d.retried = ids
	return map[string]error{"m1": nil, "m2": errors.New("it is not in the bucket")}, d.err
}

func (d *daemon) Backfill(ctx context.Context, r api.BackfillRequest) (string, error) {
	if d.asked != nil {
		return "0123456789abcdef", d.asked(ctx)
	}
	if len(r.Rules) > 0 && r.Rules[0] == "nothing" {
		return "", fmt.Errorf("%w: no rule has the id or name %q", store.ErrInvalid, r.Rules[0])
	}
	return "0123456789abcdef", d.err
}

func (d *daemon) Search(_ context.Context, q api.EventQuery) iter.Seq2[[]byte, error] {
	d.searched = q
	return func(yield func([]byte, error) bool) {
		for i := range 3 {
			if d.wait != nil && i == 1 {
				d.wait()
			}
			if d.err != nil && i == d.failAfter {
				yield(nil, d.err)
				return
			}
			if !yield(fmt.Appendf(nil, `{"event":{"id":"%d%*s"}}`, i, d.pad, ""), nil) {
				return
			}
		}
		q.Damaged("seg-1\n", store.ErrDamaged)
	}
}

// setup is a server over an empty store.
func setup(tb testing.TB, change func(*server.Options)) (*server.Server, *memDB, *daemon) {
	tb.Helper()
	db, d := &memDB{DB: memory.New()}, &daemon{}
	o := server.Options{DB: db, Now: func() time.Time { return testNow }, Version: "0.0.0", Daemon: d, Backfill: d, Events: d}
	if change != nil {
		change(&o)
	}
	return server.New(o), db, d
}
