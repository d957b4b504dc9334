package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	r := NewRouter([]Channel{
		{Name: "all"},
		{Name: "high", Severity: "high"},
		{Name: "ssm", Rules: []string{"SSM *", "4c1e6b0d-*"}},
		{Name: "health", Kinds: []store.MessageKind{store.MessageHealth, store.MessageCapped}, Rules: []string{"ssm*"}},
	})
	for _, tt := range []struct {
		kind               store.MessageKind
		id, rule, severity string
		want               string
	}{
		{store.MessageNew, "x", "Another", "low", "all"},
		{store.MessageNew, "x", "ssm command by a new principal", "low", "all ssm"},
		{store.MessageNew, "4C1E6B0D-1", "Another", "high", "all high ssm"},
		{store.MessageNew, "x", "Another", "critical", "all high"},
		{store.MessageNew, "x", "Another", "odd", "all"},
		{store.MessageHealth, "", "", "", "all high health"},
		{store.MessageHealth, "", "", "low", "all health"},
		{store.MessageCapped, "x", "Another", "low", "all"},
		{store.MessageCapped, "x", "SSM command", "low", "all ssm health"},
	} {
		if got := strings.Join(r.Route(tt.kind, tt.id, tt.rule, tt.severity), " "); got != tt.want {
			t.Errorf("%s %s %s: %q, want %q", tt.kind, tt.rule, tt.severity, got, tt.want)
		}
	}
}

// Withdrawn is told to whoever was told, whatever the channels want by now.
func TestWithdrawnIsToldToWhoeverWasTold(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	before := NewRouter([]Channel{{Name: "a"}, {Name: "b"}, {Name: "c", Severity: "high"}})
	after := NewRouter([]Channel{{Name: "b", Kinds: []store.MessageKind{store.MessageNew}}, {Name: "c"}})
	var counts []int
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for _, step := range []struct {
			r      *Router
			kind   store.MessageKind
			handle string
		}{
			{before, store.MessageNew, "x"},
			{before, store.MessageNew, "x"}, // once more
			{after, store.MessageWithdrawn, "x"},
			{after, store.MessageWithdrawn, "x"},
			{after, store.MessageWithdrawn, "y"}, // nobody was told
		} {
			n, err := step.r.Alert(tx, step.kind, snapshot(step.handle), "", start)
			if err != nil {
				return err
			}
			counts = append(counts, n)
		}
		for range 2 {
			n, err := after.Notice(tx, store.MessageHealth, store.Notice{Title: "disk"}, "disk 2026-03-01", start)
			if err != nil {
				return err
			}
			counts = append(counts, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{2, 0, 2, 0, 0, 1, 0}; !slices.Equal(counts, want) {
		t.Errorf("queued %v, want %v", counts, want)
	}
}

// A message is queued with what it is about, or neither is.
func TestQueueingIsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	r := NewRouter([]Channel{{Name: "a"}})
	failed := errors.New("later in the transaction")
	err := db.Update(context.Background(), func(tx store.Tx) error {
		if _, err := r.Alert(tx, store.MessageNew, snapshot("x"), "", start); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) || len(db.tables[store.Outbox]) != 0 {
		t.Errorf("%v; %d rows are left", err, len(db.tables[store.Outbox]))
	}
}

func TestSilences(t *testing.T) {
	t.Parallel()
	window := func(id, query string, rules ...string) store.Silence {
		return store.Silence{ID: id, Name: id, Kind: store.SilenceWindow, Rules: rules, Query: query, Start: start, End: start.Add(time.Hour)}
	}
	snooze := window("snooze", "", "r1")
	snooze.Kind, snooze.End = store.SilenceSnooze, time.Time{}
	list := []store.Silence{
		window("all", ""),
		window("rule", "", "r1", "r2"),
		window("low", "kibana.alert.severity: low"),
		window("risk", "kibana.alert.risk_score < 47"),
		window("account", `cloud.account.id: 111122223333 and not source.ip: "10.0.0.0/8"`),
		window("time", `kibana.alert.original_time >= "2026-03-01T00:00:00Z"`),
		window("text", `kibana.alert.rule.name: ssm*`),
		snooze,
		window("broken", "kibana.alert.severity: (low"),
		{ID: "invalid", Name: "invalid"},
	}
	s, err := CompileSilences(list)
	if err == nil || strings.Count(err.Error(), "silence ") != 2 || !strings.Contains(err.Error(), `silence "broken": its query`) || !strings.Contains(err.Error(), `silence "invalid": kind`) {
		t.Errorf("got %v", err)
	}
	asked := 0
	doc := func() ecs.Document {
		asked++
		return ecs.Document{
			"kibana.alert.severity": "low", "kibana.alert.risk_score": ecs.Number("100"), "kibana.alert.rule.name": "ssm command",
			"kibana.alert.original_time": "2026-03-01T12:00:00.000Z",
			"cloud":                      map[string]any{"account": map[string]any{"id": "111122223333"}},
			"source":                     map[string]any{"ip": "203.0.113.7"},
		}
	}
	got := s.Active(start, "r1", doc)
	want := Active{Windows: []string{"all", "rule", "low", "account", "time", "text"}, Snoozes: []string{"snooze"}}
	if diff := cmp.Diff(want, got); diff != "" || asked != 1 || !got.Silenced() {
		t.Errorf("asked %d times\n%s", asked, diff)
	}
	got = s.Active(start.Add(time.Hour), "r1", doc)
	if diff := cmp.Diff(Active{Snoozes: []string{"snooze"}}, got); diff != "" || asked != 1 {
		t.Errorf("asked %d times\n%s", asked, diff)
	}
	if got = s.Active(start.Add(time.Hour), "r3", doc); got.Silenced() {
		t.Errorf("silenced by %v", got)
	}
	var none *Silences
	if got = none.Active(start, "r1", doc); got.Silenced() {
		t.Error("no silences silence")
	}
	if _, diags := CheckSilenceQuery("kibana.alert.sverity: low"); len(diags) == 0 {
		t.Error("nobody is told of a misspelt field")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := Channel{Name: "x", URL: "slack://T0KEN", Webhook: &Webhook{URL: "https://T0KEN", Secret: "T0KEN"}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "channel", c, "url", c.URL)
	text, err := c.URL.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.URL, c.URL), log.String(), string(text), fmt.Sprintf("%+v %#v", *c.Webhook, *c.Webhook)} {
		if strings.Contains(got, "T0KEN") || !strings.Contains(got, masked) {
			t.Error(got)
		}
	}
}
