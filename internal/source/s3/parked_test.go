package s3

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/debutsec/debut/internal/source"
)

// parkedNow returns what a sink keeps as parked, by id.
func parkedNow(t *testing.T, sink *fakeSink) map[string]*source.Parked {
	t.Helper()
	position := func(name string) ([]byte, error) { return sink.Position(t.Context(), "org", name) }
	ids, err := source.ParkedIDs(position)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*source.Parked{}
	for _, id := range ids {
		if out[id], err = source.GetParked(position, id); err != nil || out[id] == nil {
			t.Fatalf("%s is in the list and nowhere else: %v", id, err)
		}
	}
	return out
}

// A message that is tried again is gone once its object is read, and stays with the new
// reason if it cannot be.
func TestRetryParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b, q, sink, stop := startTest(t)
		late := keyAt(account, time.Now(), "late")
		comes, never, garbage := q.send(cloudTrailNotice(late)), q.send(cloudTrailNotice(keyAt(account, time.Now(), "never"))), q.send("who are you?")
		long := q.send("{" + strings.Repeat(" ", maxBody) + "}")
		time.Sleep(2 * time.Minute)
		before := parkedNow(t, sink)
		if len(before) != 4 || q.left() != 0 {
			t.Fatalf("parked %v, %d messages left", before, q.left())
		}

		b.put(late, zipped("x"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		got, err := s.Retry(ctx, []string{comes, comes, never, garbage, long, "nobody"})
		if err != nil || len(got) != 5 {
			t.Fatalf("%v, %v", got, err)
		}
		for id, want := range map[string]string{
			never: "it is not in the bucket", garbage: "not JSON", long: "only the first 16384 of its 16386 bytes", "nobody": "not parked any more",
		} {
			if got[id] == nil || !strings.Contains(got[id].Error(), want) {
				t.Errorf("%s: %v; want %q", id, got[id], want)
			}
		}
		if got[comes] != nil || sink.times(late) != 1 {
			t.Errorf("%v, read %d times", got[comes], sink.times(late))
		}
		after := parkedNow(t, sink)
		if len(after) != 3 || sink.positions[source.ParkedName(comes)] != nil {
			t.Errorf("parked: %v", after)
		}
		if p := after[never]; !p.Parked.After(before[never].Parked) || !strings.Contains(p.Reason, "it is not in the bucket") {
			t.Errorf("parked again: %+v", p)
		}
		if p := after[long]; !p.Parked.Equal(before[long].Parked) {
			t.Errorf("one that cannot be tried: %+v", p)
		}
		// What remains after a crash between the two: the object is read, the message there.
		value := `{"id":"m9","body":` + `"{\"s3Bucket\":\"trail\",\"s3ObjectKey\":[\"` + late + `\"]}"}`
		sink.positions["parked"], sink.positions["parked/m9"] = []byte(`["m9"]`), []byte(value)
		if got, err := s.Retry(ctx, []string{"m9"}); err != nil || got["m9"] != nil || sink.times(late) != 1 || len(parkedNow(t, sink)) != 0 {
			t.Errorf("%v, %v; read %d times", got, err, sink.times(late))
		}
		stop()
	})
}

// As long as nothing can be read, a message that is tried again is not done with: who
// asks stops waiting, the trying goes on, and an end of the run changes nothing.
func TestRetryTakesLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		s := newSource(testOptions(), b, q)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if got, err := s.Retry(ctx, []string{"m1"}); err == nil || got != nil || !strings.Contains(err.Error(), "does not run") {
			t.Errorf("before the run: %v, %v", got, err)
		}
		cancel()
		stop := start(t, s, sink)
		key := keyAt(account, time.Now(), "a")
		id := q.send(cloudTrailNotice(key))
		time.Sleep(2 * time.Minute)
		before := *parkedNow(t, sink)[id]
		b.put(key, zipped("x"))
		b.setFault(func(string, string) error { return context.DeadlineExceeded })
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if got, err := s.Retry(ctx, []string{id}); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		again, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if got, _ := s.Retry(again, []string{id}); got[id] == nil || !strings.Contains(got[id].Error(), "already") {
			t.Errorf("twice at a time: %v", got)
		}
		stop()
		if after := *parkedNow(t, sink)[id]; after != before {
			t.Errorf("parked: %+v, was %+v", after, before)
		}
		b.setFault(nil)
		stop = start(t, s, sink)
		last, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, err := s.Retry(last, []string{id}); err != nil || len(got) != 1 || got[id] != nil || len(parkedNow(t, sink)) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		stop()
	})
}
