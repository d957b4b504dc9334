package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/memory"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock stands still at a time behind every event of the tests.
func clock() time.Time { return base.AddDate(1, 0, 0) }

// where is the condition that each field has its value: name, value, name, value.
func where(t testing.TB, cat *ecs.Catalogue, pairs ...string) query.Expr {
	t.Helper()
	var list []query.Expr
	for i := 0; i < len(pairs); i += 2 {
		x, err := query.Equal(cat.Resolve(pairs[i]), pairs[i+1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, x)
	}
	return query.And(list...)
}

// inputs is one rule of each type, with suppression and small limits.
func inputs(t testing.TB, cat *ecs.Catalogue) []detect.Input {
	common := func(r rule.Rule) *rule.Rule {
		r.From, r.To, r.Interval = "now-9m", "now", 5*time.Minute
		r.Name, r.Severity, r.RiskScore = r.ID, "low", 21
		if r.MaxSignals == 0 {
			r.MaxSignals = 100
		}
		return &r
	}
	return []detect.Input{
		{
			Rule: common(rule.Rule{
				ID: "first", Type: rule.NewTerms, NewTermsFields: []string{"user.name"}, HistoryWindowStart: "now-7d", MaxSignals: 1,
			}),
			Query: where(t, cat, "event.action", "SendCommand", "event.outcome", "success"),
		},
		{
			Rule: common(rule.Rule{
				ID: "many", Type: rule.Threshold, ThresholdFields: []string{"user.name"}, ThresholdValue: 3,
				Cardinality: []rule.Cardinality{{Field: "event.action", Value: 2}},
			}),
			Query: where(t, cat, "event.outcome", "failure"),
		},
		{
			Rule: common(rule.Rule{
				ID: "suppressed", Type: rule.Query, MaxSignals: 2,
				Suppression: &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour},
			}),
			Query: where(t, cat, "event.action", "StartSession"),
		},
		{
			Rule: common(rule.Rule{
				ID: "apart", Type: rule.Query,
				Suppression: &rule.Suppression{GroupBy: []string{"source.address"}, MissingFieldsStrategy: "doNotSuppress"},
			}),
			Query: where(t, cat, "event.action", "GetParameter"),
		},
		{
			Rule: common(rule.Rule{
				ID: "first and suppressed", Type: rule.NewTerms, NewTermsFields: []string{"user.name", "event.action"},
				HistoryWindowStart: "now-1d", Suppression: &rule.Suppression{GroupBy: []string{"user.name"}, Duration: time.Hour},
			}),
			Query: where(t, cat, "event.provider", "ssm.amazonaws.com"),
		},
		{
			Rule:  common(rule.Rule{ID: "capped", Type: rule.Query, MaxSignals: 2}),
			Query: where(t, cat, "event.provider", "ssm.amazonaws.com"),
		},
	}
}

func rules(list []detect.Input) []serve.Rule {
	var out []serve.Rule
	for _, in := range list {
		out = append(out, serve.Rule{Input: in, Fingerprint: "fingerprint of " + in.Rule.ID})
	}
	return out
}

// entry is an event to write down as a CloudTrail record.
type entry struct {
	id      int
	at      time.Time
	user    string
	action  string
	failed  bool
	account string
	region  string
	note    string // makes copies unequal
}

func (e entry) record() string {
	failure := ""
	if e.failed {
		failure = `"errorCode":"AccessDenied",`
	}
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::%[1]s:user/%[2]s","accountId":"%[1]s","userName":%[2]q},`+
		`"eventTime":%[3]q,"eventSource":"ssm.amazonaws.com","eventName":%[4]q,"awsRegion":%[5]q,%[6]s"requestParameters":{"note":%[7]q},`+
		`"eventID":"id-%[8]d","recipientAccountId":"%[1]s"}`,
		e.account, e.user, e.at.Format(time.RFC3339), e.action, e.region, failure, e.note, e.id)
}

// want is what a scan of the records finds, by uuid.
func want(t testing.TB, cat *ecs.Catalogue, list []detect.Input, start time.Time, records []string) map[string]string {
	t.Helper()
	engine, err := detect.Compile(cat, list)
	if err != nil {
		t.Fatal(err)
	}
	var objects iter.Seq2[pipeline.Object, error] = func(yield func(pipeline.Object, error) bool) {
		yield(pipeline.Object{Name: "all", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(strings.Join(records, "\n"))), nil
		}}, nil)
	}
	res, err := pipeline.Run(t.Context(), pipeline.Config{Engine: engine, Catalogue: cat, TempDir: t.TempDir(), From: start}, objects)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Close() }()
	out := map[string]string{}
	for f, err := range res.Found() {
		if err != nil {
			t.Fatal(err)
		}
		a := alert.New(f.Rule, &f.Signal, f.Event, 1, false)
		out[a.UUID] = describe(a.Document(clock()))
	}
	return out
}

// describe is a document without what is not a function of the events.
func describe(doc ecs.Document) string {
	for _, name := range []string{"kibana.alert.rule.execution.type"} {
		delete(doc, name)
	}
	about := doc["debut"].(map[string]any)["alert"].(map[string]any)
	delete(about, "history_coverage")
	delete(about, "cold_baseline")
	return string(doc.AppendJSON(nil))
}

// got is what the store holds, by uuid, without what was withdrawn.
func got(t testing.TB, db store.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	handles := map[string]bool{}
	err := db.View(t.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Withheld: true, Blocks: true, Withdrawn: true}) {
			if err != nil {
				return err
			}
			if handles[a.Handle] {
				t.Errorf("alert %s is listed twice", a.Handle)
			}
			handles[a.Handle] = true
			if a.Withdrawn {
				continue
			}
			d, err := store.GetAlertDocument(tx, a.Handle)
			if err != nil {
				return err
			}
			if _, twice := out[a.UUID]; twice {
				t.Errorf("two alerts have the uuid %s", a.UUID)
			}
			doc, err := ecs.ParseDocument(d.Document)
			if err != nil {
				return err
			}
			if s := fmt.Sprintf("withheld=%v count=%d suppressed=%d last=%s", a.Withheld, a.Count, a.Suppressed, a.Last.Format(time.RFC3339)); !agrees(doc, a) {
				t.Errorf("the row of %s says %s, its document %s", a.Handle, s, d.Document)
			}
			out[a.UUID] = describe(doc)
			for _, name := range append(a.Former, a.Handle, a.UUID) {
				if b, err := store.GetAlert(tx, name); err != nil || b == nil || b.Handle != a.Handle && b.UUID != name {
					t.Errorf("the uuid %s does not lead to %s: %v", name, a.Handle, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// agrees reports whether a row says what its document says.
func agrees(doc ecs.Document, a *store.Alert) bool {
	about := doc["debut"].(map[string]any)["alert"].(map[string]any)
	return about["withheld"] == a.Withheld && about["last_event"] == a.Last.Format(ecs.TimeFormat) && doc["kibana.alert.uuid"] == a.UUID
}

// A world is a store and what engines are opened on, one after the other.
type world struct {
	t       testing.TB
	cat     *ecs.Catalogue
	dir     string
	db      *failing
	events  *events.Store
	opt     serve.Options
	notices []string
	lost    time.Time // what is before is not in the event store
}

func newWorld(t testing.TB, cat *ecs.Catalogue, list []serve.Rule) *world {
	t.Helper()
	w := &world{t: t, cat: cat, dir: t.TempDir(), db: &failing{DB: memory.New()}}
	w.opt = serve.Options{
		DB: w.db, Encode: events.Encode, Rules: list, Catalogue: cat, Workers: 2, Now: clock,
		Log: slog.New(slog.DiscardHandler),
		Route: func(_ store.Tx, n serve.Notice) error {
			var name string
			if n.Alert != nil {
				name = n.Alert.RuleID + " " + n.Alert.Principal
			} else {
				name = n.Capped.RuleID
			}
			w.notices = append(w.notices, n.Kind+" "+name)
			return nil
		},
	}
	return w
}

// session opens an engine and runs it while f does something with it. It returns how
// the engine ended.
func (w *world) session(f func(e *serve.Engine)) error {
	w.t.Helper()
	w.openEvents()
	defer w.closeEvents()
	e, err := serve.Open(w.t.Context(), w.opt)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	f(e)
	cancel()
	return <-done
}

// stored counts the events in the event store, by eventID.
func (w *world) stored() map[string]int {
	w.t.Helper()
	w.openEvents()
	defer w.closeEvents()
	out := map[string]int{}
	for e, err := range w.events.Scan(w.t.Context(), store.Scan{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		out[strings.Clone(e.Event.Values(w.cat.Resolve("event.id"))[0])]++
	}
	return out
}

func (w *world) openEvents() {
	w.t.Helper()
	var err error
	if w.events, err = events.Open(events.Options{Dir: w.dir, DB: w.db.DB, Catalogue: w.cat, Now: clock}); err != nil {
		w.t.Fatal(err)
	}
	w.opt.Events = w.events
	if !w.lost.IsZero() {
		w.opt.Events = lost{w.events, w.lost}
	}
}

func (w *world) closeEvents() {
	w.t.Helper()
	if err := w.events.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// deliver hands over texts as objects and waits for all of them. It returns the
// outcomes, in order.
func deliver(t testing.TB, e *serve.Engine, names, texts []string) []source.Outcome {
	t.Helper()
	out := make([]source.Outcome, len(texts))
	var wg sync.WaitGroup
	for i, text := range texts {
		wg.Add(1)
		d := source.Delivery{
			Source: "test", Name: names[i], Object: &source.Object{Name: names[i], Version: "1"}, Arrived: clock(),
			Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
			Done: func(o source.Outcome) {
				out[i] = o
				wg.Done()
			},
		}
		if err := e.Deliver(t.Context(), d); err != nil {
			out[i].Err = err
			wg.Done()
		}
	}
	wg.Wait()
	return out
}

var errCrash = errors.New("the machine lost power")

// failing is a DB that loses power at the n-th update: before its commit, or behind it.
type failing struct {
	store.DB
	mu     sync.Mutex
	n      int // 0: never
	behind bool
}

func (f *failing) Update(ctx context.Context, g func(store.Tx) error) error {
	f.mu.Lock()
	crash := f.n == 1
	f.n--
	f.mu.Unlock()
	err := f.DB.Update(ctx, func(tx store.Tx) error {
		if err := g(tx); err != nil {
			return err
		}
		if crash && !f.behind {
			return errCrash
		}
		return nil
	})
	if crash && err == nil {
		return errCrash
	}
	return err
}
