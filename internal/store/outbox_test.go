package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func message(channel, handle string) store.Message {
	return store.Message{Channel: channel, Kind: store.MessageNew, Alert: &store.Snapshot{
		Handle: handle, UUID: handle, RuleID: "r1", Rule: "Rule one", Severity: "low", Who: "role/deploy",
	}}
}

func enqueue(t testing.TB, db store.DB, m store.Message, now time.Time) bool {
	t.Helper()
	var added bool
	update(t, db, func(tx store.Tx) (err error) {
		added, err = store.Enqueue(tx, m, now)
		return err
	})
	return added
}

func due(t testing.TB, db store.DB, channel string, now time.Time) (out []store.Message) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) (err error) {
		out, err = store.DueMessages(tx, channel, now, 1000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func handles(list []store.Message) string {
	var out []string
	for _, m := range list {
		switch {
		case m.Alert != nil:
			out = append(out, m.Alert.Handle)
		default:
			out = append(out, string(m.Kind))
		}
	}
	return strings.Join(out, " ")
}

func all(t testing.TB, db store.DB, state store.MessageState) (out []store.Message) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) error {
		for m, err := range store.Messages(tx, state) {
			if err != nil {
				return err
			}
			out = append(out, m)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func told(t testing.TB, db store.DB, handle string) (out []string) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) (err error) {
		out, err = store.Told(tx, handle)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOutboxKeepsTheOrderOfAChannel(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	for i, h := range []string{"a", "b", "c"} {
		enqueue(t, db, message("ops", h), start.Add(time.Duration(i)*time.Second))
	}
	enqueue(t, db, message("op", "x"), start) // a channel whose name begins another's
	later := message("ops", "d")
	later.Due = start.Add(time.Hour)
	enqueue(t, db, later, start)

	list := due(t, db, "ops", start.Add(time.Minute))
	if got := handles(list); got != "a b c" {
		t.Fatalf("due: %s", got)
	}
	if got := handles(due(t, db, "ops", start)); got != "a" {
		t.Fatalf("due at once: %s", got)
	}
	// The channel fails: a stays first. It refuses b: b goes back in the line.
	update(t, db, func(tx store.Tx) error {
		return errors.Join(
			store.MarkFailed(tx, &list[0], "down", start, start.Add(time.Minute), false),
			store.MarkFailed(tx, &list[1], "refused", start, start.Add(time.Minute), true),
		)
	})
	list = due(t, db, "ops", start.Add(2*time.Hour))
	if got := handles(list); got != "a c b d" {
		t.Fatalf("due after failures: %s", got)
	}
	if list[0].Attempts != 1 || list[0].LastError != "down" || list[2].LastError != "refused" {
		t.Fatalf("what failed is not kept: %+v", list)
	}
	// What was sent, or is gone, changes nothing when it is marked once more.
	update(t, db, func(tx store.Tx) error {
		return errors.Join(
			store.MarkSent(tx, &list[0], start),
			store.MarkSent(tx, &list[0], start),
			store.MarkFailed(tx, &list[0], "late", start, start, false),
			store.MarkDead(tx, &list[1], "too old", start),
		)
	})
	if got := handles(due(t, db, "ops", start.Add(2*time.Hour))); got != "b d" {
		t.Fatalf("due at the end: %s", got)
	}
	if sent, dead := all(t, db, store.MessageSent), all(t, db, store.MessageDead); handles(sent) != "a" || handles(dead) != "c" || dead[0].LastError != "too old" {
		t.Fatalf("sent %v, dead %v", sent, dead)
	}
	var channels []string
	update(t, db, func(tx store.Tx) (err error) {
		channels, err = store.OutboxChannels(tx)
		return err
	})
	if diff := cmp.Diff([]string{"op", "ops"}, channels); diff != "" {
		t.Error(diff)
	}
}

func TestOutboxTakesAMessageOnce(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	m := message("ops", "a")
	if !enqueue(t, db, m, start) || enqueue(t, db, m, start.Add(time.Hour)) {
		t.Fatal("queued twice")
	}
	if !enqueue(t, db, message("mail", "a"), start) {
		t.Fatal("another channel is another message")
	}
	grown := m
	grown.Kind, grown.Occasion = store.MessageGrown, "10"
	again := grown
	again.Occasion = "20"
	if !enqueue(t, db, grown, start) || !enqueue(t, db, again, start) || enqueue(t, db, again, start) {
		t.Fatal("an occasion is one message")
	}
	list := due(t, db, "ops", start)
	update(t, db, func(tx store.Tx) error {
		for i := range list {
			if err := store.MarkSent(tx, &list[i], start); err != nil {
				return err
			}
		}
		return nil
	})
	if enqueue(t, db, m, start) {
		t.Fatal("queued again after it was sent")
	}
	if got := told(t, db, "a"); !slices.Equal(got, []string{"mail", "ops"}) {
		t.Fatalf("told: %v", got)
	}
	if got := told(t, db, ""); got != nil {
		t.Fatalf("told of nothing: %v", got)
	}
	// What is forgotten is forgotten whole.
	var n int
	update(t, db, func(tx store.Tx) (err error) {
		n, err = store.PruneMessages(tx, start.Add(time.Second), 2)
		return err
	})
	if n != 2 || !slices.Equal(told(t, db, "a"), []string{"mail", "ops"}) {
		t.Fatalf("%d forgotten; told %v", n, told(t, db, "a"))
	}
	update(t, db, func(tx store.Tx) (err error) {
		n, err = store.PruneMessages(tx, start.Add(time.Second), 100)
		return err
	})
	if n != 1 || !slices.Equal(told(t, db, "a"), []string{"mail"}) || !enqueue(t, db, m, start) {
		t.Fatalf("%d forgotten; told %v", n, told(t, db, "a"))
	}
}

func TestOutboxRefuses(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]store.Message{
		"a message's channel":           {Kind: store.MessageNew, Alert: &store.Snapshot{}},
		"1 to 64 bytes":                 {Channel: strings.Repeat("x", 65), Kind: store.MessageNew, Alert: &store.Snapshot{}},
		"no zero byte":                  {Channel: "a\x00b", Kind: store.MessageNew, Alert: &store.Snapshot{}},
		`of kind "digest"`:              {Channel: "a", Kind: store.MessageDigest, Alert: &store.Snapshot{}},
		`of kind ""`:                    {Channel: "a", Alert: &store.Snapshot{}},
		"about an alert, or carries":    {Channel: "a", Kind: store.MessageHealth},
		"an alert's handle has at most": {Channel: "a", Kind: store.MessageNew, Alert: &store.Snapshot{Handle: "a\x00"}},
	} {
		db := &tableDB{}
		err := db.Update(t.Context(), func(tx store.Tx) error {
			_, err := store.Enqueue(tx, m, start)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDigestSpeaksForMany(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	for i := range 7 {
		m := message("ops", fmt.Sprintf("a%d", i))
		if i == 6 {
			m.Alert.Severity, m.Alert.RuleID, m.Alert.Rule, m.Alert.Who = "critical", "r2", "Rule two", "user/eve"
		}
		enqueue(t, db, m, start.Add(time.Duration(i)*time.Second))
	}
	enqueue(t, db, store.Message{Channel: "ops", Kind: store.MessageHealth, Notice: &store.Notice{Title: "disk is full"}}, start.Add(time.Minute))
	now := start.Add(time.Hour)
	fold := func(n int, seal bool) (d *store.Message, moved int) {
		t.Helper()
		update(t, db, func(tx store.Tx) (err error) {
			d, moved, err = store.FoldMessages(tx, "ops", now, n, seal)
			return err
		})
		return d, moved
	}
	if _, moved := fold(3, false); moved != 3 {
		t.Fatalf("moved %d", moved)
	}
	d, moved := fold(100, true)
	if moved != 5 {
		t.Fatalf("moved %d", moved)
	}
	want := &store.Digest{
		Count: 8, First: start, Last: start.Add(time.Minute), Sealed: true,
		Kinds:   map[store.MessageKind]int64{store.MessageNew: 7, store.MessageHealth: 1},
		Notices: []string{"disk is full"},
		Rules: []store.DigestRule{
			{RuleID: "r1", Rule: "Rule one", Severity: "low", Count: 6, Principals: []store.DigestPrincipal{{Who: "role/deploy", Count: 6, Handle: "a0"}}},
			{RuleID: "r2", Rule: "Rule two", Severity: "critical", Count: 1, Principals: []store.DigestPrincipal{{Who: "user/eve", Count: 1, Handle: "a6"}}},
		},
	}
	if diff := cmp.Diff(want, d.Digest); diff != "" {
		t.Fatal(diff)
	}
	if d.Digest.ByWeight()[0].RuleID != "r2" {
		t.Error("the most severe rule is not first")
	}
	update(t, db, func(tx store.Tx) error {
		n, err := store.CountMessages(tx)
		if diff := cmp.Diff(map[string]store.Waiting{"ops": {Count: 8, Oldest: start}}, n); diff != "" {
			t.Error(diff)
		}
		list, lerr := store.ListMessages(tx, []store.MessageState{"odd", store.MessageWaiting, store.MessageDigested}, []string{"ops"}, 3)
		if len(list) != 3 || list[0].Kind != store.MessageDigest {
			t.Errorf("listed %v", list)
		}
		other, oerr := store.ListMessages(tx, []store.MessageState{store.MessageWaiting}, []string{"mail"}, 3)
		if len(other) != 0 {
			t.Errorf("listed %v", other)
		}
		return errors.Join(err, lerr, oerr)
	})
	// Sealed: what comes later is another digest's.
	enqueue(t, db, message("ops", "later"), now)
	if got := handles(due(t, db, "ops", now)); got != "digest later" {
		t.Fatalf("due: %s", got)
	}
	other, moved := fold(100, true)
	if moved != 1 || other.Sequence == d.Sequence || other.Key == d.Key {
		t.Fatalf("moved %d into %+v", moved, other)
	}
	if n := len(all(t, db, store.MessageDigested)); n != 9 {
		t.Fatalf("%d messages wait in digests", n)
	}
	// Sent: so are those that it speaks for.
	update(t, db, func(tx store.Tx) error { return store.MarkSent(tx, d, now) })
	sent := all(t, db, store.MessageSent)
	if len(sent) != 9 || len(all(t, db, store.MessageDigested)) != 1 {
		t.Fatalf("sent %d", len(sent))
	}
	for _, m := range sent {
		if m.Kind != store.MessageDigest && m.InDigest != d.Sequence {
			t.Errorf("%s does not say which digest told it", m.Alert.Handle)
		}
	}
	if got := told(t, db, "a3"); len(got) != 1 {
		t.Errorf("told: %v", got)
	}
	update(t, db, func(tx store.Tx) error { return store.MarkDead(tx, other, "too old", now) })
	if dead := all(t, db, store.MessageDead); len(dead) != 2 || dead[1].LastError != "too old" || len(all(t, db, store.MessageDigested)) != 0 {
		t.Errorf("dead: %v", dead)
	}
	if d, moved := fold(100, true); d != nil || moved != 0 {
		t.Errorf("folded nothing into %+v", d)
	}
}

// A digest has bounds, and counts what is beyond them.
func TestDigestIsBounded(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	const n = 600
	for i := range n {
		m := message("ops", fmt.Sprintf("a%d", i))
		m.Alert.Who = fmt.Sprintf("user/%d", i)
		if i%2 == 0 {
			m.Alert.RuleID = fmt.Sprintf("r%d", i)
		}
		enqueue(t, db, m, start)
	}
	var d *store.Message
	update(t, db, func(tx store.Tx) (err error) {
		d, _, err = store.FoldMessages(tx, "ops", start, n, true)
		return err
	})
	total := d.Digest.MoreRules
	for _, r := range d.Digest.Rules {
		total += r.Count
		named := r.More
		for _, p := range r.Principals {
			named += p.Count
		}
		if named != r.Count {
			t.Errorf("rule %s counts %d, its principals %d", r.RuleID, r.Count, named)
		}
	}
	if total != n || d.Digest.Count != n {
		t.Errorf("counts %d and %d of %d", total, d.Digest.Count, n)
	}
	if len(d.Digest.Rules) != 200 || len(d.Digest.Rules[1].Principals) > 20 {
		t.Errorf("%d rules", len(d.Digest.Rules))
	}
}

// What comes from a log makes no message that cannot be queued.
func TestOutboxBoundsWhatLogsSay(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	m := message("ops", "a")
	m.Alert.Who = strings.Repeat("\xff<\x00", 1<<20)
	m.Occasion = "\xfe"
	who := m.Alert.Who
	enqueue(t, db, m, start)
	lines := make([]string, 1000)
	for i := range lines {
		lines[i] = strings.Repeat("ü", 1<<12)
	}
	enqueue(t, db, store.Message{Channel: "ops", Kind: store.MessageHealth, Notice: &store.Notice{Title: "x", Lines: lines}}, start)
	list := due(t, db, "ops", start)
	if len(list) != 2 || len(list[0].Alert.Who) > 4<<10 || len(list[1].Notice.Lines) != 41 || list[1].Notice.Lines[40] != "and 960 more lines" {
		t.Fatalf("queued: %d", len(list))
	}
	if m.Alert.Who != who || len(lines[0]) != 1<<13 {
		t.Error("what belongs to the caller was changed")
	}
	update(t, db, func(tx store.Tx) error { return store.MarkFailed(tx, &list[0], "\xff", start, start, false) })
}

// A crash between the parts of a large digest leaves it open, at the head of the line.
func TestDigestOfOneInstant(t *testing.T) {
	t.Parallel()
	db := &tableDB{}
	for i := range 30 {
		enqueue(t, db, message("ops", fmt.Sprintf("a%d", i)), start)
	}
	var sequences []uint64
	for range 4 {
		update(t, db, func(tx store.Tx) error {
			d, _, err := store.FoldMessages(tx, "ops", start, 7, false)
			sequences = append(sequences, d.Sequence)
			return err
		})
	}
	if len(slices.Compact(sequences)) != 1 {
		t.Fatalf("several digests: %v", sequences)
	}
	if list := due(t, db, "ops", start); len(list) != 3 || list[0].Kind != store.MessageDigest || list[0].Digest.Count != 28 {
		t.Fatalf("due: %s", handles(list))
	}
}
