package desk_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/memory"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/desk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var base = time.Date(2026, 3, 11, 10, 15, 30, 0, time.UTC)

// An office is a store with a desk in it, and a clock.
type office struct {
	*testing.T

	db     store.DB
	events *events.Store
	cat    *ecs.Catalogue
	desk   *desk.Desk
	now    time.Time
	n      int
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{T: t, db: memory.New(), cat: ecs.NewCatalogue(), now: base.Add(time.Minute)}
	var err error
	o.events, err = events.Open(events.Options{Dir: t.TempDir(), DB: o.db, Catalogue: o.cat, Now: func() time.Time { return o.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.events.Close(); err != nil {
			t.Error(err)
		}
	})
	o.desk = o.open(func(*desk.Options) {})
	return o
}

func (o *office) open(change func(*desk.Options)) *desk.Desk {
	o.Helper()
	w, err := triage.ParseWeights()
	if err != nil {
		o.Fatal(err)
	}
	opt := desk.Options{
		DB: o.db, Events: o.events, Catalogue: o.cat, Weights: w, Now: func() time.Time { return o.now },
		Again: []time.Duration{15 * time.Minute, time.Hour},
	}
	change(&opt)
	return desk.New(opt)
}

// event stores an event of ana's and returns its id.
func (o *office) event(at time.Time, service, action, request string) ecs.ID {
	o.Helper()
	return o.answered(at, service, action, request, "null")
}

// answered is event with what AWS answered.
func (o *office) answered(at time.Time, service, action, request, response string) ecs.ID {
	o.Helper()
	o.n++
	raw := fmt.Appendf(nil, `{"eventVersion":"1.09","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/ana",`+
		`"accountId":"111122223333","accessKeyId":"AKIAEXAMPLE","userName":"ana"},"eventTime":%q,"eventSource":"%s.amazonaws.com","eventName":%q,`+
		`"awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.15","requestParameters":%s,"responseElements":%s,`+
		`"eventID":"00000000-0000-4000-8000-%012d","eventType":"AwsApiCall","recipientAccountId":"111122223333"}`,
		at.Format(time.RFC3339), service, action, request, response, o.n)
	var rec cloudtrail.Record
	if _, err := rec.Parse(raw); err != nil {
		o.Fatal(err)
	}
	ev := cloudtrail.NewEvent(o.cat, nil)
	ev.Reset(&rec)
	id := ev.ID()
	frame, err := events.Encode(&store.Frame{Meta: []byte("{}"), Records: []store.Record{{Kind: store.KindRecord, Time: at.UnixNano(), ID: id, Raw: raw}}})
	if err == nil {
		_, err = o.events.Append(o.Context(), []store.Encoded{frame})
	}
	if err != nil {
		o.Fatal(err)
	}
	return id
}

// alert stores an alert of an event, which is due.
func (o *office) alert(handle string, at time.Time, id ecs.ID, change func(*store.Alert)) {
	o.Helper()
	a := &store.Alert{
		Handle: handle, UUID: handle, RuleID: "rule", RuleName: "Rare command", Type: "new_terms", Severity: "low", Time: at, Last: at,
		Created: o.now, Updated: o.now, Principal: "arn:aws:iam::111122223333:user/ana", Account: "111122223333", Region: "eu-west-1",
		Status: store.Open, EventID: id,
	}
	a.Triage.Wants(o.now, store.TriageAlert)
	change(a)
	doc := `{"kibana.alert.rule.version":7,"kibana.alert.rule.parameters":{"language":"kuery","query":"event.action: SendCommand","new_terms_fields":["user.name"],` +
		`"history_window_start":"now-7d"},"kibana.alert.new_terms":["ana"]}`
	err := o.db.Update(o.Context(), func(tx store.Tx) error {
		return errors.Join(store.PutAlert(tx, a), store.PutAlertDocument(tx, handle, &store.AlertDocument{Document: []byte(doc), Kind: store.KindRecord, Raw: []byte("{}")}))
	})
	if err != nil {
		o.Fatal(err)
	}
}

func (o *office) row(handle string) *store.Alert {
	o.Helper()
	var a *store.Alert
	if err := o.db.View(o.Context(), func(tx store.Tx) (err error) {
		a, err = store.GetAlert(tx, handle)
		return err
	}); err != nil {
		o.Fatal(err)
	}
	return a
}

// work investigates everything that is due.
func (o *office) work() (n int) {
	o.Helper()
	for {
		did, err := o.desk.Step(o.Context())
		if err != nil {
			o.Fatal(err)
		}
		if !did {
			return n
		}
		n++
	}
}

const command = `{"documentName":"AWS-RunShellScript","instanceIds":["i-0a1b2c3d4e5f60718"]}`

// An alert is investigated when it is new, 15 and 60 minutes after its event, and a
// version is kept only if it says something new.
func TestVersions(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, o.event(base, "ssm", "SendCommand", command), func(*store.Alert) {})
	if n := o.work(); n != 1 {
		t.Fatalf("%d investigations, want 1", n)
	}
	a := o.row("aaaa")
	if a.Triage.Version != 1 || a.Triage.Verdict == "" || a.Triage.Score == 0 || a.Triage.Summary == "" || !a.Triage.Cold {
		t.Fatalf("after the first investigation: %+v", a.Triage)
	}
	if !a.Triage.Due.Equal(base.Add(15*time.Minute)) || a.Triage.Why != store.TriageLater {
		t.Errorf("due again %s, %s", a.Triage.Due, a.Triage.Why)
	}
	o.now = base.Add(15 * time.Minute)
	if n := o.work(); n != 1 {
		t.Fatalf("%d investigations, want 1", n)
	}
	a = o.row("aaaa")
	if a.Triage.Version != 1 || !a.Triage.Done.Equal(o.now) || !a.Triage.Due.Equal(base.Add(time.Hour)) {
		t.Errorf("nothing new: %+v", a.Triage)
	}
	o.event(base.Add(time.Minute), "cloudtrail", "StopLogging", `{"name":"main"}`)
	o.now = base.Add(time.Hour)
	if n := o.work(); n != 1 {
		t.Fatalf("%d investigations, want 1", n)
	}
	now := o.row("aaaa")
	if now.Triage.Version != 2 || now.Triage.Score <= a.Triage.Score || !now.Triage.Due.IsZero() {
		t.Errorf("after the trail was stopped: %+v; before: %+v", now.Triage, a.Triage)
	}
	res, err := o.desk.Investigate(t.Context(), "aaaa", desk.Request{Trigger: store.TriageByHand, By: "kim"})
	if err != nil || res.Kept || res.Report.Version != 2 || len(res.Report.Versions) != 1 || res.Report.Versions[0].Trigger != store.TriageAlert {
		t.Fatalf("by hand: %+v, %v", res, err)
	}
	if s := o.desk.Stats(); s.Done != 4 || s.Kept != 2 || s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
	if r := res.Report.Rule; r.Version != 7 || r.Name != "Rare command" {
		t.Errorf("the rule is %+v", r)
	}
}

// A report that cannot be read is not written over, and the next one is the latest.
func TestDamagedReport(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, o.event(base, "ssm", "SendCommand", command), func(*store.Alert) {})
	o.work()
	o.event(base.Add(time.Minute), "cloudtrail", "StopLogging", `{"name":"main"}`)
	o.now = base.Add(2 * time.Hour)
	o.work()
	if v := o.row("aaaa").Triage.Version; v != 2 {
		t.Fatalf("version %d, want 2", v)
	}
	if err := o.db.Update(t.Context(), func(tx store.Tx) error {
		for p, err := range tx.Reverse(store.Reports, nil, nil) {
			if err != nil {
				return err
			}
			return tx.Put(store.Reports, p.Key, []byte("damaged"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	res, err := o.desk.Investigate(t.Context(), "aaaa", desk.Request{Trigger: store.TriageByHand, By: "kim"})
	if err != nil || !res.Kept || res.Report.Version != 3 || res.Alert.Triage.Version != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := o.db.View(t.Context(), func(tx store.Tx) error {
		r, err := store.GetReport(tx, "aaaa", 0)
		if err == nil && r.Version != 3 {
			t.Errorf("the latest report is version %d", r.Version)
		}
		return err
	}); err != nil {
		t.Errorf("the latest report: %v", err)
	}
	if res, err = o.desk.Investigate(t.Context(), "aaaa", desk.Request{Trigger: store.TriageByHand, By: "kim"}); err != nil || res.Kept {
		t.Errorf("nothing new: kept %v, %v", res.Kept, err)
	}
}

// What is asked for another time, or with other weights, is not kept.
func TestTrials(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, o.event(base, "ssm", "SendCommand", command), func(*store.Alert) {})
	o.work()
	o.event(base.Add(time.Minute), "cloudtrail", "StopLogging", `{"name":"main"}`)
	o.now = base.Add(2 * time.Hour)
	early, kept, err := o.desk.Triage(t.Context(), "aaaa", api.TriageRequest{AsOf: base.Add(time.Second)}, "kim")
	if err != nil || kept || early.Score != o.row("aaaa").Triage.Score {
		t.Errorf("as of then: %v, kept %v, %v", early, kept, err)
	}
	heavy, kept, err := o.desk.Triage(t.Context(), "aaaa", api.TriageRequest{Weights: "[score]\nprior = { points = 60 }\n"}, "kim")
	if err != nil || kept || heavy.Score <= early.Score {
		t.Errorf("other weights: %v, kept %v, %v", heavy, kept, err)
	}
	if v := o.row("aaaa").Triage.Version; v != 1 {
		t.Errorf("version %d is kept", v)
	}
	for name, tc := range map[string]struct {
		r    api.TriageRequest
		want string
	}{
		"before the event": {api.TriageRequest{AsOf: base.Add(-time.Hour)}, "before the event"},
		"no weights":       {api.TriageRequest{Weights: "[T99]\nx = 1\n"}, "no such row"},
	} {
		_, _, err := o.desk.Triage(t.Context(), "aaaa", tc.r, "kim")
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An alert whose event is gone is given up; one about Debut itself has none.
func TestNothingToInvestigate(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, ecs.ID{1}, func(*store.Alert) {})
	if n := o.work(); n != 1 {
		t.Fatalf("%d investigations, want 1", n)
	}
	a := o.row("aaaa")
	if a.Triage.Version != 0 || !strings.Contains(a.Triage.Error, "not stored") || !a.Triage.Due.IsZero() {
		t.Errorf("%+v", a.Triage)
	}
	if _, err := o.desk.Investigate(t.Context(), "aaaa", desk.Request{}); !errors.Is(err, desk.ErrGone) || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its event is gone: %v", err)
	}
	o.alert("bbbb", base, ecs.ID{}, func(a *store.Alert) { a.Triage = store.Triage{} })
	if _, err := o.desk.Investigate(t.Context(), "bbbb", desk.Request{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an alert about Debut: %v", err)
	}
	if _, err := o.desk.Investigate(t.Context(), "cccc", desk.Request{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no alert: %v", err)
	}
}

// A new alert of a principal makes those due in whose case window it falls, but not
// again and again; the gravest alert comes first.
func TestCompanions(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, o.event(base, "ssm", "SendCommand", command), func(*store.Alert) {})
	o.alert("bbbb", base.AddDate(0, 0, -3), o.event(base.AddDate(0, 0, -3), "ssm", "SendCommand", command), func(a *store.Alert) { a.Severity = "high" })
	if did, err := o.desk.Step(t.Context()); !did || err != nil || o.row("bbbb").Triage.Version != 1 || o.row("aaaa").Triage.Version != 0 {
		t.Fatalf("the gravest does not come first: %v", err)
	}
	o.work()
	o.now = base.Add(10 * time.Minute)
	at := base.Add(9 * time.Minute)
	o.alert("cccc", at, o.event(at, "cloudtrail", "StopLogging", `{"name":"main"}`), func(*store.Alert) {})
	if n := o.work(); n != 2 {
		t.Errorf("%d investigations, want those of the new alert and of its companion", n)
	}
	a, b := o.row("aaaa"), o.row("bbbb")
	if a.Triage.Version != 2 || b.Triage.Version != 1 || !b.Triage.Due.IsZero() {
		t.Errorf("companion %+v, other %+v", a.Triage, b.Triage)
	}
	at = base.Add(9*time.Minute + time.Second)
	o.alert("dddd", at, o.event(at, "cloudtrail", "DeleteTrail", `{"name":"main"}`), func(*store.Alert) {})
	if n := o.work(); n != 1 {
		t.Errorf("%d investigations, want only that of the new alert", n)
	}
	if due := o.row("aaaa").Triage.Due; !due.Equal(o.now.Add(store.TriagePause)) {
		t.Errorf("the companion is due %s, want %s", due, o.now.Add(store.TriagePause))
	}
}

// What was on its way when the process ended is done by the next one.
func TestRun(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, o.event(base, "ssm", "SendCommand", command), func(*store.Alert) {})
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			d := o.open(func(*desk.Options) {})
			go func() {
				defer close(done)
				d.Run(ctx)
			}()
			synctest.Wait()
			cancel()
			<-done
		}
	})
	if v := o.row("aaaa").Triage.Version; v != 1 {
		t.Errorf("version %d, want 1", v)
	}
}

// Alerts that were investigated while their history was being read are again.
func TestColdAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.alert("aaaa", base, o.event(base, "ssm", "SendCommand", command), func(*store.Alert) {})
	o.now = base.Add(2 * time.Hour)
	o.work()
	if err := o.desk.ColdAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := o.work(); n != 1 {
		t.Errorf("%d investigations, want 1", n)
	}
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	none := func(string) string { return "" }
	c := config.Triage{
		Weights: file("weights.toml", "[verdicts]\nsuspicious = 50\n"), Again: []config.Duration{config.Duration(time.Hour)},
		Networks: []string{"203.0.113.0/24", "198.51.100.7"}, Tor: []string{file("tor.txt", "# exits\n192.0.2.1\n\n2001:db8::/32 # a network\n")},
		TimeZone: "Europe/Berlin", Freezes: []config.Freeze{{Name: "year's end", From: "2026-12-20", To: "2027-01-02 06:00"}},
		Exercises: []config.Exercise{{Name: "red team", From: "2026-05-01", To: "2026-05-08", Marks: []string{"stratus"}}},
		Rota:      []config.Duty{{Who: "kim", From: "2026-03-01T00:00:00Z", To: "2026-03-08T00:00:00Z"}},
		Changes:   []config.Change{{ID: "CHG-7", Who: "111122223333", From: "2026-03-01", To: "2026-03-02"}}, Live: true, LiveRole: "arn:aws:iam::111122223333:role/reader",
	}
	var o desk.Options
	if err := o.Configure(&c, none); err != nil {
		t.Fatal(err)
	}
	s := &o.Settings
	if len(s.Networks) != 2 || len(s.Tor) != 2 || s.Tor[0].String() != "192.0.2.1/32" || s.TimeZone.String() != "Europe/Berlin" || o.Weights.Verdicts["suspicious"] != 50 ||
		!o.AlwaysLive || o.Live.RoleARN != c.LiveRole || len(o.Again) != 1 {
		t.Errorf("%+v", o)
	}
	if got := s.Freezes[0].To.UTC(); !got.Equal(time.Date(2027, 1, 2, 5, 0, 0, 0, time.UTC)) {
		t.Errorf("the freeze ends %s", got)
	}
	if len(s.Changes) != 1 || s.Changes[0].ID != "CHG-7" || s.Changes[0].To.Sub(s.Changes[0].From) != 24*time.Hour {
		t.Errorf("changes: %+v", s.Changes)
	}
	c.Weights = file("bad.toml", "[T2]\nno-such-row = { points = 1 }\n")
	if err := o.Configure(&c, none); err == nil || !strings.Contains(err.Error(), "bad.toml") || !strings.Contains(err.Error(), "no-such-row") {
		t.Errorf("it says %v", err)
	}
}
