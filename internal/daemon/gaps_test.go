package daemon_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/store"
)

// ledger is a daemon that does not run, at a time that the test sets.
type ledger struct {
	*testing.T
	daemon *daemon.Daemon
	now    time.Time
	start  time.Time // of the ledger: from then on every hour is full
}

func newLedger(t *testing.T) *ledger {
	d := newDesk(t)
	l := &ledger{T: t, now: time.Date(2026, 3, 20, 12, 30, 0, 0, time.UTC)}
	l.start = l.now.Truncate(time.Hour).AddDate(0, 0, -10)
	c := d.config(`[[notify.channels]]
name = "desk"
url = "generic://127.0.0.1:1/"
`)
	var err error
	if l.daemon, err = daemon.Open(t.Context(), daemon.Options{
		Config: c, Getenv: func(string) string { return "" }, Now: func() time.Time { return l.now }, Version: "test", Log: slog.New(slog.DiscardHandler),
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.daemon.Close(); err != nil {
			t.Error(err)
		}
	})
	for h := range 24 * 30 {
		l.add(h, 1, 1)
	}
	return l
}

// add counts objects of the hour so many hours after the start.
func (l *ledger) add(hour int, expected, read int64) {
	l.Helper()
	if err := l.daemon.DB().Update(l.Context(), func(tx store.Tx) error {
		return store.AddHour(tx, &store.Hour{
			Account: "111122223333", Region: "eu-west-1", Hour: l.start.Add(time.Duration(hour) * time.Hour), Expected: expected, Read: read, Records: read,
		})
	}); err != nil {
		l.Fatal(err)
	}
}

// alerts checks the coverage and lists the alerts about it: first and last hour,
// status, reason; and the number of messages.
func (l *ledger) alerts() (out []string, messages int) {
	l.Helper()
	if err := l.daemon.CheckCoverage(l.Context()); err != nil {
		l.Fatal(err)
	}
	if err := l.daemon.DB().View(l.Context(), func(tx store.Tx) error {
		for a, err := range store.AlertsBy(tx, store.Filter{Ascending: true}) {
			if err != nil {
				return err
			}
			s := fmt.Sprintf("%v-%v %s %s", a.Time.Sub(l.start).Hours(), a.Last.Sub(l.start).Hours(), a.Status, a.Reason)
			if a.Status == store.Closed && slices.Contains([]string{"filled", "joined"}, a.Reason) && !strings.HasPrefix(a.Notes[len(a.Notes)-1].Text, "it closed itself") {
				l.Errorf("notes are %v", a.Notes)
			}
			out = append(out, strings.TrimSpace(s))
		}
		list, err := store.ListMessages(tx, []store.MessageState{store.MessageWaiting}, nil, 100)
		messages = len(list)
		return err
	}); err != nil {
		l.Fatal(err)
	}
	return out, messages
}

func (l *ledger) want(messages int, alerts ...string) {
	l.Helper()
	for range 2 { // looking again changes nothing
		got, n := l.alerts()
		if diff := cmp.Diff(alerts, slices.Clone(got)); diff != "" || n != messages {
			l.Errorf("%d messages, not %d; %s", n, messages, diff)
		}
	}
}

// The alert of a gap follows it, closes itself when the gap is filled, and opens again
// when it is not.
func TestGapAlerts(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.want(0)
	l.add(200, 2, 0)
	l.add(201, 2, 0)
	l.want(1, "200-202 open")
	l.add(202, 1, 0)
	l.want(1, "200-203 open") // it grows
	l.add(200, 0, 2)
	l.want(1, "201-203 open") // its beginning is filled
	l.add(201, 0, 2)
	l.add(202, 0, 1)
	l.want(1, "201-203 closed filled")
	l.add(202, 1, 0)
	l.want(2, "202-203 open")
	l.add(205, 1, 0)
	l.want(3, "202-203 open", "205-206 open") // another
	l.add(203, 1, 0)
	l.add(204, 1, 0)
	l.want(3, "202-206 open", "205-206 closed joined") // both are one
	l.add(204, 0, 1)
	l.want(4, "202-204 open", "205-206 open") // and apart again
	for _, h := range []int{202, 203, 205} {
		l.add(h, 0, 1)
	}
	l.want(4, "202-204 closed filled", "205-206 closed filled")
}

// What a person has closed stays closed, whatever the account on this machine is called.
func TestGapAlertClosedByAPerson(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"kim", "debut"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.add(200, 1, 0)
			l.want(1, "200-201 open")
			if err := l.daemon.DB().Update(t.Context(), func(tx store.Tx) error {
				list, err := store.AlertsOfRule(tx, daemon.GapRule, l.start, l.now)
				if err != nil {
					return err
				}
				list[0].Close("the trail was moved", who, l.now)
				return store.PutAlert(tx, list[0])
			}); err != nil {
				t.Fatal(err)
			}
			l.want(1, "200-201 closed the trail was moved")
			l.add(201, 1, 0)
			l.want(1, "200-202 closed the trail was moved")
		})
	}
}

// A gap that is older than new ones are looked for keeps its one alert, which closes
// itself when it is filled after all.
func TestOldGapAlert(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.add(230, 1, 0)
	l.add(231, 1, 0)
	l.want(1, "230-232 open")
	for range 9 * 24 { // over the edge, hour by hour
		l.now = l.now.Add(time.Hour)
		if got, n := l.alerts(); n != 1 || !slices.Equal(got, []string{"230-232 open"}) {
			t.Fatalf("at %s: %d messages, %v", l.now, n, got)
		}
	}
	l.add(231, 0, 1)
	l.want(1, "230-231 open")
	l.add(230, 0, 1)
	l.want(1, "230-231 closed filled")
}
