package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

func testEventFind(t *testing.T, e *eventTest) {
	all := append(series(20), event(40, base.Add(3*time.Second), ""))
	e.add(all[:10]...)
	e.add(all[10:]...)
	for _, r := range all {
		got, err := e.s.Find(t.Context(), time.Unix(0, r.Time), r.ID)
		if err != nil || !sameRecord(got.Record, r) {
			t.Errorf("%s: %v, %v", r.ID, got, err)
		}
	}
	for _, x := range []struct {
		at time.Time
		id ecs.ID
	}{
		{base.Add(4 * time.Second), all[3].ID},
		{base.Add(3*time.Second + 1), all[3].ID},
		{base.Add(3*time.Second - 1), all[3].ID},
		{base.Add(3 * time.Second), all[4].ID},
		{base.Add(-time.Hour), all[0].ID},
		{base.Add(time.Hour), ecs.HashID("", "nobody")},
	} {
		if got, err := e.s.Find(t.Context(), x.at, x.id); got != nil || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s at %v: %v, %v", x.id, x.at, got, err)
		}
	}
}

// replay returns the records of the frames from an offset on, checking the offsets.
func (e *eventTest) replay(from int64, ends map[string]int64) (metas []string) {
	e.t.Helper()
	last := from
	for f, err := range e.s.Replay(e.t.Context(), from) {
		if err != nil {
			e.t.Fatal(err)
		}
		meta := string(f.Meta)
		if f.End <= last || ends[meta] != f.End {
			e.t.Errorf("frame %s ends at %d, behind %d; append said %d", meta, f.End, last, ends[meta])
		}
		last = f.End
		for i, r := range f.Records {
			if want := event(len(f.Records)*100+i, base, meta2json(meta)); !sameRecord(r, want) {
				e.t.Errorf("record %d of frame %s: %s", i, meta, r.Raw)
			}
		}
		metas = append(metas, meta)
	}
	return metas
}

func meta2json(meta string) string { return fmt.Sprintf(`,"apiVersion":%q`, meta) }

// testEventReplay appends frames of 0, 1, … records, several at once, and reads them
// back from everywhere.
func testEventReplay(t *testing.T, e *eventTest) {
	if e.s.End() != 0 {
		t.Errorf("an empty store ends at %d", e.s.End())
	}
	if ends, err := e.s.Append(t.Context(), nil); err != nil || len(ends) != 0 {
		t.Errorf("nothing appended: %v, %v", ends, err)
	}
	var all []string
	ends := map[string]int64{}
	for batch := range slices.Chunk([]int{0, 1, 2, 3, 4, 5}, 2) {
		var frames []store.Encoded
		for _, n := range batch {
			meta := fmt.Sprint("frame", n)
			list := make([]store.Record, n)
			for i := range list {
				list[i] = event(n*100+i, base, meta2json(meta))
			}
			frames, all = append(frames, e.frame(meta, list...)), append(all, meta)
		}
		got, err := e.s.Append(t.Context(), frames)
		if err != nil || len(got) != len(batch) || e.s.End() != got[len(got)-1] {
			t.Fatalf("appended: %v, %v; the end is %d", got, err, e.s.End())
		}
		for i, n := range batch {
			ends[fmt.Sprint("frame", n)] = got[i]
		}
	}
	for i := range len(all) + 1 {
		from := int64(0)
		if i > 0 {
			from = ends[all[i-1]]
		}
		if got := e.replay(from, ends); !slices.Equal(got, all[i:]) {
			t.Errorf("from %d: %v, want %v", from, got, all[i:])
		}
	}
	for f, err := range e.s.Replay(t.Context(), 0) { // it may be left
		if err != nil || string(f.Meta) != "frame0" {
			t.Errorf("%v, %v", f, err)
		}
		break
	}
	e.s.Folded(ends["frame3"])
	e.settleNow() // what is behind that must stay
	if got := e.replay(ends["frame3"], ends); !slices.Equal(got, all[4:]) {
		t.Errorf("behind what was folded: %v", got)
	}
}

func testEventRefused(t *testing.T, e *eventTest) {
	all := series(6)
	e.add(all[:3]...)
	end := e.s.End()
	for _, bad := range []store.Encoded{nil, {}, store.Encoded("nonsense that nobody encoded, and that is long enough to have a header of any kind"), e.frame("", all[3:]...)[1:]} {
		if ends, err := e.s.Append(t.Context(), []store.Encoded{e.frame("", all[3:]...), bad}); err == nil {
			t.Errorf("%q was taken: %v", bad, ends)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.s.Append(ctx, []store.Encoded{e.frame("", all[3:]...)}); !errors.Is(err, context.Canceled) {
		t.Errorf("an append of somebody who has gone: %v", err)
	}
	e.want(store.Scan{}, all[:3])
	if e.s.End() != end {
		t.Errorf("the end moved from %d to %d", end, e.s.End())
	}
	e.add(all[3:]...)
	e.want(store.Scan{}, all)
}

func testEventContext(t *testing.T, e *eventTest) {
	e.add(series(4000)...)
	for name, ask := range map[string]func(ctx context.Context) (n int, err error){
		"scan": func(ctx context.Context) (n int, err error) {
			for _, err = range e.s.Scan(ctx, store.Scan{}) {
				if err != nil {
					break
				}
				n++
			}
			return n, err
		},
		"replay": func(ctx context.Context) (n int, err error) {
			for _, err = range e.s.Replay(ctx, 0) {
				if err != nil {
					break
				}
				n++
			}
			return n, err
		},
		"sums": func(ctx context.Context) (n int, err error) {
			for _, err = range e.s.Rollups(ctx, store.RollupQuery{}) {
				if err != nil {
					break
				}
				n++
			}
			return n, err
		},
		"find": func(ctx context.Context) (int, error) {
			_, err := e.s.Find(ctx, base, ecs.HashID("", "nobody"))
			return 0, err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if name == "replay" && e.settle > 0 {
			continue // there may be no frame left to yield
		}
		if n, err := ask(ctx); n > 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%s of somebody who has gone: %d, %v", name, n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	for _, err := range e.s.Scan(ctx, store.Scan{}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		if n++; n == 10 {
			cancel()
		}
	}
	if cancel(); n > 2000 {
		t.Errorf("a scan whose context ended after 10 events yields %d", n)
	}
}

func testEventNested(t *testing.T, e *eventTest) {
	all := series(40)
	e.add(all[:20]...)
	e.add(all[20:]...)
	n := 0
	for x, err := range e.s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		id := x.ID
		if got, err := e.s.Find(t.Context(), time.Unix(0, all[7].Time), all[7].ID); err != nil || !sameRecord(got.Record, all[7]) {
			t.Errorf("within a scan: %v, %v", got, err)
		}
		for _, err := range e.s.Scan(t.Context(), store.Scan{Descending: true}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if x.ID != id || id != all[n].ID {
			t.Errorf("event %d is %s, want %s", n, x.ID, all[n].ID)
		}
		if n++; n == 10 {
			break
		}
	}
	e.want(store.Scan{}, all)
}

func testEventConcurrent(t *testing.T, e *eventTest) {
	const writers, frames, each = 4, 10, 5
	all := series(writers * frames * each)
	var encoded []store.Encoded
	for chunk := range slices.Chunk(all, each) {
		encoded = append(encoded, e.frame("", chunk...))
	}
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range frames {
				if _, err := e.s.Append(t.Context(), encoded[w*frames+i:w*frames+i+1]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	reading.Go(func() {
		for last := 0; ; {
			select {
			case <-done:
				return
			default:
			}
			n, before := 0, int64(0)
			for x, err := range e.s.Scan(t.Context(), store.Scan{}) {
				if err != nil || x.Time <= before {
					t.Errorf("event %d: at %d behind %d, %v", n, x.Time, before, err)
					return
				}
				before = x.Time
				n++
			}
			if n < last || n%each != 0 {
				t.Errorf("a scan yields %d events, the one before it %d; frames have %d", n, last, each)
				return
			}
			last = n
			if e.settle > 0 {
				e.settleNow()
			}
		}
	})
	writing.Wait()
	close(done)
	reading.Wait()
	e.want(store.Scan{}, all)
}

// testEventSnapshot: a scan that runs is not disturbed by what comes and what goes.
func testEventSnapshot(t *testing.T, e *eventTest) {
	all := series(60)
	e.add(all[:30:30]...)
	var got []store.Record
	for x, err := range e.s.Scan(t.Context(), store.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event(len(got), base.Add(time.Duration(len(got))*time.Second), ""))
		if !sameRecord(x.Record, got[len(got)-1]) {
			t.Errorf("event %d is %s", len(got)-1, x.Raw)
		}
		if len(got) == 5 {
			e.add(all[30:]...)
			e.settleNow()
		}
	}
	if len(got) != 30 && len(got) != 60 {
		t.Errorf("%d events; there were 30 before it and 60 after", len(got))
	}
	e.want(store.Scan{}, all)
}

// testEventExpire: what is not too old stays; the rest goes as a whole or not at all.
func testEventExpire(t *testing.T, e *eventTest) {
	if e.how.Expire == nil {
		t.Skip("it forgets nothing")
	}
	day := func(n, at int) []store.Record {
		list := make([]store.Record, n)
		for i := range list {
			list[i] = event(at*100+i, base.AddDate(0, 0, at).Add(time.Duration(i)*time.Second), "")
		}
		return list
	}
	var all []store.Record
	for at := range 4 {
		list := day(10, at)
		all = append(all, list...)
		e.add(list...)
	}
	e.how.Expire(t, e.s, base) // nothing is that old
	e.want(store.Scan{}, all)
	cut := base.AddDate(0, 0, 2)
	e.how.Expire(t, e.s, cut)
	e.want(store.Scan{From: cut}, all[20:])
	if e.settle == 1 { // each day is for itself
		e.want(store.Scan{}, all[20:])
	}
	left := e.scan(store.Scan{})
	count := int64(0)
	for _, r := range e.rollups(store.RollupQuery{}) {
		count += r.Count
	}
	if count != int64(len(left)) {
		t.Errorf("%d events are left, and %d summed up", len(left), count)
	}
	for _, r := range all {
		_, err := e.s.Find(t.Context(), time.Unix(0, r.Time), r.ID)
		if there := slices.ContainsFunc(left, func(x store.Record) bool { return sameRecord(x, r) }); there != (err == nil) {
			t.Errorf("%s is scanned: %v, found: %v", r.ID, there, err)
		}
	}
	e.add(all[0]) // one that comes again is a new one
	e.want(store.Scan{To: base.Add(1)}, all[:1])
}

func testEventReopen(t *testing.T, e *eventTest) {
	if e.how.Reopen == nil {
		t.Skip("it forgets everything")
	}
	all := series(30)
	e.add(all[:10]...)
	e.add(all[10:20]...)
	end := e.s.End()
	e.s = e.how.Reopen(t, e.s)
	if e.s.End() != end {
		t.Errorf("it ended at %d, and ends at %d", end, e.s.End())
	}
	e.want(store.Scan{}, all[:20])
	e.add(all[20:]...)
	e.s = e.how.Reopen(t, e.s)
	e.want(store.Scan{}, all)
	want := summedUp(all, store.RollupQuery{})
	if diff := differ(e.rollups(store.RollupQuery{}), want); diff != "" {
		t.Error(diff)
	}
}

func testEventClosed(t *testing.T, e *eventTest) {
	list := series(3)
	e.add(list...)
	if err := e.s.Close(); err != nil {
		t.Fatal(err)
	}
	if ends, err := e.s.Append(t.Context(), []store.Encoded{e.frame("", list...)}); err == nil {
		t.Errorf("it takes frames: %v", ends)
	}
}
