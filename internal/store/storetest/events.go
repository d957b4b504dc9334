package storetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// An EventStore is how a store of events is tested.
type EventStore struct {
	// Open makes an empty store for queries of cat. It fails the test if it cannot.
	Open   func(tb testing.TB, cat *ecs.Catalogue) store.Events
	Encode func(*store.Frame) (store.Encoded, error)
	// Settle does at once what the store does with what was appended when it has the
	// time; nil: nothing. It may be called at any time.
	Settle func(tb testing.TB, s store.Events)
	// Expire makes the store forget what is older than before, as far as it does; nil:
	// it forgets nothing.
	Expire func(tb testing.TB, s store.Events, before time.Time)
	// Reopen closes the store and opens it again; nil: it is gone then.
	Reopen func(tb testing.TB, s store.Events) store.Events
}

// RunEvents tests a store of events: with everything as it was appended, with
// everything settled, and with a part of both.
func RunEvents(t *testing.T, how EventStore) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *eventTest){
		"events are in order":              testEventOrder,
		"windows have ends":                testEventWindow,
		"limits count what matches":        testEventLimit,
		"copies":                           testEventCopies,
		"copies that match":                testEventCopiesMatch,
		"find":                             testEventFind,
		"events can be read":               testEventFields,
		"documents":                        testEventDocuments,
		"sums by hour":                     testEventRollups,
		"sums of copies":                   testEventRollupsOfCopies,
		"frames come back":                 testEventReplay,
		"frames are taken whole or not":    testEventRefused,
		"a context ends what is asked":     testEventContext,
		"scans end early and nest":         testEventNested,
		"appends and scans beside others":  testEventConcurrent,
		"a scan stays as it began":         testEventSnapshot,
		"what is too old goes":             testEventExpire,
		"what was appended is there again": testEventReopen,
		"a closed store takes nothing":     testEventClosed,
	} {
		for i, mode := range []string{"appended", "settled", "half settled"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				test(t, newEventTest(t, how, i))
			})
		}
	}
}

// An eventTest is a store under test.
type eventTest struct {
	t      *testing.T
	how    EventStore
	cat    *ecs.Catalogue
	s      store.Events
	settle int // 0: never, 1: after each append, 2: after each second one
	n      int
}

func newEventTest(t *testing.T, how EventStore, settle int) *eventTest {
	t.Helper()
	e := &eventTest{t: t, how: how, cat: ecs.NewCatalogue(), settle: settle}
	e.s = how.Open(t, e.cat)
	t.Cleanup(func() { _ = e.s.Close() })
	return e
}

// base is the time of the first event of tests.
var base = time.Date(2026, 1, 14, 8, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// event makes a record whose event is the nth; extra is more JSON of it.
func event(n int, at time.Time, extra string) store.Record {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	raw := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/u%d",`+
		`"accountId":"111122223333","userName":"u%d"},"eventTime":"%s","eventSource":"ssm.amazonaws.com","eventName":"Action%d",`+
		`"awsRegion":"eu-west-1","sourceIPAddress":"198.18.%d.%d","userAgent":"agent%d","eventID":"%s","recipientAccountId":"111122223333"%s}`,
		n%7, n%7, at.UTC().Format(time.RFC3339), n%5, n%3, n%250, n%2, id, extra)
	return store.Record{Kind: store.KindRecord, Time: at.UnixNano(), ID: ecs.HashID("111122223333", id), Raw: []byte(raw)}
}

// series makes events, a second apart.
func series(n int) []store.Record {
	list := make([]store.Record, n)
	for i := range list {
		list[i] = event(i, base.Add(time.Duration(i)*time.Second), "")
	}
	return list
}

// byTime sorts records as a scan must yield them.
func byTime(list []store.Record) []store.Record {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b store.Record) int {
		if a.Time != b.Time {
			if a.Time < b.Time {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return list
}

func falling(list []store.Record) []store.Record {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// hashOf orders copies: the one with the smallest speaks.
func hashOf(r *store.Record) string {
	sum := sha256.Sum256(r.Raw)
	return string(sum[:])
}

func (e *eventTest) frame(meta string, list ...store.Record) store.Encoded {
	e.t.Helper()
	f, err := e.how.Encode(&store.Frame{Meta: []byte(meta), Records: list})
	if err != nil {
		e.t.Fatal(err)
	}
	return f
}

// add appends records as one frame, and settles them or not.
func (e *eventTest) add(list ...store.Record) {
	e.t.Helper()
	if _, err := e.s.Append(e.t.Context(), []store.Encoded{e.frame("", list...)}); err != nil {
		e.t.Fatal(err)
	}
	e.n++
	if e.settle == 1 || e.settle == 2 && e.n%2 == 1 {
		e.settleNow()
	}
}

func (e *eventTest) settleNow() {
	if e.how.Settle != nil {
		e.how.Settle(e.t, e.s)
	}
}

func (e *eventTest) match(text string) query.Expr {
	e.t.Helper()
	x, diags := kql.CompileText(text, e.cat)
	if x == nil {
		e.t.Fatal(diags)
	}
	return x
}

// scan returns what a scan yields, and fails if anything is damaged.
func (e *eventTest) scan(q store.Scan) []store.Record {
	e.t.Helper()
	q.Damaged = func(name string, err error) { e.t.Errorf("damaged: %s: %v", name, err) }
	var out []store.Record
	for x, err := range e.s.Scan(e.t.Context(), q) {
		if err != nil {
			e.t.Fatal(err)
		}
		r := x.Record
		r.Raw = bytes.Clone(r.Raw)
		out = append(out, r)
	}
	return out
}

func (e *eventTest) want(q store.Scan, want []store.Record) {
	e.t.Helper()
	if got := e.scan(q); !slices.EqualFunc(got, want, sameRecord) {
		e.t.Errorf("a scan of %s yields %s\nwant %s", describe(&q), names(got), names(want))
	}
}

func sameRecord(a, b store.Record) bool {
	return a.Kind == b.Kind && a.Time == b.Time && a.ID == b.ID && bytes.Equal(a.Raw, b.Raw)
}

func describe(q *store.Scan) string {
	return fmt.Sprintf("%v to %v, matching %v, limit %d, falling %v, copies %v", q.From, q.To, q.Match != nil, q.Limit, q.Descending, q.Copies)
}

// names prints few bytes for each record.
func names(list []store.Record) string {
	parts := make([]string, len(list))
	for i := range list {
		parts[i] = fmt.Sprintf("%s/%.6s/%.4x", time.Unix(0, list[i].Time).UTC().Format("15:04:05.999999999"), list[i].ID, hashOf(&list[i]))
	}
	return fmt.Sprintf("%d: %s", len(list), strings.Join(parts, " "))
}

func testEventOrder(_ *testing.T, e *eventTest) {
	all := append(series(60), event(100, base.Add(5*time.Second), ""), event(101, base.Add(5*time.Second), ""), // of one time
		event(102, base.Add(5*time.Second+1), ""), event(103, time.Date(1969, 12, 31, 23, 59, 59, 1, time.UTC), ""))
	mixed := make([]store.Record, len(all))
	for i := range all {
		mixed[i] = all[i*37%len(all)]
	}
	for chunk := range slices.Chunk(mixed, 9) {
		e.add(chunk...)
	}
	want := byTime(all)
	e.want(store.Scan{}, want)
	e.want(store.Scan{Descending: true}, falling(want))
}

func testEventWindow(_ *testing.T, e *eventTest) {
	all := series(10)
	last := event(50, base.Add(4*time.Second+time.Second-1), "") // a nanosecond before the sixth
	e.add(append(all[5:], last)...)
	e.add(all[:5]...)
	want := byTime(append(all, last))
	at := func(n int) time.Time { return base.Add(time.Duration(n) * time.Second) }
	for _, down := range []bool{false, true} {
		for _, w := range []struct {
			from, to time.Time
			i, n     int
		}{
			{time.Time{}, time.Time{}, 0, 11},
			{at(2), at(4), 2, 4},
			{at(2), at(4).Add(1), 2, 5},
			{at(2).Add(1), at(4), 3, 4},
			{at(5).Add(-1), at(5), 5, 6},
			{time.Time{}, at(1), 0, 1},
			{at(9), time.Time{}, 10, 11},
			{at(9).Add(1), time.Time{}, 11, 11},
			{time.Time{}, at(0), 0, 0},
			{at(3), at(3), 0, 0},
			{at(4), at(3), 0, 0},
			{at(1).In(time.FixedZone("", 3600)), at(2), 1, 2},
		} {
			part := want[w.i:w.n]
			if down {
				part = falling(part)
			}
			e.want(store.Scan{From: w.from, To: w.to, Descending: down}, part)
		}
	}
}

func testEventLimit(_ *testing.T, e *eventTest) {
	all := series(30)
	e.add(all[10:]...)
	e.add(all[:10]...)
	var some []store.Record
	for i := range all {
		if i%5 == 3 {
			some = append(some, all[i])
		}
	}
	match := e.match("event.action: Action3")
	for _, n := range []int{1, 2, 5, 6, 7} {
		e.want(store.Scan{Limit: n}, all[:n])
		e.want(store.Scan{Limit: n, Descending: true}, falling(all)[:n])
		e.want(store.Scan{Limit: n, Match: match}, some[:min(n, len(some))])
		e.want(store.Scan{Limit: n, Match: match, Descending: true}, falling(some)[:min(n, len(some))])
	}
	e.want(store.Scan{Limit: 2, Match: match, From: base.Add(4 * time.Second), To: base.Add(20 * time.Second)}, some[1:3])
	e.want(store.Scan{Match: e.match("event.action: Nothing")}, nil)
}

// testEventCopies: an event is once however often it came, and the copy with the
// smallest hash speaks.
func testEventCopies(_ *testing.T, e *eventTest) {
	all := series(12)
	copies := []store.Record{all[4], event(4, base.Add(4*time.Second), `,"x":1`), event(4, base.Add(4*time.Second), `,"x":2`)}
	e.add(append(all[:8:8], all[2], all[2])...)
	e.add(all[4:]...) // again
	e.add(copies[2])
	e.add(copies[1], copies[2])
	e.add(all[0])
	slices.SortFunc(copies, func(a, b store.Record) int { return strings.Compare(hashOf(&a), hashOf(&b)) })
	once := slices.Clone(all)
	once[4] = copies[0]
	e.want(store.Scan{}, once)
	e.want(store.Scan{Descending: true}, falling(once))
	each := slices.Concat(all[:4], copies, all[5:])
	e.want(store.Scan{Copies: true}, each)
	e.want(store.Scan{Copies: true, Descending: true}, slices.Concat(falling(all[5:]), copies, falling(all[:4])))
	e.want(store.Scan{Copies: true, Limit: 6}, each[:6])
	other := all[6]
	other.Time += int64(time.Hour) // another event, of the same id
	e.add(other)
	e.want(store.Scan{}, append(once, other))
}

// testEventCopiesMatch: of the copies of an event those are compared that match.
func testEventCopiesMatch(_ *testing.T, e *eventTest) {
	copies := make([]store.Record, 6)
	for i := range copies {
		copies[i] = event(1, base, fmt.Sprintf(`,"readOnly":%v,"x":%d`, i%2 == 0, i))
	}
	for i := range copies {
		e.add(copies[i])
	}
	slices.SortFunc(copies, func(a, b store.Record) int { return strings.Compare(hashOf(&a), hashOf(&b)) })
	for _, value := range []string{"true", "false"} {
		var some []store.Record
		for _, r := range copies {
			if bytes.Contains(r.Raw, []byte(`"readOnly":`+value)) {
				some = append(some, r)
			}
		}
		match := e.match("aws.cloudtrail.read_only: " + value)
		e.want(store.Scan{Match: match}, some[:1])
		e.want(store.Scan{Match: match, Copies: true}, some)
		e.want(store.Scan{Match: match, Copies: true, Limit: 2, Descending: true}, some[:2])
	}
}

func testEventFields(t *testing.T, e *eventTest) {
	all := series(8)
	e.add(all[4:]...)
	e.add(all[:4]...)
	i := 0
	for x, err := range e.s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		for field, want := range map[string]string{
			"event.action": fmt.Sprintf("Action%d", i%5), "user.name": fmt.Sprintf("u%d", i%7), "source.ip": fmt.Sprintf("198.18.%d.%d", i%3, i%250),
			"cloud.account.id": "111122223333",
		} {
			if got := x.Event.Values(e.cat.Resolve(field)); len(got) != 1 || got[0] != want {
				t.Errorf("event %d: %s is %q, want %q", i, field, got, want)
			}
		}
		i++
	}
}

func testEventDocuments(t *testing.T, e *eventTest) {
	doc := store.Record{
		Kind: store.KindDocument, Time: base.Add(2500 * time.Millisecond).UnixNano(), ID: ecs.HashID("", "document"),
		Raw: []byte(`{"@timestamp":"2026-01-14T08:00:02.500Z","event":{"action":"Open","id":"d1"},"user":{"name":"ana"}}`),
	}
	all := series(5)
	e.add(all[3], doc)
	e.add(all[0], all[1], all[2], all[4])
	e.want(store.Scan{}, byTime(append(all, doc)))
	e.want(store.Scan{Match: e.match("user.name: ana")}, []store.Record{doc})
	x, err := e.s.Find(t.Context(), time.Unix(0, doc.Time), doc.ID)
	if err != nil || x.Kind != store.KindDocument || !slices.Equal(x.Event.Values(e.cat.Resolve("event.action")), []string{"Open"}) {
		t.Errorf("found %v, %v", x, err)
	}
}
