package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A step of a random history: what happens, to which object, and how long after it
// nothing happens.
type step struct {
	what  string
	n     int
	pause time.Duration
}

// Whatever is announced, listed, late, failing or interrupted: every object is made
// durable exactly once, nothing stays failed and no message is left.
func TestEveryObjectOnce(t *testing.T) {
	t.Parallel()
	what := []string{
		"put", "put", "put", "put late", "put and announce", "put and announce", "announce", "announce by CloudTrail", "announce by EventBridge",
		"announce wrapped", "digest", "S3 fails", "S3 fails for one", "bodies break", "queue fails", "sink refuses", "all is well", "all is well",
		"restart", "nonsense",
	}
	steps := rapid.Custom(func(rt *rapid.T) step {
		return step{
			what:  rapid.SampledFrom(what).Draw(rt, "what"),
			n:     rapid.IntRange(0, 1000).Draw(rt, "n"),
			pause: time.Duration(rapid.IntRange(0, 3600).Draw(rt, "pause")) * time.Second,
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		list := rapid.SliceOfN(steps, 1, 25).Draw(rt, "steps")
		concurrency := rapid.IntRange(1, 50).Draw(rt, "concurrency")
		var failure error
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(t, concurrency)
			for _, st := range list {
				h.do(st)
			}
			failure = h.end()
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

type history struct {
	t    *testing.T
	b    *fakeBucket
	q    *fakeQueue
	sink *fakeSink
	o    Options
	c    *chain
	keys []string
	stop func()
	s    *Source
}

func newHistory(t *testing.T, concurrency int) *history {
	h := &history{t: t, o: testOptions()}
	h.b, h.q, h.sink = newTest(t)
	h.o.Concurrency = concurrency
	h.c = &chain{b: h.b}
	h.start()
	return h
}

func (h *history) start() {
	h.s = newSource(h.o, h.b, h.q)
	h.stop = start(h.t, h.s, h.sink)
}

func (h *history) put(at time.Time, n int) string {
	key := keyAt([]string{"111111111111", "222222222222"}[n%2], at, fmt.Sprintf("%03d_%d", n, len(h.keys)))
	h.b.put(key, zipped(key))
	h.keys = append(h.keys, key)
	return key
}

func (h *history) some(n int) string {
	if len(h.keys) == 0 {
		return h.put(time.Now(), n)
	}
	return h.keys[n%len(h.keys)]
}

func (h *history) do(st step) {
	switch st.what {
	case "put":
		h.put(time.Now(), st.n)
	case "put late":
		h.put(time.Now().Add(-time.Duration(st.n)*30*time.Minute), st.n)
	case "put and announce":
		h.q.send(h.b.notice(h.put(time.Now(), st.n)))
	case "announce":
		h.q.send(h.b.notice(h.some(st.n), h.some(st.n+1)))
	case "announce by CloudTrail":
		h.q.send(cloudTrailNotice(h.some(st.n), h.some(st.n/2)))
	case "announce by EventBridge":
		key := h.some(st.n)
		h.q.send(fmt.Sprintf(`{"detail-type":"Object Created","source":"aws.s3","time":%q,"detail":{"bucket":{"name":"trail"},"object":{"key":%q,"etag":%q}}}`,
			time.Now().Format(time.RFC3339), key, h.b.objects[key].etag()))
	case "announce wrapped":
		inner, err := json.Marshal(h.b.notice(h.some(st.n)))
		if err != nil {
			h.t.Fatal(err)
		}
		h.q.send(fmt.Sprintf(`{"Type":"Notification","Message":%s}`, inner))
	case "digest":
		if digestKey(account, time.Now()) == h.c.last {
			break // there is one every hour
		}
		var logs []logFile
		for range st.n % 4 {
			key := h.some(st.n)
			logs = append(logs, logFile{key, key})
			st.n++
		}
		h.c.write(h.t, time.Now(), "", logs...)
	case "S3 fails":
		h.b.setFault(func(string, string) error { return errors.New("500 InternalError") })
	case "S3 fails for one":
		bad := h.some(st.n)
		h.b.setFault(func(_, key string) error {
			if key == bad {
				return []error{errDenied, errors.New("503 SlowDown"), fmt.Errorf("x: %w", errGone)}[st.n%3]
			}
			return nil
		})
	case "bodies break":
		h.setCut(func(_ string, offset int64) int64 { return []int64{0, 10, stall, -1}[(st.n+int(offset))%4] })
	case "queue fails":
		h.q.setFault(errors.New("503 ServiceUnavailable"))
	case "sink refuses":
		h.setRefuse(func(string) error { return errors.New("disk full") })
	case "all is well":
		h.well()
	case "restart":
		h.stop()
		h.start()
	case "nonsense":
		h.q.send("?")
	}
	time.Sleep(st.pause)
}

func (h *history) setCut(f func(string, int64) int64) {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	h.b.cut = f
}

func (h *history) setRefuse(f func(string) error) {
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	h.sink.refuse = f
}

func (h *history) well() {
	h.b.setFault(nil)
	h.setCut(nil)
	h.q.setFault(nil)
	h.setRefuse(nil)
}

func (h *history) end() error {
	h.put(time.Now(), 0)
	h.well()
	time.Sleep(30 * time.Hour)
	h.stop()
	for _, key := range h.keys {
		if n := h.sink.times(key); n != 1 {
			return fmt.Errorf("%s was made durable %d times; %v", key, n, h.sink.reasons())
		}
	}
	for name, content := range h.sink.content {
		if !strings.Contains(name, "Digest") && string(content[0]) != string(h.b.objects[strings.TrimPrefix(name, "s3://trail/")].content) {
			return fmt.Errorf("%s was not read whole", name)
		}
	}
	if n := h.q.left(); n > 0 {
		return fmt.Errorf("%d messages are left: %v", n, h.q.messages[0].message)
	}
	if got := h.sink.reasons(); len(got) > 0 {
		return fmt.Errorf("failed: %v", got)
	}
	if got := h.sink.lastTrouble(); got != "<nil>" {
		return fmt.Errorf("trouble: %s", got)
	}
	return nil
}
